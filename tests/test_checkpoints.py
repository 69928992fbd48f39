"""Weights on disk: three families of names, three kinds of file, and all that can be wrong with them."""

# ruff: noqa: F811 (fixtures that come from another file are arguments too)

import contextlib
import hashlib
import json
import multiprocessing
import os
import random
import re
import signal
import sys
import types
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from test_download import Server, running, server  # noqa: F401
from torch import Tensor
from torchvision.models.feature_extraction import create_feature_extractor

from dmnet import checkpoints, systems, weight_files
from dmnet.checkpoints import (
    START_WEIGHTS,
    load_backbone_weights,
    load_checkpoint,
    load_imagenet,
    load_pretrained,
    model_from_file,
    pretrained_file,
    published_digest,
    read_metadata,
    save_weights,
    translate,
)
from dmnet.download import sha256_of
from dmnet.errors import CheckpointError, DownloadError, UnknownSystemError
from dmnet.model import DMNet, build_model, with_architecture
from dmnet.systems import Published

# The published network with everything narrow: 100 kB instead of 220 MB, the same names.
SMALL = {"backbone": "tiny_resnet", "channels": 8, "fusion_channels": 16, "aux_channels": 8}
State = dict[str, Tensor]

# Ours -> theirs, written the other way round than the package does it.
PUBLIC_NAMES = {
    "ssseg": {
        r"^backbone\.": "backbone_net.",
        r"^head\.scales\.(\d)\.generate": r"dcm_modules.\1.filter_gen_conv",
        r"^head\.scales\.(\d)\.reduce": r"dcm_modules.\1.input_redu_conv",
        r"^head\.scales\.(\d)\.norm": r"dcm_modules.\1.norm",
        r"^head\.fuse": "decoder",
        r"^head\.classify": "decoder.4",
        r"^auxiliary\.": "auxiliary_decoder.",
    },
    "mmseg": {
        r"^head\.scales\.(\d)\.generate": r"decode_head.dcm_modules.\1.filter_gen_conv",
        r"^head\.scales\.(\d)\.reduce\.0": r"decode_head.dcm_modules.\1.input_redu_conv.conv",
        r"^head\.scales\.(\d)\.reduce\.1": r"decode_head.dcm_modules.\1.input_redu_conv.bn",
        r"^head\.scales\.(\d)\.norm": r"decode_head.dcm_modules.\1.norm",
        r"^head\.fuse\.0": "decode_head.bottleneck.conv",
        r"^head\.fuse\.1": "decode_head.bottleneck.bn",
        r"^head\.classify": "decode_head.conv_seg",
        r"^auxiliary\.0": "auxiliary_head.convs.0.conv",
        r"^auxiliary\.1": "auxiliary_head.convs.0.bn",
        r"^auxiliary\.4": "auxiliary_head.conv_seg",
    },
    "dmnet": {},
}
SOURCES = tuple(PUBLIC_NAMES)


def public_name(name: str, source: str) -> str:
    for pattern, theirs in PUBLIC_NAMES[source].items():
        name = re.sub(pattern, theirs, name)
    return name


def public(state: State, source: str, prefix: str = "") -> State:
    return OrderedDict((prefix + public_name(name, source), tensor) for name, tensor in state.items())


def small_model(seed: int, **overrides: Any) -> DMNet:
    """A small DMNet in which no two tensors are alike."""
    torch.manual_seed(seed)
    model = build_model("ssseg_r50_d8_voc", **(SMALL | overrides))
    for tensor in model.state_dict().values():
        tensor.copy_(torch.randn_like(tensor) if tensor.is_floating_point() else tensor + seed)
    return model


def copy_of(model: DMNet) -> State:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_same(found: State, wanted: State) -> None:
    assert list(found) == list(wanted)
    for name, tensor in wanted.items():
        assert torch.equal(found[name], tensor), name


@pytest.fixture(scope="module")
def origin() -> State:
    return copy_of(small_model(1))


@pytest.fixture
def model() -> DMNet:
    return small_model(2)


