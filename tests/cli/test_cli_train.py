"""`dmnet train`: every published system is one command; a run's folder is enough to go on."""

import json
import shutil
import sys
import warnings
from dataclasses import asdict

import pytest
import torch.distributed.run
from typer.testing import CliRunner

from dmnet import systems, worlds
from dmnet.cli import application

TINY = ["backbone=tiny_resnet", "channels=4", "fusion_channels=8", "aux_channels=4", "resize=(64,32)"]
SMALL = ["--iterations", "2", "--batch-size", "2", "--crop", "32", "--no-pretrained"]
SMALL += [word for setting in TINY for word in ("--set", setting)]


def run(*arguments, code=0):
    result = CliRunner().invoke(application(), [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    """A folder for each of the three data sets, as they lie on disk, with drawn scenes in it."""
    folder = tmp_path_factory.mktemp("roots")
    splits = [
        worlds.DemoDataset("demo_scale", split, size=size, seed=5)
        for split, size in (("train", 3), ("val", 1))
    ]
    for name in ("voc", "ade20k", "cityscapes"):
        worlds.write_layout(splits, folder / name, name)
        (folder / name / "classes.txt").unlink()  # the published classes, then
    voc = folder / "voc"
    shutil.copytree(voc / "SegmentationClass", voc / "SegmentationClassAug")
    lists = voc / "ImageSets" / "Segmentation"
    shutil.copy(lists / "train.txt", lists / "trainaug.txt")
    return folder


@pytest.mark.few(8)
@pytest.mark.parametrize("name", [name for name in systems.names() if systems.get(name).published])
@pytest.mark.filterwarnings("ignore::UserWarning")  # three drawn scenes are no data set of 150 classes
def test_every_published_system_is_one_command(name, roots, tmp_path):
    system = systems.get(name)
    run("train", name, "--run", tmp_path, "--data-root", roots / system.dataset, *SMALL)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["train_set"]["split"] == {"voc": "trainaug"}.get(system.dataset, "train")
    assert config["system"]["classes"] == list(system.classes)
    published = json.loads(json.dumps(asdict(system.recipe)))
    changed = {key for key, value in config["system"]["recipe"].items() if value != published[key]}
    assert changed <= {"iterations", "epochs", "batch_size", "crop", "pretrained", "resize"}
    assert (tmp_path / "classes.csv").exists()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_folder_is_enough_to_go_on(roots, tmp_path):
    folder = tmp_path / "run"
    command = ["train", "ssseg_r50_d8_voc", "--run", folder, "--data-root", roots / "voc", *SMALL]
    run(*command, "--seed", 4, "--accumulate", 2, "--val-split", "none")
    (folder / "last.safetensors").unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run("train", "--resume", folder)
    assert (folder / "last.safetensors").exists()
    sessions = json.loads((folder / "environment.json").read_text())
    assert [session["accumulate"] for session in sessions] == [2, 2]
    run("train", folder, "--resume", "--accumulate", 1)  # what is given again is taken
    assert json.loads((folder / "environment.json").read_text())[-1]["accumulate"] == 1
    assert "seed: 4 there, 5 here" in run("train", "--resume", folder, "--seed", 5, code=2).stderr


def test_a_folder_without_a_run_is_named(tmp_path):
    assert "it has no config.json" in run("train", "--resume", tmp_path / "none", code=2).stderr
    (tmp_path / "config.json").write_text("{}")
    assert "resume it from Python" in run("train", "--resume", tmp_path, code=2).stderr
    assert "--run FOLDER" in run("train", "demo_scale", code=2).stderr


def test_torchrun_leaves_the_arguments_alone():
    words = ["-m", "--", "dmnet", "train", "demo_scale", "--run", "there", "--resume"]
    started = torch.distributed.run.parse_args(["--nnodes", "2", "--nproc-per-node", "4", *words])
    assert started.module and started.training_script == "dmnet"
    assert started.training_script_args == words[3:]


def test_help_tells_of_several_machines():
    said = run("train", "--help").stdout
    assert "tools/slurm_train.sh" in said and "torchrun" in said and "--precision" in said


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's /sys")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_folder_that_cannot_be_written_is_one_line(roots, capsys):
    data = ("--data-root", roots / "voc")
    printed = run("train", "ssseg_r50_d8_voc", "--run", "/sys/dmnet", *data, *SMALL, code=2).output
    printed += capsys.readouterr().err
    assert "Error: " in printed and "/sys/dmnet" in printed and "Traceback" not in printed
