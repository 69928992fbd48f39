"""Fetch a file over a network that breaks, and accept it only if it is the right one.

A download is resumed where it broke off, measured, hashed, and takes its final name in one step: a file
of that name is always complete. Files whose digest is published are held to it. The digest of any other
file is recorded when it first arrives, and held to from then on ("trust on first use").

A digest is a SHA-256, whole or its first digits, or "md5:" and an MD5, for files of which nothing else is
published. Two files with the same MD5 can be made on purpose [Wang and Yu, EUROCRYPT 2005], so whoever packed
a file could have packed a second one. To make another file for an MD5 that is given is not known to be
possible: it protects against damage, and against a server or a network that puts a file of its own in place.
"""

import errno
import hashlib
import ipaddress
import json
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import requests
from filelock import FileLock

from dmnet.errors import DownloadError
from dmnet.files import atomic_write, data_dir, progress

CHUNK = 1 << 16  # bytes; what a broken connection loses at most
WORTH_RETRYING = {408, 425, 429, 500, 502, 503, 504}  # HTTP: the server asks to come again
DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
BROKEN_CONNECTION = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)
_DIGITS = {"sha256": (8, 64), "md5": (32, 32)}  # fewest and most that are accepted; see `_Digest`


class _Interrupted(Exception):
    """The connection broke, or the server is busy: worth another attempt."""


def download(
    url: str,
    path: str | os.PathLike[str],
    digest: str | None = None,
    *,
    check: Callable[[Path], object] | None = None,
    timeout: float = 30.0,
    attempts: int = 4,
    backoff: float = 1.0,
) -> Path:
    """Fetch `url` into the file `path`, unless a good copy is already there.

    What arrives is kept in `<path>.part` until it is complete; an interrupted download, even a killed one,
    goes on from there next time. Of two processes that want the same file, the second waits
    and finds it done.

    Args:
        url: https address; http only from this machine (loopback), or with a whole digest: then nothing that
            is changed on the way is accepted.
        path: where the file goes; missing folders are made.
        digest: the SHA-256, or at least its first eight hexadecimal digits, or "md5:" and a whole MD5. None:
            the SHA-256 recorded for this address in `digests.json` of the data folder, which the first
            complete download writes.
        check: called with the complete file before it is accepted; raises to refuse it.
        timeout: seconds without a byte after which the connection counts as broken.
        attempts: how often to try before giving up.
        backoff: seconds to wait before the second attempt; doubles with each.

    Returns:
        `path`.

    Raises:
        DownloadError: if the address is refused, the file cannot be fetched, the disk is full, or the digest
            is not the expected one. A wrong download is removed, a wrong file that was at `path` isn't.
    """
    target = Path(path)
    expected = _Digest.parse(digest) if digest is not None else None
    plain_http = expected is not None and expected.whole
    _require_safe(url, plain_http)
    part = _Part(url, target.with_name(target.name + ".part"), plain_http)
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(f".{target.name}.lock")):
            if not target.is_file():  # nobody else was faster
                _fetch_patiently(part, timeout, attempts, backoff)
                _accept_part(part, target, expected, check)
                return target
    _accept(url, target, expected, check, remedy=f"Move {target} away and it is fetched again.")
    with suppress(OSError):  # mostly it isn't there, and others' folders may be read-only
        part.note.unlink()  # of a process that was killed at the last moment
    return target


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    return _hash(Path(path), "sha256")


