"""Figures near boundaries against plain definitions, pixel by pixel and class by class."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dmnet.analysis.boundaries import BoundaryIoU, Trimap
from dmnet.errors import DataError
from dmnet.metrics import ConfusionMatrix

KINDS = [Trimap, BoundaryIoU]
FLIPS = [np.fliplr, np.flipud, np.transpose]


@st.composite
def labelled(draw, classes=3):
    """Draw (predicted, target with some 255), both [H, W], with regions of several pixels."""
    grid = arrays.array_shapes(min_dims=2, max_dims=2, max_side=5)
    shape, size = draw(grid), draw(st.integers(1, 4))
    predicted, target = (
        draw(arrays.arrays(np.uint8, shape, elements=st.sampled_from([*range(classes), *more])))
        for more in ((), (255,))
    )
    predicted, target = (np.kron(part, np.ones((size, size), np.uint8)) for part in (predicted, target))
    return predicted, target


def filled(metric, *images):
    for predicted, target in images:
        metric.update(predicted, target)
    return metric


def assert_equal(whole, *parts):
    for counts, *summands in zip(whole.arrays, *(part.arrays for part in parts), strict=True):
        np.testing.assert_array_equal(counts, sum(summands))


def plain_band(target, width):
    """Mark the pixels less than `width` from a pixel that has a neighbour with another label."""
    height, breadth = target.shape
    steps = [(0, 1), (1, 0), (0, -1), (-1, 0)]
    edge = [
        (y, x)
        for y, x in np.ndindex(height, breadth)
        for v, u in steps
        if 0 <= y + v < height and 0 <= x + u < breadth and target[y, x] != target[y + v, x + u]
    ]
    band = np.zeros(target.shape, bool)
    for y, x in np.ndindex(height, breadth):
        band[y, x] = any((y - v) ** 2 + (x - u) ** 2 < width**2 for v, u in edge)
    return band


@given(labelled())
def test_every_band_holds_the_pixels_of_its_definition(case):
    predicted, target = case
    trimap = filled(Trimap(3, (1, 2, 5)), case)
    for width in trimap.widths:
        band = plain_band(target, width)
        expected = filled(ConfusionMatrix(3), (predicted[band], target[band]))
        np.testing.assert_array_equal(trimap.within(width).counts, expected.counts)
    beyond = filled(ConfusionMatrix(3), (predicted[~band], target[~band]))
    np.testing.assert_array_equal(trimap.rings[-1], beyond.counts)


def plain_regions(mask, reach):
    """Return the pixels of a mask that have a pixel outside it, or the image's edge, within `reach`."""
    padded = np.pad(mask, reach)
    region = np.zeros_like(mask)
    for y, x in np.argwhere(mask):
        region[y, x] = not padded[y : y + 2 * reach + 1, x : x + 2 * reach + 1].all()
    return region


@given(labelled(), st.sampled_from([0.02, 0.15, 0.3]))
def test_boundary_iou_follows_its_definition(case, dilation):
    predicted, target = case
    reach = max(round(dilation * np.hypot(*target.shape)), 1)
    known = target != 255
    expected = []
    for c in range(3):
        truth, found = (plain_regions(known & (labels == c), reach) for labels in (target, predicted))
        union = (truth | found).sum()
        expected.append((truth & found).sum() / union if union else np.nan)
    metric = filled(BoundaryIoU(3, dilation), case)
    np.testing.assert_allclose(metric.iou(), expected)


def test_wide_enough_boundaries_are_the_whole_region():
    """With a reach over the whole image boundary IoU is IoU."""
    rng = np.random.default_rng(0)
    case = rng.integers(0, 4, (2, 9, 12))
    np.testing.assert_array_equal(
        filled(BoundaryIoU(4, 0.99), case).iou(), filled(ConfusionMatrix(4), case).iou()
    )


@pytest.mark.parametrize("kind", KINDS)
@given(st.lists(labelled(), min_size=1, max_size=4), st.randoms(use_true_random=False), st.integers(0, 4))
def test_neither_the_order_nor_the_division_of_the_images_matters(kind, images, random, cut):
    whole = filled(kind(3), *images)
    assert_equal(whole, filled(kind(3), *images[:cut]), filled(kind(3), *images[cut:]))
    random.shuffle(images)
    assert_equal(whole, filled(kind(3), *images))


