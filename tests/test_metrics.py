"""The confusion matrix against torchmetrics, and against what it promises."""

from time import process_time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_confusion_matrix,
    multiclass_jaccard_index,
)

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


TYPES = [np.uint8, np.int16, np.uint16, np.int64, np.uint64]


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
    np.testing.assert_array_equal(parts[0].counts + parts[1].counts, matrix_of(*case).counts)


@given(labelled(), st.sampled_from(TYPES), st.sampled_from(TYPES))
def test_the_type_of_the_integers_does_not_matter(case, one, other):
    classes, predicted, target = case
    ours = matrix_of(classes, predicted.astype(one), target.astype(other))
    np.testing.assert_array_equal(ours.counts, matrix_of(*case).counts)


@given(labelled())
def test_accuracy_agrees_with_torchmetrics(case):
    classes, predicted, target = case
    matrix = matrix_of(*case)
    pair = torch.tensor(predicted).long(), torch.tensor(target).long()
    found = multiclass_accuracy(*pair, classes, average="none", ignore_index=255).numpy()
    accuracy = matrix.table()["accuracy"].to_numpy() / 100
    labelled = ~np.isnan(accuracy)
    np.testing.assert_array_equal(labelled, np.isin(np.arange(classes), target))
    np.testing.assert_allclose(accuracy[labelled], found[labelled], atol=1e-6)
    if labelled.any():
        share = multiclass_accuracy(*pair, classes, average="micro", ignore_index=255)
        assert matrix.pixel_accuracy() == pytest.approx(float(share), abs=1e-6)


@given(labelled())
def test_miou_is_the_mean_of_torchmetrics_over_the_classes_that_occur(case):
    """Torchmetrics' own mean leaves out the same: `macro` skips classes without labels and predictions."""
    classes, predicted, target = case
    theirs = multiclass_jaccard_index(
        torch.tensor(predicted).long(), torch.tensor(target).long(), classes, ignore_index=255
    )
    miou = matrix_of(*case).miou()
    assert (target == 255).all() if np.isnan(miou) else miou == pytest.approx(float(theirs), abs=1e-6)


@given(labelled(), st.randoms(use_true_random=False))
def test_the_order_of_the_pixels_does_not_matter(case, random):
    classes, predicted, target = case
    order = np.array(random.sample(range(target.size), target.size))
    shuffled = matrix_of(classes, predicted.ravel()[order], target.ravel()[order])
    np.testing.assert_array_equal(shuffled.counts, matrix_of(*case).counts)


@pytest.mark.parametrize("kind", [np.uint8, np.int64])
def test_predictions_in_void_may_be_anything(kind):
    matrix = matrix_of(2, np.array([0, 9, 255], kind), np.array([0, 255, 255], kind))
    assert matrix.counts.tolist() == [[1, 0], [0, 0]]


@pytest.mark.parametrize("classes", [256, 300])
def test_bytes_may_hold_the_labels_of_more_classes_than_a_byte_has(classes):
    values = np.arange(256, dtype=np.uint8)
    assert matrix_of(classes, values, values).counts.trace() == 255


def test_predicted_but_absent_counts_as_zero():
    matrix = matrix_of(4, [0, 1, 1, 0], [0, 1, 0, 255])
    np.testing.assert_allclose(matrix.iou(), [0.5, 0.5, np.nan, np.nan])
    matrix.update([2], [0])
    np.testing.assert_allclose(matrix.iou(), [1 / 3, 0.5, 0, np.nan])
    assert matrix.miou() == pytest.approx((1 / 3 + 0.5 + 0) / 3)
    assert matrix.pixel_accuracy() == pytest.approx(2 / 4)
    np.testing.assert_allclose(matrix.table()["accuracy"], [100 / 3, 100, np.nan, np.nan])


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
        ([0, 256], [0, 1], r"predicted label is 256.*3 classes, 0 to 2 \(and 255"),
        (["a", "b"], [0, 1], "arg-max"),
        ([0, 1], [0, 2**40], "true label is 1099511627776"),
    ],
)
def test_wrong_labels_are_refused_and_nothing_is_counted(predicted, target, words):
    matrix = ConfusionMatrix(3)
    with pytest.raises(DataError, match=words):
        matrix.update(np.array(predicted), np.array(target))
    assert matrix.counts.sum() == 0


