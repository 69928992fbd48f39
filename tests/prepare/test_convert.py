"""`dmnet data convert`: known labels, written as other programs write them, come back pixel by pixel."""

import base64
import hashlib
import io
import json
import os
import shlex
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image, ImageOps
from pycocotools import mask as coco
from typer.testing import CliRunner

from dmnet import datasets
from dmnet.classes import voc_palette
from dmnet.cli import application
from dmnet.errors import DataError
from dmnet.images import read_image
from dmnet.prepare import convert as module
from dmnet.prepare.convert import convert
from dmnet.prepare.exports import KINDS

NAMES = ("background", "disc", "square")
COLOURS = ((0, 0, 0), (51, 221, 255), (250, 50, 83))
SPLITS = {"a": "train", "b": "train", "c": "val"}
SIZE = (24, 32)  # height, width

Labels = dict[str, np.ndarray]


def labels(seed: int) -> np.ndarray:
    """Two rectangles of each class, so that outlines can say exactly what is meant."""
    mask = np.zeros(SIZE, np.uint8)
    for left, top, right, bottom, label in boxes(seed):
        mask[top:bottom, left:right] = label
    return mask


def boxes(seed: int) -> list[tuple[int, int, int, int, int]]:
    """Left, top, right, bottom (ends are not inside), label; later ones lie on top."""
    rng = np.random.default_rng(seed)
    found = []
    for label in (1, 2, 1, 2):
        left, top = rng.integers(0, SIZE[1] - 9), rng.integers(0, SIZE[0] - 9)
        found.append(
            (int(left), int(top), int(left + rng.integers(3, 9)), int(top + rng.integers(3, 9)), label)
        )
    return found


def corners(box: tuple[int, int, int, int, int]) -> list[list[int]]:
    left, top, right, bottom, _ = box
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def photograph(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (*SIZE, 3), np.uint8))


def save(image: Image.Image, file: Path, **options: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    image.save(file, **options)
    return file


def write(file: Path, text: str | dict) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text if isinstance(text, str) else json.dumps(text), encoding="utf-8")
    return file


# Exports, each of the three examples `SPLITS` ---------------------------------------------------------------


def cvat(root: Path) -> None:
    lines = "# label:color_rgb:parts:actions\n"
    lines += "".join(f"{n}:{r},{g},{b}::\n" for n, (r, g, b) in zip(NAMES, COLOURS, strict=True))
    write(root / "labelmap.txt", lines)
    for seed, name in enumerate(SPLITS):
        save(photograph(seed), root / f"JPEGImages/{name}.jpg")
        save(coloured(labels(seed)), root / f"SegmentationClass/{name}.png")
        save(coloured(labels(seed)), root / f"SegmentationObject/{name}.png")
    for list_name, split in (("Train", "train"), ("Validation", "val")):
        ids = [name for name, one in SPLITS.items() if one == split]
        write(root / f"ImageSets/Segmentation/{list_name}.txt", "\n".join(ids))


def coloured(mask: np.ndarray) -> Image.Image:
    return Image.fromarray(np.array(COLOURS, np.uint8)[mask])


def pairs(root: Path, stored: Callable[[np.ndarray], Image.Image]) -> None:
    for seed, (name, split) in enumerate(SPLITS.items()):
        save(photograph(seed), root / f"images/{split}/{name}.jpg")
        save(stored(labels(seed)), root / f"masks/{split}/{name}_mask.png")


def colours(root: Path) -> Path:
    pairs(root, coloured)
    lines = "".join(f"{n} {r}, {g}, {b}\n" for n, (r, g, b) in zip(NAMES, COLOURS, strict=True))
    return write(root / "table.txt", lines)


def values(root: Path) -> Path:
    pairs(root, lambda mask: Image.fromarray(np.array([0, 10, 255], np.uint8)[mask]))
    return write(root / "table.txt", "# comment\nbackground 0\n\ndisc 10\nsquare 255\n")


def roboflow(root: Path) -> None:
    for seed, (name, split) in enumerate(SPLITS.items()):
        folder = root / split.replace("val", "valid")
        save(photograph(seed), folder / f"{name}_JPG.rf.1f{seed}.jpg")
        save(Image.fromarray(labels(seed)), folder / f"{name}_JPG.rf.1f{seed}_mask.png")
        write(folder / "_classes.csv", "Pixel Value, Class\n0, background\n1, disc\n2, square\n")


def labelme_content(seed: int, path: str) -> dict[str, Any]:
    """A polygon, a rectangle and two masks."""
    shapes: list[dict[str, Any]] = []
    for kind, box in zip(("polygon", "rectangle", "mask", None), boxes(seed), strict=True):
        left, top, right, bottom, label = box
        shape: dict[str, Any] = {"label": NAMES[label], "points": corners(box), "shape_type": kind}
        if kind == "rectangle":
            shape["points"] = [[left, bottom], [right, top]] if seed else corners(box)  # X-AnyLabeling's
        if kind == "mask":
            file = io.BytesIO()
            Image.fromarray(np.ones((bottom - top, right - left), bool)).save(file, "PNG")
            shape["points"] = [[left, top], [right - 1, bottom - 1]]
            shape["mask"] = base64.b64encode(file.getvalue()).decode()
        shapes.append(shape)
    size = {"imageHeight": SIZE[0], "imageWidth": SIZE[1]}
    return {"version": "5", "shapes": shapes, "imagePath": path, "imageData": None, **size}


def labelme(root: Path) -> None:
    for seed, (name, split) in enumerate(SPLITS.items()):
        save(photograph(seed), root / split / f"{name}.jpg")
        write(root / split / f"{name}.json", labelme_content(seed, f"{name}.jpg"))


def coco_content(names: list[str], split: str) -> dict[str, Any]:
    """Polygons, and run lengths of both kinds; ids in no order."""
    ids = {1: 7, 2: 30}
    categories = [{"id": 30, "name": "square"}, {"id": 7, "name": "disc"}]
    images, annotations = [], []
    for name in names:
        seed = list(SPLITS).index(name)
        images.append({"id": 100 + seed, "file_name": f"{name}.jpg", "height": SIZE[0], "width": SIZE[1]})
        for index, box in enumerate(boxes(seed)):
            left, top, right, bottom, label = box
            inside = np.zeros(SIZE, np.uint8, order="F")
            inside[top:bottom, left:right] = 1
            code: Any = coco.encode(inside)
            code["counts"] = code["counts"].decode()
            if index == 1:
                code["counts"] = runs(inside)
            elif index > 1:
                code = [np.ravel(corners(box)).tolist()]
            annotation = {"id": index, "image_id": 100 + seed, "category_id": ids[label], "iscrowd": 0}
            annotations.append(annotation | {"segmentation": code})
    return {"images": images, "categories": categories, "annotations": annotations, "info": {"split": split}}


def runs(mask: np.ndarray) -> list[int]:
    """Run lengths in columns, the first of zeros."""
    flat = mask.ravel(order="F")
    ends = [0, *(np.flatnonzero(np.diff(flat)) + 1).tolist(), flat.size]
    found = np.diff(ends).tolist()
    return found if flat[0] == 0 else [0, *found]


