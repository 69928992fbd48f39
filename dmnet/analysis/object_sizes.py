"""How well objects of each size are found.

An object is a connected region of one class in the labels: pixels that touch at an edge or a corner. Two cars
that touch are one object, and one that a pole cuts in two is two: labels of classes don't tell.
"""

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dmnet.analysis import ImageMetric
from dmnet.errors import DataError
from dmnet.metrics import Counts, Integers, mean, ratio

PARTS = 1_000_000  # shares are added up in millionths: a sum of integers does not depend on the order


class ObjectSizes(ImageMetric):
    """Recall and intersection over union by the size of the objects.

    The size of an object is the root of its number of pixels: the side of a square as large.

    Recall is exact: every labelled pixel belongs to one object. The IoU also needs the pixels that are
    wrongly predicted as the class, and those belong to no object. They are charged by a rule of our own: a
    predicted region (connected, through void too) belongs to the true object of its class of which it holds
    most pixels, the larger one if two are equal; its wrong pixels are charged to that object's size. Regions
    with no pixel of an object of their class are charged to no size, and stand in the row "no object" of
    the table. Over all rows, hits, labelled and wrong pixels add up to those of the `ConfusionMatrix`.

    Void is not counted. It parts true objects, but not predicted regions. There is one bin more than `edges`,
    sizes in pixels, ascending, above 0; an object of exactly one of them belongs to the larger objects. Used
    in {doc}`07_evaluation`.
    """

    def __init__(self, num_classes: int, edges: Sequence[float] = (8, 16, 32, 64, 128, 256)) -> None:
        super().__init__(num_classes)
        if not len(edges) or edges[0] <= 0 or sorted(set(edges)) != list(edges):
            raise DataError(f"edges must be sizes in pixels, ascending and above 0, got {tuple(edges)}")
        self.edges = tuple(edges)
        shape = (4, num_classes, len(edges) + 1)
        self.objects, self.pixels, self.hits, self.found_parts = np.zeros(shape, np.int64)
        self.wrong: Counts = np.zeros((num_classes, len(edges) + 2), np.int64)  # the last: no object

    def recall(self) -> NDArray[np.float64]:
        """Return the share of the pixels that were found, [K, bins]; NaN where there is no object."""
        return ratio(self.hits, self.pixels)

    def object_recall(self) -> NDArray[np.float64]:
        """Return the mean over the objects of the share of each that was found, [K, bins]."""
        return ratio(self.found_parts, PARTS * self.objects)

    def iou(self) -> NDArray[np.float64]:
        """Return the IoU with wrong pixels charged as said above, [K, bins]; NaN where there is no object."""
        return ratio(self.hits, self.pixels + self.wrong[:, :-1])

    def table(self) -> pd.DataFrame:
        """Return one row per size: mIoU and recall in percent, numbers of objects and pixels.

        "mIoU" and "class recall" are means over the classes that have objects of the size, "recall" is of all
        pixels together, "object recall" the mean over all objects. The last row holds the wrong pixels that
        belong to no object.
        """
        counts = (self.objects, self.found_parts, self.pixels, self.hits)
        objects, found, pixels, hits = (np.append(one.sum(axis=0), 0) for one in counts)
        inner = [f"{low:g} to {high:g} px" for low, high in pairwise(self.edges)]
        sizes = [f"under {self.edges[0]:g} px", *inner, f"from {self.edges[-1]:g} px", "no object"]
        columns = {
            "mIoU": [*(100 * mean(column) for column in self.iou().T), np.nan],
            "class recall": [*(100 * mean(column) for column in self.recall().T), np.nan],
            "recall": 100 * ratio(hits, pixels),
            "object recall": 100 * ratio(found, PARTS * objects),
            "objects": objects,
            "pixels": pixels,
            "wrong pixels": self.wrong.sum(axis=0),
        }
        return pd.DataFrame(columns, pd.Index(sizes, name="size"))

    def _count_image(self, found: Integers, true: Integers) -> None:
        objects, of_class = _regions(true, self.num_classes)
        regions, region_class = _regions(found, self.num_classes)
        known = true < self.num_classes
        right = known & (true == found)
        pixels = np.bincount(objects.ravel(), minlength=len(of_class))
        hits = np.bincount(objects[right], minlength=len(of_class))
        wrong = np.bincount(regions[known & ~right], minlength=len(region_class))
        size = np.digitize(pixels, np.square(self.edges))
        owner = _owners(regions[right], objects[right], pixels, len(region_class))
        size_of_owner = np.where(owner > 0, size[owner], len(self.edges) + 1)

        which = of_class[1:], size[1:]  # number 0 is none
        np.add.at(self.objects, which, 1)
        np.add.at(self.pixels, which, pixels[1:])
        np.add.at(self.hits, which, hits[1:])
        np.add.at(self.found_parts, which, np.rint(PARTS * hits[1:] / pixels[1:]).astype(np.int64))
        np.add.at(self.wrong, (region_class[1:], size_of_owner[1:]), wrong[1:])


def _regions(labels: Integers, classes: int) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Number the connected regions of every class from 1 on; return the numbers [H, W] and their classes.

    Number 0 is the pixels of no class, `classes`.
    """
    numbers = np.zeros(labels.shape, np.int32)
    of_class = [classes]
    for c in np.flatnonzero(np.bincount(labels.ravel())[:classes]).tolist():
        count, part = cv2.connectedComponents((labels == c).astype(np.uint8), connectivity=8)
        inside = part > 0
        numbers[inside] = part[inside] + len(of_class) - 1
        of_class += [c] * (count - 1)
    return numbers, np.array(of_class)


def _owners(regions: Integers, objects: Integers, pixels: Counts, count: int) -> NDArray[np.intp]:
    """Return for every predicted region the object that holds most of its right pixels; 0 if it has none.

    `regions` and `objects` are the numbers of the pixels that are right, `pixels` the sizes of the objects.
    """
    shared = pd.Series(regions * np.int64(len(pixels)) + objects).value_counts(sort=False)  # without sorting
    region, which = np.divmod(shared.index.to_numpy(), len(pixels))
    order = np.lexsort((pixels[which], shared))  # the last one written stays
    owner = np.zeros(count, np.intp)
    owner[region[order]] = which[order]
    return owner
