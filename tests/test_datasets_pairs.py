"""A folder of pictures and one of masks: pairing, splits, and what is said about faulty ones."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dmnet.datasets import layout_of, load
from dmnet.datasets.files import divide
from dmnet.errors import DataError

LABELS = np.resize(np.array([0, 1, 2, 255], np.uint8), (4, 6))


def put(root: Path, image: str, mask: str | None = None, labels: np.ndarray = LABELS) -> None:
    """Write a 6 x 4 picture and its mask."""
    for name, picture in ((image, Image.new("RGB", (6, 4), (9, 8, 7))), (mask, Image.fromarray(labels))):
        if name:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            picture.save(root / name)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Ten pairs in two folders."""
    for number in range(10):
        put(tmp_path, f"images/p{number}.jpg", f"masks/p{number}.png")
    (tmp_path / "classes.txt").write_text("sky\nsea\nsand\n")
    return tmp_path


@pytest.fixture
def divided(tmp_path: Path) -> Path:
    """Folders for the splits."""
    for split, names in (("train", "ab"), ("val", "c")):
        for name in names:
            put(tmp_path, f"images/{split}/{name}.jpg", f"masks/{split}/{name}.png")
    (tmp_path / "classes.txt").write_text("sky\nsea\nsand\n")
    return tmp_path


def test_splits_in_folders(divided: Path) -> None:
    train, val = load("pairs", divided), load("pairs", divided, "val")
    assert train.ids == ("a", "b") and val.ids == ("c",) and val.classes == ("sky", "sea", "sand")
    image, mask, name = val[0]
    assert image.shape == (4, 6, 3) and name == "c" and mask.tolist() == LABELS.tolist()
    assert len(list(val)) == len(val)
    with pytest.raises(DataError, match=r"no split 'test'; it has train, val"):
        load("pairs", divided, "test")


def test_lists_beside_folders_leave_out_all_others(divided: Path) -> None:
    before = load("pairs", divided, "train").ids
    (divided / "train.txt").write_text(before[0])
    assert load("pairs", divided, "train").ids == before[:1]
    assert load("pairs", divided, "val").ids  # which has no list
    (divided / "train.txt").write_text("nobody")
    with pytest.raises(DataError, match=r"no image nobody .*train\.txt asks for"):
        load("pairs", divided, "train")[0]


def test_one_mask_belongs_to_one_picture(divided: Path) -> None:
    """A copy of the mask beside the picture, as Roboflow exports both, is no second picture."""
    put(divided, "images/train/c.jpg", "masks/train/c_mask.png")
    assert load("pairs", divided)[2][2] == "c"
    (divided / "images/train/c_mask.png").write_bytes((divided / "masks/train/c_mask.png").read_bytes())
    with pytest.raises(DataError, match=r"c\.jpg and .*c_mask\.png would share the mask .*c_mask\.png; move"):
        load("pairs", divided)
    (divided / "images/train/c_mask.png").rename(divided / "c_mask.png")  # as the message asks
    assert load("pairs", divided).ids == ("a", "b", "c")


def test_a_lot_and_lists_share_no_masks(root: Path) -> None:
    put(root, "images/p0_mask.png")
    (root / "masks/p0.png").rename(root / "masks/p0_mask.png")
    for split in ("train", "val", "all"):
        with pytest.raises(DataError, match="would share the mask"):
            load("pairs", root, split)
    (root / "train.txt").write_text("p1\np2\n")
    with pytest.raises(DataError, match="would share the mask"):
        load("pairs", root)


def test_a_pictures_own_name_comes_first(root: Path) -> None:
    put(root, "images/p0_mask.jpg", "masks/p0_mask.png")  # the photograph of a mask
    data = load("pairs", root, "all")
    assert [data.mask_file(name).name for name in ("p0", "p0_mask")] == ["p0.png", "p0_mask.png"]


@pytest.mark.parametrize("composed", ["images", "masks", "list"])
def test_a_name_is_the_same_however_it_is_composed(root: Path, composed: str) -> None:
    one, other = (unicodedata.normalize(form, "f\u00e4hre") for form in ("NFC", "NFD"))
    names = {place: one if place == composed else other for place in ("images", "masks", "list")}
    put(root, f"images/{names['images']}.jpg", f"masks/{names['masks']}.png")
    (root / "train.txt").write_text(names["list"], encoding="utf-8")
    assert load("pairs", root)[0][2] == one
    put(root, f"images/{one}.png")
    with pytest.raises(DataError, match="have the same id"):
        load("pairs", root)


