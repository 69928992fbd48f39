"""Data sets: `load(name)` gives labelled pictures by index, wherever they come from."""

import os
from typing import Any

from dmnet.datasets.base import IGNORE, Dataset
from dmnet.datasets.demo import WORLDS, DemoDataset
from dmnet.datasets.files import FileDataset
from dmnet.datasets.folder import FolderDataset
from dmnet.datasets.layouts import write_voc_layout
from dmnet.datasets.voc import load_voc
from dmnet.errors import DataError

__all__ = [
    "IGNORE",
    "Dataset",
    "DemoDataset",
    "FileDataset",
    "FolderDataset",
    "load",
    "names",
    "write_voc_layout",
]


def names() -> tuple[str, ...]:
    """Return the names that `load` knows."""
    return ("voc", "folder", *WORLDS)


def load(
    name: str, root: str | os.PathLike[str] | None = None, split: str = "train", **options: Any
) -> DemoDataset | FolderDataset:
    """Return a data set: `dataset[i]` is an image, its mask and its id.

    Args:
        name: "voc"; "folder", anybody's own pictures in VOC's layout with a `classes.txt`; "demo_context" or
            "demo_scale", which are drawn here.
        root: where the files are; needed for "folder", optional for "voc", of no use to the drawn sets.
        split: "train", "val" or another that the data set has; the drawn sets have a "test" too.
        options: for the drawn sets `size`, `seed` and `workers`, see `DemoDataset`; for "folder" `masks`, see
            `FolderDataset`.

    Returns:
        What `Dataset` describes.

    Raises:
        DataError: if there is no such data set or split, or its files are not as they should be.
    """
    if name in WORLDS:
        if root is not None:
            raise DataError(
                f"{name} is drawn, not read, so it has no root; leave out root={os.fspath(root)!r}"
            )
        return DemoDataset(name, split, **options)
    if name == "voc":
        return load_voc(root, split, **options)
    if name == "folder":
        if root is None:
            raise DataError("the data set 'folder' needs a root, the folder that holds JPEGImages")
        return FolderDataset(root, split, **options)
    raise DataError(f"there is no data set {name!r}; there are {', '.join(names())}")