@pytest.fixture
def refused(model: DMNet) -> Iterator[Callable[..., str]]:
    """refused(path, *parts): loading fails, the message names the file and the parts; nothing has changed."""
    before = copy_of(model)

    def check(path: Path, *parts: str) -> str:
        with pytest.raises(CheckpointError) as caught:
            load_checkpoint(model, path)
        message = str(caught.value)
        for part in (str(path), *parts):
            assert part in message
        return message

    yield check
    assert_same(copy_of(model), before)


def save_as(content: Any, path: Path, container: str) -> Path:
    if container == "safetensors":
        safetensors.torch.save_file(content, path)
    else:
        torch.save(content, path, _use_new_zipfile_serialization=container == "zip")
    return path


# Names ---------------------------------------------------------------------------------------------------

RECORDED = {  # file of names and shapes -> a system it fits
    "keys_ssseg_r50_voc.json": "ssseg_r50_d8_voc",
    "keys_ssseg_r101_ade20k.json": "ssseg_r101_d16_ade20k",
    "keys_mmseg_r50_cityscapes.json": "mmseg_r50_d8_cityscapes_512x1024_40k",
}


def recorded_state(reference: Path, keys: str) -> State:
    """A state dict under the public names; each tensor one number, repeated without taking memory."""
    shapes = json.loads((reference / keys).read_text())
    state = {}
    for name, shape in shapes.items():
        kind = torch.int64 if name.endswith("tracked") else torch.float32
        state[name] = torch.tensor(zlib.crc32(name.encode()) % 9973, dtype=kind).expand(shape)
    return state


@pytest.mark.parametrize("keys", RECORDED)
def test_recorded_names_are_exactly_ours(keys: str, reference: Path) -> None:
    source = keys.split("_")[1]
    with torch.device("meta"):
        ours = build_model(RECORDED[keys]).state_dict()
    shapes = {public_name(name, source): list(tensor.shape) for name, tensor in ours.items()}
    assert shapes == json.loads((reference / keys).read_text())


@pytest.mark.parametrize("keys", RECORDED)
def test_recorded_checkpoints_load_strictly(keys: str, reference: Path, tmp_path: Path) -> None:
    source = keys.split("_")[1]
    state = recorded_state(reference, keys)
    content = {"model": state} if source == "ssseg" else {"meta": {"CLASSES": ["a"]}, "state_dict": state}
    path = save_as(content, tmp_path / "published.pth", "zip")
    with torch.device("meta"):
        model = build_model(RECORDED[keys])
    model.to_empty(device="cpu")
    report = load_checkpoint(model, path)
    assert (report.source, report.tensors) == (source, len(state))
    for name, tensor in model.state_dict().items():
        assert (tensor == state[public_name(name, source)].flatten()[:1]).all(), name


@pytest.mark.parametrize("source", SOURCES)
def test_translation_is_the_inverse(source: str, origin: State) -> None:
    found, ours = translate(public(origin, source))
    assert found == source
    assert_same(ours, origin)


def test_two_tensors_of_one_name_are_refused(origin: State) -> None:
    state = {**public(origin, "mmseg"), "head.classify.bias": torch.zeros(21)}
    with pytest.raises(CheckpointError, match=r"several tensors.*head\.classify\.bias"):
        translate(state)


# Files that load -----------------------------------------------------------------------------------------

META = {  # as in published files of 2020, and with what training adds
    "mmseg_version": "0.9.0+0ab5d56",
    "config": "norm_cfg = dict(type='SyncBN', requires_grad=True)\n",
    "CLASSES": ["road", "sidewalk"],
    "PALETTE": [[128, 64, 128], [244, 35, 232]],
    "epoch": 3,
    "iter": 40000,
    "env_info": "sys.platform: linux",
    "hook_msgs": {},
}


