"""Fetch the archives of a published data set, unpack them, and count what is there.

The addresses and MD5s of PASCAL VOC and of the Semantic Boundaries Dataset are torchvision's. Only its
records are used, not its loaders: they begin a broken download anew, unpack whatever a stranger packed, and
cannot tell a folder that is half unpacked from a whole one. `dmnet.download` and `dmnet.prepare.archives`
resume, check, and rename what is complete.
"""

import json
import os
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from dmnet import datasets
from dmnet.datasets.published import AUGMENTED, CITYSCAPES_FOLDERS, Published
from dmnet.download import download
from dmnet.errors import DataError, DownloadError
from dmnet.files import data_dir
from dmnet.prepare import sbd
from dmnet.prepare.archives import unpack

NOTE = ".dmnet.json"  # in an unpacked folder: the archive that it comes from
SPLITS = {
    "voc": ("train", "val", "trainaug"),
    "ade20k": ("train", "val"),
    "cityscapes": ("train", "val", "test"),
}
_BOUNDARIES = ".sbd"  # in VOC2012, while trainaug is made
_LOGIN = "https://www.cityscapes-dataset.com"


@dataclass(frozen=True)
class Archive:
    """An archive of a data set.

    Attributes:
        name: the file's name.
        url: where it is published.
        digest: its published digest, as `dmnet.download.download` takes it.
        part: the folder in it that is unpacked.
        into: where to, from the data set's folder.
        login: its published size if it cannot be fetched without an account, else "".
    """

    name: str
    url: str
    digest: str
    part: str
    into: str = ""
    login: str = ""


@dataclass(frozen=True)
class Count:
    """How many examples a split has here, and how many where it is published."""

    split: str
    found: int
    official: int


@dataclass(frozen=True)
class Prepared:
    """What is there now.

    Attributes:
        title: the data set's name in sentences.
        folder: what `dmnet.datasets.load` takes as root.
        counts: one for each split.
        verified: whether all of it comes out of archives with the published digests.
        archives: archives that are still there and needed no more.
    """

    title: str
    folder: Path
    counts: tuple[Count, ...]
    verified: bool
    archives: tuple[Path, ...]


def archives_of(name: str) -> tuple[Archive, ...]:
    """Return the archives of "voc", "ade20k" or "cityscapes".

    Sources of the digests: torchvision (VOC, SBD); TensorFlow Datasets, `url_checksums/ade20k.txt` (ADE20K);
    the MD5s on the download page of Cityscapes, which is behind its login, as set-up guides repeat them.

    Raises:
        DataError: if there is no such data set.
    """
    if name == "voc":
        return _voc_archives()
    if name == "ade20k":
        url = "https://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip"
        digest = "sha256:7ff1be44964418441f542a7cc1e1a650e7dc0fc275f5d23252bc9bbdbc977b29"
        return (Archive("ADEChallengeData2016.zip", url, digest, "ADEChallengeData2016"),)
    if name == "cityscapes":
        page = f"{_LOGIN}/file-handling/?packageID="
        images, masks = "md5:0a6e97e94b616a514066c9e2adb0c97f", "md5:4237c19de34c8a376e9ba46b495d6f66"
        first, second = CITYSCAPES_FOLDERS
        return (
            Archive(f"{first}_trainvaltest.zip", f"{page}3", images, first, first, login="11 GB"),
            Archive(f"{second}_trainvaltest.zip", f"{page}1", masks, second, second, login="241 MB"),
        )
    raise DataError(f"there is nothing to prepare for {name!r}; there are {', '.join(SPLITS)}")


def _voc_archives() -> tuple[Archive, ...]:
    from torchvision.datasets import SBDataset
    from torchvision.datasets.voc import DATASET_YEAR_DICT

    voc = DATASET_YEAR_DICT["2012"]
    return (
        Archive(voc["filename"], voc["url"], f"md5:{voc['md5']}", Path(voc["base_dir"]).as_posix()),
        Archive(
            SBDataset.filename, SBDataset.url, f"md5:{SBDataset.md5}", "benchmark_RELEASE/dataset", AUGMENTED
        ),
    )


def prepare(
    name: str,
    root: str | os.PathLike[str] | None = None,
    *,
    archives: str | os.PathLike[str] | None = None,
    mirror: str | None = None,
    verify: bool = True,
    say: Callable[[str], object] = lambda text: None,
) -> Prepared:
    """Make a published data set ready for `dmnet.datasets.load`.

    What is there is not made again; interrupted at any moment and called again, it goes on or begins the step
    anew that it was in. A second process waits for the first.

    Args:
        name: "voc" (with trainaug), "ade20k" or "cityscapes".
        root: where the data set's folder goes, or that folder; by default the data folder.
        archives: folder that the archives are in, or fetched to; by default `archives` in `root`.
        mirror: address of a folder with the archives, instead of where they are published.
        verify: False takes archives with another digest than the published one, e.g. packed anew by a mirror.
        say: called with a line before each step.

    Raises:
        DataError: if an archive must be fetched by hand, is damaged or dangerous, or something is missing.
        DownloadError: if an archive cannot be fetched, or is not the published one.
    """
    wanted = archives_of(name)
    published = datasets.PUBLISHED[name]
    start = data_dir() if root is None else Path(root).expanduser()
    start.mkdir(parents=True, exist_ok=True)
    store = _Store(start / "archives" if archives is None else Path(archives).expanduser(), mirror, verify)
    with FileLock(start / f".prepare_{name}.lock"):
        home = published.find(start) or start / published.places[0]
        missing = [archive for archive in wanted if not _is_made(archive, published, home)]
        _require_free(missing, published, home)
        store.require(missing)
        for archive in missing:
            _make(archive, home, store, say)
        _remove_boundaries(home)
        return _count(name, published, home, wanted, store)


