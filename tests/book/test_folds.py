"""Folded code has a title that says what it is."""

import importlib
import sys
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from docutils import nodes
from docutils.utils import new_document

ROOT = Path(__file__).resolve().parents[2]
HTML = ROOT / "_build" / "html"
sys.path.insert(0, str(ROOT / "book" / "extensions"))
folds = importlib.import_module("folds")


@pytest.mark.parametrize(
    ("source", "gives", "words"),
    [
        ("# Recorded outputs\nx = 1", "", "Code, 2 lines: Recorded outputs"),
        ("try:\n    import a\nexcept ImportError:\n    %pip install a", "", "Code, 4 lines: finds"),
        ("import a\nx = 1", "", "Code, 2 lines: imports and set-up"),
        ("import a\ndef f(): ...\nclass B: ...", "", "Code, 3 lines: defines f, B"),
        ("def f(): ...\nf()", "output", "Code, 2 lines: defines f, and prints what stands below"),
        ("def f(): ...\nf()", "figure", "Code, 2 lines: makes the figure below"),
        ("a, _ = b = 1, 2\nc = d = 1", "", "Code, 2 lines: sets a, b, c and more"),
        ("assert x", "", "Code, 1 line: checks"),
        ("x", "table", "Code, 1 line: makes the table below"),
    ],
)  # fmt: skip
def test_titles(source: str, gives: str, words: str) -> None:
    assert folds.title(source, gives).startswith(words)


def cell(hide_mode: str, prompt: str) -> nodes.container:
    source = nodes.container("", nodes.Text("x = 1"), nb_element="cell_code_source")
    output = nodes.container("", nodes.raw("", "<table></table>"), nb_element="cell_code_output")
    return nodes.container("", source, output, hide_mode=hide_mode, prompt_show=prompt, cell_metadata={})


def test_a_title_of_the_cells_own_is_kept() -> None:
    page = new_document("page")
    page += [cell("input", folds.UNNAMED), cell("output", folds.UNNAMED), cell("input", "Reads the table")]
    folds.name_folds(None, page)
    titles = [one["prompt_show"] for one in page]
    assert titles == ["Code, 1 line: makes the table below", "What it gives", "Reads the table"]


def test_an_output_of_which_nothing_is_shown_goes() -> None:
    silent = cell("input", folds.UNNAMED)
    silent[1].clear()
    page = new_document("page")
    page += silent
    folds.name_folds(None, page)
    assert silent["prompt_show"] == "Code, 1 line: sets x"
    assert [part["nb_element"] for part in silent] == ["cell_code_source"]


def test_the_built_pages() -> None:
    if not HTML.is_dir():
        pytest.skip("the book is not built: `make book` builds it")
    titles = []
    for path in sorted((HTML / "book").glob("*.html")):
        soup = BeautifulSoup(path.read_text(encoding="utf8"), "html.parser")
        for fold in soup.select("details.hide"):
            assert "aria-label" not in fold.summary.attrs  # what is heard is what is read
            titles.append(fold.summary.get_text(strip=True))
        assert [one for one in soup.select(".cell_output") if not one.find(True)] == []
    assert len(titles) > 50
    assert [title for title in titles if not title or "code cell" in title] == []
