"""Reading pictures and label maps of every kind, and what is said about those that cannot be read."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from dmnet.errors import DataError
from dmnet.images import read_image, read_mask

RAMP = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20  # 3 high, 4 wide
COLOURS = np.stack([RAMP, 255 - RAMP, RAMP // 2], axis=2)
ORIENTATION = 0x0112  # the number of the EXIF tag


def saved(folder: Path, image: Image.Image, name: str = "picture.png", **options) -> Path:
    image.save(folder / name, **options)
    return folder / name


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6), st.just(3))))
def test_rgb_comes_back(tmp_path: Path, pixels: np.ndarray) -> None:
    path = saved(tmp_path, Image.fromarray(pixels))
    for source in (path, str(path), Image.fromarray(pixels), pixels):
        image = read_image(source)
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(image, pixels)


def test_the_result_is_a_copy() -> None:
    pixels = COLOURS.copy()
    read_image(pixels)[:] = 0
    np.testing.assert_array_equal(pixels, COLOURS)


def test_one_pixel(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("RGB", (1, 1), (1, 2, 3)))
    assert read_image(path).tolist() == [[[1, 2, 3]]]


@pytest.mark.parametrize("source", ["file", "array", "channel"])
def test_grey_becomes_three_equal_channels(tmp_path: Path, source: str) -> None:
    sources = {"file": saved(tmp_path, Image.fromarray(RAMP)), "array": RAMP, "channel": RAMP[..., None]}
    np.testing.assert_array_equal(read_image(sources[source]), np.stack([RAMP] * 3, axis=2))


def test_black_and_white(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(RAMP > 100))
    np.testing.assert_array_equal(read_image(path)[..., 0], np.where(RAMP > 100, 255, 0))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "palette", "array"])
def test_transparent_parts_are_laid_on_white(tmp_path: Path, mode: str) -> None:
    if mode == "palette":
        image = Image.fromarray(np.array([[0, 1]], np.uint8))
        image.putpalette([10, 20, 30, 40, 50, 60])
        path = saved(tmp_path, image, transparency=0)
        assert read_image(path).tolist() == [[[255, 255, 255], [40, 50, 60]]]
        return
    pixels = np.zeros((1, 3, 4), np.uint8)
    pixels[0, :, 3] = (0, 128, 255)  # black: invisible, half, whole
    image = Image.fromarray(pixels)
    source = pixels if mode == "array" else saved(tmp_path, image.convert(mode))
    assert read_image(source)[0, :, 0].tolist() == [255, 127, 0]


def test_palette(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[1, 0]], np.uint8))
    image.putpalette([10, 20, 30, 40, 50, 60])
    assert read_image(saved(tmp_path, image)).tolist() == [[[40, 50, 60], [10, 20, 30]]]


def test_cmyk(tmp_path: Path) -> None:
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))  # red
    red = read_image(saved(tmp_path, image, "picture.jpg", quality=100))[4, 4].astype(int)
    assert red[0] > 225 and max(red[1:]) < 30


@pytest.mark.parametrize("name", ["deep.png", "deep.tif"])
def test_16_bits_are_scaled(tmp_path: Path, name: str) -> None:
    values = np.array([[0, 257, 32768, 65535]], np.uint16)
    path = saved(tmp_path, Image.fromarray(values), name)
    for source in (path, values):
        assert read_image(source)[0, :, 0].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, turn: int) -> None:
    upright = {1: COLOURS, 2: COLOURS[:, ::-1], 3: COLOURS[::-1, ::-1], 4: COLOURS[::-1]}
    sideways = COLOURS.transpose(1, 0, 2)
    upright |= {5: sideways, 6: sideways[:, ::-1], 7: sideways[::-1, ::-1], 8: sideways[::-1]}
    exif = Image.Exif()
    exif[ORIENTATION] = turn
    path = saved(tmp_path, Image.fromarray(COLOURS), exif=exif)
    np.testing.assert_array_equal(read_image(path), upright[turn])


@given(arrays.arrays(np.float32, (2, 3, 3), elements=st.floats(0, 1, width=32)))
def test_floats_in_0_to_1(values: np.ndarray) -> None:
    assert np.abs(read_image(values) - values * 255.0).max() <= 0.501


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.full((2, 2), 200.0), "divide by 255"),
        (np.array([[0.5, np.nan]]), "nan"),
        (np.array([[-0.1, 0.5]]), "-0.1"),
        (np.zeros((2, 2), np.int64), "uint8"),
        (np.zeros((2, 2), bool), "bool"),
        (np.zeros((3, 20, 30), np.uint8), r"transpose\(1, 2, 0\)"),
        (np.zeros((0, 5, 3), np.uint8), r"\(0, 5, 3\)"),
        (np.zeros((2, 2, 2, 3), np.uint8), r"\(2, 2, 2, 3\)"),
        (np.zeros(7, np.uint8), r"\(7,\)"),
        (42, "int"),
        (None, "NoneType"),
    ],
)
def test_arrays_that_are_no_pictures(source: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_image(source)  # type: ignore[arg-type]


@pytest.mark.parametrize("read", [read_image, read_mask])
def test_missing(tmp_path: Path, read) -> None:
    with pytest.raises(DataError, match=r"no file .*absent\.png"):
        read(tmp_path / "absent.png")


@pytest.mark.parametrize("read", [read_image, read_mask])
def test_a_folder(tmp_path: Path, read) -> None:
    with pytest.raises(DataError, match="is a folder"):
        read(tmp_path)


@pytest.mark.parametrize("read", [read_image, read_mask])
@pytest.mark.parametrize("content", [b"", b"no picture at all", b"\x89PNG\r\n\x1a\n"])
def test_unreadable(tmp_path: Path, read, content: bytes) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"broken\.png"):
        read(path)


@pytest.mark.parametrize("name", ["cut.png", "cut.jpg", "cut.bmp", "cut.tif"])
def test_cut_off(tmp_path: Path, name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = saved(tmp_path, Image.fromarray(noise), name)
    content = path.read_bytes()
    for length in (len(content) // 4, len(content) // 2, len(content) * 9 // 10):
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match="cut"):
            read_image(path)


def test_a_mask_that_is_cut_off(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    path = saved(tmp_path, Image.fromarray(noise), "mask.png")
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError, match=r"mask\.png is damaged"):
        read_mask(path)


# Label maps


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6))))
def test_labels_are_indices_whatever_the_colours(tmp_path: Path, labels: np.ndarray) -> None:
    grey = Image.fromarray(labels)
    coloured = grey.copy()
    coloured.putpalette(bytes([7, 7, 7] * 256))  # all the same colour
    for image in (grey, coloured):
        np.testing.assert_array_equal(read_mask(saved(tmp_path, image)), labels)


def test_small_palettes_keep_their_indices(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 3, 1, 2]], np.uint8))
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, 9, 9, 9])
    assert read_mask(saved(tmp_path, image, bits=2)).tolist() == [[0, 3, 1, 2]]


def test_masks_of_1_and_16_bits(tmp_path: Path) -> None:
    assert read_mask(saved(tmp_path, Image.fromarray(np.array([[True, False]])))).tolist() == [[1, 0]]
    deep = np.array([[0, 20, 255]], np.uint16)
    assert read_mask(saved(tmp_path, Image.fromarray(deep))).tolist() == [[0, 20, 255]]
    with pytest.raises(DataError, match="256"):
        read_mask(saved(tmp_path, Image.fromarray(deep + 1)))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_coloured_masks_are_refused(tmp_path: Path, mode: str) -> None:
    with pytest.raises(DataError, match=rf"picture\.png holds colours \(mode {mode}\).*PNG"):
        read_mask(saved(tmp_path, Image.new(mode, (2, 2))))


def test_lossy_masks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"JPEG.*PNG"):
        read_mask(saved(tmp_path, Image.fromarray(RAMP), "mask.jpg"))


def test_a_mask_is_not_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    np.testing.assert_array_equal(read_mask(saved(tmp_path, Image.fromarray(RAMP), exif=exif)), RAMP)


def test_photographs(photos: Path) -> None:
    image = read_image(photos / "voc2012_three" / "JPEGImages" / "2011_000003.jpg")
    mask = read_mask(photos / "voc2012_three" / "SegmentationClass" / "2011_000003.png")
    assert image.shape == (*mask.shape, 3)
    assert set(np.unique(mask)) <= {*range(21), 255} and 255 in mask


def test_a_decoders_own_error_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, Image.fromarray(COLOURS))

    def fail(image: Image.Image) -> None:
        raise RuntimeError("Failed to decode image")  # what damaged AVIF files raise

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", fail)
    with pytest.raises(DataError, match=r"picture\.png is damaged"):
        read_image(path)


@pytest.mark.parametrize("read", [read_image, read_mask])
def test_a_name_that_no_file_can_have(read) -> None:
    with pytest.raises(DataError, match="there is no file"):
        read(Path("x" * 300 + ".png"))
