"""Labels in tiles: as the plain computation at full size would give them."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from dmnet import fusion
from dmnet.errors import DMNetError
from dmnet.fusion import Layer, axis_matrix, blocks, fused_labels, fused_tile, labels_at
from dmnet.upsampling import interpolation_matrix
from dmnet.views import starts

sides = st.integers(1, 40)


@given(sides, sides, sides, st.integers(1, 9), st.booleans(), st.data())
def test_an_axis_of_windows_is_padded_added_and_divided(length, window, size, values, corners, data):
    begin = starts(length, window, data.draw(st.integers(1, window)))
    window = min(window, length)
    coarse = torch.randn(len(begin), values, generator=torch.Generator().manual_seed(length))
    merged, count = torch.zeros(length), torch.zeros(length)
    for start, one in zip(begin, coarse, strict=True):
        upsampled = F.interpolate(one[None, None], window, mode="linear", align_corners=corners)[0, 0]
        merged += F.pad(upsampled, (start, length - start - window))
        count[start : start + window] += 1
    wanted = F.interpolate((merged / count)[None, None], size, mode="linear", align_corners=corners)[0, 0]
    matrix = axis_matrix(values, window, begin, length, size, corners)
    torch.testing.assert_close(matrix @ coarse.flatten(), wanted, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(matrix.sum(1), torch.ones(size))


@pytest.mark.parametrize("corners", [False, True])
def test_tiles_change_nothing(monkeypatch, corners):
    logits = torch.randn(4, 9, 6)
    whole = labels_at(logits, (75, 33), corners)
    monkeypatch.setattr(fusion, "TILE_WIDTH", 10)
    monkeypatch.setattr(fusion, "TILE_VALUES", 4 * 10 * 7)  # tiles of 7 x 10
    np.testing.assert_array_equal(labels_at(logits, (75, 33), corners), whole)
    wanted = F.interpolate(logits[None], (75, 33), mode="bilinear", align_corners=corners)[0].argmax(0)
    assert (whole == wanted.numpy()).mean() > 0.999


@settings(max_examples=15)
@given(st.integers(1, 30), st.integers(1, 30), st.booleans(), st.sampled_from(["logits", "softmax"]))
def test_views_are_averaged_after_they_are_turned_back(height, width, corners, average):
    torch.manual_seed(height)
    coarse = [torch.randn(3, 4, 5), torch.randn(3, 6, 2)]
    layers, parts = [], []
    for logits, flip in zip(coarse, (False, True), strict=True):
        rows = interpolation_matrix(logits.shape[1], height, corners)
        columns = interpolation_matrix(logits.shape[2], width, corners)
        columns = columns.flip(0) if flip else columns
        layers.append(Layer(logits.permute(1, 2, 0), blocks(rows, 7), blocks(columns, 5)))
        part = F.interpolate(logits[None], (height, width), mode="bilinear", align_corners=corners)[0]
        part = part.softmax(0) if average == "softmax" else part
        parts.append(part.flip(-1) if flip else part)
    wanted = torch.stack(parts).mean(0)
    for row, top in enumerate(range(0, height, 7)):
        for column, left in enumerate(range(0, width, 5)):
            tile = fused_tile(layers, row, column, average).permute(2, 0, 1)
            expected = wanted[:, top : top + 7, left : left + 5]
            torch.testing.assert_close(tile, expected, atol=1e-5, rtol=1e-5)
    assert (fused_labels(layers, average) == wanted.argmax(0).numpy()).mean() > 0.999


def test_more_classes_than_a_label_map_holds_are_refused():
    assert labels_at(torch.eye(255)[:, None], (1, 255)).tolist() == [list(range(255))]
    with pytest.raises(DMNetError, match="at most 255 classes and void, the logits have 256"):
        labels_at(torch.zeros(256, 1, 1), (2, 2))
