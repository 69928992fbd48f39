"""Class names and colours."""

import itertools

import numpy as np
import pytest

from dmnet.classes import ADE20K, CAMVID, CITYSCAPES, DEMO_CONTEXT, DEMO_SCALE, VOC, ClassList, voc_palette

ALL = {"voc": VOC, "cityscapes": CITYSCAPES, "ade20k": ADE20K, "context": DEMO_CONTEXT, "scale": DEMO_SCALE}
ALL["camvid"] = CAMVID

# How people without one kind of cones see linear RGB [Machado, Oliveira and Fernandes, 2009, severity 1].
COLOUR_BLIND = {
    "nobody": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "tritanopia": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


@pytest.mark.parametrize(
    ("classes", "count"),
    [(VOC, 21), (CITYSCAPES, 19), (ADE20K, 150), (CAMVID, 11), (DEMO_CONTEXT, 7), (DEMO_SCALE, 7)],
)
def test_every_class_has_a_name_and_a_colour(classes: ClassList, count: int) -> None:
    assert len(classes) == len(set(classes.names)) == count
    assert classes.palette.shape == (count, 3) and classes.palette.dtype == np.uint8
    assert all(name and name == name.strip() for name in classes.names)


@pytest.mark.parametrize(
    ("classes", "label", "name", "colour"),
    [
        (VOC, 0, "background", (0, 0, 0)),
        (VOC, 1, "aeroplane", (128, 0, 0)),
        (VOC, 15, "person", (192, 128, 128)),
        (VOC, 20, "tv monitor", (0, 64, 128)),
        (CITYSCAPES, 0, "road", (128, 64, 128)),
        (CITYSCAPES, 13, "car", (0, 0, 142)),
        (CITYSCAPES, 18, "bicycle", (119, 11, 32)),
        (CAMVID, 0, "sky", (128, 128, 128)),
        (CAMVID, 4, "pavement", (60, 40, 222)),
        (CAMVID, 10, "bicyclist", (0, 128, 192)),
        (ADE20K, 0, "wall", (120, 120, 120)),
        (ADE20K, 2, "sky", (6, 230, 230)),
        (ADE20K, 12, "person", (150, 5, 61)),
        (ADE20K, 149, "flag", (92, 0, 255)),
    ],
)
def test_known_classes(classes: ClassList, label: int, name: str, colour: tuple[int, ...]) -> None:
    assert classes.names[label] == name
    assert tuple(classes.palette[label].tolist()) == colour


def test_voc_palette() -> None:
    palette = voc_palette(256)
    assert len(np.unique(palette, axis=0)) == 256
    assert palette[255].tolist() == [224, 224, 192]  # the colour of VOC's void border
    np.testing.assert_array_equal(voc_palette(21), palette[:21])


def test_voc_palette_is_that_of_the_files(photos) -> None:
    from PIL import Image

    file = photos / "voc2012_three" / "SegmentationClass" / "2011_000006.png"
    stored = np.array(Image.open(file).getpalette()).reshape(-1, 3)
    np.testing.assert_array_equal(voc_palette(len(stored)), stored)


@pytest.mark.parametrize("count", [0, 257])
def test_voc_palette_out_of_range(count: int) -> None:
    with pytest.raises(ValueError, match=str(count)):
        voc_palette(count)


def test_palettes_cannot_be_changed_by_accident() -> None:
    with pytest.raises(ValueError, match="read-only"):
        VOC.palette[0] = 1


def test_names_and_colours_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="2 names"):
        ClassList(("a", "b"), voc_palette(3))


def lab(rgb: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """CIELAB of sRGB colours as someone with the matrix `seen` sees them."""
    values = rgb / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4) @ seen.T
    x, y, z = (np.clip(linear, 0, 1) @ TO_XYZ.T / TO_XYZ.sum(1)).T
    f = [np.where(t > 0.008856, np.cbrt(t), 7.787 * t + 16 / 116) for t in (x, y, z)]
    return np.stack([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])], axis=1)


@pytest.mark.parametrize("kind", COLOUR_BLIND)
@pytest.mark.parametrize("classes", [DEMO_CONTEXT, DEMO_SCALE], ids=["context", "scale"])
def test_everybody_can_tell_the_demo_colours_apart(classes: ClassList, kind: str) -> None:
    page = np.array([[255, 255, 255], [18, 18, 18]])  # a light and a dark page
    colours = lab(np.concatenate([classes.palette, page]), np.array(COLOUR_BLIND[kind]))
    distances = [np.linalg.norm(a - b) for a, b in itertools.combinations(colours, 2)]
    assert min(distances) > 10  # 2.3 is just noticeable
