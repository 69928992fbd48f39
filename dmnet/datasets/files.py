"""What all data sets in files share: a picture is read with its mask, and what is wrong with them is said."""

import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from dmnet.classes import ClassList
from dmnet.datasets.base import IGNORE, Example, Image, Mask, checked_index
from dmnet.datasets.encoding import Encoding
from dmnet.errors import DataError
from dmnet.files import progress
from dmnet.images import orientation, read_image, read_mask

SUFFIXES = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG", ".webp", ".tif", ".tiff", ".bmp")
_SHOWN = 20  # problems that one message lists


class FileDataset(ABC):
    """Labelled pictures in files; see `dmnet.datasets.base.Dataset` for what it offers.

    Lists and folders are read at once, pictures when they are asked for; `check()` reads them all.
    A derived class says which file belongs to an id.

    Attributes:
        name: what `dmnet.datasets.load` knows the kind as, e.g. "voc".
        root: the folder that everything lies in.
        source: the list or folder that says which examples there are.
        encoding: how the files of the masks store the labels.
        labelled: False if there are no masks, as in a test set: then only `image(index)` can be asked for.
        official_size: how many examples the split has where it is published; None if it is one's own.
    """

    ignore_index = IGNORE
    checks_itself = True  # see `dmnet.datasets.checked`

    def __init__(
        self,
        name: str,
        root: Path,
        split: str,
        ids: Sequence[str],
        labels: tuple[ClassList, Encoding],
        *,
        source: Path,
        labelled: bool = True,
        official_size: int | None = None,
    ) -> None:
        self.name, self.root, self.split, self.source = name, root, split, source
        self.ids, self.labelled, self.official_size = tuple(ids), labelled, official_size
        classes, self.encoding = labels
        self.classes, self.palette = classes.names, classes.palette
        if official_size not in (None, len(self.ids)):
            warnings.warn(
                f"{source} has {len(self.ids)} of the {official_size} examples of {name} {split}; "
                "unpack the archive again if this is not meant to be a part",
                stacklevel=5,  # who called `load`
            )

    @abstractmethod
    def image_file(self, name: str) -> Path:
        """Return the file of the picture with that id; a DataError if there is none."""

    @abstractmethod
    def mask_file(self, name: str) -> Path:
        """Return the file of the mask with that id; a DataError if there is none."""

    def unpaired_masks(self) -> list[Path]:
        """Return the files of masks that belong to no picture, where folders say which pictures there are."""
        return []

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Example:
        name = self.ids[checked_index(index, len(self))]
        if not self.labelled:
            raise DataError(f"{self!r} was loaded without labels; its pictures are dataset.image(index)")
        image_file, mask_file = self.image_file(name), self.mask_file(name)
        image, stored = read_image(image_file), read_mask(mask_file)
        _check_sizes(image, stored, image_file, mask_file)
        _check_values(stored, self.encoding, mask_file)
        return image, self.encoding.decode(stored), name

    def __iter__(self) -> Iterator[Example]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        size = (
            f"{len(self)}"
            if self.official_size in (None, len(self))
            else f"{len(self)} of {self.official_size}"
        )
        return f"{type(self).__name__}({self.name!r}, {str(self.root)!r}, {self.split!r}, size={size})"

    def image(self, index: int) -> tuple[Image, str]:
        """Return a picture and its id, without looking at the mask."""
        name = self.ids[checked_index(index, len(self))]
        return read_image(self.image_file(name)), name

    def problems(self) -> list[str]:
        """Read every example and return one message for each that cannot be used."""
        found = []
        for index in progress(range(len(self)), desc=f"checking {self.root.name} {self.split}"):
            try:
                if self.labelled:
                    self[index]
                else:
                    self.image(index)
            except DataError as error:
                found.append(str(error))
        return found

    def check(self) -> None:
        """Read every example.

        Raises:
            DataError: one error that lists all that is wrong, if anything is.
        """
        if not (found := self.problems()):
            return
        listed = "".join(f"\n- {problem}" for problem in found[:_SHOWN])
        more = f"\n- and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise DataError(
            f"{len(found)} of {len(self)} examples of {self.source} cannot be used:{listed}{more}"
        )