def wrapped(state: State, how: str) -> Any:
    """The state as each program stores it."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=0.1, momentum=0.9).state_dict()
    return {
        "bare": state,
        "ssseg published": {"model": state},
        "ssseg training": {
            "cur_epoch": 3,
            "cur_iter": 700,
            "max_epochs": 60,
            "cfg_file": "configs/dmnet.py",
            "algorithm": "DMNet",
            "model": state,
            "optimizer": optimizer,
            "scheduler": {"min_lr": 1e-4},
            "grad_scaler": None,
        },
        "mmseg published": {"meta": META, "state_dict": state},
        "mmseg training": {"meta": META, "state_dict": state, "optimizer": optimizer},
    }[how]


WRAPPINGS = ("bare", "ssseg published", "ssseg training", "mmseg published", "mmseg training")


@pytest.mark.parametrize("container", ["zip", "legacy"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
@pytest.mark.parametrize("how", WRAPPINGS)
@pytest.mark.parametrize("source", SOURCES)
def test_pickled_checkpoints_load(
    source: str, how: str, prefix: str, container: str, origin: State, model: DMNet, tmp_path: Path
) -> None:
    content = wrapped(public(origin, source, prefix), how)
    path = save_as(content, tmp_path / "a photo.jpg", container)  # the name says nothing
    report = load_checkpoint(model, path)
    assert (report.source, report.container, report.tensors) == (source, container, len(origin))
    assert_same(copy_of(model), origin)


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("source", SOURCES)
def test_safetensors_of_any_origin_load(
    source: str, prefix: str, origin: State, model: DMNet, tmp_path: Path
) -> None:
    path = save_as(public(origin, source, prefix), tmp_path / "weights.pth", "safetensors")
    assert load_checkpoint(model, path).source == source
    assert_same(copy_of(model), origin)


def test_the_report_tells_what_else_is_in_the_file(origin: State, model: DMNet, tmp_path: Path) -> None:
    path = save_as(wrapped(public(origin, "mmseg"), "mmseg training"), tmp_path / "a", "zip")
    assert load_checkpoint(model, path).metadata == META
    path = save_as(wrapped(public(origin, "ssseg"), "ssseg training"), tmp_path / "b", "zip")
    assert load_checkpoint(model, path).metadata.items() >= {"cur_epoch": 3, "cur_iter": 700}.items()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_float_types_are_converted(
    dtype: torch.dtype, origin: State, model: DMNet, tmp_path: Path
) -> None:
    state = {name: t.to(dtype) if t.is_floating_point() else t.int() for name, t in origin.items()}
    load_checkpoint(model, save_as(state, tmp_path / "half.pth", "zip"))
    for name, tensor in model.state_dict().items():
        assert tensor.dtype == origin[name].dtype
        assert torch.equal(tensor, state[name].to(tensor.dtype))


def test_the_model_outlives_the_file(origin: State, model: DMNet, tmp_path: Path) -> None:
    path = save_as(origin, tmp_path / "mapped.pth", "zip")
    load_checkpoint(model, path)
    path.write_bytes(b"gone")
    assert_same(copy_of(model), origin)


# Files that don't ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"<!DOCTYPE html><html>Sign in</html>", "it is a web page"),
        (b"\n<html>", "it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n", "git lfs pull"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "it begins with"),
        (b"x", "it begins with"),
        (b"PK\x03\x04" + bytes(100), "is cut off"),
        (b"12345678{", "cut off, damaged or no checkpoint"),
    ],
    ids=["empty", "page", "page2", "lfs", "png", "letter", "zip", "safetensors"],
)
def test_files_of_another_kind(
    content: bytes, reason: str, refused: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "weights.pth").write_bytes(content)
    refused(tmp_path / "weights.pth", reason)


def test_missing_files_and_folders(refused: Callable[..., str], tmp_path: Path) -> None:
    refused(tmp_path / "none.pth", "cannot be read")
    refused(tmp_path, "cannot be read")


@pytest.mark.filterwarnings("ignore:Validating sparse tensor invariants")
@pytest.mark.parametrize("container", ["zip", "legacy"])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([1, 2], "it holds a list"),
        (torch.ones(2), "it holds a Tensor"),
        ({}, "it holds nothing"),
        ({"model": {}}, "it holds nothing"),
        ({"epoch": 3}, "epoch is no tensor"),
        ({"state_dict": {1: torch.ones(2)}}, "1 is no tensor"),
        ({"model": {"head.classify.bias": torch.eye(2).to_sparse()}}, "head.classify.bias is no tensor"),
        ({"weight": torch.ones(2)}, "holds no tensor of a DMNet; its 1 names are like weight"),
        (torchvision.models.resnet18().state_dict(), "load_backbone_weights"),
    ],
    ids=["list", "tensor", "nothing", "no weights", "number", "odd name", "sparse", "stranger", "backbone"],
)
def test_pickles_of_other_things(
    content: Any, reason: str, container: str, refused: Callable[..., str], tmp_path: Path
) -> None:
    refused(save_as(content, tmp_path / "weights.pth", container), reason)


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
        load_checkpoint(model, path)
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
            load_checkpoint(model, tmp_path / "damaged")


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
    key: str, container: str, history: type, origin: State, model: DMNet, refused: Any, tmp_path: Path
) -> None:
    content = {key: public(origin, "mmseg"), "message_hub": {"loss": history()}}
    path = save_as(content, tmp_path / "it's.pth", container)
    message = refused(path, "a mmengine.logging.history_buffer.HistoryBuffer")
    commands = [line.strip() for line in message.splitlines() if line.startswith("    ")]
    assert len(commands) == 2
    exec("\n".join(commands), {})
    other = small_model(3)
    load_checkpoint(other, tmp_path / "it's_weights.pth")
    assert_same(copy_of(other), origin)


def test_numpy_scalars_are_named_too(origin: State, refused: Callable[..., str], tmp_path: Path) -> None:
    content = {"meta": {"best_mIoU": np.float64(0.5)}, "state_dict": public(origin, "mmseg")}
    refused(save_as(content, tmp_path / "iter.pth", "zip"), "multiarray.scalar")


# Weights of another network ------------------------------------------------------------------------------


def changed(state: State, *, drop: str = "", **new: Tensor) -> State:
    return {name: t for name, t in state.items() if not (drop and name.startswith(drop))} | new


def test_lost_tensors_are_named(origin: State, refused: Callable[..., str], tmp_path: Path) -> None:
    state = changed(public(origin, "ssseg"), drop="backbone_net.layer1.conv")
    path = save_as({"model": state}, tmp_path / "w", "zip")
    refused(path, "3 missing: backbone.layer1.conv1.weight; backbone.layer1.conv2.weight", "fetch it again")


def test_surplus_tensors_are_named_as_in_the_file(origin: State, refused: Any, tmp_path: Path) -> None:
    more = {f"decode_head.extra.{i}": torch.ones(1) for i in range(5)}
    path = save_as({"state_dict": changed(public(origin, "mmseg"), **more)}, tmp_path / "w", "zip")
    refused(path, "5 surplus: decode_head.extra.0; decode_head.extra.1; decode_head.extra.2 and 2 more")


def test_misshapen_tensors_are_named_with_both_shapes(origin: State, refused: Any, tmp_path: Path) -> None:
    state = changed(public(origin, "mmseg"), **{"backbone.stem.0.weight": torch.ones(16, 3, 5, 5)})
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


@pytest.mark.parametrize(
    ("keys", "wanted", "parts"),
    [
        (
            "keys_ssseg_r101_ade20k.json",
            "ssseg_r50_d8_voc",
            [
                "ssseg",
                "resnet101 (not resnet50)",
                "150 (not 21)",
                "ssseg_r101_d8_ade20k",
                "ssseg_r101_d16_ade20k",
            ],
        ),
        (
            "keys_mmseg_r50_cityscapes.json",
            "ssseg_r50_d8_cityscapes",
            ["mmseg", "aux_channels 256 (not 512)", "mmseg_r50_d8_cityscapes_512x1024_40k"],
        ),
        ("keys_ssseg_r50_voc.json", "small_r18", ["stem deep (not plain)", "ssseg_r50_d8_voc"]),
        ("keys_ssseg_r50_voc.json", "demo_context", ["resnet50 (not tiny_resnet)", "ssseg_r50_d8_voc"]),
    ],
    ids=["depth", "auxiliary", "stem", "tiny"],
)
def test_weights_of_another_system_are_recognised(
    keys: str, wanted: str, parts: list[str], reference: Path, tmp_path: Path
) -> None:
    path = save_as({"model": recorded_state(reference, keys)}, tmp_path / "w.pth", "zip")
    with torch.device("meta"):
        model = build_model(wanted)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(model, path)
    for part in parts:
        assert part in str(caught.value)


def test_weights_for_other_classes_are_recognised(tmp_path: Path) -> None:
    with torch.device("meta"):
        file, model = build_model("ssseg_r50_d8_voc", num_classes=7), build_model("ssseg_r50_d8_voc")
    state = {name: torch.zeros((), dtype=t.dtype).expand(t.shape) for name, t in file.state_dict().items()}
    path = save_as(public(state, "ssseg"), tmp_path / "w.pth", "zip")
    with pytest.raises(CheckpointError, match=r"build_model\('ssseg_r50_d8_voc', num_classes=7\)"):
        load_checkpoint(model, path)


def test_a_network_that_nobody_knows(refused: Callable[..., str], tmp_path: Path) -> None:
    path = save_as(copy_of(small_model(1, channels=4, fusion_channels=2)), tmp_path / "w.pth", "zip")
    refused(path, "channels 4 (not 8)", "fusion_channels 2 (not 16)", "no system of that shape")


def test_a_file_without_auxiliary_head(origin: State, refused: Callable[..., str], tmp_path: Path) -> None:
    path = save_as(changed(origin, drop="auxiliary."), tmp_path / "w", "zip")
    refused(path, "build_model('ssseg_r50_d8_voc', aux_channels=None)")
    without = small_model(3, aux_channels=None)
    load_checkpoint(without, path)  # the remedy
    assert_same(copy_of(without), changed(origin, drop="auxiliary."))


def test_a_model_without_auxiliary_head(origin: State, tmp_path: Path) -> None:
    path = save_as(public(origin, "mmseg"), tmp_path / "w", "zip")
    with pytest.raises(CheckpointError, match="aux_channels=8"):
        load_checkpoint(small_model(3, aux_channels=None), path)
    model = small_model(3)
    load_checkpoint(model, path)
    model.auxiliary = None  # the remedy
    assert model(torch.zeros(1, 3, 16, 16)).aux_logits is None


# Saving --------------------------------------------------------------------------------------------------


def test_saved_weights_come_back_with_their_system(model: DMNet, tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "run.safetensors"
    save_weights(model, path, miou=0.5, seeds=[1, 2], when=Path("today"))
    again = model_from_file(path)
    assert_same(copy_of(again), copy_of(model))
    assert not again.training
    assert again.architecture == model.architecture
    assert model.system is not None
    assert again.system == replace(model.system, published=None)  # that number belongs to other weights
    assert read_metadata(path).items() >= {"miou": 0.5, "seeds": [1, 2], "when": "today"}.items()


@pytest.mark.parametrize("name", ["demo_context", "demo_scale", "small_r18"])
def test_every_kind_of_system_comes_back(name: str, tmp_path: Path) -> None:
    model = build_model(name)
    save_weights(model, tmp_path / "w")
    again = model_from_file(tmp_path / "w")
    assert again.system is not None and model.system is not None
    assert again.system.recipe == model.system.recipe
    assert again.system.evaluation == model.system.evaluation
    assert again.system.classes == model.system.classes


def test_a_model_without_a_system_comes_back(tmp_path: Path) -> None:
    model = DMNet(small_model(1).architecture)
    save_weights(model, tmp_path / "w")
    assert_same(copy_of(model_from_file(tmp_path / "w")), copy_of(model))


def test_equal_weights_make_equal_files(model: DMNet, tmp_path: Path) -> None:
    save_weights(model, tmp_path / "a", note="x")
    save_weights(model.to(memory_format=torch.channels_last), tmp_path / "b", note="x")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("name", ["format", "system", "architecture", "classes"])
def test_names_that_the_file_uses_itself_are_refused(name: str, model: DMNet, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=name):
        save_weights(model, tmp_path / "w", **{name: "mine"})
    assert not (tmp_path / "w").exists()


def test_public_files_do_not_say_what_they_are(origin: State, tmp_path: Path) -> None:
    path = save_as({"model": public(origin, "ssseg")}, tmp_path / "w", "zip")
    with pytest.raises(CheckpointError, match="does not say which system"):
        model_from_file(path)


def write_own(state: State, path: Path, noted: str) -> Path:
    safetensors.torch.save_file(state, path, metadata={"dmnet": noted})
    return path


@pytest.mark.parametrize(
    ("noted", "reason"),
    [
        ('{"format": 2}', "newer dmnet"),
        ("{", "damaged metadata"),
        ("[]", "damaged metadata"),
        ('{"format": 1}', "cannot build"),
        ('{"format": 1, "architecture": {"colour": 1}}', "cannot build"),
        ('{"format": 1, "architecture": {"backbone": "vgg"}}', "no backbone called 'vgg'"),
        ('{"format": 1, "architecture": {}, "system": "x"}', "cannot build"),
    ],
)
def test_descriptions_that_cannot_be_built(noted: str, reason: str, origin: State, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=reason):
        model_from_file(write_own(origin, tmp_path / "w", noted))


def test_other_filter_sizes_do_not_show_in_shapes_but_are_noticed(refused: Any, tmp_path: Path) -> None:
    save_weights(small_model(1, filter_sizes=(1, 3, 5, 9)), tmp_path / "w")
    refused(tmp_path / "w", "(1, 3, 5, 9)", "(1, 3, 5, 7)")


def test_another_output_stride_is_allowed_with_a_warning(model: DMNet, tmp_path: Path) -> None:
    save_weights(small_model(1, output_stride=16), tmp_path / "w")
    with pytest.warns(UserWarning, match="trained at output stride 16, the model has 8"):
        load_checkpoint(model, tmp_path / "w")


def saved_in_another_process(path: Path, monkeypatch: pytest.MonkeyPatch, kill: bool) -> tuple[int, str]:
    """Save a model in a fork, which is killed or fills its disk half-way; return its exit code and error."""
    import resource  # POSIX only

    def save_half(tensors: State, path: Path, metadata: dict[str, str]) -> None:
        path.write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)

    def child(errors: Any) -> None:
        try:
            if kill:
                monkeypatch.setattr(weight_files, "save_file", save_half)
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
    model_from_file(path)


# Pretrained ----------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder, and no waiting between attempts."""
    monkeypatch.setenv("DMNET_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("dmnet.download.time.sleep", lambda seconds: None)
    return tmp_path / "home"


@pytest.fixture
def publish(
    server: Server,
    home: Path,
    origin: State,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., str]:
    """publish(...): let the server offer a small system's weights; returns the system's name."""

    def offer(content: bytes | None = None, sha256: str | None = None) -> str:
        path = save_as({"model": public(origin, "ssseg")}, tmp_path / "published.pth", "zip")
        server.content = path.read_bytes() if content is None else content
        published = Published(
            source="ssseg",
            miou=77.0,
            miou_ms_flip=None,
            config_url="",
            model_url=server.url,
            log_url="",
            sha256_prefix=sha256_of(path)[:8] if sha256 is None else sha256 or None,
        )
        system = with_architecture(systems.get("ssseg_r50_d8_voc"), **SMALL)
        monkeypatch.setitem(systems.SYSTEMS, "tiny", replace(system, name="tiny", published=published))
        return "tiny"

    return offer


def files_below(folder: Path) -> set[str]:
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {name for name in found if not name.split("/")[-1].startswith(".")}


def test_published_weights_are_fetched_converted_and_kept(
    publish: Any,
    server: Server,
    home: Path,
    origin: State,
) -> None:
    model = load_pretrained(publish())
    assert_same(copy_of(model), origin)
    assert not model.training
    assert model.system == systems.get("tiny")
    assert files_below(home) == {"checkpoints/tiny.safetensors"}
    assert read_metadata(home / "checkpoints/tiny.safetensors")["url"] == server.url
    server.script = [404]
    assert_same(copy_of(load_pretrained("tiny")), origin)  # without a request
    assert len(server.requests) == 1
    assert_same(copy_of(model_from_file(home / "checkpoints/tiny.safetensors")), origin)


def test_the_digest_is_that_of_the_published_file(publish: Any, server: Server, home: Path) -> None:
    path = pretrained_file(publish())
    assert path == home / "checkpoints/tiny.safetensors"
    assert published_digest(path) == hashlib.sha256(server.content).hexdigest() != sha256_of(path)
    shipped = pretrained_file("demo_scale")
    assert published_digest(shipped) == sha256_of(shipped)


def test_a_broken_connection_is_mended(publish: Any, server: Server, origin: State) -> None:
    name = publish()
    server.script = ["cut", "cut"]
    assert_same(copy_of(load_pretrained(name)), origin)


def test_two_processes_convert_once(publish: Any, server: Server, home: Path, origin: State) -> None:
    name = publish()
    server.script = ["cut", "cut"]
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=load_pretrained, args=(name,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len(server.requests) == 3  # cut, cut and well, all for one of them
    assert_same(copy_of(model_from_file(home / "checkpoints" / "tiny.safetensors")), origin)


def test_without_a_digest_the_first_download_is_trusted(
    publish: Any,
    server: Server,
    home: Path,
    origin: State,
) -> None:
    load_pretrained(publish(sha256=""))
    first = json.loads((home / "digests.json").read_text())[server.url]
    (home / "checkpoints/tiny.safetensors").unlink()
    torch.save({"model": public({n: t + 1 for n, t in origin.items()}, "ssseg")}, home / "other.pth")
    with pytest.raises(DownloadError, match=first):
        load_pretrained(publish((home / "other.pth").read_bytes(), sha256=""))


def test_a_login_page_is_neither_trusted_nor_kept(publish: Any, home: Path, origin: State) -> None:
    with pytest.raises(CheckpointError, match="web page"):
        load_pretrained(publish(b"<!DOCTYPE html>Please sign in", sha256=""))
    assert files_below(home) == set()
    assert_same(copy_of(load_pretrained(publish(sha256=""))), origin)


def test_a_wrong_download_is_refused(publish: Any, home: Path) -> None:
    with pytest.raises(DownloadError, match="0123abcd is published"):
        load_pretrained(publish(sha256="0123abcd"))
    assert files_below(home) == set()


def test_the_manual_route_when_the_network_is_shut(
    publish: Any,
    server: Server,
    home: Path,
    origin: State,
) -> None:
    name = publish()
    server.script = [404]
    with pytest.raises(DownloadError) as caught:
        load_pretrained(name)
    by_hand = home / "downloads" / "weights.bin"
    assert f"fetch {server.url} elsewhere, put the file at {by_hand}" in str(caught.value)
    by_hand.write_bytes(server.content)
    server.script = [404]
    assert_same(copy_of(load_pretrained(name)), origin)
    assert files_below(home) == {"checkpoints/tiny.safetensors", "downloads/weights.bin"}  # it isn't ours


def test_a_wrong_file_put_there_by_hand_is_refused(publish: Any, home: Path) -> None:
    name = publish()
    (home / "downloads").mkdir(parents=True)
    (home / "downloads" / "weights.bin").write_bytes(b"something else")
    with pytest.raises(DownloadError, match=r"Move .* away"):
        load_pretrained(name)
    assert (home / "downloads" / "weights.bin").read_bytes() == b"something else"


def test_a_damaged_copy_says_how_to_mend_it(publish: Any, home: Path) -> None:
    load_pretrained(publish())
    converted = home / "checkpoints" / "tiny.safetensors"
    converted.write_bytes(converted.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=f"Delete {re.escape(str(converted))}"):
        load_pretrained("tiny")


def test_weights_that_come_with_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "shipped", lambda *parts: tmp_path.joinpath(*parts))
    original = build_model("demo_scale")
    save_weights(original, tmp_path / "weights" / "demo_scale.safetensors")
    model = load_pretrained("demo_scale")
    assert_same(copy_of(model), copy_of(original))
    assert model.system == systems.get("demo_scale")


def test_a_file_instead_of_a_name(model: DMNet, tmp_path: Path) -> None:
    save_weights(model, tmp_path / "best.safetensors")
    assert_same(copy_of(load_pretrained(tmp_path / "best.safetensors")), copy_of(model))
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_pretrained(tmp_path / "none.safetensors")


def test_names_without_weights() -> None:
    with pytest.raises(CheckpointError, match="no trained weights"):
        load_pretrained("small_r18")
    with pytest.raises(UnknownSystemError, match="ssseg_r50_d8_voc"):
        load_pretrained("ssseg_r50_d8_vocc")


# ImageNet ------------------------------------------------------------------------------------------------


def classifier(name: str) -> torch.nn.Module:
    """torchvision's network with random weights and statistics that are not 0 and 1."""
    torch.manual_seed(0)
    network = getattr(torchvision.models, name)(weights=None)
    for key, tensor in network.state_dict().items():
        if key.endswith(("running_mean", "running_var")):
            tensor.add_(torch.rand_like(tensor) / 4)
    return network.eval()


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_the_plain_backbone_computes_what_torchvision_computes(name: str, tmp_path: Path) -> None:
    theirs = classifier(name)
    path = save_as(theirs.state_dict(), tmp_path / "imagenet.pth", "zip")
    small = {"channels": 8, "fusion_channels": 8, "aux_channels": 8}
    model = build_model("small_r18", backbone=name, output_stride=32, **small).eval()
    head = copy_of(model)["head.fuse.0.weight"]
    load_backbone_weights(model, path)
    nodes = create_feature_extractor(theirs, ["layer3", "layer4"])
    images = torch.randn(2, 3, 65, 96)
    with torch.no_grad():
        ours, expected = model.backbone(images), nodes(images)
    assert torch.equal(ours.stage3, expected["layer3"])
    assert torch.equal(ours.stage4, expected["layer4"])
    assert torch.equal(model.head.fuse[0].weight, head)


def v1c(depth: int, counters: bool) -> State:
    """What the public v1c files hold: a deep stem and a classifier, without counters if they are old."""
    torch.manual_seed(0)
    state = build_model(f"ssseg_r{depth}_d8_voc").backbone.state_dict()
    kept = {name: t for name, t in state.items() if counters or not name.endswith("tracked")}
    return kept | {"fc.weight": torch.ones(1000, 2048), "fc.bias": torch.ones(1000)}


@pytest.mark.parametrize("counters", [False, True])
def test_v1c_files_load_into_the_deep_stem(counters: bool, tmp_path: Path) -> None:
    state = v1c(50, counters)
    path = save_as({"state_dict": state}, tmp_path / "v1c.pth", "legacy")
    model = build_model("ssseg_r50_d16_voc")
    load_backbone_weights(model, path)
    for name, tensor in model.backbone.state_dict().items():
        assert name.endswith("tracked") or torch.equal(tensor, state[name]), name


def test_backbone_weights_are_strict(tmp_path: Path) -> None:
    path = save_as(classifier("resnet18").state_dict(), tmp_path / "w.pth", "zip")
    with torch.device("meta"):
        model = build_model("ssseg_r50_d8_voc")
    with pytest.raises(CheckpointError, match=r"resnet50 with a deep stem\.\n.*missing: stem\.0\.weight"):
        load_backbone_weights(model, path)


def test_start_weights_carry_their_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[tuple[str, str], tuple[str, str]] = {}
    for backbone, stem in START_WEIGHTS:
        with torch.device("meta"):
            model = build_model("small_r18", backbone=backbone, stem=stem)
        monkeypatch.setattr(checkpoints, "load_backbone_weights", lambda model, path: None)
        monkeypatch.setattr(
            checkpoints, "_fetch", lambda url, digest, at=(backbone, stem): asked.update({at: (url, digest)})
        )
        load_imagenet(model)
    assert asked["resnet50", "deep"] == (
        "https://download.openmmlab.com/pretrain/third_party/resnet50_v1c-2cccc1ad.pth",
        "2cccc1ad",
    )
    assert asked["resnet101", "deep"][1] == "e67eebb6"
    assert asked["resnet18", "plain"] == (
        "https://download.pytorch.org/models/resnet18-f37072fd.pth",
        "f37072fd",
    )
    assert all(url.endswith(f"-{digest}.pth") and len(digest) == 8 for url, digest in asked.values())


def test_imagenet_weights_are_fetched_once_and_kept(
    server: Server,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = save_as(classifier("resnet18").state_dict(), tmp_path / "w.pth", "zip")
    server.content = path.read_bytes()
    url = server.url.replace("weights.bin", f"resnet18-{sha256_of(path)[:8]}.pth")
    monkeypatch.setattr(checkpoints, "get_weight", lambda name: types.SimpleNamespace(url=url))
    model = build_model("small_r18")
    for _ in range(2):
        load_imagenet(model)
    assert torch.equal(model.backbone.conv1.weight, classifier("resnet18").conv1.weight)
    assert len(server.requests) == 1


@pytest.mark.parametrize(("system", "overrides"), [("demo_scale", {}), ("small_r18", {"stem": "deep"})])
def test_backbones_without_public_weights(system: str, overrides: dict[str, str]) -> None:
    with pytest.raises(CheckpointError, match="no public ImageNet weights"):
        load_imagenet(build_model(system, **overrides))
