"""What the doctor shows: examples and shares."""

from typing import Any

import numpy as np
import pytest
from drawing import texts, titles
from matplotlib.colors import to_hex

from dmnet.classes import VOID_COLOUR, voc_palette
from dmnet.doctor import Report, SplitCounts, figures

PALETTE = voc_palette(21)

pytestmark = pytest.mark.usefixtures("closed_figures")


class Two:
    """Two examples, the second with a mask of half the height."""

    classes, palette, split = ("x", "y", "z"), PALETTE[:3], "val"

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, str]:
        mask = np.zeros((4, 6), np.uint8)
        mask[0], mask[1], mask[2] = 1, 255, 77
        return np.full((4, 6, 3), 200, np.uint8), mask[: 4 - 2 * index], "ab"[index]


def test_examples_show_image_mask_and_both() -> None:
    figure = figures.show_examples(Two())
    assert titles(figure) == ["a", "mask", "both", "b", "mask", "both"]
    (painted,) = figure.axes[1].images
    colours = [[*PALETTE[1]], [*VOID_COLOUR], [255, 0, 255], [*PALETTE[0]]]
    assert np.asarray(painted.get_array())[:, 0].tolist() == colours
    laid_over = figure.axes[5].images
    assert [list(one.get_extent()) for one in laid_over] == [[-0.5, 5.5, 3.5, -0.5]] * 2
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["x", "y", "no class", "void"]


def test_class_shares_are_bars_in_the_classes_colours() -> None:
    pixels = {"train": [6000, 25], "val": [4000, 0]}
    splits = [
        SplitCounts(split, 1, 1, np.array(counts), np.ones(2, np.int64), 10_000 - sum(counts), 0)
        for split, counts in pixels.items()
    ]
    figure = figures.show_class_shares(Report(("x", "y"), tuple(splits), ()), PALETTE)
    (axis,) = figure.axes
    bars: Any = axis.containers
    assert [[bar.get_width() for bar in split] for split in bars] == [[60, 0.25], [40, 0]]
    assert [to_hex(bar.get_facecolor()) for bar in bars[1]] == [to_hex(c / 255) for c in PALETTE[:2]]
    assert texts(axis) == ["60 %", "0.25 %", "40 %", "0 %"]
    assert axis.yaxis_inverted() and bars[0][0].get_y() < bars[1][0].get_y() < bars[0][1].get_y()