@pytest.mark.parametrize("flip", FLIPS)
@pytest.mark.parametrize("kind", KINDS)
@given(labelled())
def test_flips_change_nothing(kind, flip, case):
    assert_equal(filled(kind(3), case), filled(kind(3), [flip(part) for part in case]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_is_its_images_as_tensors_too(kind):
    predicted, target = torch.randint(5, (2, 3, 7, 9))
    images = zip(predicted.numpy(), target.numpy(), strict=True)
    assert_equal(filled(kind(5), (predicted, target)), filled(kind(5), *images))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("classes", [21, 255])
def test_as_many_classes_as_a_label_map_holds(kind, classes):
    """The codes of OpenCV's types don't collide: the last class, void, and what is outside the image."""
    target = np.full((9, 9), classes - 1)
    target[:4], target[8] = 0, 255
    metric = filled(kind(classes), (np.maximum(target, 0), target))
    figures = metric.iou() if kind is BoundaryIoU else metric.within(2).iou()
    assert figures[0] == figures[-1] == 1
    assert np.isnan(figures[1:-1]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_in_void_count_nowhere(kind):
    target = np.zeros((8, 8), np.uint8)
    target[:, 4:], target[:, 3:5] = 1, 255
    expected = filled(kind(2), (np.where(target == 255, 0, target), target))
    assert np.nansum(expected.table().iloc[0]) > 0
    for value in (1, 2, -1, 255):
        assert_equal(filled(kind(2), (np.where(target == 255, value, target.astype(int)), target)), expected)


def test_a_blurred_outline_shows_near_the_boundary_alone():
    """The prediction is two pixels off: everything beyond is right."""
    target = np.repeat([0, 1], [30, 30])[None].repeat(40, axis=0)
    predicted = np.repeat([0, 1], [32, 28])[None].repeat(40, axis=0)
    trimap = filled(Trimap(2, (1, 2, 8)), (predicted, target))
    table = trimap.table()
    assert table.index.tolist() == ["within 1 px", "within 2 px", "within 8 px", "beyond", "everywhere"]
    assert table["pixels"].tolist() == [80, 160, 640, 1760, 2400]
    np.testing.assert_allclose(table["pixel accuracy"], [50, 50, 87.5, 100, 100 * 58 / 60])
    np.testing.assert_allclose(table["mIoU"].iloc[[0, 3]], [25, 100])
    everywhere = filled(ConfusionMatrix(2), (predicted, target))
    assert table.loc["everywhere", "mIoU"] == 100 * everywhere.miou()
    boundary = filled(BoundaryIoU(2), (predicted, target)).miou()  # one pixel wide here: d = 1.44
    assert 0.4 < boundary < 0.7 < everywhere.miou()


@pytest.mark.parametrize(("dilation", "reach"), [(0.001, 1), (0.02, 1), (0.03, 2), (0.04, 3)])
def test_the_boundary_region_is_a_rounded_share_of_the_diagonal_wide(dilation, reach):
    labels = np.zeros((40, 60), int)  # diagonal 72.1
    metric = filled(BoundaryIoU(1, dilation), (labels, labels))
    assert metric.true.tolist() == [40 * 60 - (40 - 2 * reach) * (60 - 2 * reach)]


def test_one_label_has_no_boundary():
    trimap = filled(Trimap(2, (1, 2)), (np.ones((5, 5), int), np.ones((5, 5), int)))
    assert np.isnan(trimap.within(2).miou())
    assert trimap.rings[-1].sum() == 25


def test_a_class_absent_everywhere_is_left_out_and_one_predicted_in_vain_is_zero():
    target = np.zeros((6, 6), int)
    predicted = target.copy()
    predicted[2:4, 2:4] = 1
    table = filled(BoundaryIoU(3), (predicted, target)).table(["a", "b", "c"])
    assert table.index.tolist() == ["a", "b", "c"]
    assert table["boundary IoU"].iloc[1] == 0 and np.isnan(table["boundary IoU"].iloc[2])
    assert table["pixels"].tolist() == [20, 0, 0]  # of 36, all but 4 x 4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("predicted", "target", "words"),
    [
        ([[0, 1]], [[0, 7]], "true label is 7"),
        ([[0, 3]], [[0, 1]], "predicted label is 3"),
        ([[0, 1]], [[0]], "shape"),
        ([0, 1], [0, 1], r"\[H, W\] or \[B, H, W\]"),
        ([[[0, 0]], [[0, 3]]], [[[0, 0]], [[0, 0]]], "predicted label is 3"),
    ],
)
def test_wrong_labels_are_refused_and_nothing_is_counted(kind, predicted, target, words):
    metric = kind(3)
    with pytest.raises(DataError, match=words):
        metric.update(np.array(predicted), np.array(target))
    assert not any(array.any() for array in metric.arrays)


@pytest.mark.parametrize("widths", [(), (0, 1), (2, 1), (1, 1)])
def test_widths_must_ascend(widths):
    with pytest.raises(DataError, match="ascending"):
        Trimap(3, widths)


@pytest.mark.parametrize("dilation", [0, 1, -0.1])
def test_the_dilation_is_a_share(dilation):
    with pytest.raises(DataError, match=f"got {dilation}"):
        BoundaryIoU(3, dilation)
