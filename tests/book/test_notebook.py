"""What the first cell of every chapter finds, says and sets."""

import sys
from pathlib import Path
from types import SimpleNamespace

import matplotlib as mpl
import pytest
import torch

from dmnet import book as notebook


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("DMNET_HOME", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    return tmp_path


def test_without_gpu_and_data_the_profile_is_demo(capsys: pytest.CaptureFixture[str]) -> None:
    with mpl.rc_context():
        profile = notebook.setup()
        assert mpl.rcParams["image.interpolation"] == "none"
    assert (profile.name, profile.device, profile.roots) == ("demo", "cpu", {})
    assert "demo, on drawn pictures (no GPU, no real data set in data/)" in capsys.readouterr().out


@pytest.mark.parametrize("folder", ["VOCdevkit/VOC2012", "VOC2012"])
def test_a_data_set_is_found_but_needs_a_gpu(
    elsewhere: Path, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (elsewhere / folder / "JPEGImages").mkdir(parents=True)
    with mpl.rc_context():
        profile = notebook.setup()
    assert profile.roots == {"voc": elsewhere / folder}
    assert profile.name == "demo"
    assert "(no GPU). Data found: voc." in capsys.readouterr().out


def test_with_camvid_and_no_gpu_the_profile_is_photographs(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (elsewhere / "CamVid/trainannot").mkdir(parents=True)
    with mpl.rc_context():
        assert notebook.setup().name == "photographs"
    said = "Profile: photographs, on drawn pictures and CamVid's photographs (no GPU). Data found: camvid."
    assert said in capsys.readouterr().out


def test_every_published_data_set_is_found_where_its_reader_looks(elsewhere: Path) -> None:
    for folder in ("ADEChallengeData2016/images/training", "cityscapes/leftImg8bit", "CamVid/trainannot"):
        (elsewhere / folder).mkdir(parents=True)
    (elsewhere / "VOCdevkit/VOC2012").mkdir(parents=True)  # empty: the archive was not unpacked
    with mpl.rc_context():
        roots = notebook.setup().roots
    places = {"ade20k": "ADEChallengeData2016", "cityscapes": "cityscapes", "camvid": "CamVid"}
    assert roots == {name: elsewhere / place for name, place in places.items()}


def test_with_a_gpu_and_data_the_profile_is_full(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (elsewhere / "VOC2012" / "JPEGImages").mkdir(parents=True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a fast card")
    with mpl.rc_context():
        assert notebook.setup().name == "full"
    assert "a fast card" in capsys.readouterr().out


def test_the_seed_is_set() -> None:
    with mpl.rc_context():
        notebook.setup(seed=3)
        first = torch.rand(1)
        notebook.setup(seed=3)
    assert torch.equal(first, torch.rand(1))


def test_colab_is_told_to_load_widgets(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    output = SimpleNamespace(enable_custom_widget_manager=lambda: asked.append(True))
    for name, module in {"google.colab": SimpleNamespace(), "google.colab.output": output}.items():
        monkeypatch.setitem(sys.modules, name, module)
    with mpl.rc_context():
        notebook.setup()
    assert asked == [True]