def test_folders_of_other_programs_are_skipped_and_named(root: Path) -> None:
    put(root, "images/__MACOSX/p0.jpg")
    put(root, "images/predictions/p1_labels.png")
    with pytest.warns(UserWarning, match=r"skipped.*(__MACOSX.*predictions|predictions.*__MACOSX)"):
        assert len(load("pairs", root, "all", images="images")) == 10


def test_a_folder_of_another_program_is_no_split(divided: Path) -> None:
    put(divided, "images/@eaDir/x.jpg")
    put(divided, "images/train/@eaDir/a.jpg")
    with pytest.warns(UserWarning, match=r"skipped.*@eaDir"):
        assert load("pairs", divided).ids == ("a", "b")
    with pytest.raises(DataError, match="it has train, val"), pytest.warns(UserWarning, match="skipped"):
        load("pairs", divided, "test")


@pytest.mark.parametrize(
    "lines",
    [
        "0 sky\n1 sea\n2 sand",
        "1: sky\n0: sea\n",
        "0,sky\n2,sea",
        "0) sky\n",
        "sky\t0\nsea\t1",
        "sky, 2\nsea, 0\nsand, 1",
        "sky 2\nsea 0\nsand 1",
        "sky,0,0,0\nsea,128,0,0",
        "sky 0 0 0\nsea 128 0 0",
        "# label:color_rgb:parts:actions\nsky\nsea",
        "sky\nsea\n#sand",
    ],
)
def test_tables_and_comments_are_no_class_lists(root: Path, lines: str) -> None:
    """Only the place of a line says which number a class has; a comment would shift all that follow."""
    (root / "classes.txt").write_text(lines)
    with pytest.raises(DataError, match=r"classes\.txt has more than names \('.*one a line.*\(ignored\)"):
        load("pairs", root)


@pytest.mark.parametrize(
    "names",
    [
        ("0", "1", "2nd floor", "3 steps"),
        ("lane 1", "lane 2", "lane 3"),
        ("class 0", "class 1"),
        ("door, double door", "wall"),
        ("C#", "sea"),
    ],
)
def test_names_may_have_numbers_and_marks(root: Path, names: tuple[str, ...]) -> None:
    (root / "classes.txt").write_text("\n".join(names))
    assert load("pairs", root).classes == names


def test_labelmes_ignore_would_shift_the_names(root: Path) -> None:
    (root / "classes.txt").write_text("__ignore__\n_background_\nsea\n")
    with pytest.raises(DataError, match=r"__ignore__.* -1; leave that line out"):
        load("pairs", root)


@pytest.mark.parametrize("line", ["p1.png", "images/p1.jpg masks/p1.png", "masks/p1", "p1 1"])
def test_a_list_of_files_is_no_list_of_ids(root: Path, line: str) -> None:
    (root / "train.txt").write_text(f"{line}\n")
    with pytest.raises(DataError, match=r"train\.txt has '.*write ids alone.*: p1$"):
        load("pairs", root)
    (root / "train.txt").write_text("p1\n")  # as the message asks
    assert load("pairs", root).ids == ("p1",)


def test_two_masks_for_one_picture(root: Path) -> None:
    """Colours to look at beside numbers, say: which of the two holds labels, nobody can tell."""
    put(root, "images/q.jpg", "masks/q.png")
    assert "q" in load("pairs", root, "all").ids
    (root / "masks/q_label.png").write_bytes((root / "masks/q.png").read_bytes())
    with pytest.raises(DataError, match=r"q\.png and .*q_label\.png are both a mask of q; leave one"):
        load("pairs", root, "all")


@pytest.mark.parametrize("suffix", [".pgm", ".bmp", ".tif", ".PNG"])
def test_label_maps_in_every_format_that_is_promised(root: Path, suffix: str) -> None:
    """The file's name has dots, and the mask's an ending, as in many collections."""
    put(root, "images/1.3.6.1_42.jfif", f"masks/1.3.6.1_42_mask{suffix}")
    data = load("pairs", root, "all")
    assert data[data.ids.index("1.3.6.1_42")][1].tolist() == LABELS.tolist()