# Trust ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Digest:
    """What a file is known by.

    Attributes:
        algorithm: "sha256" or "md5".
        digits: hexadecimal, in lower case; the first ones of a SHA-256 may do.
    """

    algorithm: str
    digits: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "<digits>" or "sha256:<digits>" of a SHA-256, or "md5:<digits>"; else raise a ValueError."""
        algorithm, digits = text.lower().rpartition(":")[::2]
        algorithm = algorithm or "sha256"
        least, most = _DIGITS.get(algorithm, (1, 0))
        if not (least <= len(digits) <= most and set(digits) <= set("0123456789abcdef")):
            raise ValueError(
                f"a digest is 8 to 64 hexadecimal digits of a SHA-256, or md5: and 32, got {text!r}"
            )
        return cls(algorithm, digits)

    @property
    def name(self) -> str:
        """The algorithm, as people write it."""
        return "MD5" if self.algorithm == "md5" else "SHA-256"

    @property
    def whole(self) -> bool:
        """Whether no digit is left out: others could find a file for eight digits."""
        return len(self.digits) == _DIGITS[self.algorithm][1]


def _hash(path: Path, algorithm: str) -> str:
    found = hashlib.new(algorithm, usedforsecurity=False)  # or MD5 would be missing where policy bans it
    size, title = path.stat().st_size, f"checking {path.name}"
    with progress(total=size, unit="B", unit_scale=True, desc=title, delay=1) as bar, path.open("rb") as file:
        while chunk := file.read(1 << 20):
            found.update(chunk)
            bar.update(len(chunk))
    return found.hexdigest()


def _require_safe(url: str, plain_http: bool = False) -> None:
    """Refuse every address that could be changed on its way here; `plain_http`: a whole digest would tell."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return
    if parts.scheme == "http" and (plain_http or _is_loopback(parts.hostname or "")):
        return
    raise DownloadError(
        f"{url} is refused: only https is fetched, or http from this machine itself or with a whole digest"
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return False


def _accept(
    url: str, path: Path, published: _Digest | None, check: Callable[[Path], object] | None, remedy: str
) -> None:
    """Raise unless `path` is the file that `url` stands for; record its SHA-256 if no digest was known."""
    recorded = _recorded().get(url) if published is None else None
    expected = published or (_Digest.parse(recorded) if recorded else None)
    found = _hash(path, expected.algorithm if expected else "sha256")
    if expected and not found.startswith(expected.digits):
        known = "is published" if published else f"was recorded in {_digests()} when it first arrived"
        raise DownloadError(
            f"{path} is not the file that {url} stands for: the {expected.name} {expected.digits} {known}, "
            f"found {found}. {remedy}"
        )
    if check is not None:
        check(path)
    if expected is None:
        _record(url, found)


def _accept_part(
    part: "_Part", target: Path, published: _Digest | None, check: Callable[[Path], object] | None
) -> None:
    """Give a complete download its final name, or remove it if it isn't accepted."""
    try:
        _accept(part.url, part.path, published, check, remedy="The download was removed; try again later.")
    except Exception:  # not Ctrl-C: then the download stays, to be accepted next time
        part.remove()
        raise
    os.replace(part.path, target)
    part.remove()  # what is left is the note


def _digests() -> Path:
    return data_dir() / "digests.json"


def _recorded() -> dict[str, str]:
    """Return address -> SHA-256 of the files that were accepted on first use."""
    try:
        return json.loads(_digests().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise DownloadError(
            f"{_digests()} is damaged ({error}). It holds the digests of earlier downloads: restore it, or "
            "delete it to trust the next download of each file."
        ) from error


def _record(url: str, digest: str) -> None:
    _digests().parent.mkdir(parents=True, exist_ok=True)
    with FileLock(_digests().with_name(".digests.json.lock")):
        known = _recorded() | {url: digest}
        with atomic_write(_digests()) as temporary:
            temporary.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")


# Fetching ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Origin:
    """What an unfinished file is a piece of; its rest may only come from the same."""

    url: str
    validator: str | None  # strong ETag or date of change
    size: int | None  # bytes of the whole file

    @classmethod
    def of(cls, url: str, response: requests.Response, size: int | None) -> "_Origin":
        etag = response.headers.get("ETag", "")
        strong = etag if etag and not etag.startswith("W/") else None
        return cls(url, strong or response.headers.get("Last-Modified"), size)


class _Part:
    """An unfinished file and, beside it, a note of what it is a piece of.

    Args:
        url: where it comes from.
        path: the unfinished file; it need not exist.
        plain_http: whether it may come over a connection that others could change.
    """

    def __init__(self, url: str, path: Path, plain_http: bool) -> None:
        self.url = url
        self.path = path
        self.plain_http = plain_http
        self.note = path.with_name(path.name + ".json")

    def origin(self) -> _Origin | None:
        """Return what the unfinished file is a piece of, or None where nobody can tell."""
        try:
            origin = _Origin(**json.loads(self.note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return origin if origin.url == self.url else None

    def resumable(self) -> _Origin | None:
        """Return the origin if the rest can be had from it without the risk of mixing two files."""
        origin = self.origin()
        return origin if origin and origin.validator and self.size() else None

    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    def start(self, origin: _Origin) -> None:
        """Begin anew: empty the file first, so that a note never describes older bytes."""
        self.path.write_bytes(b"")
        self.note.write_text(json.dumps(asdict(origin)), encoding="utf-8")

    def remove(self) -> None:
        for path in (self.path, self.note):
            path.unlink(missing_ok=True)


def _fetch_patiently(part: _Part, timeout: float, attempts: int, backoff: float) -> None:
    """Bring `part` to its full size, in several attempts if need be."""
    for attempt in range(attempts):
        if attempt:
            time.sleep(backoff * 2 ** (attempt - 1))
        try:
            return _fetch(part, timeout)
        except (_Interrupted, *BROKEN_CONNECTION) as error:
            reason = error
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise DownloadError(f"{part.url} could not be written to {part.path}: {error}") from error
            raise _disk_full(part) from error
        except requests.RequestException as error:
            raise DownloadError(f"{part.url} could not be fetched: {error}") from error
    kept = f" {part.size():,} bytes are kept; trying again goes on from there." if part.resumable() else ""
    raise DownloadError(
        f"{part.url} could not be fetched in {attempts} attempts; the last one ended with: {reason}.{kept}"
    ) from reason


def _fetch(part: _Part, timeout: float) -> None:
    """Make one request, for the whole file or for what is missing, and write what comes."""
    headers = {"Accept-Encoding": "identity"}  # sizes and ranges count the file's own bytes
    if (origin := part.resumable()) and origin.validator:
        headers |= {"Range": f"bytes={part.size()}-", "If-Range": origin.validator}
    with requests.get(part.url, headers=headers, stream=True, timeout=timeout) as response:
        for step in (*response.history, response):
            _require_safe(step.url, part.plain_http)
        if response.status_code == 416:  # nothing after this offset: complete, or another file by now
            return _finish_or_restart(part, origin)
        _require_success(part, response)
        size = _total(response)
        now = _Origin.of(part.url, response, size)
        if response.status_code != 206:
            part.start(now)
        elif origin != now or _offset(response) != part.size():
            part.remove()
            raise _Interrupted("the file changed at its source while it was being fetched")
        _write(part, response, size)


def _finish_or_restart(part: _Part, origin: _Origin | None) -> None:
    if origin is None or origin.size != part.size():
        part.remove()
        raise _Interrupted("the server has less of the file than was already here")


def _require_success(part: _Part, response: requests.Response) -> None:
    status = f"the server answered {response.status_code} {response.reason}"
    if response.status_code in WORTH_RETRYING:
        raise _Interrupted(status)
    if response.status_code not in (200, 206):
        raise DownloadError(f"{part.url} could not be fetched: {status}")


def _total(response: requests.Response) -> int | None:
    """Return the size of the whole file in bytes, or None where the server doesn't tell."""
    if response.status_code == 206:
        size = response.headers.get("Content-Range", "").rpartition("/")[2]
    else:
        size = response.headers.get("Content-Length", "")
    return int(size) if size.isdigit() else None


def _offset(response: requests.Response) -> int | None:
    first = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    return int(first) if first.isdigit() else None


def _write(part: _Part, response: requests.Response, size: int | None) -> None:
    """Append the body to the unfinished file; raise unless that completes it."""
    done = part.size()
    if size is not None and shutil.disk_usage(part.path.parent).free < size - done:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # before the work is wasted
    bar = progress(total=size, initial=done, unit="B", unit_scale=True, desc=part.path.stem)
    with bar, part.path.open("ab") as file:
        for chunk in response.iter_content(CHUNK):
            file.write(chunk)
            bar.update(len(chunk))
        file.flush()
        os.fsync(file.fileno())  # the final name must not reach the disk before the bytes
    if size is not None and part.size() != size:
        if part.size() > size:
            part.remove()
        raise _Interrupted(f"{part.size():,} of {size:,} bytes arrived")


def _disk_full(part: _Part) -> DownloadError:
    origin = part.origin()
    needed = f"{origin.size:,} bytes" if origin and origin.size else "it"
    free = "0"
    with suppress(OSError):
        free = f"{shutil.disk_usage(part.path.parent).free:,}"
    return DownloadError(
        f"the disk is full: {part.url} needs {needed} in {part.path.parent}, {free} bytes are free. Make "
        "room, or set DMNET_HOME to a folder on another disk, and try again; what arrived is kept."
    )
