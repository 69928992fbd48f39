"""Images and masks in files: how they are found, what the stored numbers mean, what is wrong with them.

Anybody's own images lie as "folder", the layout of PASCAL VOC with lists of ids, or as "pairs", a folder of
images and one of masks:
```
root/JPEGImages/a.jpg      root/SegmentationClass/a.png    root/ImageSets/Segmentation/train.txt
root/images/train/a.jpg    root/masks/train/a.png
```
In pairs, folders say which image is in which split, or the lists root/train.txt and root/val.txt, or, where
there are none, chance; a list beside folders leaves out all others. A mask's value is the class, 255 is void.
`root/classes.txt` has one name a line, the first for the value 0; the name "(ignored)" makes a value void.
"""

import hashlib
import os
import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from dmnet.classes import KNOWN, ClassList, voc_palette
from dmnet.datasets.base import IGNORE, Example, Image, Mask, check_size
from dmnet.errors import DataError
from dmnet.images import read_image, read_mask

NAMES, IGNORED = "classes.txt", "(ignored)"
IMAGES, MASKS, LISTS = "JPEGImages", "SegmentationClass", "ImageSets/Segmentation"  # VOC's
VOC_LAYOUT: dict[str, Any] = {"images": IMAGES, "masks": MASKS, "lists": LISTS}  # for `load_files`
OWN_IMAGES = ("images", "img_dir")  # of pairs: the first that exists is taken
OWN_MASKS = ("masks", "labels", "annotations", "ann_dir")
MASK_ENDINGS = ("", "_mask", "_label", "_labels", "_gt")  # what a mask's name may have after its image's
STRAY = ("__MACOSX", "@eaDir", "predictions")  # folders that other programs and `dmnet predict` leave
SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".pgm", ".ppm")
TABLE = re.compile(r"\d+[\s:;,.=)-]+\S.*|.*[\t:;,=]\s*\d+|.*(\s+\d+){3}")  # "0: sky", "sky,0", "sky 0 0 255"
UNKNOWN = 254  # in an encoding's table: a stored value that stands for nothing

Classes = ClassList | Sequence[str]
Files = dict[str, tuple[Path | None, Path | None]]  # id -> image and mask; None if it is not there