def coco_folder(root: Path) -> None:
    for split in ("train", "val"):
        names = [name for name, one in SPLITS.items() if one == split]
        write(root / f"annotations/instances_{split}2017.json", coco_content(names, split))
        for name in names:
            save(photograph(list(SPLITS).index(name)), root / f"{split}2017/{name}.jpg")


def yolo(root: Path) -> None:
    for seed, (name, split) in enumerate(SPLITS.items()):
        save(photograph(seed), root / f"images/{split}/{name}.jpg")
        lines = []
        for box in boxes(seed):
            relative = np.array(corners(box)) / (SIZE[1], SIZE[0])
            lines.append(f"{box[4] - 1} {' '.join(map(str, relative.ravel()))}")
        write(root / f"labels/{split}/{name}.txt", "\n".join(lines) + "\n")
    write(root / "data.yaml", yaml.safe_dump({"train": "images/train", "names": {0: "disc", 1: "square"}}))


WRITERS: dict[str, Callable[[Path], Path | None]] = {
    "cvat": cvat, "colours": colours, "values": values, "roboflow": roboflow, "labelme": labelme,
    "coco": coco_folder, "yolo": yolo,
}  # fmt: skip


def digest(root: Path) -> dict[str, str]:
    return {
        str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in root.rglob("*")
        if file.is_file()
    }


def read(folder: Path, split: str) -> Labels:
    return {name: mask for _, mask, name in datasets.load("pairs", folder, split)}


def told(root: Path, out: Path) -> list[str]:
    """Convert, and return what was said: the kind, what was left out, the splits."""
    said: list[str] = []
    convert(root, out, say=said.append)
    return said


def refuse(root: Path, match: str, kind: str | None = None, table: Any = ()) -> None:
    """A DataError, and nothing but the source is there afterwards."""
    before = digest(root.parent)
    with pytest.raises(DataError, match=match):
        convert(root, root.parent / "out", kind, table)
    assert digest(root.parent) == before
    assert [one for one in os.listdir(root.parent) if one.startswith((".", "out"))] == []


# There and back ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("guessed", [True, False])
@pytest.mark.parametrize("kind", WRITERS)
def test_labels_come_back(kind: str, guessed: bool, tmp_path: Path) -> None:
    root, out = tmp_path / "in", tmp_path / "out"
    table = WRITERS[kind](root) or ()
    before = digest(root)
    said: list[str] = []
    frame = convert(root, out, None if guessed or table else kind, table, said.append).set_index("name")
    assert digest(root) == before
    assert said == [
        f"{root} is read as {kind if kind in KINDS else 'masks'}",
        "train: 2 images",
        "val: 1 images",
    ]
    assert (out / "classes.txt").read_text() == "background\ndisc\nsquare\n"
    found = read(out, "train") | read(out, "val")
    assert [name[0] for name in found] == list(SPLITS)
    expected = [labels(seed) for seed in range(3)]
    for mask, known in zip(found.values(), expected, strict=True):
        np.testing.assert_array_equal(mask, known)
    for label, name in enumerate(NAMES):
        assert frame["class"][name] == label
        assert frame["pixels"][name] == sum(np.count_nonzero(mask == label) for mask in expected)
        assert frame["images"][name] == 3
    assert frame["pixels"].sum() == 3 * SIZE[0] * SIZE[1]
    originals = {hashlib.sha256(file.read_bytes()).hexdigest() for file in root.rglob("*.jpg")}
    copies = {hashlib.sha256(file.read_bytes()).hexdigest() for file in out.rglob("*.jpg")}
    assert copies == originals
    with Image.open(next(out.glob("masks/val/*.png"))) as mask:
        assert mask.mode == "P"


def test_the_commands_help_names_all_kinds() -> None:
    shown = CliRunner().invoke(application(), ["data", "convert", "--help"], env={"COLUMNS": "200"})
    assert ", ".join(KINDS) in shown.output


@pytest.mark.parametrize("kind", WRITERS)
def test_the_command_converts_and_its_next_one_finds_no_error(kind: str, tmp_path: Path) -> None:
    table, out = WRITERS[kind](tmp_path / "in"), tmp_path / "o ut"
    options = ["--table", str(table)] if table else []
    done = CliRunner().invoke(application(), ["data", "convert", str(tmp_path / "in"), str(out), *options])
    assert done.exit_code == 0, done.output
    assert (
        f"is read as {kind if kind in KINDS else 'masks'}" in done.output
        and "disc" in done.output
        and "train: 2 images" in done.output
    )
    assert done.output.splitlines()[-1] == f"Next: dmnet data check '{out}'"
    checked = CliRunner().invoke(application(), ["data", "check", str(out)])
    assert checked.exit_code == 0, checked.output


@pytest.mark.parametrize("kind", ["cvat", "roboflow", "labelme", "coco", "yolo"])
def test_one_split_is_none(kind: str, tmp_path: Path) -> None:
    root, out = tmp_path / "in", tmp_path / "out"
    WRITERS[kind](root)
    for file in sorted(root.rglob("*"), reverse=True):
        if "val" in str(file.relative_to(root)).lower():
            file.unlink() if file.is_file() else file.rmdir()
    assert told(root, out)[-1] == "all: 2 images"
    assert len(list((out / "images").glob("*.jpg"))) == len(list((out / "masks").glob("*.png"))) == 2
    assert {len(datasets.load("pairs", out, split)) for split in ("train", "val")} == {1}


# Masks ------------------------------------------------------------------------------------------------------


def test_cvat_as_it_names_things(tmp_path: Path) -> None:
    """One list, folders in ids, spaces in quotes; a frame without labels has no mask."""
    root = tmp_path / "in"
    write(root / "labelmap.txt", "background:0,0,0::\ntraffic light:51,221,255::\nsquare:250,50,83:a,b:c\n")
    for name in ("day 1/a b", "day 2/a b", "bare"):
        save(photograph(0), root / f"JPEGImages/{name}.png")
    for name in ("day 1/a b", "day 2/a b"):
        save(coloured(labels(int(name[4]))), root / f"SegmentationClass/{name}.png")
    write(root / "ImageSets/Segmentation/default.txt", '"day 1/a b"\n"day 2/a b"\nbare\n')
    assert told(root, tmp_path / "out")[1].startswith(
        "Left out, without labels that are read, or in no list: 1 file ("
    )
    found = read(tmp_path / "out", "all")
    assert list(found) == ["day 1_a b", "day 2_a b"]
    np.testing.assert_array_equal(found["day 2_a b"], labels(2))
    assert datasets.load("pairs", tmp_path / "out", "all").classes == (
        "background",
        "traffic light",
        "square",
    )


def test_palettes_are_colours_and_several_lines_one_class(tmp_path: Path) -> None:
    root = tmp_path / "in"
    image = Image.fromarray(np.array([7, 3, 5], np.uint8)[labels(0)])
    palette = np.zeros((256, 3), np.uint8)
    palette[[7, 3, 5]] = (1, 2, 3), (4, 5, 6), (7, 8, 9)
    image.putpalette(palette.tobytes())
    save(photograph(0), root / "images/a.jpg")
    save(image, root / "masks/a.png")
    table = write(tmp_path / "t.txt", "(ignored) 1,2,3\nany object:4,5,6::\nany object\t7,8,9\n")
    made = convert(root, tmp_path / "out", None, table)
    np.testing.assert_array_equal(read(tmp_path / "out", "all")["a"], np.where(labels(0) == 0, 255, 0))
    assert made["class"].tolist() == [255, 0, 0]
    assert made["pixels"].tolist() == np.bincount(labels(0).ravel()).tolist()


