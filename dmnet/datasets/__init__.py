"""Data sets: `load(name)` gives labelled images by index, wherever they come from."""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from dmnet.errors import DataError

if TYPE_CHECKING:
    from dmnet.datasets.files import Encoding as Encoding
    from dmnet.datasets.files import FileDataset as FileDataset
    from dmnet.datasets.published import PUBLISHED as PUBLISHED

IGNORE = 255  # the label that counts neither in the loss nor in the metrics

Image = NDArray[np.uint8]  # RGB [H, W, 3]
Mask = NDArray[np.uint8]  # [H, W]
Example = tuple[Image, Mask, str]  # image, mask, id

_LAZY = {"Encoding": "files", "FileDataset": "files", "PUBLISHED": "published"}  # name -> module
_NAMES = ("voc", "ade20k", "cityscapes", "folder", "pairs", "demo_context", "demo_scale")


@runtime_checkable
class Dataset(Protocol):
    """Labelled images by index: `dataset[i]` is an `Example`. Shown in {doc}`02_data`.

    Attributes:
        split: which part of the data this is, e.g. "train".
        classes: names, in the order of their labels.
        palette: uint8 [len(classes), 3], a colour for each.
        ids: one per example.
        ignore_index: 255, the label that counts nowhere.
    """

    split: str
    classes: tuple[str, ...]
    palette: NDArray[np.uint8]
    ids: tuple[str, ...]
    ignore_index: int

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Example: ...

    def __iter__(self) -> Iterator[Example]: ...


def names() -> tuple[str, ...]:
    """Return the names that `load` knows. Shown in {doc}`02_data`."""
    return _NAMES


def load(name: str, root: str | os.PathLike[str] | None = None, split: str = "train", **options: Any) -> Any:
    """Return a data set: `dataset[i]` is an image, its mask and its id. Shown in {doc}`02_data`.

    Args:
        name: "voc", "ade20k", "cityscapes"; anybody's own images as "folder", in VOC's layout, or as
            "pairs", a folder of images and one of masks; or "demo_context" and "demo_scale", drawn here.
        root: where the files are; needed for one's own images, by default the data folder for the published
            sets, of no use to the drawn ones.
        split: "train", "val" or another that the data set has; the drawn sets have a "test" too.
        options: for files `classes`, names or a `ClassList`, by default those of a `classes.txt` in the
            folder, or the published ones; `labelled=False`, to read a test set's images alone; and what
            `load_folder` and `load_pairs` describe; for the drawn sets see `dmnet.worlds.DemoDataset`.

    Returns:
        What `Dataset` describes.

    Raises:
        DataError: if there is no such data set or split, or its files are not as they should be.
    """
    if name not in _NAMES:
        raise DataError(f"there is no data set {name!r}; there are {', '.join(_NAMES)}")
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
        dataset = (files.load_folder if name == "folder" else files.load_pairs)(root, split, **options)
    if dataset.official_size not in (None, len(dataset)):
        warnings.warn(
            f"{dataset.source} has {len(dataset)} of the {dataset.official_size} examples of {name} {split}; "
            "unpack the archive again if this is not meant to be a part",
            stacklevel=2,
        )
    return dataset


def layout_of(folder: str | os.PathLike[str]) -> str:
    """Return the name by which `load` reads a folder, as its contents show. Shown in {doc}`02_data`.

    - `leftImg8bit`: "cityscapes";
    - `images/training` and `annotations/training`, or the same of `validation`: "ade20k";
    - `JPEGImages`: "folder", or "voc" if it is called `VOC2012` and has no `classes.txt`;
    - a folder of images beside one of masks: "pairs".

    Raises:
        DataError: if it is none of these.
    """
    from dmnet.datasets import files, published

    folder = Path(folder).expanduser()
    if published.PUBLISHED["cityscapes"].is_at(folder):
        return "cityscapes"
    if published.PUBLISHED["ade20k"].is_at(folder) and (folder / "annotations").is_dir():
        return "ade20k"
    if published.PUBLISHED["voc"].is_at(folder):
        return "voc" if folder.name == "VOC2012" and not (folder / files.NAMES).is_file() else "folder"
    if all(any((folder / one).is_dir() for one in usual) for usual in (files.OWN_IMAGES, files.OWN_MASKS)):
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


def __getattr__(name: str) -> Any:
    """Import what reads files when it is asked for: the protocol alone is light."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
