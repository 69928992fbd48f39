"""The content security policy: what a page may run and load, and that a browser keeps to it."""

import base64
import hashlib
import re
import sys
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest
from browser import Site, Tab, open_tab
from playwright.sync_api import Browser, expect

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "extensions"))

import offline  # noqa: E402

HTML = ROOT / "_build" / "html"
PAGE = """<html><head><title>t</title><link rel="icon" href="data:,"></head><body>
<script>document.title = "a < b"</script>
<script type="application/json">{"a": "<script>"}</script>
<script src="own.js"></script>
<button onclick="document.title = &quot;clicked&quot;">b</button>
MORE</body></html>"""


class Reader(HTMLParser):
    """Reads policy, scripts and handlers of a page, another way than the extension."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.policies: list[str] = []
        self.scripts: list[str] = []
        self.handlers: list[str] = []
        self.hosts: list[str] = []  # that scripts and styles come from
        self.inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "meta" and found.get("http-equiv", "").lower() == "content-security-policy":
            assert not self.scripts and not self.inside  # nothing runs before it
            self.policies.append(found["content"])
        self.handlers += [value for name, value in found.items() if name.startswith("on")]
        kind = found.get("type", "text/javascript")
        self.inside = tag == "script" and "src" not in found and kind in ("text/javascript", "module")
        if self.inside:
            self.scripts.append("")
        if tag == "script" and found.get("src", "").startswith(("http", "//")):
            self.hosts.append(found["src"])

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.scripts[-1] += data

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def allowed(self) -> dict[str, list[str]]:
        (policy,) = self.policies
        return {name: sources for name, *sources in (part.split() for part in policy.split(";"))}


def digest(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def check(page: str, others: Sequence[str] = ()) -> Reader:
    """A page's policy allows its own scripts by their digests, and no others and no other host.

    `others` are handlers that it allows too.
    """
    reader = Reader(page)
    allowed = reader.allowed()
    digests = {digest(script) for script in (*reader.scripts, *reader.handlers, *others)}
    assert {one for one in allowed["script-src"] if one.startswith("'sha256-")} == digests
    assert ("'unsafe-hashes'" in allowed["script-src"]) == bool(reader.handlers)
    assert "'unsafe-inline'" not in allowed["script-src"]
    known = r"'(self|none|unsafe-(inline|hashes|eval)|wasm-unsafe-eval|sha256-[\w+/=]+)'|(file|blob|data):"
    assert [one for sources in allowed.values() for one in sources if not re.fullmatch(known, one)] == []
    assert reader.hosts == []
    return reader


def test_own_scripts_are_allowed_by_their_digests() -> None:
    reader = check(page := offline.with_policy(PAGE))
    assert reader.scripts == ['document.title = "a < b"']
    assert reader.handlers == ['document.title = "clicked"']
    assert offline.with_policy(page) == page


def test_a_changed_page_gets_another_policy() -> None:
    page = offline.with_policy(PAGE).replace("a < b", "a > b")
    with pytest.raises(AssertionError):
        check(page)
    check(offline.with_policy(page))


def test_every_page_of_the_book_has_a_policy() -> None:
    if not HTML.is_dir():
        pytest.skip("the book is not built: `make book` builds it")
    pages = [page for page in HTML.rglob("*.html") if "_static" not in page.parts]
    every = {one for page in pages for one in Reader(page.read_text("utf8")).handlers}
    for page in pages:
        text = page.read_text("utf8")
        if page != HTML / "index.html" or "<script" in text:  # it only sends on to the first page
            check(text, sorted(every) if page == HTML / "search.html" else ())
    assert len(pages) > 10


def test_the_search_finds_and_nothing_is_refused(visit: Callable[..., Tab]) -> None:
    """It reads the pages that it has found, with their handlers."""
    if not HTML.is_dir():
        pytest.skip("the book is not built: `make book` builds it")
    tab = visit("search.html?q=dynamic+filter")
    expect(tab.page.locator("#search-results p.search-summary")).to_contain_text("found")
    expect(tab.page.locator("#search-results p.context").nth(3)).to_be_visible()
    tab.page.wait_for_load_state("networkidle")
    assert tab.faults == []


@pytest.fixture
def opened(chromium: Browser, tmp_path: Path) -> Callable[[str], Tab]:
    """Opens `PAGE` with something more, put in after the policy was written."""

    def open_page(more: str) -> Tab:
        (tmp_path / "own.js").write_text("document.body.dataset.own = 'yes';")
        (tmp_path / "page.html").write_text(offline.with_policy(PAGE).replace("MORE", more))
        tab = open_tab(chromium, Site(tmp_path), "page.html", harmless=re.compile("nothing"))
        tab.page.wait_for_load_state("networkidle")
        return tab

    return open_page


def test_a_browser_runs_what_is_the_books(opened: Callable[[str], Tab]) -> None:
    tab = opened("")
    assert tab.page.title() == "a < b" and tab.page.get_attribute("body", "data-own") == "yes"
    tab.page.get_by_role("button").click()
    assert tab.page.title() == "clicked" and tab.faults == []


@pytest.mark.parametrize(
    "more",
    [
        "<script>document.title = 'bad'</script>",
        "<script src='http://other.test/bad.js'></script>",
        "<img src='missing.png' onerror=\"document.title = 'bad'\">",
        "<img src='http://other.test/spy.png'>",
        "<iframe src='http://other.test/'></iframe>",
        "<style>@import 'http://other.test/a.css';</style>",
    ],
    ids=["script", "foreign script", "handler", "foreign picture", "frame", "foreign style"],
)
def test_a_browser_refuses_what_was_put_in(more: str, opened: Callable[[str], Tab]) -> None:
    tab = opened(more)
    assert tab.page.title() == "a < b"
    assert any("Content Security Policy" in fault for fault in tab.faults)
    assert [fault for fault in tab.site.faults if "other.test" in fault] == []  # it was not even asked for
