"""Stored values and labels: there and back, and what is ignored."""

import numpy as np
import pytest
from torchvision.datasets import Cityscapes

from dmnet.classes import CITYSCAPES
from dmnet.datasets.encoding import ADE20K_VALUES, CITYSCAPES_VALUES, VOC_VALUES, Encoding


@pytest.mark.parametrize("values", [VOC_VALUES, ADE20K_VALUES, CITYSCAPES_VALUES, Encoding.plain(3)])
def test_labels_survive_storing(values: Encoding) -> None:
    labels = np.array([*range(len(values.stored)), 255], np.uint8)
    stored = values.encode(labels)
    assert values.valid[stored].all()
    assert np.array_equal(values.decode(stored), labels)
    assert set(values.decode(np.flatnonzero(values.valid)).tolist()) == set(labels.tolist())


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


def test_fewer_classes_leave_values_without_meaning() -> None:
    three = CITYSCAPES_VALUES.first(3)
    assert three.decode([7, 8, 11]).tolist() == [0, 1, 2] and not three.valid[12]


def test_cityscapes_is_as_in_torchvisions_table() -> None:
    kinds = [kind for kind in Cityscapes.classes if 0 <= kind.train_id < 255]
    kinds.sort(key=lambda kind: kind.train_id)
    assert CITYSCAPES_VALUES.stored == tuple(kind.id for kind in kinds)
    assert CITYSCAPES.names == tuple(kind.name for kind in kinds)
    assert CITYSCAPES.palette.tolist() == [list(kind.color) for kind in kinds]
    others = {kind.id % 256 for kind in Cityscapes.classes} - set(CITYSCAPES_VALUES.stored)
    assert set(CITYSCAPES_VALUES.ignored) == others
