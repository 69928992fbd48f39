"""Weight files that people have, in the commands: `--weights FILE` and `--init FILE`, as one types them."""

import argparse
import collections
import contextlib
import copy
import decimal
import functools
import re
import shutil
import types
import typing
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_weights import copy_of, public, save_as, typed
from test_cli import run
from test_own_data import SMALL, here, own_photos  # noqa: F401 (fixtures)
from torch import nn

import dmnet
from dmnet import systems, worlds
from dmnet.checkpoints import save_weights
from dmnet.model import build_model
from dmnet.zoo import pretrained, reading
from dmnet.zoo.reading import read_weights


@pytest.fixture(scope="module")
def net() -> dmnet.DMNet:
    """A network of `demo_scale` whose answers are not those of the weights that are shipped."""
    net = dmnet.load_pretrained("demo_scale")
    with torch.no_grad():
        net.head.classify.bias += torch.linspace(-3, 3, len(net.head.classify.bias))
    return net


@pytest.fixture(scope="module")
def world(tmp_path_factory: Any) -> Path:
    """Two drawn scenes in the layout of VOC."""
    return worlds.write_layout(
        worlds.DemoDataset("demo_scale", "val", size=2, seed=5), tmp_path_factory.mktemp("world") / "scenes"
    )


@pytest.fixture(scope="module")
def answer(net: dmnet.DMNet, world: Path, tmp_path_factory: Any) -> Callable[[Path], None]:
    """answer(path): the commands predict and score with that file as with the network itself."""
    folder = tmp_path_factory.mktemp("own")
    save_weights(net, folder / "own.safetensors")
    picture = next(world.rglob("*.jpg"))

    def told(file: Path) -> tuple[bytes, list[str]]:
        run("predict", "demo_scale", picture, "--weights", file, "--output", folder / "out")
        scored = run("evaluate", "demo_scale", "--weights", file, "--data", world).stdout.splitlines()
        return (folder / "out" / f"{picture.stem}_labels.png").read_bytes(), scored[1:-1]

    expected = told(folder / "own.safetensors")
    assert told(pretrained.pretrained_file("demo_scale")) != expected

    def same(file: Path) -> None:
        assert told(file) == expected

    return same


def refused(file: Path, system: str = "demo_scale") -> str:
    """What is said when a file is not loaded."""
    return str(run("evaluate", system, "--weights", file, code=2).stderr)


class Theirs(nn.Module):
    """The network inside a module of someone's own, with a loss beside it, as in a Lightning module."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.loss = nn.CrossEntropyLoss(weight=torch.ones(7))


def prefixed(net: nn.Module, prefix: str) -> Any:
    return {prefix + name: tensor for name, tensor in net.state_dict().items()}


def beside(net: nn.Module, **more: Any) -> Any:
    return {"model_state_dict": net.state_dict(), "epoch": np.int64(3), "best": np.float64(0.7), **more}


def optimizer(net: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(net.parameters())


KINDS: dict[str, Callable[[Any], Any]] = {
    **{prefix: functools.partial(prefixed, prefix=prefix) for prefix in ("model.", "net.", "module.")},
    "compiled": lambda net: torch.compile(net).state_dict(),
    "averaged": lambda net: torch.optim.swa_utils.AveragedModel(net).state_dict(),
    "in a module with a loss": lambda net: {"state_dict": Theirs(net).state_dict(), "epoch": 3},
    "numbers of NumPy": lambda net: beside(
        net, history=np.zeros(3), kind=np.float32, rng=np.random.get_state()
    ),
    "NumPy's generators": lambda net: beside(net, a=np.random.default_rng(1), b=np.random.RandomState(1)),
    "optimizer and schedule, whole": lambda net: beside(
        net, optimizer=(it := optimizer(net)), schedule=torch.optim.lr_scheduler.CosineAnnealingLR(it, 9)
    ),
    "containers": lambda net: beside(net, losses=collections.defaultdict(list, a=[1.0]), order=range(3)),
    "settings": lambda net: beside(
        net, args=argparse.Namespace(lr=0.1, kind=float), more=types.SimpleNamespace(), any=typing.Any
    ),
    "decimals": lambda net: beside(net, lr=decimal.Decimal("0.1")),
    "no counters": lambda net: {
        name: tensor for name, tensor in net.state_dict().items() if not name.endswith("tracked")
    },
    "parameters": lambda net: {
        name: nn.Parameter(t, t.is_floating_point()) for name, t in copy_of(net).items()
    },
    "tuple": lambda net: (net.state_dict(), optimizer(net).state_dict(), 3),
    "list": lambda net: [net.state_dict()],
}


@pytest.mark.parametrize("container", ["zip", "legacy"])
@pytest.mark.parametrize("kind", KINDS)
def test_files_that_people_have(kind: str, container: str, net: Any, answer: Any, tmp_path: Path) -> None:
    answer(save_as(KINDS[kind](copy.deepcopy(net)), tmp_path / "theirs.pth", container))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda net: net,
        nn.DataParallel,
        torch.optim.swa_utils.AveragedModel,
        lambda net: {"model": net, "criterion": nn.CrossEntropyLoss(weight=torch.ones(7))},
    ],
)
def test_whole_models(wrap: Any, net: Any, answer: Any, tmp_path: Path) -> None:
    answer(save_as(wrap(copy.deepcopy(net)), tmp_path / "whole.pt", "zip"))
    path = save_as(wrap(copy.deepcopy(net)), tmp_path / "old.pt", "legacy")
    message = refused(path)
    with contextlib.chdir(tmp_path):
        answer(typed(message, tmp_path))


@pytest.mark.parametrize("container", [True, False])
@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_other_protocols(protocol: int, container: bool, net: Any, answer: Any, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save(net.state_dict(), path, pickle_protocol=protocol, _use_new_zipfile_serialization=container)
    if protocol > 3:
        message = refused(path)
        assert "a pickle.protocol 4" in message
        path = typed(message, tmp_path)
    answer(path)


# Programs --------------------------------------------------------------------------------------------------


class Logits(nn.Module):
    """A network whose answer is one tensor, which programs need."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.net(image).logits


