"""The chapters' figures have the panels, labels and numbers that they promise; the rest is refused."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from drawing import texts, titles
from matplotlib.figure import Figure

from dmnet.book import figures
from dmnet.classes import VOID_COLOUR, voc_palette

PICTURE = np.zeros((4, 6, 3), dtype=np.uint8)
PALETTE = voc_palette(21)
SHAPES = ["image", "stage 3", "stage 4", "response", "joined", "fused", "logits", "labels", "auxiliary"]

pytestmark = pytest.mark.usefixtures("closed_figures")


def test_a_table_has_a_row_per_example_and_a_column_per_kind() -> None:
    filters = [torch.full((3, 3), 0.5), torch.full((3, 3), -2.0)]
    columns = {"scene": [PICTURE, PICTURE], "filter": filters, "map": [torch.ones(5, 5)] * 2}
    figure = figures.show_table(columns, rows=("one", "two"), digits=1)
    assert titles(figure) == ["scene", "filter", "map", "", "", ""]
    assert [axis.get_ylabel() for axis in figure.axes] == ["one", "", "", "two", "", ""]
    assert [texts(axis) for axis in figure.axes] == [[], ["0.5"] * 9, [], [], ["-2.0"] * 9, []]
    assert [figure.axes[place].images[0].get_clim() for place in (1, 4)] == [(-2, 2)] * 2
    figure = figures.show_table(columns, largest=3)
    assert {axis.images[0].get_clim() for axis in figure.axes} == {(-3, 3)}


def test_digits_are_light_on_dark_cells() -> None:
    figure = figures.show_table({"filter": [torch.tensor([[1.0, -0.1]])]}, digits=0)
    assert [text.get_color() for text in figure.axes[0].texts] == ["white", "black"]


def test_grids_show_their_numbers_and_a_frame() -> None:
    grids = {"image": np.array([[1, 2.5], [0, -4]]), "kernel": torch.ones(1, 1), "response": np.zeros((2, 2))}
    figure = figures.show_digits(grids, marks={"image": (0, 1, 1)}, columns=2)
    assert titles(figure) == ["image", "kernel", "response", ""]
    assert texts(figure.axes[0]) == ["1", "2.5", "0", "-4"]
    assert [len(axis.patches) for axis in figure.axes] == [1, 0, 0, 0]
    frame: Any = figure.axes[0].patches[0]
    assert (frame.get_xy(), frame.get_width(), frame.get_height()) == ((1, 0), 1, 1)


def test_the_plans_arrows_meet_its_boxes() -> None:
    (axis,) = figures.show_architecture(dict.fromkeys(SHAPES, "")).axes
    boxes: list[Any] = list(axis.patches)
    edges = {round(edge, 6) for box in boxes for edge in (box.get_y(), box.get_y() + box.get_height())}
    arrows: list[Any] = [text for text in axis.texts if not text.get_text()]
    assert (len(boxes), len(arrows)) == (13, 16)
    *down, aside = arrows
    for arrow in down:
        assert arrow.xy[1] < arrow.xyann[1] and {round(arrow.xy[1], 6), round(arrow.xyann[1], 6)} <= edges
    assert [arrow.arrow_patch.get_linestyle() for arrow in arrows] == ["-"] * 15 + ["--"]
    assert (aside.xyann, aside.xy) == (pytest.approx((1.5, 8.1)), pytest.approx((1.9, 8.1)))


def test_shares_are_labelled_with_value_and_per_cent() -> None:
    shares = {"most": 150.0, "rest": 49.5, "dust": 0.5, "none": 0.0}
    figure = figures.show_shares(pd.Series(shares), list("rgbkc"), "grams")
    (axis,) = figure.axes
    assert texts(axis) == ["150.0  (75%)", "49.5  (25%)", "0.5  (<1%)", "0.0  (0%)"]
    assert [label.get_text() for label in axis.get_yticklabels()] == list(shares)
    assert axis.get_xlabel() == "grams"
    assert axis.yaxis_inverted()  # the first part on top


def test_the_plan_of_the_network_shows_every_shape_and_module() -> None:
    figure = figures.show_architecture({name: f"<{name}>" for name in SHAPES})
    written = "\n".join(texts(figure.axes[0]))
    assert all(f"<{name}>" in written for name in SHAPES)
    assert all(f"DCM\nk = {k}" in written for k in (1, 3, 5, 7))
    assert "f and 4 × <response>" in written


def test_the_plan_of_the_network_needs_all_shapes() -> None:
    with pytest.raises(KeyError, match="auxiliary"):
        figures.show_architecture(dict.fromkeys(SHAPES[:-1], ""))


def test_every_run_is_a_dot_of_its_own() -> None:
    runs = pd.DataFrame(
        {
            "variant": ["b", "b", "a", "b"],
            "iterations": [100, 100, 100, 200],
            "miou": [50.0, 50.0, 60.0, 70.0],
        }
    )
    figure = figures.show_seeds(runs)
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["b", "a"]  # in the order of the table
    dots = [tuple(dot) for part in axis.collections for dot in np.asarray(part.get_offsets())]
    assert len(set(dots)) == len(runs)  # two equal results do not hide each other
    assert sorted(x for x, _ in dots) == [50, 50, 60, 70]
    assert [round(y) for _, y in dots] == [0, 0, 1, 0]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["100", "200"]
    assert figures.show_seeds(runs[:3]).legends == []


def test_runs_need_their_columns() -> None:
    with pytest.raises(KeyError, match="iterations"):
        figures.show_seeds(pd.DataFrame({"variant": ["a"], "miou": [50.0]}))


def test_every_figure_can_be_drawn() -> None:
    """The layout holds what is in it: nothing is left for the book's build to find."""
    drawn = [
        figures.show_architecture(dict.fromkeys(SHAPES, "512×64×64")),
        figures.show_digits({"a": np.eye(3), "b": np.eye(5)}),
        figures.show_table({"a": [PICTURE]}, rows=("one",)),
    ]
    for figure in drawn:
        assert isinstance(figure, Figure)
        figure.canvas.draw()


@pytest.mark.parametrize(("columns", "panels"), [(None, 3), (2, 4), (1, 3)])
def test_images_fill_rows_and_columns(columns: int | None, panels: int) -> None:
    figure = figures.show_images([PICTURE] * 3, ["a", "b", "c"], columns=columns)
    assert len(figure.axes) == panels
    assert titles(figure) == ["a", "b", "c", ""][:panels]
    assert [len(axis.images) for axis in figure.axes] == [1, 1, 1, 0][:panels]
    assert not any(axis.get_frame_on() or axis.get_xticks().size for axis in figure.axes)


def test_images_may_be_tensors_and_have_a_colour_scale() -> None:
    figure = figures.show_images([torch.arange(12.0).view(3, 4)], vmin=-1, vmax=20, cmap="RdBu_r")
    (picture,) = figure.axes[0].images
    assert picture.get_clim() == (-1, 20)
    assert np.asarray(picture.get_array()).tolist() == torch.arange(12.0).view(3, 4).tolist()


def test_labels_become_colours() -> None:
    coloured = figures.colour_labels(torch.tensor([[0, 20], [5, 255]], dtype=torch.uint8), PALETTE)
    assert coloured.dtype == np.uint8
    assert coloured.tolist() == [[[*PALETTE[0]], [*PALETTE[20]]], [[*PALETTE[5]], [*VOID_COLOUR]]]
