"""Training: schedule, loss, sample stream, exact resume, run folders, bad data."""

import io
import itertools
import json
import math
import os
import re
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from test_tensorboard import shown

from dmnet import runs, systems
from dmnet.errors import DataError, DMNetError, DownloadError
from dmnet.files import shipped
from dmnet.losses import cross_entropy, segmentation_loss
from dmnet.model import DMNet, Output
from dmnet.sampling import TrainingSamples, training_batches
from dmnet.systems import Recipe
from dmnet.training import learning_rate, make_optimizer, memory_advice, resolve, total_iterations, train
from dmnet.transforms import TrainingTransform
from dmnet.upsampling import interpolation_matrix, upsample, upsample_grid
from dmnet.zoo import load_pretrained

ITERATIONS = 8
SMALL = {
    "iterations": ITERATIONS,
    "batch_size": 2,
    "warmup": 2,
    "channels": 4,
    "fusion_channels": 8,
    "aux_channels": 4,
    "dropout": 0.5,  # so that the random state matters
    "progress": False,
}


class Blocks:
    """Twelve images, 16 x 16, whose class is their colour."""

    classes = ("dark", "light", "red")
    palette = np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0]], np.uint8)
    name, split, ignore_index = "blocks", "train", 255

    def __init__(self, length: int = 12, wrong: int | None = None) -> None:
        self.length, self.wrong = length, wrong

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int):
        random = np.random.default_rng(index)
        mask = random.integers(0, 3, (2, 2)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
        image = np.array([[20, 20, 20], [230, 230, 230], [200, 30, 30]], np.uint8)[mask]
        mask[:1] = 255 if index != self.wrong else 77
        return image, mask, f"block{index}"


def weights(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_same_weights(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


# Schedule and optimizer


@given(st.integers(1, 5000), st.floats(0, 1, exclude_max=True))
def test_poly_schedule_is_the_formula(total, part):
    iteration = int(part * total)
    wanted = (0.01 - 1e-4) * (1 - iteration / total) ** 0.9 + 1e-4
    assert learning_rate(Recipe(), iteration, total) == pytest.approx(wanted, rel=1e-12)


def test_cosine_with_warm_up():
    recipe = systems.get("demo_scale").recipe
    rates = [learning_rate(recipe, t, 600) for t in range(600)]
    assert rates[0] == pytest.approx(3e-3 / 30, rel=1e-3)
    assert max(rates) == rates[29] == pytest.approx(3e-3 * (1 + math.cos(math.pi * 29 / 600)) / 2)
    assert rates[300] == pytest.approx(1.5e-3)
    assert 0 < rates[-1] < 1e-6
    assert rates[30:] == sorted(rates[30:], reverse=True)


def test_epochs_are_epochs_of_full_batches():
    assert total_iterations(Recipe(), 10_582) == 60 * 661
    assert total_iterations(replace(Recipe(), iterations=7), 10_582) == 7
    assert total_iterations(Recipe(epochs=3), 5) == 3  # fewer images than a batch


def test_optimizers_follow_the_recipe():
    layer = torch.nn.Conv2d(1, 1, 1)
    sgd = make_optimizer(layer, Recipe())
    assert isinstance(sgd, torch.optim.SGD)
    (group,) = sgd.param_groups
    assert (group["momentum"], group["weight_decay"], len(group["params"])) == (0.9, 5e-4, 2)
    assert not group["nesterov"] and group["dampening"] == 0
    adam = make_optimizer(layer, replace(Recipe(), optimizer="adamw"))
    assert isinstance(adam, torch.optim.AdamW) and adam.param_groups[0]["betas"] == (0.9, 0.99)


# Loss


@given(
    st.integers(1, 7),
    st.integers(1, 7),
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 5),
    st.booleans(),
)
def test_upsampling_a_grid_equals_upsampling_everything(h, w, height, width, stride, corners):
    logits = torch.randn(2, 3, h, w)
    full = upsample(logits, (height, width), corners)
    shift = ((stride - 1) % height, stride // 2 % width)
    wanted = full[..., shift[0] :: stride, shift[1] :: stride]
    torch.testing.assert_close(upsample_grid(logits, (height, width), shift, stride, corners), wanted)
    torch.testing.assert_close(interpolation_matrix(h, height, corners).sum(1), torch.ones(height))


def outputs_and_labels():
    torch.manual_seed(0)
    labels = torch.randint(0, 3, (2, 24, 20))
    labels[torch.rand(labels.shape) < 0.2] = 255
    output = Output(torch.randn(2, 3, 3, 3, requires_grad=True), torch.randn(2, 3, 6, 5, requires_grad=True))
    return output, labels


def test_with_stride_1_the_loss_is_pytorchs_cross_entropy():
    output, labels = outputs_and_labels()
    main, aux = (
        F.cross_entropy(F.interpolate(x, (24, 20), mode="bilinear"), labels, ignore_index=255) for x in output
    )
    loss = segmentation_loss(output, labels, Recipe())
    torch.testing.assert_close(torch.stack(list(loss)), torch.stack([main + 0.4 * aux, main, aux]))


def test_class_weights_are_pytorchs_weights():
    output, labels = outputs_and_labels()
    full = upsample(output.logits, (24, 20))
    for weights in ((0.4,), (0.4, 3.0), (0.4, 3.0, 0.0)):
        whole = torch.tensor([*weights, *[1.0] * (3 - len(weights))])
        wanted = F.cross_entropy(full, labels, whole, ignore_index=255)
        torch.testing.assert_close(cross_entropy(full, labels, weights), wanted)


def test_class_weights_that_fit_no_classes_are_refused_with_their_names(tmp_path):
    for weights in ((1.0, 1.0, 1.0, 2.0), (1.0, -0.5), [-1], (0, 0, 0)):
        with pytest.raises(DMNetError, match=r"class_weights are numbers from 0 on.*dark; light; red; got"):
            train("demo_scale", Blocks(), None, tmp_path / "run", class_weights=weights, **SMALL)
    with pytest.raises(DMNetError, match="class_weights must be a valid tuple, got 'balanced'"):
        resolve("demo_scale", Blocks(), class_weights="balanced")
    assert not (tmp_path / "run").exists()
    assert resolve("demo_scale", Blocks(), class_weights=[1, 0]).recipe.class_weights == (1, 0)


def test_a_weight_of_class_0_in_older_files_is_a_class_weight():
    assert load_pretrained(shipped("weights", "demo_scale.safetensors")).system.recipe.class_weights == (0.4,)


def test_strided_losses_average_to_the_whole():
    """Over all shifts every pixel has its turn: without void the mean of the 16 losses is the full loss."""
    output, labels = outputs_and_labels()
    labels = labels.clamp(max=2)
    recipe = replace(Recipe(), label_stride=4, aux_weight=0.0)
    by_value = set()
    for _ in range(300):
        by_value.add(round(segmentation_loss(output, labels, recipe).main.item(), 6))
    assert len(by_value) == 16
    wanted = segmentation_loss(output, labels, Recipe()).main.item()
    assert sum(by_value) / 16 == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("stride", [1, 4])
def test_a_batch_without_labels_gives_zero_and_no_nan(stride):
    output, labels = outputs_and_labels()
    loss = segmentation_loss(output, torch.full_like(labels, 255), replace(Recipe(), label_stride=stride))
    loss.total.backward()
    assert loss.total.item() == 0
    assert output.logits.grad is not None and not output.logits.grad.any()


# The sample stream


def stream(workers: int, start: int = 0, stop: int = 8, **changes):
    recipe = replace(Recipe(), resize=(32, 24), crop=(16, 16), batch_size=5, **changes)
    samples = TrainingSamples(Blocks(), TrainingTransform(recipe), recipe.batch_size, seed=3)
    return list(training_batches(samples, start, stop, workers))


def test_samples_do_not_depend_on_the_workers_nor_on_the_start():
    alone = stream(0)
    for others in (stream(2), stream(0, 0, 3) + stream(0, 3, 8)):
        for one, other in zip(alone, others, strict=True):
            assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1]) and one[2] == other[2]


def test_an_epoch_shows_no_image_twice_and_drops_the_incomplete_batch():
    names = [batch[2] for batch in stream(0)]  # 12 images in batches of 5: two batches an epoch
    epochs = [names[i] + names[i + 1] for i in range(0, 8, 2)]
    assert all(len(set(epoch)) == 10 for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_the_global_random_state_is_neither_read_nor_moved():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = stream(0, 0, 1)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    assert torch.equal(stream(0, 0, 1)[0][0], first[0][0])


@pytest.mark.parametrize("workers", [0, 1])
def test_a_wrong_label_is_named_without_a_traceback(workers):
    recipe = replace(Recipe(), resize=None, crop=None)
    samples = TrainingSamples(Blocks(wrong=7), TrainingTransform(recipe), 12, seed=0)
    with pytest.raises(DataError) as caught:
        list(training_batches(samples, 0, 1, workers))
    assert str(caught.value).startswith("block7: the mask has the label 77, but there are 3 classes")


def test_images_of_two_sizes_in_a_batch_ask_for_a_crop():
    class Mixed(Blocks):
        def __getitem__(self, index):
            image, mask, name = super().__getitem__(index)
            return image[: 16 - index % 2], mask[: 16 - index % 2], name

    samples = TrainingSamples(
        Mixed(), TrainingTransform(replace(Recipe(), resize=None, crop=None)), 12, seed=0
    )
    with pytest.raises(DataError, match="crop"):
        list(training_batches(samples, 0, 1))


# The loop


def test_it_learns(tmp_path):
    options = {"iterations": 60, "batch_size": 6, "channels": 16, "fusion_channels": 32, "dropout": 0.0}
    result = train("demo_scale", Blocks(), Blocks(), tmp_path, **(SMALL | options | {"learning_rate": 0.01}))
    assert result.history.loss.iloc[-5:].mean() < 0.3 * result.history.loss.iloc[:5].mean()
    assert result.matrix is not None and result.matrix.miou() > 0.8
    assert not result.model.training
    assert result.history.val_miou.iloc[-1] == pytest.approx(result.matrix.miou())


def test_the_same_seed_gives_the_same_weights_with_any_number_of_workers():
    one = train("demo_scale", Blocks(), **SMALL)
    assert_same_weights(weights(one.model), weights(train("demo_scale", Blocks(), workers=2, **SMALL).model))
    other = weights(train("demo_scale", Blocks(), seed=1, **SMALL).model)
    assert not torch.equal(other["head.classify.weight"], one.model.head.classify.weight)


def test_training_leaves_the_callers_random_state_alone():
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    train("demo_scale", Blocks(), **(SMALL | {"iterations": 1}))
    assert torch.equal(torch.rand(3), wanted)


def test_a_stopped_run_resumes_exactly(tmp_path):
    options = SMALL | {"evaluate_every": 2}
    whole = train("demo_context", Blocks(), Blocks(4), tmp_path / "whole", **options)
    folder = tmp_path / "parts"
    half = train("demo_context", Blocks(), Blocks(4), folder, stop_after=3, **options)
    assert len(half.history) == 3 and half.matrix is None
    parts = train("demo_context", Blocks(), Blocks(4), folder, resume=True, **options)
    assert_same_weights(weights(whole.model), weights(parts.model))
    columns = ["epoch", "lr", "loss", "aux_loss", "val_miou"]
    assert whole.history[columns].equals(parts.history[columns])
    again = train("demo_context", Blocks(), Blocks(4), folder, resume=True, **options)  # nothing left to do
    assert_same_weights(weights(whole.model), weights(again.model))
    np.testing.assert_array_equal(again.matrix.counts, whole.matrix.counts)


def test_a_killed_run_resumes_exactly(tmp_path):
    """SIGKILL in the middle of iteration 6, after the checkpoint of iteration 4 and two more log lines."""
    script = """
        import os, signal, sys
        sys.path.insert(0, sys.argv[1])
        import test_training as t
        t.torch.set_num_threads(1)
        class Deadly(t.Blocks):
            def __getitem__(self, index):
                log = os.path.join(sys.argv[2], "log.csv")
                if os.path.exists(log) and open(log).read().count("\\n") > 6:
                    with open(log, "a") as file:
                        file.write("7,0.5")  # half a line
                    os.kill(os.getpid(), signal.SIGKILL)
                return super().__getitem__(index)
        Deadly.__name__ = "Blocks"
        t.train("demo_scale", Deadly(), None, sys.argv[2], checkpoint_every=4, **t.SMALL)
    """
    folder, here = tmp_path / "run", os.path.dirname(__file__)
    command = [sys.executable, "-c", textwrap.dedent(script), here, str(folder)]
    killed = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (folder / "log.csv").read_text().endswith("7,0.5")
    assert torch.load(folder / "last.ckpt", weights_only=True)["iteration"] == 4
    resumed = train("demo_scale", Blocks(), None, folder, resume=True, **SMALL)
    whole = train("demo_scale", Blocks(), None, None, **SMALL)
    assert_same_weights(weights(whole.model), weights(resumed.model))
    assert resumed.history.loss.tolist() == whole.history.loss.tolist()
    assert resumed.history.index.tolist() == list(range(1, ITERATIONS + 1))
    assert len((folder / "log.csv").read_text().splitlines()) == ITERATIONS + 1


PATIENT = SMALL | {"iterations": 40, "evaluate_every": 1, "learning_rate": 0.05, "checkpoint_every": 2}
COLUMNS = ["lr", "loss", "val_miou"]


def test_it_stops_when_patience_ends(tmp_path, capsys):
    result = train("demo_scale", Blocks(), Blocks(4), tmp_path, patience=2, **(PATIENT | {"progress": True}))
    scores = result.history.val_miou
    end = scores.index[-1]
    assert 3 <= end < 40 and scores.idxmax() == end - 2
    assert f"stopped at iteration {end}/40: no mIoU above {scores.max():.2%} in 2 evaluations" in (
        capsys.readouterr().out
    )
    assert result.matrix.miou() == scores[end]
    best = train("demo_scale", Blocks(), Blocks(4), stop_after=end - 2, **PATIENT)
    assert_same_weights(weights(load_pretrained(tmp_path / "best.safetensors")), weights(best.model))


def test_without_more_patience_a_stopped_run_has_nothing_to_do(tmp_path):
    options = PATIENT | {"resume": True}
    first = train("demo_scale", Blocks(), Blocks(4), tmp_path / "run", patience=2, **options)
    again = train("demo_scale", Blocks(), Blocks(4), tmp_path / "run", patience=2, **options)
    assert_same_weights(weights(first.model), weights(again.model))
    assert len(again.history) == len(first.history)
    np.testing.assert_array_equal(first.matrix.counts, again.matrix.counts)
    more = train("demo_scale", Blocks(), Blocks(4), tmp_path / "run", patience=5, **options)
    whole = train("demo_scale", Blocks(), Blocks(4), patience=5, **PATIENT)
    assert len(more.history) > len(first.history)
    assert_same_weights(weights(whole.model), weights(more.model))
    assert whole.history[COLUMNS].equals(more.history[COLUMNS])


def test_patience_survives_a_kill(tmp_path):
    """SIGKILL after an evaluation that counts, two of them after the checkpoint."""
    script = """
        import os, signal, sys
        sys.path.insert(0, sys.argv[1])
        import test_training as t
        t.torch.set_num_threads(1)
        def deadly(history, matrix):
            if history.index[-1] == int(sys.argv[3]):
                os.kill(os.getpid(), signal.SIGKILL)
        options = t.PATIENT | {"checkpoint_every": 3}
        t.train("demo_scale", t.Blocks(), t.Blocks(4), sys.argv[2], patience=2, watch=deadly, **options)
    """
    whole = train("demo_scale", Blocks(), Blocks(4), patience=2, **PATIENT)
    end, folder = whole.history.index[-1], tmp_path / "run"
    command = [sys.executable, "-c", textwrap.dedent(script), os.path.dirname(__file__), str(folder)]
    killed = subprocess.run([*command, str(end - 1)], capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    resumed = train("demo_scale", Blocks(), Blocks(4), folder, patience=2, resume=True, **PATIENT)
    assert_same_weights(weights(whole.model), weights(resumed.model))
    assert whole.history[COLUMNS].equals(resumed.history[COLUMNS])


@pytest.mark.parametrize(
    ("val_set", "options"),
    [(None, {"evaluate_every": 1}), (Blocks(2), {}), (Blocks(2), {"evaluate_every": 1, "patience": 0})],
)
def test_patience_needs_evaluations(val_set, options, tmp_path):
    with pytest.raises(DMNetError, match=r"patience counts evaluations.*--evaluate-every"):
        train("demo_scale", Blocks(), val_set, tmp_path / "run", **(SMALL | {"patience": 2} | options))
    assert not (tmp_path / "run").exists()


def test_one_may_watch(tmp_path):
    seen = []
    options = SMALL | {"evaluate_every": 3, "checkpoint_every": 4}
    train("demo_scale", Blocks(), Blocks(4), watch=lambda *given: seen.append(given), **options)
    assert [(history.index[-1], matrix is not None) for history, matrix in seen] == [
        (3, True),
        (4, False),
        (6, True),
        (8, True),
    ]


def test_what_a_run_folder_holds(tmp_path):
    result = train("demo_scale", Blocks(), Blocks(3), tmp_path, evaluate_every=4, **SMALL)
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    (events,) = (name for name in files if name.startswith("tensorboard/events.out.tfevents."))
    assert files == {
        "config.json", "log.csv", "last.ckpt", "last.safetensors", "best.safetensors", "classes.csv",
        "predictions/000004.png", "predictions/000008.png", ".lock", "environment.json", events,
    }  # fmt: skip
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["system"]["recipe"]["iterations"] == ITERATIONS
    assert config["system"]["classes"] == list(Blocks.classes)
    assert config["train_set"]["images"] == 12 and config["options"] is None
    (session,) = json.loads((tmp_path / "environment.json").read_text())
    assert session["iteration"] == 0 and session["torch"] == torch.__version__
    values = shown(tmp_path / "tensorboard")
    tags = {"loss", "loss/auxiliary", "learning_rate", "images_per_second", "mIoU/val"}
    assert {tag for tag, step in values if step == 4} == tags
    assert [values["loss", step][0] for step in range(1, ITERATIONS + 1)] == pytest.approx(
        result.history.loss
    )
    assert session["device"] == "cpu" and session["precision"] == "32-true" and session["world_size"] == 1
    loaded = load_pretrained(tmp_path / "last.safetensors")
    assert_same_weights(weights(loaded), weights(result.model))
    assert loaded.system == replace(result.model.system, weights=None)


def test_a_run_with_another_configuration_is_not_overwritten(tmp_path):
    train("demo_scale", Blocks(), None, tmp_path, **SMALL)
    before = (tmp_path / "last.ckpt").read_bytes()
    for options, words in (
        (SMALL, "holds this very run"),
        (SMALL | {"learning_rate": 1e-4}, r"learning_rate: 0.003 there, 0.0001 here"),
        (SMALL | {"learning_rate": 1e-4, "resume": True}, "another configuration"),
        (SMALL | {"seed": 1, "resume": True}, "seed: 0 there, 1 here"),
    ):
        with pytest.raises(DMNetError, match=words):
            train("demo_scale", Blocks(), None, tmp_path, **options)
    assert (tmp_path / "last.ckpt").read_bytes() == before


def test_a_damaged_checkpoint_is_named(tmp_path):
    train("demo_scale", Blocks(), None, tmp_path, stop_after=2, **SMALL)
    checkpoint = tmp_path / "last.ckpt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(DMNetError, match=r"last\.ckpt is damaged"):
        train("demo_scale", Blocks(), None, tmp_path, resume=True, **SMALL)


def test_a_full_disk_while_saving_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    train("demo_scale", Blocks(), None, tmp_path, stop_after=2, **SMALL)
    before = (tmp_path / "last.ckpt").read_bytes()

    def full(state, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space left"):
        train("demo_scale", Blocks(), None, tmp_path, resume=True, **SMALL)
    assert (tmp_path / "last.ckpt").read_bytes() == before
    monkeypatch.undo()
    resumed = train("demo_scale", Blocks(), None, tmp_path, resume=True, **SMALL)
    assert_same_weights(weights(resumed.model), weights(train("demo_scale", Blocks(), **SMALL).model))


def test_a_loss_that_is_no_number_stops_with_its_images(tmp_path):
    with pytest.raises(
        DMNetError, match=r"loss became (nan|inf) at iteration \d+ \(images block\d+, block\d+\)"
    ):
        train("demo_scale", Blocks(), None, tmp_path, **(SMALL | {"learning_rate": 1e30, "optimizer": "sgd"}))


def test_bad_data_stops_before_the_run_starts(tmp_path):
    class Others(Blocks):
        classes = ("a", "b", "c")

    for train_set, val_set, words in (
        (Blocks(0), None, "training set is empty"),
        (Blocks(), Blocks(0), "validation set is empty"),
        (Blocks(), Others(), "validation set's classes"),
    ):
        with pytest.raises(DataError, match=words):
            train("demo_scale", train_set, val_set, tmp_path / "run", **SMALL)
    assert not (tmp_path / "run").exists()


def test_settings_go_where_they_belong_and_unknown_ones_are_refused():
    system = resolve("ssseg_r50_d8_voc", Blocks(), iterations=5, filter_sizes=(3,), learning_rate=0.5)
    assert (
        system.recipe.iterations == 5 and system.recipe.epochs is None and system.recipe.learning_rate == 0.5
    )
    assert system.architecture.filter_sizes == (3,) and system.architecture.num_classes == 3
    assert system.classes == Blocks.classes
    assert resolve("demo_scale", Blocks(), epochs=2).recipe.iterations is None
    with pytest.raises(DMNetError, match=r"'learning_rte'\. Did you mean 'learning_rate'"):
        resolve("demo_scale", Blocks(), learning_rte=0.1)
    with pytest.raises(DMNetError, match="'abacus:0' cannot be used"):
        train("demo_scale", Blocks(), device="abacus:0", **SMALL)


def test_without_imagenet_weights_the_message_says_how_to_go_on(tmp_path, monkeypatch):
    def unreachable(*arguments):
        raise DownloadError("no network.")

    monkeypatch.setattr("dmnet.zoo.pretrained.download", unreachable)
    small = SMALL | {"resize": None, "crop": None, "iterations": 1}
    with pytest.raises(DownloadError, match=r"(?s)no network\..*--no-pretrained"):
        train("small_r18", Blocks(), None, tmp_path, **small)
    train("small_r18", Blocks(), None, tmp_path, pretrained=False, **small)  # the folder isn't lost


def test_without_progress_nothing_is_said_to_somebody_who_looks(capsys, monkeypatch):
    monkeypatch.setattr("dmnet.training.interactive", lambda: True)
    options = SMALL | {"iterations": 1}
    train("demo_scale", Blocks(), **(options | {"progress": True}))
    assert "0/1" in capsys.readouterr().err
    train("demo_scale", Blocks(), **options)
    assert capsys.readouterr().err == ""


def slow_steps(monkeypatch, seconds):
    """Let the training loop's clock go on by so much whenever it is read: twice a step."""
    clock = itertools.count(step=seconds)
    monkeypatch.setattr("dmnet.training.time", SimpleNamespace(perf_counter=lambda: next(clock)))


@pytest.mark.parametrize(("seconds", "first"), [(10, "02:50 left"), (400, "1:53:20 left; less with --quick")])
def test_where_nobody_looks_there_is_an_estimate_and_a_line_a_minute(capsys, monkeypatch, seconds, first):
    slow_steps(monkeypatch, seconds)
    train("demo_scale", Blocks(), **(SMALL | {"progress": True, "iterations": 20}))
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition("  ")[0] for line in lines if line.endswith(f"  {first}")] == ["iteration 3/20"]
    assert lines[-1].startswith("iteration 20/20  loss ") and lines[-1].endswith("  00:00 left")
    told = [int(re.match(r"iteration (\d+)/20", line)[1]) for line in lines]
    assert set(np.diff([0, *told])) <= set(range(1, max(60 // (2 * seconds), 1) + 1))


def test_a_short_training_is_one_line_where_nobody_looks(capsys):
    train("demo_scale", Blocks(), **(SMALL | {"progress": True, "iterations": 20}))
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("iteration 20/20  loss ")


def test_the_estimate_stands_above_a_bar_too(capsys, monkeypatch):
    monkeypatch.setattr("dmnet.training.interactive", lambda: True)
    slow_steps(monkeypatch, 30)
    train("demo_scale", Blocks(), **(SMALL | {"progress": True, "iterations": 5}))
    assert re.fullmatch(r"iteration 3/5  loss \d\.\d+  01:00 left\n", capsys.readouterr().out)


def test_resize_holds_for_training_and_evaluation():
    system = resolve("small_r18", Blocks(), resize=(240, 180))
    assert system.recipe.resize == system.evaluation.resize == (240, 180)
    assert resolve("small_r18", Blocks()).evaluation.resize == (2048, 512)


def test_a_window_that_slides_is_of_the_size_that_is_trained_on():
    slides = resolve("mmseg_r50_d8_cityscapes_769x769_40k", Blocks(), crop=(128, 96)).evaluation
    assert (slides.window, slides.window_stride) == ((128, 96), (85, 64))
    own = {"crop": (128, 96), "evaluation.window": (64, 64), "evaluation.window_stride": (32, 32)}
    assert resolve("mmseg_r50_d8_cityscapes_769x769_40k", Blocks(), **own).evaluation.window == (64, 64)
    assert resolve("small_r18", Blocks(), crop=(128, 96)).evaluation.window is None


def test_how_it_is_evaluated_can_be_set_too():
    changes = {"evaluation.flip": True, "evaluation.resize": (96, 48), "flip": 0.25, "resize": (64, 32)}
    system = resolve("ssseg_r50_d8_voc", Blocks(), **changes)
    assert (system.evaluation.flip, system.evaluation.resize) == (True, (96, 48))
    assert (system.recipe.flip, system.recipe.resize) == (0.25, (64, 32))
    with pytest.raises(DMNetError, match=r"'window'\. Did you mean 'evaluation\.window'"):
        resolve("ssseg_r50_d8_voc", Blocks(), window=(8, 8))
    with pytest.raises(DMNetError, match="average must be 'logits' or 'softmax'"):
        resolve("ssseg_r50_d8_voc", Blocks(), **{"evaluation.average": "mean"})


def test_a_disk_that_pytorch_finds_full_is_an_os_error_that_names_the_file(tmp_path, monkeypatch):
    def full(state, path):
        path.write_bytes(b"half")
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match=r"last\.ckpt could not be written, is the disk full"):
        train("demo_scale", Blocks(), None, tmp_path, **SMALL)
    assert not list(tmp_path.glob("*.ckpt")) and not list(tmp_path.glob(".*.tmp*"))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's /dev/full")
def test_a_log_on_a_full_disk_is_named():
    run = runs.Run()
    with (
        Path("/dev/full").open("wb", buffering=0) as run._log,
        pytest.raises(OSError, match=r"No space left.*/dev/full"),
    ):
        run.log({"iteration": 1})


def test_what_a_run_cannot_go_on_from_is_named(tmp_path):
    train("demo_scale", Blocks(), None, tmp_path, stop_after=2, **SMALL)
    checkpoint, config = tmp_path / "last.ckpt", tmp_path / "config.json"

    def refused(words):
        with pytest.raises(DMNetError, match=words):
            train("demo_scale", Blocks(), None, tmp_path, resume=True, **SMALL)

    state = checkpoint.read_bytes()
    torch.save({"something": 1}, checkpoint)
    refused(r"last\.ckpt is damaged, or no checkpoint of a run")
    weights = torch.load(io.BytesIO(state), weights_only=True)["model"]
    at = state.index(weights["head.classify.weight"].numpy().tobytes()[:64])
    checkpoint.write_bytes(state[:at] + bytes([state[at] ^ 4]) + state[at + 1 :])  # one bit of a weight
    refused(r"last\.ckpt is damaged")
    checkpoint.write_bytes(state)
    config.unlink()
    refused(r"has no config\.json")


def test_another_number_of_classes_than_the_datas_is_refused_at_once():
    with pytest.raises(DMNetError, match="num_classes is 9, but the data set has 3"):
        resolve("demo_scale", Blocks(), num_classes=9)
    assert resolve("demo_scale", Blocks(), num_classes=3).architecture.num_classes == 3


@pytest.mark.parametrize(
    ("batch_size", "accumulate", "advice"),
    [
        (
            4,
            1,
            r"4 images of 32 x 32 at once: try accumulate=2 \(--accumulate\), 2 at once, or the precision",
        ),
        (4, 2, r"2 images of 32 x 32 at once: try accumulate=4 \(--accumulate\), 1 at once"),
        (6, 2, r"3 images of 32 x 32 at once: try accumulate=6 \(--accumulate\), 1 at once"),
        (1, 1, r"1 images of 32 x 32 at once: try a smaller crop, or the precision bf16-mixed"),
    ],
)
@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: can't allocate memory"),
    ],
    ids=["GPU", "CPU"],
)
def test_too_little_memory_is_told_with_the_batch_to_try(
    error, batch_size, accumulate, advice, tmp_path, monkeypatch
):
    def full(*given):
        raise error

    settings = SMALL | {"batch_size": batch_size, "accumulate": accumulate, "crop": (32, 32)}
    monkeypatch.setattr(DMNet, "forward", full)
    with pytest.raises(DMNetError, match=advice):
        train("demo_scale", Blocks(), None, tmp_path, **settings)
    if batch_size > 1:  # what was advised is accepted, and goes on in the same folder
        monkeypatch.undo()
        advised = settings | {"accumulate": int(advice.partition("accumulate=")[2][0])}
        result = train("demo_scale", Blocks(), None, tmp_path, resume=True, **advised)
        assert len(result.history) == SMALL["iterations"]


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match="shapes"), memory_advice(torch.zeros(1, 3, 2, 2), 1):
        raise RuntimeError("shapes differ")


def test_two_processes_cannot_train_in_one_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "LOCK_SECONDS", 0.1)
    other = FileLock(tmp_path / ".lock")
    with other, pytest.raises(DMNetError, match="another process is training"):
        train("demo_scale", Blocks(), run_dir=tmp_path, **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    train("demo_scale", Blocks(), run_dir=tmp_path, **SMALL)  # the lock is free again
    with pytest.raises(DMNetError, match="this very run"):  # and is given back after an error
        train("demo_scale", Blocks(), run_dir=tmp_path, **SMALL)
    train("demo_scale", Blocks(), run_dir=tmp_path, resume=True, **SMALL)
