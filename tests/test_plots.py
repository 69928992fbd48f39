"""Images, filters and labels as figures, labels painted over images, legends, and the colours of classes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from drawing import titles
from matplotlib.colors import to_hex
from PIL import Image

from dmnet import plots, systems
from dmnet.classes import DEMO_SCALE, VOC, VOID_COLOUR, label_image, voc_palette
from dmnet.errors import DataError
from dmnet.model import build_model, from_system
from dmnet.plots import class_list, overlay

PICTURE = np.zeros((4, 6, 3), dtype=np.uint8)
PALETTE = voc_palette(21)

pytestmark = pytest.mark.usefixtures("closed_figures")


@pytest.mark.parametrize(("columns", "panels"), [(None, 3), (2, 4), (1, 3)])
def test_images_fill_rows_and_columns(columns: int | None, panels: int) -> None:
    figure = plots.show_images([PICTURE] * 3, ["a", "b", "c"], columns=columns)
    assert len(figure.axes) == panels
    assert titles(figure) == ["a", "b", "c", ""][:panels]
    assert [len(axis.images) for axis in figure.axes] == [1, 1, 1, 0][:panels]
    assert not any(axis.axison for axis in figure.axes)


def test_images_may_be_tensors_and_have_a_colour_scale() -> None:
    figure = plots.show_images([torch.arange(12.0).view(3, 4)], vmin=-1, vmax=20, cmap="RdBu_r")
    (picture,) = figure.axes[0].images
    assert picture.get_clim() == (-1, 20)
    assert np.asarray(picture.get_array()).tolist() == torch.arange(12.0).view(3, 4).tolist()


@pytest.mark.parametrize(("images", "names"), [([], []), ([PICTURE], ["a", "b"])])
def test_a_title_without_a_picture_is_refused(images: list[Any], names: list[str]) -> None:
    with pytest.raises(DataError, match=f"{len(images)} pictures and {len(names)} titles"):
        plots.show_images(images, names)


def test_labels_become_colours() -> None:
    coloured = plots.colour_labels(torch.tensor([[0, 20], [5, 255]], dtype=torch.uint8), PALETTE)
    assert coloured.dtype == np.uint8
    assert coloured.tolist() == [[[*PALETTE[0]], [*PALETTE[20]]], [[*PALETTE[5]], [*VOID_COLOUR]]]


@pytest.mark.parametrize("label", [-1, 21, 254, 256])
def test_a_label_without_a_colour_is_refused(label: int) -> None:
    with pytest.raises(DataError, match=f"label {label} has no colour in a palette of 21"):
        plots.colour_labels(np.array([[0, label]]), PALETTE)


def test_a_legend_names_the_classes() -> None:
    figure = plots.show_images([PICTURE])
    plots.add_class_legend(figure, VOC.names, VOC.palette)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(VOC.names)
    assert [to_hex(patch.get_facecolor()) for patch in legend.get_patches()] == [
        to_hex(colour / 255) for colour in PALETTE
    ]


def test_a_legend_needs_a_colour_for_each_class() -> None:
    with pytest.raises(ValueError, match="zip"):
        plots.add_class_legend(plots.show_images([PICTURE]), VOC.names, PALETTE[:20])


def test_filters_have_one_colour_scale_with_zero_in_the_middle() -> None:
    filters = torch.tensor([[[-3.0, 1], [0, 2]], [[0, 0], [0, 1]]], requires_grad=True)
    figure = plots.show_filters(filters, columns=2)
    assert [axis.images[0].get_clim() for axis in figure.axes[:2]] == [(-3, 3)] * 2
    assert len(figure.axes) == 3  # the third is the colour scale


def test_filters_of_zeros_can_be_shown() -> None:
    figure = plots.show_filters(torch.zeros(3, 1, 1))
    assert sum(len(axis.images) for axis in figure.axes) == 3


@pytest.mark.parametrize("shape", [(3, 3), (0, 3, 3), (1, 2, 3, 3)])
def test_filters_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="must be"):
        plots.show_filters(torch.zeros(shape))


def test_overlay_mixes_colours_and_paints_void_and_borders():
    labels = np.array([[0, 0, 1, 1], [0, 0, 1, 255], [0, 0, 1, 255]], np.uint8)
    palette = np.array([[0, 0, 0], [0, 200, 0]], np.uint8)
    image = np.full((3, 4, 3), 100, np.uint8)
    painted = np.asarray(overlay(image, labels, palette, alpha=0.5))
    np.testing.assert_array_equal(painted[0, 0], [50, 50, 50])
    np.testing.assert_array_equal(painted[0, 2], [50, 150, 50])
    np.testing.assert_array_equal(painted[2, 3], (np.array(VOID_COLOUR) + 100) // 2)
    lines = [[0, 1, 0, 1], [0, 1, 1, 0], [0, 1, 1, 0]]
    np.testing.assert_array_equal((painted == 255).all(-1), lines)
    with pytest.raises(DataError, match="its labels are"):
        overlay(image, labels[:1], palette)


def test_a_legend_lists_what_occurs():
    labels = np.zeros((40, 60), np.uint8)
    labels[:5] = 2
    picture = overlay(np.zeros((40, 60, 3), np.uint8), labels, legend=["sky", "sea", "land"])
    line = 12
    assert picture.height == 40 + 2 * line + line // 2 and picture.width >= 60


def test_label_image_keeps_labels_and_colours(tmp_path):
    labels = np.array([[0, 1, 255]], np.uint8)
    label_image(labels, DEMO_SCALE.palette).save(tmp_path / "labels.png")
    read = Image.open(tmp_path / "labels.png")
    np.testing.assert_array_equal(np.asarray(read), labels)
    colours = np.asarray(read.convert("RGB"))[0]
    np.testing.assert_array_equal(colours, [*DEMO_SCALE.palette[:2], VOID_COLOUR])


def test_class_names_and_colours_are_those_of_the_data_set():
    names, palette = class_list(build_model("demo_scale"))
    assert names == DEMO_SCALE.names and palette is DEMO_SCALE.palette
    names, palette = class_list(from_system(replace(systems.get("small_r18"), classes=())))
    assert names[0] == "class 0" and len(names) == len(palette) == 21
