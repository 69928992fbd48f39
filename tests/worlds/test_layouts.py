"""Data sets written to disk as the real ones lie there, and read again."""

from pathlib import Path

import numpy as np
import pytest
import torchvision
from PIL import Image
from test_datasets_folder import make, put_list

from dmnet.datasets import layout_of, load
from dmnet.datasets.published import PUBLISHED
from dmnet.errors import DataError
from dmnet.images import read_mask
from dmnet.inference import evaluate
from dmnet.worlds import DemoDataset, layouts, write_layout
from dmnet.zoo import load_pretrained


@pytest.fixture
def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DemoDataset:
    monkeypatch.setenv("DMNET_HOME", str(tmp_path / "home"))
    return DemoDataset("demo_context", "val", size=2)


def test_written_masks_have_the_palette(drawn: DemoDataset, tmp_path: Path) -> None:
    root = write_layout(drawn, tmp_path / "new" / "out")
    image = Image.open(root / "SegmentationClass/val_00000.png")
    assert image.mode == "P"
    palette = np.array(image.getpalette()).reshape(-1, 3)
    np.testing.assert_array_equal(palette[:7], drawn.palette)
    assert (root / "classes.txt").read_text().splitlines() == list(drawn.classes)
    assert sorted(path.name for path in root.parent.iterdir()) == ["out"]


