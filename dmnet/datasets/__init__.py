"""Data sets: `load(name)` gives labelled pictures by index, wherever they come from."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dmnet.datasets.ade20k import SCENE_PARSING, load_ade20k
from dmnet.datasets.base import IGNORE, Dataset
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
    "FileDataset",
    "FolderDataset",
    "PairsDataset",
    "Published",
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
