"""Tables as the pages show them: those that pandas wrote, those of a chapter, and on the built pages."""

import importlib
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from docutils import nodes
from docutils.core import publish_doctree
from docutils.utils import new_document

ROOT = Path(__file__).resolve().parents[2]
HTML = ROOT / "_build" / "html"
sys.path.insert(0, str(ROOT / "book" / "extensions"))
tables = importlib.import_module("tables")


def mended(table: pd.DataFrame) -> BeautifulSoup:
    return BeautifulSoup(tables.mend(table._repr_html_()), "html.parser")


def rows(soup: BeautifulSoup, where: str) -> list[list[str]]:
    return [
        [cell.get_text(strip=True) for cell in row.select("th, td")] for row in soup.select(f"{where} tr")
    ]


def test_the_name_of_the_index_shares_a_row_with_the_columns() -> None:
    table = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}, pd.Index(["p", "q"], name="label"))
    soup = mended(table)
    assert rows(soup, "thead") == [["label", "a", "b"]]
    assert rows(soup, "tbody") == [["p", "1", "x"], ["q", "2", "y"]]
    assert soup.select("style") == []


def test_two_levels_of_columns_stay_two_rows() -> None:
    columns = pd.MultiIndex.from_product([["u", "v"], [1, 2]], names=["world", "k"])
    table = pd.DataFrame(np.arange(8).reshape(2, 4), pd.Index([6, 50000], name="seed"), columns)
    soup = mended(table)
    assert rows(soup, "thead") == [["world", "u", "v"], ["seed", "1", "2", "1", "2"]]
    assert rows(soup, "tbody")[1] == ["50,000", "4", "5", "6", "7"]


def test_two_levels_of_rows_keep_their_names() -> None:
    index = pd.MultiIndex.from_product([["u", "v"], [1, 2]], names=["world", "k"])
    soup = mended(pd.DataFrame({"miou": [0.5, 1, 2, 3]}, index))
    assert rows(soup, "thead") == [["world", "k", "miou"]]


def test_a_head_that_says_something_is_left_alone() -> None:
    columns = pd.MultiIndex.from_tuples([("u", ""), ("u", "b")])
    soup = mended(pd.DataFrame([[1, 2]], columns=columns))
    assert rows(soup, "thead") == [["", "u"], ["", "", "b"]]
    assert soup.select("thead th:empty") == []  # those without words are plain cells


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("NaN", "–"), ("<NA>", "–"), ("None", "–"), ("123456", "123,456"), ("-98765", "-98,765"),
        ("1234567.25", "1,234,567.25"), ("2012", "2012"), ("0.123456", "0.123456"),
        ("ssseg_12345", "ssseg_12345"),
    ],
)  # fmt: skip
def test_values(value: str, shown: str) -> None:
    assert tables.legible(value) == shown


def test_numbers_stand_on_the_right_under_their_head() -> None:
    soup = mended(pd.DataFrame({"n": [1.5, None], "share": ["62 %", "7 %"], "name": ["1.", "one"]}))
    right = [[cell.get_text() for cell in row.select(".number")] for row in soup.select("tr")]
    assert right == [["n", "share"], ["1.5", "62 %"], ["–", "7 %"]]


def test_a_table_is_in_a_box_that_the_keyboard_reaches() -> None:
    (box,) = mended(pd.DataFrame({"a": [1]})).select(".table-box > div:has(> table.dataframe)")
    assert (box["tabindex"], box["role"], box["aria-label"]) == ("0", "region", "Table: a")


def test_a_table_of_a_chapter_is_in_a_box_with_its_caption() -> None:
    source = ".. table:: Sizes\n\n   ==== ====\n   name size\n   ==== ====\n   a    1\n   ==== ====\n"
    document = publish_doctree(source)
    tables.resolve(SimpleNamespace(builder=SimpleNamespace(format="html")), document, "page")
    before, table, after = document.children
    assert 'aria-label="Table: name, size"' in before.astext()
    assert isinstance(table, nodes.table)
    assert table.next_node(nodes.title).astext() == "Sizes"
    opened = f"{before.astext()}{after.astext()}"
    assert opened.count("<div") == opened.count("</div>") == 2


def test_other_builders_keep_their_tables() -> None:
    document = new_document("page")
    document += nodes.table()
    tables.resolve(SimpleNamespace(builder=SimpleNamespace(format="latex")), document, "page")
    assert [type(part) for part in document] == [nodes.table]


def test_the_built_pages() -> None:
    """No empty row in a head, no missing value by name, no long count without commas, all in boxes."""
    if not HTML.is_dir():
        pytest.skip("the book is not built: `make book` builds it")
    seen = 0
    for path in sorted((HTML / "book").glob("*.html")):
        soup = BeautifulSoup(path.read_text(encoding="utf8"), "html.parser")
        for table in soup.select("article table:not(.indextable)"):
            seen += 1
            assert table.find_parent(class_="table-box"), (path.name, table.get_text()[:60])
            heads = rows(table, "thead")
            assert [head for head in heads if len(heads) > 1 and sum(map(bool, head)) < 2] == [], path.name
            for text in (cell.get_text(strip=True) for cell in table.select("td")):
                assert text not in tables.MISSING, path.name
                assert not re.fullmatch(r"\d{5,}(\.\d+)?", text), (path.name, text)
    assert seen > 20