def test_an_empty_folder_is_filled(drawn: DemoDataset, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write_layout(drawn, tmp_path / "out")
    assert len(list(load("folder", tmp_path / "out", "val"))) == len(drawn)


@pytest.mark.parametrize("what", ["folder", "file"])
def test_nothing_is_overwritten(drawn: DemoDataset, tmp_path: Path, what: str) -> None:
    target = tmp_path / "out"
    precious = target / "precious.txt" if what == "folder" else target
    precious.parent.mkdir(exist_ok=True)
    precious.write_text("keep me")
    with pytest.raises(DataError, match="exists already"):
        write_layout(drawn, target)
    assert precious.read_text() == "keep me"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_leaves_nothing_behind(
    drawn: DemoDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(*_args, **_named) -> None:
        raise error

    (tmp_path / "place").mkdir()
    monkeypatch.setattr(layouts.PILImage.Image, "putpalette", fail)
    with pytest.raises(type(error)):
        write_layout(drawn, tmp_path / "place" / "out")
    assert list((tmp_path / "place").iterdir()) == []


def test_splits_that_do_not_go_together(drawn: DemoDataset, tmp_path: Path) -> None:
    root = make(tmp_path / "data")
    with pytest.raises(DataError, match="split val is given twice"):
        write_layout([drawn, drawn], tmp_path / "out")
    with pytest.raises(DataError, match="different classes"):
        write_layout([drawn, load("folder", root)], tmp_path / "out")
    put_list(root, "b\nc\n", "val")
    with pytest.raises(DataError, match="share the ids b, c"):
        write_layout([load("folder", root), load("folder", root, "val")], tmp_path / "out")
    with pytest.raises(DataError, match="no data set"):
        write_layout([], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_full_disk_names_the_folder(
    drawn: DemoDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(layouts.PILImage.Image, "save", full)
    with pytest.raises(OSError, match=r"No space left.*out"):
        write_layout(drawn, tmp_path / "out")


# Every layout, one data set


@pytest.fixture(scope="module", params=["demo_context", "demo_scale"])
def world(request: pytest.FixtureRequest) -> list[DemoDataset]:
    return [DemoDataset(request.param, split, size=size) for split, size in (("train", 3), ("val", 2))]


@pytest.fixture(scope="module")
def places(world: list[DemoDataset], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The world in every layout."""
    home = tmp_path_factory.mktemp("layouts")
    return {layout: write_layout(world, home / layout, layout) for layout in PUBLISHED}


def test_all_readers_return_the_same(world: list[DemoDataset], places: dict[str, Path]) -> None:
    for drawn in world:
        voc, *others = (load(layout, places[layout], drawn.split) for layout in PUBLISHED)
        assert voc.ids == drawn.ids and voc.classes == drawn.classes
        np.testing.assert_array_equal(voc.palette, drawn.palette)
        for (image, mask, name), (_, labels, _) in zip(voc, drawn, strict=True):
            np.testing.assert_array_equal(mask, labels)
            for other in others:
                assert other.classes == voc.classes and other.ids == voc.ids
                same_image, same_mask, same_name = other[other.ids.index(name)]
                np.testing.assert_array_equal(same_image, image)
                np.testing.assert_array_equal(same_mask, mask)
                assert same_name == name


def test_the_files_are_those_of_the_real_data_sets(places: dict[str, Path]) -> None:
    written = {
        "voc": ("JPEGImages/val_00001.jpg", "SegmentationClass/val_00001.png"),
        "ade20k": ("images/validation/val_00001.jpg", "annotations/validation/val_00001.png"),
        "cityscapes": (
            "leftImg8bit/val/val/val_00001_leftImg8bit.png",
            "gtFine/val/val/val_00001_gtFine_labelIds.png",
        ),
        "camvid": ("val/val_00001.png", "valannot/val_00001.png"),
    }
    values = {"voc": set(range(7)), "ade20k": set(range(8)), "cityscapes": {0, 7, 8, 11, 12, 13, 17, 19}}
    values["camvid"] = {*range(7), 11}
    for layout, (image, mask) in written.items():
        with Image.open(places[layout] / image) as file:
            assert file.format == {"jpg": "JPEG", "png": "PNG"}[image[-3:]]
        assert set(np.unique(read_mask(places[layout] / mask))) <= values[layout] | {255}
        assert layout_of(places[layout]) == {"voc": "folder"}.get(layout, layout)
    assert (places["voc"] / "ImageSets/Segmentation/train.txt").read_text().split()[0] == "train_00000"


def test_void_is_stored_as_the_data_set_stores_it(tmp_path: Path) -> None:
    voc = load("folder", make(tmp_path / "data"))  # its masks hold 0, 1, 2 and 255
    ours = {"voc": {0, 1, 2, 255}, "camvid": {0, 1, 2, 11}}
    for layout, stored in ({"ade20k": {1, 2, 3, 0}, "cityscapes": {7, 8, 11, 0}} | ours).items():
        dataset = load(layout, write_layout(voc, tmp_path / layout, layout))
        assert set(np.unique(read_mask(dataset.mask_file("a")))) == stored
        np.testing.assert_array_equal(dataset[0][1], voc[0][1])


def test_a_city_is_what_the_id_begins_with(tmp_path: Path) -> None:
    voc = load("folder", make(tmp_path / "data", ("ulm_0_1", "plain")))
    root = write_layout(voc, tmp_path / "out", "cityscapes")
    assert (root / "leftImg8bit/train/ulm/ulm_0_1_leftImg8bit.png").is_file()
    assert (root / "gtFine/train/train/plain_gtFine_labelIds.png").is_file()
    assert load("cityscapes", root).ids == ("plain", "ulm_0_1")


def test_layouts_that_cannot_be(tmp_path: Path, drawn: DemoDataset) -> None:
    with pytest.raises(DataError, match="no layout 'coco'; there are voc, ade20k, cityscapes, camvid"):
        write_layout(drawn, tmp_path / "out", "coco")
    many = load("folder", make(tmp_path / "data", classes=[f"class {number}" for number in range(20)]))
    with pytest.raises(DataError, match="cityscapes stores 19 classes at most, not 20"):
        write_layout(many, tmp_path / "out", "cityscapes")
    assert load("ade20k", write_layout(many, tmp_path / "out", "ade20k")).classes == many.classes


@pytest.mark.parametrize("split", ["train", "val"])
def test_torchvisions_readers_see_the_same(split: str, places: dict[str, Path], tmp_path: Path) -> None:
    """What is written is in the official layouts, and what is read of it, in somebody else's opinion too."""
    (tmp_path / "VOCdevkit").mkdir()
    (tmp_path / "VOCdevkit/VOC2012").symlink_to(places["voc"])
    theirs = torchvision.datasets.VOCSegmentation(str(tmp_path), "2012", split)
    for (image, mask, _), (their_image, their_mask) in zip(load("voc", tmp_path, split), theirs, strict=True):
        np.testing.assert_array_equal(image, their_image)
        np.testing.assert_array_equal(mask, their_mask)
    theirs = torchvision.datasets.Cityscapes(str(places["cityscapes"]), split, target_type="semantic")
    ours = load("cityscapes", places["cityscapes"], split)
    assert len(ours) == len(theirs)
    labels = {kind.id: kind.train_id % 256 for kind in theirs.classes}  # -1, the licence plate, is void
    for file, (their_image, their_mask) in zip(theirs.images, theirs, strict=True):
        image, mask, _ = ours[ours.ids.index(Path(file).name.removesuffix("_leftImg8bit.png"))]
        np.testing.assert_array_equal(image, their_image)
        np.testing.assert_array_equal(mask, np.vectorize(labels.get)(np.asarray(their_mask)))


@pytest.mark.parametrize("world", ["demo_scale"], indirect=True)
def test_a_model_scores_the_same_through_all_readers(places: dict[str, Path]) -> None:
    model = load_pretrained("demo_scale")
    counts = [evaluate(model, load(layout, places[layout], "train")).counts.tolist() for layout in PUBLISHED]
    assert all(one == counts[0] for one in counts)
    right = sum(row[label] for label, row in enumerate(counts[0]))
    assert right > 0.9 * sum(map(sum, counts[0]))  # it was the right pixels that were compared