def test_palette_indices_and_values_that_are_negative(tmp_path: Path) -> None:
    table = ["background 0", "disc 2", "square 1"]
    pairs(tmp_path / "in", lambda mask: indexed(mask, [0, 2, 1]))
    convert(tmp_path / "in", tmp_path / "out", table=table)
    np.testing.assert_array_equal(read(tmp_path / "out", "val")["c"], labels(2))
    (tmp_path / "out").rename(tmp_path / "kept")
    (tmp_path / "in/masks/val/c_mask.png").unlink()
    save(Image.fromarray(labels(2).astype(np.int32) - 1), tmp_path / "in/masks/val/c_mask.tif")
    refuse(tmp_path / "in", "1 values that are not in the table", table=table)


@pytest.mark.parametrize("mode", ["1", "L", "I;16"])
def test_values_of_any_depth(mode: str, tmp_path: Path) -> None:
    top = {"1": 1, "L": 255, "I;16": 40_000}[mode]
    mask = (labels(0) > 0) * top
    stored = mask.astype(bool if mode == "1" else np.uint16 if mode == "I;16" else np.uint8)
    save(photograph(0), tmp_path / "in/images/a.jpg")
    save(Image.fromarray(stored), tmp_path / "in/masks/a.png")
    table = write(tmp_path / "t.txt", f"background 0\nobject {top}\n")
    convert(tmp_path / "in", tmp_path / "out", None, table)
    np.testing.assert_array_equal(read(tmp_path / "out", "all")["a"], labels(0) > 0)


def test_vocs_lists(tmp_path: Path) -> None:
    cvat(tmp_path / "in")
    lists = tmp_path / "in/ImageSets/Segmentation"
    write(lists / "trainval.txt", "a\nb\nc\n")
    assert told(tmp_path / "in", tmp_path / "out")[1:] == ["train: 2 images", "val: 1 images"]
    write(lists / "Validation.txt", "c\nb\n")
    (tmp_path / "out").rename(tmp_path / "other")
    refuse(tmp_path / "in", r"Validation\.txt: b has no image in .*, or is in two lists")
    write(lists / "Validation.txt", "c\nd\n")
    refuse(tmp_path / "in", r"Validation\.txt: d has no image")


def test_a_mask_without_an_image(tmp_path: Path) -> None:
    table = values(tmp_path / "values/in")
    (tmp_path / "values/in/images/train/b.jpg").unlink()
    refuse(tmp_path / "values/in", r"b_mask\.png belongs to no image", None, table)
    roboflow(tmp_path / "roboflow/in")
    next((tmp_path / "roboflow/in/train").glob("b*.jpg")).unlink()
    refuse(tmp_path / "roboflow/in", r"b_.*_mask\.png belongs to no image")


def test_two_images_of_one_id(tmp_path: Path) -> None:
    cvat(tmp_path / "in")
    save(photograph(9), tmp_path / "in/JPEGImages/a.png")
    refuse(tmp_path / "in", r"a\.jpg and .*a\.png have one id, a")


def test_unknown_colours_are_listed_with_pixels_and_files(tmp_path: Path) -> None:
    root = tmp_path / "in"
    table = colours(root)
    for name, count in (("train/a", 3), ("val/c", 2)):
        mask = np.array(Image.open(file := root / f"masks/{name}_mask.png"))
        mask[0, :count] = 250, 50, 84
        mask[1, 0] = 9, 9, 9
        save(Image.fromarray(mask), file)
    refuse(
        root,
        r"(?s)2 colours .*250,50,84: 5 pixels in 2 files \(.*a_mask.*c_mask.*9,9,9: 2 pixels",
        None,
        table,
    )
    for format_ in ("JPEG", "WEBP"):
        save(coloured(labels(0)), root / "masks/train/a_mask.png", format=format_)
        refuse(root, rf"a_mask\.png is a {format_} file", None, table)


def test_unknown_values_are_listed(tmp_path: Path) -> None:
    table = values(tmp_path / "in")
    write(table, "background 0\ndisc 10\n")
    refuse(tmp_path / "in", r"1 values .*\n- 255: [\d,]+ pixels in 3 files \(.*a_mask", None, table)


@pytest.mark.parametrize(
    ("image", "match"),
    [
        (Image.fromarray(np.zeros((*SIZE, 4), np.uint8)), "fourth channel is no transparency"),
        (Image.fromarray(np.zeros(SIZE, np.uint16)), r"16 bits, but at most 0"),
        (
            Image.fromarray(np.zeros((8, 8, 3), np.uint8)),
            r"is \(24, 32\) \(height, width\), its labels \(8, 8\)",
        ),
    ],
)
def test_masks_that_are_not_what_a_table_of_colours_needs(
    image: Image.Image, match: str, tmp_path: Path
) -> None:
    table = colours(tmp_path / "in")
    save(image, tmp_path / "in/masks/val/c_mask.png")
    refuse(tmp_path / "in", match, None, table)


def test_colours_of_16_bits_are_not_cut_down(tmp_path: Path) -> None:
    import cv2

    table = colours(tmp_path / "in")
    cv2.imwrite(str(tmp_path / "in/masks/val/c_mask.png"), np.zeros((*SIZE, 3), np.uint16))
    refuse(tmp_path / "in", r"c_mask\.png has 16 bits, but at most 0", None, table)


def test_values_want_one_channel(tmp_path: Path) -> None:
    table = values(tmp_path / "in")
    save(coloured(labels(0)), tmp_path / "in/masks/val/c_mask.png")
    refuse(
        tmp_path / "in", r"c_mask\.png holds colours \(mode RGB\): a table needs lines 'name 51", None, table
    )


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("background 0,0,0\ndisc 51,221\n", "'disc 51,221' is not of the form 'name 7' or"),
        ("background 0,0,256\n", "'background 0,0,256' is not of the form"),
        ("51,221,255\n", "'51,221,255' is not"),
        ("a 1,1,1\nb 1,1,1\n", "'b 1,1,1' has what 'a' has"),
        ("# nothing\n", "holds colours .* a table needs lines"),
        ("(ignored) 0,0,0\n(ignored) 51,221,255\n(ignored) 250,50,83\n", "there is no class"),
        (b"\xff\xfeb\x00", "utf-8"),
        ("fl\u00e4che 0,0,0".encode("latin-1"), "utf-8"),
        (None, r"no list .*table\.txt; write lines 'name 7' or"),
        ("", r"table\.txt is empty; write lines"),
        ("background 0\ndisc 51,221,255\n", "'disc 51,221,255' is not of the form"),
    ],
)
def test_a_table_that_cannot_be_read(text: str | bytes | None, match: str, tmp_path: Path) -> None:
    table = colours(tmp_path / "in")
    table.unlink()
    if text is not None:
        table.write_bytes(text if isinstance(text, bytes) else text.encode())
    refuse(tmp_path / "in", match, None, table)


