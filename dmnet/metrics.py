"""How well labels are predicted: one confusion matrix, and the figures read off it.

`Metric` is what everything that counts over a data set has in common; `dmnet.analysis.boundaries` and
`dmnet.analysis.object_sizes` hold others. Several are filled in one go over the images.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from dmnet.errors import DataError

Labels = ArrayLike | Tensor
Integers = NDArray[Any]  # of any integer type
Counts = NDArray[np.int64]


class Metric(ABC):
    """Something counted over as many images as are put in, and read off at the end.

    All that was counted are integers, so the sum over images is the same in any order, and over any number
    of processes: `arrays` are the counts themselves, to be added up in place.

    Args:
        num_classes: $K$, at least 1.
        ignore_index: true label of the pixels that don't count.
    """

    def __init__(self, num_classes: int, ignore_index: int = 255) -> None:
        if num_classes < 1:
            raise ValueError(f"num_classes must be at least 1, got {num_classes}")
        self.num_classes = num_classes
        self.ignore_index = ignore_index

    def update(self, predicted: Labels, target: Labels) -> None:
        """Count one image, or a batch.

        Args:
            predicted: integers, each in [0, K); any where `target` is `ignore_index`.
            target: as many integers in the same shape; `ignore_index` where the truth isn't known.

        Raises:
            DataError: if the shapes differ or a value is outside the classes; nothing is counted then.
        """
        found, true = _integers(predicted, "predicted"), _integers(target, "target")
        if found.shape != true.shape:
            raise DataError(f"the prediction has shape {found.shape}, the labels have {true.shape}")
        self._count(found, true)

    @property
    @abstractmethod
    def arrays(self) -> list[Counts]:
        """All that was counted: the arrays themselves, for the sum over several processes."""

    @abstractmethod
    def table(self) -> pd.DataFrame:
        """Return the figures."""

    @abstractmethod
    def _count(self, found: Integers, true: Integers) -> None:
        """Add predictions and labels of the same shape; raise a `DataError` before anything is added."""

    def _settings(self) -> tuple[Any, ...]:
        """Return what two metrics must have in common for their sum to mean something."""
        return type(self), self.num_classes, self.ignore_index

    def __add__(self, other: Self) -> Self:
        """Return the metric of both sets of images together."""
        if self._settings() != other._settings():
            raise ValueError("only metrics of one kind, with the same classes and settings, can be added")
        total = deepcopy(self)
        for ours, theirs in zip(total.arrays, other.arrays, strict=True):
            ours += theirs
        return total

    def _check(self, values: Integers, kind: str) -> None:
        if values.size == 0:
            return
        for value in (values.min(), values.max()):
            if not 0 <= value < self.num_classes:
                raise DataError(
                    f"{kind} label is {value}, but there are {self.num_classes} classes, 0 to "
                    f"{self.num_classes - 1} (and {self.ignore_index}, ignored): is the class list complete?"
                )

    def _names(self, classes: Sequence[str] | None) -> list[str]:
        names = list(classes) if classes is not None else [str(c) for c in range(self.num_classes)]
        if len(names) != self.num_classes:
            raise ValueError(f"{len(names)} names for {self.num_classes} classes")
        return names


class ImageMetric(Metric):
    """A metric that needs to see where the pixels are: `update` takes [H, W] or [B, H, W]."""

    def _count(self, found: Integers, true: Integers) -> None:
        if true.ndim not in (2, 3):
            raise DataError(f"labels must be [H, W] or [B, H, W], got the shape {true.shape}")
        known = true != self.ignore_index
        self._check(found[known], "a predicted")
        self._check(true[known], "a true")
        true = self._coded(true, known)
        found = self._coded(found, (found >= 0) & (found < self.num_classes))
        for image in zip(found, true, strict=True) if true.ndim == 3 else [(found, true)]:
            self._count_image(*image)

    def _coded(self, labels: Integers, valid: NDArray[np.bool_]) -> Integers:
        """Return 0..K-1, and K where not valid, in a type that OpenCV can filter."""
        coded = np.full(labels.shape, self.num_classes, np.uint8 if self.num_classes < 256 else np.uint16)
        np.copyto(coded, labels, where=valid, casting="unsafe")
        return coded

    @abstractmethod
    def _count_image(self, found: Integers, true: Integers) -> None:
        """Add one image, both [H, W] of 0..K; K stands for no class, and in `true` for unknown."""


class ConfusionMatrix(Metric):
    r"""Counts of (true class, predicted class) over as many images as are put in, of any shape.

    `counts` is $n$, int64 [K, K]: $n_{tp}$ pixels of class $t$ were predicted as $p$. One matrix serves a
    whole data set, and all figures come out of it at the end; a mean of per-image figures is another number.

    Args:
        num_classes: $K$, at least 1.
        ignore_index: true label of the pixels that don't count.
    """

    def __init__(self, num_classes: int, ignore_index: int = 255) -> None:
        super().__init__(num_classes, ignore_index)
        self.counts: Counts = np.zeros((num_classes, num_classes), np.int64)

    @property
    def arrays(self) -> list[Counts]:
        """The counts, for the sum over several processes."""
        return [self.counts]

    def _count(self, found: Integers, true: Integers) -> None:
        pairs = self._pairs_of_bytes if found.dtype == true.dtype == np.uint8 else self._pairs
        self.counts += pairs(found, true)

    def _pairs(self, found: Integers, true: Integers) -> Counts:
        known = true != self.ignore_index
        found, true = found[known].astype(np.int64), true[known].astype(np.int64)
        self._check(found, "a predicted")
        self._check(true, "a true")
        pairs = np.bincount(true * self.num_classes + found, minlength=self.num_classes**2)
        return pairs.reshape(self.counts.shape)

    def _pairs_of_bytes(self, found: Integers, true: Integers) -> Counts:
        """Count all 256 x 256 pairs of bytes: one pass, in which void and wrong labels are counted too."""
        pairs = np.bincount((true.astype(np.uint16) << 8 | found).ravel(), minlength=2**16).reshape(256, 256)
        if 0 <= self.ignore_index < 256:
            pairs[self.ignore_index] = 0
        self._check(np.flatnonzero(pairs.any(axis=0)), "a predicted")
        self._check(np.flatnonzero(pairs.any(axis=1)), "a true")
        counts = np.zeros_like(self.counts)
        used = min(self.num_classes, 256)
        counts[:used, :used] = pairs[:used, :used]
        return counts

    def iou(self) -> NDArray[np.float64]:
        r"""Return the intersection over union of every class.

        $n_{cc} / (\sum_p n_{cp} + \sum_t n_{tc} - n_{cc})$, [K], in 0..1. NaN for a class that occurs neither
        in the labels nor in the predictions; 0 for one that is predicted but does not occur.
        """
        return ratio(self._hits, self._true + self._predicted - self._hits)

    def miou(self) -> float:
        """Return the mean of `iou()` over the classes that are not NaN; NaN if all are."""
        return mean(self.iou())

    def pixel_accuracy(self) -> float:
        """Return the share of the labelled pixels that are right; NaN if there are none."""
        return float(ratio(self._hits.sum(), self.counts.sum()))

    def class_accuracy(self) -> NDArray[np.float64]:
        """Return the share of each class's pixels that were found (recall), [K]; NaN where there are none."""
        return ratio(self._hits, self._true)

    def table(self, classes: Sequence[str] | None = None) -> pd.DataFrame:
        """Return one row per class: IoU, accuracy and precision in percent, its number of pixels, and `why`.

        Args:
            classes: K names for the index; numbers without them.
        """
        columns = {
            "IoU": 100 * self.iou(),
            "accuracy": 100 * self.class_accuracy(),
            "precision": 100 * ratio(self._hits, self._predicted),
            "pixels": self._true,
            "why": self.why(classes),
        }
        return pd.DataFrame(columns, index=pd.Index(self._names(classes), name="class"))

    def why(self, classes: Sequence[str] | None = None) -> list[str]:
        """Return for every class why its IoU is NaN or 0, in words; "" where it is neither.

        A class is absent from the labels, or never predicted, or predicted and always wrong. For what is
        labelled, the words tell what the network says instead.

        Args:
            classes: K names; numbers without them.
        """
        names = self._names(classes)
        return [self._why(c, names) if self._hits[c] == 0 else "" for c in range(self.num_classes)]

    def _why(self, c: int, names: list[str]) -> str:
        """Return why nothing of class `c` was found."""
        labelled, predicted = int(self._true[c]), int(self._predicted[c])
        if labelled == predicted == 0:
            return "absent from the labels: not counted"
        if labelled == 0:
            place = _most_frequent(self.counts[:, c], names)
            return f"absent from the labels, but predicted in {_pixels(predicted)} (most often on {place})"
        instead = _most_frequent(self.counts[c], names)
        details = f"(labelled in {_pixels(labelled)}; most often predicted as {instead})"
        if predicted == 0:
            return f"never predicted {details}"
        return f"predicted in {_pixels(predicted)}, always wrong {details}"

    @property
    def _hits(self) -> Counts:
        return self.counts.diagonal()

    @property
    def _true(self) -> Counts:
        return self.counts.sum(axis=1)

    @property
    def _predicted(self) -> Counts:
        return self.counts.sum(axis=0)

    def __repr__(self) -> str:
        pixels = self.counts.sum()
        return f"ConfusionMatrix({self.num_classes} classes, {pixels:,} pixels, mIoU {self.miou():.2%})"


def ratio(part: Any, whole: Any) -> Any:
    """Return part / whole, NaN where whole is 0."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def mean(values: NDArray[np.float64]) -> float:
    """Return the mean of the values that are not NaN; NaN if all are."""
    return float("nan") if np.isnan(values).all() else float(np.nanmean(values))


def _integers(values: Labels, name: str) -> Integers:
    array = np.asarray(values.cpu() if isinstance(values, torch.Tensor) else values)
    if array.dtype.kind not in "iub":
        raise DataError(f"{name} must hold class numbers, not {array.dtype}: take the arg-max first")
    return array.astype(np.uint8) if array.dtype == bool else array


def _pixels(count: int) -> str:
    return "1 pixel" if count == 1 else f"{count:,} pixels"


def _most_frequent(counts: Counts, names: list[str]) -> str:
    """Return the class with the largest count, and its share."""
    largest = int(counts.argmax())
    return f"{names[largest]}, {counts[largest] / counts.sum():.0%}"
