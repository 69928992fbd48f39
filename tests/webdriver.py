"""Browsers that Playwright cannot drive as Linux packages them: Firefox and WebKitGTK, without a window.

Both speak WebDriver: WebKit over HTTP, through WebKitWebDriver and on a screen of its own (Xvfb); Firefox
over a socket, in the form called Marionette that is built into every Firefox. (Selenium would need
geckodriver, which Debian does not have.)

```python
site = Site(folder, RECORDER)
with start("firefox", tmp_path, site) as browser:
    browser.visit(f"{site.address}/book/welcome.html")
    assert browser.script("return document.title")
    assert browser.faults() == []
```
"""

import base64
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import find_browser
from browser import HARMLESS, Site

# What WebDriver calls a command over a socket, and where it lies over HTTP.
PATHS = {
    "NewSession": ("POST", "/session"),
    "DeleteSession": ("DELETE", ""),
    "Navigate": ("POST", "/url"),
    "ExecuteAsyncScript": ("POST", "/execute/async"),
    "FindElement": ("POST", "/element"),
    "ElementClick": ("POST", "/element/{id}/click"),
    "ElementSendKeys": ("POST", "/element/{id}/value"),
    "PerformActions": ("POST", "/actions"),
    "SetWindowRect": ("POST", "/window/rect"),
    "TakeScreenshot": ("GET", "/screenshot"),
}
KEYS = {"Space": " ", "Tab": "\ue004", "End": "\ue010", "Enter": "\ue007", "ArrowRight": "\ue014"}
# Firefox: nothing of its own accord, and any free port.
SETTINGS = {
    "app.update.disabledForTesting": True,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "marionette.port": 0,
    "messaging-system.rsexperimentloader.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,none",
}
# Neither browser tells the driver what a page says in its console, so the page keeps it.
RECORDER = """<script>{
    window.spoken = [];
    for (const kind of ["warn", "error"]) {
        const before = console[kind];
        console[kind] = (...words) => { spoken.push(words.join(" ")); before(...words); };
    }
    const failed = ({ message, target }) => spoken.push(message ?? `failed: ${target.src ?? target.href}`);
    addEventListener("error", failed, true);
    addEventListener("unhandledrejection", ({ reason }) => spoken.push(`rejected: ${reason}`));
}</script>"""
STANDS = """
    const frame = () => new Promise((go) => requestAnimationFrame(go));
    const place = () => JSON.stringify(document.querySelector(values[0]).getBoundingClientRect());
    for (let before = "", still = 0; still < 5; still = before === place() ? still + 1 : 0) {
        before = place();
        await frame();
    }
"""
ITS_OWN = re.compile(r"(\.mozilla\.(com|net|org)|\.googleapis\.com):443$")  # what Firefox asks by itself


class Refused(Exception):
    """The browser could not do what it was asked."""


class Link(Protocol):
    def ask(self, command: str, **values: Any) -> Any: ...

    def close(self) -> None: ...


class Socket:
    """Firefox's Marionette: `length:[0, number, command, values]`, and `[1, number, error, result]` back."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=120)
        self.file = self.socket.makefile("rb")
        self.number = 0
        self.receive()  # it greets

    def close(self) -> None:
        self.file.close()
        self.socket.close()

    def receive(self) -> Any:
        length = b""
        while not length.endswith(b":"):
            byte = self.file.read(1)
            if not byte:
                raise Refused("the browser has hung up")
            length += byte
        return json.loads(self.file.read(int(length[:-1])))

    def ask(self, command: str, **values: Any) -> Any:
        self.number += 1
        message = json.dumps([0, self.number, f"WebDriver:{command}", values]).encode()
        self.socket.sendall(b"%d:%b" % (len(message), message))
        _, _, error, result = self.receive()
        if error:
            raise Refused(f"{command}: {error['message']}")
        return result.get("value", result)


class Http:
    """A WebDriver over HTTP."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.session = ""
        socket.create_connection(("127.0.0.1", port)).close()  # is it there already?

    def ask(self, command: str, **values: Any) -> Any:
        method, path = PATHS[command]
        target = self.session + path.format(**values)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.request(method, target, json.dumps(values) if method == "POST" else None)
        value = json.load(connection.getresponse())["value"]
        connection.close()
        if isinstance(value, dict) and "error" in value:
            raise Refused(f"{command}: {value}")
        if command == "NewSession":
            self.session = f"/session/{value['sessionId']}"
        return value

    def close(self) -> None:
        pass  # there is one connection for each question


