"""Own data from end to end: what each command prints last is typed, as it is printed."""

import json
import shlex
import shutil
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from test_cli import run

import dmnet
from dmnet import datasets, doctor, worlds
from dmnet.cli._shared import load_data
from dmnet.errors import CheckpointError, UnknownSystemError
from dmnet.zoo.reading import read_weights

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


@pytest.fixture(scope="module")
def own_photos(tmp_path_factory):
    """A person's pictures: three classes in four scenes and two."""
    folder = tmp_path_factory.mktemp("photos")
    for split, size in (("train", 4), ("val", 2)):
        for image, mask, name in worlds.DemoDataset("demo_scale", split, size=size, seed=7):
            for kind, pixels in (("images", image), ("masks", np.minimum(mask, 2))):
                file = folder / kind / split / f"{name}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(file)
    (folder / "classes.txt").write_text("wall\ndisc\nring\n")
    return folder


@pytest.fixture
def here(own_photos, tmp_path, monkeypatch):
    """A working folder with these pictures in it: `my photos`."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(own_photos, tmp_path / "my photos")
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


def recipe_of(run_folder: str) -> dict:
    return json.loads(Path(run_folder, "config.json").read_text())["system"]["recipe"]


def test_class_weights_are_balanced_once_and_a_resumed_run_has_the_same(here, monkeypatch):
    command = ["train", "small_r18", "--data", "my photos", "--run", "own", *SMALL]
    shown = run(*command, "--class-weights", "balanced").stdout
    pixels = np.zeros(3, np.int64)
    for _, mask, _ in datasets.load("pairs", "my photos", "train"):
        pixels += np.bincount(mask[mask != 255], minlength=3)
    wanted = pixels.sum() / (3 * pixels)
    np.testing.assert_allclose(recipe_of("own")["class_weights"], wanted, rtol=1e-3)
    table = {line.split()[0]: line.split()[1:] for line in shown.splitlines() if len(line.split()) == 3}
    for name, share, weight in zip(("wall", "disc", "ring"), pixels / pixels.sum(), wanted, strict=True):
        assert [float(text) for text in table[name]] == pytest.approx([100 * share, weight], abs=0.006)
    examine = doctor.examine

    def examine_a_few(sets, limit=None):
        assert limit is not None, "all masks were read again"
        return examine(sets, limit=limit)

    monkeypatch.setattr(doctor, "examine", examine_a_few)
    run("train", "--resume", "own")
    run("train", "own", "--run", "again", "--iterations", 1)
    assert recipe_of("again")["class_weights"] == recipe_of("own")["class_weights"]


def test_class_weights_are_given(here):
    command = ["train", "small_r18", "--data", "my photos", "--run", "own", *SMALL]
    for weights, words in (
        ("1,2,3,4", "wall; disc; ring"),
        ("1,-2", "wall; disc; ring"),
        ("1;2", "must be a valid tuple"),
    ):
        assert words in run(*command, "--class-weights", weights, code=2).stderr
    assert not Path("own").exists()
    run(*command, "--class-weights", "1,2,0.5")
    assert recipe_of("own")["class_weights"] == [1, 2, 0.5]


def test_patience_ends_and_the_next_command_scores_the_best(here):
    command = ["train", "small_r18", "--data", "my photos", "--run", "own", *SMALL, "--iterations", 30]
    assert "--evaluate-every" in run(*command, "--patience", 2, code=2).stderr
    ended = run(*command, "--evaluate-every", 1, "--patience", 2)
    assert "no mIoU above" in ended.stdout and "in 2 evaluations" in ended.stdout
    command = following(ended)
    assert command == ["evaluate", "own/best.safetensors"]
    best = max(float(line.split(",")[-1] or 0) for line in Path("own/log.csv").read_text().splitlines()[1:])
    scored = run(*command)
    assert miou(scored).startswith(f"mIoU {best:.2%}")
    assert following(scored)[:2] == ["predict", "own/best.safetensors"]
    assert "no mIoU above" in run("train", "--resume", "own").stdout


def test_a_run_has_pictures_and_so_has_one_that_is_stopped(trained, monkeypatch):
    own = Path("runs/own")
    assert {"curves.png", "confusion.png"} <= {file.name for file in own.iterdir()}
    shown = run("evaluate", own, "--confusion", "new/c.png").stdout
    assert (
        "Drawn: new/c.png" in shown and Path("new/c.png").read_bytes() == (own / "confusion.png").read_bytes()
    )

    class Asked(list):
        def __len__(self):
            return 1

    monkeypatch.setattr("dmnet.training.stop_request", lambda *_, **__: nullcontext(Asked([2])))
    command = ["train", "small_r18", "--data", "my photos", "--run", "stopped", *SMALL]
    assert "Go on with" in run(*command, code=130).stdout
    assert Path("stopped/curves.png").exists() and not Path("stopped/confusion.png").exists()


def test_slide_works_on_what_was_trained_on_crops_and_on_whole_images(trained):
    own = run("evaluate", "runs/own", "--protocol", "slide")
    assert miou(own) == miou(run("evaluate", "runs/own", "--window", 32))  # its crop
    image = next((trained / "my photos/images/val").iterdir())
    for system in ("runs/own", "demo_scale", "demo_context"):
        for window in ("20x31", 47, 999):
            run("predict", system, image, "--protocol", "slide", "--window", window, "--output", "out")
            with Image.open(f"out/{image.stem}_labels.png") as labels, Image.open(image) as picture:
                assert labels.size == picture.size


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_a_video_is_labelled_frame_by_frame(trained, monkeypatch, suffix):
    scenes = [image for image, *_ in worlds.DemoDataset("demo_scale", "test", size=3)]
    form = cv2.VideoWriter.fourcc(*("mp4v" if suffix == ".mp4" else "MJPG"))
    writer = cv2.VideoWriter(f"clip{suffix}", form, 5, (160, 160))
    for scene in scenes:
        writer.write(cv2.cvtColor(np.asarray(scene), cv2.COLOR_RGB2BGR))
    writer.release()
    assert "3 of 3 frames' labels" in run("predict", "demo_scale", f"clip{suffix}", "--output", "out").stdout
    video, model = cv2.VideoCapture(f"clip{suffix}"), dmnet.load_pretrained("demo_scale")
    for number in range(1, 4):
        wanted = dmnet.predict(model, cv2.cvtColor(video.read()[1], cv2.COLOR_BGR2RGB))
        with Image.open(f"out/clip/{number:06d}_labels.png") as labels:
            np.testing.assert_array_equal(labels, wanted)
    painted = cv2.VideoCapture("out/clip_overlay.mp4")
    assert (painted.get(cv2.CAP_PROP_FRAME_COUNT), painted.get(cv2.CAP_PROP_FPS)) == (3, 5)
    assert painted.read()[1].shape == (160, 160, 3)

    closed = Mock()  # as where OpenCV has no encoder
    closed.return_value.isOpened.return_value = False
    monkeypatch.setattr(cv2, "VideoWriter", closed)
    told = run("predict", "demo_scale", f"clip{suffix}", "--output", "new", code=2).stderr
    assert f"ffmpeg -i clip{suffix} frame" in told and not Path("new/clip_overlay.mp4").exists()


def test_a_video_that_cannot_be_decoded_is_told_and_the_rest_is_done(trained):
    Path("bad.mp4").write_bytes(b"no video" * 99)
    image = next((trained / "my photos/images/val").iterdir())
    told = run("predict", "runs/own", "bad.mp4", "nowhere.MOV", image, "--output", "out", code=2).stderr
    for name in ("bad.mp4", "nowhere.MOV"):
        assert f"{name} is missing, or OpenCV cannot decode it; try: ffmpeg -i {name} new.mp4" in told
    assert {file.name for file in Path("out").iterdir()} == {
        f"{image.stem}_{one}.png" for one in ("labels", "overlay")
    }


def test_the_lines_of_python_in_the_readme_do_the_same(here, monkeypatch):
    readme = (Path(__file__).parents[2] / "data" / "README.md").read_text("utf8")
    lines = next(part for part in readme.split("```python\n")[1:] if "load_pretrained" in part).split("```")[
        0
    ]
    shutil.move("my photos", "photos")
    shutil.copy(next(Path("photos/images/val").iterdir()), "new.png")
    tiny = {"iterations": 2, "batch_size": 2, "crop": (32, 32), "resize": (64, 32), "pretrained": False}
    tiny |= {"backbone": "tiny_resnet", "channels": 4, "fusion_channels": 8, "aux_channels": 4}
    train = dmnet.train
    monkeypatch.setattr(dmnet, "train", lambda *given, **options: train(*given, **(options | tiny)))
    found: dict = {}
    exec(lines.replace("new.jpg", "new.png"), found)
    assert found["labels"].shape == (160, 160) and Path("runs/photos/curves.png").exists()
    assert len(recipe_of("runs/photos")["class_weights"]) == 3


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
        if name == "demo_scale":
            assert len(load_data(name, "train")) > 4  # of which the command would draw and check every scene
        else:
            run("data", "check", name, code=2)
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
    assert "there is no image in empty" in run("predict", "runs/own", "empty", code=2).stderr


def test_what_is_not_predicted_is_named(trained):
    folder = trained / "my photos" / "images" / "val"
    (folder / "other.heic").write_bytes(b"?")
    shown = run("predict", "runs/own", folder)
    assert f"1 left out, not of a kind that is read: {folder / 'other.heic'}" in shown.stdout
    assert len(list((trained / "predictions").glob("*_labels.png"))) == 2
    refused = run("predict", "runs/own", folder, "--output", folder / "other.heic", code=2)
    assert "other.heic is a file, but --output is a folder" in refused.stderr


def test_a_run_whose_data_lie_elsewhere_says_what_to_give(trained, monkeypatch):
    monkeypatch.chdir(trained / "runs")
    shown = run("evaluate", "own", code=2)
    assert "my photos is no folder here, nor one of voc" in shown.stderr and "--data FOLDER" in shown.stderr
    assert "mIoU" in run("evaluate", "own", "--data", "../my photos").stdout
