"""Reading pictures and label maps of every kind, and what is said about those that cannot be read."""

import random
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
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
    pixels = np.zeros((1, 8, 4), np.uint8)
    pixels[0, :, 3] = (0, 128, *[255] * 6)  # black: invisible, half, whole
    image = Image.fromarray(pixels)
    source = pixels if mode == "array" else saved(tmp_path, image.convert(mode))
    assert read_image(source)[0, :, 0].tolist() == [255, 127, *[0] * 6]


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


@pytest.mark.parametrize("read", [read_image, read_mask])
def test_a_tiff_with_fewer_rows_than_it_says(tmp_path: Path, read: Callable[[Path], object]) -> None:
    """Pillow leaves black what no strip holds."""
    path = saved(tmp_path, Image.fromarray(RAMP), "short.tif")
    assert np.array(read(path)).shape[0] == len(RAMP)
    whole = bytearray(path.read_bytes())
    entry = whole.index(struct.pack("<H", 257))  # ImageLength: tag, type, count, value
    assert struct.unpack_from("<I", whole, entry + 8) == (len(RAMP),)
    struct.pack_into("<I", whole, entry + 8, 5 * len(RAMP))
    path.write_bytes(whole)
    with pytest.raises(DataError, match=r"short\.tif holds fewer rows than it says; save it anew"):
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
    with pytest.raises(DataError, match=r"JPEG.*PNG"):
        read_mask(saved(tmp_path, Image.fromarray(RAMP), "mask.tif", compression="jpeg"))
    with pytest.raises(DataError, match=r"GIF.*PNG"):  # whose writers number colours anew
        read_mask(saved(tmp_path, Image.fromarray(RAMP), "mask.gif"))
    kept = saved(tmp_path, Image.fromarray(RAMP), "mask.tif", compression="tiff_lzw")
    np.testing.assert_array_equal(read_mask(kept), RAMP)


