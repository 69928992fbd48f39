"""Data sets written to disk as the real ones lie there, and read again."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_datasets_folder import make, put_list

from dmnet.datasets import DemoDataset, FolderDataset, layouts, write_voc_layout
from dmnet.errors import DataError


@pytest.fixture
def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DemoDataset:
    monkeypatch.setenv("DMNET_HOME", str(tmp_path / "home"))
    return DemoDataset("demo_context", "val", size=2)


def test_written_masks_have_the_palette(drawn: DemoDataset, tmp_path: Path) -> None:
    root = write_voc_layout(drawn, tmp_path / "new" / "out")
    image = Image.open(root / "SegmentationClass/val_00000.png")
    assert image.mode == "P"
    palette = np.array(image.getpalette()).reshape(-1, 3)
    np.testing.assert_array_equal(palette[:7], drawn.palette)
    assert (root / "classes.txt").read_text().splitlines() == list(drawn.classes)
    assert sorted(path.name for path in root.parent.iterdir()) == ["out"]


def test_an_empty_folder_is_filled(drawn: DemoDataset, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write_voc_layout(drawn, tmp_path / "out")
    FolderDataset(tmp_path / "out", "val").check()


@pytest.mark.parametrize("what", ["folder", "file"])
def test_nothing_is_overwritten(drawn: DemoDataset, tmp_path: Path, what: str) -> None:
    target = tmp_path / "out"
    precious = target / "precious.txt" if what == "folder" else target
    precious.parent.mkdir(exist_ok=True)
    precious.write_text("keep me")
    with pytest.raises(DataError, match="exists already"):
        write_voc_layout(drawn, target)
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
        write_voc_layout(drawn, tmp_path / "place" / "out")
    assert list((tmp_path / "place").iterdir()) == []


def test_splits_that_do_not_go_together(drawn: DemoDataset, tmp_path: Path) -> None:
    root = make(tmp_path / "data")
    with pytest.raises(DataError, match="split val is given twice"):
        write_voc_layout([drawn, drawn], tmp_path / "out")
    with pytest.raises(DataError, match="different classes"):
        write_voc_layout([drawn, FolderDataset(root)], tmp_path / "out")
    put_list(root, "b\nc\n", "val")
    with pytest.raises(DataError, match="share the ids b, c"):
        write_voc_layout([FolderDataset(root), FolderDataset(root, "val")], tmp_path / "out")
    with pytest.raises(DataError, match="no data set"):
        write_voc_layout([], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_full_disk_names_the_folder(
    drawn: DemoDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(layouts.PILImage.Image, "save", full)
    with pytest.raises(OSError, match=r"No space left.*out"):
        write_voc_layout(drawn, tmp_path / "out")