def test_a_byte_order_mark_is_no_name(tmp_path: Path) -> None:
    table = colours(tmp_path / "in")
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes())
    assert convert(tmp_path / "in", tmp_path / "out", None, table)["name"].tolist() == list(NAMES)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("filename, disc\na.jpg, 1\n", "begins with 'filename, disc', not 'Pixel Value, Class'"),
        ("Pixel Value, Class\nzero, background\n", "zero"),
        ("Pixel Value, Class\n0, background\n1, ring\n2, square\n", "'ring 1' has what 'disc' has"),
        ("", r"_classes\.csv is empty"),
    ],
)
def test_roboflows_list(text: str, match: str, tmp_path: Path) -> None:
    roboflow(tmp_path / "in")
    write(tmp_path / "in/valid/_classes.csv", text)
    refuse(tmp_path / "in", match, "roboflow")


def test_roboflows_images_without_a_mask(tmp_path: Path) -> None:
    roboflow(tmp_path / "in")
    next((tmp_path / "in/train").glob("a*_mask.png")).unlink()
    said = told(tmp_path / "in", tmp_path / "out")
    assert "1 file (" in said[1] and said[2:] == ["train: 1 images", "val: 1 images"]


# EXIF -------------------------------------------------------------------------------------------------------


def turned(seed: int, code: int, file: Path, size: tuple[int, int] = SIZE) -> Image.Image:
    """Save a photograph that EXIF turns; return what is seen."""
    image = photograph(seed).resize(size[::-1])
    exif = Image.Exif()
    exif[0x112] = code
    save(image, file, exif=exif)
    return ImageOps.exif_transpose(Image.open(file))


@pytest.mark.parametrize("drawn_on", ["stored", "upright"])
@pytest.mark.parametrize("code", [5, 6, 7, 8])
def test_sizes_tell_what_labels_were_drawn_on(code: int, drawn_on: str, tmp_path: Path) -> None:
    seen = turned(0, code, tmp_path / "in/images/a.jpg")
    mask = Image.fromarray(labels(0))
    mask.getexif()[0x112] = code
    upright = np.array(ImageOps.exif_transpose(mask))
    assert upright.shape == seen.size[::-1] == SIZE[::-1]
    save(Image.fromarray(upright if drawn_on == "upright" else labels(0)), tmp_path / "in/masks/a.png")
    table = write(tmp_path / "t.txt", "background 0\ndisc 1\nsquare 2\n")
    convert(tmp_path / "in", tmp_path / "out", None, table)
    image, found, _ = datasets.load("pairs", tmp_path / "out", "all")[0]
    np.testing.assert_array_equal(found, upright)
    np.testing.assert_array_equal(image, read_image(tmp_path / "in/images/a.jpg"))


@pytest.mark.parametrize(("code", "size"), [(3, SIZE), (2, SIZE), (6, (24, 24))])
def test_a_turn_that_sizes_do_not_tell_is_refused(code: int, size: tuple[int, int], tmp_path: Path) -> None:
    turned(0, code, tmp_path / "in/images/a.jpg", size)
    save(Image.fromarray(np.zeros(size, np.uint8)), tmp_path / "in/masks/a.png")
    refuse(tmp_path / "in", r"a\.jpg is turned by EXIF", None, write(tmp_path / "t", "background 0\n"))


def test_yolo_does_not_say_what_its_numbers_are_relative_to(tmp_path: Path) -> None:
    yolo(tmp_path / "in")
    turned(0, 6, tmp_path / "in/images/train/a.jpg")
    refuse(tmp_path / "in", r"a\.jpg is turned by EXIF")


def test_labelme_on_a_turned_photograph(tmp_path: Path) -> None:
    """labelme shows it upright, and writes that size."""
    turned(0, 6, tmp_path / "in/a.jpg")
    content = labelme_content(0, "a.jpg") | {"imageHeight": SIZE[1], "imageWidth": SIZE[0]}
    content["shapes"] = [{"label": "disc", "points": [[0, 0], [4, 0], [4, 30], [0, 30]]}]
    write(tmp_path / "in/a.json", content)
    convert(tmp_path / "in", tmp_path / "out")
    found = read(tmp_path / "out", "all")["a"]
    assert found.shape == SIZE[::-1] and found[:30, :4].all() and found.sum() == 120


# Outlines ---------------------------------------------------------------------------------------------------


def test_a_pixel_belongs_to_an_object_if_its_centre_does(tmp_path: Path) -> None:
    circle = {"label": "disc", "points": [[16, 12], [16, 20]], "shape_type": "circle"}
    slope = {"label": "square", "points": [[0, 0], [10, 0], [0, 10]], "shape_type": "polygon"}
    save(photograph(0), tmp_path / "in/a.jpg")
    write(tmp_path / "in/a.json", labelme_content(0, "a.jpg") | {"shapes": [circle, slope]})
    convert(tmp_path / "in", tmp_path / "out")
    found = read(tmp_path / "out", "all")["a"]
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    disc = (x - 16) ** 2 + (y - 12) ** 2
    assert ((found == 1) | ((disc > 63) | (found == 2)))[disc < 64].all() and not (found == 1)[
        disc > 65
    ].any()
    assert abs(np.count_nonzero(found == 1) - np.pi * 64) < 8
    assert (found == 2)[x + y < 9.5].all() and not (found == 2)[x + y > 10.5].any()


def test_labelmes_image_inside_of_the_file(tmp_path: Path) -> None:
    data = save(photograph(0), tmp_path / "a.png").read_bytes()
    content = labelme_content(0, "..\\nowhere\\a.png") | {"imageData": base64.b64encode(data).decode()}
    write(tmp_path / "in/a.json", content)
    convert(tmp_path / "in", tmp_path / "out")
    assert (tmp_path / "out/images/a.png").read_bytes() == data
    np.testing.assert_array_equal(read(tmp_path / "out", "all")["a"], labels(0))
    for wrong, match in (
        ("", "is not in .*, nor in the file"),
        ("!!", "imageData|damaged"),
        ("QUJD", "damaged"),
    ):
        write(tmp_path / "in/a.json", content | {"imageData": wrong})
        with pytest.raises(DataError, match=match):
            convert(tmp_path / "in", tmp_path / "new")


def test_labelmes_names_and_their_order(tmp_path: Path) -> None:
    labelme(tmp_path / "in")
    content = labelme_content(0, "a.jpg")
    content["shapes"][0]["label"] = "__ignore__"
    content["shapes"][1]["label"] = "_background_"
    write(tmp_path / "in/train/a.json", content)
    made = convert(tmp_path / "in", tmp_path / "out")
    assert made["class"].to_dict() == {
        "(no outline)": 0,
        "__ignore__": 255,
        "_background_": 0,
        "disc": 1,
        "square": 2,
    }
    write(tmp_path / "in/labels.txt", "__ignore__\n_background_\nsquare\nring\ndisc\n")
    convert(tmp_path / "in", tmp_path / "again")
    assert (tmp_path / "again/classes.txt").read_text() == "background\nsquare\nring\ndisc\n"
    write(tmp_path / "in/labels.txt", "__ignore__\n_background_\nsquare\n")
    with pytest.raises(DataError, match=r"labels\.txt has no disc, as shapes do; add it"):
        convert(tmp_path / "in", tmp_path / "third")
    content["shapes"][0]["label"] = 3
    write(tmp_path / "in/train/a.json", content)
    with pytest.raises(DataError, match=r"labels\.txt has no 3, disc, as shapes do; add it"):
        convert(tmp_path / "in", tmp_path / "third")
    (tmp_path / "in/labels.txt").unlink()
    with pytest.raises(DataError, match="3 cannot be the name of a class"):
        convert(tmp_path / "in", tmp_path / "third")


