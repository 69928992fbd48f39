"""List the chapters: words, cells, figures, formulas, asserts, exercises, and the seconds that the cells ran.

The seconds are those of the last build, from its cache. With `--write` they go into `book/times.csv`,
from where each chapter says how long its cells run: do that on a machine with two cores and nothing else
to do.
"""

import argparse
import csv
import json
import re
import sqlite3
import statistics
import sys
from pathlib import Path

import check_spelling

ROOT = check_spelling.ROOT
TIMES = ROOT / "book" / "times.csv"
CACHE = ROOT / "_build" / ".jupyter_cache"


def measured(cache: Path = CACHE) -> dict[str, float]:
    """Return the seconds that each notebook ran, as the newest cache has them."""
    found = sorted(cache.glob("*/global.db"), key=lambda path: path.stat().st_mtime)
    if not found:
        sys.exit(f"{cache} has no results: make book")
    with sqlite3.connect(f"file:{found[-1]}?mode=ro", uri=True) as connection:
        rows = connection.execute("select uri, data from nbcache order by accessed").fetchall()
    return {Path(uri).stem: round(json.loads(data)["execution_seconds"], 1) for uri, data in rows}


def facts(path: Path) -> dict[str, int]:
    """Count what a notebook has."""
    cells = json.loads(path.read_text(encoding="utf8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    codes = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    lines = [len(code.splitlines()) for code in codes]
    text, code = "\n".join(texts), "\n".join(codes)
    return {
        "words": sum(1 for _ in check_spelling.words(check_spelling.prose(text))),
        "cells": len(codes),
        "median": round(statistics.median(lines)),
        "longest": max(lines),
        "figures": sum("figure" in cell["metadata"].get("mystnb", {}) for cell in cells),
        "live": len(re.findall(r"\b(?:LiveFigure|Playground)\(", code)),
        "formulas": len(re.findall(r"^\$\$ \(eq-|^:label: eq-", text, flags=re.M)),
        "asserts": len(re.findall(r"\bassert\b|\bassert_\w+\(", code)),
        "exercises": len(re.findall(r"\{exercise-start\}", text)),
        "solved": len(re.findall(r"\{solution-start\}", text)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the seconds into book/times.csv")
    seconds = measured()
    notebooks = sorted((ROOT / "book").glob("*.ipynb"))
    if parser.parse_args().write:
        with TIMES.open("w", encoding="utf8", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["chapter", "seconds"])
            table.writerows([path.stem, seconds[path.stem]] for path in notebooks if path.stem in seconds)
    rows = [
        {"chapter": path.stem, **facts(path), "seconds": seconds.get(path.stem, "")} for path in notebooks
    ]
    print("|", " | ".join(rows[0]), "|\n|", " | ".join("---" for _ in rows[0]), "|")
    for row in rows:
        print(
            "|",
            " | ".join(f"{value:,}" if isinstance(value, int) else str(value) for value in row.values()),
            "|",
        )


if __name__ == "__main__":
    main()
