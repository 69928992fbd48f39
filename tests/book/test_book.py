"""The built book: complete, described, self-contained, without an error in a browser."""

import copy
import functools
import gzip
import importlib
import json
import re
import sys
import tempfile
from collections.abc import Callable
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urlsplit

import onnx
import pytest
import yaml
from browser import Tab
from bs4 import BeautifulSoup

from dmnet.checkpoints import weights_digest
from dmnet.zoo import load_pretrained

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "extensions"))
heads = importlib.import_module("heads")

HTML = ROOT / "_build" / "html"
TEXTS = {".html", ".js", ".css", ".txt", ".md", ".ipynb", ".json", ".svg", ".mjs"}


def listed_pages() -> list[str]:
    """Return the pages of the table of contents, e.g. "book/welcome"."""
    return re.findall(r"book/[\w/]+", json.dumps(yaml.safe_load((ROOT / "_toc.yml").read_text())))


@functools.cache
def page(name: str) -> BeautifulSoup:
    return BeautifulSoup((HTML / f"{name}.html").read_text(encoding="utf8"), "html.parser")


@pytest.fixture(autouse=True, scope="module")
def built() -> None:
    if not HTML.is_dir():
        pytest.skip("the book is not built: `make book` builds it")


@pytest.mark.parametrize("name", listed_pages())
class TestPage:
    def test_it_was_built(self, name: str) -> None:
        assert (HTML / f"{name}.html").is_file()
        assert page(name).find("h1") is not None

    def test_it_asks_no_other_host(self, name: str) -> None:
        loading = page(name).select(
            "script[src], link[rel~=stylesheet], link[rel~=preload], img, iframe, source, video"
        )
        addresses = [str(tag.get("src") or tag.get("href")) for tag in loading]
        assert [one for one in addresses if urlsplit(one).netloc] == []
        scripts = " ".join(script.text for script in page(name).find_all("script"))
        assert "unpkg.com" not in scripts
        assert "cdn." not in scripts

    def test_its_links_lead_somewhere(self, name: str) -> None:
        assert [link for link in map(str, local_links(name)) if not leads_somewhere(name, link)] == []

    def test_every_picture_is_described(self, name: str) -> None:
        article = page(name).find("article")
        assert article is not None
        for picture in article.select("img"):
            description = str(picture.get("alt", "")).strip()
            assert description, f"no alt text: {picture.get('src')}"
            assert not description.startswith("../_images"), f"alt text is the file's name: {description}"
            figure = picture.find_parent("figure")
            caption = figure.find("figcaption") if figure else None
            assert caption is None or description not in caption.get_text()

    def test_every_figure_is_numbered_and_has_a_caption(self, name: str) -> None:
        for figure in page(name).select("article figure:has(img, svg.drawing)"):
            caption = figure.select_one("figcaption .caption-text")
            assert caption is not None
            assert caption.get_text().strip()
            assert figure.select_one("figcaption .caption-number") is not None

    def test_nothing_that_answers_stands_open_below_a_question(self, name: str) -> None:
        for box in page(name).select("article .admonition.predict"):
            after = box.find_next_siblings(True)
            folds = [place for place, tag in enumerate(after) if "sd-dropdown" in tag.get("class", "")]
            assert folds, f"no answer after: {box.get_text()[:60]}"
            shown = [
                tag for tag in after[: folds[0]] if tag.select_one(".cell_output > *")
            ]  # not: a removed stderr
            assert [tag.get_text()[:60] for tag in shown] == []

    def test_no_cell_shows_an_error(self, name: str) -> None:
        assert page(name).select(".cell_output .traceback, .output.traceback") == []

    def test_no_source_was_left_unrendered(self, name: str) -> None:
        article = copy.copy(page(name).find("article"))
        for code in article.select("pre, code, .math"):
            code.decompose()
        text = article.get_text()
        for mark in (":::", "```", "{numref}", "{eq}", "{cite", "{doc}", "%%{", "$$"):
            assert mark not in text