@pytest.mark.parametrize("kind", ["point", "points", "line", "linestrip"])
def test_points_and_lines_have_no_area(kind: str, tmp_path: Path) -> None:
    labelme(tmp_path / "in")
    content = labelme_content(0, "a.jpg")
    content["shapes"].append({"label": "corner", "points": [[1, 1]], "shape_type": kind})
    write(tmp_path / "in/train/a.json", content)
    refuse(tmp_path / "in", rf"a\.json, shape 4 \(corner\): a {kind} has no area .* or remove it")


def test_labelmes_rectangles_alone_are_boxes(tmp_path: Path) -> None:
    shape = {"label": "disc", "points": [[0, 0], [4, 9]], "shape_type": "rectangle"}
    save(photograph(0), tmp_path / "in/a.jpg")
    write(tmp_path / "in/a.json", labelme_content(0, "a.jpg") | {"shapes": [shape, shape]})
    refuse(tmp_path / "in", "in holds rectangles alone, boxes around objects, .* detection data")


def test_labelmes_files_beside_their_images_folder(tmp_path: Path) -> None:
    """As people copy them: equal names in two splits, files in a folder of their own."""
    for seed, split in enumerate(("train", "val")):
        save(photograph(seed), tmp_path / f"in/images/{split}/a.jpg")
        write(tmp_path / f"in/masks/{split}/a.json", labelme_content(seed, "..\\a.jpg"))
    assert told(tmp_path / "in", tmp_path / "out")[1:] == ["train: 1 images", "val: 1 images"]
    for seed, split in enumerate(("train", "val")):
        np.testing.assert_array_equal(read(tmp_path / "out", split)["a"], labels(seed))


def spoil(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda content: {key: one for key, one in (content | changes).items() if one != "gone"}


def spoil_shape(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda content: spoil(shapes=[spoil(**changes)(content["shapes"][0])])(content)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (spoil(shapes=None), r"a\.json: "),
        (spoil(imageHeight="gone"), "'imageHeight' is missing"),
        (spoil(imageWidth=33), r"a\.jpg is \(24, 32\) \(height, width\), its labels \(24, 33\)"),
        (spoil(imageHeight="high"), r"a\.json: "),
        (spoil(imagePath="z.jpg"), r"z\.jpg is not in .*, nor in the file"),
        (spoil(imagePath=None), r"a\.json: "),
        (spoil_shape(label="gone"), "'label' is missing"),
        (spoil_shape(label=3), "3 cannot be the name of a class"),
        (spoil_shape(label="half a \ud83c sign"), r"'half a .ud83c sign' cannot be the name of a class"),
        (spoil_shape(points=[[1, 1], [2, 2]]), "2 corners has no area"),
        (spoil_shape(points=[[1, 1], [2, 2], [3]]), r"shape 0 \(disc\)"),
        (spoil_shape(points=[[1, 1], [2, 2], [3, None]]), r"leaves the image, .* nan\]"),
        (spoil_shape(points=[[1, 1], [20, 2], [3, 1e9]]), "leaves the image, 32x24"),
        (spoil_shape(points="gone"), "'points' is missing"),
        (spoil_shape(shape_type="spiral"), "a spiral has no area"),
        (spoil_shape(shape_type="mask", points=[[1, 1], [2, 2]]), "'mask' is missing"),
        (spoil_shape(shape_type="mask", points=[[1, 1], [2, 2]], mask="AAAA"), r"shape 0 \(disc\)"),
        (lambda content: json.dumps(content)[:-9], r"a\.json: .*line 1"),
        (lambda content: f"{content}", r"a\.json"),
        (lambda content: "[" * 100_000 + '"shapes" "imagePath"', r"a\.json"),
        (lambda content: '"shapes", "imagePath"', r"a\.json"),
        (lambda content: '["shapes", "imagePath"]', r"a\.json"),
    ],
)
def test_labelmes_file_is_malformed(change: Callable[[dict], Any], match: str, tmp_path: Path) -> None:
    labelme(tmp_path / "in")
    text = change(labelme_content(0, "a.jpg"))
    text = text if not isinstance(text, str) or '"' in text else text.replace("'", '"')
    write(tmp_path / "in/train/a.json", text)
    refuse(tmp_path / "in", match, "labelme")


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_text_that_is_not_utf_8(encoding: str, tmp_path: Path) -> None:
    labelme(tmp_path / "in")
    text = json.dumps(labelme_content(0, "a.jpg")).replace("disc", "fl\u00e4che")
    (tmp_path / "in/train/a.json").write_bytes(text.encode(encoding))
    if encoding == "utf-16":  # then it does not even look like labelme's
        assert "a.jpg" in told(tmp_path / "in", tmp_path / "out")[1]
    else:
        refuse(tmp_path / "in", r"a\.json: .utf-8. codec")


def test_two_files_of_one_image(tmp_path: Path) -> None:
    labelme(tmp_path / "in")
    write(tmp_path / "in/train/again.json", labelme_content(0, "a.jpg"))
    refuse(tmp_path / "in", r"a has labels twice, of .*a\.jpg and .*a\.jpg")


def test_cocos_crowds_are_void_and_under_all_objects(tmp_path: Path) -> None:
    coco_folder(tmp_path / "in")
    file = tmp_path / "in/annotations/instances_val2017.json"
    content = json.loads(file.read_text())
    half = np.zeros(SIZE, np.uint8, order="F")
    half[:, :16] = 1
    crowd = {"id": 9, "image_id": 102, "category_id": 7, "iscrowd": 1}
    content["annotations"].append(crowd | {"segmentation": {"size": SIZE, "counts": runs(half)}})
    content["images"].append({"id": 5, "file_name": "empty.jpg", "height": SIZE[0], "width": SIZE[1]})
    write(file, content)
    save(photograph(4), tmp_path / "in/val2017/empty.jpg")
    save(photograph(5), tmp_path / "in/val2017/unlisted.jpg")
    said: list[str] = []
    made = convert(tmp_path / "in", tmp_path / "out", say=said.append)
    found = read(tmp_path / "out", "val")
    np.testing.assert_array_equal(found["c"], np.where((labels(2) == 0) & (half > 0), 255, labels(2)))
    assert not found["empty"].any() and said[2] == "Background alone, having no outline: 1 images"
    assert "unlisted.jpg" in said[1]
    assert made["class"].tolist() == [0, 1, 2, 255]


def test_masks_that_cvat_calls_crowds_are_objects(tmp_path: Path) -> None:
    coco_folder(tmp_path / "in")
    for file in (tmp_path / "in/annotations").iterdir():
        content = json.loads(file.read_text())
        for one in content["annotations"]:
            one["iscrowd"] = int(isinstance(one["segmentation"], dict))
        write(file, content | {"licenses": [{"name": "", "id": 0, "url": ""}]})
    convert(tmp_path / "in", tmp_path / "out")
    np.testing.assert_array_equal(read(tmp_path / "out", "val")["c"], labels(2))


