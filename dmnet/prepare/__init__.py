"""Fetch the archives of a published data set, unpack them, and count what is there.

Addresses and digests are those of torchvision (VOC, SBD), TensorFlow Datasets (ADE20K) and Cityscapes' own
page. CamVid's archive is packed anew whenever GitHub likes, so its digest is one of the images and masks in
it. What is under its name is complete: archives are checked, unpacked beside it, and renamed.
"""

import csv
import errno
import hashlib
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock

from dmnet.datasets.published import PUBLISHED, PublishedSet, data_root, load_published
from dmnet.download import download, sha256_of
from dmnet.errors import DataError, DownloadError
from dmnet.files import progress, shipped
from dmnet.prepare import sbd
from dmnet.prepare.folders import new_folder

MOST_FILES = 1_000_000
MOST_GROWTH = 20  # times the archive's size; photographs and PNGs hardly shrink when they are packed
SMALL = 1 << 26  # bytes that any archive may unpack to
LOGIN = "https://www.cityscapes-dataset.com/register/"
SPLITS = {
    "voc": ("train", "val", "trainaug"),
    "ade20k": ("train", "val"),
    "cityscapes": ("train", "val", "test"),
    "camvid": ("train", "val", "test"),
}
AGAIN = "Move it away and it is fetched again, or add --unverified to have what is in it."
CONTENTS = "contents:"  # how a digest of `contents_digest` begins


class Archive(NamedTuple):
    """An archive of a data set. Used in {doc}`05_data`."""

    name: str  # of the file
    url: str
    digest: str  # as `dmnet.download.download` takes it, or as `contents_digest` returns it
    part: str  # the folder in it that is unpacked
    only: str  # names of the files and folders in that, with blanks between them; "" is all
    into: str = ""  # where to, from the data set's folder
    login: str = ""  # its published size if it cannot be fetched without an account


def archives_of(name: str) -> tuple[Archive, ...]:
    """Return what `data/published/archives.csv` lists for a data set. Used in {doc}`05_data`."""
    with open(shipped("published", "archives.csv"), newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row.pop("dataset") == name]
    return tuple(Archive(**row) for row in rows)


class Prepared(NamedTuple):
    """What is there now. Used in {doc}`05_data`."""

    title: str  # the data set's name in sentences
    folder: Path  # what `dmnet.datasets.load` takes as root
    counts: dict[str, tuple[int, int]]  # split -> number of examples: here, and as published
    archives: tuple[Path, ...]  # those that are still there; they are needed no more


def prepare(
    name: str,
    root: str | os.PathLike[str] | None = None,
    *,
    archives: str | os.PathLike[str] | None = None,
    mirror: str | None = None,
    verify: bool = True,
    say: Callable[[str], object] = lambda text: None,
) -> Prepared:
    """Make a published data set ready for `dmnet.datasets.load`. Used in {doc}`05_data`.

    What is there is not made again; what was interrupted, goes on when it is called again. A second process
    waits for the first.

    Args:
        name: "voc" (with trainaug), "ade20k", "cityscapes" or "camvid".
        root: where the data set's folder goes, or that folder; by default as in `published.data_root`.
        archives: folder that the archives are in, or fetched to; by default `archives` in `root`.
        mirror: address of a folder with the archives, instead of where they are published.
        verify: False takes archives with another digest than the published one, e.g. packed anew by a mirror.
        say: called with a line before each step.

    Raises:
        DataError: if an archive must be fetched by hand, is damaged or dangerous, or something is missing.
        DownloadError: if an archive cannot be fetched, or is not the published one.
    """
    if name not in SPLITS:
        raise DataError(f"there is nothing to prepare for {name!r}; there are {', '.join(SPLITS)}")
    wanted, published = archives_of(name), PUBLISHED[name]
    start = data_root(root)
    start.mkdir(parents=True, exist_ok=True)
    store = start / "archives" if archives is None else Path(archives).expanduser()
    with FileLock(start / f".prepare_{name}.lock"):
        home = published.find(start) or start / published.places[0]
        missing = [one for one in wanted if not _is_made(one, home, published)]
        for folder in (home / one.into for one in missing if one.into != sbd.MASKS):
            if folder.exists():
                raise DataError(f"{folder} is in the way: move it, or give another root")
        locked = [one for one in missing if one.login and not mirror and not (store / one.name).is_file()]
        if locked:
            files = "".join(f"\n  {one.name} ({one.login})  {one.url}" for one in locked)
            raise DataError(
                f"Cityscapes wants a login, which only you have. Register at {LOGIN}, log in, save{files}\n"
                f"in {store} (or anywhere: --archives FOLDER), then repeat this command."
            )
        for archive in missing:
            file = store / archive.name
            there = file.is_file()
            url = f"{mirror.rstrip('/')}/{archive.name}" if mirror else archive.url
            contents = archive.digest if archive.digest.startswith(CONTENTS) else ""
            folder = home / (".sbd" if archive.into == sbd.MASKS else archive.into)
            shutil.rmtree(home / ".sbd", ignore_errors=True)  # of a process that was killed
            try:
                say(f"{archive.name}: {'' if there else 'fetching and '}checking")
                if verify or not there:
                    download(url, file, archive.digest if verify and not contents else None)
                say(f"{archive.name}: unpacking")
                unpack(file, folder, archive.part, archive.only.split(), contents if verify else "")
            except (DownloadError, DataError) as error:
                disk = isinstance(error.__cause__, OSError)  # is full, or cannot be written
                if contents and not there and not disk:
                    file.unlink(missing_ok=True)
                if isinstance(error, DataError) and (disk or not (contents and there)):
                    raise
                hint = f"You can also fetch {archive.name} by other means and put it into {store}."
                if there:
                    hint = AGAIN if contents else "If you know that it was packed anew, add --unverified."
                raise type(error)(f"{str(error).rstrip('.')}. {hint}") from error
            if archive.into == sbd.MASKS:
                say("trainaug: writing the masks")
                sbd.augment(home, folder)
        shutil.rmtree(home / ".sbd", ignore_errors=True)
        counts = {split: (_count(name, home, split), published.sizes[split]) for split in SPLITS[name]}
    left = tuple(store / one.name for one in wanted if (store / one.name).is_file())
    return Prepared(published.title, home, counts, left)


