"""Data sets: `load(name)` gives labelled pictures by index, wherever they come from."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dmnet.datasets.ade20k import SCENE_PARSING, load_ade20k
from dmnet.datasets.base import IGNORE, Dataset, Example, Image, Mask
from dmnet.datasets.cityscapes import FINE, load_cityscapes
from dmnet.datasets.files import FileDataset
from dmnet.datasets.folder import IMAGES, FolderDataset
from dmnet.datasets.lists import NAMES, Classes
from dmnet.datasets.pairs import PairsDataset, is_pairs, load_pairs
from dmnet.datasets.published import Published
from dmnet.datasets.voc import VOC2012, load_voc
from dmnet.errors import DataError

__all__ = [
    "IGNORE",
    "PUBLISHED",
    "Dataset",
    "Example",
    "FileDataset",
    "FolderDataset",
    "Image",
    "Mask",
    "PairsDataset",
    "Published",
    "check_example",
    "checked",
    "layout_of",
    "load",
    "names",
]

PUBLISHED = {one.name: one for one in (VOC2012, SCENE_PARSING, FINE)}
DRAWN = ("demo_context", "demo_scale")  # made by the wing `dmnet.worlds`
_READERS: dict[str, Callable[..., FileDataset]] = {
    "voc": load_voc,
    "ade20k": load_ade20k,
    "cityscapes": load_cityscapes,
    "folder": FolderDataset,
    "pairs": load_pairs,
}


def names() -> tuple[str, ...]:
    """Return the names that `load` knows."""
    return (*_READERS, *DRAWN)


def load(
    name: str,
    root: str | os.PathLike[str] | None = None,
    split: str = "train",
    classes: Classes | None = None,
    **options: Any,
) -> Any:
    """Return a data set: `dataset[i]` is an image, its mask and its id.

    Args:
        name: "voc", "ade20k", "cityscapes"; anybody's own pictures as "folder", in VOC's layout, or as
            "pairs", a folder of images and one of masks; or "demo_context" and "demo_scale", drawn here.
        root: where the files are; needed for one's own pictures, by default the data folder for the published
            sets, of no use to the drawn ones.
        split: "train", "val" or another that the data set has; the drawn sets have a "test" too.
        classes: names, or a `ClassList` of names and colours; by default those of a `classes.txt` in the
            folder, or the published ones.
        options: for files `labelled=False`, to read a test set's pictures alone, and what `load_pairs` and
            `FolderDataset` describe; for the drawn sets `size`, `seed` and `workers`, see `DemoDataset`.

    Returns:
        What `Dataset` describes.

    Raises:
        DataError: if there is no such data set or split, or its files are not as they should be.
    """
    if name in DRAWN:
        if root is not None:
            raise DataError(
                f"{name} is drawn, not read, so it has no root; leave out root={os.fspath(root)!r}"
            )
        if classes is not None:
            raise DataError(f"{name} is drawn with its own classes; leave out classes")
        from dmnet.worlds import DemoDataset  # a door: the core itself draws nothing

        return DemoDataset(name, split, **options)
    if name not in _READERS:
        raise DataError(f"there is no data set {name!r}; there are {', '.join(names())}")
    if root is None and name not in PUBLISHED:
        raise DataError(f"the data set {name!r} needs a root, the folder that holds images and masks")
    return _READERS[name](root, split, classes=classes, **options)


def layout_of(folder: str | os.PathLike[str]) -> str:
    """Return the name by which `load` reads a folder, as its contents show.

    - `leftImg8bit`: "cityscapes";
    - `images/training` and `annotations/training`, or the same of `validation`: "ade20k";
    - `JPEGImages`: "folder", or "voc" if it is called `VOC2012` and has no `classes.txt`;
    - a folder of images beside one of masks: "pairs".

    Raises:
        DataError: if it is none of these.
    """
    folder = Path(folder).expanduser()
    if FINE.is_at(folder):
        return "cityscapes"
    if SCENE_PARSING.is_at(folder) and (folder / "annotations").is_dir():
        return "ade20k"
    if (folder / IMAGES).is_dir():
        return "voc" if folder.name == "VOC2012" and not (folder / NAMES).is_file() else "folder"
    if is_pairs(folder):
        return "pairs"
    raise DataError(
        f"{folder} is laid out as no data set is: it needs JPEGImages and SegmentationClass, or images and "
        "masks, or be what the archives of ADE20K or Cityscapes unpack to"
    )


def check_example(image: Any, mask: Any, name: str, num_classes: int) -> None:
    """Raise a DataError unless an image and its mask can be trained on. Used in {doc}`06_training`.

    Args:
        image: must be uint8 [H, W, 3].
        mask: must be integers [H, W], each a label in 0..num_classes - 1 or 255, which is ignored.
        name: the example's id, for the message.
        num_classes: how many classes there are.
    """
    image, mask = np.asarray(image), np.asarray(mask)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise DataError(f"{name}: the image is {image.dtype} {list(image.shape)}, not uint8 [H, W, 3]")
    if mask.ndim != 2 or mask.dtype.kind not in "iub":
        raise DataError(f"{name}: the mask is {mask.dtype} {list(mask.shape)}, not integers [H, W]")
    if mask.shape != image.shape[:2]:
        raise DataError(f"{name}: the image is {image.shape[:2]}, its mask {mask.shape} (height, width)")
    wrong = mask[((mask < 0) | (mask >= num_classes)) & (mask != IGNORE)]
    if wrong.size:
        raise DataError(
            f"{name}: the mask has the label {wrong[0]}, but there are {num_classes} classes, "
            f"0 to {num_classes - 1} (and {IGNORE}, ignored); complete the class list or correct the mask"
        )


def checked(dataset: Any) -> Any:
    """Return a data set whose examples pass `check_example`. Used in {doc}`06_training`.

    The package's own data sets check what they read, and are returned as they are; any other object with
    `classes`, a length and dataset[i] -> (image, mask, id) is wrapped.
    """
    return dataset if getattr(dataset, "checks_itself", False) else _Checked(dataset)


class _Checked:
    """A data set, each of whose examples is checked when it is asked for; all else is the original's."""

    checks_itself = True

    def __init__(self, dataset: Any) -> None:
        self.original = dataset

    def __len__(self) -> int:
        return len(self.original)

    def __getitem__(self, index: int) -> Example:
        image, mask, name = self.original[index]
        check_example(image, mask, name, len(self.original.classes))
        return image, mask, name

    def __iter__(self) -> Iterator[Example]:
        return (self[index] for index in range(len(self)))

    def __getattr__(self, attribute: str) -> Any:
        if attribute == "original":  # while a copy is being unpickled
            raise AttributeError(attribute)
        return getattr(self.original, attribute)
