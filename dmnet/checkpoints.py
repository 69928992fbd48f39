"""Weights on disk: read without running their code, loaded wholly or not at all, saved with their system.

Our own files are safetensors, which cannot hold code. Pickled files are read with `weights_only=True`, which
builds tensors, numbers and text, nothing else. Files under others' names are for `dmnet.zoo`.
"""

import json
import os
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from dmnet.errors import CheckpointError
from dmnet.files import atomic_write
from dmnet.model import DMNet
from dmnet.systems import Architecture, Evaluation, Recipe, System

PathLike = str | os.PathLike[str]
FORMAT = 1  # raise it when files change in a way that an older dmnet must not misread
NOTES = "dmnet"  # one JSON text: several keys would be written in random order


@dataclass(frozen=True)
class Contents:
    """What a file holds: tensors by the names they have there, and what is noted. Used in {doc}`05_dmnet`."""

    tensors: dict[str, Tensor]
    metadata: dict[str, Any]
    own: bool  # written by `save_weights`


def read_weights(path: PathLike) -> Contents:
    """Return the contents of a weight file: safetensors or one of PyTorch's formats, whatever its name.

    The tensors are all of the file, or its entry "model" or "state_dict"; the metadata is what `save_weights`
    noted, or what stands beside them: mmseg's `meta`, ssseg's counters. Used in {doc}`05_dmnet`.

    Raises:
        CheckpointError: if it cannot be read, isn't a checkpoint, is cut off, or holds more than plain data.
    """
    metadata: dict[str, Any] = {}
    try:
        with open(path, "rb") as file:
            start = file.read(9)
        if own := start[8:] == b"{":  # safetensors: the length of a header in eight bytes, the header, a JSON
            with safe_open(path, framework="pt") as opened:
                content: Any = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
                metadata = opened.metadata() or {}
            if own := NOTES in metadata:
                metadata = dict(json.loads(metadata[NOTES]))
        else:
            mapped = zipfile.is_zipfile(path)
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # a damaged file can raise anything
        if refused := re.search(r"GLOBAL (\S+)", str(error)):
            raise CheckpointError(
                f"{path} holds more than weights: a {refused[1]}, which could run code, and was not opened. "
                "If you trust where it comes from, copy the weights alone to another file and load that:\n"
                f"    c = torch.load({str(path)!r}, map_location='cpu', weights_only=False)\n"
                "    torch.save(c.get('state_dict', c.get('model', c)), 'weights.pth')"
            ) from None
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise CheckpointError(f"{path} is missing, cut off, damaged or no checkpoint ({reason})") from error
    for key in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            metadata |= {k: value for k, value in content.items() if isinstance(value, int | float | str)}
            if isinstance(content.get("meta"), Mapping):
                metadata |= content["meta"]
            content = content[key]
    if not isinstance(content, Mapping) or not content or not all(map(_is_plain, content.items())):
        raise CheckpointError(
            f"{path} is no checkpoint: it needs tensors by name, alone or under 'model' or 'state_dict'"
        )
    if own and metadata.get("format", 0) > FORMAT:
        raise CheckpointError(f"{path} was written by a newer dmnet; update this one")
    return Contents(dict(content), metadata, own)


def _is_plain(item: tuple[Any, Any]) -> bool:
    name, value = item
    dense = isinstance(value, Tensor) and value.layout == torch.strided and not value.is_quantized
    return isinstance(name, str) and dense


