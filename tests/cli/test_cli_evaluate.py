"""`dmnet evaluate`, `predict` with other protocols and `submit`, on small inputs."""

import os
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from test_cli import run

from dmnet import datasets, inference, systems, worlds
from dmnet.benchmark import scores
from dmnet.checkpoints import save_weights
from dmnet.cli._shared import print_scores
from dmnet.metrics import ConfusionMatrix
from dmnet.model import build_model
from dmnet.zoo import load_pretrained


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Two drawn scenes, laid out as ADE20K."""
    root = tmp_path_factory.mktemp("world") / "ade"
    drawn = worlds.DemoDataset("demo_scale", "val", size=2, seed=77)
    return worlds.write_layout(drawn, root, layout="ade20k")


def miou(output: str) -> str:
    return next(line for line in output.splitlines() if line.startswith("mIoU"))


def expected(world, **settings) -> str:
    model = load_pretrained("demo_scale")
    how = systems.protocol(model.system, **settings)
    matrix = inference.evaluate(model, datasets.load("ade20k", world, "val"), protocol=how)
    return f"mIoU {matrix.miou():.2%}, pixel accuracy {matrix.pixel_accuracy():.2%}"


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ((), {}),
        (("--protocol", "ms+flip"), {"name": "ms+flip"}),
        (("--window", "96x80", "--stride", "48"), {"window": (96, 80), "stride": (48, 48)}),
        (("--scales", "0.5,1", "--flip"), {"scales": (0.5, 1.0), "flip": True}),
        (("--protocol", "ms+flip", "--no-flip"), {"name": "ms+flip", "flip": False}),
    ],
)
def test_evaluate_by_other_protocols(world, options, settings):
    shown = run("evaluate", "demo_scale", "--data", "ade20k", "--data-root", world, *options).stdout
    assert miou(shown) == expected(world, **settings)
    assert "images/s" in shown


def test_a_precision_that_the_device_lacks_is_named(world):
    result = run(
        "evaluate", "demo_scale", "--data", "ade20k", "--data-root", world, "--precision", "fp16", code=2
    )
    assert "precision on cpu is one of fp32, bf16, not 'fp16'" in result.stderr.replace("\n", " ")


def test_evaluate_can_tell_more(world, tmp_path):
    more = ("--boundaries", "--sizes", "--workers", 1, "--batch-size", 2, "--output", tmp_path / "scores.csv")
    more += ("--precision", "bf16")
    shown = run("evaluate", "demo_scale", "--data", "ade20k", "--data-root", world, *more).stdout
    for words in ("boundary IoU", "within 4 px", "recall", "no object"):
        assert words in shown
    table = pd.read_csv(tmp_path / "scores.csv", index_col="class")
    assert table.index.tolist() == list(systems.get("demo_scale").classes)


def test_every_zero_and_every_nan_is_explained(capsys):
    matrix = ConfusionMatrix(5)
    matrix.counts[:3] = [[99_999_000, 1000, 0, 0, 1000], [500, 0, 0, 0, 0], [70, 0, 1, 0, 9_999_999]]
    print_scores(matrix, ("sky", "sea", "[land]", "moon", "sun"))
    table, _, reasons = capsys.readouterr().out.partition("Why an IoU is 0 or NaN:\n")
    scores = {line.split()[0]: line.split()[1:] for line in table.splitlines()}
    assert scores["[land]"] == ["<0.01", "<0.01", "100.00"]  # little is not nothing, so it has no reason
    assert scores["sea"][0] == scores["sun"][0] == "0.00" and scores["moon"][0] == "NaN"
    assert [line.split(" (")[0] for line in reasons.splitlines()] == [
        "  sea: predicted in 1,000 pixels, always wrong",
        "  moon: absent from the labels: not counted",
        "  sun: absent from the labels, but predicted in 10,000,999 pixels",
    ]


def test_reasons_are_printed_by_the_command(world, tmp_path):
    """A network that has learned nothing says one class everywhere, or nearly."""
    save_weights(build_model("demo_scale"), tmp_path / "random.safetensors")
    shown = run("evaluate", tmp_path / "random.safetensors", "--data", world).stdout
    zeros = [line for line in shown.splitlines() if line.split()[-3:-2] in (["0.00"], ["NaN"])]
    assert "Why an IoU is 0 or NaN:\n  " in shown and len(zeros) == shown.count("\n  ") > 0


@pytest.mark.slow
def test_processes_of_torchrun_share_the_images_and_one_speaks(world, tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    command += ["--", "dmnet", "evaluate", "demo_scale", "--data", "ade20k", "--data-root", str(world)]
    command += ["--output", str(tmp_path / "scores.csv")]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.count("mIoU") == 1 and miou(done.stdout) == expected(world)
    assert pd.read_csv(tmp_path / "scores.csv").shape[0] == 7


def test_all_under_torchrun_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "start it without torchrun" in run("evaluate", "--all", code=2).stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "name a system"),
        (("demo_scale", "--all"), "--all"),
        (("--all", "--protocol", "whole"), "--all"),
        (("--all", "--precision", "bf16"), "--all"),
        (("--all", "--data", "nowhere"), "no trained system"),
        (("demo_scale", "--protocol", "twice"), "no protocol 'twice'"),
        (("demo_scale", "--window", "wide"), "HEIGHTxWIDTH"),
        (("demo_scale", "--confusion", "c.txt"), "c.txt should end in `.png`"),
        (("demo_scale", "--confusion", "."), ". should end in `.png`"),
        (("--all", "--confusion", "c.png"), "--all"),
        (("demo_scale", "--scales", "1;2"), "commas"),
        (("demo_scale", "--stride", "9"), "belong together"),
        (("demo_scale", "--protocol", "slide"), "give the window"),
    ],
)
def test_mistakes_are_one_line(arguments, words):
    result = run("evaluate", *arguments, code=2)
    assert words in result.stderr and "Traceback" not in result.output


def test_all_without_data_says_what_is_missing(tmp_path):
    nowhere = ("--data-root", tmp_path / "nothing", "--output", tmp_path / "results")
    result = run("evaluate", "--all", "--data", "voc", *nowhere, code=2)
    assert result.stdout.count("PASCAL VOC 2012 was not found") == 1
    assert "4 could not be scored" in result.stdout
    line = next(line for line in result.stdout.splitlines() if line.startswith("ssseg_r50_d8_voc "))
    assert line.split() == ["ssseg_r50_d8_voc", "single", "77.38", "NaN", "NaN"]
    assert result.stdout.count("told above") == 3
    voc = scores.read("voc", tmp_path / "results")
    assert len(voc) == 4 and voc["measured"].isna().all()


@pytest.mark.slow
def test_all_from_a_shell(tmp_path):
    """The command as it is typed, without anything replaced: a drawn set and the weights that are shipped."""
    words = ["evaluate", "--all", "--data", "demo_scale", "--output", str(tmp_path)]
    command, one_thread = [sys.executable, "-m", "dmnet", *words], os.environ | {"OMP_NUM_THREADS": "1"}
    first = subprocess.run(command, env=one_thread, capture_output=True, text=True, check=True).stdout
    second = run(*words).stdout
    assert first.startswith("demo_scale, single: mIoU 92.8") and "measured before" not in first
    assert second.startswith("demo_scale, single: mIoU 92.8") and "measured before" in second
    assert (tmp_path / "scores_demo_scale.csv").exists()


def test_predict_by_another_protocol(tmp_path):
    scene = worlds.DemoDataset("demo_scale", "val", size=1, seed=77)[0][0]
    Image.fromarray(scene).save(tmp_path / "scene.png")
    command = ("predict", "demo_scale", tmp_path / "scene.png", "--output", tmp_path)
    model = load_pretrained("demo_scale")
    found = {}
    for name in ("published", "ms+flip"):
        run(*command, "--protocol", name)
        found[name] = np.array(Image.open(tmp_path / "scene_labels.png"))
        wanted = inference.predict(model, scene, protocol=systems.protocol(model.system, name))
        np.testing.assert_array_equal(found[name], wanted)
    assert (found["published"] != found["ms+flip"]).any()


def test_submit(world, tmp_path):
    command = ("submit", "demo_scale", "--data", "ade20k", "--data-root", world, "--split", "val")
    shown = run(*command, "--output", tmp_path / "out").stdout
    assert "2 label maps" in shown
    with zipfile.ZipFile(tmp_path / "out" / "ade20k.zip") as archive:
        assert archive.namelist() == ["val_00000.png", "val_00001.png"]
    refused = run("submit", "demo_scale", "--output", tmp_path / "x", code=2)
    assert "no server for demo_scale" in refused.stderr and "cityscapes" in refused.stderr


def test_a_file_that_names_no_system(tmp_path):
    model = build_model("demo_scale")
    model.system = None
    save_weights(model, tmp_path / "own.safetensors")
    assert "give --data" in run("evaluate", tmp_path / "own.safetensors", code=2).stderr
