"""Figures are drawings in the page's colours, legible on a telephone, opened by keys; pages are light."""

import importlib
import io
import re
import sys
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from browser import Tab
from bs4 import BeautifulSoup
from docutils import nodes
from docutils.utils import new_document
from matplotlib.figure import Figure
from playwright.sync_api import expect

from dmnet import book, plots
from dmnet.playground import LiveFigure, bundle

ROOT = Path(__file__).resolve().parents[2]
HTML = ROOT / "_build" / "html"
sys.path.insert(0, str(ROOT / "book" / "extensions"))
drawings = importlib.import_module("drawings")
light = importlib.import_module("light")
PAGES = sorted(f"book/{path.stem}" for path in (ROOT / "book").glob("*.ipynb"))

built = pytest.mark.skipif(not HTML.is_dir(), reason="the book is not built: `make book` builds it")
Visit = Callable[..., Tab]


@cache
def page(name: str) -> BeautifulSoup:
    return BeautifulSoup((HTML / f"{name}.html").read_text(encoding="utf8"), "html.parser")


def chart() -> str:
    """A chart as matplotlib writes it: lines, hatched bars, a legend, a small picture, words on it."""
    with mpl.rc_context(book.FIGURES):
        figure = Figure(figsize=(4, 3))
        axis = figure.subplots()
        axis.plot([1, 2, 3], "o-", label="loss & mIoU")
        axis.text(1, 2, "on a picture", color="black")
        axis.imshow(np.arange(18, dtype=np.uint8).reshape(2, 3, 3), extent=(0, 1, 0, 1))
        axis.barh([1, 2], [1, 2], hatch="//")
        axis.legend()
        figure.savefig(file := io.StringIO(), format="svg", metadata={"Date": None})
    return file.getvalue()


class TestInline:
    def test_the_sheet_is_gone_and_the_ink_is_the_pages(self) -> None:
        before, after = chart(), drawings.inline(chart(), 3)
        assert "#ffffff" in before
        assert "#ffffff" not in after
        assert book.INK in before
        assert book.INK not in after
        assert "var(--figure-ink)" in after
        assert f"var(--figure-{drawings.COLOURS[plots.SCALES[7]]})" in after
        assert "loss &amp; mIoU" in after
        assert "font-family" not in after

    def test_what_lies_on_a_picture_stays_black(self) -> None:
        words = BeautifulSoup(drawings.inline(chart(), 3), "html.parser").find("text", string="on a picture")
        assert words is not None
        assert "fill" not in str(words)  # which is black

    def test_every_reference_is_found_and_has_the_figures_number(self) -> None:
        after = drawings.inline(chart(), 3)
        ids = re.findall(r'\bid="([^"]+)"', after)
        references = re.findall(r'(?:url\(|href=")#([^")]+)', after)
        assert set(references) == set(ids)
        assert all(one.startswith("figure-3-") for one in ids)

    def test_neither_date_nor_version_nor_place(self) -> None:
        assert chart() == chart()
        after = drawings.inline(chart(), 1)
        assert "atplotlib" not in after
        assert re.search(r"\d{4}-\d{2}-\d{2}T", after) is None

    def test_many_dots_share_one_style(self) -> None:
        with mpl.rc_context(book.FIGURES):
            figure = Figure(figsize=(2, 2))
            figure.subplots().scatter(np.arange(500) / 7, np.arange(500) / 7)
            figure.savefig(file := io.StringIO(), format="svg")
        after = drawings.inline(file.getvalue(), 1)
        dots = BeautifulSoup(after, "html.parser").select("g > use:not([style])")
        assert len(dots) == 500
        assert "fill: var(--figure-blue)" in str(dots[0].parent)[:100]
        assert len(after) < 40_000

    def test_a_small_picture_stands_in_place_and_a_large_one_beside(self, tmp_path: Path) -> None:
        assert 'href="data:image/webp;base64,' in drawings.inline(chart(), 1, tmp_path, "images")
        assert list(tmp_path.iterdir()) == []
        noise = np.random.default_rng(0).integers(0, 255, (90, 90, 3), dtype=np.uint8)
        with mpl.rc_context(book.FIGURES):
            figure = Figure(figsize=(1, 1))
            figure.subplots().imshow(noise)
            figure.savefig(file := io.StringIO(), format="svg")
        found = re.findall(r'href="images/([^"]+)"', drawings.inline(file.getvalue(), 1, tmp_path, "images"))
        assert [one.name for one in tmp_path.iterdir()] == found


