"""How labels are stored in a data set's mask files: the same class has another number in each.

| data set | stored value of class 0, 1, 2, ... | ignored |
| --- | --- | --- |
| PASCAL VOC, and pictures of one's own | 0, 1, 2, ... | 255 |
| ADE20K [SceneParse150] | 1, 2, 3, ... | 0, "other" |
| Cityscapes, `*_labelIds.png` [cityscapesScripts, `labels.py`] | 7, 8, 11, ..., 33 | all others |
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dmnet.datasets.base import IGNORE, Mask

_UNKNOWN = 254  # marks, in the table, the values that stand for nothing


@dataclass(frozen=True)
class Encoding:
    """The stored value of every label, and the stored values that mean "ignore this pixel".

    Attributes:
        stored: stored value of label 0, 1, 2, ...
        ignored: stored values that become 255; the first is written for it.
    """

    stored: tuple[int, ...]
    ignored: tuple[int, ...] = (IGNORE,)

    @classmethod
    def plain(cls, count: int) -> Self:
        """Return the encoding of VOC with `count` classes: a label is stored as itself."""
        return cls(tuple(range(count)))

    def first(self, count: int) -> Self:
        """Return the encoding that knows the first `count` labels alone."""
        return type(self)(self.stored[:count], self.ignored)

    @cached_property
    def valid(self) -> NDArray[np.bool_]:
        """[256]: whether a stored value stands for a label, or for "ignore"."""
        known = np.zeros(256, bool)
        known[[*self.stored, *self.ignored]] = True
        return known

    @cached_property
    def _labels(self) -> Mask:
        labels = np.full(256, _UNKNOWN, np.uint8)
        labels[list(self.ignored)] = IGNORE
        labels[list(self.stored)] = np.arange(len(self.stored))
        return labels

    def decode(self, stored: ArrayLike) -> Mask:
        """Return the labels of stored values, uint8 of the same shape; 255 is ignored.

        Only values that are `valid` have a label: check before, and name the file.
        """
        return self._labels[np.asarray(stored, np.uint8)]

    def encode(self, labels: ArrayLike) -> Mask:
        """Return what is stored for labels in [0, number of classes) and 255, uint8 of the same shape."""
        table = np.full(256, self.ignored[0], np.uint8)
        table[: len(self.stored)] = self.stored
        return table[np.asarray(labels, np.uint8)]


VOC_VALUES = Encoding.plain(21)
ADE20K_VALUES = Encoding(tuple(range(1, 151)), ignored=(0, IGNORE))
CITYSCAPES_VALUES = Encoding(  # labelIds -> trainIds
    (7, 8, 11, 12, 13, 17, *range(19, 29), 31, 32, 33),
    ignored=(0, *range(1, 7), 9, 10, 14, 15, 16, 18, 29, 30, IGNORE),  # 255 is -1, the licence plate
)