@dataclass(frozen=True)
class Encoding:
    """The stored value of every label, and those that mean "ignore this pixel". Shown in {doc}`05_data`."""

    stored: tuple[int, ...]  # of the labels 0, 1, 2, ..., at most 254 of them
    ignored: tuple[int, ...] = (IGNORE,)  # stored values that become 255; the first is written for it

    @classmethod
    def plain(cls, count: int = UNKNOWN) -> Self:
        """Return the encoding of VOC with `count` classes: a label is stored as itself."""
        return cls(tuple(range(count)))

    @cached_property
    def table(self) -> Mask:
        """The label of every stored value [256], 255 if it is ignored, 254 if it stands for nothing."""
        table = np.full(256, UNKNOWN, np.uint8)
        table[list(self.ignored)] = IGNORE
        table[list(self.stored)] = np.arange(len(self.stored))
        return table

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Whether a stored value [256] stands for a label, or for "ignore"."""
        return self.table != UNKNOWN

    def decode(self, stored: ArrayLike) -> Mask:
        """Return the labels of stored values, uint8 of the same shape; see `table`."""
        values = np.asarray(stored, np.uint8)
        return cv2.LUT(values, self.table).reshape(values.shape)  # several times as fast as NumPy

    def encode(self, labels: ArrayLike) -> Mask:
        """Return what is stored for labels in [0, number of classes) and 255, uint8 of the same shape."""
        table = np.full(256, self.ignored[0], np.uint8)
        table[: len(self.stored)] = self.stored
        return table[np.asarray(labels, np.uint8)]


@dataclass(eq=False, repr=False)
class FileDataset:
    """Labelled images in files; see `dmnet.datasets.Dataset`. Shown in {doc}`05_data`.

    Lists and folders are read at once, images when they are asked for; `dmnet.doctor.examine` reads them all.
    Without masks (`labelled` is False), as in a test set, only `image(index)` can be asked for.
    """

    name: str  # what `dmnet.datasets.load` knows the kind as
    root: Path  # the folder that everything lies in
    split: str
    files: Files
    class_list: ClassList
    encoding: Encoding
    source: Path  # the list or folder that says which examples there are
    labelled: bool = True
    unpaired: tuple[Path, ...] = ()  # masks that belong to no image
    official_size: int | None = None  # how many examples the split has where it is published

    ignore_index: ClassVar[int] = IGNORE

    def __post_init__(self) -> None:
        self.ids, self.classes = tuple(self.files), self.class_list.names
        self.palette = self.class_list.palette

    def image_file(self, name: str) -> Path:
        """Return the file of the image with that id; a DataError if there is none."""
        if file := self.files[name][0]:
            return file
        raise DataError(f"there is no image {name} in {self.root}, which {self.source} asks for")

    def mask_file(self, name: str) -> Path:
        """Return the file of the mask with that id; a DataError if there is none."""
        if file := self.files[name][1]:
            return file
        raise DataError(f"there is no mask {name}.png in {self.root}, for the image {self.files[name][0]}")

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Example:
        if not self.labelled:
            raise DataError(f"{self!r} was loaded without labels; its images are dataset.image(index)")
        (image, name), mask_file = self.image(index), self.mask_file(self.ids[index])
        stored = read_mask(mask_file)
        check_size(image, stored, str(mask_file), ", turned upright where its EXIF data say so")
        labels = self.encoding.decode(stored)
        if (unknown := labels == UNKNOWN).any():
            counts = Counter(stored[unknown].tolist()).most_common(5)
            found = ", ".join(f"{value} ({count} pixels)" for value, count in counts)
            what = f"which is not void and none of the {len(self.classes)} classes"
            raise DataError(f"{mask_file} holds the label {found}, {what}; correct it or name the class")
        return image, labels, name

    def __iter__(self) -> Iterator[Example]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        of = f" of {self.official_size}" if self.official_size not in (None, len(self)) else ""
        return f"FileDataset({self.name!r}, {str(self.root)!r}, {self.split!r}, size={len(self)}{of})"

    def image(self, index: int) -> tuple[Image, str]:
        """Return an image and its id, without looking at the mask."""
        return read_image(self.image_file(self.ids[index])), self.ids[index]


def load_files(
    root: str | os.PathLike[str],
    split: str = "train",
    *,
    classes: Classes | None = None,
    labelled: bool = True,
    images: str | os.PathLike[str] | None = None,
    masks: str | os.PathLike[str] | None = None,
    lists: str | os.PathLike[str] | None = None,
    val_share: float = 0.2,
    seed: int = 0,
) -> FileDataset:
    """Return a split of one's own images, laid out in one of the ways above. Shown in {doc}`05_data`.

    Without folders or lists for the splits, "val" is a part drawn by lot, always the same, "train" is the
    rest, and "all" is both. Write lists where images resemble each other, like the frames of a film.

    Args:
        root: the folder that everything lies in.
        split: "train", "val" or another that has a folder or a list.
        classes: names, with or without colours; by default those of `classes.txt`.
        labelled: False reads images alone, and needs no masks.
        images: folder of the images, from `root`; by default the first of `images`, `img_dir`.
        masks: folder of the masks; by default the first of `masks`, `labels`, `annotations`, `ann_dir`.
        lists: folder of the lists; by default `root`, where there need not be any.
        val_share: how much of the images a lot gives to "val".
        seed: another lot.
    """
    root = Path(root).expanduser()
    folders = [_own_folder(root, images, OWN_IMAGES)]
    folders += [_own_folder(root, masks, OWN_MASKS)] if labelled else []
    labels = labels_of(read_list(root / NAMES) if classes is None else classes, Encoding.plain())
    listed = root / (lists or "") / f"{split}.txt"
    there = {file.stem for file in listed.parent.glob("*.txt")}
    source, ids = folders[0], None
    splits = [] if lists else sorted(one.name for one in _subfolders(source) if any(one.iterdir()))
    if split in splits:
        folders = [folder / split for folder in folders]
    elif splits and split not in there:
        raise DataError(f"{source} has no split {split!r}; it has {', '.join(splits)}; or write {listed}")
    if lists or split in there or (not splits and split != "all" and there & {"train", "val"}):
        source, ids = listed, read_list(listed)
    elif split in ("train", "val") and not splits:  # no lot beside folders, or beside a list
        ids = divide(list(list_files(source)), val_share, seed)[split == "val"]
    elif split != "all" and not splits:
        raise DataError(f"{root} has no split {split!r}; write its ids into {listed}, one a line")
    found, spare = pair(*folders, ids=ids)
    if ids and not found[ids[0]][0] and (plain := Path(ids[0].split()[0]).stem) in list_files(folders[0]):
        raise DataError(f"{listed} has {ids[0]!r}; write ids alone, without folder and suffix: {plain}")
    return FileDataset("folder" if lists else "pairs", root, split, found, *labels, source, labelled, spare)


def pair(
    images: Path,
    masks: Path | None = None,
    *,
    endings: tuple[str, str] = ("", ""),
    ids: Iterable[str] | None = None,
) -> tuple[Files, tuple[Path, ...]]:
    """Return the files of every id in two folders, and the masks of no image. Used in {doc}`05_data`.

    What follows the id in the names of images and of masks are the `endings`, by default any image's suffix,
    after one of `MASK_ENDINGS` in those of masks. The `ids` are by default all; no two may share a mask.
    """
    found = list_files(images, endings[0])
    if not found:
        raise DataError(f"there is no image in {images}")
    if masks and not masks.is_dir():
        raise DataError(f"no folder {masks}: there is {contents(masks.parent)}; labelled=False needs none")
    masked = list_files(masks, endings[1]) if masks else {}
    ids, files = tuple(found if ids is None else ids), Files()
    owners: dict[Path, str] = {}
    for name in (*found, *ids):
        mask, *more = [masked.get(name + one) for one in MASK_ENDINGS if name + one in masked] or [None]
        if more and not any(name + ending in found for ending in MASK_ENDINGS[1:]):
            raise DataError(f"{mask} and {more[0]} are both a mask of {name}; leave one of them there")
        if mask and (other := owners.setdefault(mask, name)) != name:
            shared = f"the images {found.get(other)} and {found.get(name)} would share the mask {mask}"
            raise DataError(f"{shared}; move what is no image, but a label map, out of {images}")
        files[name] = found.get(name), mask
    used = {name + ending for name in files for ending in MASK_ENDINGS}
    unpaired = tuple(file for name, file in masked.items() if name not in used)
    return {name: files[name] for name in ids}, unpaired


def divide(ids: Sequence[str], share: float, seed: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Divide ids by lot: the rest, and `share` of them; each part has at least one. Used in {doc}`05_data`.

    An id draws its own number, so ids that come later move few from one part to the other.
    """
    if not 0 < share < 1 or len(ids) < 2:
        raise DataError(f"val_share={share} of {len(ids)} images is no split; give another, or write lists")
    order = sorted(ids, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())
    held = set(order[: min(max(round(share * len(ids)), 1), len(ids) - 1)])
    return tuple(name for name in ids if name not in held), tuple(name for name in ids if name in held)