def test_what_cvat_drew_later_lies_on_top_brush_or_outline(tmp_path: Path) -> None:
    coco_folder(tmp_path / "in")
    file = tmp_path / "in/annotations/instances_val2017.json"
    content = json.loads(file.read_text())
    height, width = SIZE
    whole = [[0, 0, width, 0, width, height, 0, height]]
    brush = {"size": SIZE, "counts": runs(np.ones(SIZE, np.uint8, order="F"))}
    ids = [one["id"] for one in content["categories"]]
    for first, second in ((whole, brush), (brush, whole)):
        drawn = [
            {"id": 20 + place, "image_id": 102, "category_id": ids[place], "segmentation": outline}
            | {"iscrowd": int(outline is brush)}
            for place, outline in enumerate((first, second))
        ]
        licences = {"licenses": [{"name": "", "id": 0, "url": ""}]}
        write(file, content | licences | {"annotations": content["annotations"] + drawn})
        convert(tmp_path / "in", tmp_path / "out")
        top = sorted(ids).index(ids[1]) + 1
        assert (read(tmp_path / "out", "val")["c"] == top).all()
        shutil.rmtree(tmp_path / "out")


def test_cocos_files_where_roboflow_and_others_put_them(tmp_path: Path) -> None:
    root = tmp_path / "in"
    for split in ("train", "valid"):
        content = coco_content(["a"], split)
        write(root / split / "_annotations.coco.json", content)
        save(photograph(0), root / split / "a.jpg")
    convert(root, tmp_path / "out")
    for split in ("train", "val"):
        np.testing.assert_array_equal(read(tmp_path / "out", split)["a"], labels(0))
    content["images"][0]["file_name"] = "images\\x\\a.jpg"
    write(tmp_path / "studio/result.json", content)
    save(photograph(0), tmp_path / "studio/images/x/a.jpg")
    assert told(tmp_path / "studio", tmp_path / "more")[1:] == ["all: 1 images"]


def change_annotation(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    def change(content: dict[str, Any]) -> Any:
        return spoil(annotations=[spoil(**changes)(one) for one in content["annotations"][:2]])(content)

    return change


def code(counts: Any, size: Any = SIZE) -> Callable[[dict[str, Any]], Any]:
    return change_annotation(segmentation={"size": size, "counts": counts})


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (change_annotation(segmentation=[]), "2 of 2 annotations are boxes .* detection data"),
        (change_annotation(segmentation="gone"), "detection data"),
        (change_annotation(segmentation=[[1, 2, 3, 4]]), "annotation 0: an outline of 2 corners"),
        (change_annotation(segmentation=[[1, 2, 3, 4, 5, 6, 7]]), "annotation 0: "),
        (change_annotation(segmentation=[[1, 2, 3, 4, 5, 999]]), "leaves the image, 32x24"),
        (change_annotation(category_id=8), "annotation 0: its category or image is not in"),
        (change_annotation(image_id=8), "annotation 0: its category or image is not in"),
        (change_annotation(image_id="gone"), "'image_id' is missing"),
        (code([5, 3]), "run lengths do not add up to 768 pixels"),
        (code([700, 200]), "annotation 0: "),
        (code([800, -32]), "annotation 0: "),
        (code([5, "x"]), "annotation 0: "),
        (code("", SIZE), "run lengths do not add up to 768 pixels"),
        (code("53", SIZE), "run lengths do not add up to 768 pixels"),
        (code("\u00e9\u00e9", SIZE), "annotation 0: "),
        (code("PPPPPPPPPPPPPPP", SIZE), "annotation 0: "),
        (code([768], [4, 5]), "annotation 0: "),
        (code(None), "annotation 0: "),
        (
            spoil(categories=[{"id": 7, "name": "square"}, {"id": 30, "name": "disc"}]),
            "category .* here, not so elsewhere",
        ),
        (spoil(categories=[{"id": "7", "name": "square"}]), "instances_train2017|not supported"),
        (spoil(categories=[{"id": 7}]), "'name' is missing"),
        (
            lambda content: json.loads(json.dumps(content).replace("a.jpg", "../../z.jpg")),
            r"no image in .*in, or several, are \.\./\.\./z\.jpg",
        ),
        (spoil(images=[{"id": 100, "file_name": "a.jpg"}]), "'height' is missing"),
        (
            spoil(images=[{"id": 100, "file_name": "a.jpg", "height": 24, "width": 31}]),
            r"its size is \[24, 32\], its image's \(24, 31\)",
        ),
        (spoil(images=None), "instances_train2017"),
    ],
)
def test_cocos_file_is_malformed(change: Callable[[dict], Any], match: str, tmp_path: Path) -> None:
    coco_folder(tmp_path / "in")
    file = tmp_path / "in/annotations/instances_train2017.json"
    write(file, change(json.loads(file.read_text())))
    refuse(tmp_path / "in", match, "coco")


def test_yolo_as_others_lay_it_out(tmp_path: Path) -> None:
    """Folders of splits outside (Roboflow), or none and a list of names (Label Studio); files may lack."""
    yolo(tmp_path / "yolo")
    root = tmp_path / "roboflow"
    for kind in ("images", "labels"):
        for split in ("train", "val"):
            (root / split.replace("val", "valid")).mkdir(parents=True, exist_ok=True)
            (tmp_path / "yolo" / kind / split).rename(root / split.replace("val", "valid") / kind)
    write(root / "data.yaml", "names: [disc, square]\nnc: 2\n")
    convert(root, tmp_path / "out")
    np.testing.assert_array_equal(read(tmp_path / "out", "val")["c"], labels(2))
    studio = tmp_path / "studio"
    for kind in ("images", "labels"):
        studio.mkdir(exist_ok=True)
        (root / "train" / kind).rename(studio / kind)
    write(studio / "classes.txt", "disc\nsquare\n")
    (studio / "labels/b.txt").unlink()
    said = told(studio, tmp_path / "more")
    assert said[1].startswith("Background alone") and said[2:] == ["all: 2 images"]
    found = read(tmp_path / "more", "all")
    np.testing.assert_array_equal(found["a"], labels(0))
    assert not found["b"].any()


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("0 0.5 0.5 0.1 0.1", r"a\.txt, line 2: five numbers are boxes .* detection data"),
        ("0 0.5 0.5 0.1 0.1 0.2", r"a\.txt, line 2: 5 numbers are no pairs of x and y"),
        ("2 0 0 0 1 1 1", "line 2: there is no class 2, but 0 to 1"),
        ("-1 0 0 0 1 1 1", "line 2: there is no class -1"),
        ("disc 0 0 0 1 1 1", "line 2: .*disc"),
        ("0 0 0 0 1 1 x", "line 2: .*x"),
        ("0 0 0 0 1 1 1 1", "line 2: "),
        ("0 0 0 0 1 1 nan", r"line 2: an outline leaves the image, .* nan\]"),
        ("0 10 12 14 16 20 30", "line 2: an outline leaves the image, 32x24"),
        ("0", "line 2: an outline of 0 corners"),
    ],
)
def test_yolos_line_is_malformed(line: str, match: str, tmp_path: Path) -> None:
    yolo(tmp_path / "in")
    write(tmp_path / "in/labels/train/a.txt", f"\n{line}\n")
    refuse(tmp_path / "in", match)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("names: [disc, square\n", r"data\.yaml: "),
        ("nc: 2\n", "'names' is missing"),
        ("names: {1: disc, 2: square}\n", "0 is missing"),
        ("names: [no, 3]\n", "False cannot be the name of a class"),
        ("names: [disc, square]\nkpt_shape: [4, 2]\n", "key points have no area"),
        ("", r"data\.yaml: "),
        ("names: [disc, '']\n", "'' cannot be the name"),
        ("names: [disc, square]\ntrain: images/val\n", r"train: images/val; images must be in images/train"),
        ("names: [disc, square]\nval: val.txt\n", r"val: val\.txt; images must be in images/val"),
        ("names: [disc, square]\ntrain: [images/a, images/b]\n", r"train: \['images/a', 'images/b'\]"),
    ],
)
def test_yolos_names_are_malformed(text: str, match: str, tmp_path: Path) -> None:
    yolo(tmp_path / "in")
    write(tmp_path / "in/data.yaml", text)
    refuse(tmp_path / "in", match)