def test_what_is_no_image_is_named_without_addresses(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    with pytest.raises(DataError, match=r"photo\.jpg is .*no image that Pillow reads: [^<]*PNG") as caught:
        read_image(tmp_path / "photo.jpg")
    assert " at 0x" not in str(caught.value)


@pytest.mark.parametrize("name", ["mask.tif", "mask.png"])
def test_masks_of_several_pages_are_refused(tmp_path: Path, name: str) -> None:
    first, second, smaller = (Image.new("L", size) for size in ((4, 3), (4, 3), (2, 1)))
    with pytest.raises(DataError, match=rf"{name} has several pages"):
        read_mask(saved(tmp_path, first, name, save_all=True, append_images=[second]))
    if name.endswith("tif"):  # a smaller copy is no page
        assert read_mask(saved(tmp_path, first, name, save_all=True, append_images=[smaller])).shape == (3, 4)


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


# Pictures that would become others


TOP = {"8 bits": 1, "16 bits": 257, "12 bits": 16}  # what 0..255 is multiplied by


def stored(path: Path, kind: str, bands: int = 3) -> Path:
    """Write a picture as a camera stores it: OpenCV keeps 16 bits and any band as they are."""
    values = np.random.default_rng(0).integers(0, 256, (16, 16, bands)).astype(np.uint16) * TOP[kind]
    cv2.imwrite(str(path), values.astype(np.uint8 if kind == "8 bits" else np.uint16).squeeze())
    return path


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
@pytest.mark.parametrize("bands", [1, 3])
def test_12_of_16_bits_are_refused(tmp_path: Path, name: str, bands: int) -> None:
    full = read_image(stored(tmp_path / name, "16 bits", bands))
    assert full.max() > 250
    np.testing.assert_array_equal(full, read_image(stored(tmp_path / name, "8 bits", bands)))
    path = stored(tmp_path / name, "12 bits", bands)
    with Image.open(path) as opened:
        for source in (path, opened):
            with pytest.raises(
                DataError, match=r"16 bits, but at most \d+, as of 12.*8 bits \(data/README\.md"
            ):
                read_image(source)


def test_arrays_are_judged_as_files_are() -> None:
    with pytest.raises(DataError, match="16 bits, but at most 4095"):
        read_image(np.array([[0, 4095]], np.uint16))
    with pytest.raises(DataError, match="no transparency"):
        read_image(np.full((4, 4, 4), 90, np.uint8))


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
@pytest.mark.parametrize("kind", ["8 bits", "12 bits", "16 bits"])
def test_infra_red_is_no_transparency(tmp_path: Path, name: str, kind: str) -> None:
    path = stored(tmp_path / name, kind, 4)
    with pytest.raises(DataError, match=rf"{name}.*(fourth channel is no transparency|as of 12).*README"):
        read_image(path)


def test_a_clear_part_is_laid_on_white(tmp_path: Path) -> None:
    pixels = np.full((8, 8, 4), 90, np.uint8)
    pixels[..., 3] = np.where(np.arange(8) < 3, 0, 255)  # as programs for maps mark what was not seen
    for name in ("a.png", "a.tif", "a.webp"):
        options = {"lossless": True, "exact": True} if name == "a.webp" else {}
        image = read_image(saved(tmp_path, Image.fromarray(pixels), name, **options))
        assert (image[:, :3] == 255).all() and (image[:, 3:] == 90).all()
    pixels[..., 3] = 0
    with pytest.raises(DataError, match=r"64 pixels are clear"):
        read_image(saved(tmp_path, Image.fromarray(pixels)))


def tiff(path: Path, photometric: int, bits: list[int], extra: list[int], pixels: bytes) -> Path:
    """Write a TIFF of 4 x 4 pixels as its specification says, whatever Pillow can write."""
    count = len(bits)
    tags = {256: (3, [4]), 257: (3, [4]), 258: (3, bits), 259: (3, [1]), 262: (3, [photometric])}
    tags |= {277: (3, [count]), 278: (3, [4]), 279: (4, [len(pixels)])} | ({338: (3, extra)} if extra else {})
    place = 8 + 2 + 12 * (len(tags) + 1) + 4
    data, entries = b"", []
    for tag, (kind, values) in sorted((tags | {273: (4, [0])}).items()):
        packed = struct.pack(f"<{len(values)}{'H' if kind == 3 else 'I'}", *values)
        if len(packed) > 4:
            entries.append((tag, kind, len(values), struct.pack("<I", place + len(data))))
            data += packed
        else:
            entries.append((tag, kind, len(values), packed.ljust(4, b"\0")))
    entries = [e if e[0] != 273 else (273, 4, 1, struct.pack("<I", place + len(data))) for e in entries]
    head = b"II*\0" + struct.pack("<IH", 8, len(entries))
    path.write_bytes(
        head + b"".join(struct.pack("<HHI", *e[:3]) + e[3] for e in entries) + bytes(4) + data + pixels
    )
    return path


@pytest.mark.parametrize("bands", [2, 4, 5, 6, 7])
def test_bands_that_nobody_named(tmp_path: Path, bands: int) -> None:
    colours = 1 if bands == 2 else 3
    path = tiff(tmp_path / "a.tif", min(colours, 2), [8] * bands, [0] * (bands - colours), bytes(16 * bands))
    with pytest.raises(DataError, match=r"a\.tif (has \d bands, of which Pillow reads \d|is .*no image)"):
        read_image(path)


def test_white_is_0(tmp_path: Path) -> None:
    assert read_image(tiff(tmp_path / "a.tif", 0, [8], [], bytes(16))).min() == 255
    with pytest.raises(DataError, match="counts from white"):
        read_image(tiff(tmp_path / "a.tif", 0, [16], [], bytes(32)))


def test_what_the_table_says_is_run(tmp_path: Path) -> None:
    """The lines that data/README.md shows make a picture of what was refused."""
    readme = (Path(__file__).parents[1] / "data" / "README.md").read_text("utf8")
    (code,) = re.findall(r'```sh\npython -c "\n(import cv2\n.*?)"\n```', readme, flags=re.DOTALL)
    stored(tmp_path / "field.tif", "12 bits", 4)
    before = (tmp_path / "field.tif").read_bytes()
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert (tmp_path / "field.tif").read_bytes() == before
    wanted = cv2.imread(str(tmp_path / "field.tif"), cv2.IMREAD_UNCHANGED)[..., 2::-1] / 4095 * 255
    assert np.abs(read_image(tmp_path / "field.png") - wanted).max() <= 0.51


def test_a_large_picture_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, Image.fromarray(COLOURS))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5)
    for read in (read_image, read_mask):
        with pytest.raises(DataError, match=r"picture\.png is too large.*cut it into tiles"):
            read(path)


