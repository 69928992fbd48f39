"""Weights under others' names, fetched and by hand, and where they begin."""

# ruff: noqa: F811 (fixtures that come from another file are arguments too)

import hashlib
import itertools
import json
import multiprocessing
import re
import sys
import time
import types
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback import Server, running, server  # noqa: F401
from small_weights import (
    SMALL,
    SOURCES,
    State,
    assert_same,
    copy_of,
    model,  # noqa: F401
    origin,  # noqa: F401
    public,
    public_name,
    refused,  # noqa: F401
    save_as,
    small_model,
    typed,
)
from torchvision.models.feature_extraction import create_feature_extractor

from dmnet import systems, zoo
from dmnet.checkpoints import save_weights
from dmnet.download import sha256_of
from dmnet.errors import CheckpointError, DownloadError, UnknownSystemError
from dmnet.model import DMNet, build_model
from dmnet.zoo import Published, pretrained
from dmnet.zoo.pretrained import (
    IMAGENET,
    load_backbone,
    load_checkpoint,
    load_imagenet,
    load_pretrained,
    pretrained_file,
    published_digest,
    read_weights,
)
from dmnet.zoo.weight_names import translate

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


@settings(max_examples=25)
@given(st.sampled_from(SOURCES), st.data())
def test_any_part_of_a_state_comes_back_in_its_order(origin: State, source: str, data: Any) -> None:
    telling = [name for name in origin if name.startswith("head.")]  # backbones look alike
    names = data.draw(st.lists(st.sampled_from(sorted(origin)), max_size=30, unique=True))
    names = list(dict.fromkeys([data.draw(st.sampled_from(telling)), *names]))
    part = {name: origin[name] for name in names}
    found, ours = translate(public(part, source))
    assert (found, list(ours)) == (source, names)
    assert all(ours[name] is part[name] for name in names)


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
    assert (report.source, report.tensors) == (source, len(origin))
    assert_same(copy_of(model), origin)


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("source", SOURCES)
def test_safetensors_of_any_origin_load(
    source: str, prefix: str, origin: State, model: DMNet, tmp_path: Path
) -> None:
    path = save_as(public(origin, source, prefix), tmp_path / "weights.pth", "safetensors")
    assert load_checkpoint(model, path).source == source
    assert_same(copy_of(model), origin)


# Files that people have ------------------------------------------------------------------------------------

KEYS = (
    "model_state_dict", "net", "network", "weights", "params", "model_state", "generator", "student",
    "teacher", "module", "segmentor", "state", "ema",
)  # fmt: skip


def loads(content: Any, path: Path, container: str, origin: State) -> pretrained.Report:
    """Load a file into a fresh model, which then has the weights `origin`."""
    model = small_model(3)
    report = load_checkpoint(model, save_as(content, path, container))
    assert_same(copy_of(model), origin)
    return report


@pytest.mark.parametrize("container", ["zip", "legacy"])
@pytest.mark.parametrize("key", KEYS)
def test_weights_under_any_key(key: str, container: str, origin: State, tmp_path: Path) -> None:
    report = loads({key: origin, "epoch": 1}, tmp_path / "w", container, origin)
    assert report.metadata == {"epoch": 1}


@pytest.mark.parametrize("container", ["zip", "legacy", "safetensors"])
@pytest.mark.parametrize(
    "prefix",
    [
        "model.",
        "net.",
        "model.module.",
        "net._orig_mod.",
        "module.model._orig_mod.",
        "lit.model.",
        "a.b.c.d.",
    ],
)
@pytest.mark.parametrize("source", SOURCES)
def test_prefixes_in_any_nesting(
    source: str, prefix: str, container: str, origin: State, tmp_path: Path
) -> None:
    assert loads(public(origin, source, prefix), tmp_path / "w", container, origin).source == source


