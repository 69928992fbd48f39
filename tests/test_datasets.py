"""What holds of every data set: the check on the way to training."""

import pickle

import numpy as np
import pytest

from dmnet import datasets
from dmnet.datasets import check_example, checked
from dmnet.errors import DataError

IMAGE, MASK = np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.uint8)


class Examples:
    """Somebody's own data set."""

    classes = ("a", "b")
    split = "mine"

    def __init__(self, *masks):
        self.masks = masks

    def __len__(self):
        return len(self.masks)

    def __getitem__(self, index):
        return IMAGE, self.masks[index], f"example {index}"


def test_good_examples_pass():
    for mask in (MASK, MASK + 1, MASK + 255, MASK.astype(np.int64), MASK.astype(bool)):
        check_example(IMAGE, mask, "x", 2)


@pytest.mark.parametrize(
    ("image", "mask", "said"),
    [
        (IMAGE, MASK[:3], r"x: the image is \(4, 6\), its mask \(3, 6\)"),
        (
            IMAGE,
            MASK + 2,
            r"x: the mask has the label 2, but there are 2 classes, 0 to 1 \(and 255, ignored\)",
        ),
        (IMAGE, MASK.astype(np.int64) - 1, "x: the mask has the label -1"),
        (IMAGE, MASK.astype(np.float32), r"x: the mask is float32 \[4, 6\], not integers"),
        (IMAGE, IMAGE, r"x: the mask is uint8 \[4, 6, 3\], not integers \[H, W\]"),
        (IMAGE[..., 0], MASK, r"x: the image is uint8 \[4, 6\], not uint8 \[H, W, 3\]"),
        (IMAGE / 255, MASK, r"x: the image is float64"),
    ],
)
def test_bad_examples_are_named(image, mask, said):
    with pytest.raises(DataError, match=said):
        check_example(image, mask, "x", 2)


def test_our_own_data_sets_are_not_checked_twice():
    drawn = datasets.load("demo_scale", split="val", size=1)
    assert checked(drawn) is drawn
    other = checked(Examples(MASK))
    assert checked(other) is other


def test_others_are_checked_example_by_example():
    data = checked(Examples(MASK, MASK + 7))
    assert len(data) == 2 and data[0][2] == "example 0"
    with pytest.raises(DataError, match="example 1: the mask has the label 7"):
        data[1]


def test_a_wrapped_data_set_goes_to_loader_processes():
    copy = pickle.loads(pickle.dumps(checked(Examples(MASK))))
    assert len(copy) == 1 and copy[0][2] == "example 0"