def test_the_still_of_a_live_figure_is_a_drawing(tmp_path: Path) -> None:
    """In the page's colours, for print and where no script runs; the data stay."""
    with mpl.rc_context(book.FIGURES):
        figure = plt.figure(figsize=(2, 2))
        figure.subplots().set_title("a & b")
        html = LiveFigure("digits", {"k": 3}, figure, 'A "still" & more')._repr_mimebundle_()[0]["text/html"]
    doctree = new_document("page")
    doctree += nodes.raw("", html, format="html")
    builder = SimpleNamespace(format="html", imagedir="_images")
    app = SimpleNamespace(builder=builder, outdir=tmp_path, srcdir=tmp_path)
    drawings.put_in_place(app, doctree, "book/page")
    (raw,) = doctree.findall(nodes.raw)
    assert raw["format"] == "html"
    place = BeautifulSoup(raw.astext(), "html.parser").select_one("[data-dmnet-live=digits]")
    assert place is not None and place.img is None and place.script is not None
    assert place.script.string == '{"k":3}'
    svg = place.select_one(".drawing-box > svg.drawing")
    assert svg is not None and svg["aria-label"] == 'A "still" & more'
    assert "a & b" in svg.get_text() and "var(--figure-ink)" in str(svg) and "#ffffff" not in str(svg)


def test_code_has_marks_only_where_they_show() -> None:
    sheet = """html[data-theme="light"] .highlight pre { line-height: 125%; }
html[data-theme="light"] .highlight { background: #fff; color: #080808 }
html[data-theme="light"] .highlight .n { color: #080808 } /* Name */
html[data-theme="light"] .highlight .k { color: #6730C5 } /* Keyword */
html[data-theme="light"] .highlight .p { color: #080808; font-weight: bold }
html[data-theme="light"] .highlight .nx { color: #080808 }
html[data-theme="dark"] .highlight { background: #111; color: #eee }
html[data-theme="dark"] .highlight .n { color: #eee }
html[data-theme="dark"] .highlight .nx { color: #ddd }"""
    plain = light.plain_tokens(sheet)
    assert {"n", "w"} <= plain and plain.isdisjoint({"k", "p", "nx"})
    code = '<span class="k">if</span><span class="w"> </span><span class="n">a</span><span class="p">:</span>'
    assert light.without(plain, code) == '<span class="k">if</span> a<span class="p">:</span>'


def test_the_palette_is_one() -> None:
    """Charts, the pages' style sheet and the live figures have the colours of `dmnet.plots`."""
    ours = [*plots.SCALES.values(), *plots.KINDS.values()]
    assert sorted(book.CYCLE) == sorted(ours)
    sheet = (ROOT / "book" / "assets" / "custom.css").read_text(encoding="utf8")
    for colour in ours:
        assert f"--figure-{drawings.COLOURS[colour]}: {colour};" in sheet
        assert f": {colour};" in bundle.style("live")
    sources = [*(ROOT / "book").glob("*.ipynb"), *(ROOT / "dmnet").rglob("frontend/*")]
    again = [
        (file.name, colour) for file in sources for colour in ours if colour in file.read_text("utf8").lower()
    ]
    assert again == []


@built
@pytest.mark.parametrize("name", PAGES)
class TestPage:
    def test_the_cells_figures_are_drawings_with_words(self, name: str) -> None:
        article = page(name).find("article")
        assert article is not None
        found = article.select("svg.drawing")
        assert all(one["role"] == "img" and len(str(one["aria-label"])) > 20 for one in found)
        for image in article.select(".cell_output img:not([data-dmnet-live] *):not(noscript *)"):
            assert not str(image["src"]).endswith(".svg"), "a drawing that is not inlined has no dark colours"

    def test_no_drawing_has_a_sheet_of_its_own(self, name: str) -> None:
        for one in page(name).select("svg.drawing"):
            _, _, width, height = map(float, str(one["viewbox"]).split())
            for path in one.select("path[style*='fill: #f']"):
                corners = re.findall(r"[ML] ([\d.]+) ([\d.]+)", str(path["d"]))
                across = {axis: [float(corner[axis]) for corner in corners] for axis in (0, 1)}
                size = [max(values, default=0) - min(values, default=0) for values in across.values()]
                assert size[0] < 0.95 * width or size[1] < 0.95 * height, "a light sheet on a dark page"

    def test_ids_in_drawings_are_unique(self, name: str) -> None:
        counted = Counter(str(one["id"]) for one in page(name).select("[id]"))
        inside = {str(one["id"]) for one in page(name).select("svg.drawing [id]")}
        assert [one for one in inside if counted[one] > 1] == []


@built
def test_a_figure_opens_large_by_keys_and_gives_the_focus_back(visit: Visit) -> None:
    tab = visit("book/01_scale.html")
    button = tab.page.locator("button.enlarge").first
    before = tab.page.locator("svg.drawing").first.bounding_box()
    button.focus()
    tab.page.keyboard.press("Enter")
    dialog = tab.page.locator("dialog.enlarged")
    large = dialog.locator("svg.drawing").bounding_box()
    assert before
    assert large
    assert large["width"] > 1.5 * before["width"]
    ids = tab.page.evaluate("[...document.querySelectorAll('svg.drawing [id]')].map((one) => one.id)")
    assert len(ids) == len(set(ids))
    tab.page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(button).to_be_focused()
    tab.page.locator("svg.drawing").first.click()
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_have_count(0)
    assert tab.faults == []
