"""Sphinx extension: what answers a "Predict" box is in one fold with the answer.

A notebook has the question, then the cells that answer it, then a dropdown "Answer" in words. Of the cells
between, those tagged `hide-cell` go into the dropdown with their code, folded once more if there is an output
to be seen; of those tagged `hide-output` the output alone does: the code stays, as part of the question.

The question ends with what the reader may guess: two to four numbered choices, or "From 0 to 100 %." alone in
a paragraph. The answer in words begins with the choice's number, or the value, in bold: that makes buttons or
a slider of them (`guesses.js`), and is read as it stands where there is no script, and on paper.
"""

import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

RANGE = re.compile(r"From (\d+) to (\d+)( .+)?\.")
LOGGER = logging.getLogger(__name__)


def is_answer(node: nodes.Element) -> bool:
    """Whether this is a dropdown with the title "Answer"."""
    return node.get("design_component") == "dropdown" and node[0].astext() == "Answer"


def question(node: nodes.Node) -> bool:
    """Whether this is a "Predict" box."""
    return isinstance(node, nodes.Element) and "predict" in node["classes"]


def fold(app: Sphinx | None, document: nodes.document) -> None:
    """Move into each answer what belongs to it."""
    for answer in [node for node in document.findall(nodes.container) if is_answer(node)]:
        around = answer.parent
        before = around[: around.index(answer)]
        asked = [place for place, node in enumerate(before) if question(node)]
        cells = before[asked[-1] :] if asked else []
        parts = [into_fold(cell) for cell in cells if cell.get("hide_mode", "input") != "input"]
        if asked and (wrong := fault(before[asked[-1]], answer)):
            LOGGER.warning(f"a Predict box: {wrong}", location=before[asked[-1]])
        answer[1:1] = [part for part in parts if part.children]  # below the title


def fault(box: nodes.Element, answer: nodes.Element) -> str:
    """Mark which guess the answer in words says is right; return what is missing for that, or nothing."""
    words = next(iter(answer.findall(nodes.paragraph)), nodes.paragraph())
    first = next((part for part in words if part.astext()), None)
    number = re.match(r"\d+", first.astext()) if isinstance(first, nodes.strong) else None
    choices = [one for one in box if isinstance(one, nodes.enumerated_list)]
    limits = RANGE.fullmatch(box[-1].astext().replace("\n", " "))
    if choices:
        low, high = 1, len(choices[-1])
        if len(choices) > 1 or not 2 <= high <= 4 or any(choices[0].findall(nodes.math)):
            return "one numbered list of two to four choices, without formulas, can become buttons"
    elif limits:
        low, high = int(limits[1]), int(limits[2])
    else:
        return 'the choices are missing: a numbered list, or "From 0 to 100 %." alone in a paragraph'
    if not number or not low <= int(number.group()) <= high:
        return f"the answer must begin with which it is, in bold, from {low} to {high}"
    words["classes"].append("right")
    return ""


def into_fold(cell: nodes.Element) -> nodes.Element:
    """Take a cell out of the page, or its output out of the cell."""
    hidden = cell["hide_mode"]
    outputs = [child for child in cell if child.get("nb_element") == "cell_code_output"]
    cell["hide_mode"] = None if hidden == "output" or not outputs else "input"
    if hidden == "all":
        cell.parent.remove(cell)
        return cell
    part = nodes.container(nb_element="cell_code", classes=["cell"])
    for output in outputs:
        cell.remove(output)
        part += output
    return part


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("doctree-read", fold)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