def local_links(name: str) -> list[str]:
    links = [unescape(str(link["href"])) for link in page(name).select("article a[href], nav a[href]")]
    return [link for link in links if not urlsplit(link).scheme and not urlsplit(link).netloc]


def leads_somewhere(name: str, link: str) -> bool:
    """Return whether the file is there, and the anchor in it."""
    parts = urlsplit(link)
    target = (HTML / name).parent / unquote(parts.path) if parts.path else HTML / f"{name}.html"
    if not target.exists():
        return False
    if not parts.fragment or target.suffix != ".html":
        return True
    return unquote(parts.fragment) in anchors(target.resolve())


@functools.cache
def anchors(target: Path) -> set[str]:
    """Return every id of a built page."""
    return set(map(unescape, re.findall(r'\bid="([^"]+)"', target.read_text(encoding="utf8"))))


def test_no_page_names_a_folder_of_the_machine_that_built_it() -> None:
    """Neither the repository's place nor the user's home nor the temporary folder, in any text."""
    places = [str(ROOT), f"{Path.home()}/", f"{tempfile.gettempdir()}/tmp"]
    texts = [path for path in HTML.rglob("*") if path.suffix in TEXTS]
    assert len(texts) > 50
    named = [
        f"{path.relative_to(HTML)}: {place}"
        for path in texts
        for place in places
        if re.search(rf"(?<![\w.]){re.escape(place)}", path.read_text(encoding="utf8", errors="replace"))
    ]
    assert named == []


@pytest.mark.parametrize("name", listed_pages())
def test_it_says_what_it_is(name: str) -> None:
    """A description of its own, no longer than is shown, and the picture for those who share it."""
    said = {
        str(tag.get("name") or tag.get("property")): str(tag["content"])
        for tag in page(name).select("head meta[content]")
    }
    assert 20 < len(said["description"]) <= 200
    others = [str(page(other).select_one("meta[name=description]")["content"]) for other in listed_pages()]
    assert others.count(said["description"]) == 1
    assert said["og:title"]
    picture = said["og:image"]
    assert urlsplit(picture).netloc or ((HTML / name).parent / picture).is_file()


def test_every_chapter_says_how_long_it_takes() -> None:
    chapters = [path.stem for path in (ROOT / "book").glob("*.ipynb")]
    seconds = heads.running_times()
    assert set(seconds) <= set(chapters)
    for name in chapters:
        head = page(f"book/{name}").select_one("h1 + .chapter-head")
        assert re.search(r"\d+ minutes to read", head.p.get_text())
        assert ("its cells run in" in head.p.get_text()) == (name in seconds)
        assert head.select("nav a[rel]")
        assert [
            link for link in head.select("nav a") if not leads_somewhere(f"book/{name}", str(link["href"]))
        ] == []


def test_style_sheets_ask_no_other_host() -> None:
    for path in HTML.rglob("*.css"):
        addresses = re.findall(
            r"url\(['\"]?([^'\")]+)|@import ['\"]([^'\"]+)", path.read_text(encoding="utf8")
        )
        assert [one for pair in addresses for one in pair if urlsplit(one).netloc] == [], path.name


def test_formulas_are_set_by_our_own_mathjax() -> None:
    with_formulas = [name for name in listed_pages() if page(name).select(".math")]
    for name in with_formulas:
        scripts = [str(script["src"]) for script in page(name).select("script[src]")]
        own = [one for one in scripts if "mathjax" in one]
        assert len(own) == 1, name
        assert ((HTML / name).parent / urlsplit(own[0]).path).is_file()


WEIGHT = """() => [performance.getEntriesByType("navigation")[0], ...performance.getEntriesByType("resource")]
  .map((one) => [one.name, one.decodedBodySize])"""


FONT_SIZES = """() => [...document.querySelectorAll("svg.drawing")].flatMap((one) => {
  const scale = one.getBoundingClientRect().width / one.viewBox.baseVal.width;
  if (!scale) return []; // in a fold
  return [...one.querySelectorAll("text")].filter((word) => /\\d/.test(word.textContent))
    .map((word) => [word.textContent, scale * parseFloat(getComputedStyle(word).fontSize)]);
})"""