@pytest.mark.parametrize("container", ["zip", "legacy"])
def test_numpy_beside_the_weights(container: str, origin: State, tmp_path: Path) -> None:
    content = {
        "model_state_dict": origin,
        "epoch": 1,
        "best": np.float64(0.7),
        "classes": np.array(["a", "b"], object),
        "history": [np.zeros(3), np.int64(4)],
        "random": np.random.get_state(),
        "lowest": {"loss": np.float32(1)},
    }
    assert loads(content, tmp_path / "w", container, origin).metadata == {"epoch": 1}


def test_averaged_models(origin: State, tmp_path: Path) -> None:
    averaged = torch.optim.swa_utils.AveragedModel(small_model(1))
    assert "n_averaged" in averaged.state_dict()
    loads(averaged.state_dict(), tmp_path / "a", "zip", origin)
    loads({"model": averaged.state_dict(), "epoch": 3}, tmp_path / "b", "zip", origin)
    loads({"model": origin, "ema": copy_of(small_model(4)), "epoch": 3}, tmp_path / "c", "zip", origin)


@pytest.mark.parametrize("wrap", [lambda net: net, torch.nn.DataParallel])
def test_whole_models(wrap: Any, origin: State, tmp_path: Path) -> None:
    whole = wrap(small_model(1))
    loads(whole, tmp_path / "a", "zip", origin)
    loads({"state_dict": whole, "epoch": 3}, tmp_path / "b", "zip", origin)


@pytest.mark.parametrize(("wrap", "container"), [(lambda net: net, "legacy"), (torch.compile, "zip")])
def test_the_remedy_for_whole_models_with_more_in_them_works(
    wrap: Any, container: str, origin: State, refused: Any, tmp_path: Path
) -> None:
    path = save_as(wrap(small_model(1)), tmp_path / "whole", container)
    message = refused(path, "holds more than weights")
    loads(torch.load(typed(message, tmp_path)), tmp_path / "w", "zip", origin)


def test_old_files_without_counters(origin: State, tmp_path: Path) -> None:
    old = {name: t for name, t in origin.items() if not name.endswith("num_batches_tracked")}
    model = small_model(2)
    before = copy_of(model)
    report = load_checkpoint(model, save_as(old, tmp_path / "w", "legacy"))
    assert report.tensors == len(old) < len(origin)
    assert_same(copy_of(model), {name: old.get(name, before[name]) for name in origin})


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch) -> Callable[..., type]:
    """theirs("package.module", kind): a class as if it were theirs, until the test loads the file."""

    def move(module: str, kind: type) -> type:
        kind.__module__, kind.__qualname__ = module, kind.__name__
        for part in itertools.accumulate(module.split("."), "{}.{}".format):
            monkeypatch.setitem(sys.modules, part, types.ModuleType(part))
        setattr(sys.modules[module], kind.__name__, kind)
        return kind

    return move


@pytest.mark.parametrize("container", ["zip", "legacy"])
def test_files_of_lightning(container: str, theirs: Any, origin: State, tmp_path: Path) -> None:
    class AttributeDict(dict[str, Any]):
        pass

    hyper = theirs("lightning.fabric.utilities.data", AttributeDict)(lr=0.1, folder=Path("data"))
    optimizer = {"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
    content = {
        "epoch": 3,
        "global_step": 700,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": {f"model.{n}": t for n, t in origin.items()} | {"loss.weight": torch.ones(21)},
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 4}}}},
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best": torch.tensor(0.5), "path": Path("a")}},
        "optimizer_states": [optimizer],
        "lr_schedulers": [],
        "hparams_name": "kwargs",
        "hyper_parameters": hyper,
    }
    report = loads(content, tmp_path / "w", container, origin)
    assert report.metadata.items() >= {"epoch": 3, "global_step": 700}.items()


