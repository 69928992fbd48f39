"""A server on this machine that breaks off, lies, hangs and changes its mind, for tests of downloads."""

import random
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

CONTENT = random.Random(0).randbytes(600_000)


class Server(ThreadingHTTPServer):
    """Serves `content` at every path; `script` says how to answer the next requests, then all goes well.

    An answer is a status code, "cut" (half of what was asked for), an integer in a tuple (cut after so many
    bytes), "hang" (half, then silence), "whole" (Range is ignored), "whole cut", "elsewhere" (wrong
    offset), or a function that is called and says which of these.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.etag: str | None = '"1"'
        self.script: list[object] = []
        self.requests: list[dict[str, str]] = []
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/weights.bin"

    def ranges(self) -> list[str | None]:
        return [headers.get("Range") for headers in self.requests]

    def handle_error(self, *args: object) -> None:
        """Clients hang up here on purpose."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        server = self.server
        server.requests.append(dict(self.headers))
        answer = server.script.pop(0) if server.script else "well"
        if callable(answer):
            answer = answer()
        if isinstance(answer, int):
            return self.refuse(answer)
        start = self.wanted_start() if "whole" not in str(answer) else 0
        if start >= len(server.content):
            return self.refuse(416)
        self.head(start, shift=1 if answer == "elsewhere" else 0)
        rest = server.content[start:]
        cut = answer[0] if isinstance(answer, tuple) else len(rest) // 2
        if answer == "hang":
            self.wfile.write(rest[:cut])
            server.released.wait(20)
            self.close_connection = True
        elif isinstance(answer, tuple) or "cut" in answer:
            self.wfile.write(rest[:cut])
            self.close_connection = True
        else:
            self.wfile.write(rest)

    def wanted_start(self) -> int:
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        unchanged = self.headers.get("If-Range", self.server.etag) == self.server.etag
        return int(match[1]) if match and unchanged else 0

    def head(self, start: int, shift: int) -> None:
        size = len(self.server.content)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(size - start))
        if start:
            self.send_header("Content-Range", f"bytes {start + shift}-{size - 1}/{size}")
        if self.server.etag:
            self.send_header("ETag", self.server.etag)
        self.end_headers()

    def refuse(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    server = Server()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def server(running: Server) -> Iterator[Server]:
    running.content, running.etag, running.script, running.requests = CONTENT, '"1"', [], []
    running.released.clear()
    yield running
    running.released.set()
