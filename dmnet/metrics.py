"""How well labels are predicted: one confusion matrix, and the figures read off it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from dmnet.errors import DataError

Labels = ArrayLike | Tensor


class ConfusionMatrix:
    r"""Counts of (true class, predicted class) over as many images as are put in.

    `counts` is $n$, int64 [K, K]: $n_{tp}$ pixels of class $t$ were predicted as $p$. One matrix serves a
    whole data set, and all figures come out of it at the end; a mean of per-image figures is another number.

    Args:
        num_classes: $K$, at least 1.
        ignore_index: true label of the pixels that don't count.
    """

    def __init__(self, num_classes: int, ignore_index: int = 255) -> None:
        if num_classes < 1:
            raise ValueError(f"num_classes must be at least 1, got {num_classes}")
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.counts: NDArray[np.int64] = np.zeros((num_classes, num_classes), np.int64)

    def update(self, predicted: Labels, target: Labels) -> None:
        """Count one image, or a batch.

        Args:
            predicted: integers of any shape, each in [0, K).
            target: as many integers in the same shape; `ignore_index` where the truth isn't known.

        Raises:
            DataError: if the shapes differ or a value is outside the classes; nothing is counted then.
        """
        found, true = _integers(predicted, "predicted"), _integers(target, "target")
        if found.shape != true.shape:
            raise DataError(f"the prediction has shape {found.shape}, the labels have {true.shape}")
        known = true != self.ignore_index
        found, true = found[known], true[known]
        self._check(found, "a predicted")
        self._check(true, "a true")
        pairs = np.bincount(true * self.num_classes + found, minlength=self.num_classes**2)
        self.counts += pairs.reshape(self.counts.shape)

    def _check(self, values: NDArray[np.int64], kind: str) -> None:
        if values.size == 0:
            return
        for value in (values.min(), values.max()):
            if not 0 <= value < self.num_classes:
                raise DataError(
                    f"{kind} label is {value}, but there are {self.num_classes} classes, 0 to "
                    f"{self.num_classes - 1} (and {self.ignore_index}, ignored): is the class list complete?"
                )

    def __add__(self, other: "ConfusionMatrix") -> "ConfusionMatrix":
        """Return the matrix of both sets of images together."""
        if (self.num_classes, self.ignore_index) != (other.num_classes, other.ignore_index):
            raise ValueError("only matrices with the same classes and the same ignored label can be added")
        total = ConfusionMatrix(self.num_classes, self.ignore_index)
        total.counts = self.counts + other.counts
        return total

    def iou(self) -> NDArray[np.float64]:
        r"""Return the intersection over union of every class.

        $n_{cc} / (\sum_p n_{cp} + \sum_t n_{tc} - n_{cc})$, [K], in 0..1. NaN for a class that occurs neither
        in the labels nor in the predictions; 0 for one that is predicted but does not occur.
        """
        return _ratio(self._hits, self._true + self._predicted - self._hits)

    def miou(self) -> float:
        """Return the mean of `iou()` over the classes that are not NaN; NaN if all are."""
        iou = self.iou()
        return float("nan") if np.isnan(iou).all() else float(np.nanmean(iou))

    def pixel_accuracy(self) -> float:
        """Return the share of the labelled pixels that are right; NaN if there are none."""
        return float(_ratio(self._hits.sum(), self.counts.sum()))

    def class_accuracy(self) -> NDArray[np.float64]:
        """Return the share of each class's pixels that were found (recall), [K]; NaN where there are none."""
        return _ratio(self._hits, self._true)

    def table(self, classes: Sequence[str] | None = None) -> pd.DataFrame:
        """Return one row per class: IoU, accuracy and precision in percent, and its number of pixels.

        Args:
            classes: K names for the index; numbers without them.
        """
        names = list(classes) if classes is not None else [str(c) for c in range(self.num_classes)]
        if len(names) != self.num_classes:
            raise ValueError(f"{len(names)} names for {self.num_classes} classes")
        columns = {
            "IoU": 100 * self.iou(),
            "accuracy": 100 * self.class_accuracy(),
            "precision": 100 * _ratio(self._hits, self._predicted),
            "pixels": self._true,
        }
        return pd.DataFrame(columns, index=pd.Index(names, name="class"))

    @property
    def _hits(self) -> NDArray[np.int64]:
        return self.counts.diagonal()

    @property
    def _true(self) -> NDArray[np.int64]:
        return self.counts.sum(axis=1)

    @property
    def _predicted(self) -> NDArray[np.int64]:
        return self.counts.sum(axis=0)

    def __repr__(self) -> str:
        pixels = self.counts.sum()
        return f"ConfusionMatrix({self.num_classes} classes, {pixels:,} pixels, mIoU {self.miou():.2%})"


def _integers(values: Labels, name: str) -> NDArray[np.int64]:
    array = np.asarray(values.cpu() if isinstance(values, torch.Tensor) else values)
    if array.dtype.kind not in "iub":
        raise DataError(f"{name} must hold class numbers, not {array.dtype}: take the arg-max first")
    return array.astype(np.int64)


def _ratio(part: Any, whole: Any) -> Any:
    """Return part / whole, NaN where whole is 0."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