def load_weights(module: nn.Module, tensors: Mapping[str, Tensor], path: PathLike) -> None:
    """Copy tensors into a module, strictly and under our names: all, or none. Used in {doc}`05_dmnet`.

    Args:
        module: a model or a part of it.
        tensors: one for each of its parameters and buffers; other types of float are converted.
        path: where they come from, for the message.

    Raises:
        CheckpointError: if one is missing, too many, misshapen or not finite; the module is untouched.
    """
    wanted = module.state_dict()
    differences = {
        "missing": [name for name in wanted if name not in tensors],
        "unexpected": [name for name in tensors if name not in wanted],
        "of another shape or type": [
            f"{name} is {_kind(tensors[name])} in the file, {_kind(tensor)} in the model"
            for name, tensor in wanted.items()
            if name in tensors and not _fits(tensors[name], tensor)
        ],
    }
    if any(differences.values()):
        lines = [f"  {len(names)} {kind}: {listed(names)}" for kind, names in differences.items() if names]
        bias = tensors.get(last := "head.classify.bias")
        if bias is not None and last in wanted and bias.shape != wanted[last].shape:
            lines.append(f"Build the model with num_classes={bias.numel()}, as the file has it.")
        raise CheckpointError("\n".join([f"{path} does not fit the model.", *lines]))
    floats = {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}
    if bad := [name for name, tensor in floats.items() if not tensor.float().isfinite().all()]:
        raise CheckpointError(
            f"{path} holds numbers that are not finite, in {len(bad)} tensors: {listed(bad)}. The training "
            "that wrote it has diverged, or the file is damaged: take an earlier one, or fetch it again."
        )
    module.load_state_dict(tensors)


def _fits(found: Tensor, wanted: Tensor) -> bool:
    """Tell whether a tensor can be copied into another: any float into a float, integer into integer."""
    both_ways = ((found.dtype, wanted.dtype), (wanted.dtype, found.dtype))
    return found.shape == wanted.shape and all(torch.can_cast(*types) for types in both_ways)


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def listed(names: Sequence[str], most: int = 3) -> str:
    """Return the first few names as text, and how many more there are. Used in {doc}`05_dmnet`."""
    return "; ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def model_from_file(path: PathLike) -> DMNet:
    """Build the network that one of our own files describes, and load it. Used in {doc}`06_training`.

    Returns:
        The model, in evaluation mode, on the CPU.

    Raises:
        CheckpointError: if the file isn't one of our own, or isn't a checkpoint at all.
    """
    contents = read_weights(path)
    if not contents.own:
        raise CheckpointError(
            f"{path} does not say which system it belongs to. Name it: build_model(name), then "
            "load_checkpoint(model, path); `dmnet systems` lists the names."
        )
    noted, renamed = contents.metadata, {"max_class_share": "cat_max_ratio"}  # older files have the old name
    try:
        architecture = Architecture(**noted["architecture"])
        model = DMNet(architecture)
        if "system" in noted:
            model.system = System(
                name=noted["system"],
                dataset=noted["dataset"],
                classes=tuple(noted["classes"]),
                architecture=architecture,
                recipe=Recipe(**{renamed.get(key, key): value for key, value in noted["recipe"].items()}),
                evaluation=Evaluation(**noted["evaluation"]),
            )
    except (KeyError, TypeError, ValueError) as error:
        reason = f"{path} describes a network that this dmnet cannot build ({error}); update dmnet"
        raise CheckpointError(reason) from error
    load_weights(model, contents.tensors, path)
    return model.eval()


def save_weights(model: DMNet, path: PathLike, **metadata: Any) -> None:
    """Write a model's weights as safetensors, completely or not at all. Used in {doc}`06_training`.

    The file also says which system it is: architecture, class names, recipe and evaluation protocol. Equal
    weights make equal files, byte for byte.

    Args:
        model: its parameters and buffers are written, as they are, from any device.
        path: file to write, by custom `*.safetensors`.
        **metadata: what else to note, under names of your own: numbers, text, lists; the rest as text.

    Raises:
        ValueError: if a name in `metadata` is one that the file uses itself.
        OSError: if it cannot be written, for example on a full disk; an older file at `path` is then intact.
    """
    noted: dict[str, Any] = {"format": FORMAT, "architecture": asdict(model.architecture)}
    if system := model.system:
        noted |= {"system": system.name, "dataset": system.dataset, "classes": system.classes}
        noted |= {"recipe": asdict(system.recipe), "evaluation": asdict(system.evaluation)}
    if taken := sorted(noted.keys() & metadata.keys()):
        raise ValueError(f"metadata must not be called {', '.join(taken)}: the file uses that name itself")
    text = json.dumps(noted | metadata, default=str)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    try:
        with atomic_write(path) as temporary:
            save_file(tensors, temporary, metadata={NOTES: text})
    except SafetensorError as error:
        raise OSError(f"{path} could not be written: {error}") from error
