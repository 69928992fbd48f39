"""The command line, on small inputs; errors are one line and exit code 2."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.cbook import get_sample_data
from PIL import Image
from typer.testing import CliRunner

from dmnet import datasets, systems, worlds
from dmnet.checkpoints import save_weights
from dmnet.cli import application
from dmnet.cli._shared import load_data, warning_text
from dmnet.errors import DataError
from dmnet.model import build_model

SMALL = ["--iterations", "2", "--batch-size", "2"]


def run(*arguments, code=0):
    result = CliRunner().invoke(application(), [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Four drawn scenes for training and two for validation, on disk."""
    folder = tmp_path_factory.mktemp("world") / "scenes"
    splits = [
        worlds.DemoDataset("demo_scale", split, size=n, seed=77) for split, n in (("train", 4), ("val", 2))
    ]
    return worlds.write_layout(splits, folder)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    save_weights(build_model("demo_scale"), path)
    return path


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 50, 3), np.uint8)).save(path)
    return path


def test_systems_are_listed_and_shown():
    listed = run("systems").stdout
    assert all(name in listed for name in systems.names())
    shown = run("systems", "demo_scale").stdout
    assert "learning_rate" in shown and "0.003" in shown and "field of 11 pixels" in shown


def test_an_error_is_one_line_with_the_nearest_name():
    result = run("systems", "demo_scael", code=2)
    assert result.stderr.startswith("Error: there is no system called 'demo_scael'. Did you mean demo_scale")
    assert result.stderr.count("\n") == 1 and "Traceback" not in result.output


def test_without_typer_the_extra_is_named():
    code = "import sys; sys.modules['typer'] = None; from dmnet.cli import main; main(['systems'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr == "Error: typer is not installed: pip install 'dmnet[cli]'\n"


def test_python_m_dmnet():
    done = subprocess.run(
        [sys.executable, "-m", "dmnet", "systems", "nonsense"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and done.stderr.startswith("Error: there is no system called 'nonsense'")


def test_train_evaluate_predict(world, photo, tmp_path):
    folder = tmp_path / "run"
    settings = ["--set", "filter_sizes=(1,3)", "--set", "schedule=poly"]
    trained = run("train", "demo_scale", "--data", world, "--run", folder, *SMALL, *settings)
    assert "iteration 2/2" in trained.stdout and "mIoU" in trained.stdout
    assert "last.safetensors" in trained.stdout.replace("\n", "")
    scores = tmp_path / "scores.csv"
    run("evaluate", folder / "last.safetensors", "--data", world, "--output", scores)
    table = pd.read_csv(scores, index_col="class")
    assert table.index.tolist() == list(systems.get("demo_scale").classes)
    pd.testing.assert_frame_equal(table, pd.read_csv(folder / "classes.csv", index_col="class"))
    run("predict", folder / "last.safetensors", photo, "--output", tmp_path / "out")
    for name, mode in (("photo_labels.png", "P"), ("photo_overlay.png", "RGB")):
        with Image.open(tmp_path / "out" / name) as picture:
            assert picture.mode == mode and picture.width >= 50 and picture.height >= 30


def test_a_finished_run_is_refused_and_resumed(world, tmp_path):
    command = ["train", "demo_scale", "--data", world, "--run", tmp_path, "--val-split", "none", *SMALL]
    run(*command)
    assert "--resume" in run(*command, code=2).stderr
    run(*command, "--resume")
    assert "another configuration" in run(*command, "--resume", "--seed", 1, code=2).stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "demo_scale", "--data", "nowhere"], "nowhere is no folder here, nor one of voc"),
        (["train", "small_r18"], "--data FOLDER"),
        (["train", "demo_scale", "--split", "trian"], "trian"),
        (["train", "demo_scale", "--set", "iterations"], "NAME=VALUE"),
        (["train", "demo_scale", "--set", "iteratons=3"], "Did you mean 'iterations'"),
        (["train", "demo_scale", "--device", "abacus"], "abacus"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(arguments, words, world, tmp_path):
    if "--set" in arguments or "--device" in arguments:
        arguments = [*arguments, "--data", world]
    result = run(*arguments, "--run", tmp_path / "run", code=2)
    assert words in result.stderr
    assert not (tmp_path / "run").exists()


def test_one_bad_picture_does_not_cost_the_others(weights, photo, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"nothing")
    result = run("predict", weights, bad, photo, "--output", tmp_path / "out", code=2)
    assert "bad.jpg" in result.stderr and (tmp_path / "out" / "photo_labels.png").exists()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "photo_labels.png",
        "photo_overlay.png",
    ]


def test_results_never_overwrite_each_other(weights, photo, tmp_path):
    other = tmp_path / "folder" / photo.name
    other.parent.mkdir()
    other.write_bytes(photo.read_bytes())
    assert "two images are called photo" in run("predict", weights, photo, other, code=2).stderr