@pytest.mark.parametrize(
    ("predicted", "target", "words"),
    [([0, 9], [0, 1], "predicted label is 9"), ([0, 1], [0, 9], "true label is 9")],
)
def test_wrong_bytes_are_refused_and_nothing_is_counted(predicted, target, words):
    matrix = ConfusionMatrix(3)
    with pytest.raises(DataError, match=words):
        matrix.update(np.array(predicted, np.uint8), np.array(target, np.uint8))
    assert matrix.counts.sum() == 0


def test_every_zero_and_every_nan_has_a_reason():
    predicted = np.array([0, 0, 0, 0, 1, 1, 4, 4])
    target = np.array([0, 0, 2, 255, 4, 0, 1, 0])
    matrix = matrix_of(5, predicted, target)
    assert matrix.why(["sky", "sea", "land", "moon", "sun"]) == [
        "",
        "predicted in 2 pixels, always wrong (labelled in 1 pixel; most often predicted as sun, 100%)",
        "never predicted (labelled in 1 pixel; most often predicted as sky, 100%)",
        "absent from the labels: not counted",
        "predicted in 2 pixels, always wrong (labelled in 1 pixel; most often predicted as sea, 100%)",
    ]


def test_the_most_frequent_mistake_is_named_with_its_share():
    matrix = ConfusionMatrix(4)
    matrix.counts[:] = [[900, 0, 0, 600], [200, 0, 1000, 0], [0, 0, 4, 1400], [0, 0, 0, 0]]
    reasons = matrix.table()["why"]
    assert reasons["1"] == "never predicted (labelled in 1,200 pixels; most often predicted as 2, 83%)"
    assert reasons["3"] == "absent from the labels, but predicted in 2,000 pixels (most often on 2, 70%)"
    assert reasons["0"] == reasons["2"] == ""


@given(labelled())
def test_a_reason_is_given_exactly_where_the_iou_is_zero_or_nan(case):
    matrix = matrix_of(*case)
    assert [bool(reason) for reason in matrix.why()] == [not iou > 0 for iou in matrix.iou()]


def histograms(predicted, target, classes):
    """Score as the public implementation does, with three histograms of floats per image."""
    predicted, target = torch.from_numpy(predicted), torch.from_numpy(target)
    known = target != 255
    predicted, target = predicted[known], target[known]
    kept = predicted[predicted == target], predicted, target
    return [torch.histc(part.float(), classes, 0, classes - 1) for part in kept]


def test_counting_is_at_least_five_times_as_fast_as_histograms():
    """On one core, both in one run; the least of many times, which other processes disturb least."""
    rng = np.random.default_rng(0)
    pair = rng.integers(0, 150, (2, 512, 683), np.uint8)
    matrix, threads = ConfusionMatrix(150), torch.get_num_threads()
    torch.set_num_threads(1)
    times = np.zeros((31, 3))
    for row in times:
        row[0] = process_time()
        matrix.update(*pair)
        row[1] = process_time()
        histograms(*pair, 150)
        row[2] = process_time()
    torch.set_num_threads(threads)
    ours, theirs = 1000 * np.diff(times).min(axis=0)
    print(f"{ours:.2f} ms, {theirs:.2f} ms: {theirs / ours:.1f} times as fast")
    assert theirs >= 5 * ours


def test_one_pixel_is_no_pixels():
    once, twice = matrix_of(3, [1], [0]).why(), matrix_of(3, [1, 1], [0, 0]).why()
    for one, two in zip(once[:2], twice[:2], strict=True):  # the labelled class, the predicted one
        assert "in 1 pixel" in one and "pixels" not in one and "in 2 pixels" in two


def test_a_matrix_says_how_many_pixels_it_holds():
    assert "3 pixels" in repr(matrix_of(2, [0, 1, 1], [0, 1, 0]))


def test_table_names_the_classes_and_counts_their_pixels():
    table = matrix_of(3, [0, 1, 1], [0, 1, 0]).table(["sky", "sea", "land"])
    assert table.index.tolist() == ["sky", "sea", "land"] and table.index.name == "class"
    assert table.loc["sky", "IoU"] == pytest.approx(50)
    assert table["pixels"].tolist() == [2, 1, 0]
    assert table["precision"].tolist()[:2] == [100, 50] and np.isnan(table["precision"]["land"])
    assert table["accuracy"].tolist()[:2] == [50, 100] and np.isnan(table["accuracy"]["land"])
    wrong = matrix_of(3, [1, 1], [0, 0]).table(["sky", "sea", "land"])
    assert "most often predicted as sea" in wrong["why"]["sky"]
    with pytest.raises(ValueError, match="length"):
        ConfusionMatrix(3).table(["a", "b"])
