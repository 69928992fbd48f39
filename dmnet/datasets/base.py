"""What every data set offers, and the one check of what it returns."""

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
    check_size(image, mask, name)
    wrong = mask[((mask < 0) | (mask >= num_classes)) & (mask != IGNORE)]
    if wrong.size:
        raise DataError(
            f"{name}: the mask has the label {wrong[0]}, but there are {num_classes} classes, "
            f"0 to {num_classes - 1} (and {IGNORE}, ignored); complete the class list or correct the mask"
        )


def check_size(image: Image, mask: Mask, name: str, hint: str = "") -> None:
    """Raise a DataError unless an image and its mask have the same size. Used in {doc}`06_training`."""
    if mask.shape != image.shape[:2]:
        sizes = f"the image is {image.shape[:2]}{hint}, its mask {mask.shape} (height, width)"
        raise DataError(f"{name}: {sizes}; make a mask of the same size")


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
