"""Any two sicknesses at once: both are found, and no remedy makes an error of another kind appear.

The remedies are followed as a person does who knows what the masks mean: in a new folder, by the lines of
data/README.md where a finding points to them. What is left when nothing is found any more must be the labels
themselves.
"""

import random
import re
import shutil
import unicodedata
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from io import BytesIO
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from dmnet import doctor
from dmnet.classes import VOID_COLOUR, voc_palette
from dmnet.datasets import load
from dmnet.datasets.files import IGNORED, LISTS, FileDataset
from dmnet.errors import DataError
from dmnet.prepare.convert import convert

SPLITS = ("train", "val")
CLASSES = ("ground", "house", "tree")
COLOURS = np.array([[90, 60, 30], [200, 40, 40], [40, 160, 40]], np.uint8)
KNOWN = {(0, 0, 0): 0, (128, 0, 0): 1, (0, 128, 0): 2, VOID_COLOUR: 255}
CVAT = {(0, 0, 0): 0, (250, 50, 83): 1, (51, 221, 255): 2, (9, 9, 9): 255}
WIDTH, HEIGHT = 64, 48
Labels = np.ndarray
Form = Callable[[Labels], Image.Image]  # makes a mask's file of labels
Meaning = dict[int, int] | dict[tuple[int, ...], int]


def palette_png(labels: Labels) -> Image.Image:
    image = Image.fromarray(labels.astype(np.uint8))
    image.putpalette(voc_palette(256).tobytes())
    return image