def test_a_list_of_classes_that_has_a_background_is_not_yolos(tmp_path: Path) -> None:
    """A list for this package has it first, YOLO's has the class 0 first: nothing tells which this is."""
    yolo(tmp_path / "in")
    (tmp_path / "in/data.yaml").unlink()
    write(tmp_path / "in/classes.txt", "background\ndisc\nsquare\n")
    refuse(tmp_path / "in", r"classes\.txt has a background; .* data\.yaml: 'names: \[disc\]'")


@pytest.mark.parametrize("train", ["../train/images", "images/train2017/", "C:\\data\\train\\images"])
def test_yolos_splits_as_programs_name_them(train: str, tmp_path: Path) -> None:
    yolo(tmp_path / "in")
    content = {"train": train, "val": "../valid/images", "names": ["disc", "square"]}
    write(tmp_path / "in/data.yaml", yaml.safe_dump(content))
    convert(tmp_path / "in", tmp_path / "out")
    assert len(read(tmp_path / "out", "train")) > 0


def test_an_image_beside_the_folders_of_yolo(tmp_path: Path) -> None:
    yolo(tmp_path / "in")
    save(photograph(0), tmp_path / "in/stray.jpg")
    assert any("stray.jpg" in line for line in told(tmp_path / "in", tmp_path / "out"))


def test_yolos_names_or_image_are_missing(tmp_path: Path) -> None:
    yolo(tmp_path / "in")
    (tmp_path / "in/images/val/c.jpg").unlink()
    refuse(tmp_path / "in", r"c\.txt belongs to no image")
    (tmp_path / "in/data.yaml").unlink()
    refuse(tmp_path / "in", r"no list .*classes\.txt; write names alone into it")


# The label doctor's line ------------------------------------------------------------------------------------

PALETTE = voc_palette(256)


def indexed(mask: np.ndarray, order: list[int]) -> Image.Image:
    """A palette image in which the label order[i] has the number i."""
    image = Image.fromarray(np.argsort(order).astype(np.uint8)[mask])
    image.putpalette(PALETTE[order].tobytes())
    return image


def grey(mask: np.ndarray) -> Image.Image:
    return Image.fromarray(np.asarray(mask, np.uint8))


SICK: dict[str, Callable[[np.ndarray], Image.Image]] = {
    "classes' colours": lambda mask: Image.fromarray(PALETTE[mask]),
    "three channels": lambda mask: Image.fromarray(np.dstack([mask] * 3)),
    "counted from 1": lambda mask: grey(mask + 1),
    "times 100": lambda mask: grey(mask * 100),
    "spread to 255": lambda mask: grey(np.array([0, 127, 255])[mask]),
    "palette lost": lambda mask: Image.fromarray(PALETTE[mask]).convert("L"),
    "numbered anew": lambda mask: indexed(mask, [0, 1, 2] if np.sum(mask == 1) > 80 else [2, 0, 1]),
    "black and white": lambda mask: grey(255 * (mask > 0)),
    "black and white colours": lambda mask: grey(255 * (mask > 0)).convert("RGB"),
}


def type_the_line(source: Path, tmp_path: Path, monkeypatch: Any) -> list[str]:
    """Check, type what that prints, check again; return the command."""
    monkeypatch.chdir(tmp_path)
    before = digest(source)
    runner, app = CliRunner(), application()
    checked = runner.invoke(app, ["data", "check", str(source.relative_to(tmp_path))])
    assert checked.exit_code != 0, checked.output
    (line,) = [line for line in checked.output.splitlines() if line.startswith("Next: ")]
    words = shlex.split(line.removeprefix("Next: "))
    assert words[:3] == ["dmnet", "data", "convert"]
    converted = runner.invoke(app, words[1:])
    assert converted.exit_code == 0, converted.output
    again = runner.invoke(app, shlex.split(converted.output.splitlines()[-1].removeprefix("Next: "))[1:])
    assert again.exit_code == 0, again.output
    assert digest(source) == before
    return words


@pytest.mark.parametrize("sick", SICK)
def test_the_line_that_a_check_prints_can_be_typed(sick: str, tmp_path: Path, monkeypatch: Any) -> None:
    pairs(tmp_path / "my photos", SICK[sick])
    save(photograph(1), tmp_path / "my photos/images/val/d.jpg")
    save(SICK[sick](labels(1)), tmp_path / "my photos/masks/val/d_mask.png")
    names = ["background", "object"] if "black" in sick else NAMES
    write(tmp_path / "my photos/classes.txt", "\n".join(names) + "\n")
    words = type_the_line(tmp_path / "my photos", tmp_path, monkeypatch)
    assert words[3:5] == ["my photos", "my photos_converted"]
    found = read(tmp_path / "my photos_converted", "train") | read(tmp_path / "my photos_converted", "val")
    for seed, mask in zip((0, 1, 2, 1), found.values(), strict=True):
        right = labels(seed) > 0 if "black" in sick else labels(seed)
        np.testing.assert_array_equal(mask, right)


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("kind", ["cvat", "roboflow", "labelme", "coco", "yolo"])
def test_the_line_for_other_programs_labels(
    kind: str, listed: bool, tmp_path: Path, monkeypatch: Any
) -> None:
    """As they are, and with the list of classes that the first check asks for."""
    WRITERS[kind](tmp_path / "export")
    if listed:
        write(tmp_path / "export/classes.txt", "\n".join(NAMES) + "\n")
    type_the_line(tmp_path / "export", tmp_path, monkeypatch)
    found = read(tmp_path / "export_converted", "train") | read(tmp_path / "export_converted", "val")
    for seed, mask in enumerate(found.values()):
        np.testing.assert_array_equal(mask, labels(seed))


def test_the_line_for_the_folder_that_one_is_in(tmp_path: Path, monkeypatch: Any) -> None:
    pairs(tmp_path / "photos", SICK["counted from 1"])
    write(tmp_path / "photos/classes.txt", "\n".join(NAMES) + "\n")
    monkeypatch.chdir(tmp_path / "photos")
    checked = CliRunner().invoke(application(), ["data", "check", "."])
    words = shlex.split(checked.output.splitlines()[-1].removeprefix("Next: "))
    assert words[3:5] == [".", str(tmp_path / "photos_converted")], checked.output
    assert CliRunner().invoke(application(), words[1:]).exit_code == 0


