"""Which windows and sizes a protocol asks for."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dmnet import systems
from dmnet.systems import Evaluation
from dmnet.transforms import evaluation_image
from dmnet.views import View, Window, cut, starts, view_image, views

lengths = st.integers(1, 60)


@given(lengths, lengths, st.data())
def test_windows_cover_an_axis_and_end_at_its_border(length, window, data):
    stride = data.draw(st.integers(1, window))
    found = starts(length, window, stride)
    covered = np.zeros(length, int)
    for start in found:
        assert start >= 0 and start + min(window, length) <= length
        covered[start : start + window] += 1
    assert covered.min() >= 1 and len(set(found)) == len(found)
    assert all(second - first == stride for first, second in pairwise(found[:-1]))


def test_the_published_windows_of_cityscapes():
    view = views(systems.get("mmseg_r50_d8_cityscapes_769x769_80k").evaluation, (1024, 2048))[0]
    assert view.size == (1025, 2049) and view.window == (769, 769) and view.flips == (False,)
    assert view.tops == (0, 256) and view.lefts == (0, 513, 1026, 1280)
    assert view.windows[5] == Window(256, 513, 769, 769) and len(view.windows) == 8


def test_multi_scale_sizes_are_mmsegmentations():
    protocol = systems.protocol(systems.get("mmseg_r50_d8_cityscapes_769x769_80k"), "ms+flip")
    found = views(protocol, (1024, 2048))
    # int(2049 * ratio), int(1025 * ratio), then the ratio of the image is kept
    assert [view.limits for view in found] == [
        (1024, 512), (1536, 768), (2049, 1025), (2561, 1281), (3073, 1537), (3585, 1793)
    ]  # fmt: skip
    assert [view.size for view in found] == [
        (512, 1024), (768, 1536), (1025, 2049), (1281, 2561), (1537, 3073), (1793, 3585)
    ]  # fmt: skip
    assert found[0].window == (512, 769) and found[0].tops == (0,) and found[0].lefts == (0, 255)
    assert all(view.flips == (False, True) for view in found)


def test_without_limits_the_images_own_sides_are_scaled():
    whole, half = views(Evaluation(resize=None, scales=(1, 0.5)), (41, 30))
    assert whole == View(None, (41, 30), (41, 30), (0,), (0,), (False,))
    assert half.size == (20, 15) and half.window == (20, 15)
    assert views(Evaluation(resize=None, scales=(0.01,)), (41, 30))[0].size == (1, 1)


def test_a_view_is_prepared_as_the_published_image():
    image = np.random.default_rng(0).integers(0, 256, (37, 50, 3), np.uint8)
    system = systems.get("ssseg_r50_d8_voc")
    view = views(system.evaluation, (37, 50))[0]
    assert torch.equal(view_image(view, image), evaluation_image(system, image))
    smaller = replace(system, evaluation=Evaluation(resize=(1024, 256)))
    view = views(replace(system.evaluation, scales=(0.5,)), (37, 50))[0]
    assert torch.equal(view_image(view, image), evaluation_image(smaller, image))


@pytest.mark.parametrize("flip", [False, True])
def test_windows_are_cut_from_the_mirror_image(flip):
    image = torch.arange(35).view(1, 5, 7)
    seen = image.flip(-1) if flip else image
    assert torch.equal(cut(image, Window(1, 2, 3, 4), flip), seen[:, 1:4, 2:6])