@pytest.mark.parametrize("container", ["zip", "legacy"])
def test_files_of_mmengine(container: str, theirs: Any, origin: State, tmp_path: Path) -> None:
    class HistoryBuffer:
        def __init__(self) -> None:
            self._log_history, self._max_length = np.arange(3.0), 100
            self._statistics_methods = {"mean": HistoryBuffer.mean}

        def mean(self) -> float:
            return float(self._log_history.mean())

    buffer = theirs("mmengine.logging.history_buffer", HistoryBuffer)
    HistoryBuffer.mean.__module__, HistoryBuffer.mean.__qualname__ = buffer.__module__, "HistoryBuffer.mean"
    content = {
        "meta": {"epoch": 0, "iter": 40000, "dataset_meta": {"classes": ("a",)}, "seed": np.int64(1)},
        "state_dict": public(origin, "mmseg"),
        "message_hub": {"log_scalars": OrderedDict({"train/loss": buffer()}), "runtime_info": OrderedDict()},
        "optimizer": {"state": {}, "param_groups": []},
        "param_schedulers": [{"power": 0.9, "last_step": 40000}],
    }
    report = loads(content, tmp_path / "w", container, origin)
    assert report.metadata.items() >= {"epoch": 0, "iter": 40000}.items()


def test_an_optimizers_tensors_are_not_taken_for_the_networks(origin: State, tmp_path: Path) -> None:
    moments = {name: {"exp_avg": t, "exp_avg_sq": t, "weight": t} for name, t in origin.items()}
    loads({"model": origin, "optimizer": {"state": moments}}, tmp_path / "w", "zip", origin)


def test_the_remedy_for_several_networks_works(origin: State, refused: Any, tmp_path: Path) -> None:
    content = {"student": {"net": origin}, "teacher": {"net": copy_of(small_model(4))}, "best": np.float64(1)}
    path = save_as(content, tmp_path / "it's two.pth", "zip")
    message = refused(path, "holds several networks, under student.net. and teacher.net.")
    loads(torch.load(typed(message, tmp_path)), tmp_path / "again", "zip", origin)
    other = typed(message.replace("'student.net.'", "'teacher.net.'"), tmp_path)
    loads(torch.load(other), tmp_path / "again", "zip", copy_of(small_model(4)))


def test_the_remedy_works_for_names_with_braces(origin: State, refused: Any, tmp_path: Path) -> None:
    path = save_as({"{0}": origin, "{x": copy_of(small_model(4))}, tmp_path / "{2}.pth", "zip")
    loads(torch.load(typed(refused(path, "under {0}. and {x."), tmp_path)), tmp_path / "w", "zip", origin)


@settings(max_examples=100, deadline=None)
@given(
    content=st.recursive(
        st.none() | st.text(max_size=3) | st.just(torch.ones(1)) | st.just(np.float64(1)),
        lambda some: (
            st.lists(some, max_size=3)
            | st.dictionaries(
                st.text(max_size=3) | st.sampled_from(["head", "model", "weight"]), some, max_size=3
            )
        ),
    )
)
def test_nested_things_of_any_kind_are_refused(content: Any, tmp_path_factory: Any) -> None:
    path = save_as(content, tmp_path_factory.getbasetemp() / "any.pth", "zip")
    with pytest.raises(CheckpointError, match=re.escape(str(path))):
        load_checkpoint(small_model(1), path)


def test_names_and_nesting_that_are_made_to_take_long(refused: Any, tmp_path: Path) -> None:
    shared: dict[str, Any] = {"x": torch.ones(1)}
    for _ in range(60):
        shared = {"a": shared, "b": shared}
    begin = time.perf_counter()
    refused(save_as(shared, tmp_path / "shared", "zip"), "no tensor of a DMNet")
    refused(save_as({"head." * 200_000: torch.ones(1)}, tmp_path / "long", "zip"))
    assert time.perf_counter() - begin < 5


# Weights to start from -----------------------------------------------------------------------------------