@pytest.mark.filterwarnings("ignore")  # `torch.jit` is going out of use
@pytest.mark.parametrize("name", ["program.pt", "program.pth", "it's.torchscript"])
def test_torchscript_is_named_and_its_remedy_works(
    name: str, net: Any, answer: Any, world: Path, tmp_path: Path
) -> None:
    torch.jit.save(torch.jit.trace(Logits(net).eval(), torch.zeros(1, 3, 64, 64)), tmp_path / name)
    message = refused(tmp_path / name)
    assert f"{tmp_path / name} is a program of TorchScript" in message
    answer(typed(message, tmp_path))


@pytest.mark.filterwarnings("ignore")
def test_an_exported_program_is_named_and_its_remedy_works(net: Any, answer: Any, tmp_path: Path) -> None:
    path = tmp_path / "program.pt2"
    torch.export.save(torch.export.export(Logits(net).eval(), (torch.zeros(1, 3, 64, 64),)), path)
    message = refused(path)
    assert f"{path} is a program of torch.export" in message
    answer(typed(message, tmp_path))


# Files around a checkpoint ---------------------------------------------------------------------------------


def packed(source: Path, target: Path, kind: int, *, unpacked: bool) -> Path:
    """A zip of a checkpoint, or of the folder that it is when it is unpacked."""
    with zipfile.ZipFile(target, "w", kind) as new, zipfile.ZipFile(source) as old:
        for name in old.namelist() if unpacked else ():
            new.writestr(name, old.read(name))
        if not unpacked:
            new.write(source, source.name)
    return target


@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_around_a_checkpoint(kind: int, net: Any, answer: Any, tmp_path: Path) -> None:
    path = save_as(net.state_dict(), tmp_path / "w.pth", "zip")
    outer = packed(path, tmp_path / "outer.zip", kind, unpacked=False)
    assert "unpack it" in refused(outer)
    path.unlink()
    shutil.unpack_archive(outer, tmp_path)
    answer(path)


def test_a_checkpoint_that_was_unpacked_and_packed_again(net: Any, answer: Any, tmp_path: Path) -> None:
    path = save_as(net.state_dict(), tmp_path / "w.pth", "zip")
    outer = packed(path, tmp_path / "again.zip", zipfile.ZIP_DEFLATED, unpacked=True)
    message = refused(outer)
    assert "packed again without compression" in message
    answer(packed(path, tmp_path / "stored.zip", zipfile.ZIP_STORED, unpacked=True))