@pytest.mark.parametrize(
    "error", [AssertionError, SyntaxError, struct.error, TypeError, KeyError, RecursionError]
)
@pytest.mark.parametrize("place", ["load", "getexif"])
def test_whatever_a_decoder_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error, place: str
) -> None:
    path = saved(tmp_path, Image.fromarray(RAMP))

    def fail(image: Image.Image) -> None:
        raise error

    monkeypatch.setattr(f"PIL.PngImagePlugin.PngImageFile.{place}", fail)
    for read in (read_image, read_mask):
        with pytest.raises(DataError, match=rf"picture\.png is damaged.*{error.__name__}.*leave it out"):
            read(path)


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_no_memory_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error) -> None:
    path = saved(tmp_path, Image.fromarray(RAMP))

    def fail(image: Image.Image) -> None:
        raise error

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", fail)
    with pytest.raises(error) as raised:
        read_image(path)
    assert error is KeyboardInterrupt or "cut it into tiles" in str(raised.value)


@pytest.mark.filterwarnings("ignore")  # Pillow's, of what it overlooks
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "gif"])
def test_mutated_files(tmp_path: Path, suffix: str) -> None:
    """A hundred damaged files of each kind are read, or a DataError names them; the doctor says the same."""
    from dmnet.doctor.measuring import measure

    draw, exif = random.Random(suffix), Image.Exif()
    exif[ORIENTATION], exif[0x010E] = 6, "a picture"
    noise = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    options = {} if suffix == "gif" else {"exif": exif}
    sound = saved(tmp_path, Image.fromarray(noise), f"sound.{suffix}", **options).read_bytes()
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    for number in range(100):
        content = bytearray(sound)
        for _ in range(draw.choice([1, 1, 2, 4, 16])):
            place = draw.randrange(min(len(content), draw.choice([64, 400, 10**6])))
            content[place] = draw.choice([0, 1, 127, 128, 255, draw.randrange(256)])
        path = tmp_path / f"images/{number}.{suffix}"
        path.write_bytes(content[: draw.choice([len(content)] * 3 + [draw.randrange(len(content))])])
        (tmp_path / f"masks/{number}.{suffix}").write_bytes(path.read_bytes())
        for read in (read_image, read_mask):
            try:
                read(path)
            except DataError as error:
                assert f"{number}.{suffix}" in str(error)
            except MemoryError as error:
                assert "cut it into tiles" in str(error)
    from dmnet.datasets.files import ClassList, Encoding, FileDataset, pair, voc_palette

    files, _ = pair(tmp_path / "images", tmp_path / "masks") if suffix != "gif" else ({}, ())
    classes = ClassList(("x",), voc_palette(1))
    data = FileDataset("pairs", tmp_path, "all", files, classes, Encoding.plain(1), tmp_path)
    for one, (image, _) in zip(measure(data, range(len(files))), files.values(), strict=True):
        try:
            read_image(image)
        except DataError:
            assert one.image is None
