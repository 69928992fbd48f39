"""Anybody's labelled pictures in the folder layout of PASCAL VOC: read them, check them, write them.

root/JPEGImages/<id>.jpg
root/SegmentationClass/<id>.png             8-bit palette or grey: the value is the class, 255 is void
root/ImageSets/Segmentation/<split>.txt     one id a line
root/classes.txt                            one name a line, in the order of the labels
"""

import os
import secrets
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image as PILImage

from dmnet.datasets.base import IGNORE, Dataset, Example, Image, Mask, checked_index
from dmnet.datasets.classes import ClassList, label_image
from dmnet.errors import DataError
from dmnet.files import name_file
from dmnet.images import orientation, read_image, read_mask
from dmnet.progress import progress

IMAGES, MASKS, LISTS = "JPEGImages", "SegmentationClass", "ImageSets/Segmentation"
_SUFFIXES = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG", ".webp", ".tif", ".tiff", ".bmp")
_SHOWN = 20  # problems that one message lists


class FolderDataset:
    """Labelled pictures below a folder; see `dmnet.datasets.base.Dataset` for what it offers.

    The lists are read and checked at once, the pictures when they are asked for; `check()` reads them all.

    Args:
        root: the folder, laid out as above.
        split: name of the list, without ".txt".
        classes: names and colours; by default those of `classes.txt`, in VOC's colours.
        masks: folder below `root` that the masks lie in.

    Raises:
        DataError: if the folder, the class list or the split's list is missing, empty or contradictory.
    """

    ignore_index = IGNORE

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str = "train",
        *,
        classes: ClassList | None = None,
        masks: str = MASKS,
    ) -> None:
        self.root, self.split = Path(root).expanduser(), split
        if not self.root.is_dir():
            raise DataError(
                f"there is no folder {self.root}; give the folder that holds {IMAGES} and {MASKS}"
            )
        for folder in (IMAGES, masks):
            if not (self.root / folder).is_dir():
                raise DataError(
                    f"{self.root} has no folder {folder}; the layout is {IMAGES}, {MASKS}, {LISTS}"
                )
        classes = classes or read_classes(self.root / "classes.txt")
        self.classes, self.palette = classes.names, classes.palette
        self.ids = _read_split(self.root, split)
        self._masks = masks

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Example:
        name = self.ids[checked_index(index, len(self))]
        image_file, mask_file = self.image_file(name), self.mask_file(name)
        image, mask = read_image(image_file), read_mask(mask_file)
        _check_sizes(image, mask, image_file, mask_file)
        _check_labels(mask, len(self.classes), mask_file)
        return image, mask, name

    def __iter__(self) -> Iterator[Example]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return f"FolderDataset({str(self.root)!r}, {self.split!r}, size={len(self)})"

    def image_file(self, name: str) -> Path:
        """Return the file of the picture with that id."""
        folder = self.root / IMAGES
        for suffix in _SUFFIXES:
            if (file := folder / f"{name}{suffix}").is_file():
                return file
        raise DataError(
            f"there is no picture {folder / name}.jpg, which {self._list} asks for{_hint(folder, name)}"
        )

    def mask_file(self, name: str) -> Path:
        """Return the file of the mask with that id."""
        folder = self.root / self._masks
        if not (file := folder / f"{name}.png").is_file():
            raise DataError(f"there is no mask {file}, which {self._list} asks for{_hint(folder, name)}")
        return file

    def problems(self) -> list[str]:
        """Read every example and return one message for each that cannot be used."""
        found = []
        for index in progress(range(len(self)), desc=f"checking {self.root.name} {self.split}"):
            try:
                self[index]
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
        raise DataError(f"{len(found)} of {len(self)} examples of {self._list} cannot be used:{listed}{more}")

    @property
    def _list(self) -> Path:
        return self.root / LISTS / f"{self.split}.txt"


def read_classes(file: Path) -> ClassList:
    """Read class names, one a line, in the order of their labels; they get VOC's colours.

    Raises:
        DataError: if the file is missing or empty, has a name twice, or more than 255 names.
    """
    names = _lines(file, f"write the class names into {file}, one a line, in the order of their labels")
    if repeated := _repeated(names):
        raise DataError(f"{file} has {', '.join(repeated)} more than once; a name stands for one label")
    if len(names) > IGNORE:
        raise DataError(f"{file} has {len(names)} names; there are 255 labels besides void (255)")
    return ClassList.with_voc_colours(names)


