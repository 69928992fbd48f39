"""What the head of a page says, on pages made by hand; tests/book/test_book.py looks at the built ones."""

import importlib
import sys
from pathlib import Path

import pytest
from docutils import nodes
from docutils.utils import new_document

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "book" / "extensions"))
heads = importlib.import_module("heads")
terms = importlib.import_module("terms")


def page(*paragraphs: str) -> nodes.document:
    made = new_document("page")
    made += [nodes.paragraph("", text) for text in paragraphs]
    return made


@pytest.mark.parametrize(
    "paragraphs, said",
    [
        (["Builds dmnet/a.py.", "One [HDQ19] is this. Two?"], "One is this. Two?"),
        (["x" * 150 + ".", "y" * 60 + "."], "x" * 150 + "."),  # the second does not fit
        (["You can", "do this;"], "You can do this"),
        (["Uses a folder.", "Cite He et al. [HDQ19]."], "Cite He et al."),
        ([], ""),
    ],
)
def test_a_page_is_described_by_its_first_sentences(paragraphs: list[str], said: str) -> None:
    assert heads.description(page(*paragraphs)) == said


def test_a_description_is_never_longer_than_is_shown() -> None:
    said = heads.description(page("word " * 100 + "end.", "More."))
    assert len(said) <= heads.LONGEST
    assert said.endswith("word…")


def test_reading_takes_time_for_words_and_for_figures_and_not_for_output() -> None:
    words = "word " * 1500
    assert heads.reading_minutes(page(words)) == 10
    more = page(words)
    more += [nodes.figure() for _ in range(4)] + [nodes.math_block() for _ in range(6)]
    assert heads.reading_minutes(more) == 20
    output = nodes.container("", nodes.paragraph("", words), nb_element="cell_code_output")
    more += output
    assert heads.reading_minutes(more) == 20


@pytest.mark.parametrize(
    "seconds, said",
    [(8, "less than a minute"), (58, "about a minute"), (65, "about a minute"), (100, "about 2 minutes"),
     (213.7, "about 4 minutes")],
)  # fmt: skip
def test_a_running_time_is_said_roundly(seconds: float, said: str) -> None:
    assert heads.in_words(seconds) == said


def test_a_term_is_found_in_any_number_and_not_inside_of_words() -> None:
    assert terms.pattern("gate").findall("Gates, a gate; delegated") == ["Gates", "gate"]
    assert terms.pattern("IoU, mIoU").findall("IoU and mIoU") == ["IoU", "mIoU"]
