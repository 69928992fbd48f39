"""trainaug, from made-up VOC and SBD folders in their true layout."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.io import savemat
from scipy.sparse import csc_matrix
from torchvision.datasets import SBDataset

from dmnet.classes import VOC, label_image
from dmnet.errors import DataError
from dmnet.prepare import sbd

SIZE = (6, 8)  # height, width
LISTS = {
    "voc/train": ["2007_000001", "2007_000002"],
    "voc/val": ["2007_000010", "2007_000011"],
    "sbd/train": ["2008_000001", "2007_000010", "2007_000002"],  # one of VOC's val, one of its train
    "sbd/val": ["2008_000002", "2007_000011"],
}
TRAINAUG = ("2007_000001", "2007_000002", "2008_000001", "2008_000002")


def labels_of(name: str, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, int(name[-3:]), int(name[:4])]).integers(0, 21, SIZE, np.uint8)


def write_mat(file: Path, labels: np.ndarray) -> None:
    """Write a file as the SBD's are: labels, 20 sparse boundaries and the classes that occur."""
    boundaries = np.empty((20, 1), object)
    for index in range(20):
        boundaries[index, 0] = csc_matrix(labels.shape, dtype=bool)
    struct = {"Boundaries": boundaries, "Segmentation": labels, "CategoriesPresent": np.unique(labels)}
    savemat(file, {"GTcls": struct}, do_compression=True)


def write_voc(voc: Path) -> None:
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation", "Annotations"):
        (voc / folder).mkdir(parents=True)
    own = [*LISTS["voc/train"], *LISTS["voc/val"]]
    for name in {*own, *TRAINAUG}:
        Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(voc / "JPEGImages" / f"{name}.jpg")
    for name in own:
        label_image(labels_of(name, seed=1), VOC.palette).save(voc / "SegmentationClass" / f"{name}.png")
    for split in ("train", "val"):
        (voc / "ImageSets/Segmentation" / f"{split}.txt").write_text("\n".join(LISTS[f"voc/{split}"]) + "\n")


def write_sbd(folder: Path) -> None:
    (folder / "cls").mkdir(parents=True)
    for split in ("train", "val"):
        (folder / f"{split}.txt").write_text("\n".join(LISTS[f"sbd/{split}"]) + "\n")
        for name in LISTS[f"sbd/{split}"]:
            write_mat(folder / "cls" / f"{name}.mat", labels_of(name))


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    write_voc(tmp_path / "VOC2012")
    return tmp_path / "VOC2012"


@pytest.fixture
def boundaries(tmp_path: Path) -> Path:
    write_sbd(tmp_path / "dataset")
    return tmp_path / "dataset"


def masks(voc: Path) -> dict[str, np.ndarray]:
    return {
        file.stem: np.array(Image.open(file)) for file in sorted((voc / "SegmentationClassAug").iterdir())
    }


# Making it -----------------------------------------------------------------------------------------------


def test_the_list_is_computed(voc: Path, boundaries: Path) -> None:
    assert sbd.trainaug_ids(voc, boundaries) == TRAINAUG


ids = st.sets(st.integers(0, 30).map("2007_{:06}".format), min_size=1)


@given(ids, ids, ids, ids)
def test_the_list_is_all_but_val(
    tmp_path_factory: pytest.TempPathFactory, a: set[str], b: set[str], c: set[str], d: set[str]
) -> None:
    folder = tmp_path_factory.mktemp("lists")
    (folder / "ImageSets/Segmentation").mkdir(parents=True)
    files = ("train.txt", "val.txt", "ImageSets/Segmentation/train.txt", "ImageSets/Segmentation/val.txt")
    for file, names in zip(files, (a, b, c, d), strict=True):
        (folder / file).write_text("\n".join(names))
    found = sbd.trainaug_ids(folder, folder)
    assert set(found) == (a | b | c) - d and list(found) == sorted(found)


def test_masks_are_vocs_where_there_are_some_and_the_sbds_elsewhere(voc: Path, boundaries: Path) -> None:
    sbd.augment(voc, boundaries)
    expected = {name: labels_of(name, seed=int(name < "2008")) for name in TRAINAUG}
    found = masks(voc)
    assert list(found) == list(TRAINAUG)
    for name, labels in expected.items():
        np.testing.assert_array_equal(found[name], labels)
    assert (voc / sbd.LIST).read_text().split() == list(TRAINAUG)


def test_masks_have_vocs_colours(voc: Path, boundaries: Path) -> None:
    sbd.augment(voc, boundaries)
    with Image.open(voc / "SegmentationClassAug" / "2008_000001.png") as mask:
        assert mask.mode == "P" and mask.getpalette()[3:6] == [128, 0, 0]


