"""ADE20K, Cityscapes and CamVid in small trees of their own layout; where published sets are looked for."""

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dmnet.classes import ADE20K, CAMVID, CITYSCAPES
from dmnet.datasets import layout_of, load
from dmnet.datasets.files import FileDataset
from dmnet.datasets.published import PUBLISHED
from dmnet.errors import DataError

# cityscapesScripts, labels.py: what each of the 34 ids (and 255, which is -1) is for training.
TRAIN_IDS = (*[255] * 7, 0, 1, 255, 255, 2, 3, 4, *[255] * 3, 5, 255, *range(6, 16), 255, 255, 16, 17, 18)


def put(file: Path, values: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(file)


def make_ade20k(root: Path) -> Path:
    """Write two pictures for training and one for validation, whose masks hold 0..150."""
    values = np.resize(np.arange(151), (16, 10))
    for folder, ids in (("training", ("ADE_train_1", "ADE_train_2")), ("validation", ("ADE_val_1",))):
        for name in ids:
            put(root / f"images/{folder}/{name}.jpg", np.zeros((16, 10, 3)))
            put(root / f"annotations/{folder}/{name}.png", values)
    return root


def make_cityscapes(root: Path) -> Path:
    """Write pictures of two cities whose masks hold 0..33, with the other files that lie beside them."""
    values = np.resize(np.arange(34), (4, 17))
    for split, names in (("train", ("ulm_0_1", "bonn_0_2", "bonn_0_1")), ("val", ("lindau_0_0",))):
        for name in names:
            place = f"{split}/{name.split('_')[0]}/{name}"
            put(root / f"leftImg8bit/{place}_leftImg8bit.png", np.zeros((4, 17, 3)))
            put(root / f"gtFine/{place}_gtFine_labelIds.png", values)
            put(root / f"gtFine/{place}_gtFine_instanceIds.png", values)
            put(root / f"gtFine/{place}_gtFine_color.png", np.zeros((4, 17, 3)))
            (root / f"gtFine/{place}_gtFine_polygons.json").write_text("{}")
    put(root / "leftImg8bit/test/berlin/berlin_0_0_leftImg8bit.png", np.full((4, 17, 3), 7))
    return root


def make_camvid(root: Path) -> Path:
    """Write pictures of each split whose masks hold 0..11, with the lists that lie beside them."""
    values = np.resize(np.arange(12), (4, 6))
    for split, names in (("train", ("a_2", "a_1")), ("val", ("b_1",)), ("test", ("c_1",))):
        for name in names:
            put(root / f"{split}/{name}.png", np.zeros((4, 6, 3)))
            put(root / f"{split}annot/{name}.png", values)
        (root / f"{split}.txt").write_text(f"/SegNet/CamVid/{split}/{names[0]}.png\n")
    return root


def make_camvid_as_voc(root: Path, names: tuple[str, ...] = CAMVID.names) -> Path:
    """Write two pictures with CamVid's classes in VOC's layout; void is 255."""
    for name in ("a", "b"):
        put(root / f"JPEGImages/{name}.jpg", np.zeros((4, 6, 3)))
        put(root / f"SegmentationClass/{name}.png", np.resize([*range(11), 255], (4, 6)))
    (root / "ImageSets/Segmentation").mkdir(parents=True)
    for split, name in (("train", "a"), ("val", "b")):
        (root / f"ImageSets/Segmentation/{split}.txt").write_text(f"{name}\n")
    (root / "classes.txt").write_text("\n".join(names))
    return root


MAKE = {"ade20k": make_ade20k, "cityscapes": make_cityscapes, "camvid": make_camvid}


def quietly(*arguments, **options) -> FileDataset:
    """Load a part of a data set."""
    with pytest.warns(UserWarning, match=r"has \d of the \d+ examples"):
        return load(*arguments, **options)


def test_ade20k(tmp_path: Path) -> None:
    make_ade20k(tmp_path)
    train, val = quietly("ade20k", tmp_path), quietly("ade20k", tmp_path, "val")
    assert train.ids == ("ADE_train_1", "ADE_train_2") and val.ids == ("ADE_val_1",)
    assert val.classes == ADE20K.names and (val.palette == ADE20K.palette).all()
    image, mask, _ = val[0]
    assert image.shape == (16, 10, 3)
    assert mask.ravel()[:151].tolist() == [255, *range(150)]
    assert len(list(train)) == len(train)


def test_cityscapes(tmp_path: Path) -> None:
    make_cityscapes(tmp_path)
    train, val = quietly("cityscapes", tmp_path), quietly("cityscapes", tmp_path, "val")
    assert train.ids == ("bonn_0_1", "bonn_0_2", "ulm_0_1") and val.classes == CITYSCAPES.names
    assert train.image_file("ulm_0_1") == tmp_path / "leftImg8bit/train/ulm/ulm_0_1_leftImg8bit.png"
    assert train.mask_file("ulm_0_1") == tmp_path / "gtFine/train/ulm/ulm_0_1_gtFine_labelIds.png"
    assert train[0][1].ravel()[:34].tolist() == list(TRAIN_IDS)
    assert len(list(train)) == len(train)


def test_camvid(tmp_path: Path) -> None:
    make_camvid(tmp_path)
    sets = {split: quietly("camvid", tmp_path, split) for split in ("train", "val", "test")}
    assert sets["train"].ids == ("a_1", "a_2") and [len(one) for one in sets.values()] == [2, 1, 1]
    for dataset in sets.values():
        assert dataset.classes == CAMVID.names and (dataset.palette == CAMVID.palette).all()
        image, mask, _ = dataset[0]
        assert image.shape == (4, 6, 3)
        assert mask.ravel()[:12].tolist() == [*range(11), 255]  # 11 is void
    assert sets["test"].mask_file("c_1") == tmp_path / "testannot/c_1.png"


def strictly(*arguments, **options) -> FileDataset:
    """Load a data set that gives no cause for a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load(*arguments, **options)


def test_camvid_in_the_layout_of_voc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_camvid_as_voc(tmp_path / "mine")
    monkeypatch.setenv("DMNET_DATA", str(root))
    for given in (root, None):
        train, val = strictly("camvid", given), strictly("camvid", given, "val")
        assert (train.ids, val.ids, train.root) == (("a",), ("b",), root) and train.official_size is None
        assert train.name == "camvid" and (train.palette == CAMVID.palette).all()
        assert train[0][1].ravel()[:12].tolist() == [*range(11), 255]
    assert layout_of(root) == "camvid" and strictly("folder", root).ids == ("a",)
    assert {name for name, one in PUBLISHED.items() if one.find()} == {"camvid"}
    with pytest.raises(DataError, match=r"no list .*test\.txt; this data set has train, val"):
        load("camvid", split="test")
    with pytest.raises(DataError, match=r"PASCAL VOC 2012 was not found: .* another set's classes"):
        load("voc")


def test_other_classes_in_the_layout_of_voc_are_not_camvid(tmp_path: Path) -> None:
    root = make_camvid_as_voc(tmp_path, names=("earth", *CAMVID.names[1:]))
    assert layout_of(root) == "folder"
    with pytest.raises(DataError, match=r"CamVid was not found: .* needs its 11 names in classes\.txt"):
        load("camvid", root)
    (root / "classes.txt").unlink()
    with pytest.raises(DataError, match=r"CamVid was not found"):
        load("camvid", root)


def test_real_photographs_of_camvid_in_the_layout_of_voc(photos: Path) -> None:
    root = photos / "camvid_train_voc_layout"
    train, val = strictly("camvid", root), strictly("camvid", root, split="val")
    assert (len(train), len(val)) == (305, 62) and train.classes == CAMVID.names
    for index in range(0, 305, 61):
        image, mask, _ = train[index]
        assert image.shape == (360, 480, 3) and mask.shape == (360, 480)
        assert set(np.unique(mask)) <= {*range(11), 255}


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("value", [151, 200, 254])
def test_a_value_that_stands_for_nothing(tmp_path: Path, name: str, value: int) -> None:
    root = MAKE[name](tmp_path)
    dataset = quietly(name, root, "val")
    file = dataset.mask_file(dataset.ids[0])
    values = np.array(Image.open(file))
    values[0, :3] = value
    put(file, values)
    count = len(PUBLISHED[name].classes)
    with pytest.raises(DataError, match=rf"{file.name} .*{value} \(3 pixels\).*{count} classes"):
        dataset[0]


@pytest.mark.parametrize("name", MAKE)
def test_a_missing_mask_and_a_missing_picture(tmp_path: Path, name: str) -> None:
    root = MAKE[name](tmp_path)
    dataset = quietly(name, root)
    dataset.mask_file(dataset.ids[0]).unlink()
    dataset.image_file(dataset.ids[1]).unlink()
    with pytest.raises(DataError, match=rf"no file .*{dataset.ids[1]}"):
        dataset[1]
    with pytest.raises(DataError, match=rf"no mask {dataset.ids[0]}"):  # folders are listed when loaded
        quietly(name, root)[0]


@pytest.mark.parametrize("name", MAKE)
def test_a_missing_split(tmp_path: Path, name: str) -> None:
    root = MAKE[name](tmp_path)
    with pytest.raises(DataError, match=r"no folder .*extra; there is .*train"):
        load(name, root, "extra")


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_to_do_when_it_is_not_there(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DMNET_HOME", str(tmp_path))
    published = PUBLISHED[name]
    with pytest.raises(DataError, match=f"not found.*dmnet data prepare {name}.*unpack") as caught:
        load(name)
    assert all(str(tmp_path / place) in str(caught.value) for place in published.places)
    assert published.find() is None and published.archives in str(caught.value)


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("variable", ["DMNET_HOME", "DMNET_DATA"])
def test_it_is_found_from_its_own_folder_from_that_above_and_in_the_data_folder(
    tmp_path: Path, name: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, str(tmp_path))
    root = MAKE[name](tmp_path / PUBLISHED[name].places[0])
    for given in (root, tmp_path, None):
        assert quietly(name, given, "val").root == root == PUBLISHED[name].find(given)
    assert layout_of(root) == name


def test_voc_itself_is_recognised_by_its_folder(tmp_path: Path) -> None:
    (tmp_path / "VOC2012/JPEGImages").mkdir(parents=True)
    assert layout_of(tmp_path / "VOC2012") == "voc"
    (tmp_path / "VOC2012/classes.txt").write_text("mine\n")
    assert layout_of(tmp_path / "VOC2012") == "folder"


def test_the_test_set_of_cityscapes(tmp_path: Path) -> None:
    make_cityscapes(tmp_path)
    dataset = quietly("cityscapes", tmp_path, "test", labelled=False)
    image, name = dataset.image(0)
    assert name == "berlin_0_0" and image.max() == 7
    with pytest.raises(DataError, match="labelled=False"):
        load("cityscapes", tmp_path, "test")


@pytest.mark.parametrize("given", ["", "ADEChallengeData2016", "release_test"])
def test_the_test_set_of_ade20k(tmp_path: Path, given: str) -> None:
    make_ade20k(tmp_path / "ADEChallengeData2016")
    put(tmp_path / "release_test/testing/ADE_test_1.jpg", np.zeros((4, 6, 3)))
    dataset = load("ade20k", tmp_path / given, "test", labelled=False)
    assert dataset.image(0)[1] == "ADE_test_1" and len(dataset.classes) == 150
    shutil.rmtree(tmp_path / "ADEChallengeData2016")
    (tmp_path / "ADEChallengeData2016").mkdir()
    assert load("ade20k", tmp_path / given, "test", labelled=False).ids == dataset.ids


def test_other_classes_are_not_measured_by_the_published_size(tmp_path: Path) -> None:
    root = make_cityscapes(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset = load("cityscapes", root, classes=[f"class {number}" for number in range(19)])
    assert dataset.official_size is None and "size=3)" in repr(dataset)
    with pytest.raises(DataError, match=r"holds the label 11 .*2 classes"):
        load("cityscapes", root, classes=["road", "path"])[0]


def test_a_part_says_so(tmp_path: Path) -> None:
    dataset = quietly("ade20k", make_ade20k(tmp_path))
    assert dataset.official_size == 20210 and "size=2 of 20210" in repr(dataset)


def test_folders_are_listed_without_opening_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_cityscapes(tmp_path)
    monkeypatch.setattr(Image, "open", None)
    assert len(quietly("cityscapes", tmp_path)) == 3
