"""What every data set of the package offers, and what the readers share."""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Mask = NDArray[np.uint8]
Example = tuple[Image, Mask, str]

IGNORE = 255  # the label that counts neither in the loss nor in the metrics


@runtime_checkable
class Dataset(Protocol):
    """Labelled pictures by index.

    `dataset[i]` is the image, uint8 RGB [H, W, 3], its mask, uint8 [H, W], and its id.

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


def checked_index(index: int, size: int) -> int:
    """Return `index` counted from the front; an IndexError ends a `for` loop over a data set."""
    if not -size <= index < size:
        raise IndexError(f"example {index} of {size}")
    return index % size
