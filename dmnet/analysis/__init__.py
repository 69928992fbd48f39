"""Looking closer than mIoU: boundaries, sizes of objects, what a network costs."""

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from dmnet.datasets.base import IGNORE
from dmnet.errors import DataError
from dmnet.metrics import Integers, Metric


class ImageMetric(Metric):
    """A metric that sees where pixels are: it takes [H, W] or [B, H, W]. Used in {doc}`07_evaluation`."""

    def _count(self, found: Integers, true: Integers) -> None:
        if true.ndim not in (2, 3):
            raise DataError(f"labels must be [H, W] or [B, H, W], got the shape {true.shape}")
        known = true != IGNORE
        self._check(found[known], true[known])
        true = self._coded(true, known)
        found = self._coded(found, (found >= 0) & (found < self.num_classes))
        for image in zip(found, true, strict=True) if true.ndim == 3 else [(found, true)]:
            self._count_image(*image)

    def _coded(self, labels: Integers, valid: NDArray[np.bool_]) -> Integers:
        """Return 0..K-1, and K where not valid, in a type that OpenCV can filter."""
        coded = np.full(labels.shape, self.num_classes, np.uint8)
        np.copyto(coded, labels, where=valid, casting="unsafe")
        return coded

    @abstractmethod
    def _count_image(self, found: Integers, true: Integers) -> None:
        """Add one image, both [H, W] of 0..K; K stands for no class, and in `true` for unknown."""