@pytest.mark.parametrize("first", [*SICK, "sound"])
def test_a_line_that_is_printed_heals_whatever_is_wrong_elsewhere(
    first: str, tmp_path: Path, monkeypatch: Any
) -> None:
    """One thing is wrong in train, another in val: there is no line, or one after which nothing is."""
    kinds = SICK | {"sound": grey}
    monkeypatch.chdir(tmp_path)
    for index, second in enumerate(kinds):
        folder = Path(f"photos{index}")
        for seed, (name, split) in enumerate(SPLITS.items()):
            save(photograph(seed), folder / f"images/{split}/{name}.jpg")
            save(
                kinds[first if split == "train" else second](labels(seed)),
                folder / f"masks/{split}/{name}.png",
            )
        names = NAMES[:2] if "black" in first + second else NAMES
        write(folder / "classes.txt", "\n".join(names) + "\n")
        checked = CliRunner().invoke(application(), ["data", "check", str(folder)])
        if "Next: dmnet data convert" in checked.output:
            type_the_line(tmp_path / folder, tmp_path, monkeypatch)
        assert first != second or "convert" in checked.output or first in ("sound", "numbered anew")


def test_no_line_where_none_is_right(tmp_path: Path, monkeypatch: Any) -> None:
    """Some masks are colours, some are not; boxes; a colour that no class has; 0 that is no class."""
    monkeypatch.chdir(tmp_path)
    pairs(tmp_path / "mixed", SICK["classes' colours"])
    save(grey(labels(0)), tmp_path / "mixed/masks/train/a_mask.png")
    pairs(tmp_path / "strange", coloured)
    pairs(tmp_path / "boxes", grey)
    for file in (tmp_path / "boxes/masks").rglob("*.png"):
        write(tmp_path / f"boxes/Annotations/{file.stem}.xml", "<annotation/>")
        file.unlink()
    pairs(tmp_path / "ignored", SICK["black and white"])
    for name in ("mixed", "strange", "boxes", "ignored"):
        names = ("(ignored)", *NAMES[:2]) if name == "ignored" else NAMES
        write(tmp_path / name / "classes.txt", "\n".join(names) + "\n")
        checked = CliRunner().invoke(application(), ["data", "check", name])
        assert checked.exit_code != 0 and "Next:" not in checked.output, checked.output


# What is refused before anything is read --------------------------------------------------------------------


def test_nothing_is_written_over_or_into_the_source(tmp_path: Path) -> None:
    cvat(tmp_path / "in")
    (tmp_path / "there").mkdir()
    before = digest(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "way").symlink_to(tmp_path / "in")
    for out, match in (
        ("there", "exists"), ("link", "exists"), ("in", "exists"),
        ("in/out", "lies in .*in: nothing"), ("way/out", "lies in .*in: nothing"),
    ):  # fmt: skip
        with pytest.raises(DataError, match=match):
            convert(tmp_path / "in", tmp_path / out)
    with pytest.raises(DataError, match="no folder"):
        convert(tmp_path / "no", tmp_path / "out")
    assert digest(tmp_path) == before


def test_what_is_no_kind_or_several(tmp_path: Path) -> None:
    root = tmp_path / "in"
    root.mkdir()
    refuse(root, r"looks like none of the kinds; say --from cvat, .*yolo, or --table FILE for other")
    refuse(root, "there are cvat, .*, not 'voc'", "voc")
    refuse(root, "not 'coco'; a table is for other masks", "coco", ["a 1"])
    for kind in ("labelme", "coco", "roboflow"):
        refuse(root, "holds no image with labels", kind)
    refuse(root, "has no folder JPEGImages or images", None, ["a 1,1,1"])
    cvat(root)
    yolo(root)
    refuse(root, "looks like cvat and yolo; say --from")


def test_boxes_in_vocs_form(tmp_path: Path) -> None:
    root = tmp_path / "in"
    for name in "ab":
        save(photograph(0), root / f"JPEGImages/{name}.jpg")
        write(root / f"Annotations/{name}.xml", "<annotation/>")
    (root / "SegmentationClass").mkdir()
    write(root / "ImageSets/Segmentation/train.txt", "a\nb\n")
    refuse(root, r"none of the kinds; .*a\.xml holds boxes .* detection data")
    refuse(root, r"no image with labels", None, ["a 1,1,1"])


def test_split_or_none_must_be_the_same_for_all(tmp_path: Path) -> None:
    labelme(tmp_path / "in")
    save(photograph(3), tmp_path / "in/d.jpg")
    write(tmp_path / "in/d.json", labelme_content(3, "d.jpg"))
    refuse(tmp_path / "in", "images are in train, val, and in no split")


def test_more_classes_than_a_mask_can_hold(tmp_path: Path) -> None:
    yolo(tmp_path / "in")
    write(tmp_path / "in/data.yaml", yaml.safe_dump({"names": [f"n{index}" for index in range(254)]}))
    refuse(tmp_path / "in", "255 class names, but masks for 254 at most")
    write(tmp_path / "in/data.yaml", yaml.safe_dump({"names": [f"n{index}" for index in range(253)]}))
    assert len(convert(tmp_path / "in", tmp_path / "out")) == 254


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    for kind in ("cvat", "yolo"):
        WRITERS[kind](tmp_path / kind / "in")
        file = next((tmp_path / kind).rglob("c.jpg"))
        file.write_bytes(file.read_bytes()[:300])
        refuse(tmp_path / kind / "in", r"c\.jpg is damaged")


@pytest.mark.parametrize("error", [OSError(28, "No space left"), KeyboardInterrupt()], ids=["full", "Ctrl-C"])
def test_nothing_half_written_stays(error: BaseException, tmp_path: Path, monkeypatch: Any) -> None:
    def fail(*_: Any) -> Image.Image:
        raise error

    cvat(tmp_path / "in")
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(module, "label_image", fail)
    with pytest.raises(type(error)):
        convert(tmp_path / "in", tmp_path / "out")
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_read_back_must_be_what_was_written(tmp_path: Path, monkeypatch: Any) -> None:
    cvat(tmp_path / "in")
    monkeypatch.setattr(module, "read_mask", lambda file: np.zeros(SIZE, np.uint8))
    refuse(tmp_path / "in", "its mask cannot be read back as it was written")


def test_names_may_be_composed_otherwise_and_thumbnails_are_none(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "\u00fcber") for form in ("NFC", "NFD"))
    for kind in ("coco", "labelme"):
        root = tmp_path / kind
        save(photograph(0), root / f"images/{decomposed}.jpg")
        save(photograph(1), root / f"@eaDir/{composed}.jpg/SYNOPHOTO.jpg")
        content = coco_content(["a"], "train") if kind == "coco" else labelme_content(0, "a.jpg")
        write(root / "labels.json", json.loads(json.dumps(content).replace("a.jpg", f"{composed}.jpg")))
        assert told(root, tmp_path / f"{kind}_out")[1:] == ["all: 1 images"]
        np.testing.assert_array_equal(read(tmp_path / f"{kind}_out", "all")[composed], labels(0))


def test_hidden_files_are_none(tmp_path: Path) -> None:
    labelme(tmp_path / "in")
    (tmp_path / "in/__MACOSX/train").mkdir(parents=True)
    for file in ("in/train/._a.json", "in/__MACOSX/train/._a.jpg", "in/.cache/x.json"):
        write(tmp_path / file, '{"shapes": "imagePath"')
    assert told(tmp_path / "in", tmp_path / "out")[1:] == ["train: 2 images", "val: 1 images"]