@dataclass
class Remote:
    """A browser with one page open."""

    link: Link
    name: str  # firefox or webkit
    site: Site  # with the RECORDER in its pages

    def visit(self, address: str) -> None:
        """Open a page."""
        self.link.ask("Navigate", url=address)

    def script(self, script: str, *values: Any) -> Any:
        """Return what an async JavaScript function of that body returns; its arguments are `values`."""
        wrapped = """const [body, values, done] = arguments;
            const act = new (Object.getPrototypeOf(async function () {}).constructor)("values", body);
            act(values).then((value) => done({ value }), (error) => done({ error: `${error}` }));"""
        answer = self.link.ask("ExecuteAsyncScript", script=wrapped, args=[script, values])
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["value"]

    def wait(self, condition: str, seconds: float = 20) -> None:
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + seconds
        while not self.script(f"return Boolean({condition})"):
            if time.monotonic() > end:
                raise TimeoutError(f"{condition} in {self.name}")
            time.sleep(0.05)

    def click(self, selector: str) -> None:
        """Click an element as soon as it stands still: a page that scrolls takes it from under the mouse."""
        self.script(STANDS, selector)
        self.link.ask("ElementClick", id=self.find(selector))

    def type(self, selector: str, text: str) -> None:
        """Type into an element; a path, into one that asks for a file."""
        self.link.ask("ElementSendKeys", id=self.find(selector), text=text)

    def press(self, *names: str) -> None:
        """Press keys, on whatever has the focus."""
        keys = [KEYS.get(name, name) for name in names]
        strokes = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.link.ask("PerformActions", actions=[{"type": "key", "id": "keys", "actions": strokes}])

    def find(self, selector: str) -> str:
        element = self.link.ask("FindElement", using="css selector", value=selector)
        return str(next(iter(element.values())))

    def screenshot(self) -> bytes:
        values = {"full": False} if self.name == "firefox" else {}
        return base64.b64decode(self.link.ask("TakeScreenshot", **values))

    def faults(self) -> list[str]:
        """Return warnings, errors and exceptions of the page, failed requests, requests to other hosts."""
        spoken: list[str] = self.script("return window.spoken")
        every = [one for one in spoken if not HARMLESS.search(one)] + self.site.faults
        return [one for one in every if not ITS_OWN.search(one)]


@contextmanager
def start(name: str, folder: Path, site: Site, *, dark: bool = False) -> Iterator[Remote]:
    """Start a browser that keeps its files in `folder` and asks every other host through `site`."""
    log = folder / "log.txt"
    with processes(log) as run:
        link = STARTS[name](run, folder, site, dark)
        link.ask("SetWindowRect", x=0, y=0, width=1280, height=1000)
        yield Remote(link, name, site)
        with suppress(Refused, OSError):
            link.ask("DeleteSession")
        link.close()


@contextmanager
def processes(log: Path) -> Iterator[Callable[..., None]]:
    """Run commands whose words go to a file; end them, and what they have started, at the end."""
    running: list[subprocess.Popen[bytes]] = []
    with log.open("ab") as output:

        def run(*command: object, **options: Any) -> None:
            options = {"stdout": output, "stderr": output, "start_new_session": True, **options}
            running.append(subprocess.Popen([str(one) for one in command], **options))

        try:
            yield run
        finally:
            for process in reversed(running):
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
                process.wait(20)


def start_firefox(run: Callable[..., None], folder: Path, site: Site, dark: bool) -> Link:
    profile = folder / "profile"
    profile.mkdir()
    host, port = site.server_address[:2]
    settings = {**SETTINGS, "ui.systemUsesDarkTheme": int(dark), "network.proxy.type": 1}
    for kind in ("http", "ssl"):
        settings |= {f"network.proxy.{kind}": host, f"network.proxy.{kind}_port": port}
    lines = [f"user_pref({json.dumps(key)}, {json.dumps(value)});\n" for key, value in settings.items()]
    (profile / "user.js").write_text("".join(lines))
    run(find_browser.find_firefox(), "--headless", "--no-remote", "--marionette", "--profile", profile)
    chosen = profile / "MarionetteActivePort"
    link: Link = patiently(lambda: Socket(int(chosen.read_text())))
    link.ask("NewSession")
    return link


def start_webkit(run: Callable[..., None], folder: Path, site: Site, dark: bool) -> Link:
    reading, writing = os.pipe()  # the X server chooses a number of its own and says which
    run("Xvfb", "-displayfd", writing, "-screen", "0", "1400x1200x24", "-nolisten", "tcp", pass_fds=[writing])
    os.close(writing)
    with os.fdopen(reading) as pipe:
        display = f":{pipe.readline().strip()}"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    theme = "Adwaita:dark" if dark else "Adwaita"
    environment = {
        **os.environ,
        "DISPLAY": display,
        "GDK_BACKEND": "x11",
        "GTK_THEME": theme,
        "NO_AT_BRIDGE": "1",
    }
    run("WebKitWebDriver", f"--port={port}", env=environment)
    link: Link = patiently(lambda: Http(port))
    proxy = site.address.removeprefix("http://")
    wanted = {
        "proxy": {"proxyType": "manual", "httpProxy": proxy, "sslProxy": proxy},
        "webkitgtk:browserOptions": {"binary": find_browser.find_webkit(), "args": ["--automation"]},
    }
    link.ask("NewSession", capabilities={"alwaysMatch": wanted})
    return link


STARTS = {"firefox": start_firefox, "webkit": start_webkit}


def patiently(connect: Callable[[], Any], seconds: float = 30) -> Any:
    """Return a connection to a browser that is still starting."""
    end = time.monotonic() + seconds
    while True:
        try:
            return connect()
        except (OSError, ValueError):
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