def _read_split(root: Path, split: str) -> tuple[str, ...]:
    """Read the ids of a split; the error for a missing list names those that are there."""
    file = root / LISTS / f"{split}.txt"
    there = sorted(other.stem for other in (root / LISTS).glob("*.txt"))
    remedy = f"this data set has {', '.join(there)}" if there else "write the ids into it, one a line"
    ids = _lines(file, remedy)
    if repeated := _repeated(ids):
        raise DataError(f"{file} lists {', '.join(repeated)} more than once; remove the repetitions")
    return ids


def _lines(file: Path, remedy: str) -> tuple[str, ...]:
    """Return the lines of a text file that hold something, without blanks around them."""
    if not file.is_file():
        raise DataError(f"there is no list {file}; {remedy}")
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read as UTF-8 text: {error}") from error
    found = tuple(line.strip() for line in lines if line.strip())
    if not found:
        raise DataError(f"{file} is empty; {remedy}")
    return found


def _repeated(names: Sequence[str]) -> list[str]:
    """Return up to five of the names that occur more than once."""
    return [name for name, count in Counter(names).items() if count > 1][:5]


def _hint(folder: Path, name: str) -> str:
    """Say what is probably wrong when a listed file is missing."""
    if (folder / name).is_file():
        return "; list ids without the file's suffix"
    if " " in name:
        return "; the list must hold one id a line and nothing else"
    return "; add the file or take its id off the list"


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


def _check_labels(mask: Mask, count: int, file: Path) -> None:
    """Raise a DataError if a label has no class."""
    counts = np.bincount(mask.ravel(), minlength=256)
    wrong = [label for label in np.flatnonzero(counts).tolist() if count <= label != IGNORE]
    if wrong:
        found = ", ".join(f"{label} ({counts[label]} pixels)" for label in wrong[:5])
        raise DataError(
            f"{file} holds the label {found}, but there are {count} classes, 0..{count - 1}, and 255 "
            "for void; correct the mask or add the class's name"
        )


def write_voc_layout(datasets: Dataset | Sequence[Dataset], root: str | os.PathLike[str]) -> Path:
    """Write data sets to disk in the folder layout that `FolderDataset` reads.

    The folder appears when it is complete: everything is written beside it first, then renamed.

    Args:
        datasets: one split, or several with the same classes; each becomes a list of its own.
        root: folder to make; it must not exist, or be empty.

    Returns:
        The folder.

    Raises:
        DataError: if the folder holds something, or the splits don't go together.
    """
    splits = datasets if isinstance(datasets, Sequence) else [datasets]
    _check_splits(splits)
    root = Path(root).expanduser()
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise DataError(f"{root} exists already and is kept as it is; give a folder that is new or empty")
    root.parent.mkdir(parents=True, exist_ok=True)
    temporary = root.with_name(f".{root.name}.{secrets.token_hex(4)}.tmp")
    try:
        _write_folder(splits, temporary)
        if root.exists():
            root.rmdir()
        temporary.rename(root)
    except BaseException as error:
        name_file(error, root)
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return root


def _check_splits(splits: Sequence[Dataset]) -> None:
    """Raise a DataError unless the splits can share a folder."""
    if not splits:
        raise DataError("there is no data set to write")
    if repeated := _repeated([dataset.split for dataset in splits]):
        raise DataError(f"the split {repeated[0]} is given twice; write each into a folder of its own")
    if any(dataset.classes != splits[0].classes for dataset in splits):
        raise DataError("the data sets have different classes; write each into a folder of its own")
    if repeated := _repeated([name for dataset in splits for name in dataset.ids]):
        raise DataError(f"the splits share the ids {', '.join(repeated)}; files would overwrite each other")


def _write_folder(splits: Sequence[Dataset], root: Path) -> None:
    """Write images, masks, lists and class names below `root`."""
    for folder in (IMAGES, MASKS, LISTS):
        (root / folder).mkdir(parents=True)
    (root / "classes.txt").write_text("\n".join(splits[0].classes) + "\n", encoding="utf-8")
    for dataset in splits:
        (root / LISTS / f"{dataset.split}.txt").write_text("\n".join(dataset.ids) + "\n", encoding="utf-8")
        for index in progress(range(len(dataset)), desc=f"writing {dataset.split}"):
            image, mask, name = dataset[index]
            PILImage.fromarray(image).save(root / IMAGES / f"{name}.jpg", quality=95, subsampling=0)
            label_image(mask, dataset.palette).save(root / MASKS / f"{name}.png")
