"""Sphinx extension: what answers a "Predict" box is in one fold with the answer.

A notebook has the question, then the cells that answer it, then a dropdown "Answer" in words. Of the cells
between, those tagged `hide-cell` go into the dropdown with their code, folded once more if there is an output
to be seen; of those tagged `hide-output` the output alone does: the code stays, as part of the question.
"""

from docutils import nodes
from sphinx.application import Sphinx


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
        answer[1:1] = [part for part in parts if part.children]  # below the title


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
