"""Own data from end to end: what each command prints last is typed, as it is printed."""

import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_cli import run

import dmnet
from dmnet import datasets, worlds
from dmnet.checkpoints import read_weights
from dmnet.cli._shared import load_data
from dmnet.errors import CheckpointError, UnknownSystemError

TINY = ["--set", "backbone=tiny_resnet", "--set", "channels=4", "--set", "fusion_channels=8"]
SMALL = [
    "--iterations",
    "2",
    "--batch-size",
    "2",
    "--crop",
    "32",
    "--set",
    "resize=(64,32)",
    "--no-pretrained",
]
SMALL += [*TINY, "--set", "aux_channels=4"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with a person's pictures in it: `my photos`, three classes in four scenes and two."""
    monkeypatch.chdir(tmp_path)
    for split, size in (("train", 4), ("val", 2)):
        for image, mask, name in worlds.DemoDataset("demo_scale", split, size=size, seed=7):
            for kind, pixels in (("images", image), ("masks", np.minimum(mask, 2))):
                file = tmp_path / "my photos" / kind / split / f"{name}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(file)
    (tmp_path / "my photos" / "classes.txt").write_text("wall\ndisc\nring\n")
    return tmp_path


@pytest.fixture
def trained(here):
    """The same, and a run that was trained on it: `runs/own`."""
    run("train", "small_r18", "--data", "my photos", "--run", "runs/own", *SMALL)
    return here


def following(shown) -> list[str]:
    """The command in the last line, as a shell would read it."""
    last = shown.stdout.splitlines()[-1]
    assert last.startswith("Next: dmnet ")
    return shlex.split(last)[2:]


def miou(shown) -> str:
    return next(line for line in shown.stdout.splitlines() if line.startswith("mIoU"))


def test_each_command_prints_the_next(here):
    command = following(run("data", "check", "my photos"))
    assert command == ["train", "small_r18", "--data", "my photos", "--run", "runs/my photos", "--quick"]
    trained = run(*command, *SMALL)  # smaller yet
    command = following(trained)
    assert command == ["evaluate", "runs/my photos"]
    scored = run(*command)
    assert miou(scored) == miou(trained) and "ring" in scored.stdout
    command = following(scored)
    assert command == ["predict", "runs/my photos", "my photos/images/val"]
    run(*command)
    names = {file.stem for file in (here / "my photos/images/val").iterdir()}
    made = {file.name for file in (here / "predictions").iterdir()}
    assert made == {f"{name}_{kind}.png" for name in names for kind in ("labels", "overlay")}
    assert following(run("data", "check", "my photos"))[-2] == "runs/my photos-2"  # the first is there


def test_without_a_validation_set_there_is_a_next_command_too(here):
    for kind in ("images", "masks"):
        shutil.rmtree(here / "my photos" / kind / "val")
    command = following(run("data", "check", "my photos"))
    assert command[-5:] == ["--split", "train", "--val-split", "none", "--quick"]
    assert following(run(*command, *SMALL)) == ["predict", "runs/my photos", "my photos/images/train"]


@pytest.mark.parametrize("name", ["valid", "validation"])
def test_a_validation_set_by_another_name_is_checked_and_used(here, name):
    for kind in ("images", "masks"):
        (here / "my photos" / kind / "val").rename(here / "my photos" / kind / name)
    shown = run("data", "check", "my photos")
    assert f"{name}: 2 of 2 examples read" in shown.stdout
    assert following(shown)[-4:] == ["train", "--val-split", name, "--quick"]


@pytest.mark.parametrize("split", ["train", "val"])
def test_images_without_their_masks_are_no_missing_split(here, split):
    (here / "my photos" / "masks" / split).rename(here / "my photos" / "masks" / split.title())
    shown = run("data", "check", "my photos", code=2)
    assert f"no folder my photos/masks/{split}: there is" in shown.stderr


def test_what_was_drawn_is_checked_and_trained_on(here):
    drawn = run("data", "draw", "demo_scale", "--output", "scenes", "--size", 2)
    assert following(drawn) == ["data", "check", "scenes"]
    command = following(run(*following(drawn)))
    assert command[:4] == ["train", "small_r18", "--data", "scenes"]
    command = following(run("data", "check", "demo_scale", "--split", "val", "--quick"))
    assert command[:6] == ["train", "demo_scale", "--data", "demo_scale", "--run", "runs/demo_scale"]
    assert command[6:] == ["--split", "val", "--val-split", "none"]


@pytest.mark.parametrize("way", ["runs/own", "runs/own/last.safetensors", "runs/own/last.ckpt"])
def test_a_run_stands_where_a_system_does(trained, way):
    model = dmnet.load_pretrained(way)
    data = datasets.load("pairs", "my photos", "val")
    assert model.system.classes == data.classes == ("wall", "disc", "ring") and not model.training
    assert model.system.evaluation.resize == (64, 32)
    score = f"mIoU {dmnet.evaluate(model, data).miou():.2%}"
    assert miou(run("evaluate", way)).startswith(score)
    assert miou(run("evaluate", "small_r18", "--weights", way)).startswith(score)
    assert miou(run("evaluate", way, "--weights", "runs/own/best.safetensors")).startswith("mIoU")
    image = next((trained / "my photos/images/val").iterdir())
    run("predict", way, image, "--output", "out")
    with Image.open(trained / "out" / f"{image.stem}_labels.png") as labels:
        np.testing.assert_array_equal(labels, dmnet.predict(model, image))


def test_a_run_that_was_stopped_is_its_checkpoint(here, tmp_path):
    run("train", "small_r18", "--data", "my photos", "--run", "own", *SMALL, "--val-split", "none")
    newest = dmnet.load_pretrained("own")
    Path("own/last.safetensors").unlink()
    stopped = dmnet.load_pretrained(Path("own"))
    for name, tensor in newest.state_dict().items():
        assert torch.equal(tensor, stopped.state_dict()[name])
    run("evaluate", "own")  # of the folder's own val, as nothing was scored on the way
    Path("own/config.json").unlink()
    with pytest.raises(CheckpointError, match=r"last\.ckpt does not say which system"):
        dmnet.load_pretrained("own")
    Path("own/last.ckpt").unlink()
    assert "own is no run: it has neither last.safetensors nor" in run("predict", "own", "x", code=2).stderr
    with pytest.raises(CheckpointError, match="runs/nowhere is missing"):
        dmnet.load_pretrained("runs/nowhere")
    with pytest.raises(UnknownSystemError):
        dmnet.load_pretrained("nowhere")


def test_a_run_without_a_shell_says_what_is_missing(here):
    data = datasets.load("pairs", "my photos", "train")
    small = {"iterations": 1, "batch_size": 2, "crop": (32, 32), "resize": (64, 32), "pretrained": False}
    dmnet.train("small_r18", data, None, "own", backbone="tiny_resnet", progress=False, **small)
    assert "--data FOLDER" in run("evaluate", "own", code=2).stderr
    assert following(run("evaluate", "own", "--data", "my photos"))[:2] == ["predict", "own"]


def test_a_run_starts_from_another(trained):
    Path("my photos/classes.txt").write_text("wall\ndisc\nring\nother\n")
    command = ["train", "small_r18", "--data", "my photos", "--run", "next", *SMALL]
    with pytest.warns(UserWarning, match=r"starts from runs/own, but for head\.classify"):
        run(*command, "--init", "runs/own", "--learning-rate", "0", "--set", "final_learning_rate=0")
    before, after = (read_weights(Path(one, "last.safetensors")).tensors for one in ("runs/own", "next"))
    assert torch.equal(before["head.fuse.0.weight"], after["head.fuse.0.weight"])
    assert after["head.classify.bias"].shape == (4,)
    (session,) = json.loads(Path("next/environment.json").read_text())
    assert session["init"] == "runs/own"


def test_a_run_starts_from_a_system(here):
    command = ["train", "demo_scale", "--data", "my photos", "--run", "own", "--iterations", 1]
    with pytest.warns(UserWarning, match=r"starts from demo_scale, but for head\.classify\.weight; head"):
        run(*command, "--init", "demo_scale", "--learning-rate", "0")
    before, after = dmnet.load_pretrained("demo_scale"), dmnet.load_pretrained("own")
    assert torch.equal(before.head.fuse[0].weight, after.head.fuse[0].weight)


def test_a_falling_rate_is_not_prolonged_and_the_message_begins_anew(trained):
    before = Path("runs/own/last.ckpt").read_bytes()
    told = run("train", "--resume", "runs/own", "--iterations", 4, code=2).stderr
    assert "cannot be prolonged" in told
    command = shlex.split(told.splitlines()[-1])
    assert following(run(*command[1:])) == ["evaluate", "runs/own-2"]
    config = json.loads(Path("runs/own-2/config.json").read_text())
    first = json.loads(Path("runs/own/config.json").read_text())
    assert config["system"]["recipe"]["iterations"] == 4 and config["train_set"] == first["train_set"]
    assert config["system"]["architecture"] == first["system"]["architecture"]
    assert Path("runs/own/last.ckpt").read_bytes() == before
    run("train", "--resume", "runs/own-2")
    run("train", "--resume", "runs/own", "--iterations", 2)  # the same end is no other


def test_a_constant_rate_is_prolonged_as_if_it_had_been_longer(here):
    constant = ["--learning-rate", "0.001", "--set", "final_learning_rate=0.001"]
    for folder, iterations in (("short", 2), ("long", 4)):
        command = ["train", "small_r18", "--data", "my photos", "--run", folder, *SMALL, *constant]
        run(*command, "--iterations", iterations)
    run("train", "--resume", "short", "--iterations", 4)
    prolonged, whole = (read_weights(Path(one, "last.safetensors")).tensors for one in ("short", "long"))
    assert all(torch.equal(prolonged[name], whole[name]) for name in whole)
    assert json.loads(Path("short/config.json").read_text())["system"]["recipe"]["iterations"] == 4
    run("train", "--resume", "short")  # as it is now


def test_quick_is_what_is_not_asked_for(here):
    command = ["train", "small_r18", "--data", "my photos", "--run", "own", "--quick", *SMALL[:6], *TINY]
    run(*command, "--no-pretrained", "--val-split", "none")
    recipe = json.loads(Path("own/config.json").read_text())["system"]["recipe"]
    assert (recipe["iterations"], recipe["batch_size"], recipe["crop"]) == (2, 2, [32, 32])
    assert recipe["resize"] == [1024, 256]


@pytest.mark.parametrize("name", ["pairs", "folder", "demo_scale"])
def test_a_folder_called_like_a_data_set_is_told_of(here, name):
    shutil.move("my photos", name)
    with pytest.warns(UserWarning, match=rf"{name} is the name of a data set here; the folder is \./{name}"):
        run("data", "check", name, code=0 if name == "demo_scale" else 2)
    assert len(load_data(f"./{name}", "train")) == len(load_data(f"{name}/", "train")) == 4
    command = following(run("data", "check", f"./{name}"))
    assert command[command.index("--data") + 1] == f"./{name}"


def test_a_run_called_like_a_system_is_told_of(here):
    scored = run("train", "small_r18", "--data", "my photos", "--run", "demo_scale", *SMALL)
    assert following(scored) == ["evaluate", "./demo_scale"]
    assert "disc" in run(*following(scored)).stdout
    image = next((here / "my photos/images/val").iterdir())
    with pytest.warns(UserWarning, match=r"the name of a system here; the run is \./demo_scale"):
        run("predict", "demo_scale", image)


def test_an_empty_folder_is_named(trained):
    Path("empty").mkdir()
    assert "there is no image in the folder" in run("predict", "runs/own", "empty", code=2).stderr