@pytest.mark.parametrize("name", listed_pages())
def test_in_a_browser_without_a_network(name: str, visit: Callable[..., Tab]) -> None:
    """No word in the console, no failed request, none to another host; formulas set, widgets alive.

    And 2.5 MB at most, uncompressed: everything that is fetched until it is at rest, but for the playground.
    On a telephone it is not too wide, and digits, 0.72 of their font's size (Arial, DejaVu), 9 pixels high.
    """
    tab = visit(f"{name}.html")
    tab.settle()
    assert tab.faults == []
    assert tab.broken_formulas() == []
    assert tab.dead_widgets() == []
    fetched = [one for one in tab.page.evaluate(WEIGHT) if not re.search("/playground/|onnxruntime", one[0])]
    assert sum(size for _, size in fetched) <= 2.5e6, sorted(fetched, key=lambda one: -one[1])[:8]
    tab.page.set_viewport_size({"width": 390, "height": 844})
    tab.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    small = {word: round(size, 1) for word, size in tab.page.evaluate(FONT_SIZES) if 0.72 * size < 9}
    assert small == {}
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_every_script_that_is_served_has_its_licence_on_a_page() -> None:
    """The tables of the licences page against package.json and the lock file."""
    wanted = json.loads((ROOT / "package.json").read_text())["dependencies"]
    tables = page("book/licences").select("section#javascript-that-is-served-with-the-book table")
    served, within = (
        [[cell.get_text() for cell in row.select("td")] for row in t.select("tbody tr")] for t in tables
    )
    assert {name: version for name, version, _ in served} == wanted
    assert all(licence in ("MIT", "BSD-3-Clause", "Apache-2.0") for *_, licence in served)
    lock = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    locked = {
        path.rpartition("node_modules/")[2] for path, one in lock.items() if path and not one.get("dev")
    }
    assert {name for name, *_ in served + within} == locked
    texts = (HTML / "_static" / "third_party_licences.txt").read_text(encoding="utf8")
    assert [name for name in locked if f"{name} " not in texts] == []


def test_the_playgrounds_networks_are_served_as_onnx() -> None:
    """Made by the build from the committed weights; what the page loads is the network of the package."""
    for name, most in (("demo_scale", 1e6), ("demo_context", 1e6), ("street", 4e6)):
        packed = (HTML / "_static" / "playground" / f"{name}.onnx.gz").read_bytes()
        assert len(packed) <= most
        network = onnx.load_model_from_string(gzip.decompress(packed))
        facts = {entry.key: json.loads(entry.value) for entry in network.metadata_props}
        assert facts["system"] == name
        assert facts["weights_sha256"] == weights_digest(load_pretrained(name).state_dict())


PAGE_OF_FAULTS = """
<link rel=icon href=data:><script src='https://a.example/a.js'></script>
<img src='http://b.example/b.png'><img src='missing.png'>
<script>
  console.log("a word"); setTimeout(() => Promise.reject("late"));
  fetch("https://c.example/c").catch(() => 0);
  throw new Error("broken")
</script>
<article><span class=math>unset</span></article>
<div><script type="application/vnd.jupyter.widget-view+json">{"model_id": "lifeless"}</script></div>
"""


def test_the_browser_would_tell(visit: Callable[..., Tab], tmp_path: Path) -> None:
    """The check above is not blind: it reports all that can go wrong."""
    (tmp_path / "page.html").write_text(PAGE_OF_FAULTS)
    tab = visit("page.html", tmp_path)
    tab.settle(seconds=1)
    for fault in (
        "403 a.example:443",
        "failed: https://a.example/a.js",
        "403 http://b.example/b.png",
        "404 /missing.png",
        "403 c.example:443",
        "console log: a word",
        "exception: broken",
        "exception: late",
    ):
        assert any(fault in one for one in tab.faults), (fault, tab.faults)
    assert tab.broken_formulas() == ["unset"]
    assert tab.dead_widgets() == ["lifeless"]