def labels_of(classes: Classes, encoding: Encoding) -> tuple[ClassList, Encoding]:
    """Return the classes and how they are stored: the first has the first stored value, and so on.

    A value whose name is "(ignored)" is ignored, not a class. The encoding has the stored values in the order
    of the names, and may know more. Shown in {doc}`05_data`.
    """
    names = classes.names if isinstance(classes, ClassList) else tuple(classes)
    kept = tuple(name for name in names if name != IGNORED)
    if len(names) > len(encoding.stored):
        raise DataError(f"there are {len(names)} class names, but masks for {len(encoding.stored)} at most")
    if not kept:
        raise DataError(f"there is no class: every name is {IGNORED}")
    if "__ignore__" in names:
        raise DataError("the class names have __ignore__, which labelme counts as -1; leave that line out")
    if again := repeated(names):
        raise DataError(f"the class names have {', '.join(again)} more than once; one stands for one label")
    if not isinstance(classes, ClassList):
        classes = next((one for one in KNOWN if one.names == kept), ClassList(kept, voc_palette(len(kept))))
    values = list(zip(names, encoding.stored, strict=False))
    ignored = (*encoding.ignored, *(value for name, value in values if name == IGNORED))
    return classes, Encoding(tuple(value for name, value in values if name != IGNORED), ignored)


