"""Labels painted over images, legends, and the colours of classes."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from dmnet import systems
from dmnet.classes import DEMO_SCALE, VOID_COLOUR, label_image, voc_palette
from dmnet.errors import DataError
from dmnet.model import build_model, from_system
from dmnet.plots import class_list, overlay

PICTURE = np.zeros((4, 6, 3), dtype=np.uint8)
PALETTE = voc_palette(21)

pytestmark = pytest.mark.usefixtures("closed_figures")


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


def test_a_legend_has_letters_with_accents():
    image, labels = np.zeros((40, 60, 3), np.uint8), np.zeros((40, 60), np.uint8)
    drawn = [np.asarray(overlay(image, labels, legend=[name])) for name in ("ä", "ß", "ж", "\uffff")]
    assert len({one[40:].tobytes() for one in drawn}) == 4  # the last is what stands for a missing letter


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


def test_an_overlay_in_strips_is_the_same():
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (600, 8, 3), dtype=np.uint8)
    labels = np.repeat(draw.integers(0, 3, (600, 1), dtype=np.uint8), 8, axis=1)
    wanted = ((1 - 0.3) * pixels + 0.3 * voc_palette(3)[labels] + 0.5).astype(np.uint8)
    same = np.append(labels[:-1, 0] == labels[1:, 0], True)
    found = np.asarray(overlay(pixels, labels, alpha=0.3))
    assert (found[same] == wanted[same]).all() and (found[~same] == 255).all()
