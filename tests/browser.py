"""A real browser for the tests: headless Chromium, driven by Playwright, which sees all that goes wrong.

```python
def test_the_page(visit):
    tab = visit("book/welcome.html")      # the built book, on a server of its own
    tab.page.get_by_role("button").click()
    assert tab.faults == []
```
"""

import functools
import gzip
import http.server
import re
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright, Response, TimeoutError

# What the theme, the toggle buttons and Jupyter's widgets (of their JSON schema) say when all is well.
HARMLESS = re.compile(r"^\[(PST|togglebutton)\]|^strict mode: use allowUnionTypes")
# What the browser itself asks for, at its start and for fields that it could fill in.
ITS_OWN = re.compile(r"\b(clients2|accounts)\.google\.com|\b(update|content-autofill)\.googleapis\.com")
# The console lacks an error without an exception: that of a ResizeObserver which changes what it observes.
UNTOLD = "addEventListener('error', ({ message, error }) => error || console.error(message))"
COMPRESSED = {".html", ".js", ".mjs", ".css", ".json", ".svg"}  # by a host of pages
OPTIONS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-default-apps", "--disable-extensions",
    "--disable-domain-reliability",
    "--use-fake-device-for-media-stream",  # a moving test picture instead of the machine's camera
]  # fmt: skip


def live_figures() -> dict[str, list[str]]:
    """Return the live figures of each chapter that has some, by the names that its cells give them."""
    pages = sorted((Path(__file__).resolve().parents[1] / "book").glob("*.ipynb"))
    found = {one.stem: re.findall(r'LiveFigure\(\\"(\w+)\\"', one.read_text("utf8")) for one in pages}
    return {page: names for page, names in found.items() if names}


def launch(playwright: Playwright, executable: str) -> Browser:
    """Start the browser, without a window and without what it does of its own accord."""
    return playwright.chromium.launch(executable_path=executable, headless=True, args=OPTIONS)


class Site(http.server.ThreadingHTTPServer):
    """Serves a folder on loopback, and is the proxy through which the browser asks every other host."""

    daemon_threads = True

    def __init__(self, folder: Path, head: str = "", *, compress: bool = False) -> None:
        self.faults: list[str] = []  # requests to other hosts, and for files that are not there
        self.head = head.encode()  # is put at the start of every page
        self.compress = compress  # texts, as a host of pages does
        super().__init__(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class Handler(http.server.SimpleHTTPRequestHandler):
    server: Site
    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript"}  # noqa: RUF012

    def do_CONNECT(self) -> None:
        self.send_error(403)

    def do_GET(self) -> None:
        # The browser asks the proxy for our own pages too.
        self.path = self.path.removeprefix(self.server.address)
        if not self.path.startswith("/"):
            self.send_error(403)
        else:
            file = Path(self.translate_path(self.path))
            page = self.server.head != b"" and file.suffix == ".html"
            packed = self.server.compress and file.suffix in COMPRESSED
            if (page or packed) and file.is_file():
                self.send_changed(file, page, packed)
            else:
                super().do_GET()

    def send_changed(self, file: Path, page: bool, packed: bool) -> None:
        body, kind = file.read_bytes(), self.guess_type(file)
        if page:
            body = body.replace(b"<head>", b"<head>" + self.server.head, 1)
        self.send_response(200)
        self.send_header("Content-Type", f"{kind}; charset=utf-8" if kind == "text/html" else kind)
        if packed:
            body = gzip.compress(body)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_CONNECT

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        self.server.faults.append(f"{code} {self.path}")
        super().send_error(code, message, explain)

    def log_message(self, format: str, *args: object) -> None:
        pass


@dataclass
class Tab:
    """An open page, and what went wrong in it so far."""

    page: Page
    site: Site
    seen: list[str] = field(default_factory=list)  # by the browser

    @property
    def faults(self) -> list[str]:
        """Messages of the console, exceptions, failed requests, requests to other hosts."""
        return self.seen + [fault for fault in self.site.faults if not ITS_OWN.search(fault)]

    def settle(self, seconds: float = 20) -> None:
        """Wait until nothing is fetched any more, formulas are set and widgets are drawn; but not longer."""
        self.page.wait_for_load_state("networkidle")
        self.page.evaluate("async () => { await window.MathJax?.startup?.promise; }")
        with suppress(TimeoutError):  # the caller asks for the dead ones
            self.page.wait_for_function(f"() => ({DEAD_WIDGETS})().length === 0", timeout=1000 * seconds)

    def broken_formulas(self) -> list[str]:
        """Return the formulas that were not set, or with an error."""
        return self.page.evaluate(
            """() => [...document.querySelectorAll("article .math")]
                .filter((one) => !one.querySelector("mjx-container"))
                .concat(...document.querySelectorAll("mjx-merror, [data-mjx-error]"))
                .map((one) => one.textContent.slice(0, 60))"""
        )

    def dead_widgets(self) -> list[str]:
        """Return the ids of widgets that are announced in the page, but not drawn."""
        return self.page.evaluate(DEAD_WIDGETS)


DEAD_WIDGETS = """() =>
    [...document.querySelectorAll('script[type="application/vnd.jupyter.widget-view+json"]')]
        .filter((one) => !one.parentElement.querySelector(".widget-subarea > *"))
        .map((one) => JSON.parse(one.textContent).model_id)"""


def open_tab(
    browser: Browser, site: Site, path: str, *, harmless: re.Pattern[str] = HARMLESS, **options: Any
) -> Tab:
    """Open a page of a site, or of another server by its whole address, in a context of its own.

    That other server is asked past the proxy. `harmless` is what the page may say in the console; `options`
    are Playwright's, e.g. viewport.
    """
    address = urljoin(f"{site.address}/", path)
    proxy: Any = {"server": site.address}
    if not address.startswith(site.address):
        proxy["bypass"] = urlsplit(address).netloc
    context = browser.new_context(proxy=proxy, **options)
    tab = Tab(context.new_page(), site)

    def console(message: ConsoleMessage) -> None:
        if not harmless.match(message.text):
            tab.seen.append(f"console {message.type}: {message.text}")

    def response(answer: Response) -> None:
        if answer.status >= 400:
            tab.seen.append(f"{answer.status} {answer.url}")

    context.on("console", console)
    context.on("weberror", lambda error: tab.seen.append(f"exception: {error.error}"))
    context.on("requestfailed", lambda request: tab.seen.append(f"failed: {request.url} {request.failure}"))
    context.on("response", response)
    context.add_init_script(UNTOLD)
    tab.page.goto(address, wait_until="load")
    return tab
