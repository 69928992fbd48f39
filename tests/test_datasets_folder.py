"""Folders in VOC's layout: reading them, what is said about faulty ones, writing them."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dmnet.classes import VOC, voc_palette
from dmnet.datasets import NAMES, Dataset, load
from dmnet.errors import DataError


def make(
    root: Path, ids: Sequence[str] = ("a", "b", "c"), classes: Sequence[str] = ("sky", "sea", "sand")
) -> Path:
    """Make a data set of 6 x 4 pictures whose masks hold 0, 1, 2 and 255."""
    for part in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / part).mkdir(parents=True)
    (root / "classes.txt").write_text("\n".join(classes) + "\n")
    (root / "ImageSets/Segmentation/train.txt").write_text("\n".join(ids) + "\n")
    for number, name in enumerate(ids):
        Image.new("RGB", (6, 4), (number * 50, 0, 0)).save(root / f"JPEGImages/{name}.jpg")
        put_mask(root, name, np.resize(np.array([0, 1, 2, 255], np.uint8), (4, 6)))
    return root


def put_mask(root: Path, name: str, labels: np.ndarray) -> None:
    image = Image.fromarray(labels)
    if labels.ndim == 2:
        image.putpalette(voc_palette(256).tobytes())
    image.save(root / f"SegmentationClass/{name}.png")


def put_list(root: Path, content: str, split: str = "train") -> None:
    (root / f"ImageSets/Segmentation/{split}.txt").write_text(content)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make(tmp_path / "data")


def test_reading(root: Path) -> None:
    dataset = load("folder", root)
    assert isinstance(dataset, Dataset)
    assert dataset.classes == ("sky", "sea", "sand") and dataset.ids == ("a", "b", "c")
    np.testing.assert_array_equal(dataset.palette, voc_palette(3))
    image, mask, name = dataset[1]
    assert image.shape == (4, 6, 3) and image.dtype == mask.dtype == np.uint8 and name == "b"
    assert mask[0].tolist() == [0, 1, 2, 255, 0, 1]
    assert [example[2] for example in dataset] == ["a", "b", "c"] == [dataset[i][2] for i in (-3, -2, -1)]
    assert len(list(dataset)) == len(dataset)
    with pytest.raises(IndexError):
        dataset[3]


def test_lists_may_have_blank_lines_and_windows_endings(root: Path) -> None:
    (root / "ImageSets/Segmentation/train.txt").write_bytes(b"\xef\xbb\xbfa\r\n\r\n  b  \r\n")
    assert load("folder", root).ids == ("a", "b")


def test_pictures_may_be_png(root: Path) -> None:
    (root / "JPEGImages/a.jpg").unlink()
    Image.new("RGB", (6, 4), (9, 8, 7)).save(root / "JPEGImages/a.png")
    assert load("folder", root)[0][0][0, 0].tolist() == [9, 8, 7]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"train\.txt is empty"),
        ("\n  \n", r"train\.txt is empty"),
        ("a\nb\na\n", "has a more than once"),
    ],
)
def test_faulty_lists(root: Path, content: str, message: str) -> None:
    put_list(root, content)
    with pytest.raises(DataError, match=message):
        load("folder", root)


def test_a_missing_list_names_those_that_exist(root: Path) -> None:
    put_list(root, "a\n", "holdout")
    with pytest.raises(DataError, match=r"val\.txt; this data set has holdout, train"):
        load("folder", root, "val")


def test_a_list_that_is_no_text(root: Path) -> None:
    (root / "ImageSets/Segmentation/train.txt").write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(DataError, match="UTF-8"):
        load("folder", root)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"no list .*classes\.txt.*one a line"),
        ("", r"classes\.txt is empty"),
        ("sky\nsea\nsky\n", "sky more than once"),
        ("\n".join(map(str, range(256))), "256 class names"),
    ],
)
def test_faulty_class_lists(root: Path, content: str | None, message: str) -> None:
    (root / "classes.txt").unlink()
    if content is not None:
        (root / "classes.txt").write_text(content)
    with pytest.raises(DataError, match=message):
        load("folder", root)


@pytest.mark.parametrize("part", ["", "JPEGImages", "SegmentationClass"])
def test_missing_folders(root: Path, part: str) -> None:
    (root / part).rename(root.parent / "elsewhere")
    with pytest.raises(DataError, match=f"no folder .*{part}"):
        load("folder", root)


def damage(root: Path) -> dict[str, str]:
    """Break every example of a set in another way; return what must be said of each."""
    (root / "JPEGImages/image_missing.jpg").unlink()
    (root / "SegmentationClass/mask_missing.png").unlink()
    (root / "JPEGImages/unreadable.jpg").write_bytes(b"not a picture")
    cut = root / "JPEGImages/cut_off.jpg"
    Image.effect_noise((60, 40), 60).save(cut)
    cut.write_bytes(cut.read_bytes()[:-400])
    put_mask(root, "other_size", np.zeros((6, 4), np.uint8))
    put_mask(root, "label_7", np.full((4, 6), 7, np.uint8))
    put_mask(root, "coloured", np.zeros((4, 6, 3), np.uint8))
    return {
        "image_missing": r"no image image_missing in .*train\.txt",
        "mask_missing": r"no mask mask_missing\.png in .*mask_missing\.jpg",
        "unreadable": r"unreadable\.jpg is damaged, cut off or no image",
        "cut_off": r"cut_off\.jpg is damaged",
        "other_size": r"other_size\.png: the image is \(4, 6\), turned .*, its mask \(6, 4\)",
        "label_7": r"label_7\.png holds the label 7 \(24 pixels\), which is .* none of the 3 classes",
        "coloured": r"coloured\.png holds colours \(mode RGB\)",
    }


FAULTS = ("image_missing", "mask_missing", "unreadable", "cut_off", "other_size", "label_7", "coloured")


@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_examples(tmp_path: Path, fault: str) -> None:
    root = make(tmp_path / "data", ("good", *FAULTS))
    messages = damage(root)
    dataset = load("folder", root)  # the files are looked at when they are asked for
    assert dataset[0][2] == "good"
    with pytest.raises(DataError, match=messages[fault]):
        dataset[dataset.ids.index(fault)]


@pytest.mark.parametrize(
    ("listed", "hint"),
    [("a.jpg", "folder and suffix"), ("a 1", "ids alone"), ("zz", "no image zz")],
)
def test_hints_for_missing_pictures(root: Path, listed: str, hint: str) -> None:
    put_list(root, listed)
    with pytest.raises(DataError, match=hint):
        load("folder", root)[0]


def turned_photograph(root: Path, name: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (6, 4)).save(root / f"JPEGImages/{name}.jpg", exif=exif)


def test_a_turned_photograph_and_an_upright_mask(root: Path) -> None:
    turned_photograph(root, "a")
    put_mask(root, "a", np.zeros((6, 4), np.uint8))
    assert load("folder", root)[0][0].shape == (6, 4, 3)


def test_a_turned_photograph_and_a_mask_for_the_unturned_pixels(root: Path) -> None:
    turned_photograph(root, "a")
    with pytest.raises(DataError, match="turned upright where its EXIF data say so"):
        load("folder", root)[0]


def test_names() -> None:
    assert NAMES[:4] == ("voc", "ade20k", "cityscapes", "camvid")
    assert NAMES[4:] == ("folder", "pairs", "demo_context", "demo_scale")
    for name in ("folder", "pairs"):
        with pytest.raises(DataError, match="needs a root"):
            load(name)


# PASCAL VOC


def make_voc(root: Path) -> Path:
    """Make a data set that has VOC's own classes."""
    (make(root) / "classes.txt").unlink()
    return root


