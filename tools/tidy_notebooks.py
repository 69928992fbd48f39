"""Bring the book's notebooks into the form they are committed in: no outputs, tidy metadata, stable cell ids.

Without arguments the notebooks below `book/` are rewritten where needed; with `--check` nothing is written,
and the untidy ones are listed with their faults.
"""

import argparse
import re
import sys
from pathlib import Path
from typing import Any

import nbformat

BOOK = Path(__file__).resolve().parents[1] / "book"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
CELL_METADATA = {"tags", "mystnb", "slideshow"}
MAX_LINES = 25
ID = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")


def faults(notebook: dict[str, Any]) -> list[str]:
    """Return what is not tidy in a notebook, in words; empty if all is well."""
    found = []
    if notebook.get("metadata") != METADATA:
        found.append("metadata of the notebook are not the book's")
    if (notebook.get("nbformat"), notebook.get("nbformat_minor")) != (4, 5):
        found.append("not in notebook format 4.5")
    seen: set[str] = set()
    for number, cell in enumerate(notebook["cells"], 1):
        name = cell.get("id", "")
        if not ID.match(name) or name in seen:
            found.append(f"cell {number} has no id of its own")
        seen.add(name)
        found += [f"cell {number} ({name}) {fault}" for fault in cell_faults(cell)]
    return found


def cell_faults(cell: dict[str, Any]) -> list[str]:
    """Return what is not tidy in one cell."""
    source = "".join(cell["source"])
    found = []
    if not source.strip():
        found.append("is empty")
    if set(cell["metadata"]) - CELL_METADATA:
        found.append(f"has other metadata than {', '.join(sorted(CELL_METADATA))}")
    if cell["cell_type"] == "code":
        if cell["outputs"]:
            found.append("has outputs")
        if cell["execution_count"] is not None:
            found.append("has an execution count")
        if len(source.splitlines()) > MAX_LINES:
            found.append(f"has more than {MAX_LINES} lines")
    if cell.get("attachments"):
        found.append("has attachments: put the picture into book/assets")
    return found


def tidy(notebook: nbformat.NotebookNode) -> None:
    """Remove from a notebook, in place, what a run or an editor left in it."""
    notebook.metadata = nbformat.from_dict(METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    seen: set[str] = set()
    for number, cell in enumerate(notebook.cells, 1):
        if not ID.match(cell.get("id", "")) or cell.id in seen:
            cell.id = f"cell-{number:02}" if f"cell-{number:02}" not in seen else f"cell-{number:02}-b"
        seen.add(cell.id)
        for key in set(cell.metadata) - CELL_METADATA:
            del cell.metadata[key]
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a notebook is untidy")
    check = parser.parse_args().check
    problems = []
    for path in sorted(BOOK.rglob("*.ipynb")):
        if ".ipynb_checkpoints" in path.parts:
            continue
        notebook = nbformat.read(path, as_version=4)
        if not check:
            tidy(notebook)
            text = nbformat.writes(notebook, indent=1) + "\n"
            if text != path.read_text(encoding="utf8"):
                path.write_text(text, encoding="utf8")
        problems += [f"{path.relative_to(BOOK.parent)}: {fault}" for fault in faults(notebook)]
    if problems:
        sys.exit("\n".join([*problems, "`make format` mends what a program can mend."]))


if __name__ == "__main__":
    main()
