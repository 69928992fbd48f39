"""How well labels are predicted: one confusion matrix, and the figures read off it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from dmnet.datasets.base import IGNORE
from dmnet.errors import DataError

Integers = NDArray[Any]  # of any integer type
Counts = NDArray[np.int64]


class Metric(ABC):
    """Something counted over as many images as are put in, and read off at the end.

    Its attributes are settings, and counts: arrays of integers, whose sum over images is the same in any
    order and over any number of processes. Where the true label is 255, nothing counts. Shown in
    {doc}`07_evaluation`.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes

    def update(self, predicted: ArrayLike | Tensor, target: ArrayLike | Tensor) -> None:
        """Count one image, or a batch: integers of one shape, classes 0..K-1.

        Where `target` is 255, the truth isn't known, and `predicted` may be any integer.

        Raises:
            DataError: if the shapes differ or a value is outside the classes; nothing is counted then.
        """
        found, true = (np.asarray(x.cpu() if isinstance(x, Tensor) else x) for x in (predicted, target))
        if found.dtype.kind not in "biu" or true.dtype.kind not in "biu":
            raise DataError(f"labels must be integers, not {found.dtype}, {true.dtype}: take the arg-max")
        if found.shape != true.shape:
            raise DataError(f"the prediction has shape {found.shape}, the labels have {true.shape}")
        self._count(found, true)

    @property
    def arrays(self) -> list[Counts]:
        """The counts themselves, to be added up in place over several processes."""
        return [value for value in vars(self).values() if isinstance(value, np.ndarray)]

    @abstractmethod
    def table(self) -> pd.DataFrame:
        """Return the figures."""

    @abstractmethod
    def _count(self, found: Integers, true: Integers) -> None:
        """Add predictions and labels of the same shape; raise a `DataError` before anything is added."""

    def _check(self, found: Integers, true: Integers) -> None:
        """Raise a `DataError` if a known pixel's prediction or label is no class."""
        for kind, values in (("a predicted", found), ("a true", true)):
            strange = values[(values < 0) | (values >= self.num_classes)]
            if strange.size:
                known = f"{self.num_classes} classes, 0 to {self.num_classes - 1} (and {IGNORE}, ignored)"
                why = f"{kind} label is {strange.flat[0]}, but there are {known}"
                raise DataError(f"{why}: is the class list complete?")

    def _names(self, classes: Sequence[str] | None) -> "pd.Index[Any]":
        names = [str(c) for c in range(self.num_classes)] if classes is None else list(classes)
        return pd.Index(names, name="class")


class ConfusionMatrix(Metric):
    r"""Counts of (true class, predicted class) over as many images as are put in, of any shape.

    `counts` is $n$, int64 [K, K]: $n_{tp}$ pixels of class $t$ were predicted as $p$. All figures come out of
    a whole data set's counts; a mean of per-image figures is another number. Derived in {doc}`06_training`.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.counts: Counts = np.zeros((num_classes, num_classes), np.int64)

    def _count(self, found: Integers, true: Integers) -> None:
        pixels = None  # one for each pair
        if found.dtype == true.dtype == np.uint8:  # one pass over all pairs of bytes, void among them
            counted = np.bincount((true.astype(np.uint16) << 8 | found).ravel())
            (pairs,) = counted.nonzero()
            pixels, true, found = counted[pairs], pairs >> 8, pairs & 255
        known = true != IGNORE
        true, found = true[known], found[known]
        self._check(found, true)
        pairs = self.num_classes * true.astype(np.int64) + found.astype(np.int64)
        counted = np.bincount(pairs, None if pixels is None else pixels[known], self.counts.size)
        self.counts += counted.astype(np.int64).reshape(self.counts.shape)

    @property
    def _sums(self) -> tuple[Counts, Counts, Counts]:
        """Of each class the pixels that are right, that are labelled and that are predicted."""
        return self.counts.diagonal(), self.counts.sum(axis=1), self.counts.sum(axis=0)

    def iou(self) -> NDArray[np.float64]:
        r"""Return the intersection over union of every class.

        $n_{cc} / (\sum_p n_{cp} + \sum_t n_{tc} - n_{cc})$, [K], in 0..1. NaN for a class that occurs neither
        in the labels nor in the predictions; 0 for one that is predicted but does not occur.
        """
        right, labelled, predicted = self._sums
        return ratio(right, labelled + predicted - right)

    def miou(self) -> float:
        """Return the mean of `iou()` over the classes that are not NaN; NaN if all are."""
        return mean(self.iou())

    def pixel_accuracy(self) -> float:
        """Return the share of the labelled pixels that are right; NaN if there are none."""
        return float(ratio(self.counts.trace(), self.counts.sum()))

    def table(self, classes: Sequence[str] | None = None) -> pd.DataFrame:
        """Return a row per class, named by `classes`: IoU, accuracy, precision in %, pixels, and `why`.

        Accuracy is the share of the labelled pixels that are right (recall), precision that of the predicted.
        """
        right, labelled, predicted = self._sums
        shares = {"IoU": self.iou(), "accuracy": ratio(right, labelled), "precision": ratio(right, predicted)}
        frame = 100 * pd.DataFrame(shares, index=self._names(classes))
        return frame.assign(pixels=labelled, why=self.why(classes))

    def why(self, classes: Sequence[str] | None = None) -> list[str]:
        """Return for every class why its IoU is NaN or 0, in words, and "" where it is neither."""
        names, reasons = self._names(classes).to_list(), []

        def most(counts: Counts) -> str:
            return f"{names[counts.argmax()]}, {counts.max() / max(counts.sum(), 1):.0%}"

        for c, (right, labelled, predicted) in enumerate(np.transpose(self._sums).tolist()):
            claimed = f"predicted in {predicted:,} pixel{'s' * (predicted > 1)}"
            verdict = f"{claimed}, always wrong" if predicted else "never predicted"
            place = f"labelled in {labelled:,} pixel{'s' * (labelled > 1)}"
            wrong = f"{verdict} ({place}; most often predicted as {most(self.counts[c])})"
            claimed = f", but {claimed} (most often on {most(self.counts[:, c])})"
            absent = f"absent from the labels{claimed if predicted else ': not counted'}"
            reasons.append("" if right else wrong if labelled else absent)
        return reasons

    def __repr__(self) -> str:
        pixels = self.counts.sum()
        return f"ConfusionMatrix({self.num_classes} classes, {pixels:,} pixels, mIoU {self.miou():.2%})"


def ratio(part: Any, whole: Any) -> Any:
    """Return part / whole, NaN where whole is 0. Used in {doc}`07_evaluation`."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def mean(values: NDArray[np.float64]) -> float:
    """Return the mean of the values that are not NaN; NaN if all are. Used in {doc}`07_evaluation`."""
    return float("nan") if np.isnan(values).all() else float(np.nanmean(values))
