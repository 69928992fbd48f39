"""Unpack archives that strangers packed: nothing leaves the folder, fills the disk or is left half done.

The list of contents is read first, and an archive is refused before a byte is written if it would write
elsewhere, holds links or devices where files are wanted, or says that it unpacks to far more than pictures
can. Then the files are written by `open`, never by the extraction of `tarfile` or `zipfile`: owners,
permissions and links of the archive come to nothing, on every Python alike (`tarfile`'s own filters are
missing before 3.11.4). The folder appears under its name when it is complete.
"""

import gzip
import os
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dmnet.download import DISK_FULL
from dmnet.errors import DataError
from dmnet.files import progress

MOST_ENTRIES = 1_000_000
MOST_GROWTH = 20  # times the archive's size; photographs and PNGs hardly shrink when they are packed
SMALL = 1 << 26  # bytes that any archive may unpack to
CHUNK = 1 << 20
BLOCK = 4096  # bytes; what a file occupies on a disk is a multiple
DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    RuntimeError,  # zipfile: encrypted, or compressed in a way that it doesn't know
    UnicodeDecodeError,
)


def unpack(
    archive: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    part: str = "",
    only: Collection[str] = (),
    check: Callable[[Path], object] | None = None,
) -> None:
    """Unpack a tar, tgz or zip archive, or a part of it, to a new folder.

    Files are written to a hidden folder beside it, which is renamed at the end. What a killed process left
    is removed and unpacking begins again. Only one process at a time may unpack to the same folder.

    Args:
        archive: the file.
        folder: where the contents go; it must not exist.
        part: folder in the archive, e.g. "VOCdevkit/VOC2012"; what lies elsewhere is left out.
        only: files and folders below `part` that are wanted, e.g. ("cls", "train.txt"); by default all.
        check: called with the complete folder before it gets its name; may add to it, or raise to refuse it.

    Raises:
        DataError: if the archive is damaged or dangerous, has nothing to unpack, or needs more room than the
            disk has; if the folder exists.
    """
    archive, folder = Path(archive), Path(folder)
    if folder.exists():
        raise DataError(f"{folder} exists already and is kept as it is; {archive.name} was not unpacked")
    temporary = folder.with_name(f".{folder.name}.unpacking.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    with _explained(archive), _opened(archive) as contents:
        files = _plan(contents, _parts(archive, part), [_parts(archive, one) for one in only])
        folder.parent.mkdir(parents=True, exist_ok=True)
        _require_room(archive, folder.parent, files)
        try:
            temporary.mkdir()
            _write(contents, files, temporary)
            if check is not None:
                check(temporary)
            if hasattr(os, "sync"):
                os.sync()  # the final name must not reach the disk before the bytes
            temporary.rename(folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


@dataclass(frozen=True)
class _Entry:
    """A file or folder that the archive lists, as its library knows it."""

    name: str
    size: int  # bytes
    plain: bool  # a file or a folder, nothing else
    folder: bool
    info: Any


_Planned = tuple[tuple[str, ...], _Entry]  # where it goes, in pieces, and what it is


class _Contents(ABC):
    """What an archive holds.

    Args:
        path: the archive.
        raw: the same, opened; how far it is read shows how far the work is.
    """

    def __init__(self, path: Path, raw: IO[bytes]) -> None:
        self.path, self.raw = path, raw

    @abstractmethod
    def __iter__(self) -> Iterator[_Entry]: ...

    @abstractmethod
    def open(self, entry: _Entry) -> IO[bytes]:
        """Return a file that reads at most `entry.size` bytes."""


class _Zip(_Contents):
    def __init__(self, path: Path, raw: IO[bytes]) -> None:
        super().__init__(path, raw)
        self._zip = zipfile.ZipFile(raw)

    def __iter__(self) -> Iterator[_Entry]:
        for info in self._zip.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where no POSIX system packed it
            plain = kind in (0, stat.S_IFREG, stat.S_IFDIR)
            yield _Entry(info.filename, info.file_size, plain, info.is_dir(), info)

    def open(self, entry: _Entry) -> IO[bytes]:
        return self._zip.open(entry.info)


class _Tar(_Contents):
    def __init__(self, path: Path, raw: IO[bytes]) -> None:
        super().__init__(path, raw)
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        self._file = _Gzip(fileobj=raw) if packed else raw
        self._tar = tarfile.TarFile(fileobj=self._file)

    def __iter__(self) -> Iterator[_Entry]:
        for info in self._tar:
            yield _Entry(info.name, info.size, info.isreg() or info.isdir(), info.isdir(), info)
        self._file.seek(self._tar.offset)  # tarfile takes nonsense between the files for the end
        if self._file.read(tarfile.BLOCKSIZE).strip(b"\0"):
            raise tarfile.ReadError(f"there is no header at byte {self._tar.offset}")
        after = 0
        while chunk := self._file.read(CHUNK):  # the checksum of gzip is at its very end
            after += len(chunk)
            if after > SMALL:
                raise tarfile.ReadError(f"more than {SMALL:,} bytes follow its end")

    def open(self, entry: _Entry) -> IO[bytes]:
        file = self._tar.extractfile(entry.info)
        assert file is not None  # only links and devices have none
        return file


class _Gzip(gzip.GzipFile):
    """A tar inside gzip, read in pieces: tarfile reads a long header into memory, whatever its size."""

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > SMALL:
            raise tarfile.ReadError(f"it has a header of {size:,} bytes")
        return super().read(size)


@contextmanager
def _opened(archive: Path) -> Iterator[_Contents]:
    """Open an archive, whose kind is told by its content, not by its name."""
    with archive.open("rb") as raw:
        if zipfile.is_zipfile(raw):
            raw.seek(0)
            yield _Zip(archive, raw)
            return
        raw.seek(0)
        yield _Tar(archive, raw)


@contextmanager
def _explained(archive: Path) -> Iterator[None]:
    """Say of which archive a library complains, and what to do."""
    try:
        yield
    except DAMAGED as error:
        raise DataError(
            f"{archive} is damaged, cut off, or no tar, tgz or zip archive ({error}). Fetch it again."
        ) from error


# What is unpacked ----------------------------------------------------------------------------------------


def _parts(archive: Path, name: str) -> tuple[str, ...]:
    """Return the folders and the name of a path, or raise a DataError if it could lead elsewhere."""
    parts = tuple(part for part in re.split(r"[/\\]", name) if part not in ("", "."))
    if name.startswith(("/", "\\")) or ".." in parts or re.search(r"[:\0]", name):
        raise DataError(f"{archive} holds {name!r}, which would be written elsewhere; it was not unpacked")
    return parts


def _plan(contents: _Contents, part: tuple[str, ...], only: Collection[tuple[str, ...]]) -> list[_Planned]:
    """Return what is wanted and where it goes; raise a DataError if the archive is no good."""
    archive, found, tops = contents.path, [], set()
    for entry in _bounded(contents):
        path = _parts(archive, entry.name)
        tops.add("/".join(path[:2]))
        below = path[len(part) :]
        if path[: len(part)] != part or (only and not any(below[: len(one)] == one for one in only)):
            continue
        if not entry.plain:
            raise DataError(f"{archive} holds {entry.name!r}, a link or a device; it was not unpacked")
        if below:
            found.append((below, entry))
    if all(entry.folder for _, entry in found):
        there = ", ".join(sorted(tops)[:5]) or "nothing at all"
        raise DataError(f"{archive} has no files in {'/'.join(part) or 'it'}; it has {there}")
    return found


def _bounded(contents: _Contents) -> Iterator[_Entry]:
    """Go through an archive; raise a DataError as soon as it claims to hold too much."""
    most, size = max(SMALL, MOST_GROWTH * contents.path.stat().st_size), 0
    for count, entry in enumerate(contents, start=1):
        size += max(entry.size, 0)
        if size > most or count > MOST_ENTRIES:
            raise DataError(
                f"{contents.path} claims to hold more than {most:,} bytes or {MOST_ENTRIES:,} files; no "
                "archive of pictures of its size does, so it was not unpacked"
            )
        yield entry


def _require_room(archive: Path, parent: Path, files: Collection[_Planned]) -> None:
    """Raise a DataError unless the disk has room for all of it."""
    needed = sum(-(-entry.size // BLOCK) * BLOCK for _, entry in files)
    free = shutil.disk_usage(parent).free
    if needed > free:
        raise DataError(
            f"the disk is full: {archive.name} needs {needed:,} bytes in {parent}, {free:,} are free. Make "
            "room or give a folder on another disk."
        )


# Writing -------------------------------------------------------------------------------------------------


def _write(contents: _Contents, files: Collection[_Planned], folder: Path) -> None:
    """Write the files, in the order of the archive."""
    size, title = contents.path.stat().st_size, f"unpacking {contents.path.name}"
    with progress(total=size, unit="B", unit_scale=True, desc=title) as bar:
        for path, entry in files:
            target = folder.joinpath(*path)
            try:
                (target if entry.folder else target.parent).mkdir(parents=True, exist_ok=True)
                if not entry.folder:
                    _write_file(contents, entry, target)
            except gzip.BadGzipFile:  # is an OSError, but none of the disk
                raise
            except OSError as error:
                raise _cannot_write(contents.path, folder, error) from error
            bar.update(max(0, contents.raw.tell() - bar.n))


def _write_file(contents: _Contents, entry: _Entry, target: Path) -> None:
    written = 0
    with contents.open(entry) as source, target.open("wb") as file:
        while chunk := source.read(CHUNK):
            file.write(chunk)
            written += len(chunk)
    if written != entry.size:
        raise tarfile.ReadError(f"{entry.name} has {written:,} of {entry.size:,} bytes")


def _cannot_write(archive: Path, folder: Path, error: OSError) -> DataError:
    if error.errno in DISK_FULL:
        return DataError(
            f"the disk is full: {archive.name} could not be unpacked to {folder.parent}. Make room or give a "
            "folder on another disk; what was unpacked is removed, the archive is kept."
        )
    return DataError(f"{archive.name} could not be unpacked to {folder.parent}: {error}")