@pytest.mark.parametrize(
    "content", [b"PK\3\4", b"\x80\4\x95", b"\x1f\x8b\x08", b"<html>", b"{}", reading.LEGACY + b"."]
)
def test_a_reason_never_says_to_switch_safety_off(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(content * 9)
    message = refused(tmp_path / "w.pth")
    assert "no checkpoint (" in message and "weights_only" not in message


# Read once, and checked ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ours", "of another system", "theirs"])
def test_a_file_is_read_once(kind: str, net: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w"
    if kind == "theirs":
        save_as(net.state_dict(), path, "zip")
    else:
        other = build_model("demo_scale")
        other.system = net.system if kind == "ours" else build_model("small_r18").system
        save_weights(other, path)
    read, seen = pretrained.read_weights, []
    monkeypatch.setattr(pretrained, "read_weights", lambda *given: seen.append(given[0]) or read(*given))
    dmnet.load_pretrained("demo_scale", path)
    assert seen == [path]


def spoiled(path: Path, name: str, at: int) -> Path:
    """A copy with one bit flipped."""
    content = bytearray(path.read_bytes())
    content[at] ^= 4
    target = path.with_name(name)
    target.write_bytes(content)
    return target


@pytest.mark.parametrize("kind", [*KINDS, "whole"])
def test_a_flipped_bit_in_any_tensor_of_a_zip_is_noticed(kind: str, net: Any, tmp_path: Path) -> None:
    path = save_as(KINDS.get(kind, lambda net: net)(copy.deepcopy(net)), tmp_path / "w.pth", "zip")
    data = net.head.fuse[0].weight.detach().numpy().tobytes()
    at = path.read_bytes().index(data) + len(data) // 2
    flipped = spoiled(path, "flipped.pth", at)
    message = refused(flipped)
    assert re.search(r"flipped\.pth is cut off, damaged .*\(the checksum of \S+/data/\d+", message)


def test_a_flipped_bit_in_our_own_files_is_noticed(here: Path) -> None:  # noqa: F811
    run("train", "small_r18", "--data", "my photos", "--run", "own", *SMALL)
    tensors = read_weights("own/last.safetensors").tensors
    for name in ("last.safetensors", "last.ckpt"):
        data = tensors["head.fuse.1.running_mean"].numpy().tobytes()
        at = Path("own", name).read_bytes().index(data) + len(data) // 2
        flipped = spoiled(Path("own", name), f"flipped_{name}", at)
        assert "damaged" in run("evaluate", flipped, code=2).stderr
        assert "damaged" in refused(flipped, "small_r18")
        start = ["train", "small_r18", "--data", "my photos", "--run", "next", *SMALL, "--init", flipped]
        assert "damaged" in run(*start, code=2).stderr


def test_what_cannot_tell_loads_as_it_is(net: Any, tmp_path: Path) -> None:
    """PyTorch's older format and others' safetensors have no checksum; that is said where they are read."""
    data = net.head.fuse[0].weight.detach().numpy().tobytes()
    for container in ("legacy", "safetensors"):
        path = save_as(copy_of(net), tmp_path / container, container)
        flipped = spoiled(path, "flipped", path.read_bytes().index(data) + len(data) // 2)
        found = dmnet.load_pretrained("demo_scale", flipped).state_dict()
        assert [name for name, t in copy_of(net).items() if not torch.equal(t, found[name])] == [
            "head.fuse.0.weight"
        ]
    assert "older format and others' safetensors cannot tell" in (pretrained.read_weights.__doc__ or "")


# To start from ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["model.", "averaged", "optimizer and schedule, whole", "whole"])
def test_training_starts_from_what_people_have(kind: str, here: Path) -> None:  # noqa: F811
    run("train", "small_r18", "--data", "my photos", "--run", "own", *SMALL)
    other = build_model("small_r18", **{**vars(dmnet.load_pretrained("own").architecture), "num_classes": 9})
    save_as(KINDS.get(kind, lambda net: net)(other), here / "theirs.pth", "zip")
    command = ["train", "small_r18", "--data", "my photos", "--run", "next", *SMALL, "--init", "theirs.pth"]
    with pytest.warns(UserWarning, match=r"starts from theirs\.pth, but for head\.classify\.weight; head"):
        run(*command, "--learning-rate", "0", "--set", "final_learning_rate=0")
    after = read_weights("next/last.safetensors").tensors
    assert torch.equal(other.state_dict()["head.fuse.0.weight"], after["head.fuse.0.weight"])
    assert after["head.classify.bias"].shape == (3,)


@pytest.mark.parametrize("source", ["ssseg", "mmseg"])
def test_a_file_for_other_classes_is_scored_and_predicts(
    source: str,
    here: Path,  # noqa: F811
) -> None:
    run("train", "small_r18", "--data", "my photos", "--run", "own", *SMALL)
    ours = dmnet.load_pretrained("own")
    save_as({"state_dict": public(ours.state_dict(), source, "model.")}, here / "theirs.pth", "zip")
    wanted = run("evaluate", "own", "--data", "my photos").stdout
    run("predict", "own", "my photos/images/val", "--output", "expected")
    with pytest.MonkeyPatch.context() as patch:  # a system as narrow as the run's, for 21 classes
        narrow = replace(ours.architecture, num_classes=21)
        patch.setitem(systems.zoo().OWN, "small_r18", replace(systems.get("small_r18"), architecture=narrow))
        typed_in = ("--weights", "theirs.pth")
        with pytest.warns(UserWarning, match=r"theirs\.pth is for 3 classes, small_r18 for 21"):
            scored = run("evaluate", "small_r18", *typed_in, "--data", "my photos").stdout
            run("predict", "small_r18", "my photos/images/val", *typed_in, "--output", "found")
    assert scored.splitlines()[1:-1] == wanted.splitlines()[1:-1]
    labels = sorted(Path("expected").glob("*_labels.png"))
    assert labels and all(Path("found", one.name).read_bytes() == one.read_bytes() for one in labels)
