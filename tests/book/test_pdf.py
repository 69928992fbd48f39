"""The PDF edition: pages joined, links led inside, answers at the end, pages in the table of contents."""

import importlib
import sys
from collections import Counter
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "book" / "extensions")]
make_pdf = importlib.import_module("make_pdf")
pdf_edition = importlib.import_module("pdf_edition")

PAGE = """<html><head><link rel=stylesheet href="../_static/a.css?v=1"></head>
<body><article class="bd-article">
<section id="one"><h1>1. One<a class=headerlink href="#one">#</a></h1>
<section id="first"><h2>1.1. First</h2><p>See <a href="two.html#one">two</a>,
<a href="api.html#x">the reference</a>,
<a href="#one">above</a> and <a href="https://example.org/">elsewhere</a>.</p></section>
<div class="cell tag_hide-input"><details class="hide above-input"><summary>Show</summary>
<div class=cell_input>folded code</div></details>
<div class=cell_output><img src="../_images/a.png" alt="a picture"></div></div>
<div class="cell"><details class="hide above-input"><summary>Show</summary>
<div class=cell_input>all</div></details></div>
<svg><defs><clipPath id="c"></clipPath></defs><g clip-path="url(#c)">
<image href="../_images/b.webp"></image></g></svg>
<div class="predict admonition"><p>Predict</p><p>What is it?</p></div>
<details class="sd-dropdown"><summary>Answer</summary><div>It is this.</div></details>
<details class="sd-dropdown"><summary>More</summary><div>A remark.</div></details>
<div class="exercise admonition" id="ex"><p>Exercise</p></div>
<div class="solution dropdown admonition"><p>Solution to <a href="#ex">exercise</a></p></div>
</section></article></body></html>"""


@pytest.fixture
def joined(tmp_path: Path) -> BeautifulSoup:
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "one.html").write_text(PAGE)
    (tmp_path / "book" / "two.html").write_text(PAGE.replace("One", "Two").replace('"two.html', '"one.html'))
    book = make_pdf.Joined(tmp_path, ["book/one", "book/two"])
    book.write(tmp_path / "joined.html", {"one": 3, "two--first": 8, "answers": 9})
    return BeautifulSoup((tmp_path / "joined.html").read_text(), "html.parser")


def test_every_place_has_a_name_of_its_own_and_links_lead_to_it(joined: BeautifulSoup) -> None:
    names = Counter(str(tag["id"]) for tag in joined.select("[id]"))
    assert [name for name, count in names.items() if count > 1] == []
    inside = [str(link["href"]) for link in joined.select("a[href^='#']")]
    assert [link for link in inside if link[1:] not in names] == []
    assert {"#two--one", "#one--one"} <= set(inside)
    assert joined.select_one("a[href='https://example.org/']")
    reference = next(tag for tag in joined.select("p a") if tag.text == "the reference")
    assert reference.get("href") is None
    assert {str(tag["clip-path"]) for tag in joined.select("g")} == {"url(#one--c)", "url(#two--c)"}


def test_answers_and_solutions_stand_at_the_end(joined: BeautifulSoup) -> None:
    article = joined.select_one("article")
    text = article.get_text(" ", strip=True)
    before, after = text.rsplit("Answers and solutions", 1)
    assert before.count("What is it?") == 2
    assert "It is this." not in before
    assert "Solution to" not in before
    assert after.count("It is this.") == after.count("Solution to") == 2
    assert before.count("A remark.") == 2
    targets = joined.select("a[id*='--answer-']")  # no page ends between one and its box's first line
    assert [one.find_next_sibling(string=True) or one.find_next_sibling().text for one in targets] == [
        "What is it?", "Solution to ", "What is it?", "Solution to "
    ]  # fmt: skip
    assert all(one.parent.name == "p" for one in targets)


def test_folded_code_is_left_out_and_its_output_is_not(joined: BeautifulSoup) -> None:
    assert "folded" not in joined.get_text()
    assert [str(one["alt"]) for one in joined.select(".cell_output img")] == ["a picture"] * 2
    assert str(joined.select_one(".cell_output img")["src"]).startswith("file://")
    assert str(joined.select_one("svg image")["href"]).endswith("/_images/b.webp")
    assert joined.select("div.cell:not(:has(.cell_output))") == []


def test_contents_say_the_page(joined: BeautifulSoup) -> None:
    lines = {str(one["href"]): str(one["data-page"]) for one in joined.select(".contents a")}
    assert lines == {"#one": "3", "#one--first": "", "#two": "", "#two--first": "8", "#answers": "9"}


def test_page_numbers_are_read_off_what_chromium_prints(chromium: Browser) -> None:
    names = ["one", "two--a.b", "", "three"]  # a place on each page but the third
    links = "".join(f'<a href="#{name}">to it</a> ' for name in names if name)
    sheets = [f'<div style="break-before: page"><h1 id="{name}">here</h1></div>' for name in names]
    page = chromium.new_page()
    page.set_content(links + "".join(sheets))
    numbers = make_pdf.page_numbers(page.pdf())
    page.close()
    assert numbers == {"one": 2, "two--a.b": 3, "three": 5}


def test_an_edition_of_another_text_is_not_offered(tmp_path: Path) -> None:
    folder, text = tmp_path / "pdf", tmp_path / "book" / "a.md"
    folder.mkdir()
    text.parent.mkdir()
    text.write_text("one")
    assert pdf_edition.printed(folder, tmp_path) is None
    (folder / pdf_edition.NAME).write_bytes(b"%PDF")
    (folder / "made_from.txt").write_text(pdf_edition.digest(tmp_path, pdf_edition.TEXT))
    assert pdf_edition.printed(folder, tmp_path) == folder / pdf_edition.NAME
    text.write_text("two")
    assert pdf_edition.printed(folder, tmp_path) is None
