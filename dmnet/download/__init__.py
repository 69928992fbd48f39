"""Fetch a file over a network that breaks, and accept it only if it is the right one.

The files have 0.2 to 11 GB, so a broken download goes on where it broke off; pooch would begin it anew. Of
some, only an MD5 is published: it protects against damage, and against a network that puts another file in
place, but not against whoever packed the file [Wang and Yu, EUROCRYPT 2005].
"""

import errno
import hashlib
import json
import os
import re
import shutil
import time
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from filelock import FileLock

from dmnet.errors import DownloadError
from dmnet.files import progress

ATTEMPTS = 4
BACKOFF = 1.0  # seconds before the second attempt; then 3 and 7 times as long
TIMEOUT = 30.0  # seconds without a byte after which a connection counts as broken
CHUNK = 1 << 16  # bytes; what a broken connection loses at most
BUSY = {408, 425, 429, 500, 502, 503, 504}  # HTTP: the server asks to come again
DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
DIGEST = re.compile(r"(sha256:)?[0-9a-f]{8,64}|md5:[0-9a-f]{32}", re.IGNORECASE)
LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def download(url: str, path: str | os.PathLike[str], digest: str | None = None) -> Path:
    """Fetch `url` into the file `path`, unless a good copy is already there. Used in {doc}`04_dmnet`.

    What arrives is kept in `<path>.part` until it is complete and right; an interrupted download, even a
    killed one, goes on from there next time. Of two processes, the second waits and finds the file.

    Args:
        url: https, or http from this machine.
        path: where the file goes; missing folders are made.
        digest: the SHA-256, or at least its first eight hexadecimal digits, or "md5:" and a whole MD5.

    Raises:
        DownloadError: if the address is refused, the file cannot be fetched, the disk is full, or the digest
            is not the expected one. A wrong download is removed, a wrong file that was at `path` isn't.
    """
    if digest is not None and not DIGEST.fullmatch(digest):
        raise ValueError(f"a digest is 8 to 64 hexadecimal digits, or md5: and 32, got {digest!r}")
    algorithm, _, digits = (digest or "").lower().rpartition(":")
    _require_safe(url)
    target = Path(path)
    if target.is_file():
        _verify(target, url, algorithm, digits, f"Move {target} away and it is fetched again.")
        return target
    part, note = (target.with_name(target.name + suffix) for suffix in (".part", ".part.json"))
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_name(f".{target.name}.lock")):
        if not target.is_file():  # nobody else was faster
            _fetch_patiently(url, part, note)
            note.unlink()
            try:
                _verify(part, url, algorithm, digits, "The download was removed; try again later.")
            except DownloadError:
                part.unlink()
                raise
            part.replace(target)
    return target


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits. Used in {doc}`12_zoo`."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _verify(path: Path, url: str, algorithm: str, digits: str, remedy: str) -> None:
    """Raise unless `path` is the file that `url` stands for, as far as the digest tells."""
    empty = hashlib.new(algorithm or "sha256", usedforsecurity=False)  # MD5 even where it is banned
    with path.open("rb") as file:
        found = hashlib.file_digest(file, empty.copy).hexdigest()
    if not found.startswith(digits):
        name = "MD5" if algorithm == "md5" else "SHA-256"
        reason = f"the {name} {digits} is published, found {found}. {remedy}"
        raise DownloadError(f"{path} is not the file that {url} stands for: {reason}")


def _require_safe(url: str) -> None:
    """Refuse an address whose content could be changed on its way here."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise DownloadError(f"{url} is refused: it is not https")


class _SafeRedirects(HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> Request | None:
        _require_safe(args[-1])
        return super().redirect_request(*args)


def _fetch_patiently(url: str, part: Path, note: Path) -> None:
    """Bring `part` to its full size, in several attempts if need be."""
    for attempt in range(ATTEMPTS):
        time.sleep(BACKOFF * (2**attempt - 1))
        try:
            return _fetch(url, part, note)
        except (OSError, HTTPException) as error:
            if getattr(error, "errno", None) in DISK_FULL:
                full = f"the disk is full: {url} does not fit into {part.parent} ({error})"
                remedy = "Make room, or set DMNET_HOME to a folder on another disk, and try again"
                raise DownloadError(f"{full}. {remedy}; what arrived is kept.") from error
            reason = error
    kept = f"; {part.stat().st_size:,} bytes are kept" if part.exists() else ""
    raise DownloadError(f"{url} could not be fetched in {ATTEMPTS} attempts: {reason}{kept}") from reason


def _fetch(url: str, part: Path, note: Path) -> None:
    """Make one request, for the whole file or for what is missing, and write what comes.

    The note says what `part` is a piece of (address, ETag or date, size): its rest must be of the same.
    """
    request = Request(url, headers={"User-Agent": "dmnet", "Accept-Encoding": "identity"})
    done, known = 0, {}
    with suppress(OSError, ValueError, TypeError, KeyError):  # none, or one that was never finished
        noted = json.loads(note.read_text(encoding="utf-8"))
        if noted["url"] == url and noted["validator"] and (done := part.stat().st_size):
            if done == noted["size"]:
                return  # killed before it got its name
            known = noted
            request.add_header("Range", f"bytes={done}-")
            request.add_header("If-Range", known["validator"])
    try:
        response = build_opener(_SafeRedirects).open(request, timeout=TIMEOUT)
    except HTTPError as error:
        status = f"the server answered {error.code} {error.reason}"
        error.close()
        if error.code == 416 and known:  # it is another file by now
            part.unlink()
        elif error.code not in BUSY:
            raise DownloadError(f"{url} could not be fetched: {status}") from error
        raise ConnectionError(status) from error
    with response:
        etag, date = response.headers.get("ETag", "W/"), response.headers.get("Last-Modified")
        span, _, total = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        text = total if response.status == 206 else response.headers.get("Content-Length", "")
        size = int(text) if text.isdigit() else None
        now = {"url": url, "validator": date if etag.startswith("W/") else etag, "size": size}  # W/: weak
        if response.status != 206:
            done = 0
            part.write_bytes(b"")  # before the note, which must never describe older bytes
            note.write_text(json.dumps(now), encoding="utf-8")
        elif known != now or span.partition("-")[0] != str(done):
            part.unlink()
            raise ConnectionError("the file changed at its source while it was being fetched")
        if size is not None and (free := shutil.disk_usage(part.parent).free) < size - done:
            raise OSError(errno.ENOSPC, f"it has {size:,} bytes, {free:,} are free")  # before work is wasted
        bar = progress(total=size, initial=done, unit="B", unit_scale=True, desc=part.stem)
        with bar, part.open("ab") as file:
            while chunk := response.read(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
            file.flush()
            os.fsync(file.fileno())  # the final name must not reach the disk before the bytes
    if size is not None and (arrived := part.stat().st_size) != size:
        raise ConnectionError(f"{arrived:,} of {size:,} bytes arrived")