def _is_made(archive: Archive, published: Published, home: Path) -> bool:
    if archive.into == AUGMENTED:
        return sbd.is_augmented(home)
    return (home / archive.into).is_dir() if archive.into else published.is_at(home)


def _require_free(archives: list[Archive], published: Published, home: Path) -> None:
    """Raise a DataError, before anything is fetched, if something else lies where an archive goes."""
    for folder in (home / archive.into for archive in archives if archive.into != AUGMENTED):
        if folder.exists():
            raise DataError(
                f"{folder} is in the way: it doesn't hold {published.title}. Move it away, or give "
                "another root."
            )


def _make(archive: Archive, home: Path, store: "_Store", say: Callable[[str], object]) -> None:
    """Fetch one archive and make of it what the data set needs."""
    say(f"{archive.name}: {'fetching and ' if not store.file(archive).is_file() else ''}checking")
    file = store.get(archive)
    say(f"{archive.name}: unpacking")

    def note(folder: Path) -> None:
        content = {"archive": archive.name, "digest": archive.digest if store.verify else None}
        (folder / NOTE).write_text(json.dumps(content) + "\n", encoding="utf-8")

    if archive.into != AUGMENTED:
        unpack(file, home / archive.into, part=archive.part, check=note)
        return
    _remove_boundaries(home)
    unpack(file, home / _BOUNDARIES, part=archive.part, only=("cls", "train.txt", "val.txt"))
    say("trainaug: writing the masks")
    sbd.augment(home, home / _BOUNDARIES, check=note)


def _remove_boundaries(home: Path) -> None:
    """Remove what trainaug was made from, also if that was in a process that was killed."""
    shutil.rmtree(home / _BOUNDARIES, ignore_errors=True)


@dataclass(frozen=True)
class _Store:
    """Where archives are, and where they come from; see `prepare`."""

    folder: Path
    mirror: str | None
    verify: bool

    def file(self, archive: Archive) -> Path:
        return self.folder / archive.name

    def require(self, archives: list[Archive]) -> None:
        """Raise a DataError that says what must be fetched by hand, and how."""
        missing = [one for one in archives if one.login and not self.file(one).is_file()]
        if not missing or self.mirror:
            return
        files = "".join(f"\n  {one.name} ({one.login})  {one.url}" for one in missing)
        raise DataError(
            f"Cityscapes wants a login, so only you can fetch it. Register at {_LOGIN}/register/, log in, "
            f"and save{files}\nin {self.folder} (or anywhere: --archives FOLDER). Then repeat this command."
        )

    def get(self, archive: Archive) -> Path:
        """Return the archive, fetched if need be, and checked."""
        file = self.file(archive)
        there = file.is_file()
        if there and not self.verify:
            return file
        url = f"{self.mirror.rstrip('/')}/{archive.name}" if self.mirror else archive.url
        try:
            return download(url, file, archive.digest if self.verify else None)
        except DownloadError as error:
            hint = f"You can also fetch {archive.name} by other means and put it into {self.folder}."
            if there:
                hint = "If you know that it was packed anew, add --unverified."
            raise DownloadError(f"{str(error).rstrip('.')}. {hint}") from error


def _count(
    name: str, published: Published, home: Path, wanted: tuple[Archive, ...], store: _Store
) -> Prepared:
    """Look that every example has its files, and compare their numbers with the published ones."""
    verified = all(_comes_from(archive, home / archive.into) for archive in wanted)
    counts = tuple(
        Count(split, _examples(name, home, split), published.sizes[split]) for split in SPLITS[name]
    )
    wrong = [f"{one.split} {one.found:,} of {one.official:,}" for one in counts if one.found != one.official]
    if verified and wrong:
        raise DataError(
            f"{home} comes out of the published archives, but was changed: it has {', '.join(wrong)} "
            "examples. Move it away and prepare it again."
        )
    left = tuple(file for file in map(store.file, wanted) if file.is_file())
    return Prepared(published.title, home, counts, verified, left)


def _comes_from(archive: Archive, folder: Path) -> bool:
    """Tell whether a folder was made from the archive with the published digest."""
    try:
        note = json.loads((folder / NOTE).read_text(encoding="utf-8"))
        return note["digest"] == archive.digest
    except (OSError, ValueError, TypeError, KeyError):  # unpacked by hand
        return False


def _examples(name: str, home: Path, split: str) -> int:
    """Return the number of examples of a split; raise a DataError if files of it are missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of another number than the published
        dataset = datasets.load(name, home, split, labelled=split != "test")
    assert isinstance(dataset, datasets.FileDataset)
    missing = []
    for one in dataset.ids:
        try:
            dataset.image_file(one)
            if dataset.labelled:
                dataset.mask_file(one)
        except DataError as error:
            missing.append(str(error))
    if missing:
        raise DataError(
            f"{len(missing)} of {len(dataset)} examples of {dataset.source} lack a file: {missing[0]}. Move "
            f"{home} away and prepare it again, or add the files."
        )
    return len(dataset)
