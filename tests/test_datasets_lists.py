"""Class names and how their numbers are stored."""

from pathlib import Path

import numpy as np
import pytest

from dmnet.classes import CITYSCAPES, DEMO_SCALE, VOC, ClassList, voc_palette
from dmnet.datasets.encoding import CITYSCAPES_VALUES, Encoding
from dmnet.datasets.lists import IGNORED, labels_of, own_labels
from dmnet.errors import DataError


def test_names_take_the_stored_values_in_order() -> None:
    classes, encoding = labels_of(("a", "b", "c"), CITYSCAPES_VALUES)
    assert classes.names == ("a", "b", "c") and encoding.stored == (7, 8, 11)
    assert encoding.ignored == CITYSCAPES_VALUES.ignored
    np.testing.assert_array_equal(classes.palette, voc_palette(3))


def test_ignored_names_are_no_classes() -> None:
    classes, encoding = labels_of((IGNORED, "a", IGNORED, "b"), Encoding.plain(255))
    assert classes.names == ("a", "b") and encoding.stored == (1, 3)
    assert encoding.decode(np.array([0, 1, 2, 3, 255])).tolist() == [255, 0, 255, 1, 255]
    assert not encoding.valid[4]


@pytest.mark.parametrize("known", [VOC, CITYSCAPES, DEMO_SCALE])
def test_known_names_get_their_own_colours(known: ClassList) -> None:
    classes, _ = labels_of(known.names, Encoding.plain(255))
    np.testing.assert_array_equal(classes.palette, known.palette)


def test_given_colours_are_kept() -> None:
    given = ClassList.parse("one 010203; two 040506")
    assert labels_of(given, Encoding.plain(255))[0] is given


@pytest.mark.parametrize("names", [("a", "b"), (IGNORED, "a", "b")])
def test_zero_may_be_void(names: tuple[str, ...]) -> None:
    classes, encoding = own_labels(Path("unread"), names, zero_is_void=True)
    assert classes.names == ("a", "b") and encoding.stored == (1, 2)
    assert encoding.decode(np.array([0, 1, 2, 255])).tolist() == [255, 0, 1, 255]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([str(i) for i in range(20)], "20 class names, but masks for 19"),
        ([IGNORED], "no class"),
        ([], "no class"),
        (["a", "b", "a"], "a more than once"),
    ],
)
def test_names_that_cannot_be(names: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        labels_of(names, CITYSCAPES_VALUES)