def _is_made(archive: Archive, home: Path, published: PublishedSet) -> bool:
    if not archive.into:
        return published.is_at(home)
    return (home / archive.into).is_dir() and (archive.into != sbd.MASKS or (home / sbd.LIST).is_file())


def _count(name: str, home: Path, split: str) -> int:
    """Return the number of examples of a split; raise a DataError if one lacks a file."""
    dataset = load_published(name, home, split, labelled=split != "test" or name == "camvid")
    for one in dataset.ids:
        dataset.image_file(one)
        if dataset.labelled:
            dataset.mask_file(one)
    return len(dataset)


def contents_digest(folder: Path, name: str) -> str:
    """Return "contents:" and a SHA-256 over all PNG files in a folder that is called `name`.

    It is that of the lines "<SHA-256>  <name>/<path>", in the order of the paths. Used in {doc}`05_data`.
    """
    files = {f"{name}/{file.relative_to(folder).as_posix()}": file for file in folder.rglob("*.png")}
    lines = "".join(f"{sha256_of(file)}  {path}\n" for path, file in sorted(files.items()))
    return CONTENTS + hashlib.sha256(lines.encode()).hexdigest()


def unpack(archive: Path, folder: Path, part: str = "", only: Sequence[str] = (), digest: str = "") -> None:
    """Unpack the folder `part` of a tar, tgz or zip archive, or of that `only` this, to a new folder.

    The standard library sees to it that nothing is written elsewhere, whatever names strangers packed. The
    folder appears under its name when it is complete. Used in {doc}`05_data`.

    Raises:
        DataError: if the archive is damaged or a bomb, has nothing to unpack, or doesn't fit on the disk.
        DownloadError: if what was unpacked hasn't the `digest` that is given, one of `contents_digest`.
    """
    try:
        opener: Any = zipfile.ZipFile if zipfile.is_zipfile(archive) else tarfile.open
        with new_folder(folder) as temporary, opener(archive) as opened:
            wanted = _wanted(archive, opened, temporary, part, only)
            for member, name in progress(wanted, desc=f"unpacking {archive.name}"):
                if isinstance(member, zipfile.ZipInfo):
                    member.filename = name
                    opened.extract(member, temporary)
                else:
                    opened.extract(member.replace(name=name), temporary, filter="data")
            if digest and (found := contents_digest(temporary, folder.name)) != digest:
                raise DownloadError(f"{archive} is not what was published, {digest}, but {found}.")
    except (DataError, DownloadError):
        raise
    except Exception as error:  # a damaged archive can raise anything
        raise DataError(f"{archive} could not be unpacked to {folder}: {error}") from error


def _members(opened: Any) -> Iterator[tuple[Any, str, int]]:
    """Yield files and folders, no links or devices, with name and size; read a tar to its very end."""
    if isinstance(opened, zipfile.ZipFile):
        yield from ((info, info.filename, info.file_size) for info in opened.infolist())
        return
    yield from ((info, info.name, info.size) for info in opened if info.isreg() or info.isdir())
    opened.fileobj.seek(opened.offset)
    while chunk := opened.fileobj.read(1 << 20):  # gzip has its checksum at the end
        if chunk.strip(b"\0"):  # tarfile takes nonsense between the files for the end
            raise tarfile.ReadError(f"there is no header at byte {opened.offset}")


def _wanted(
    archive: Path, opened: Any, target: Path, part: str, only: Sequence[str]
) -> list[tuple[Any, str]]:
    """Return what is to be unpacked, and under which name; raise a DataError if too much, or nothing."""
    most, total, needed, wanted = max(SMALL, MOST_GROWTH * archive.stat().st_size), 0, 0, []
    prefix = f"{part}/" if part else ""
    for count, (member, path, size) in enumerate(_members(opened), start=1):
        total += size
        if total > most or count > MOST_FILES:
            raise DataError(f"{archive} claims to hold more than {most:,} bytes or {MOST_FILES:,} files")
        path = path.removeprefix("./")
        name = path.removeprefix(prefix)
        if path.startswith(prefix) and name and (not only or name.partition("/")[0] in only):
            wanted.append((member, name))
            needed += size
    if not wanted:
        raise DataError(f"{archive} holds no {part or 'files'}")
    if (free := shutil.disk_usage(target).free) < needed:
        what = f"the disk is full: {archive.name} needs {needed:,} bytes, {free:,} are free"
        raise OSError(errno.ENOSPC, what)
    return wanted