def test_label_maps_as_gif_are_not_taken(root: Path) -> None:
    """Whoever writes a GIF may number its colours anew: Pillow makes a 3 of the fourth value, 255."""
    put(root, "images/q.jpg", "masks/q_mask.gif")
    with pytest.raises(DataError, match=r"no mask q\.png"):
        load("pairs", root, "all").mask_file("q")


def test_a_second_folder_of_masks_is_told_of(root: Path) -> None:
    (root / "labels").mkdir()
    with pytest.warns(UserWarning, match=r"labels is not read, as there is .*masks"):
        load("pairs", root, "all")


def test_an_empty_folder_is_no_split(root: Path) -> None:
    (root / "images/new").mkdir()
    assert len(load("pairs", root, "train")) == 8


def test_folders_of_scenes_are_no_splits_where_lists_say_which(tmp_path: Path) -> None:
    for scene, name in (("north", "a"), ("south", "b")):
        put(tmp_path, f"images/{scene}/{name}.jpg", f"masks/{scene}/{name}.png")
    (tmp_path / "classes.txt").write_text("sky\nsea\nsand\n")
    with pytest.raises(DataError, match=r"no split 'train'; it has north, south; or write .*train\.txt"):
        load("pairs", tmp_path)
    (tmp_path / "train.txt").write_text("a\n")
    (tmp_path / "val.txt").write_text("b\n")
    assert [load("pairs", tmp_path, split).ids for split in ("train", "val")] == [("a",), ("b",)]


def test_hidden_folders_are_no_splits(root: Path) -> None:
    put(root, "images/.ipynb_checkpoints/p0-checkpoint.jpg")
    put(root, "images/._p1.jpg")
    assert len(load("pairs", root, "all")) == 10


def test_splits_in_lists(root: Path) -> None:
    (root / "train.txt").write_text("p3\np1\n")
    assert load("pairs", root).ids == ("p3", "p1")
    with pytest.raises(DataError, match=r"val\.txt; this data set has train"):  # never a lot beside a list
        load("pairs", root, "val")
    (root / "val.txt").write_text("p4.jpg\n")
    with pytest.raises(DataError, match=r"val\.txt has .p4\.jpg.*without folder and suffix"):
        load("pairs", root, "val")[0]


def test_splits_by_lot(root: Path) -> None:
    train, val = load("pairs", root), load("pairs", root, "val")
    assert len(train) == 8 and len(val) == 2 and not set(train.ids) & set(val.ids)
    assert load("pairs", root, "val").ids == val.ids
    assert {load("pairs", root, "val", seed=seed).ids for seed in range(8)} > {val.ids}
    assert len(load("pairs", root, "val", val_share=0.5)) == 5
    with pytest.raises(DataError, match=r"test\.txt"):
        load("pairs", root, "test")
    for share in (0, 1.0, float("nan")):
        with pytest.raises(DataError, match="val_share"):
            load("pairs", root, "val", val_share=share)


@given(st.sets(st.text("abc123_", min_size=1), min_size=2, max_size=40), st.floats(0.01, 0.99))
def test_a_lot_gives_every_picture_to_one_split(names: set[str], share: float) -> None:
    ids = sorted(names)
    train, val = divide(ids, share, 0)
    assert train and val and sorted(train + val) == ids
    assert abs(len(val) - share * len(ids)) <= 1


def test_a_new_picture_moves_few_others() -> None:
    ids = [f"picture{number}" for number in range(100)]
    before, after = divide(ids, 0.2, 0)[1], divide([*ids, "another"], 0.2, 0)[1]
    assert len(set(before) ^ set(after)) <= 2


@pytest.mark.parametrize("mask", ["p0.png", "p0_mask.png", "p0_label.tif", "p0_gt.bmp"])
@pytest.mark.parametrize("image", ["p0.jpg", "p0.PNG", "p0.webp"])
def test_names_that_pair(tmp_path: Path, image: str, mask: str) -> None:
    put(tmp_path, f"images/{image}", f"labels/{mask}")
    assert load("pairs", tmp_path, "all", classes=["sky", "sea", "sand"])[0][2] == "p0"


