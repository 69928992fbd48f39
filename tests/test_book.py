"""The built book: complete, described, self-contained, without an error in a browser."""

import copy
import functools
import http.server
import json
import re
import shutil
import subprocess
import threading
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[1]
HTML = ROOT / "_build" / "html"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


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
        for figure in page(name).select("article figure:has(img)"):
            caption = figure.select_one("figcaption .caption-text")
            assert caption is not None
            assert caption.get_text().strip()
            assert figure.select_one("figcaption .caption-number") is not None

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


class Site(http.server.ThreadingHTTPServer):
    """Serves a folder on loopback, and is the proxy through which the browser asks every other host."""

    def __init__(self, folder: Path) -> None:
        self.faults: list[str] = []  # requests to other hosts, and for files that are not there
        super().__init__(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.SimpleHTTPRequestHandler):
    server: Site

    def do_CONNECT(self) -> None:
        self.send_error(403)

    def do_GET(self) -> None:
        if self.path.startswith("http://"):
            self.send_error(403)
        else:
            super().do_GET()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        self.server.faults.append(f"{code} {self.path}")
        super().send_error(code, message, explain)

    def log_message(self, format: str, *args: object) -> None:
        pass


needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="needs the Chromium browser (Debian: apt install chromium)"
)
# What the theme and the toggle buttons tell the console when all is well.
HARMLESS = re.compile(r'CONSOLE[^"]*"\[(PST|togglebutton)\]')
# What the browser itself asks for at its start, whatever the page.
ITS_OWN = re.compile(r"\b(clients2|accounts)\.google\.com|\bupdate\.googleapis\.com")


def browse(folder: Path, page: str, profile: Path) -> tuple[BeautifulSoup, list[str]]:
    """Open a page of a served folder in a browser; return what it shows, and all that went wrong."""
    with Site(folder) as site:
        command = [
            str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-default-apps", "--disable-extensions", "--disable-domain-reliability",
            f"--user-data-dir={profile}", "--enable-logging=stderr", "--virtual-time-budget=15000",
            f"--proxy-server={site.address}", "--dump-dom", f"{site.address}/{page}.html",
        ]  # fmt: skip
        run = subprocess.run(command, capture_output=True, text=True, timeout=120)
        site.shutdown()
    assert run.returncode == 0, run.stderr[-2000:]
    console = [line for line in run.stderr.splitlines() if "CONSOLE" in line and not HARMLESS.search(line)]
    faults = [fault for fault in site.faults if not ITS_OWN.search(fault)]
    return BeautifulSoup(run.stdout, "html.parser"), console + faults


@needs_chromium
@pytest.mark.parametrize("name", listed_pages())
def test_in_a_browser_without_a_network(name: str, tmp_path: Path) -> None:
    """No error in the console, no request to another host or for a missing file, formulas typeset."""
    shown, faults = browse(HTML, name, tmp_path)
    assert faults == []
    formulas = shown.select("article .math")
    assert [one.get_text()[:60] for one in formulas if one.select_one("mjx-container") is None] == []
    assert shown.select("mjx-merror, [data-mjx-error]") == []


@needs_chromium
def test_the_browser_would_tell(tmp_path: Path) -> None:
    """The check above is not blind: other hosts, a missing file and an exception are reported."""
    (tmp_path / "page.html").write_text(
        "<link rel=icon href=data:><script src='https://a.example/a.js'></script>"
        "<img src='http://b.example/b.png'><img src='missing.png'><script>throw new Error('broken')</script>"
    )
    _, faults = browse(tmp_path, "page", tmp_path / "profile")
    for fault in ("403 a.example:443", "403 http://b.example/b.png", "404 /missing.png", "broken"):
        assert any(fault in one for one in faults)