@pytest.mark.parametrize("source", SOURCES)
def test_weights_for_other_classes_to_start_from(source: str, origin: State, tmp_path: Path) -> None:
    path = save_as(public(origin, source, "model."), tmp_path / "w", "zip")
    model = small_model(5, num_classes=3)
    before = copy_of(model)
    layers = ["head.classify.weight", "head.classify.bias", "auxiliary.4.weight", "auxiliary.4.bias"]
    assert zoo.load_initial(model, path) == layers
    assert_same(copy_of(model), {name: (before if name in layers else origin)[name] for name in origin})


def test_weights_for_the_same_classes_to_start_from(origin: State, model: DMNet, tmp_path: Path) -> None:
    save_weights(small_model(1), tmp_path / "run" / "last.safetensors")
    assert zoo.load_initial(model, tmp_path / "run") == []
    assert_same(copy_of(model), origin)
    torch.save({"model": origin, "iteration": 3}, tmp_path / "run" / "last.ckpt")
    (tmp_path / "run" / "last.safetensors").unlink()
    other = small_model(7)
    assert zoo.load_initial(other, tmp_path / "run") == []
    assert_same(copy_of(other), origin)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"channels": 4, "num_classes": 3}, "of another shape"),
        ({"aux_channels": None, "num_classes": 3}, "8 unexpected: auxiliary.0.weight"),
        ({"filter_sizes": (1, 3, 5, 9), "num_classes": 3}, "filter_sizes"),
    ],
)
def test_weights_that_do_not_fit_are_no_start(other: dict[str, Any], reason: str, tmp_path: Path) -> None:
    save_weights(small_model(1), tmp_path / "w")
    model = small_model(5, **other)
    before = copy_of(model)
    with pytest.raises(CheckpointError, match=reason):
        zoo.load_initial(model, tmp_path / "w")
    with pytest.raises(CheckpointError, match=re.escape(str(tmp_path))):
        zoo.load_initial(model, tmp_path)
    assert_same(copy_of(model), before)


def test_the_report_tells_what_else_is_in_the_file(origin: State, model: DMNet, tmp_path: Path) -> None:
    path = save_as(wrapped(public(origin, "mmseg"), "mmseg training"), tmp_path / "a", "zip")
    assert load_checkpoint(model, path).metadata == META
    path = save_as(wrapped(public(origin, "ssseg"), "ssseg training"), tmp_path / "b", "zip")
    assert load_checkpoint(model, path).metadata.items() >= {"cur_epoch": 3, "cur_iter": 700}.items()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"weight": torch.ones(2)}, "holds no tensor of a DMNet; its 1 names are like weight"),
        (torchvision.models.resnet18().state_dict(), "zoo.load_backbone"),
    ],
    ids=["stranger", "backbone"],
)
def test_names_that_nobody_knows(content: State, reason: str, refused: Any, tmp_path: Path) -> None:
    refused(save_as(content, tmp_path / "weights.pth", "zip"), reason)


def test_differences_are_named_by_our_names(origin: State, refused: Any, tmp_path: Path) -> None:
    state = public(origin, "ssseg")
    del state["decoder.0.weight"]
    path = save_as({"model": {**state, "extra": torch.ones(1)}}, tmp_path / "w", "zip")
    refused(path, "1 missing: head.fuse.0.weight", "1 unexpected: extra")


def test_weights_for_other_classes_are_recognised(reference: Path, tmp_path: Path) -> None:
    state = recorded_state(reference, "keys_ssseg_r101_ade20k.json")
    path = save_as({"model": state}, tmp_path / "w.pth", "zip")
    with torch.device("meta"):
        model = build_model("ssseg_r101_d8_voc")
    with pytest.raises(CheckpointError, match=r"(?s)150, 512, 1, 1.*num_classes=150"):
        load_checkpoint(model, path)


def test_a_model_without_auxiliary_head(origin: State, tmp_path: Path) -> None:
    path = save_as(public(origin, "mmseg"), tmp_path / "w", "zip")
    with pytest.raises(CheckpointError, match="8 unexpected: auxiliary"):
        load_checkpoint(small_model(3, aux_channels=None), path)
    model = small_model(3)
    load_checkpoint(model, path)
    model.auxiliary = None
    assert model(torch.zeros(1, 3, 16, 16)).aux_logits is None