def test_folders_may_lie_and_be_called_otherwise(tmp_path: Path) -> None:
    put(tmp_path, "photos/a.jpg", "elsewhere/painted/a.png")
    dataset = load(
        "pairs", tmp_path / "photos", "all", images=".", masks=tmp_path / "elsewhere/painted", classes="xyz"
    )
    assert dataset[0][2] == "a" and dataset.classes == ("x", "y", "z")


def test_zero_may_be_void(tmp_path: Path) -> None:
    put(tmp_path, "images/a.jpg", "masks/a.png")
    dataset = load("pairs", tmp_path, "all", classes=["(ignored)", "one", "two"])
    assert dataset[0][1][0].tolist() == [255, 0, 1, 255, 255, 0]
    (tmp_path / "classes.txt").write_text("(ignored)\none\ntwo\n")
    again = load("pairs", tmp_path, "all")
    assert again.classes == ("one", "two") and (again[0][1] == dataset[0][1]).all()


def test_pictures_alone(root: Path) -> None:
    for file in (root / "masks").iterdir():
        file.unlink()
    (root / "masks").rmdir()
    with pytest.raises(DataError, match="no folder masks or labels"):
        load("pairs", root, "all")
    dataset = load("pairs", root, "all", labelled=False)
    assert dataset.image(1)[1] == "p1" and not dataset.labelled


def damage(root: Path) -> dict[str, str]:
    """Break examples of a set, each in another way; return what must be said of each."""
    (root / "masks/p1.png").rename(root / "masks/q1.png")
    (root / "images/p2.jpg").write_bytes((root / "images/p2.jpg").read_bytes()[:-100])
    put(root, "images/p3.jpg", "masks/p3.png", np.full((4, 6), 3, np.uint8))
    put(root, "images/p4.jpg", "masks/p4.png", np.zeros((6, 4), np.uint8))
    put(root, "images/p5.jpg", "masks/p5.png", np.zeros((4, 6, 3), np.uint8))
    (root / "masks/p6.png").unlink()
    Image.fromarray(LABELS).save(root / "masks/p6.jpg")
    (root / "images/p7.jpg").unlink()
    return {
        "p1": r"no mask p1\.png in .*p1\.jpg",
        "p2": r"p2\.jpg is damaged, cut off or no image",
        "p3": r"p3\.png holds the label 3 \(24 pixels\), which is not void and none of the 3 classes",
        "p4": r"p4\.png: the image is \(4, 6\)",
        "p5": r"p5\.png holds colours",
        "p6": r"p6\.jpg is a JPEG file, which changes labels",
        "p7": r"no image p7 in .*, which .*all\.txt",
    }


def test_faulty_examples_are_all_reported(root: Path) -> None:
    (root / "all.txt").write_text("\n".join(f"p{number}" for number in range(10)))
    messages = damage(root)
    dataset = load("pairs", root, "all")
    for name, message in messages.items():
        with pytest.raises(DataError, match=message):
            dataset[dataset.ids.index(name)]


def test_two_pictures_of_one_name(root: Path) -> None:
    put(root, "images/p0.png")
    with pytest.raises(DataError, match=r"p0\.\w+ and .*p0\.\w+ have the same id p0"):
        load("pairs", root, "all")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": "photos"}, "no folder .*photos"),
        ({"images": "empty"}, "no image in .*empty"),
        ({"masks": "painted"}, "no folder .*painted"),
        ({"classes": list(map(str, range(256)))}, "256 class names"),
    ],
)
def test_faulty_folders(root: Path, options: dict, message: str) -> None:
    (root / "empty").mkdir()
    with pytest.raises(DataError, match=message):
        load("pairs", root, "all", **options)


def test_without_a_class_list(root: Path) -> None:
    (root / "classes.txt").unlink()
    with pytest.raises(DataError, match=r"classes\.txt; .*one a line"):
        load("pairs", root)


def test_a_split_without_masks_of_its_own(divided: Path) -> None:
    (divided / "masks/val").rename(divided / "masks/valid")
    with pytest.raises(DataError, match=r"no folder .*masks/val: there is train, valid; labelled=False"):
        load("pairs", divided, "val")


def test_it_is_recognised(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert layout_of(root) == "pairs"
    other = tmp_path_factory.mktemp("other")
    for name in ("Images", "Labels"):
        (other / name).mkdir()
    with pytest.raises(DataError, match=r"laid out as no data set.*README.*; there is Images, Labels"):
        layout_of(other)
