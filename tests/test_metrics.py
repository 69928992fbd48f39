"""The confusion matrix against torchmetrics, and against what it promises."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torchmetrics.functional.classification import multiclass_confusion_matrix, multiclass_jaccard_index

from dmnet.errors import DataError
from dmnet.metrics import ConfusionMatrix


@st.composite
def labelled(draw):
    """Draw (K, predicted, target with some 255)."""
    classes = draw(st.integers(2, 9))
    shape = draw(arrays.array_shapes(min_dims=1, max_dims=3, max_side=9))
    predicted = draw(arrays.arrays(np.uint8, shape, elements=st.integers(0, classes - 1)))
    known = st.integers(0, classes - 1) | st.just(255)
    return classes, predicted, draw(arrays.arrays(np.uint8, shape, elements=known))


def matrix_of(classes, predicted, target):
    matrix = ConfusionMatrix(classes)
    matrix.update(predicted, target)
    return matrix


@given(labelled())
def test_counts_agree_with_torchmetrics(case):
    classes, predicted, target = case
    theirs = multiclass_confusion_matrix(
        torch.tensor(predicted).long(), torch.tensor(target).long(), classes, ignore_index=255
    )
    np.testing.assert_array_equal(matrix_of(*case).counts, theirs.numpy())


@given(labelled())
def test_iou_agrees_with_torchmetrics_and_is_nan_only_where_a_class_is_nowhere(case):
    classes, predicted, target = case
    iou = matrix_of(*case).iou()
    known = target != 255
    somewhere = [bool(((predicted[known] == c) | (target[known] == c)).any()) for c in range(classes)]
    np.testing.assert_array_equal(~np.isnan(iou), somewhere)
    theirs = multiclass_jaccard_index(
        torch.tensor(predicted).long(), torch.tensor(target).long(), classes, average="none", ignore_index=255
    )
    np.testing.assert_allclose(iou[somewhere], theirs.numpy()[somewhere], atol=1e-6)


@given(labelled(), st.integers(1, 5))
def test_parts_add_up_to_the_whole(case, cut):
    classes, predicted, target = case
    parts = [matrix_of(classes, predicted[part], target[part]) for part in (slice(cut), slice(cut, None))]
    np.testing.assert_array_equal((parts[0] + parts[1]).counts, matrix_of(*case).counts)


def test_predicted_but_absent_counts_as_zero():
    matrix = matrix_of(4, [0, 1, 1, 0], [0, 1, 0, 255])
    np.testing.assert_allclose(matrix.iou(), [0.5, 0.5, np.nan, np.nan])
    matrix.update([2], [0])
    np.testing.assert_allclose(matrix.iou(), [1 / 3, 0.5, 0, np.nan])
    assert matrix.miou() == pytest.approx((1 / 3 + 0.5 + 0) / 3)
    assert matrix.pixel_accuracy() == pytest.approx(2 / 4)
    np.testing.assert_allclose(matrix.class_accuracy(), [1 / 3, 1, np.nan, np.nan])


def test_tensors_and_arrays_give_the_same():
    predicted, target = torch.randint(5, (3, 7, 7)), torch.randint(5, (3, 7, 7), dtype=torch.uint8)
    ours = matrix_of(5, predicted, target)
    np.testing.assert_array_equal(ours.counts, matrix_of(5, predicted.numpy(), target.numpy()).counts)
    assert ours.counts.dtype == np.int64


def test_no_pixel_is_nan_and_warns_of_nothing():
    matrix = ConfusionMatrix(3)
    assert np.isnan([matrix.miou(), matrix.pixel_accuracy(), *matrix.iou()]).all()


@pytest.mark.parametrize(
    ("predicted", "target", "words"),
    [
        ([0, 1], [0, 7], "true label is 7"),
        ([0, 3], [0, 1], "predicted label is 3"),
        ([0, -1], [0, 1], "predicted label is -1"),
        ([0, 1, 2], [0, 1], "shape"),
        ([0.0, 1.0], [0, 1], "arg-max"),
    ],
)
def test_wrong_labels_are_refused_and_nothing_is_counted(predicted, target, words):
    matrix = ConfusionMatrix(3)
    with pytest.raises(DataError, match=words):
        matrix.update(np.array(predicted), np.array(target))
    assert matrix.counts.sum() == 0


def test_table_names_the_classes_and_counts_their_pixels():
    table = matrix_of(3, [0, 1, 1], [0, 1, 0]).table(["sky", "sea", "land"])
    assert table.index.tolist() == ["sky", "sea", "land"]
    assert table.loc["sky", "IoU"] == pytest.approx(50)
    assert table["pixels"].tolist() == [2, 1, 0]
    with pytest.raises(ValueError, match="2 names for 3 classes"):
        ConfusionMatrix(3).table(["a", "b"])
