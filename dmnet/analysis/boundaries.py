"""How well labels are predicted near the boundaries of the true regions.

Most pixels lie inside a region, where they are easy; mIoU hardly changes with the sharpness of an outline.
Two figures look at the outlines alone: `Trimap` at all pixels near them, `BoundaryIoU` at each class's own.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dmnet.analysis import ImageMetric
from dmnet.errors import DataError
from dmnet.metrics import ConfusionMatrix, Counts, Integers, mean, ratio

CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


class Trimap(ImageMetric):
    """One confusion matrix for each band around the true boundaries.

    A boundary pixel has a pixel of another label above, below, left or right. The band of width $d$ holds
    the pixels less than $d$ pixels from the nearest boundary pixel, between centres: along a straight
    edge $d$ rows on either side. Scoring only such a band goes back to Kohli, Ladicky and Torr, "Robust
    Higher Order Potentials for Enforcing Label Consistency" (IJCV 2009); Csurka et al., "What is a good
    evaluation measure for semantic segmentation?" (BMVC 2013), compare it with others.

    Void is not counted, but its edge is a boundary: in VOC void is painted over the outlines of all objects.
    The `widths` of the bands are in pixels, ascending, each at least 1. Used in {doc}`07_evaluation`.
    """

    def __init__(self, num_classes: int, widths: Sequence[int] = (1, 2, 4, 8, 16)) -> None:
        super().__init__(num_classes)
        if not len(widths) or widths[0] < 1 or sorted(set(widths)) != list(widths):
            raise DataError(f"widths must be ascending and at least 1 pixel, got {tuple(widths)}")
        self.widths = tuple(widths)
        # The bands contain one another. Counted are the rings between them, and last all that is farther.
        self.rings: Counts = np.zeros((len(widths) + 1, num_classes, num_classes), np.int64)

    def within(self, width: int) -> ConfusionMatrix:
        """Return the matrix of the pixels in the band of one of the widths."""
        return self._matrix(self.rings[: self.widths.index(width) + 1].sum(axis=0))

    def table(self) -> pd.DataFrame:
        """Return mIoU and pixel accuracy in percent, and pixels, of each band, of the rest and of all."""
        matrices = {f"within {width} px": self.within(width) for width in self.widths}
        matrices["beyond"] = self._matrix(self.rings[-1])
        matrices["everywhere"] = self._matrix(self.rings.sum(axis=0))
        rows = [(100 * one.miou(), 100 * one.pixel_accuracy(), one.counts.sum()) for one in matrices.values()]
        return pd.DataFrame(rows, pd.Index(matrices, name="band"), ["mIoU", "pixel accuracy", "pixels"])

    def _matrix(self, counts: Counts) -> ConfusionMatrix:
        matrix = ConfusionMatrix(self.num_classes)
        matrix.counts = counts
        return matrix

    def _count_image(self, found: Integers, true: Integers) -> None:
        boundary, ring = _mixed(true, CROSS), np.full(true.shape, len(self.widths))
        if boundary.any():
            distance = cv2.distanceTransform((~boundary).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
            ring = np.digitize(distance, self.widths)  # distance < widths[0]: 0
        for number, counts in enumerate(self.rings):
            here = (ring == number) & (true < self.num_classes)
            self._matrix(counts).update(found[here], true[here])


class BoundaryIoU(ImageMetric):
    r"""Intersection over union of the classes' inner boundary regions.

    Of every class only the pixels count that lie at most $d$ pixels (rows or columns) inside the outline of
    its region, in the labels, $G_d$, and in the prediction, $P_d$: $|G_d \cap P_d| / |G_d \cup P_d|$
    [Cheng et al., "Boundary IoU", CVPR 2021]. As there, $d$ is a share of the image's diagonal, rounded, at
    least 1, and the edge of the image belongs to the outline. Counts are added up over the data set, as for
    `ConfusionMatrix`; the paper, which scores objects, takes one figure for each.

    Void belongs to no class, in the prediction too: its edge is an outline of both, at the same place. The
    `dilation` is $d$ as a share of the diagonal. Used in {doc}`07_evaluation`.
    """

    def __init__(self, num_classes: int, dilation: float = 0.02) -> None:
        super().__init__(num_classes)
        if not 0 < dilation < 1:
            raise DataError(f"the dilation is a share of the diagonal, between 0 and 1, got {dilation}")
        self.dilation = dilation
        self.intersection, self.true, self.predicted = np.zeros((3, num_classes), np.int64)

    def iou(self) -> NDArray[np.float64]:
        """Return the boundary IoU of every class, [K], in 0..1; NaN and 0 mean what they do for the IoU."""
        return ratio(self.intersection, self.true + self.predicted - self.intersection)

    def miou(self) -> float:
        """Return the mean of `iou()` over the classes that are not NaN; NaN if all are."""
        return mean(self.iou())

    def table(self, classes: Sequence[str] | None = None) -> pd.DataFrame:
        """Return a row per class, named by `classes`: boundary IoU in percent, pixels of the true region."""
        columns = {"boundary IoU": 100 * self.iou(), "pixels": self.true}
        return pd.DataFrame(columns, index=self._names(classes))

    def _count_image(self, found: Integers, true: Integers) -> None:
        known = true < self.num_classes
        found = np.where(known, found, true)
        reach = max(round(self.dilation * float(np.hypot(*true.shape))), 1)
        square = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
        near_found, near_true = (known & _mixed(labels, square, edge=True) for labels in (found, true))
        both = near_true & near_found & (true == found)
        for counts, labels in zip(self.arrays, (true[both], true[near_true], found[near_found]), strict=True):
            counts += np.bincount(labels, minlength=self.num_classes)


def _mixed(labels: Integers, window: NDArray[np.uint8], *, edge: bool = False) -> NDArray[np.bool_]:
    """Mark the pixels with more than one label in the window around them: its least isn't its greatest.

    With `edge`, another label is beyond the image's edge.
    """
    border = cv2.BORDER_CONSTANT if edge else cv2.BORDER_REPLICATE
    # Outside is every label at once: the least is 0, the greatest 255.
    least = cv2.erode(labels, window, borderType=border, borderValue=0)
    greatest = cv2.dilate(labels, window, borderType=border, borderValue=255)
    return least != greatest
