"""Downloads from a server on this machine that breaks off, lies, hangs and changes its mind."""

# ruff: noqa: F811 (fixtures that come from another file are arguments too)

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback import CONTENT, Handler, Server, running, server  # noqa: F401

from dmnet import download as module
from dmnet.download import download, sha256_of
from dmnet.errors import DownloadError

DIGEST = hashlib.sha256(CONTENT).hexdigest()
MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for the next attempt."""
    monkeypatch.setattr(module, "BACKOFF", 0)
    monkeypatch.setattr(module, "TIMEOUT", 0.5)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "downloads" / "weights.bin"


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


# Getting there -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "digest", [None, DIGEST, DIGEST[:8], DIGEST[:8].upper(), f"sha256:{DIGEST}", MD5, MD5.upper()]
)
def test_fetches_the_file_and_leaves_nothing_else(server: Server, target: Path, digest: str | None) -> None:
    assert download(server.url, target, digest) == target
    assert target.read_bytes() == CONTENT
    assert visible(target.parent) == ["weights.bin"]


def test_a_file_that_is_there_is_not_fetched_again(server: Server, target: Path) -> None:
    download(server.url, target, DIGEST)
    download(server.url, target, DIGEST)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "script",
    [
        ["cut"],
        ["cut", "cut", "cut"],
        ["whole cut", "whole"],
        ["cut", "whole"],  # resumes, but is sent everything
        [503, 429],
        ["hang"],
        ["cut", 503, (0,)],
        ["cut", "elsewhere"],
        ["cut", 416],
    ],
    ids=str,
)
def test_gets_there_in_spite_of(script: list[object], server: Server, target: Path) -> None:
    server.script = list(script)
    download(server.url, target, DIGEST)
    assert target.read_bytes() == CONTENT
    assert visible(target.parent) == ["weights.bin"]


def test_resumes_where_it_broke_off(server: Server, target: Path) -> None:
    server.script = ["cut"]
    download(server.url, target, DIGEST)
    first, second = server.ranges()
    assert first is None and second is not None
    kept = int(second.removeprefix("bytes=").removesuffix("-"))
    assert len(CONTENT) // 2 - module.CHUNK <= kept <= len(CONTENT) // 2
    assert server.requests[1]["If-Range"] == '"1"'


@settings(max_examples=25)
@given(st.lists(st.integers(0, len(CONTENT) - 1), max_size=3), st.booleans(), st.booleans())
def test_any_cuts_give_the_same_file(running: Server, cuts: list[int], ranges: bool, etag: bool) -> None:
    running.etag, running.content = '"1"' if etag else None, CONTENT
    running.script = [(cut,) for cut in cuts] + ([] if ranges else ["whole"])
    with tempfile.TemporaryDirectory() as folder:
        path = download(running.url, Path(folder) / "file", DIGEST)
        assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(("before", "after"), [('"1"', '"2"'), (None, None), ('W/"1"', 'W/"1"')])
def test_a_file_that_changes_between_attempts_is_not_mixed(
    before: str | None, after: str | None, server: Server, target: Path
) -> None:
    def change() -> str:
        server.content, server.etag = CONTENT[::-1], after
        return "well"

    server.etag, server.script = before, ["cut", change]
    assert download(server.url, target).read_bytes() == CONTENT[::-1]


def test_a_shorter_file_in_place_of_a_part_starts_anew(server: Server, target: Path) -> None:
    server.script = ["cut"] * 4
    with pytest.raises(DownloadError):
        download(server.url, target)
    server.content, server.etag = CONTENT[:1000], '"2"'
    assert download(server.url, target).read_bytes() == CONTENT[:1000]


def test_a_complete_part_needs_no_more_bytes(server: Server, target: Path) -> None:
    target.parent.mkdir()
    part = target.with_name("weights.bin.part")
    part.write_bytes(CONTENT)
    note = {"url": server.url, "validator": '"1"', "size": len(CONTENT)}
    part.with_name("weights.bin.part.json").write_text(json.dumps(note))
    download(server.url, target, DIGEST)
    assert target.read_bytes() == CONTENT
    assert server.requests == []


def test_bytes_of_unknown_origin_are_not_resumed(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.with_name("weights.bin.part").write_bytes(b"who wrote this?")
    download(server.url, target)
    assert target.read_bytes() == CONTENT


# Giving up -----------------------------------------------------------------------------------------------


def test_always_cut_gives_up_and_keeps_what_came(server: Server, target: Path) -> None:
    server.script = ["cut"] * 4
    with pytest.raises(DownloadError, match=r"4 attempts.*bytes are kept"):
        download(server.url, target, DIGEST)
    assert not target.exists()
    assert 0 < target.with_name("weights.bin.part").stat().st_size < len(CONTENT)
    assert download(server.url, target, DIGEST).read_bytes() == CONTENT


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_refusal_is_final(status: int, server: Server, target: Path) -> None:
    server.script = [status]
    with pytest.raises(DownloadError, match=f"{re.escape(server.url)}.*answered {status}"):
        download(server.url, target)
    assert len(server.requests) == 1
    assert not target.exists()


def test_nobody_listens(target: Path) -> None:
    with pytest.raises(DownloadError, match="could not be fetched in 4 attempts") as caught:
        download("http://127.0.0.1:9/weights.bin", target)
    assert "kept" not in str(caught.value)


@pytest.mark.parametrize(("digest", "name"), [(DIGEST[:8], "SHA-256"), (MD5, "MD5")])
def test_a_wrong_file_is_refused_and_removed(digest: str, name: str, server: Server, target: Path) -> None:
    server.content = CONTENT[::-1]
    with pytest.raises(
        DownloadError, match=f"the {name} {digest.removeprefix('md5:')} is published"
    ) as caught:
        download(server.url, target, digest)
    found = hashlib.md5 if name == "MD5" else hashlib.sha256
    assert found(server.content).hexdigest() in str(caught.value)
    assert visible(target.parent) == []
    assert len(server.requests) == 1


def test_a_wrong_file_that_was_there_is_refused_but_kept(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(b"something else")
    with pytest.raises(DownloadError, match=rf"Move {re.escape(str(target))} away"):
        download(server.url, target, DIGEST)
    assert target.read_bytes() == b"something else"


@pytest.mark.parametrize(
    "url",
    ["http://example.org/x", "ftp://127.0.0.1/x", "file:///etc/hosts", "http://127.0.0.1.example.org/x", "x"],
)
def test_unsafe_addresses_are_refused(url: str, target: Path) -> None:
    with pytest.raises(DownloadError, match="refused"):
        download(url, target)


def test_a_redirection_to_an_unsafe_address_is_refused(
    server: Server, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOPBACK", {"127.0.0.1"})
    plain = server.url.replace("127.0.0.1", "localhost")  # stands for a host elsewhere

    def redirect(handler: Handler) -> None:
        handler.send_response(302)
        handler.send_header("Location", plain)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    original = Handler.do_GET
    monkeypatch.setattr(
        Handler, "do_GET", lambda self: redirect(self) if "moved" in self.path else original(self)
    )
    with pytest.raises(DownloadError, match=r"localhost.*refused"):
        download(server.url.replace("weights", "moved"), target)
    assert not target.exists()


@pytest.mark.parametrize(
    "digest",
    ["", "abc", "g" * 8, "0" * 65, "md5:", MD5[:-1], MD5 + "0", "sha1:" + "0" * 40, "md5:sha256:" + DIGEST],
)
def test_a_digest_must_be_one(digest: str, target: Path) -> None:
    with pytest.raises(ValueError, match="hexadecimal"):
        download("https://example.org/x", target, digest)


# Full disks, killed and concurrent processes -------------------------------------------------------------


def test_a_disk_that_is_too_small_is_noticed_first(
    server: Server, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = module.shutil._ntuple_diskusage(10, 9, 1)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DownloadError, match=r"disk is full.*600,000 bytes.*DMNET_HOME"):
        download(server.url, target)
    assert not target.exists()


def in_another_process(url: str, target: Path, before: str = "") -> subprocess.Popen[str]:
    code = f"{before}\nfrom dmnet.download import download\ndownload({url!r}, {str(target)!r}, {DIGEST!r})"
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(os.name != "posix", reason="limits of the file size are a thing of POSIX")
def test_a_disk_that_fills_up_is_a_clear_error(server: Server, target: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))"
    _, errors = in_another_process(server.url, target, before=limit).communicate(timeout=60)
    assert "DownloadError: the disk is full" in errors
    assert download(server.url, target, DIGEST).read_bytes() == CONTENT
    assert server.ranges()[1] == "bytes=200000-"


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is a thing of POSIX")
def test_a_killed_download_is_resumed(server: Server, target: Path) -> None:
    server.script = ["hang"]
    process = in_another_process(server.url, target)
    part = target.with_name("weights.bin.part")
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size >= 200_000):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    kept = part.stat().st_size
    assert download(server.url, target, DIGEST).read_bytes() == CONTENT
    assert server.ranges() == [None, f"bytes={kept}-"]


@pytest.mark.parametrize("note", ["", "{", "[]", '{"url": 1}'])
def test_a_note_that_a_killed_process_left_half_written(note: str, server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.with_name("weights.bin.part").write_bytes(CONTENT[:1000])
    target.with_name("weights.bin.part.json").write_text(note)
    assert download(server.url, target, DIGEST).read_bytes() == CONTENT
    assert server.ranges() == [None]
    assert visible(target.parent) == ["weights.bin"]


def test_two_processes_fetch_a_file_once(server: Server, target: Path) -> None:
    server.script = ["hang"]
    processes = [in_another_process(server.url, target) for _ in range(2)]
    while not server.requests:
        time.sleep(0.02)
    time.sleep(1)  # time for the second to get in the way
    server.released.set()
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert target.read_bytes() == CONTENT
    assert len(server.requests) == 2  # broken off by the hang, resumed by the same process
    assert server.ranges()[1] is not None


def test_sha256_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert sha256_of(tmp_path / "empty").startswith("e3b0c44298fc1c14")
