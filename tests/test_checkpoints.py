"""Our own weight files: read, loaded strictly, saved; and all that can be wrong with a file."""

# ruff: noqa: F811 (fixtures that come from another file are arguments too)

import contextlib
import functools
import json
import multiprocessing
import os
import pickle
import random
import re
import signal
import struct
import subprocess
import time
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_weights import (
    State,
    assert_same,
    copy_of,
    model,  # noqa: F401
    origin,  # noqa: F401
    refused,  # noqa: F401
    save_as,
    small_model,
    typed,
)

from dmnet import systems
from dmnet.checkpoints import listed, save_weights
from dmnet.download import sha256_of
from dmnet.errors import CheckpointError
from dmnet.model import DMNet, build_model
from dmnet.zoo.pretrained import load_checkpoint, load_pretrained
from dmnet.zoo.reading import load_weights, read_weights


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


NO_CHECKPOINT = "is cut off, damaged or no checkpoint"


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
    refused(tmp_path / "none.pth", "is missing", "No such file")
    refused(tmp_path, "is no run")


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


class Calls:
    """Unpickling one calls a function."""

    def __init__(self, function: Callable[..., Any], *given: Any) -> None:
        self.call = function, given

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("container", ["zip", "legacy"])
@pytest.mark.parametrize(
    ("function", "named"),
    [
        (os.mkdir, "posix.mkdir"),
        (eval, "builtins.eval"),
        (subprocess.Popen, "commands.Popen"),  # Python 2's name
        (torch.hub.load, "torch.hub.load"),
        (pickle.loads, "pickle.loads"),
        (getattr(np.testing._private.utils, "runstring", np.sum), "numpy."),
        (functools.partial, "functools.partial"),
    ],
)
def test_code_in_a_file_is_not_run(
    function: Any, named: str, container: str, origin: State, refused: Callable[..., str], tmp_path: Path
) -> None:
    content = {"model": origin, "extra": Calls(function, str(tmp_path / "ran"))}
    message = refused(save_as(content, tmp_path / "weights.pth", container), named, "could run code")
    assert not (tmp_path / "ran").exists()
    assert "weights_only=False" in message


def test_objects_in_a_file_are_not_made(origin: State, tmp_path: Path, model: DMNet) -> None:
    content = {"model": origin, "extra": Calls(Unwanted), "more": [Unwanted.__new__(Unwanted)]}
    load(model, save_as(content, tmp_path / "weights.pth", "zip"))
    assert_same(copy_of(model), origin)


class Unwanted:
    """Must not be made by reading a file."""

    def __init__(self) -> None:
        raise AssertionError

    def __setstate__(self, state: Any) -> None:
        raise AssertionError

    def __getstate__(self) -> dict[str, int]:
        return {"a": 1}


@pytest.mark.parametrize("container", ["zip", "legacy"])
@pytest.mark.parametrize("key", ["model", "state_dict", "model_state_dict", "generator"])
def test_the_remedy_for_files_with_more_than_weights_works(
    key: str, container: str, origin: State, refused: Any, tmp_path: Path
) -> None:
    content = {key: origin, "hook": functools.partial(print), "best": np.float64(0.7)}
    path = save_as(content, tmp_path / "it's.pth", container)
    weights = typed(refused(path, "a functools.partial"), tmp_path)
    other = small_model(3)
    load(other, weights)
    assert_same(copy_of(other), origin)


@pytest.mark.parametrize("container", ["zip", "legacy"])
def test_the_remedy_for_a_whole_model_with_code_works(
    container: str, refused: Any, tmp_path: Path, origin: State
) -> None:
    whole = small_model(1)
    whole.initialise = functools.partial(torch.nn.init.normal_, std=0.1)  # type: ignore[assignment]
    weights = typed(refused(save_as(whole, tmp_path / "w.pth", container), "could run code"), tmp_path)
    other = small_model(3)
    load(other, weights)
    assert_same(copy_of(other), origin)


# Files that are damaged ----------------------------------------------------------------------------------


def flipped(path: Path, at: int) -> Path:
    content = bytearray(path.read_bytes())
    content[at] ^= 4
    path.with_name("flipped").write_bytes(content)
    return path.with_name("flipped")


def test_a_flipped_bit_in_a_zip_is_noticed(origin: State, tmp_path: Path, refused: Any) -> None:
    path = save_as(origin, tmp_path / "w.pth", "zip")
    with zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if "/data/" in member.filename][::7]
    for member in members:
        lengths = struct.unpack_from("<HH", path.read_bytes(), member.header_offset + 26)  # name, padding
        at = member.header_offset + 30 + sum(lengths) + member.file_size // 2
        refused(flipped(path, at), "damaged", f"checksum of {member.filename}")