def test_drawn_data_are_written_and_checked(tmp_path):
    folder = tmp_path / "drawn"
    run("data", "draw", "demo_context", "--output", folder, "--size", 2, "--split", "val")
    assert "val: 2 of 2 examples read" in run("data", "check", folder, "--split", "val").stdout
    drawn = run("data", "check", folder, "--quick", "--pictures", tmp_path / "pictures").stdout
    assert "Not checked: there is no list" in drawn and "class_shares.png is drawn" in drawn
    assert {file.name for file in (tmp_path / "pictures").iterdir()} == {"val.png", "class_shares.png"}
    mask = next((folder / "SegmentationClass").iterdir())
    Image.fromarray(np.full((128, 128), 99, np.uint8)).save(mask)
    told = run("data", "check", folder, "--split", "val", code=2).stdout
    assert f"{mask}: the mask has the label 99" in told and "remedy: " in told and "1 error" in told
    assert (
        "kept as it is" in run("data", "draw", "demo_context", "--output", folder, "--size", 2, code=2).stderr
    )


@pytest.mark.parametrize("layout", ["voc", "ade20k", "cityscapes", "camvid"])
def test_a_demo_world_is_drawn_in_each_layout_and_recognised(tmp_path, layout):
    folder = tmp_path / "drawn"
    run("data", "draw", "demo_scale", "--output", folder, "--size", 2, "--layout", layout)
    for root in (None, folder):
        data = load_data(str(folder) if root is None else layout, "val", root)
        assert len(data) == 2 and data.classes == datasets.load("demo_scale", size=1).classes
        assert data.encoding.stored[0] == {"ade20k": 1, "cityscapes": 7}.get(layout, 0)
    with pytest.raises(DataError, match="leave out --data-root"):
        load_data(str(folder), "val", tmp_path)


def predicts_at_the_original_size(pictures, folder):
    run("predict", "demo_scale", *pictures, "--output", folder)
    for picture in pictures:
        with Image.open(picture) as original, Image.open(folder / f"{picture.stem}_labels.png") as labels:
            assert labels.size == original.size
            with Image.open(folder / f"{picture.stem}_overlay.png") as overlay:
                assert overlay.width >= original.width and overlay.height >= original.height


def test_a_photograph(tmp_path):
    predicts_at_the_original_size([Path(get_sample_data("grace_hopper.jpg", asfileobj=False))], tmp_path)


def test_photographs_of_voc(photos, tmp_path):
    pictures = sorted((photos / "voc2012_three" / "JPEGImages").iterdir())
    assert len(pictures) == 3
    predicts_at_the_original_size(pictures, tmp_path)


def test_settings_that_cannot_work_are_one_line(world, tmp_path):
    command = ["train", "demo_scale", "--data", world, "--run", tmp_path / "run", *SMALL]
    assert "optimizer must be 'sgd' or 'adamw'" in run(*command, "--set", "optimizer=SGD", code=2).stderr
    assert "no backbone called 'vgg'" in run(*command, "--set", "backbone=vgg", code=2).stderr


def test_ctrl_c_says_how_to_go_on(world, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        (tmp_path / "last.ckpt").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr("dmnet.training.train", interrupted)
    result = run("train", "demo_scale", "--data", world, "--run", tmp_path, code=130)
    assert f"Go on with: dmnet train --resume {tmp_path}" in result.output.replace("\n", "")


def test_warnings_are_text(monkeypatch):
    """Neither "UserWarning" nor the line of code that was warned."""
    first, second, third = (
        warning_text(message, category, "file.py", 7)
        for message, category in (
            (UserWarning("warning in val [class-absent]: no pixel of ring"), UserWarning),
            ("only a part is there", UserWarning),
            ("old", DeprecationWarning),
        )
    )
    assert first == "warning in val [class-absent]: no pixel of ring\n"
    assert second == "warning: only a part is there\n" and "file.py:7: DeprecationWarning: old" in third
    used = []
    monkeypatch.setattr("dmnet.systems.names", lambda: used.append(warnings.formatwarning) or ())
    usual = warnings.formatwarning
    run("systems")
    assert used[0] is warning_text and warnings.formatwarning is usual


def test_what_cannot_be_drawn_does_not_hide_the_rest(tmp_path):
    world = tmp_path / "world"
    splits = [worlds.DemoDataset("demo_scale", split, size=2, seed=77) for split in ("train", "val")]
    worlds.write_layout(splits, world)
    for file in (world / "SegmentationClass").glob("train*"):
        file.unlink()
    shown = run("data", "check", world, "--pictures", tmp_path / "sheets", code=2).stdout
    assert "No pictures of train: none of the examples can be read" in shown
    assert "2 of 2 examples read; 1 error" in shown
    assert sorted(path.name for path in (tmp_path / "sheets").iterdir()) == ["class_shares.png", "val.png"]


def test_a_name_that_cannot_be_printed_does_not_end_the_work(weights, photo, tmp_path):
    other = tmp_path / "gr\u00fcn.png"
    other.write_bytes(photo.read_bytes())
    command = [sys.executable, "-m", "dmnet", "predict", weights, other, "--output", tmp_path / "out"]
    done = subprocess.run(command, env=os.environ | {"PYTHONIOENCODING": "ascii"}, capture_output=True)
    assert done.returncode == 0 and (tmp_path / "out" / "gr\u00fcn_overlay.png").exists(), done.stderr


def test_labels_are_written_before_an_overlay_is_tried(weights, photo, tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr("dmnet.plots.overlay", fail)
    run("predict", weights, photo, "--output", tmp_path / "out", code=1)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["photo_labels.png"]
