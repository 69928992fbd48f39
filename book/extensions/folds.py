"""Sphinx extension: folded code says what it is and how long.

A fold's title is `code_prompt_show` of the cell's metadata where there is one. Else it is read off the code:
its first comment, the functions it defines, or that it draws the figure below.
"""

import ast
import re
from html import escape
from typing import Any

from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode
from sphinx.application import Sphinx

UNNAMED = "Show code cell {type}"  # MyST-NB's own
COMMAND = re.compile(r"^(\s*)[%!].*$", re.MULTILINE)  # of IPython


def title(source: str, gives: str = "") -> str:
    """Return what a folded cell holds, in a few words; what it gives is shown below it."""
    lines = source.strip().splitlines()
    size = f"{len(lines)} lines" if len(lines) != 1 else "1 line"
    return f"Code, {size}: {subject(source, lines[0], gives)}"


def subject(source: str, first: str, gives: str) -> str:
    """Return what the code does."""
    if first.startswith("# "):
        return first.removeprefix("# ")
    body = ast.parse(COMMAND.sub(r"\1pass", source)).body
    if any(isinstance(part, ast.Try) and holds_import(part) for part in body):
        return "finds the package, or installs it"
    if gives in ("figure", "table"):
        return f"makes the {gives} below"
    defined = [part.name for part in body if isinstance(part, ast.FunctionDef | ast.ClassDef)]
    if defined:
        return f"defines {listed(defined)}" + (", and prints what stands below" if gives else "")
    if gives:
        return "prints what stands below"
    if any(map(holds_import, body)):
        return "imports and set-up"
    targets = [target for part in body if isinstance(part, ast.Assign) for target in part.targets]
    names = [one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)]
    return f"sets {listed(names)}" if names else "checks"


def listed(names: list[str]) -> str:
    """Return the first three names, once each."""
    once = [name for name in dict.fromkeys(names) if name != "_"]
    return ", ".join(once[:3]) + (" and more" if len(once) > 3 else "")


def outcome(cell: nodes.Element) -> str:
    """Return what the reader sees of a cell beside its code: "figure", "table", "output" or nothing."""
    if "figure" in cell.get("cell_metadata", {}).get("mystnb", {}):
        return "figure"
    outputs = [part for part in cell if part.get("nb_element") == "cell_code_output"]
    tables = [raw for part in outputs for raw in part.findall(nodes.raw) if "<table" in raw.astext()]
    return "table" if tables else "output" if outputs else ""


def holds_import(part: ast.AST) -> bool:
    """Return whether a statement imports something."""
    return any(isinstance(one, ast.Import | ast.ImportFrom) for one in ast.walk(part))


def name_folds(app: Sphinx, document: nodes.document) -> None:
    """Give each folded cell of a page its title.

    What a cell says on `stderr` is removed, and leaves an output without content. There is one where scenes
    were drawn for the first time, with a bar of progress, and none in the next build: it goes.
    """
    for part in list(document.findall(nodes.container)):
        if part.get("nb_element") == "cell_code_output" and not part.children:
            part.parent.remove(part)
    for cell in document.findall(nodes.container):
        if not cell.get("hide_mode") or cell.get("prompt_show") != UNNAMED:
            continue
        code = [part for part in cell if part.get("nb_element") == "cell_code_source"]
        if cell["hide_mode"] == "output":
            cell["prompt_show"] = "What it gives"
        elif code:
            cell["prompt_show"] = title(code[0].astext(), outcome(cell))


def visit(self: Any, node: HideCodeCellNode) -> None:
    """Open a fold: one title, and no other name for those who hear it."""
    classes = " ".join(["admonition", "hide", *node["classes"]])
    name = escape(node["prompt_show"])
    self.body.append(
        f'<details class="{classes}">\n<summary><span class="code-title">{name}</span></summary>\n'
    )


def depart(self: Any, node: HideCodeCellNode) -> None:
    """Close it."""
    self.body.append("</details>\n")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("doctree-read", name_folds, priority=400)  # before `answers` moves them
    app.connect(
        "builder-inited", lambda app: app.add_node(HideCodeCellNode, override=True, html=(visit, depart))
    )
    return {"parallel_read_safe": True, "parallel_write_safe": True}