def test_a_zip_without_checksums_is_read(origin: State, tmp_path: Path, model: DMNet) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        path = save_as(origin, tmp_path / "w.pth", "zip")
    finally:
        torch.serialization.set_crc32_options(True)
    load(model, path)
    assert_same(copy_of(model), origin)


def test_zips_that_are_not_pytorchs(origin: State, tmp_path: Path, refused: Any) -> None:
    path = save_as(origin, tmp_path / "w.pth", "zip")
    with (
        zipfile.ZipFile(path) as old,
        zipfile.ZipFile(tmp_path / "new.pth", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    refused(tmp_path / "new.pth", "compressed")
    content = path.read_bytes()
    end = content.rindex(b"PK\5\6")  # behind the directory a note that the archive has two disks
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, 0, 2)
    path.write_bytes(content[:end].replace(b"PK\6\7", b"PK\6\0") + locator + content[end:])
    refused(path, "multiple disks")


def test_a_flipped_bit_in_our_own_file_is_noticed(model: DMNet, tmp_path: Path) -> None:
    save_weights(model, path := tmp_path / "w.safetensors")
    start = 8 + int.from_bytes(path.read_bytes()[:8], "little")
    for at in range(start, path.stat().st_size, 4999):
        with pytest.raises(CheckpointError, match=r"flipped is damaged: its tensors are not what was saved"):
            read_weights(flipped(path, at))
    load_pretrained(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**13) | st.floats() | st.text(max_size=3),
    lambda some: st.lists(some, max_size=3) | st.dictionaries(st.text(max_size=3), some, max_size=3),
    max_leaves=4,
)


@settings(max_examples=100, deadline=None)  # tools/fuzz.py: thousands
@given(where=st.sampled_from(["", "architecture", "recipe", "evaluation"]), data=st.data())
def test_any_notes_give_our_own_error(where: str, data: Any, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "noted.safetensors"
    state, notes = saved_demo(path)
    noted = json.loads(notes)
    part = noted[where] if where else noted
    part[data.draw(st.sampled_from(sorted(part)))] = data.draw(JSON)
    write_own(state, path, json.dumps(noted))
    with contextlib.suppress(CheckpointError):  # a class's name, say, may be anything
        load_pretrained(path)
    with contextlib.suppress(CheckpointError), warnings.catch_warnings(action="ignore"):
        load_checkpoint(build_model("demo_scale"), path)


@functools.cache
def saved_demo(path: Path) -> tuple[State, str]:
    """A system's weights, and the notes that its file has."""
    model = build_model("demo_scale")
    save_weights(model, path)
    return model.state_dict(), json.dumps(read_weights(path).metadata)


@pytest.mark.parametrize("size", [{"channels": 10**7}, {"num_classes": 10**12}, {"fusion_channels": 10**30}])
def test_sizes_that_no_machine_has_are_refused_at_once(
    size: dict[str, int], origin: State, tmp_path: Path
) -> None:
    noted = json.dumps({"format": 1, "architecture": asdict(small_model(1).architecture) | size})
    begin = time.perf_counter()
    with pytest.raises(CheckpointError, match=r"cannot build|is damaged: it describes"):
        load_pretrained(write_own(origin, tmp_path / "w", noted))
    assert time.perf_counter() - begin < 5


# Weights of another network ------------------------------------------------------------------------------


def changed(state: State, *, drop: str = "", **new: torch.Tensor) -> State:
    return {name: t for name, t in state.items() if not (drop and name.startswith(drop))} | new


def test_lost_tensors_are_named(origin: State, refused: Callable[..., str], tmp_path: Path) -> None:
    state = changed(origin, drop="backbone.layer1.0.conv")
    path = save_as({"model": state}, tmp_path / "w", "zip")
    refused(path, "3 missing: backbone.layer1.0.conv1.weight; backbone.layer1.0.conv2.weight")


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
    message = refused(path, "7 missing: auxiliary.0.weight")
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
        ('{"format": Infinity}', "newer dmnet"),
        ('{"format": 1, "architecture": {"channels": Infinity}}', "cannot build"),
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

    def write_half(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        os.kill(os.getpid(), signal.SIGKILL)

    def child(errors: Any) -> None:
        try:
            if kill:
                monkeypatch.setattr(Path, "write_bytes", write_half)
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
        assert re.search(f"File too large.*{re.escape(str(path))}", error)
        assert [file.name for file in tmp_path.iterdir()] == ["best.safetensors"]
    assert sha256_of(path) == before
    load_pretrained(path)


def test_names_are_listed_up_to_three() -> None:
    assert listed(["a", "b", "c"]) == "a; b; c"
    assert listed(["a", "b", "c", "d", "e"]) == "a; b; c and 2 more"
