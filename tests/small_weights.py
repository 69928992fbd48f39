"""Small networks and their weights under all three implementations' names, for tests of weight files."""

import contextlib
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from dmnet.errors import CheckpointError
from dmnet.model import DMNet, build_model
from dmnet.zoo import load_checkpoint

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


def save_as(content: Any, path: Path, container: str) -> Path:
    if container == "safetensors":
        safetensors.torch.save_file(content, path)
    else:
        torch.save(content, path, _use_new_zipfile_serialization=container == "zip")
    return path


def typed(message: str, folder: Path) -> Path:
    """Run the lines of a message's remedy, as they are printed, and return the file that they write."""
    with contextlib.chdir(folder):
        exec("\n".join(line.strip() for line in message.splitlines() if line.startswith("    ")), {})
    return folder / "weights.pth"


# Fixtures; a file that imports them says `# ruff: noqa: F811` (they are arguments of its tests too).


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
