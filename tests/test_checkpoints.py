"""Our own weight files: read, loaded strictly, saved; and all that can be wrong with a file."""

# ruff: noqa: F811 (fixtures that come from another file are arguments too)

import contextlib
import multiprocessing
import os
import random
import re
import signal
import sys
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_weights import State, assert_same, copy_of, model, origin, refused, save_as, small_model  # noqa: F401

from dmnet import checkpoints, systems
from dmnet.checkpoints import load_weights, save_weights
from dmnet.download import sha256_of
from dmnet.errors import CheckpointError
from dmnet.model import DMNet, build_model
from dmnet.zoo.pretrained import load_pretrained, read_weights


def load(model: DMNet, path: Path) -> None:
    """Load a file under our own names."""
    load_weights(model, read_weights(path).tensors, path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_float_types_are_converted(
    dtype: torch.dtype, origin: State, model: DMNet, tmp_path: Path
) -> None:
    state = {name: t.to(dtype) if t.is_floating_point() else t.int() for name, t in origin.items()}
    load(model, save_as(state, tmp_path / "half.pth", "zip"))
    for name, tensor in model.state_dict().items():
        assert tensor.dtype == origin[name].dtype
        assert torch.equal(tensor, state[name].to(tensor.dtype))


def test_the_model_outlives_the_file(origin: State, model: DMNet, tmp_path: Path) -> None:
    path = save_as(origin, tmp_path / "mapped.pth", "zip")
    load(model, path)
    path.write_bytes(b"gone")
    assert_same(copy_of(model), origin)


# Files that don't ----------------------------------------------------------------------------------------


NO_CHECKPOINT = "is missing, cut off, damaged or no checkpoint"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<!DOCTYPE html><html>Sign in</html>",
        b"\n<html>",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n",
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"x",
        b"PK\x03\x04" + bytes(100),
        b"12345678{",
    ],
    ids=["empty", "page", "page2", "lfs", "png", "letter", "zip", "safetensors"],
)
def test_files_of_another_kind(content: bytes, refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(content)
    refused(tmp_path / "weights.pth", NO_CHECKPOINT)


def test_missing_files_and_folders(refused: Callable[..., str], tmp_path: Path) -> None:
    refused(tmp_path / "none.pth", NO_CHECKPOINT, "No such file")
    refused(tmp_path, NO_CHECKPOINT)


@pytest.mark.filterwarnings("ignore:Validating sparse tensor invariants")
@pytest.mark.parametrize("container", ["zip", "legacy"])
@pytest.mark.parametrize(
    "content",
    [
        [1, 2],
        torch.ones(2),
        {},
        {"model": {}},
        {"epoch": 3},
        {"state_dict": {1: torch.ones(2)}},
        {"model": {"head.classify.bias": torch.eye(2).to_sparse()}},
    ],
    ids=["list", "tensor", "nothing", "no weights", "number", "odd name", "sparse"],
)
def test_pickles_of_other_things(
    content: Any, container: str, refused: Callable[..., str], tmp_path: Path
) -> None:
    refused(save_as(content, tmp_path / "weights.pth", container), "it needs tensors by name")


@settings(max_examples=40)
@given(
    fraction=st.floats(0, 1, exclude_max=True), container=st.sampled_from(["zip", "legacy", "safetensors"])
)
def test_a_cut_file_never_loads(
    fraction: float, container: str, tmp_path_factory: Any, origin: State
) -> None:
    path = tmp_path_factory.mktemp("cut") / "weights"
    whole = save_as(origin, path, container).read_bytes()
    path.write_bytes(whole[: int(len(whole) * fraction)])
    model = small_model(2)
    with pytest.raises(CheckpointError, match=re.escape(str(path))):
        load(model, path)
    assert_same(copy_of(model), copy_of(small_model(2)))


@pytest.mark.parametrize("container", ["zip", "legacy", "safetensors"])
def test_damage_never_ends_in_another_error(
    container: str, origin: State, model: DMNet, tmp_path: Path
) -> None:
    whole = save_as(origin, tmp_path / "whole", container).read_bytes()
    rng = random.Random(0)
    for _ in range(40):
        damaged = bytearray(whole)
        for _ in range(3):
            damaged[rng.randrange(min(len(whole), 20_000)) * rng.choice([1, -1])] = rng.randrange(256)
        (tmp_path / "damaged").write_bytes(damaged)
        with contextlib.suppress(CheckpointError):  # harmless damage, in a number, may load
            load(model, tmp_path / "damaged")


# Files that want to run code -----------------------------------------------------------------------------


class Runs:
    """Unpickling one of these runs a command."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("container", ["zip", "legacy"])
def test_code_in_a_file_is_not_run(
    container: str, origin: State, refused: Callable[..., str], tmp_path: Path
) -> None:
    content = {"model": origin, "extra": Runs(tmp_path / "ran")}
    message = refused(save_as(content, tmp_path / "weights.pth", container), "posix.mkdir", "could run code")
    assert not (tmp_path / "ran").exists()
    assert "weights_only=False" in message


@pytest.fixture
def history(monkeypatch: pytest.MonkeyPatch) -> type:
    """A class like the one in training files of newer mmseg versions."""

    class HistoryBuffer:
        pass

    name = "mmengine.logging.history_buffer"
    HistoryBuffer.__module__, HistoryBuffer.__qualname__ = name, "HistoryBuffer"
    for part in ("mmengine", "mmengine.logging", name):
        monkeypatch.setitem(sys.modules, part, types.ModuleType(part))
    sys.modules[name].HistoryBuffer = HistoryBuffer  # type: ignore[attr-defined]
    return HistoryBuffer


@pytest.mark.parametrize("container", ["zip", "legacy"])
@pytest.mark.parametrize("key", ["model", "state_dict"])
def test_the_remedy_for_files_with_more_than_weights_works(
    key: str,
    container: str,
    history: type,
    origin: State,
    refused: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = {key: origin, "message_hub": {"loss": history()}}
    path = save_as(content, tmp_path / "it's.pth", container)
    message = refused(path, "a mmengine.logging.history_buffer.HistoryBuffer")
    commands = [line.strip() for line in message.splitlines() if line.startswith("    ")]
    assert len(commands) == 2
    monkeypatch.chdir(tmp_path)
    exec("\n".join(commands), {"torch": torch})
    other = small_model(3)
    load(other, tmp_path / "weights.pth")
    assert_same(copy_of(other), origin)


def test_numpy_scalars_are_named_too(origin: State, refused: Callable[..., str], tmp_path: Path) -> None:
    content = {"meta": {"best_mIoU": np.float64(0.5)}, "state_dict": origin}
    refused(save_as(content, tmp_path / "iter.pth", "zip"), "multiarray.scalar")


# Weights of another network ------------------------------------------------------------------------------


def changed(state: State, *, drop: str = "", **new: torch.Tensor) -> State:
    return {name: t for name, t in state.items() if not (drop and name.startswith(drop))} | new


def test_lost_tensors_are_named(origin: State, refused: Callable[..., str], tmp_path: Path) -> None:
    state = changed(origin, drop="backbone.layer1.conv")
    path = save_as({"model": state}, tmp_path / "w", "zip")
    refused(path, "3 missing: backbone.layer1.conv1.weight; backbone.layer1.conv2.weight")


def test_unexpected_tensors_are_named(origin: State, refused: Any, tmp_path: Path) -> None:
    more = {f"extra.{i}": torch.ones(1) for i in range(5)}
    path = save_as({"state_dict": changed(origin, **more)}, tmp_path / "w", "zip")
    refused(path, "5 unexpected: extra.0; extra.1; extra.2 and 2 more")


def test_misshapen_tensors_are_named_with_both_shapes(origin: State, refused: Any, tmp_path: Path) -> None:
    state = changed(origin, **{"backbone.stem.0.weight": torch.ones(16, 3, 5, 5)})
    path = save_as(state, tmp_path / "w", "zip")
    shapes = "float32 [16, 3, 5, 5] in the file, float32 [16, 3, 3, 3] in the model"
    refused(path, "1 of another shape or type", f"backbone.stem.0.weight is {shapes}")


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_a_weight_must_be_a_real_number(
    dtype: torch.dtype, origin: State, refused: Any, tmp_path: Path
) -> None:
    state = changed(origin, **{"head.classify.bias": torch.zeros(21, dtype=dtype)})
    refused(save_as(state, tmp_path / "w", "zip"), str(dtype).removeprefix("torch."))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_weights_must_be_finite(value: float, origin: State, refused: Any, tmp_path: Path) -> None:
    bias = torch.zeros(21, dtype=torch.float64)
    bias[3] = value
    state = changed(origin, **{"head.classify.bias": bias})
    refused(save_as(state, tmp_path / "w", "zip"), "not finite, in 1 tensors: head.classify.bias")


def test_weights_for_other_classes_are_recognised(refused: Callable[..., str], tmp_path: Path) -> None:
    path = save_as(copy_of(small_model(1, num_classes=7)), tmp_path / "w.pth", "zip")
    refused(path, "head.classify.weight is float32 [7, 16, 1, 1] in the file", "with num_classes=7")
    load(small_model(3, num_classes=7), path)  # the remedy


def test_a_file_without_auxiliary_head(origin: State, refused: Callable[..., str], tmp_path: Path) -> None:
    path = save_as(changed(origin, drop="auxiliary."), tmp_path / "w", "zip")
    message = refused(path, "8 missing: auxiliary.0.weight")
    assert "num_classes" not in message
    without = small_model(3, aux_channels=None)
    load(without, path)
    assert_same(copy_of(without), changed(origin, drop="auxiliary."))


def test_the_files_that_come_with_the_project_are_read(root: Path) -> None:
    for name in ("demo_context", "demo_scale"):
        model = load_pretrained(root / "data" / "weights" / f"{name}.safetensors")
        assert model.system is not None and model.system.name == name
        own = systems.get(name)
        assert (model.system.recipe, model.system.evaluation) == (own.recipe, own.evaluation)


# Saving --------------------------------------------------------------------------------------------------


def test_saved_weights_come_back_with_their_system(model: DMNet, tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "run.safetensors"
    save_weights(model, path, miou=0.5, seeds=[1, 2], when=Path("today"))
    again = load_pretrained(path)
    assert_same(copy_of(again), copy_of(model))
    assert not again.training
    assert again.architecture == model.architecture
    assert model.system is not None
    assert again.system == replace(model.system, published=None)  # that number belongs to other weights
    assert read_weights(path).metadata.items() >= {"miou": 0.5, "seeds": [1, 2], "when": "today"}.items()


@pytest.mark.parametrize("name", ["demo_context", "demo_scale", "small_r18"])
def test_every_kind_of_system_comes_back(name: str, tmp_path: Path) -> None:
    model = build_model(name)
    save_weights(model, tmp_path / "w")
    again = load_pretrained(tmp_path / "w")
    assert again.system is not None and model.system is not None
    assert again.system.recipe == model.system.recipe
    assert again.system.evaluation == model.system.evaluation
    assert again.system.classes == model.system.classes


def test_a_model_without_a_system_comes_back(tmp_path: Path) -> None:
    model = DMNet(small_model(1).architecture)
    save_weights(model, tmp_path / "w")
    assert_same(copy_of(load_pretrained(tmp_path / "w")), copy_of(model))


def test_equal_weights_make_equal_files(model: DMNet, tmp_path: Path) -> None:
    save_weights(model, tmp_path / "a", note="x")
    save_weights(model.to(memory_format=torch.channels_last), tmp_path / "b", note="x")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("name", ["format", "system", "architecture", "classes"])
def test_names_that_the_file_uses_itself_are_refused(name: str, model: DMNet, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=name):
        save_weights(model, tmp_path / "w", **{name: "mine"})
    assert not (tmp_path / "w").exists()


def test_foreign_files_do_not_say_what_they_are(origin: State, tmp_path: Path) -> None:
    path = save_as({"model": origin}, tmp_path / "w", "zip")
    with pytest.raises(CheckpointError, match="does not say which system"):
        load_pretrained(path)


def write_own(state: State, path: Path, noted: str) -> Path:
    safetensors.torch.save_file(state, path, metadata={"dmnet": noted})
    return path


@pytest.mark.parametrize(
    ("noted", "reason"),
    [
        ('{"format": 2}', "newer dmnet"),
        ("{", "damaged"),
        ("[]", "cannot build"),
        ('{"format": 1}', "cannot build"),
        ('{"format": 1, "architecture": {"colour": 1}}', "cannot build"),
        ('{"format": 1, "architecture": {"backbone": "vgg"}}', "no backbone called 'vgg'"),
        ('{"format": 1, "architecture": {}, "system": "x"}', "cannot build"),
    ],
)
def test_descriptions_that_cannot_be_built(noted: str, reason: str, origin: State, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=reason):
        load_pretrained(write_own(origin, tmp_path / "w", noted))


def saved_in_another_process(path: Path, monkeypatch: pytest.MonkeyPatch, kill: bool) -> tuple[int, str]:
    """Save a model in a fork, which is killed or fills its disk half-way; return its exit code and error."""
    import resource  # POSIX only

    def save_half(tensors: State, path: Path, metadata: dict[str, str]) -> None:
        path.write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)

    def child(errors: Any) -> None:
        try:
            if kill:
                monkeypatch.setattr(checkpoints, "save_file", save_half)
            else:
                resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
            save_weights(build_model("demo_scale"), path)
        except OSError as error:
            errors.send(str(error))
            raise SystemExit(3) from error

    received, sent = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=child, args=(sent,))
    process.start()
    process.join(60)
    assert process.exitcode is not None
    return process.exitcode, received.recv() if received.poll() else ""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL and size limits are things of POSIX")
@pytest.mark.parametrize("kill", [True, False], ids=["killed", "full disk"])
def test_an_old_file_survives_a_kill_and_a_full_disk(
    kill: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "best.safetensors"
    save_weights(build_model("demo_scale"), path)
    before = sha256_of(path)
    code, error = saved_in_another_process(path, monkeypatch, kill)
    if kill:
        assert code == -signal.SIGKILL
    else:
        assert code == 3
        assert re.search(f"{re.escape(str(path))} could not be written: .*File too large", error)
        assert [file.name for file in tmp_path.iterdir()] == ["best.safetensors"]
    assert sha256_of(path) == before
    load_pretrained(path)