def read_list(file: Path, remedy: str = "") -> tuple[str, ...]:
    """Return the lines of a text file that hold something: ids, or class names. Shown in {doc}`05_data`."""
    there = ", ".join(sorted(other.stem for other in file.parent.glob("*.txt") if other.name != NAMES))
    remedy = remedy or (f"this data set has {there}" if there else "write the ids into it, one a line")
    if file.name == NAMES:
        remedy = f"write names alone into it, one a line, in the order of their labels; {IGNORED}: no class"
    if not file.is_file():
        raise DataError(f"there is no list {file}; {remedy}")
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read as UTF-8 text; save it as that: {error}") from error
    found = tuple(unicodedata.normalize("NFC", line.strip()) for line in lines if line.strip())
    if not found:
        raise DataError(f"{file} is empty; {remedy}")
    if file.name == NAMES and (line := _no_name(found)):
        raise DataError(f"{file} has more than names ({line!r}), but a line's place alone counts; {remedy}")
    if again := repeated(found):
        raise DataError(f"{file} has {', '.join(again)} more than once; remove the repetitions")
    return found


def _no_name(lines: Sequence[str]) -> str:
    """Return a line of a class list that is a comment, or one of a table with numbers or colours; or ""."""
    ends, places = [line.split()[-1] for line in lines], [str(place) for place in range(len(lines))]
    table = all(map(TABLE.fullmatch, lines)) or (ends != places and sorted(ends) == sorted(places))
    return next((line for line in lines if line.startswith("#")), lines[0] if table else "")


def repeated(names: Iterable[str]) -> list[str]:
    """Return up to five names that occur more than once; "(ignored)" may. Used in {doc}`05_data`."""
    return [name for name, count in Counter(names).items() if count > 1 and name != IGNORED][:5]


def list_files(folder: Path, ending: str = "") -> dict[str, Path]:
    """Return the images of a folder and of those in it by id, sorted, but no hidden ones.

    In a file's name the id, an NFC here, is followed by `ending`, by default any suffix. See {doc}`05_data`.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}; there is {contents(folder.parent)}")
    found: dict[str, Path] = {}
    for file in (file for place in (folder, *_subfolders(folder)) for file in place.glob("[!.]*")):
        if file.name.endswith(ending) if ending else file.suffix.lower() in SUFFIXES:
            name = unicodedata.normalize("NFC", file.name.removesuffix(ending or file.suffix))
            if name in found:
                raise DataError(f"{found[name]} and {file} have the same id {name}; rename or remove one")
            found[name] = file
    return dict(sorted(found.items()))


def contents(folder: Path) -> str:
    """Return the names of what is in a folder, up to six, for a message. Used in {doc}`05_data`."""
    there = sorted(one.name for one in folder.glob("[!.]*"))
    return ", ".join([*there[:6], "..."] if len(there) > 6 else there) or "nothing"


def _subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder, but neither hidden ones nor those that are skipped, which are named."""
    found = list(folder.glob("[!.]*/"))
    if strays := [str(one) for one in found if one.name in STRAY]:
        warnings.warn(f"skipped, as no part of the data set: {', '.join(strays)}", stacklevel=1)
    return [one for one in found if one.name not in STRAY]


def _own_folder(root: Path, given: str | os.PathLike[str] | None, usual: Sequence[str]) -> Path:
    """Return a folder below `root`: the one given, or the first of the usual ones that exists."""
    folders = [root / one for one in (usual if given is None else [given])]
    if found := [folder for folder in folders if folder.is_dir()]:
        for other in found[1:]:
            warnings.warn(f"{other} is not read, as there is {found[0]}", stacklevel=1)
        return found[0]
    asked = " or ".join(usual) if given is None else folders[0]
    raise DataError(f"{root}: there is no folder {asked}; there is {contents(root)}")
