"""Scores by size: sums against the confusion matrix, small cases by hand, and what must not matter."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from test_boundaries import FLIPS, assert_equal, filled, labelled

from dmnet.analysis.object_sizes import ObjectSizes
from dmnet.errors import DataError
from dmnet.metrics import ConfusionMatrix

EDGES = (1.5, 2, 4)


def image(*rows):
    """Return labels written as text; "." is void."""
    return np.array([[255 if mark == "." else int(mark) for mark in row] for row in rows], np.uint8)


@given(labelled())
def test_over_all_sizes_the_counts_are_those_of_the_confusion_matrix(case):
    sizes, matrix = filled(ObjectSizes(3, EDGES), case), filled(ConfusionMatrix(3), case)
    np.testing.assert_array_equal(sizes.hits.sum(axis=1), matrix.counts.diagonal())
    np.testing.assert_array_equal(sizes.pixels.sum(axis=1), matrix.counts.sum(axis=1))
    np.testing.assert_array_equal(
        (sizes.hits.sum(axis=1) + sizes.wrong.sum(axis=1)), matrix.counts.sum(axis=0)
    )


@given(labelled())
def test_objects_and_their_recall_follow_the_definition(case):
    predicted, target = case
    expected = {}  # (class, bin) -> recall of every object
    for c in range(3):
        numbers, count = ndimage.label(target == c, np.ones((3, 3)))
        for number in range(1, count + 1):
            found = predicted[numbers == number] == c
            size = sum(np.sqrt(found.size) >= edge for edge in EDGES)
            expected.setdefault((c, size), []).append(found.mean())
    sizes = filled(ObjectSizes(3, EDGES), case)
    for place in np.ndindex(sizes.objects.shape):
        recalls = expected.get(place, [])
        assert sizes.objects[place] == len(recalls)
        np.testing.assert_allclose(
            sizes.object_recall()[place], np.mean(recalls) if recalls else np.nan, atol=1e-6
        )


@given(st.lists(labelled(), min_size=1, max_size=4), st.randoms(use_true_random=False), st.integers(0, 4))
def test_neither_the_order_nor_the_division_of_the_images_matters(images, random, cut):
    whole = filled(ObjectSizes(3, EDGES), *images)
    parts = filled(ObjectSizes(3, EDGES), *images[:cut]), filled(ObjectSizes(3, EDGES), *images[cut:])
    assert_equal(whole, *parts)
    random.shuffle(images)
    assert_equal(whole, filled(ObjectSizes(3, EDGES), *images))


@pytest.mark.parametrize("flip", FLIPS)
@given(labelled())
def test_flips_change_nothing(flip, case):
    assert_equal(
        filled(ObjectSizes(3, EDGES), case), filled(ObjectSizes(3, EDGES), [flip(part) for part in case])
    )


TRUE = image(
    "1000000",
    "0000111",
    "0000111",
    "0000111",
)


def scored(*rows, target=TRUE):
    return filled(ObjectSizes(2, (2,)), (image(*rows), target))


def test_wrong_pixels_are_charged_to_the_object_in_their_region():
    sizes = scored("0000000", "0111111", "0001111", "0000000")
    assert sizes.objects.tolist() == [[0, 1], [1, 1]]
    assert sizes.pixels.tolist() == [[0, 18], [1, 9]]
    assert sizes.hits.tolist() == [[0, 14], [0, 6]]
    assert sizes.wrong.tolist() == [[0, 4, 0], [0, 4, 0]]
    np.testing.assert_allclose(sizes.recall(), [[np.nan, 14 / 18], [0, 6 / 9]])
    np.testing.assert_allclose(sizes.iou(), [[np.nan, 14 / 22], [0, 6 / 13]])


@pytest.mark.parametrize("turn", [np.array, np.flipud])  # either object may be the first one numbered
@pytest.mark.parametrize("third", ["0000100", "0000000"])  # holds two pixels of the larger, or a tie
def test_a_region_over_two_objects_belongs_to_the_one_it_holds_more_of(third, turn):
    predicted = image("1111000", "0000100", third, "0000000")
    sizes = filled(ObjectSizes(2, (2,)), (turn(predicted), turn(TRUE)))
    assert sizes.wrong[1].tolist() == [0, 3, 0]


def test_a_region_may_belong_to_the_smaller_object():
    target = image("1100000", *["0000111"] * 3)
    assert scored("1111000", "0000100", "0000000", "0000000", target=target).wrong[1].tolist() == [2, 0, 0]


def test_a_region_on_no_object_is_charged_to_no_size():
    sizes = scored("0000000", "0000000", "1100000", "1100000")
    assert sizes.wrong[1].tolist() == [0, 0, 4]
    table = sizes.table()
    assert table.index.tolist() == ["under 2 px", "from 2 px", "no object"]
    assert table["wrong pixels"].tolist() == [0, 10, 4]
    assert table.loc["no object", ["mIoU", "class recall", "recall", "object recall"]].isna().all()


def test_void_parts_objects_but_not_predicted_regions():
    sizes = scored("111110", target=image("11..00"))
    assert sizes.wrong[1].tolist() == [1, 0, 0]
    assert scored("11111", target=image("11.11")).objects[1].tolist() == [2, 0]


@pytest.mark.parametrize("value", [-1, 2, 255, 257])
def test_what_is_no_class_joins_nothing_in_void(value):
    sizes = filled(ObjectSizes(2, (2,)), (np.array([[1, 1, value, value, 1, 0]]), image("11..00")))
    assert sizes.wrong[1].tolist() == [0, 0, 1]


def test_the_table_says_what_its_columns_promise():
    target = image(*["1111000022"] * 4)  # 16, 16 and 8 pixels
    predicted = image(*["1111000022"] * 2, *["1100000000"] * 2)
    table = filled(ObjectSizes(3, (4, 10)), (predicted, target)).table()
    assert table.index.tolist() == ["under 4 px", "4 to 10 px", "from 10 px", "no object"]
    assert table["objects"].tolist() == [1, 2, 0, 0]
    assert table["pixels"].tolist() == [8, 32, 0, 0]
    assert table["wrong pixels"].tolist() == [0, 8, 0, 0]
    np.testing.assert_allclose(table["mIoU"].iloc[:2], [50, 100 * (16 / 24 + 12 / 16) / 2])
    for column in ("class recall", "recall", "object recall"):
        np.testing.assert_allclose(table[column].iloc[:2], [50, 87.5])


def test_recall_of_pixels_of_objects_and_of_classes_differ():
    target = image("1111010222", "1111000222", "1111000222", "1111000222")
    sizes = filled(ObjectSizes(3, (8,)), (np.where(target == 2, 0, target), target))
    row = sizes.table().iloc[0]
    assert row["objects"] == 4
    assert row["recall"] == pytest.approx(100 * (40 - 12) / 40)
    assert row["object recall"] == pytest.approx(75)
    assert row["class recall"] == pytest.approx(100 * 2 / 3)


def test_the_share_of_an_object_is_kept_to_a_millionth():
    sizes = scored("100", target=image("111"))
    assert sizes.object_recall()[1, 0] == pytest.approx(1 / 3, abs=1e-6)


def test_a_batch_is_its_images_as_tensors_too():
    predicted, target = torch.randint(5, (2, 3, 7, 9))
    images = zip(predicted.numpy(), target.numpy(), strict=True)
    assert_equal(filled(ObjectSizes(5), (predicted, target)), filled(ObjectSizes(5), *images))


@pytest.mark.parametrize("classes", [21, 255])
def test_as_many_classes_as_a_label_map_holds(classes):
    target = np.full((9, 9), classes - 1)
    target[:4], target[8] = 0, 255
    sizes = filled(ObjectSizes(classes), (target, target))
    assert sizes.objects.sum() == 2
    assert sizes.hits[[0, -1], 0].tolist() == [36, 36]  # a root of 36 is under 8


def test_wrong_labels_are_refused_and_nothing_is_counted():
    metric = ObjectSizes(3)
    with pytest.raises(DataError, match="predicted label is 3"):
        metric.update([[[0, 0]], [[0, 3]]], [[[0, 0]], [[0, 0]]])
    assert not any(array.any() for array in metric.arrays)


@pytest.mark.parametrize("edges", [(), (0, 1), (2, 1), (1, 1)])
def test_edges_must_ascend(edges):
    with pytest.raises(DataError, match="ascending"):
        ObjectSizes(3, edges)
