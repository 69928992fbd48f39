"""Stored values and labels: there and back, what is ignored, and how class names take them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torchvision.datasets import Cityscapes

from dmnet.classes import CITYSCAPES, DEMO_SCALE, VOC, ClassList, voc_palette
from dmnet.datasets.files import IGNORED, Encoding, labels_of
from dmnet.datasets.published import PUBLISHED
from dmnet.errors import DataError

VOC_VALUES, ADE20K_VALUES, CITYSCAPES_VALUES, CAMVID_VALUES = EVERY = [
    PUBLISHED[name].encoding for name in ("voc", "ade20k", "cityscapes", "camvid")
]


@pytest.mark.parametrize("values", [*EVERY, Encoding.plain(3)])
def test_labels_survive_storing(values: Encoding) -> None:
    labels = np.array([*range(len(values.stored)), 255], np.uint8)
    stored = values.encode(labels)
    assert values.valid[stored].all()
    assert np.array_equal(values.decode(stored), labels)
    assert set(values.decode(np.flatnonzero(values.valid)).tolist()) == set(labels.tolist())


@st.composite
def encodings(draw: st.DrawFn) -> Encoding:
    """Any stored values, each for one thing."""
    values = draw(st.lists(st.integers(0, 255), min_size=2, max_size=254, unique=True))
    ignored = draw(st.integers(1, min(len(values) - 1, 20)))
    return Encoding(tuple(values[ignored:]), tuple(values[:ignored]))


@given(encodings(), st.data())
def test_any_label_map_survives_storing(encoding: Encoding, data: st.DataObject) -> None:
    known = [*range(len(encoding.stored)), 255]
    labels = data.draw(arrays.arrays(np.uint8, (2, 3), elements=st.sampled_from(known)))
    stored = encoding.encode(labels)
    assert encoding.valid[stored].all()
    np.testing.assert_array_equal(encoding.decode(stored), labels)
    assert set(stored[labels == 255].tolist()) <= {encoding.ignored[0]}
    meaningless = set(range(256)) - set(encoding.stored) - set(encoding.ignored)
    assert set(np.flatnonzero(~encoding.valid).tolist()) == meaningless


def test_the_published_numbers() -> None:
    assert len(CITYSCAPES_VALUES.stored) == 19
    assert CITYSCAPES_VALUES.decode([7, 8, 11, 26, 33, 0, 16, 255]).tolist() == [
        0,
        1,
        2,
        13,
        18,
        255,
        255,
        255,
    ]
    assert CITYSCAPES_VALUES.valid.sum() == 35  # 0..33 and 255
    assert ADE20K_VALUES.decode([0, 1, 150]).tolist() == [255, 0, 149]
    assert not ADE20K_VALUES.valid[151]
    assert CAMVID_VALUES.decode([0, 10, 11, 255]).tolist() == [0, 10, 255, 255]
    assert not CAMVID_VALUES.valid[12]


def test_fewer_classes_leave_values_without_meaning() -> None:
    three = Encoding(CITYSCAPES_VALUES.stored[:3], CITYSCAPES_VALUES.ignored)
    assert three.decode([7, 8, 11]).tolist() == [0, 1, 2] and not three.valid[12]


def test_cityscapes_is_as_in_torchvisions_table() -> None:
    kinds = [kind for kind in Cityscapes.classes if 0 <= kind.train_id < 255]
    kinds.sort(key=lambda kind: kind.train_id)
    assert CITYSCAPES_VALUES.stored == tuple(kind.id for kind in kinds)
    assert CITYSCAPES.names == tuple(kind.name for kind in kinds)
    assert CITYSCAPES.palette.tolist() == [list(kind.color) for kind in kinds]
    others = {kind.id % 256 for kind in Cityscapes.classes} - set(CITYSCAPES_VALUES.stored)
    assert set(CITYSCAPES_VALUES.ignored) == others


def test_names_take_the_stored_values_in_order() -> None:
    classes, encoding = labels_of(("a", "b", "c"), CITYSCAPES_VALUES)
    assert classes.names == ("a", "b", "c") and encoding.stored == (7, 8, 11)
    assert encoding.ignored == CITYSCAPES_VALUES.ignored
    np.testing.assert_array_equal(classes.palette, voc_palette(3))


def test_ignored_names_are_no_classes() -> None:
    classes, encoding = labels_of((IGNORED, "a", IGNORED, "b"), Encoding.plain())
    assert classes.names == ("a", "b") and encoding.stored == (1, 3)
    assert encoding.decode(np.array([0, 1, 2, 3, 255])).tolist() == [255, 0, 255, 1, 255]
    assert not encoding.valid[4]


@pytest.mark.parametrize("known", [VOC, CITYSCAPES, DEMO_SCALE])
def test_known_names_get_their_own_colours(known: ClassList) -> None:
    classes, _ = labels_of(known.names, Encoding.plain())
    np.testing.assert_array_equal(classes.palette, known.palette)


def test_given_colours_are_kept() -> None:
    given = ClassList.parse("one 010203\ntwo 040506")
    assert labels_of(given, Encoding.plain())[0] is given


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
