"""Data sets: `load(name)` gives labelled images by index, wherever they come from."""

import os
import warnings
from pathlib import Path
from typing import Any

from dmnet.datasets.base import IGNORE as IGNORE
from dmnet.datasets.base import Dataset as Dataset
from dmnet.datasets.base import Example as Example
from dmnet.errors import DataError

NAMES = ("voc", "ade20k", "cityscapes", "camvid", "folder", "pairs", "demo_context", "demo_scale")


def load(name: str, root: str | os.PathLike[str] | None = None, split: str = "train", **options: Any) -> Any:
    """Return a `Dataset`: [i] is an image, its mask and its id. Shown in {doc}`05_data`.

    What is missing, or not as it should be, is named in a DataError.

    Args:
        name: "voc", "ade20k", "cityscapes", "camvid"; anybody's own images as "folder", in VOC's layout, or
            as "pairs", a folder of images and one of masks; or "demo_context" and "demo_scale", drawn here.
        root: where the files are; needed for one's own images, by default the folder that the variable
            `DMNET_DATA` names, or the data folder, for the published sets; of no use to the drawn ones.
        split: "train", "val" or another that the data set has; the drawn sets have a "test" too.
        options: for files `classes`, names or a `ClassList`, by default those of a `classes.txt` in the
            folder, or the published ones; `labelled=False`, to read a test set's images alone; and what
            `dmnet.datasets.files.load_files` describes; for the drawn sets see `dmnet.worlds.DemoDataset`.
    """
    if name not in NAMES:
        raise DataError(f"there is no data set {name!r}; there are {', '.join(NAMES)}")
    if name.startswith("demo"):
        if root is not None or options.get("classes") is not None:
            raise DataError(f"{name} is drawn with its own classes, not read; leave out root and classes")
        from dmnet.worlds import DemoDataset  # a door: the core itself draws nothing

        return DemoDataset(name, split, **{key: value for key, value in options.items() if key != "classes"})
    from dmnet.datasets import files, published

    if name in published.PUBLISHED:
        dataset = published.load_published(name, root, split, **options)
    elif root is None:
        raise DataError(f"the data set {name!r} needs a root, the folder that holds images and masks")
    else:
        if name == "folder":
            options = files.VOC_LAYOUT | options
        dataset = files.load_files(root, split, **options)
    if dataset.official_size not in (None, len(dataset)):
        part = f"{len(dataset)} of the {dataset.official_size} examples of {name} {split}"
        remedy = "unpack the archive again if this is not meant to be a part"
        warnings.warn(f"{dataset.source} has {part}; {remedy}", stacklevel=2)
    return dataset


def layout_of(folder: str | os.PathLike[str]) -> str:
    """Return the name by which `load` reads a folder, or a DataError if none does. Shown in {doc}`05_data`.

    - `leftImg8bit`: "cityscapes"; `trainannot`, or `JPEGImages` and the classes of CamVid: "camvid";
    - `images/training` and `annotations/training`, or the same of `validation`: "ade20k";
    - `JPEGImages`: "folder", or "voc" if it is called `VOC2012` and has no `classes.txt`;
    - a folder of images beside one of masks: "pairs".
    """
    from dmnet.datasets import files, published

    folder = Path(folder).expanduser()
    name = next((name for name, one in published.PUBLISHED.items() if one.is_at(folder)), "")
    if name == "voc" and (folder.name != "VOC2012" or (folder / files.NAMES).is_file()):
        return "folder"
    if name and (name != "ade20k" or (folder / "annotations").is_dir()):
        return name
    if all(any((folder / one).is_dir() for one in usual) for usual in (files.OWN_IMAGES, files.OWN_MASKS)):
        return "pairs"
    raise DataError(
        f"{folder} is laid out as no data set is: it needs images and masks, maybe with train and val in "
        "them, or JPEGImages and SegmentationClass, or what the archives of ADE20K or Cityscapes hold, or "
        f"to be converted (data/README.md, Labels from another program); there is {files.contents(folder)}"
    )
