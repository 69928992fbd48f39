"""What holds of every data set: the check on the way to training."""

import numpy as np
import pytest

from dmnet.datasets.base import Checked
from dmnet.errors import DataError

IMAGE, MASK = np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.uint8)


class Examples:
    """Somebody's own data set."""

    classes = ("a", "b")

    def __init__(self, image, *masks):
        self.image, self.masks = image, masks

    def __getitem__(self, index):
        return self.image, self.masks[index], f"example {index}"


def test_good_examples_pass():
    for mask in (MASK, MASK + 1, MASK + 255, MASK.astype(np.int64), MASK.astype(bool)):
        assert Checked(Examples(IMAGE, mask))[0][1] is mask


@pytest.mark.parametrize(
    ("image", "mask", "said"),
    [
        (IMAGE, MASK[:3], r"example 0: the image is \(4, 6\), its mask \(3, 6\)"),
        (
            IMAGE,
            MASK + 2,
            r"example 0: the mask has the label 2, but there are 2 classes, 0 to 1 \(and 255, ignored\)",
        ),
        (IMAGE, MASK.astype(np.int64) - 1, "example 0: the mask has the label -1"),
        (IMAGE, MASK.astype(np.float32), r"example 0: the mask is float32 \[4, 6\], not integers"),
        (IMAGE, IMAGE, r"example 0: the mask is uint8 \[4, 6, 3\], not integers \[H, W\]"),
        (IMAGE[..., 0], MASK, r"example 0: the image is uint8 \[4, 6\], not uint8 \[H, W, 3\]"),
        (IMAGE / 255, MASK, r"example 0: the image is float64"),
    ],
)
def test_bad_examples_are_named(image, mask, said):
    with pytest.raises(DataError, match=said):
        Checked(Examples(image, mask))[0]


def test_examples_are_checked_when_they_are_asked_for():
    data = Checked(Examples(IMAGE, MASK, MASK + 7))
    assert data[0][2] == "example 0"
    with pytest.raises(DataError, match="example 1: the mask has the label 7"):
        data[1]