def test_other_filter_sizes_do_not_show_in_shapes_but_are_noticed(refused: Any, tmp_path: Path) -> None:
    save_weights(small_model(1, filter_sizes=(1, 3, 5, 9)), tmp_path / "w")
    refused(tmp_path / "w", "[1, 3, 5, 9]", "[1, 3, 5, 7]")


def test_another_output_stride_is_allowed_with_a_warning(model: DMNet, tmp_path: Path) -> None:
    save_weights(small_model(1, output_stride=16), tmp_path / "w")
    with pytest.warns(UserWarning, match="trained at output stride 16, the model has 8"):
        load_checkpoint(model, tmp_path / "w")


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
        system = build_model("ssseg_r50_d8_voc", **SMALL).system
        monkeypatch.setitem(zoo.PUBLISHED, "tiny", replace(system, name="tiny", published=published))
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
    assert read_weights(home / "checkpoints/tiny.safetensors").metadata["url"] == server.url
    server.script = [404]
    assert_same(copy_of(load_pretrained("tiny")), origin)  # without a request
    assert len(server.requests) == 1
    assert_same(copy_of(load_pretrained(home / "checkpoints/tiny.safetensors")), origin)


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
    assert_same(copy_of(load_pretrained(home / "checkpoints" / "tiny.safetensors")), origin)


def test_a_login_page_is_not_kept(publish: Any, home: Path, origin: State) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint"):
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
    monkeypatch.setattr(pretrained, "shipped", lambda *parts: tmp_path.joinpath(*parts))
    original = build_model("demo_scale")
    save_weights(original, tmp_path / "weights" / "demo_scale.safetensors")
    model = load_pretrained("demo_scale")
    assert_same(copy_of(model), copy_of(original))
    assert model.system == systems.get("demo_scale")


def test_a_file_instead_of_a_name(model: DMNet, tmp_path: Path) -> None:
    save_weights(model, tmp_path / "best.safetensors")
    assert_same(copy_of(load_pretrained(tmp_path / "best.safetensors")), copy_of(model))
    with pytest.raises(CheckpointError, match="No such file"):
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
    load_backbone(model, path)
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
    load_backbone(model, path)
    for name, tensor in model.backbone.state_dict().items():
        assert name.endswith("tracked") or torch.equal(tensor, state[name]), name


def test_backbone_weights_are_strict(tmp_path: Path) -> None:
    path = save_as(classifier("resnet18").state_dict(), tmp_path / "w.pth", "zip")
    with torch.device("meta"):
        model = build_model("ssseg_r50_d8_voc")
    with pytest.raises(CheckpointError, match=r"does not fit.*\n.*missing: stem\.0\.weight"):
        load_backbone(model, path)


def test_start_weights_carry_their_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[tuple[str, str], tuple[str, str]] = {}
    for backbone, stem in IMAGENET:
        with torch.device("meta"):
            model = build_model("small_r18", backbone=backbone, stem=stem)
        monkeypatch.setattr(pretrained, "load_backbone", lambda model, path: None)
        monkeypatch.setattr(
            pretrained, "_fetch", lambda *given, at=(backbone, stem): asked.update({at: given[:2]})
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
    monkeypatch.setattr(pretrained, "get_weight", lambda name: types.SimpleNamespace(url=url))
    model = build_model("small_r18")
    for _ in range(2):
        load_imagenet(model)
    assert torch.equal(model.backbone.conv1.weight, classifier("resnet18").conv1.weight)
    assert len(server.requests) == 1


@pytest.mark.parametrize(("system", "overrides"), [("demo_scale", {}), ("small_r18", {"stem": "deep"})])
def test_backbones_without_public_weights(system: str, overrides: dict[str, str]) -> None:
    with pytest.raises(CheckpointError, match="no public ImageNet weights"):
        load_imagenet(build_model(system, **overrides))
