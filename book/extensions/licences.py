"""Sphinx extension: directive `javascript-packages`, a table of the JavaScript that the book serves.

Read off `package.json` and `package-lock.json`, so that it says what is installed. With the argument `served`
it lists what the pages load, with `within` the packages that those are built from.
"""

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "node_modules/"


def packages(root: Path) -> tuple[list[tuple[str, str, str]], list[tuple[str, str, str]]]:
    """Return (name, version, licence) of what is served, and of the packages within it.

    Packages that only check our JavaScript are left out: no page has them.
    """
    served = json.loads((root / "package.json").read_text())["dependencies"]
    installed: dict[str, dict[str, Any]] = json.loads((root / "package-lock.json").read_text())["packages"]
    rows = sorted(
        {
            (path.rpartition(FOLDER)[2], entry["version"], entry.get("license", "see its files"))
            for path, entry in installed.items()
            if path and not entry.get("dev")
        }
    )
    return [row for row in rows if row[0] in served], [row for row in rows if row[0] not in served]


class JavaScriptPackages(SphinxDirective):
    """A table of packages: name, version, licence."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        which = directives.choice(self.arguments[0], ("served", "within"))
        self.env.note_dependency(str(ROOT / "package-lock.json"))
        served, within = packages(ROOT)
        lines = ["| package | version | licence |", "| --- | --- | --- |"]
        lines += [f"| {name} | {version} | {licence} |" for name, version, licence in
                  (served if which == "served" else within)]  # fmt: skip
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.add_directive("javascript-packages", JavaScriptPackages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
