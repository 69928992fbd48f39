"""The label doctor: every usual mistake is made on purpose; it must be named, with its files and its remedy.

Remedies are words. Where they point to the lines of data/README.md, these are run: the new folder must be
healthy.
"""

import re
import unicodedata
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from PIL import Image, ImageOps

from dmnet import doctor
from dmnet.classes import VOC, VOID_COLOUR, colour_table, voc_palette
from dmnet.datasets import layout_of, load
from dmnet.datasets.files import IGNORED, Encoding, FileDataset
from dmnet.doctor.figures import show_class_shares, show_examples
from dmnet.doctor.findings import KINDS
from dmnet.doctor.measuring import KEPT, measure
from dmnet.errors import DataError
from dmnet.worlds import DemoDataset, write_layout

CLASSES = ("ground", "house", "tree")
COLOURS = np.array([[90, 60, 30], [200, 40, 40], [40, 160, 40]], np.uint8)
WIDTH, HEIGHT = 96, 64
UNPAIRED = ("mask-without-image", "warning")
Change = Callable[[np.ndarray], Image.Image]


def scene(seed: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> tuple[np.ndarray, np.ndarray]:
    """Return an image and its labels: a house and a tree somewhere on the ground, a strip of void."""
    random = np.random.default_rng(seed)
    width, height = size
    labels = np.zeros((height, width), np.uint8)
    for label in (1, 2):
        top, left = random.integers(4, height // 2), random.integers(1, width // 2)
        labels[top : top + height // 3, left : left + width // 3] = label
    noise = random.integers(-15, 16, (height, width, 3))
    image = np.clip(COLOURS[labels].astype(int) + noise, 0, 255).astype(np.uint8)
    labels[:2] = 255
    return image, labels


def grey(labels: np.ndarray) -> Image.Image:
    return Image.fromarray(labels.astype(np.uint8))


def palette_png(labels: np.ndarray) -> Image.Image:
    image = grey(labels)
    image.putpalette(voc_palette(256).tobytes())
    return image


def make(
    root: Path,
    change: Change = palette_png,
    *,
    classes: tuple[str, ...] = CLASSES,
    count: int = 10,
    first: int = 0,
    split: str = "train",
    only: tuple[int, ...] | None = None,
) -> FileDataset:
    """Write scenes in VOC's layout; `change` makes the mask's file from the labels (of scenes `only`)."""
    for part in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / part).mkdir(parents=True, exist_ok=True)
    (root / "classes.txt").write_text("\n".join(classes))
    names = [f"s{number:02}" for number in range(first, first + count)]
    (root / f"ImageSets/Segmentation/{split}.txt").write_text("\n".join(names))
    for number, name in enumerate(names, first):
        image, labels = scene(number)
        Image.fromarray(image).save(root / f"JPEGImages/{name}.jpg")
        use = change if only is None or number in only else palette_png
        use(labels).save(root / f"SegmentationClass/{name}.png")
    return load("folder", root, split)


def only_finding(dataset: object, name: str, severity: str = "error") -> doctor.Finding:
    """Examine, and return the one finding."""
    report = doctor.examine(dataset)
    assert [(f.name, f.severity) for f in report.findings] == [(name, severity)], str(report)
    (finding,) = report.findings
    assert finding.remedy and finding.message and str(finding) in str(report)
    return finding


def corrected(dataset: FileDataset, meaning: dict[int, int] | dict[tuple[int, ...], int]) -> FileDataset:
    """Run the lines of data/README.md with that meaning, and return what is in the new folder."""
    root = dataset.root
    before = {file: file.read_bytes() for file in root.rglob("*.*")}
    new = root.with_name(f"{root.name}_corrected")
    readme = (Path(__file__).parents[2] / "data" / "README.md").read_text("utf8")
    (code,) = re.findall(r"```python\n(.*?)```", readme.split("## Correcting a data set")[1], re.DOTALL)
    for start, line in (
        ("old, new = ", f"Path({str(root)!r}), Path({str(new)!r})"),
        ("wrong = ", "set(old.glob('SegmentationClass/*.png'))"),
        ("meaning = ", repr(meaning)),
    ):
        code, count = re.subn(f"^{start}.*$", lambda _, line=start + line: line, code, flags=re.MULTILINE)
        assert count == 1
    exec(code, {})
    assert {file: file.read_bytes() for file in root.rglob("*.*")} == before
    return load("folder", new, dataset.split)


def assert_healed(dataset: FileDataset, labels: Callable[[np.ndarray], np.ndarray] = np.asarray) -> None:
    """Nothing is found any more, and the labels are those of the scenes."""
    assert doctor.examine(dataset).findings == ()
    for number in range(len(dataset)):
        np.testing.assert_array_equal(dataset[number][1], labels(scene(number)[1]))


def test_healthy_data_have_no_findings(tmp_path: Path) -> None:
    sets = [make(tmp_path), make(tmp_path, first=10, split="val")]
    report = doctor.examine(sets)
    assert report.findings == () and "Nothing wrong was found" in str(report)
    doctor.quick_check(*sets)


@pytest.mark.parametrize("world", ["demo_context", "demo_scale"])
def test_drawn_data_are_healthy(world: str) -> None:
    report = doctor.examine([DemoDataset(world, split, size=24) for split in ("train", "val")])
    assert report.errors == () and {f.name for f in report.findings} <= {"class-absent"}, str(report)


# Files ----------------------------------------------------------------------------------------------------


def test_missing_and_broken_files(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "SegmentationClass/s03.png").unlink()
    (tmp_path / "JPEGImages/s04.jpg").unlink()
    content = (tmp_path / "JPEGImages/s05.jpg").read_bytes()
    (tmp_path / "JPEGImages/s05.jpg").write_bytes(content[: len(content) // 2])
    (tmp_path / "SegmentationClass/s06.png").write_text("no picture")
    dataset = load("folder", tmp_path)
    found = {f.name: f for f in doctor.examine(dataset).findings}
    assert set(found) == {"missing-image", "missing-mask", "unreadable"}
    assert found["missing-mask"].files == ("s03",) and "1 mask is missing" in found["missing-mask"].message
    assert found["missing-image"].files == ("s04",) and "leave it out" in found["missing-image"].remedy
    broken = (str(tmp_path / "JPEGImages/s05.jpg"), str(tmp_path / "SegmentationClass/s06.png"))
    assert found["unreadable"].files == broken and "s05.jpg is damaged" in found["unreadable"].message
    assert all(f.severity == "error" for f in found.values())


def test_missing_masks_are_noticed_beyond_the_sample(tmp_path: Path) -> None:
    make(tmp_path, count=40)
    (tmp_path / "SegmentationClass/s01.png").unlink()
    with pytest.raises(DataError, match=r"\[missing-mask\].*1 mask is missing[^$]*files: s01"):
        doctor.quick_check(load("folder", tmp_path))


def test_masks_with_longer_names(tmp_path: Path) -> None:
    make(tmp_path)
    for file in (tmp_path / "SegmentationClass").iterdir():
        file.rename(file.with_name(f"seg_{file.stem}_mask.png"))
    finding = only_finding(load("folder", tmp_path), "other-names")
    folder = tmp_path / "SegmentationClass"
    assert len(finding.files) == 10 and f"seg_<id>_mask.png in {folder}" in finding.message
    assert "copy" in finding.remedy and "new folder" in finding.remedy


def test_a_longer_number_is_another_name(tmp_path: Path) -> None:
    dataset = make(tmp_path, count=11)
    for part in ("JPEGImages/s0{}.jpg", "SegmentationClass/s0{}.png"):
        for name in ("1", "2"):
            file = tmp_path / part.format(name)
            file.rename(file.with_name(f"{name}{file.suffix}"))
        file = tmp_path / part.format("3")
        file.rename(file.with_name(f"10{file.suffix}"))
    (tmp_path / "SegmentationClass/1.png").unlink()
    (tmp_path / "ImageSets/Segmentation/train.txt").write_text("1\n2")
    finding = only_finding(load("folder", tmp_path), "missing-mask")
    assert finding.files == ("1",) and len(dataset) == 11


@pytest.mark.parametrize(
    ("suffix", "words"), [(".txt", "YOLO"), (".json", "LabelMe"), (".xml", "PASCAL VOC"), (".npy", "NumPy")]
)
@pytest.mark.parametrize("folder", ["SegmentationClass", "Annotations", "JPEGImages"])
def test_annotations_of_another_format_are_no_masks(
    tmp_path: Path, suffix: str, words: str, folder: str
) -> None:
    make(tmp_path)
    (tmp_path / folder).mkdir(exist_ok=True)
    for file in (tmp_path / "SegmentationClass").glob("*.png"):
        file.unlink()
        (tmp_path / folder / f"{file.stem}{suffix}").write_text("0 0.1 0.2 0.3 0.2 0.3 0.5")
    finding = only_finding(load("folder", tmp_path), "other-format")
    assert f"<id>{suffix} in {tmp_path / folder} are no label maps" in finding.message
    assert words in finding.message and len(finding.files) == 10 and "export label maps" in finding.remedy


@pytest.mark.parametrize("kind", ["_gtFine_color.png", "_gtFine_labelTrainIds.png", "_gtFine_polygons.json"])
def test_cityscapes_without_its_label_maps(tmp_path: Path, kind: str) -> None:
    root = write_layout(DemoDataset("demo_context", size=4), tmp_path / "city", "cityscapes")
    for file in list(root.rglob("*_labelIds.png")):
        file.rename(file.with_name(file.name.replace("_gtFine_labelIds.png", kind)))
    finding = only_finding(load("cityscapes", root), "no-label-ids")
    assert "_gtFine_labelIds.png" in finding.message and len(finding.files) == 4
    assert "gtFine_trainvaltest.zip" in finding.remedy and "colour images" in finding.remedy


# What the masks store -------------------------------------------------------------------------------------


def test_black_and_white(tmp_path: Path) -> None:
    dataset = make(tmp_path, lambda labels: grey((labels == 1) * 255), classes=("ground", "house"))
    finding = only_finding(dataset, "binary-255")
    assert (
        "255 is void" in finding.message and len(finding.files) == 10 and finding.files[0].endswith("s00.png")
    )
    with pytest.raises(DataError, match="binary-255"):
        doctor.quick_check(dataset)
    assert_healed(corrected(dataset, {0: 0, 255: 1}), lambda labels: labels == 1)


def test_black_and_white_in_the_validation_set_alone(tmp_path: Path) -> None:
    train = make(tmp_path, lambda labels: grey(labels == 1), classes=("ground", "house"))
    val = make(
        tmp_path, lambda labels: grey((labels == 1) * 255), classes=("ground", "house"), split="val", first=10
    )
    finding = only_finding([train, val], "binary-255")
    assert finding.split == "val"


def test_colours_of_the_palette(tmp_path: Path) -> None:
    dataset = make(tmp_path, lambda labels: palette_png(labels).convert("RGB"))
    finding = only_finding(dataset, "colour-mask")
    assert "mode RGB" in finding.message and len(finding.files) == 10
    assert finding.message.endswith("the colours of the data set's classes")
    colours = {(0, 0, 0): 0, (128, 0, 0): 1, (0, 128, 0): 2, VOID_COLOUR: 255}
    assert_healed(corrected(dataset, colours))


def test_colours_of_their_own(tmp_path: Path) -> None:
    dataset = make(tmp_path, lambda labels: Image.fromarray(COLOURS[labels % 255]))
    finding = only_finding(dataset, "colour-mask")
    assert "(90, 60, 30)" in finding.message and "not all colours of" in finding.message
    meaning = {tuple(colour): label for label, colour in enumerate(COLOURS.tolist())}
    assert_healed(corrected(dataset, meaning), lambda labels: labels % 255)


CVAT = np.array([(0, 0, 0), (250, 50, 83), (51, 221, 255)], np.uint8)


def test_a_black_ground_makes_no_palette(tmp_path: Path) -> None:
    """Most pixels are black, which is VOC's first colour, too; the objects have colours of CVAT's."""
    dataset = make(tmp_path, lambda labels: Image.fromarray(CVAT[labels % 255]))
    finding = only_finding(dataset, "colour-mask")
    assert "not all colours of" in finding.message and "(250, 50, 83)" in finding.message
    assert "labelmap.txt" in finding.remedy and "never to be rounded" in finding.remedy
    empty = make(tmp_path / "empty", lambda labels: Image.fromarray(CVAT[labels * 0]))
    assert "not all colours of" in only_finding(empty, "colour-mask").message


@pytest.mark.parametrize(("pixels", "known"), [(5, True), (60, False)])  # of 6,144: a trace, and more
def test_a_distant_colour_is_not_rounded(tmp_path: Path, pixels: int, known: bool) -> None:
    def spoilt(labels: np.ndarray) -> Image.Image:
        picture = np.array(palette_png(labels).convert("RGB"))
        picture[10, :pixels] = (120, 10, 5)  # close to (128, 0, 0), the house
        return Image.fromarray(picture)

    dataset = make(tmp_path, spoilt)
    finding = only_finding(dataset, "colour-mask")
    assert finding.message.endswith("the colours of the data set's classes") == known
    colours = {(0, 0, 0): 0, (128, 0, 0): 1, (0, 128, 0): 2, VOID_COLOUR: 255}
    with pytest.raises(SystemExit, match=r"\.png holds something that `meaning` does not name"):
        corrected(dataset, colours)


def numbered_anew(labels: np.ndarray, colours: np.ndarray) -> Image.Image:
    """Return what a program makes that chooses a palette for every picture."""
    order = np.unique(labels).tolist()
    order = order if labels[20, 20] else order[::-1]
    table = np.zeros(256, np.uint8)
    table[order] = np.arange(len(order))
    image = grey(table[labels])
    image.putpalette(colours[order].tobytes())
    return image


def test_palettes_of_their_own_for_every_mask(tmp_path: Path) -> None:
    dataset = make(tmp_path, lambda labels: numbered_anew(labels, colour_table()))
    finding = next(f for f in doctor.examine(dataset).findings if f.name == "palettes-differ")
    assert finding.severity == "error" and len(finding.files) == 10
    assert "0 is (0, 0, 0) here, (224, 224, 192) there" in finding.message
    with pytest.raises(DataError, match="palettes-differ"):
        doctor.quick_check(dataset)
    colours = {(0, 0, 0): 0, (128, 0, 0): 1, (0, 128, 0): 2, VOID_COLOUR: 255}
    assert_healed(corrected(dataset, colours))


def test_palettes_of_their_own_in_other_colours(tmp_path: Path) -> None:
    """Perhaps the numbers are right and somebody liked other colours: no reason to stop."""
    change: Change = lambda labels: numbered_anew(labels, 255 - voc_palette(256))  # noqa: E731
    dataset = make(tmp_path, change, classes=(*CLASSES, "sea"))
    finding = next(f for f in doctor.examine(dataset).findings if f.name == "palettes-differ")
    assert finding.severity == "warning" and "colours tell the classes apart" in finding.remedy
    only_finding(make(tmp_path, change), "palettes-differ")


@pytest.mark.parametrize(
    ("colours", "severity"), [(voc_palette(3), "error"), (CVAT, "warning")], ids=["known", "strange"]
)
def test_one_number_in_two_colours(tmp_path: Path, colours: np.ndarray, severity: str) -> None:
    """1 is the house's red in one mask and the tree's green in another; 0 is black in all."""

    def one_object(labels: np.ndarray) -> Image.Image:
        label = 2 if labels[20, 20] else 1
        image = grey(labels == label)
        image.putpalette(colours[[0, label]].tobytes())
        return image

    dataset = make(tmp_path, one_object, classes=CLASSES)
    finding = next(f for f in doctor.examine(dataset).findings if f.name == "palettes-differ")
    first, second = sorted(str(tuple(colour)) for colour in colours[1:].tolist())
    assert finding.severity == severity and len(finding.files) == 10
    assert f"1 is {first} here, {second} there" in finding.message or f"1 is {second} here" in finding.message


def test_a_palette_that_uses_a_colour_twice_is_no_contradiction(tmp_path: Path) -> None:
    def twice(labels: np.ndarray) -> Image.Image:
        if labels[20, 20]:
            labels[labels == 0] = 255  # black, too
        image = grey(labels)
        image.putpalette(voc_palette(3).tobytes() + bytes(3 * 253))
        return image

    assert doctor.examine(make(tmp_path, twice)).findings == ()


def test_grey_values_as_colours(tmp_path: Path) -> None:
    dataset = make(tmp_path, lambda labels: grey(labels).convert("RGB"))
    assert "same grey values" in only_finding(dataset, "colour-mask").message
    assert_healed(corrected(dataset, {(value,) * 3: value for value in (0, 1, 2, 255)}))


def test_a_lost_palette(tmp_path: Path) -> None:
    dataset = make(tmp_path, lambda labels: palette_png(np.where(labels == 255, 0, labels)).convert("L"))
    finding = only_finding(dataset, "palette-lost")
    assert "38" in finding.message and len(finding.files) == 10
    assert_healed(corrected(dataset, {0: 0, 38: 1, 75: 2}), lambda labels: labels % 255)


@pytest.mark.parametrize("factor", [40, 127.5, 85])
def test_labels_multiplied_to_be_visible(tmp_path: Path, factor: float) -> None:
    dataset = make(tmp_path, lambda labels: grey(np.where(labels == 255, 0, labels) * factor))
    finding = only_finding(dataset, "stretched")
    assert f"hold 0, {int(factor)}, {int(2 * factor)}: these seem to be the labels 0 to 2" in finding.message


def test_labels_that_count_from_one(tmp_path: Path) -> None:
    dataset = make(tmp_path, lambda labels: palette_png(np.where(labels == 255, 255, labels + 1)))
    finding = only_finding(dataset, "off-by-one")
    assert "count from 1" in finding.message and "tree, the last one, is out of range" in finding.message
    meaning = {1: 0, 2: 1, 3: 2, 255: 255}
    assert_healed(corrected(dataset, meaning))
    with pytest.raises(FileExistsError):  # what was corrected is not corrected again
        corrected(dataset, meaning)


def test_a_zero_that_is_other(tmp_path: Path) -> None:
    dataset = make(tmp_path, lambda labels: palette_png(np.where(labels == 255, 0, labels + 1)))
    finding = only_finding(dataset, "values-without-class")
    assert "or 0 is what shall not count" in finding.message and IGNORED in finding.remedy
    assert doctor.examine(load("folder", tmp_path, classes=(IGNORED, *CLASSES))).findings == ()


def test_a_zero_named_void_that_counts(tmp_path: Path) -> None:
    dataset = make(tmp_path, classes=("unlabeled", "house", "tree"))
    finding = only_finding(dataset, "zero-counted", "warning")
    assert "'unlabeled'" in finding.message and IGNORED in finding.remedy
    with pytest.warns(UserWarning, match="zero-counted"):
        doctor.quick_check(dataset)


def test_a_zero_that_is_ignored_by_accident(tmp_path: Path) -> None:
    make(tmp_path)
    dataset = load("folder", tmp_path, classes=(IGNORED, "background", "house", "tree"))
    finding = only_finding(dataset, "class-never", "warning")
    assert "no pixel of tree" in finding.message and "count from 0" in finding.remedy


def test_an_ignored_zero_that_is_meant(tmp_path: Path) -> None:
    make(tmp_path, lambda labels: palette_png(np.where(labels == 255, 0, labels)), classes=("house", "tree"))
    assert doctor.examine(load("folder", tmp_path, classes=(IGNORED, "house", "tree"))).findings == ()


@pytest.mark.parametrize("first", ["ground", "background"])
def test_a_class_list_that_is_too_short(tmp_path: Path, first: str) -> None:
    dataset = make(
        tmp_path, lambda labels: palette_png(np.where(labels == 2, 4, labels)), classes=(first, "house")
    )
    finding = only_finding(dataset, "values-without-class")
    assert "the label 4, but there are 2 classes, 0 to 1" in finding.message
    assert "in 10 of 10 masks" in finding.message and "complete the class list" in finding.remedy


def test_a_class_list_that_lacks_one_name(tmp_path: Path) -> None:
    dataset = make(tmp_path, classes=("background", "house"))
    finding = only_finding(dataset, "values-without-class")
    assert "one label more than names: one lacks its name" in finding.message
    assert IGNORED in finding.remedy


def test_a_class_list_that_is_too_long(tmp_path: Path) -> None:
    dataset = make(tmp_path, classes=(*CLASSES, "sea", "moon"))
    finding = only_finding(dataset, "class-never", "warning")
    assert "sea, moon" in finding.message and "last in the list" in finding.message


def test_stray_values_in_a_few_masks(tmp_path: Path) -> None:
    def spoil(labels: np.ndarray) -> Image.Image:
        labels[5, 5] = 77
        return palette_png(labels)

    dataset = make(tmp_path, spoil, only=(4,))
    finding = only_finding(dataset, "values-without-class")
    assert finding.files == (str(tmp_path / "SegmentationClass/s04.png"),)
    assert "has the label 77, but there are 3 classes" in finding.message
    assert "in 1 of 10 masks" in finding.message


def test_labels_in_place_of_city_numbers(tmp_path: Path) -> None:
    dataset = make(tmp_path)
    dataset.encoding = Encoding((7, 8, 11), (0, *range(1, 7), 9, 10, 14, 15, 16, 18, 29, 30, 255))
    finding = only_finding(dataset, "labels-not-ids")
    assert "trainIds" in finding.message and "labelIds" in finding.remedy


def resized(labels: np.ndarray) -> Image.Image:
    small = grey(labels * 100 % 255).resize((WIDTH // 2, HEIGHT // 2), Image.Resampling.BILINEAR)
    return small.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)


def test_values_in_between_from_resizing(tmp_path: Path) -> None:
    finding = only_finding(make(tmp_path, resized), "in-between-values")
    assert len(finding.files) == 10 and "interpolation" in finding.message and "nearest" in finding.remedy


def test_values_in_between_that_are_classes(tmp_path: Path) -> None:
    def soft(labels: np.ndarray) -> Image.Image:
        image = grey(np.where(labels == 255, 0, labels) * 5)
        return image.resize((48, 32), Image.Resampling.BILINEAR).resize(
            (WIDTH, HEIGHT), Image.Resampling.BILINEAR
        )

    names = tuple(f"class {number}" for number in range(11))
    only_finding(make(tmp_path, soft, classes=names), "in-between-values", "warning")


def test_soft_black_and_white(tmp_path: Path) -> None:
    def soft(labels: np.ndarray) -> Image.Image:
        mask = grey((labels == 1) * 255).resize((48, 32), Image.Resampling.BILINEAR)
        return mask.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)

    dataset = make(tmp_path, soft, classes=("ground", "house"))
    assert len(only_finding(dataset, "in-between-values").files) == 10


def test_thin_lines_are_not_values_in_between(tmp_path: Path) -> None:
    """A border class, one pixel wide between the two others."""

    def outlined(labels: np.ndarray) -> Image.Image:
        inside = labels == 1
        grown = np.pad(inside, 1)
        grown = grown[:-2, 1:-1] | grown[2:, 1:-1] | grown[1:-1, :-2] | grown[1:-1, 2:]
        return palette_png(np.where(inside, 2, np.where(grown, 1, 0)))

    assert doctor.examine(make(tmp_path, outlined)).findings == ()


def test_jpeg_masks(tmp_path: Path) -> None:
    dataset = make(tmp_path)
    for number, name in enumerate(dataset.ids):
        grey(scene(number)[1]).save(tmp_path / f"SegmentationClass/{name}.png", format="JPEG")
    finding = only_finding(dataset, "no-label-map")
    assert "JPEG" in finding.message and "PNG" in finding.remedy and len(finding.files) == 10


def test_jpeg_masks_saved_as_png(tmp_path: Path) -> None:
    def compressed(labels: np.ndarray) -> Image.Image:
        buffer = BytesIO()
        grey(labels).save(buffer, "JPEG")
        return Image.open(buffer)

    only_finding(make(tmp_path, compressed), "in-between-values")


def test_sixteen_bits(tmp_path: Path) -> None:
    dataset = make(tmp_path, lambda labels: Image.fromarray(np.where(labels == 1, 1000, 0).astype(np.uint16)))
    finding = only_finding(dataset, "no-label-map")
    assert "[1000]" in finding.message and "I;16" in finding.message


def resave(
    dataset: FileDataset, suffix: str, pages: Callable[[Image.Image], list[Image.Image]]
) -> FileDataset:
    """Save every mask anew, as pages made of it; the first is the mask itself."""
    for file in list(map(dataset.mask_file, dataset.ids)):
        with Image.open(file) as image:
            image.load()
        file.unlink()
        first, *others = pages(image)
        first.save(file.with_suffix(suffix), save_all=bool(others), append_images=others)
    return load("folder", dataset.root, dataset.split)


def test_floats(tmp_path: Path) -> None:
    dataset = resave(make(tmp_path, grey), ".tif", lambda mask: [mask.convert("F")])
    assert "mode F, that is, floats" in only_finding(dataset, "no-label-map").message


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_a_page_for_each_class(tmp_path: Path, suffix: str) -> None:
    def pages(mask: Image.Image) -> list[Image.Image]:
        return [grey((np.array(mask) == label).astype(np.uint8)) for label in range(3)]

    dataset = resave(make(tmp_path, grey), suffix, pages)
    assert "several pages" in only_finding(dataset, "unreadable").message


def test_a_smaller_copy_behind_a_mask_is_no_page(tmp_path: Path) -> None:
    dataset = resave(make(tmp_path, grey), ".tif", lambda mask: [mask, mask.resize((8, 8))])
    assert doctor.examine(dataset).findings == ()


def test_classes_of_ones_own_in_the_folders_of_ade20k(tmp_path: Path) -> None:
    world = [DemoDataset("demo_scale", split, size=6) for split in ("train", "val")]
    root = write_layout(world, tmp_path / "a", "ade20k")
    (root / "classes.txt").write_text("\n".join(world[0].classes))
    sound = [load("ade20k", root, split) for split in ("train", "val")]
    assert doctor.examine(sound).errors == ()
    for file in (root / "annotations").rglob("*.png"):
        with Image.open(file) as image:
            labels = np.array(image)
        Image.fromarray(np.where(labels == 0, 255, labels - 1).astype(np.uint8)).save(file)
    report = doctor.examine([load("ade20k", root, split) for split in ("train", "val")])
    assert any(one.name in ("class-never", "labels-not-ids") for one in report.errors), report.findings


def test_all_void(tmp_path: Path) -> None:
    void: Change = lambda labels: palette_png(np.full_like(labels, 255))  # noqa: E731
    finding = only_finding(make(tmp_path / "some", void, only=(1, 2)), "all-void", "warning")
    assert len(finding.files) == 2 and finding.files[0].endswith("s01.png")
    assert "every IoU is NaN" in only_finding(make(tmp_path / "all", void), "all-void").message


def test_nothing_but_the_first_class(tmp_path: Path) -> None:
    finding = only_finding(make(tmp_path, lambda labels: palette_png(labels * 0)), "one-class")
    assert "ground is the only class in all 10 masks" in finding.message


# Sizes and turns ------------------------------------------------------------------------------------------


def test_masks_of_another_resolution(tmp_path: Path) -> None:
    def half(labels: np.ndarray) -> Image.Image:
        return palette_png(labels).resize((WIDTH // 2, HEIGHT // 2), Image.Resampling.NEAREST)

    dataset = make(tmp_path, half)
    finding = only_finding(dataset, "sizes-differ")
    assert "48x32" in finding.message and "96x64" in finding.message and "nearest" in finding.remedy


def test_masks_of_another_shape(tmp_path: Path) -> None:
    dataset = make(tmp_path, lambda labels: palette_png(labels[:, :50]), only=(2, 7))
    finding = only_finding(dataset, "sizes-differ")
    assert len(finding.files) == 2 and finding.files[1].endswith("s07.png")


def test_transposed_masks(tmp_path: Path) -> None:
    dataset = make(tmp_path, lambda labels: palette_png(labels.T))
    assert "rows and columns are swapped" in only_finding(dataset, "sizes-differ").message


def turn_photograph(file: Path, orientation: int) -> None:
    with Image.open(file) as image:
        exif = image.getexif()
        exif[0x0112] = orientation
        image.save(file, exif=exif)


def turned_photographs(root: Path, orientation: int) -> FileDataset:
    """Masks drawn for the pixels as they are stored; the photographs' EXIF data turn them."""
    dataset = make(root)
    for name in dataset.ids:
        turn_photograph(root / f"JPEGImages/{name}.jpg", orientation)
    return dataset


@pytest.mark.parametrize(
    ("orientation", "severity"), [(6, "error"), (8, "error"), (3, "warning"), (2, "warning")]
)
def test_photographs_turned_by_exif(tmp_path: Path, orientation: int, severity: str) -> None:
    dataset = turned_photographs(tmp_path, orientation)
    finding = only_finding(dataset, "exif-turned", severity)
    assert len(finding.files) == 10 and finding.files[0].endswith("s00.jpg")
    assert "images are turned by EXIF data, the mask is not" in finding.message
    assert "images upright" in finding.remedy
    for name in dataset.ids:  # masks made for the upright images are right, as they are beside upright images
        turn_mask(dataset.image_file(name), dataset.mask_file(name))
    assert doctor.examine(dataset).findings == ()
    for file in (tmp_path / "JPEGImages").iterdir():
        with Image.open(file) as image:
            upright = ImageOps.exif_transpose(image)
        upright.save(file)
    assert doctor.examine(dataset).findings == ()


def turn_mask(image_file: Path, mask_file: Path) -> None:
    """Turn a mask as data/README.md says."""
    with Image.open(image_file) as image, Image.open(mask_file) as mask:
        mask.getexif()[274] = image.getexif()[274]
        turned = ImageOps.exif_transpose(mask)
    turned.save(mask_file)


def test_turned_by_different_angles_is_one_finding(tmp_path: Path) -> None:
    """The sizes betray some, the borders the others; what is done about it is the same."""
    dataset = make(tmp_path, count=12)
    for number, name in enumerate(dataset.ids):
        turn_photograph(tmp_path / f"JPEGImages/{name}.jpg", (6, 8, 3)[number % 3])
    finding = only_finding(dataset, "exif-turned")
    assert len(finding.files) == 12


def test_pairs_of_equal_size_in_the_wrong_order(tmp_path: Path) -> None:
    dataset = make(tmp_path, count=20)
    for number, name in enumerate(dataset.ids):
        palette_png(scene((number + 1) % 20)[1]).save(tmp_path / f"SegmentationClass/{name}.png")
    finding = only_finding(dataset, "wrong-order", "warning")
    assert "paired wrongly" in finding.message and "--pictures" in finding.remedy


def test_pairs_of_many_sizes_in_the_wrong_order(tmp_path: Path) -> None:
    dataset = make(tmp_path)
    sizes = [(60 + 7 * number, 40 + 3 * number) for number in range(10)]
    for number, name in enumerate(dataset.ids):
        Image.fromarray(scene(number, sizes[number])[0]).save(tmp_path / f"JPEGImages/{name}.jpg")
        palette_png(scene(0, sizes[number - 1])[1]).save(tmp_path / f"SegmentationClass/{name}.png")
    finding = only_finding(dataset, "sizes-differ")
    assert "for other ids" in finding.message and len(finding.files) == 10


def test_tiny_and_huge_pictures(tmp_path: Path) -> None:
    dataset = make(tmp_path)
    for name, size in (("s02", (12, 12)), ("s03", (9000, 6000))):
        Image.new("RGB", size).save(tmp_path / f"JPEGImages/{name}.jpg")
        Image.new("L", size).save(tmp_path / f"SegmentationClass/{name}.png")
    finding = only_finding(dataset, "unusual-size", "warning")
    assert len(finding.files) == 2 and "12x12" in finding.message
    assert finding.files == tuple(str(tmp_path / f"JPEGImages/{name}.jpg") for name in ("s02", "s03"))


# Several splits -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("poor", "effect"), [("train", "cannot be learned"), ("val", "NaN")])
def test_a_class_in_one_split_alone(tmp_path: Path, poor: str, effect: str) -> None:
    bare: Change = lambda labels: palette_png(np.where(labels == 2, 0, labels))  # noqa: E731
    sets = [
        make(tmp_path, bare if split == poor else palette_png, split=split, first=first)
        for split, first in (("train", 0), ("val", 10))
    ]
    finding = only_finding(sets, "class-absent", "warning")
    assert finding.split == poor and "no pixel of tree" in finding.message and effect in finding.message
    with pytest.warns(UserWarning, match="no pixel of tree"):
        doctor.quick_check(*sets)


def test_the_same_picture_in_both_splits(tmp_path: Path) -> None:
    sets = [make(tmp_path), make(tmp_path, first=9, split="val")]
    finding = only_finding(sets, "leak", "warning")
    assert finding.files == (str(tmp_path / "JPEGImages/s09.jpg"),) * 2 and "training list" in finding.remedy


def test_the_same_picture_twice(tmp_path: Path) -> None:
    dataset = make(tmp_path)
    for part in ("JPEGImages/{}.jpg", "SegmentationClass/{}.png"):
        content = (tmp_path / part.format("s01")).read_bytes()
        (tmp_path / part.format("s08")).write_bytes(content)
    assert len(only_finding(dataset, "duplicates", "note").files) == 2


def test_splits_with_other_classes(tmp_path: Path) -> None:
    sets = [make(tmp_path), make(tmp_path / "other", classes=("a", "b", "c"), first=10, split="val")]
    assert only_finding(sets, "classes-differ").split == "val"
    with pytest.raises(DataError, match=r"the classes are .*'a', 'b', 'c'"):
        doctor.quick_check(*sets)


# Any data set ---------------------------------------------------------------------------------------------


class Arrays:
    """The least that training takes: no ids, no files."""

    classes = CLASSES
    split = "train"

    def __init__(
        self, change: Callable[[np.ndarray], np.ndarray] = lambda labels: labels, length: int = 9
    ) -> None:
        self.change, self.length = change, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, str]:
        image, labels = scene(index)
        return image, self.change(labels), f"array {index}"


def test_arrays_are_examined() -> None:
    assert doctor.examine(Arrays()).findings == ()
    finding = only_finding(
        Arrays(lambda labels: np.where(labels == 1, 255, 0).astype(np.uint8)), "binary-255"
    )
    assert finding.files[:2] == ("array 0", "array 1") and len(finding.files) == 9
    assert only_finding(Arrays(lambda labels: labels[1:]), "sizes-differ").files[0] == "array 0"
    assert "float64" in only_finding(Arrays(lambda labels: labels / 1), "unreadable").message


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        (Arrays(length=0), "there is no example"),
        (Arrays(lambda labels: labels[:, 1:]), "95x64.*96x64"),
        (Arrays(lambda labels: np.where(labels == 2, 77, labels)), "array 0: the mask has the label 77"),
    ],
)
def test_training_is_stopped(dataset: Arrays, words: str) -> None:
    with pytest.raises(DataError, match=words):
        doctor.quick_check(dataset)
    with pytest.raises(DataError):
        doctor.quick_check(Arrays(), dataset)


def test_the_quick_check_reads_few_masks(tmp_path: Path) -> None:
    class Counting(Arrays):
        reads = 0

        def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, str]:
            Counting.reads += 1
            return super().__getitem__(index)

    doctor.quick_check(Counting(length=1000), Counting(length=1000))
    assert 40 <= Counting.reads <= 50


def test_what_the_reader_refuses_stops_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(dataset: FileDataset, index: int) -> None:
        raise DataError("the reader wants something else")

    monkeypatch.setattr(FileDataset, "__getitem__", refuse)
    with pytest.raises(DataError, match="something else"):
        doctor.quick_check(make(tmp_path))


@pytest.mark.parametrize("layout", ["voc", "ade20k", "cityscapes", "camvid"])
def test_every_layout_is_healthy(tmp_path: Path, layout: str) -> None:
    drawn = [DemoDataset("demo_scale", split, size=24) for split in ("train", "val")]
    root = write_layout(drawn, tmp_path / "drawn", layout)
    sets = [load(layout_of(root), root, split) for split in ("train", "val")]
    report = doctor.examine(sets)
    assert report.findings == (), str(report)
    pd.testing.assert_frame_equal(report.table(), doctor.examine(drawn).table())
    doctor.quick_check(*sets)


def test_images_and_masks_in_two_folders(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("\n".join(CLASSES))
    for number in range(9):
        image, labels = scene(number)
        for folder, name, picture in (
            ("images", f"{number}.jpg", Image.fromarray(image)),
            ("masks", f"{number}-seg.png", palette_png(labels)),
        ):
            (tmp_path / folder).mkdir(exist_ok=True)
            picture.save(tmp_path / folder / name)
    dataset = load("pairs", tmp_path, "all")
    finding = only_finding(dataset, "other-names")
    assert len(finding.files) == 9 and f"<id>-seg.png in {tmp_path / 'masks'}" in finding.message


@pytest.mark.parametrize("parts", [("train", "val"), ()])
def test_a_mask_without_its_image(tmp_path: Path, parts: tuple[str, ...]) -> None:
    """A picture that was lost only makes the set smaller, so nobody would miss it."""
    (tmp_path / "classes.txt").write_text("\n".join(CLASSES))
    for number in range(10):
        image, labels = scene(number)
        part = parts[number % 2] if parts else ""
        for folder, file, picture in (
            ("images", f"{number}.jpg", Image.fromarray(image)),
            ("masks", f"{number}_mask.png", palette_png(labels)),
        ):
            (tmp_path / folder / part).mkdir(exist_ok=True, parents=True)
            picture.save(tmp_path / folder / part / file)
    lost = next(iter(tmp_path.glob("images/**/3.jpg")))
    lost.unlink()
    finding = only_finding([load("pairs", tmp_path, split) for split in ("train", "val")], *UNPAIRED)
    assert len(finding.files) == 1 and finding.files[0].endswith("3_mask.png")
    (tmp_path / "val.txt").write_text("3\n")
    if not parts:  # a list asks for it: then the picture is what is missing
        assert len(only_finding(load("pairs", tmp_path, "val"), "missing-image").files) == 1


def test_memory_does_not_grow_with_the_pictures() -> None:
    kept = [
        one.image is not None and one.image.small.size > 0 for one in measure(Arrays(length=200), range(200))
    ]
    assert len(kept) == 200 and KEPT <= sum(kept) < 2 * KEPT


def test_data_without_labels_are_refused(tmp_path: Path) -> None:
    make(tmp_path)
    with pytest.raises(DataError, match="without labels"):
        doctor.examine(load("folder", tmp_path, labelled=False))
    with pytest.raises(DataError, match="no data set"):
        doctor.examine([])


# Counts and pictures --------------------------------------------------------------------------------------


def test_the_table_counts_pixels_and_images(tmp_path: Path) -> None:
    sets = [make(tmp_path, count=3), make(tmp_path, count=2, first=3, split="val")]
    report = doctor.examine(sets)
    table = report.table()
    assert list(table.index) == [*CLASSES, "(void)"]
    masks = np.stack([scene(number)[1] for number in range(3)])
    assert table["train %"].tolist() == pytest.approx([100 * (masks == v).mean() for v in (0, 1, 2, 255)])
    assert table["train %"].sum() == pytest.approx(100)
    assert table["train images"].tolist()[:3] == [3, 3, 3] and table["val images"].tolist()[:3] == [2, 2, 2]
    assert "train: 3 examples, 3 classes" in str(report)
    assert [part.pixels.sum() for part in report.splits] == [(masks < 255).sum(), 2 * 62 * 96]


def test_values_without_a_class_are_counted_apart(tmp_path: Path) -> None:
    table = doctor.examine(make(tmp_path, classes=("ground", "house"), count=4)).table()
    expected = np.mean([scene(number)[1] == 2 for number in range(4)])
    assert table.loc["(no class)", "train %"] == pytest.approx(100 * expected)


def test_a_limit_is_kept_and_said(tmp_path: Path) -> None:
    dataset = make(tmp_path, classes=(*CLASSES, "sea"))
    report = doctor.examine(dataset, limit=4)
    assert report.splits[0].examined == 4 and "4 of them read" in str(report)
    assert report.findings == ()  # that a class never occurs cannot be said


def test_pictures_of_healthy_and_faulty_data(tmp_path: Path) -> None:
    figure = show_examples(make(tmp_path / "a"), 3)
    assert len(figure.axes) == 9 and figure.axes[0].get_title() == "s00"
    painted = np.asarray(figure.axes[1].images[0].get_array())
    assert painted[30, 0].tolist() == voc_palette(1)[0].tolist()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [*CLASSES, "void"]
    faulty = make(tmp_path / "b", lambda labels: grey(np.where(labels == 1, 99, labels)))
    figure = show_examples(faulty)
    assert "no class" in [text.get_text() for text in figure.legends[0].get_texts()]
    assert [255, 0, 255] in np.asarray(figure.axes[1].images[0].get_array()).reshape(-1, 3).tolist()
    assert len(show_examples(Arrays(), 2).axes) == 6
    show_examples(make(tmp_path / "c", lambda labels: Image.fromarray(COLOURS[labels % 255])), 1)
    plt.close("all")


def test_shares_are_drawn(tmp_path: Path) -> None:
    sets = [make(tmp_path), make(tmp_path, first=10, split="val")]
    report = doctor.examine(sets)
    figure = show_class_shares(report, sets[0].palette)
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == list(CLASSES)
    widths = [[bar.get_width() for bar in bars] for bars in axis.containers]  # type: ignore[attr-defined]
    assert widths[0] == pytest.approx(report.table()["train %"].tolist()[:3])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["train", "val"]
    plt.close("all")


# Pictures that are read wrongly, or not at all -------------------------------------------------------------


def as_tiff(root: Path, change: Callable[[np.ndarray], np.ndarray]) -> FileDataset:
    """Write scenes whose pictures OpenCV stores, as `change` makes them from blue, green, red."""
    make(root)
    for file in sorted(root.glob("JPEGImages/*.jpg")):
        cv2.imwrite(str(file.with_suffix(".tif")), change(cv2.imread(str(file))))
        file.unlink()
    return load("folder", root)


def infra_red(bgr: np.ndarray) -> np.ndarray:
    return np.dstack([bgr, bgr[..., 1] // 2 + 30])


@pytest.mark.parametrize(
    ("change", "words"),
    [(infra_red, "fourth channel"), (lambda bgr: bgr.astype(np.uint16) * 16, "16 bits, but at most")],
    ids=["bands", "bits"],
)
def test_pictures_that_would_be_altered(tmp_path: Path, change, words: str) -> None:
    dataset = as_tiff(tmp_path, change)
    finding = only_finding(dataset, "unreadable")
    assert words in finding.message and "data/README.md" in finding.message and len(finding.files) == 10
    with pytest.raises(DataError, match=words):
        dataset[0]
    with pytest.raises(DataError, match="unreadable"):
        doctor.quick_check(dataset)


def test_16_bits_are_healthy(tmp_path: Path) -> None:
    assert doctor.examine(as_tiff(tmp_path, lambda bgr: bgr.astype(np.uint16) * 257)).findings == ()


@pytest.mark.parametrize("change", [palette_png, grey])
def test_a_picture_that_is_a_label_map(tmp_path: Path, change: Change) -> None:
    make(tmp_path)
    (tmp_path / "JPEGImages/s03.jpg").unlink()
    change(scene(3)[1]).save(tmp_path / "JPEGImages/s03.png")
    dataset = load("folder", tmp_path)
    finding = only_finding(dataset, "label-map-as-image")
    assert finding.files == (str(tmp_path / "JPEGImages/s03.png"),) and "label map" in finding.message
    with pytest.raises(DataError, match="label-map-as-image"):
        doctor.quick_check(dataset)


def test_a_scanned_page_is_no_label_map(tmp_path: Path) -> None:
    make(tmp_path, count=3)
    for file in tmp_path.glob("JPEGImages/*.jpg"):
        with Image.open(file) as image:
            image.convert("L").point(lambda value: 255 * (value > 90)).save(file.with_suffix(".png"))
        file.unlink()
    assert "label-map-as-image" not in str(doctor.examine(load("folder", tmp_path)))


def test_a_large_picture_is_not_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = make(tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", WIDTH * HEIGHT // 2 - 1)
    message = only_finding(dataset, "unreadable").message
    assert "too large" in message and "tiles" in message and "damaged" not in message


def test_ade20k_lowered_by_one_before(tmp_path: Path) -> None:
    names = tuple(f"class {number}" for number in range(150))
    world = DemoDataset("demo_scale", "train", size=4)
    root = write_layout([world, DemoDataset("demo_scale", "val", size=4)], tmp_path / "a", "ade20k")
    (root / "classes.txt").write_text("\n".join(names))
    sound = load("ade20k", root)
    assert doctor.examine(sound).errors == ()
    for file in (root / "annotations").rglob("*.png"):
        with Image.open(file) as image:
            lowered = np.array(image) - np.uint8(1)  # 0 becomes 255
        lowered[:2] = 255
        Image.fromarray(lowered).save(file)
    finding = only_finding_of_many(doctor.examine(load("ade20k", root)), "labels-not-ids")
    assert "lowered by one" in finding.message and "255" in finding.message and "150" in finding.message
    again = load("pairs", root, "training", images="images", masks="annotations", classes=names)
    assert doctor.examine(again).errors == ()
    for (_, mask, _), (_, right, _) in zip(again, world, strict=True):
        assert np.array_equal(mask[2:], right[2:])


def only_finding_of_many(report: doctor.Report, name: str) -> doctor.Finding:
    (finding,) = [finding for finding in report.findings if finding.name == name]
    assert finding.severity == "error"
    return finding


# Faults that hide behind others ---------------------------------------------------------------------------


def test_black_and_white_in_some_masks(tmp_path: Path) -> None:
    """Half of the objects would count nowhere, and the other masks look as if all was well."""
    black: Change = lambda labels: grey((labels == 1) * 255)  # noqa: E731
    plain: Change = lambda labels: grey(labels % 255)  # noqa: E731
    make(tmp_path, plain)
    for number in (1, 4, 5):
        black(scene(number)[1]).save(tmp_path / f"SegmentationClass/s{number:02}.png")
    finding = only_finding(load("folder", tmp_path), "binary-255", "warning")
    assert "3 of 10 masks hold the values 0 and 255 alone" in finding.message and len(finding.files) == 3
    black(scene(0)[1]).save(tmp_path / "SegmentationClass/s00.png")
    palette_png(scene(2)[1]).save(tmp_path / "SegmentationClass/s02.png")  # has void: then 255 is void
    assert doctor.examine(load("folder", tmp_path)).findings == ()


def test_every_mask_that_counts_from_one_is_named(tmp_path: Path) -> None:
    """Masks without the last class hold valid numbers; only all of them together can be corrected."""

    def change(labels: np.ndarray) -> Image.Image:
        shifted = np.where(labels == 255, 255, labels + 1)
        return palette_png(np.where((shifted == 3) & (labels[20, 20] == 0), 1, shifted))

    finding = only_finding(make(tmp_path, change), "off-by-one")
    with_the_last = sum((np.asarray(Image.open(file)) == 3).any() for file in map(Path, finding.files))
    assert len(finding.files) == 10 > with_the_last > 0


def test_a_lost_mask_beside_masks_of_other_names(tmp_path: Path) -> None:
    dataset = make(tmp_path)
    for file in (tmp_path / "SegmentationClass").iterdir():
        file.rename(file.with_name(f"seg_{file.name}"))
    (tmp_path / "SegmentationClass/seg_s00.png").unlink()
    found = {f.name: f.files for f in doctor.examine(load("folder", tmp_path)).findings}
    assert found == {"other-names": dataset.ids[1:], "missing-mask": ("s00",)}


def test_names_of_other_files_are_composed(tmp_path: Path) -> None:
    make(tmp_path)
    for kind, form, before in (("JPEGImages", "NFC", ""), ("SegmentationClass", "NFD", "seg_")):
        for file in (tmp_path / kind).iterdir():
            file.rename(file.with_name(unicodedata.normalize(form, f"{before}ü{file.name}")))
    names = "\n".join(f"üs{number:02}" for number in range(10))
    (tmp_path / "ImageSets/Segmentation/train.txt").write_text(names, "utf8")
    assert "seg_<id>.png" in only_finding(load("folder", tmp_path), "other-names").message


@pytest.mark.parametrize("folder", ["predictions", "SegmentationObject"])
def test_what_holds_no_labels_is_not_proposed(tmp_path: Path, folder: str) -> None:
    make(tmp_path)
    (tmp_path / "SegmentationClass").rename(tmp_path / folder)
    (tmp_path / "SegmentationClass").mkdir()
    assert folder not in only_finding(load("folder", tmp_path), "missing-mask").message


def test_colours_of_other_classes(tmp_path: Path) -> None:
    """All masks agree, but with the colours, not the numbers, of the classes."""

    def change(labels: np.ndarray) -> Image.Image:
        image = grey(labels)
        image.putpalette(voc_palette(256)[[0, 2, 1, *range(3, 256)]].tobytes())
        return image

    assert (
        "1 is (0, 128, 0) here, (128, 0, 0) there"
        in only_finding(make(tmp_path, change), "palettes-differ").message
    )


def test_a_narrow_strip_is_not_soft(tmp_path: Path) -> None:
    """Where three classes meet in one mask, one of them a pixel wide, numbers are wrong all the same."""

    def change(labels: np.ndarray) -> Image.Image:
        shifted = np.where(labels == 255, 255, labels + 1)
        if labels[20, 20]:
            shifted[4:40] = np.repeat([1, 2, 3], [30, 1, 65])
        return palette_png(shifted)

    only_finding(make(tmp_path, change), "off-by-one")


def test_one_class_whose_name_says_that_it_does_not_count(tmp_path: Path) -> None:
    dataset = make(tmp_path, lambda labels: palette_png(labels * 0), classes=("unlabeled", "house"))
    found = {(f.name, f.severity) for f in doctor.examine(dataset).findings}
    assert found == {("one-class", "error"), ("zero-counted", "warning")}


def test_small_masks_of_turned_photographs(tmp_path: Path) -> None:
    """Their shape says that they lie as the pixels are stored, whatever their size."""
    half: Change = lambda labels: palette_png(labels[::2, ::2])  # noqa: E731
    dataset = make(tmp_path, half)
    for name in dataset.ids:
        turn_photograph(dataset.image_file(name), 6)
    assert {f.name for f in doctor.examine(dataset).findings} == {"sizes-differ", "exif-turned"}
    for name in dataset.ids:
        with Image.open(dataset.image_file(name)) as image, Image.open(dataset.mask_file(name)) as mask:
            larger = mask.resize(image.size, Image.Resampling.NEAREST)
        larger.save(dataset.mask_file(name))
    only_finding(dataset, "exif-turned")


def test_bits_of_colours_are_counted_in_every_format(tmp_path: Path) -> None:
    make(tmp_path, count=2)
    for file in sorted(tmp_path.glob("JPEGImages/*.jpg")):
        cv2.imwrite(str(file.with_suffix(".png")), cv2.imread(str(file)).astype(np.uint16) * 16)
        file.unlink()
    assert "at most" in only_finding(load("folder", tmp_path), "unreadable").message


def test_a_label_map_as_image_where_a_name_is_missing(tmp_path: Path) -> None:
    make(tmp_path, classes=("ground", "house"))
    (tmp_path / "JPEGImages/s03.jpg").unlink()
    palette_png(scene(3)[1]).save(tmp_path / "JPEGImages/s03.png")
    found = {f.name for f in doctor.examine(load("folder", tmp_path)).findings}
    assert found == {"label-map-as-image", "values-without-class"}


# Harmless -------------------------------------------------------------------------------------------------


def test_remedies_are_words() -> None:
    source = "".join(file.read_text("utf8") for file in Path(doctor.__file__).parent.glob("*.py"))
    for name, (_, remedy) in KINDS.items():
        assert source.count(f'"{name}"') + source.count(f'f"{re.sub("image|mask", "{kind}", name)}"') > 1, (
            name
        )
        assert "rename" not in remedy and "\n" not in remedy and "import" not in remedy


def test_nothing_is_changed(tmp_path: Path) -> None:
    dataset = make(tmp_path, lambda labels: palette_png(labels).convert("RGB"))
    before = {file: file.read_bytes() for file in tmp_path.rglob("*.*")}
    assert doctor.examine(dataset).errors
    assert {file: file.read_bytes() for file in tmp_path.rglob("*.*")} == before


# Real photographs -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_real_photographs_raise_no_false_alarm(photos: Path) -> None:
    sets = [load("folder", photos / "camvid_train_voc_layout", split) for split in ("train", "val")]
    assert doctor.examine(sets).findings == ()
    doctor.quick_check(*sets)
    few = load("folder", photos / "voc2012_three", "val", classes=VOC)
    assert {f.name for f in doctor.examine(few).findings} == {"class-never"}  # three pictures