def find_folder(root: Path, places: Sequence[str], inside: Sequence[str]) -> Path | None:
    """Return the first of `root` and the places below it that holds one of the folders `inside`."""
    for folder in (root, *(root / place for place in places)):
        if any((folder / one).is_dir() for one in inside):
            return folder
    return None


def listed(folder: Path, ending: str | None = None) -> dict[str, Path]:
    """Return the pictures of a folder by id, in the order of the ids; one level of folders below is read too.

    Args:
        folder: what to list; hidden files are left out.
        ending: what follows the id in a file's name, e.g. "_leftImg8bit.png"; by default a picture's suffix.

    Raises:
        DataError: if the folder is missing, or two files have the same id.
    """
    if not folder.is_dir():
        there = folders_in(folder.parent) if folder.parent.is_dir() else []
        raise DataError(f"there is no folder {folder}" + (f"; there is {', '.join(there)}" if there else ""))
    found: dict[str, Path] = {}
    for file in _files(folder):
        if not (file.suffix.lower() in SUFFIXES if ending is None else file.name.endswith(ending)):
            continue
        name = file.name.removesuffix(ending or file.suffix)
        if name in found:
            raise DataError(f"{found[name]} and {file} have the same id {name}; rename or remove one")
        found[name] = file
    return dict(sorted(found.items()))


def folders_in(folder: Path) -> list[str]:
    """Return the names of the folders in a folder, without hidden ones."""
    return sorted(entry.name for entry in _entries(folder) if entry.is_dir())


def _files(folder: Path) -> Iterator[Path]:
    """Return the files in a folder and in the folders in it."""
    for entry in _entries(folder):
        inside = _entries(entry) if entry.is_dir() else [entry]
        yield from (Path(one.path) for one in inside)


def _entries(folder: Path | os.DirEntry[str]) -> list[os.DirEntry[str]]:
    """Return what is in a folder, but nothing hidden: macOS's "._a.jpg", Jupyter's ".ipynb_checkpoints"."""
    with os.scandir(folder) as entries:
        return [entry for entry in entries if not entry.name.startswith(".")]


def _check_sizes(image: Image, mask: Mask, image_file: Path, mask_file: Path) -> None:
    """Raise a DataError unless image and mask cover the same pixels."""
    if image.shape[:2] == mask.shape:
        return
    sizes = [f"{width}x{height}" for height, width in (image.shape[:2], mask.shape)]
    message = (
        f"{mask_file} is {sizes[1]} pixels (width x height), but its image {image_file.name} is {sizes[0]}"
    )
    turned, stored = orientation(image_file)
    if turned and stored == mask.shape[::-1]:
        raise DataError(
            f"{message}: the photograph's EXIF data turn it upright, the mask was made for the unturned "
            "pixels; turn the mask likewise, or remove the orientation from the photograph's EXIF data"
        )
    raise DataError(f"{message}; a mask must have a label for every pixel of its own image")


def _check_values(stored: Mask, encoding: Encoding, file: Path) -> None:
    """Raise a DataError if a stored value stands for nothing."""
    if encoding.valid[stored].all():
        return
    counts = np.bincount(stored.ravel(), minlength=256)
    wrong = np.flatnonzero((counts > 0) & ~encoding.valid).tolist()
    found = ", ".join(f"{value} ({counts[value]} pixels)" for value in wrong[:5])
    raise DataError(
        f"{file} holds the label {found}, but there are {len(encoding.stored)} classes, "
        f"{_runs(encoding.stored)}, and {_runs(encoding.ignored)} for void; correct the mask or add the "
        "class's name"
    )


def _runs(values: Sequence[int]) -> str:
    """Write numbers with their runs shortened: "0..6, 9, 255"."""
    runs = [
        [value for _, value in run]
        for _, run in groupby(enumerate(sorted(set(values))), lambda p: p[1] - p[0])
    ]
    return ", ".join(f"{run[0]}..{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)