def test_masks_without_a_list_are_taken_as_they_are(voc: Path, boundaries: Path) -> None:
    sbd.augment(voc, boundaries)
    (voc / sbd.LIST).unlink()
    (boundaries / "cls" / "2008_000001.mat").unlink()
    sbd.augment(voc, boundaries)
    assert (voc / sbd.LIST).is_file()


# What is wrong -------------------------------------------------------------------------------------------


def refuses(voc: Path, boundaries: Path, match: str) -> None:
    before = sorted(voc.rglob("*"))
    with pytest.raises(DataError, match=match):
        sbd.augment(voc, boundaries)
    assert sorted(voc.rglob("*")) == before


def test_what_is_there_is_kept(voc: Path, boundaries: Path) -> None:
    (voc / "SegmentationClassAug").mkdir()
    (voc / sbd.LIST).write_text("2007_000001\n")
    before = sorted(voc.rglob("*"))
    sbd.augment(voc, boundaries)
    assert sorted(voc.rglob("*")) == before and (voc / sbd.LIST).read_text() == "2007_000001\n"


@pytest.mark.parametrize("name", ["train.txt", "val.txt"])
def test_a_list_is_missing(name: str, voc: Path, boundaries: Path) -> None:
    (boundaries / name).unlink()
    refuses(voc, boundaries, rf"no list .*dataset.{name}")
    write = boundaries / name
    write.write_text("2008_000001\n")
    (voc / "ImageSets/Segmentation" / name).unlink()
    refuses(voc, boundaries, rf"no list .*Segmentation.{name}")


@pytest.mark.parametrize("name", ["../../evil", "/evil", "a b", "2008_000001 1", "C:evil", "\u00e9"])
def test_an_id_must_not_be_a_path(name: str, voc: Path, boundaries: Path) -> None:
    (boundaries / "train.txt").write_text(f"2008_000001\n{name}\n")
    refuses(voc, boundaries, "no id of an image")


def test_a_picture_is_missing(voc: Path, boundaries: Path) -> None:
    (voc / "JPEGImages" / "2008_000002.jpg").unlink()
    refuses(voc, boundaries, r"no image .*2008_000002\.jpg")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (None, "FileNotFoundError"),
        (b"", "is no mask"),
        (b"not a MATLAB file" * 50, "is no mask"),
        (b"\x80\x04\x95pickle" + b"x" * 300, "is no mask"),
        ({"GTinst": {"Segmentation": np.zeros(SIZE, np.uint8)}}, "KeyError"),
        ({"GTcls": {"Boundaries": np.zeros(SIZE, np.uint8)}}, "is no mask"),
        ({"GTcls": {"Segmentation": np.zeros(SIZE)}}, r"is float64 \(6, 8\)"),
        ({"GTcls": {"Segmentation": np.zeros((*SIZE, 3), np.uint8)}}, r"is uint8 \(6, 8, 3\)"),
        ({"GTcls": {"Segmentation": "text"}}, "is no mask"),
        ({"GTcls": {"Segmentation": np.full(SIZE, 21, np.uint8)}}, "in 0..20"),
        ({"GTcls": {"Segmentation": np.zeros((8, 6), np.uint8)}}, r"is \(8, 6\) .*2008_000001.jpg \(6, 8\)"),
    ],
    ids=str,
)
def test_a_damaged_mask_is_named(content: object, match: str, voc: Path, boundaries: Path) -> None:
    file = boundaries / "cls" / "2008_000001.mat"
    file.unlink()
    if isinstance(content, dict):
        savemat(file, content)
    elif content is not None:
        file.write_bytes(content)
    refuses(voc, boundaries, rf"2008_000001\.mat.*{match}")


def test_a_mask_cut_off_anywhere_is_named(voc: Path, boundaries: Path) -> None:
    file = boundaries / "cls" / "2008_000001.mat"
    content = file.read_bytes()
    for size in range(0, len(content), max(len(content) // 20, 1)):
        file.write_bytes(content[:size])
        with pytest.raises(DataError, match=r"2008_000001\.mat"):
            sbd.read_sbd_mask(file)


def test_a_mask_is_what_was_written(boundaries: Path) -> None:
    mask = sbd.read_sbd_mask(boundaries / "cls" / "2008_000002.mat")
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, labels_of("2008_000002"))


def test_torchvision_reads_the_same(boundaries: Path) -> None:
    (boundaries / "img").mkdir()
    for file in (boundaries / "cls").iterdir():
        Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(boundaries / "img" / f"{file.stem}.jpg")
    theirs = SBDataset(str(boundaries), "train", "segmentation")
    assert len(theirs) > 0
    for file, (_, mask) in zip(theirs.masks, theirs, strict=True):
        np.testing.assert_array_equal(sbd.read_sbd_mask(file), mask)
