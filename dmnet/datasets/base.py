"""What every data set offers, and the check of what it returns."""

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from dmnet.errors import DataError

IGNORE = 255  # the label that counts neither in the loss nor in the metrics

Image = NDArray[np.uint8]  # RGB [H, W, 3]
Mask = NDArray[np.uint8]  # [H, W]
Example = tuple[Image, Mask, str]  # image, mask, id


@runtime_checkable
class Dataset(Protocol):
    """Labelled images by index: `dataset[i]` is an `Example`. Shown in {doc}`05_data`."""

    split: str  # which part of the data this is, e.g. "train"
    classes: tuple[str, ...]  # names, in the order of their labels
    palette: NDArray[np.uint8]  # [len(classes), 3], a colour for each
    ids: tuple[str, ...]  # one per example
    ignore_index: int  # 255, the label that counts nowhere

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Example: ...

    def __iter__(self) -> Iterator[Example]: ...


class Checked:
    """The examples of any data set, each checked when it is asked for. Used in {doc}`06_training`.

    `dataset` is any object with `classes` and dataset[i] -> (image, mask, id). A DataError names the example
    whose image is not uint8 [H, W, 3], or whose mask is not integers [H, W], each a label in
    0..len(classes) - 1 or 255, which is ignored.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __getitem__(self, index: int) -> Example:
        given, found, name = self.dataset[index]
        image, mask, count = np.asarray(given), np.asarray(found), len(self.dataset.classes)
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise DataError(f"{name}: the image is {image.dtype} {list(image.shape)}, not uint8 [H, W, 3]")
        if mask.ndim != 2 or mask.dtype.kind not in "iub":
            raise DataError(f"{name}: the mask is {mask.dtype} {list(mask.shape)}, not integers [H, W]")
        check_size(image, mask, name)
        wrong = mask[((mask < 0) | (mask >= count)) & (mask != IGNORE)]
        if wrong.size:
            raise DataError(
                f"{name}: the mask has the label {wrong[0]}, but there are {count} classes, 0 to {count - 1} "
                f"(and {IGNORE}, ignored); complete the class list or correct the mask"
            )
        return given, found, name


def check_size(image: Image, mask: Mask, name: str, hint: str = "") -> None:
    """Raise a DataError unless an image and its mask have the same size. Used in {doc}`06_training`."""
    if mask.shape != image.shape[:2]:
        sizes = f"the image is {image.shape[:2]}{hint}, its mask {mask.shape} (height, width)"
        raise DataError(f"{name}: {sizes}; make a mask of the same size")
