"""Which scales and crops a protocol asks for, and one label per pixel from the logits of all."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from dmnet import inference, systems
from dmnet.errors import DMNetError
from dmnet.inference import View, ViewLogits, crop_starts, crops_matrix, fuse, labels_at, tta_views
from dmnet.systems import Evaluation
from dmnet.transforms import evaluation_image, network_input
from dmnet.upsampling import interpolation_matrix

lengths = st.integers(1, 60)


@given(lengths, lengths, st.data())
def test_crops_cover_an_axis_and_end_at_its_border(length, window, data):
    stride = data.draw(st.integers(1, window))
    found = crop_starts(length, window, stride)
    covered = np.zeros(length, int)
    for start in found:
        assert start >= 0 and start + min(window, length) <= length
        covered[start : start + window] += 1
    assert covered.min() >= 1 and len(set(found)) == len(found)
    assert all(second - first == stride for first, second in pairwise(found[:-1]))


def test_the_published_windows_of_cityscapes():
    view = tta_views(systems.get("mmseg_r50_d8_cityscapes_769x769_80k").evaluation, (1024, 2048))[0]
    assert view.size == (1025, 2049) and view.crop == (769, 769)
    assert view.tops == (0, 256) and view.lefts == (0, 513, 1026, 1280)


def test_multi_scale_sizes_are_mmsegmentations():
    protocol = systems.protocol(systems.get("mmseg_r50_d8_cityscapes_769x769_80k"), "ms+flip")
    found = tta_views(protocol, (1024, 2048))
    # int(2049 * ratio), int(1025 * ratio), then the ratio of the image is kept
    assert [view.limits for view in found] == [
        (1024, 512), (1536, 768), (2049, 1025), (2561, 1281), (3073, 1537), (3585, 1793)
    ]  # fmt: skip
    assert [view.size for view in found] == [
        (512, 1024), (768, 1536), (1025, 2049), (1281, 2561), (1537, 3073), (1793, 3585)
    ]  # fmt: skip
    assert found[0].crop == (512, 769) and found[0].tops == (0,) and found[0].lefts == (0, 255)


def test_without_limits_the_images_own_sides_are_scaled():
    whole, half = tta_views(Evaluation(resize=None, scales=(1, 0.5)), (41, 30))
    assert whole == View(None, (41, 30), (41, 30), (0,), (0,))
    assert half.size == (20, 15) and half.crop == (20, 15)
    assert tta_views(Evaluation(resize=None, scales=(0.01,)), (41, 30))[0].size == (1, 1)


def test_a_view_is_prepared_as_the_published_image():
    image = np.random.default_rng(0).integers(0, 256, (37, 50, 3), np.uint8)
    system = systems.get("ssseg_r50_d8_voc")
    view = tta_views(system.evaluation, (37, 50))[0]
    assert torch.equal(network_input(image, view.limits), evaluation_image(system, image))
    smaller = replace(system, evaluation=Evaluation(resize=(1024, 256)))
    view = tta_views(replace(system.evaluation, scales=(0.5,)), (37, 50))[0]
    assert torch.equal(network_input(image, view.limits), evaluation_image(smaller, image))


# From logits to labels

sides = st.integers(1, 40)


@given(sides, sides, sides, st.integers(1, 9), st.booleans(), st.data())
def test_an_axis_of_crops_is_padded_added_and_divided(length, window, size, values, corners, data):
    begin = crop_starts(length, window, data.draw(st.integers(1, window)))
    window = min(window, length)
    coarse = torch.randn(len(begin), values, generator=torch.Generator().manual_seed(length))
    merged, count = torch.zeros(length), torch.zeros(length)
    for start, one in zip(begin, coarse, strict=True):
        upsampled = F.interpolate(one[None, None], window, mode="linear", align_corners=corners)[0, 0]
        merged += F.pad(upsampled, (start, length - start - window))
        count[start : start + window] += 1
    wanted = F.interpolate((merged / count)[None, None], size, mode="linear", align_corners=corners)[0, 0]
    matrix = crops_matrix(values, window, begin, length, size, corners)
    torch.testing.assert_close(matrix @ coarse.flatten(), wanted, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(matrix.sum(1), torch.ones(size))


@pytest.mark.parametrize("corners", [False, True])
def test_strips_change_nothing(monkeypatch, corners):
    logits = torch.randn(4, 9, 6)
    whole = labels_at(logits, (75, 33), corners)
    monkeypatch.setattr(inference, "STRIP_VALUES", 4 * 33 * 7)  # strips of 7 rows
    np.testing.assert_array_equal(labels_at(logits, (75, 33), corners), whole)
    wanted = F.interpolate(logits[None], (75, 33), mode="bilinear", align_corners=corners)[0].argmax(0)
    assert (whole == wanted.numpy()).mean() > 0.999


@settings(max_examples=15)
@given(st.integers(1, 30), st.integers(1, 30), st.booleans(), st.sampled_from(["logits", "softmax"]))
def test_views_are_averaged_after_they_are_turned_back(height, width, corners, average):
    torch.manual_seed(height)
    views, parts = [], []
    for logits, flip in ((torch.randn(2, 3, 4, 5), False), (torch.randn(2, 3, 6, 2), True)):
        rows = interpolation_matrix(logits.shape[2], height, corners)
        columns = interpolation_matrix(logits.shape[3], width, corners)
        views.append(ViewLogits(logits, rows, columns.flip(0) if flip else columns))
        part = F.interpolate(logits, (height, width), mode="bilinear", align_corners=corners)
        part = part.softmax(1) if average == "softmax" else part
        parts.append(part.flip(-1) if flip else part)
    wanted = torch.stack(parts).mean(0)
    assert (fuse(views, average) == wanted.argmax(1).numpy()).mean() > 0.999


def test_more_classes_than_a_label_map_holds_are_refused():
    assert labels_at(torch.eye(255)[:, None], (1, 255)).tolist() == [list(range(255))]
    with pytest.raises(DMNetError, match="at most 255 classes and void, the logits have 256"):
        labels_at(torch.zeros(256, 1, 1), (2, 2))