@pytest.mark.parametrize("given", [".", "VOCdevkit", "VOCdevkit/VOC2012"])
def test_voc_is_found(tmp_path: Path, given: str) -> None:
    make_voc(tmp_path / "VOCdevkit" / "VOC2012")
    with pytest.warns(UserWarning, match="has 3 of the 1464 examples of voc train"):
        dataset = load("voc", tmp_path / given)
    assert dataset.classes == VOC.names and len(dataset) == 3
    np.testing.assert_array_equal(dataset.palette, VOC.palette)


def test_voc_is_found_in_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DMNET_HOME", str(tmp_path))
    with pytest.raises(DataError, match=r"not found.*VOCdevkit"):
        load("voc")
    make(tmp_path / "VOCdevkit" / "VOC2012")
    assert len(load("voc")) == 3


def test_voc_with_a_class_list_has_those_classes(root: Path) -> None:
    dataset = load("voc", root)
    assert dataset.name == "voc" and dataset.classes == ("sky", "sea", "sand")
    assert dataset.encoding.stored == (0, 1, 2) and dataset.official_size is None
    assert len(list(dataset)) == len(dataset)


def test_the_test_set_has_no_masks(tmp_path: Path) -> None:
    root = make_voc(tmp_path)
    shutil.rmtree(root / "SegmentationClass")
    put_list(root, "c\na\n", "test")
    with pytest.warns(UserWarning, match="2 of the 1456"):
        dataset = load("voc", root, "test", labelled=False)
    picture, name = dataset.image(0)
    assert picture.shape == (4, 6, 3) and name == "c" and dataset.image(-1)[1] == "a"
    with pytest.raises(DataError, match=r"loaded without labels.*dataset\.image"):
        dataset[0]
    with pytest.raises(IndexError):
        dataset.image(2)


def test_trainaug_has_masks_of_its_own(tmp_path: Path) -> None:
    root = make_voc(tmp_path)
    put_list(root, "a\n", "trainaug")
    with pytest.raises(DataError, match="SegmentationClassAug"):
        load("voc", root, split="trainaug")
    (root / "SegmentationClassAug").mkdir()
    Image.fromarray(np.full((4, 6), 20, np.uint8)).save(root / "SegmentationClassAug/a.png")
    with pytest.warns(UserWarning, match="1 of the 10582"):
        assert load("voc", root, split="trainaug")[0][1].max() == 20


def test_real_photographs(photos: Path) -> None:
    with pytest.warns(UserWarning, match="3 of the 1449"):
        voc = load("voc", photos / "voc2012_three", split="val")
    assert len(list(voc)) == len(voc)
    assert "size=3 of 1449" in repr(voc)
    camvid = load("folder", photos / "camvid_train_voc_layout", split="val")
    assert len(list(camvid)) == len(camvid)
    assert len(camvid) == 62 and len(camvid.classes) == 11
