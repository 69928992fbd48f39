"""What answers a "Predict" box is folded with the answer: on a page made by hand, and on the built pages."""

import importlib
import sys
from pathlib import Path

from docutils import nodes
from docutils.utils import new_document

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "book" / "extensions"))
answers = importlib.import_module("answers")


def cell(name: str, hide_mode: str | None = None) -> nodes.container:
    """A code cell as MyST-NB makes it: source and output."""
    parts = [
        nodes.container("", nodes.Text(f"{name} {part}"), nb_element=f"cell_code_{part}")
        for part in ("source", "output")
    ]
    made = nodes.container("", *parts, nb_element="cell_code")
    if hide_mode:
        made["hide_mode"] = hide_mode
    return made


def page(*cells: nodes.container) -> tuple[nodes.section, nodes.container]:
    """A section with a cell, a question, these cells and the answer."""
    box = nodes.admonition("", nodes.title("", "Predict"), classes=["predict"])
    title, words = nodes.rubric("", "Answer"), nodes.paragraph("", "In words.")
    answer = nodes.container("", title, words, design_component="dropdown")
    section = nodes.section("", cell("before", "output"), box, *cells, answer)
    document = new_document("page")
    document += section
    answers.fold(None, document)
    return section, answer


def test_an_output_goes_into_the_fold_and_its_code_stays() -> None:
    section, answer = page(cell("a"), cell("b", "output"), cell("c", "output"))
    assert [part.astext() for part in answer] == ["Answer", "b output", "c output", "In words."]
    code = [part.astext().split() for part in section[2:-1]]
    assert code == [["a", "source", "a", "output"], ["b", "source"], ["c", "source"]]
    assert section[0].astext().split() == ["before", "source", "before", "output"]


def test_a_hidden_cell_goes_as_a_whole_with_its_code_folded() -> None:
    section, answer = page(cell("a", "all"), cell("b", "input"))
    assert [part.astext().split() for part in answer[1:-1]] == [["a", "source", "a", "output"]]
    assert answer[1]["hide_mode"] == "input"
    assert [part.get("hide_mode") for part in section[2:-1]] == ["input"]


def test_without_an_output_the_code_of_a_hidden_cell_is_the_answer() -> None:
    silent = cell("a", "output"), cell("b", "all")
    for one in silent:
        del one[1]
    _, answer = page(*silent)
    assert [part.astext() for part in answer] == ["Answer", "b source", "In words."]
    assert answer[1]["hide_mode"] is None


def asked(words: str, *choices: str, sentence: str = "Which?") -> tuple[str, nodes.container]:
    """What is wrong with a question and its answer, which begins in bold with `words`; and the answer."""
    box = nodes.admonition("", nodes.title("", "Predict"), nodes.paragraph("", sentence), classes=["predict"])
    if choices:
        items = [nodes.list_item("", nodes.paragraph("", one)) for one in choices]
        box += nodes.enumerated_list("", *items)
    begun = [nodes.Text(""), nodes.strong("", words)] if words else []
    said = nodes.paragraph("", "", *begun, nodes.Text(" In words."))
    answer = nodes.container("", nodes.rubric("", "Answer"), said, design_component="dropdown")
    return answers.fault(box, answer), answer


def test_an_answer_says_which_choice_is_right() -> None:
    fault, answer = asked("2.", "This", "That")
    assert fault == ""
    assert answer[1]["classes"] == ["right"]
    assert asked("46 %.", sentence="From 0 to 100 %.")[0] == ""


def test_what_cannot_become_buttons_is_told() -> None:
    assert "must begin" in asked("", "This", "That")[0]
    assert "from 1 to 2" in asked("3.", "This", "That")[0]
    assert "two to four" in asked("1.", "This")[0]
    assert "two to four" in asked("1.", *"abcde")[0]
    assert "choices are missing" in asked("1.")[0]
    assert "from 0 to 20" in asked("46.", sentence="From 0 to 20 pixels.")[0]