@dataclass
class Patient:
    """A data set on disk, and what a person knows of it."""

    root: Path
    layout: str  # "folder", "pairs", or "parts": pairs whose splits are folders
    photographs: dict[str, np.ndarray] = field(default_factory=dict)
    labels: dict[str, Labels] = field(default_factory=dict)  # as the right masks store them
    split_of: dict[str, str] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)  # ids that are on a list
    classes: tuple[str, ...] = CLASSES
    forms: dict[str, Form] = field(default_factory=lambda: dict.fromkeys(SPLITS, palette_png))
    meanings: dict[str, Meaning] = field(default_factory=dict)  # of a split's masks

    def folder(self, kind: str, name: str) -> Path:
        voc = {"images": "JPEGImages", "masks": "SegmentationClass"}
        place = self.root / (voc[kind] if self.layout == "folder" else kind)
        return place / self.split_of[name] if self.layout == "parts" else place

    def image(self, name: str) -> Path:
        there = [file for file in self.folder("images", name).glob("*.*") if nfc(file.stem) == name]
        return (there or [self.folder("images", name) / f"{name}.jpg"])[0]

    def mask(self, name: str) -> Path:
        files = self.folder("masks", name).glob("*.*")
        there = [file for file in files if nfc(file.stem).removesuffix("_mask") == name]
        return (there or [self.folder("masks", name) / f"{name}.png"])[0]

    def ids(self, split: str) -> list[str]:
        return [name for name, of in self.split_of.items() if of == split and name in self.used]

    def write_image(self, name: str) -> None:
        self.image(name).unlink(missing_ok=True)
        self.folder("images", name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(self.photographs[name]).save(self.folder("images", name) / f"{name}.jpg")

    def write_mask(self, name: str) -> None:
        self.mask(name).unlink(missing_ok=True)
        self.folder("masks", name).mkdir(parents=True, exist_ok=True)
        form = self.forms[self.split_of[name]]
        form(self.labels[name].copy()).save(self.folder("masks", name) / f"{name}.png")

    def write_classes(self) -> None:
        (self.root / "classes.txt").write_text("\n".join(self.classes), "utf8")

    def write_lists(self) -> None:
        folder = self.root / (LISTS if self.layout == "folder" else "")
        folder.mkdir(parents=True, exist_ok=True)
        for split in SPLITS:
            (folder / f"{split}.txt").write_text("\n".join(self.ids(split)), "utf8")

    def load(self) -> list[FileDataset]:
        name = "folder" if self.layout == "folder" else "pairs"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of folders that are skipped
            return [load(name, self.root, split) for split in SPLITS]

    def truth(self, name: str) -> Labels:
        labels = self.labels[name]
        return np.where(labels % 255 == 0, 255, labels - 1) if self.classes[0] == IGNORED else labels

    def content(self) -> dict[Path, bytes]:
        return {file: file.read_bytes() for file in self.root.rglob("*") if file.is_file()}


def nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def healthy(root: Path, layout: str, seed: int) -> Patient:
    """Return a data set with a house and a tree on the ground in every picture, and a strip of void."""
    patient = Patient(root, layout)
    for number in range(23):
        draw = np.random.default_rng((seed, number))
        labels = np.zeros((HEIGHT, WIDTH), np.uint8)
        for label in (1, 2):
            top, left = draw.integers(4, HEIGHT // 2), draw.integers(1, WIDTH // 2)
            labels[top : top + HEIGHT // 3, left : left + WIDTH // 3] = label
        noise = draw.integers(-15, 16, (HEIGHT, WIDTH, 3))
        name = f"über{number:02}"
        patient.photographs[name] = np.clip(COLOURS[labels].astype(int) + noise, 0, 255).astype(np.uint8)
        labels[:2] = 255
        patient.labels[name], patient.split_of[name] = labels, SPLITS[number >= 12]
        patient.used.add(name)
        patient.write_image(name)
        patient.write_mask(name)
    patient.write_classes()
    if layout != "parts":
        patient.write_lists()
    return patient


# The sicknesses -------------------------------------------------------------------------------------------

Names = list[str]
Sickening = Callable[[Patient, str, Names], None]  # data set, split, the ids that fall ill
VALUES, SOME, LISTED = "values of a split", "values of few files", "the data set"
WHOLE, FEW = "files of a split", "few files"
SICKNESSES: dict[str, tuple[str, set[str], Sickening]] = {}  # scope, findings of which one is to be made


def sickness(scope: str, *kinds: str) -> Callable[[Sickening], Sickening]:
    def note(function: Sickening) -> Sickening:
        SICKNESSES[function.__name__] = scope, set(kinds), function
        return function

    return note


def stored_as(patient: Patient, split: str, form: Form, meaning: Meaning) -> None:
    """Write a split's masks in another form."""
    patient.forms[split], patient.meanings[split] = form, meaning
    for name in patient.ids(split):
        patient.write_mask(name)


def without_void(patient: Patient, split: str) -> None:
    for name in patient.ids(split):
        patient.labels[name] = patient.labels[name] % 255


def painted(colours: dict[tuple[int, ...], int]) -> Form:
    table = np.zeros((256, 3), np.uint8)
    for colour, label in colours.items():
        table[label] = colour
    return lambda labels: Image.fromarray(table[labels])


def numbered_anew(colours: dict[tuple[int, ...], int]) -> Form:
    table = {label: colour for colour, label in colours.items()}

    def form(labels: Labels) -> Image.Image:
        order = np.unique(labels).tolist()[:: 1 if labels.sum() % 2 else -1]
        numbers = np.zeros(256, np.uint8)
        numbers[order] = np.arange(len(order))
        image = Image.fromarray(numbers[labels])
        image.putpalette([part for label in order for part in table[label]])
        return image

    return form


@sickness(VALUES, "binary-255")
def black_and_white(patient: Patient, split: str, names: Names) -> None:
    patient.labels.update({name: patient.labels[name] == 1 for name in patient.ids(split)})
    stored_as(patient, split, lambda labels: Image.fromarray(labels * np.uint8(255)), {0: 0, 255: 1})


@sickness(VALUES, "colour-mask")
def colours_of_the_classes(patient: Patient, split: str, names: Names) -> None:
    stored_as(patient, split, painted(KNOWN), KNOWN)


@sickness(VALUES, "colour-mask")
def colours_of_a_program(patient: Patient, split: str, names: Names) -> None:
    stored_as(patient, split, painted(CVAT), CVAT)


@sickness(VALUES, "colour-mask")
def grey_in_three_channels(patient: Patient, split: str, names: Names) -> None:
    meaning = {(value,) * 3: value for value in (0, 1, 2, 255)}
    stored_as(patient, split, painted(meaning), meaning)


@sickness(VALUES, "palettes-differ")
def palettes_anew(patient: Patient, split: str, names: Names) -> None:
    stored_as(patient, split, numbered_anew(KNOWN), KNOWN)


@sickness(VALUES)  # only a warning: perhaps somebody likes other colours
def strange_palettes_anew(patient: Patient, split: str, names: Names) -> None:
    stored_as(patient, split, numbered_anew(CVAT), CVAT)


@sickness(VALUES, "palette-lost")
def palette_to_grey(patient: Patient, split: str, names: Names) -> None:
    without_void(patient, split)
    stored_as(patient, split, lambda labels: palette_png(labels).convert("L"), {0: 0, 38: 1, 75: 2})


@sickness(VALUES, "stretched")
def stretched(patient: Patient, split: str, names: Names) -> None:
    without_void(patient, split)
    stored_as(patient, split, lambda labels: Image.fromarray(labels * np.uint8(100)), {0: 0, 100: 1, 200: 2})


@sickness(VALUES, "off-by-one")
def counted_from_one(patient: Patient, split: str, names: Names) -> None:
    for name in patient.ids(split)[::2]:  # in which the highest number is missing, too
        patient.labels[name] = np.where(patient.labels[name] == 2, 0, patient.labels[name])
    stored_as(
        patient, split, lambda labels: palette_png(np.where(labels == 255, 255, labels + 1)),
        {1: 0, 2: 1, 3: 2, 255: 255},
    )  # fmt: skip


@sickness(VALUES, "in-between-values")
def resized_smoothly(patient: Patient, split: str, names: Names) -> None:
    def form(labels: Labels) -> Image.Image:
        small = Image.fromarray(labels * np.uint8(100)).resize((32, 24), Image.Resampling.BILINEAR)
        return small.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)

    without_void(patient, split)
    stored_as(patient, split, form, {})


@sickness(SOME, "no-label-map")
def saved_as_jpeg(patient: Patient, split: str, names: Names) -> None:
    def form(labels: Labels) -> Image.Image:
        buffer = BytesIO()
        Image.fromarray(labels).save(buffer, "JPEG")
        return Image.open(buffer)

    for name in names:
        form(patient.labels[name]).save(patient.mask(name), "JPEG")


@sickness(VALUES, "no-label-map")
def numbers_of_instances(patient: Patient, split: str, names: Names) -> None:
    without_void(patient, split)
    meaning = {0: 0, 1000: 1, 2000: 2}
    stored_as(patient, split, lambda labels: Image.fromarray(labels.astype(np.uint16) * 1000), meaning)


@sickness(SOME, "values-without-class")
def stray_values(patient: Patient, split: str, names: Names) -> None:
    for name in names:
        labels = patient.labels[name]
        labels[5, 5] = 77
        patient.write_mask(name)
        labels[5, 5] = 255
    patient.meanings[split] = {0: 0, 1: 1, 2: 2, 255: 255, 77: 255}


@sickness(SOME)
def nothing_labelled(patient: Patient, split: str, names: Names) -> None:
    for name in names:
        patient.labels[name] = np.full((HEIGHT, WIDTH), 255, np.uint8)
        patient.write_mask(name)


@sickness(VALUES, "one-class")
def ground_alone(patient: Patient, split: str, names: Names) -> None:
    for name in patient.ids(split):
        palette_png(patient.labels[name] * 0).save(patient.mask(name))


@sickness(LISTED, "values-without-class")
def one_name_too_few(patient: Patient, split: str, names: Names) -> None:
    (patient.root / "classes.txt").write_text("ground\nhouse", "utf8")


@sickness(LISTED)
def void_that_counts(patient: Patient, split: str, names: Names) -> None:
    patient.classes = ("unlabeled", "house", "tree")
    patient.write_classes()


@sickness(LISTED)
def one_name_too_many(patient: Patient, split: str, names: Names) -> None:
    patient.classes = (*CLASSES, "sea")
    patient.write_classes()


@sickness(FEW, "missing-mask")
def lost_masks(patient: Patient, split: str, names: Names) -> None:
    for name in names:
        patient.mask(name).unlink()


@sickness(FEW)  # where folders are the splits, the mask is one without an image: a warning
def lost_images(patient: Patient, split: str, names: Names) -> None:
    for name in names:
        patient.image(name).unlink()
    if patient.layout == "parts":  # then nothing tells that there were any
        patient.used.difference_update(names)


@sickness(FEW, "unreadable")
def cut_off_images(patient: Patient, split: str, names: Names) -> None:
    for name in names:
        content = patient.image(name).read_bytes()
        patient.image(name).write_bytes(content[: len(content) // 2])


@sickness(FEW, "unreadable")
def masks_of_text(patient: Patient, split: str, names: Names) -> None:
    for name in names:
        patient.mask(name).write_text("no picture")


@sickness(FEW)
def masks_without_images(patient: Patient, split: str, names: Names) -> None:
    file = patient.mask(names[0])
    shutil.copy(file, file.with_name("lone.png"))


@sickness(FEW, "label-map-as-image")
def label_maps_as_images(patient: Patient, split: str, names: Names) -> None:
    for name in names:
        patient.image(name).unlink()
        palette_png(patient.labels[name]).save(patient.folder("images", name) / f"{name}.png")


@sickness(FEW, "loading")
def label_maps_among_images(patient: Patient, split: str, names: Names) -> None:
    for name in names:
        palette_png(patient.labels[name]).save(patient.folder("images", name) / f"{name}_mask.png")
        patient.mask(name).rename(patient.mask(name).with_stem(f"{name}_mask"))


@sickness(FEW, "sizes-differ")
def half_the_size(patient: Patient, split: str, names: Names) -> None:
    for name in names:
        with Image.open(patient.mask(name)) as mask:
            small = mask.resize((mask.width // 2, mask.height // 2), Image.Resampling.NEAREST)
        small.save(patient.mask(name))
        patient.labels[name] = patient.labels[name][1::2, 1::2].repeat(2, axis=0).repeat(2, axis=1)


@sickness(VALUES)  # a warning, which not every set of so few gives
def masks_of_others(patient: Patient, split: str, names: Names) -> None:
    names = patient.ids(split)
    contents = [patient.mask(name).read_bytes() for name in names]
    for name, content in zip(names, [*contents[1:], contents[0]], strict=True):
        patient.mask(name).write_bytes(content)


def exif(patient: Patient, names: Names, orientation: int, flip: Image.Transpose) -> None:
    """The masks were drawn on the stored pixels; what is read, image and labels, is turned."""
    for name in names:
        with Image.open(patient.image(name)) as image:
            data = image.getexif()
            data[0x0112] = orientation
            image.save(patient.image(name), exif=data)
        for pictures in (patient.photographs, patient.labels):
            pictures[name] = np.asarray(Image.fromarray(pictures[name]).transpose(flip))


@sickness(WHOLE, "exif-turned")
def turned_to_the_right(patient: Patient, split: str, names: Names) -> None:
    exif(patient, names, 6, Image.Transpose.ROTATE_270)


@sickness(WHOLE)
def turned_upside_down(patient: Patient, split: str, names: Names) -> None:
    exif(patient, names, 3, Image.Transpose.ROTATE_180)


@sickness(WHOLE, "other-names")
def longer_names(patient: Patient, split: str, names: Names) -> None:
    for name in names:
        file = patient.mask(name)
        file.rename(file.with_name(unicodedata.normalize("NFD", f"seg_{name}.png")))


@sickness(WHOLE, "other-format")
def annotations(patient: Patient, split: str, names: Names) -> None:
    for name in names:
        file = patient.mask(name)
        file.unlink()
        file.with_suffix((".txt", ".json", ".xml", ".npy")[len(names) % 4]).write_text("{}")


@sickness(FEW)
def tiny_pictures(patient: Patient, split: str, names: Names) -> None:
    for name in names:
        patient.photographs[name] = patient.photographs[name][:12, :12]
        patient.labels[name] = patient.labels[name][:12, :12]
        patient.write_image(name)
        with Image.open(patient.mask(name)) as mask:
            small = mask.crop((0, 0, 12, 12))
        small.save(patient.mask(name))


@sickness(FEW)
def pictures_twice(patient: Patient, split: str, names: Names) -> None:
    for place in (patient.image, patient.mask):
        shutil.copy(place(names[0]), place(names[1]))
    patient.photographs[names[1]] = patient.photographs[names[0]]
    patient.labels[names[1]] = patient.labels[names[0]]


@sickness(FEW, "unreadable")
def infra_red(patient: Patient, split: str, names: Names) -> None:
    for name in names:
        bgr = cv2.imread(str(patient.image(name)))
        patient.image(name).unlink()
        file = patient.folder("images", name) / f"{name}.tif"
        cv2.imwrite(str(file), np.dstack([bgr, bgr[..., 1] // 2 + 30]))


@sickness(FEW, "unreadable")
def twelve_bits(patient: Patient, split: str, names: Names) -> None:
    for name in names:
        bgr = cv2.imread(str(patient.image(name)))
        patient.image(name).unlink()
        cv2.imwrite(str(patient.folder("images", name) / f"{name}.png"), bgr.astype(np.uint16) * 16)


@sickness(WHOLE)
def decomposed_names(patient: Patient, split: str, names: Names) -> None:
    for name in names:
        file = patient.mask(name)
        file.rename(file.with_name(unicodedata.normalize("NFD", file.name)))


@sickness(LISTED)
def folders_of_other_programs(patient: Patient, split: str, names: Names) -> None:
    file = patient.image(names[0])
    for folder in ("__MACOSX", "@eaDir", "predictions"):
        (file.parent / folder).mkdir()
        shutil.copy(file, file.parent / folder)


# The remedies ---------------------------------------------------------------------------------------------


def follow(patient: Patient, finding: doctor.Finding, draw: random.Random, root: Path) -> Patient:
    """Do what the remedy says in a new folder; nothing of the old one changes."""
    before, old, split = patient.content(), patient, finding.split
    patient = replace(
        patient, root=root, labels=dict(patient.labels), used=set(patient.used),
        forms=dict(patient.forms), meanings=dict(patient.meanings),
    )  # fmt: skip
    listed = (old.root / "classes.txt").read_text("utf8").splitlines() == list(patient.classes)
    if listed and finding.name in NUMBERS and split in patient.meanings:
        corrected(old.root, root, finding.files, patient.meanings[split])
        patient.forms[split] = palette_png
    else:
        shutil.copytree(old.root, root)
        REMEDIES[finding.name](patient, names_of(finding.files, patient), draw, finding)
    assert old.content() == before
    return patient


def corrected(old: Path, new: Path, wrong: Iterable[str], meaning: Meaning) -> None:
    """Run the lines of data/README.md."""
    readme = (Path(__file__).parents[2] / "data" / "README.md").read_text("utf8")
    (code,) = re.findall(r"```python\n(.*?)```", readme.split("## Correcting a data set")[1], re.DOTALL)
    for start, line in (
        ("old, new = ", f"Path({str(old)!r}), Path({str(new)!r})"),
        ("wrong = ", f"set(map(Path, {list(wrong)!r}))"),
        ("meaning = ", repr(meaning)),
    ):
        code, count = re.subn(f"^{start}.*$", lambda _, line=start + line: line, code, flags=re.MULTILINE)
        assert count == 1
    exec(code, {})


NUMBERS = {
    "binary-255", "colour-mask", "palettes-differ", "palette-lost", "stretched", "off-by-one",
    "values-without-class", "no-label-map",
}  # fmt: skip


def names_of(files: Iterable[str], patient: Patient) -> Names:
    """Return the ids of files, or of ids."""
    found = []
    for file in files:
        stem = nfc(Path(file).stem if "/" in file else file).removesuffix("_mask").removeprefix("seg_")
        found += [stem] if stem in patient.split_of else []
    return found


Remedy = Callable[[Patient, Names, random.Random, doctor.Finding], None]


def leave_out(patient: Patient, names: Names, draw: random.Random, finding: doctor.Finding) -> None:
    patient.used.difference_update(names)
    patient.write_lists()


def images_again(patient: Patient, names: Names, draw: random.Random, finding: doctor.Finding) -> None:
    for name in names:
        patient.write_image(name)


def masks_again(patient: Patient, names: Names, draw: random.Random, finding: doctor.Finding) -> None:
    for name in names:
        patient.write_mask(name)


def masks_as_they_should_be(
    patient: Patient, names: Names, draw: random.Random, finding: doctor.Finding
) -> None:
    patient.forms[finding.split] = palette_png
    masks_again(patient, names, draw, finding)


def either(one: Remedy, other: Remedy) -> Remedy:
    return lambda patient, names, draw, finding: draw.choice((one, other))(patient, names, draw, finding)


def both_again(patient: Patient, names: Names, draw: random.Random, finding: doctor.Finding) -> None:
    images_again(patient, names, draw, finding)
    masks_again(patient, names, draw, finding)


def copy_to_ids(patient: Patient, names: Names, draw: random.Random, finding: doctor.Finding) -> None:
    for name in names:
        (file,) = [f for f in patient.folder("masks", name).glob("*.*") if nfc(f.name) == f"seg_{name}.png"]
        file.rename(file.with_name(f"{name}.png"))


def to_the_images_size(patient: Patient, names: Names, draw: random.Random, finding: doctor.Finding) -> None:
    for name in names:
        with Image.open(patient.image(name)) as image, Image.open(patient.mask(name)) as mask:
            larger = mask.resize(image.size, Image.Resampling.NEAREST)
        larger.save(patient.mask(name))


def upright(patient: Patient, names: Names, draw: random.Random, finding: doctor.Finding) -> None:
    for name in names:
        with Image.open(patient.image(name)) as image, Image.open(patient.mask(name)) as mask:
            mask.getexif()[274] = image.getexif()[274]
            turned = ImageOps.exif_transpose(image), ImageOps.exif_transpose(mask)
        turned[0].save(patient.image(name), quality=95)
        turned[1].save(patient.mask(name))


def void_by_the_list(patient: Patient, names: Names, draw: random.Random, finding: doctor.Finding) -> None:
    patient.classes = (IGNORED, *patient.classes[1:])
    patient.write_classes()


def out_of_the_images(patient: Patient, names: Names, draw: random.Random, finding: doctor.Finding) -> None:
    for file in patient.root.rglob("*_mask.png"):
        if file.parent.name in ("images", "JPEGImages") or file.parents[1].name == "images":
            file.unlink()


def off_the_list(patient: Patient, names: Names, draw: random.Random, finding: doctor.Finding) -> None:
    leave_out(patient, names[1:], draw, finding)


def whole_list(patient: Patient, names: Names, draw: random.Random, finding: doctor.Finding) -> None:
    patient.write_classes()


def nothing(patient: Patient, names: Names, draw: random.Random, finding: doctor.Finding) -> None:
    """It is a warning that a person may leave as it is."""


def add_the_image(patient: Patient, names: Names, draw: random.Random, finding: doctor.Finding) -> None:
    both_again(patient, names, draw, finding)  # a mask that was not used was not looked at, either
    for file in patient.root.rglob("lone.png"):
        file.unlink()


REMEDIES: dict[str, Remedy] = {
    "missing-image": either(images_again, leave_out),
    "missing-mask": either(masks_again, leave_out),
    "other-names": copy_to_ids,
    "other-format": masks_again,
    "unreadable": either(both_again, leave_out),
    "mask-without-image": add_the_image,
    "label-map-as-image": either(images_again, leave_out),
    "sizes-differ": to_the_images_size,
    "exif-turned": upright,
    "unusual-size": leave_out,
    "no-label-map": masks_as_they_should_be,
    "in-between-values": masks_as_they_should_be,
    "values-without-class": whole_list,
    "zero-counted": void_by_the_list,
    "all-void": leave_out,
    "one-class": masks_again,
    "class-never": nothing,
    "class-absent": nothing,
    "duplicates": off_the_list,
    "leak": off_the_list,
    "wrong-order": masks_again,
    "loading": out_of_the_images,
}


def converted(patient: Patient, findings: tuple[doctor.Finding, ...], root: Path, drawn: str) -> None:
    """Type the line that `dmnet data check` prints, if any: the labels are right, or it is refused."""
    tables = {finding.table for finding in findings if finding.severity == "error"}
    if len(tables) != 1 or not (table := tables.pop()):
        return
    before = patient.content()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            convert(patient.root, root, table=table)
        except DataError:
            assert not root.exists()
            return
        finally:
            assert patient.content() == before
    splits = SPLITS if (root / "images" / "val").is_dir() else ("all",)
    for split in splits if not any(name in drawn for name in STATISTICAL) else ():
        for _, labels, name in load("pairs", root, split):
            np.testing.assert_array_equal(labels, patient.truth(name), f"{drawn}, converted by {table}")


def diagnosed(patient: Patient) -> tuple[doctor.Finding, ...]:
    """Return what the doctor finds, or what the data set refuses to be loaded for."""
    before = patient.content()
    try:
        found = doctor.examine(patient.load()).findings
    except DataError as error:
        assert "would share the mask" in str(error) and "out of" in str(error)
        found = (doctor.Finding("loading", "error", "train", str(error), (), ""),)
    assert patient.content() == before
    return found


def errors(findings: Iterable[doctor.Finding]) -> set[str]:
    return {finding.name for finding in findings if finding.severity == "error"}


def judged_apart(one: str, other: str) -> bool:
    """Tell whether a person could say which of two sicknesses a number or a name comes from."""
    scopes = {SICKNESSES[one][0], SICKNESSES[other][0]}
    return scopes != {LISTED} and scopes != {LISTED, VALUES}


PAIRS = [pair for pair in combinations(SICKNESSES, 2) if judged_apart(*pair)]


# What is seen in a whole split alone: a few such masks, as another sickness leaves them, prove nothing.
STATISTICAL = ("masks_of_others", "ground_alone")


def sick(root: Path, seed: int) -> tuple[Patient, set[str], str]:
    """Return a data set with two sicknesses, the errors that are to be found, and what was drawn."""
    draw = random.Random(seed)
    layout, pair = draw.choice(("folder", "pairs", "parts")), draw.choice(PAIRS)
    patient = healthy(root, layout, seed)
    order = (VALUES, SOME, LISTED, FEW, WHOLE)
    first, second = sorted(pair, key=lambda name: order.index(SICKNESSES[name][0]))
    places = draw.sample(SPLITS, 2)
    scopes = {SICKNESSES[first][0], SICKNESSES[second][0]}
    if FEW in scopes or not (len(scopes) == 1 or scopes == {VALUES, SOME}):
        places[1] = draw.choice(SPLITS)
    few = {split: draw.sample(patient.ids(split), 4) for split in SPLITS}
    expected: set[str] = set()
    for i, (name, split) in enumerate(zip((first, second), places, strict=True)):
        scope, kinds, function = SICKNESSES[name]
        used = [one for pair in few.values() for one in pair]
        rest = [one for one in patient.ids(split) if one not in used]
        function(patient, split, few[split][2 * i : 2 * i + 2] if scope in (FEW, SOME) else rest)
        expected |= kinds
    return patient, expected, f"{seed}: {first} in {places[0]}, {second} in {places[1]}, {layout}"


def healed(tmp: Path, seed: int) -> None:
    """Follow one remedy after the other, in any order, until there is none."""
    draw = random.Random(seed)
    patient, expected, drawn = sick(tmp / f"{seed}_0", seed)
    findings, first = diagnosed(patient), None  # what the first check finds
    for step in range(1, 20):
        found = errors(findings)
        drawn += f" -> {', '.join(sorted(found)) or 'no error'}"
        if first is None and found != {"loading"}:  # after which everything else is seen
            first = {finding.name for finding in findings}
            assert expected - {"loading"} <= first, f"{drawn}: {[str(finding) for finding in findings]}"
        assert found <= (first or {"loading"}), f"{drawn}: {[str(finding) for finding in findings]}"
        converted(patient, findings, tmp / f"{seed}_{step}_converted", drawn)
        todo = [finding for finding in findings if REMEDIES.get(finding.name) is not nothing]
        if not todo:
            break
        finding = draw.choice(todo)
        drawn += f"; {finding.name} mended"
        patient = follow(patient, finding, draw, tmp / f"{seed}_{step}")
        findings = diagnosed(patient)
    assert not found and step < 19, drawn
    for dataset in patient.load() if not any(name in drawn for name in STATISTICAL) else ():
        for _, labels, name in dataset:
            np.testing.assert_array_equal(labels, patient.truth(name), drawn)


@pytest.mark.parametrize("seed", range(20))
def test_no_remedy_makes_another_error_appear(tmp_path: Path, seed: int) -> None:
    healed(tmp_path, seed)


@pytest.mark.parametrize("seeds", [range(20, 60), pytest.param(range(60, 220), marks=pytest.mark.long)])
def test_no_remedy_makes_another_error_appear_in_many_pairs(tmp_path: Path, seeds: range) -> None:
    for seed in seeds:
        healed(tmp_path, seed)
        shutil.rmtree(tmp_path)
        tmp_path.mkdir()
