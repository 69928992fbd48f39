"""Weights on disk: our own files, safetensors, which hold no code; those of others are for `dmnet.zoo`."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from dmnet.errors import CheckpointError
from dmnet.files import atomic_write
from dmnet.model import DMNet

PathLike = str | os.PathLike[str]
FORMAT = 1  # raise it when files change in a way that an older dmnet must not misread
NOTES = "dmnet"  # one JSON text: several keys would be written in random order


class Contents(NamedTuple):
    """What a file holds: tensors by the names they have there, and what is noted. Used in {doc}`05_dmnet`."""

    tensors: dict[str, Tensor]
    metadata: dict[str, Any]
    own: bool  # written by `save_weights`


def read_weights(path: PathLike) -> Contents:
    """Return the contents of a safetensors file, and what `save_weights` noted. Used in {doc}`05_dmnet`.

    Raises:
        CheckpointError: if it cannot be read, is no such file, cut off, or that of a newer version.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dict)
            noted = file.metadata() or {}
        metadata = dict(json.loads(noted[NOTES])) if (own := NOTES in noted) else noted
    except Exception as error:  # a damaged file can raise anything
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise CheckpointError(f"{path} is missing, cut off, damaged or no checkpoint ({reason})") from error
    if own and metadata.get("format", 0) not in range(FORMAT + 1):
        raise CheckpointError(f"{path} was written by a newer dmnet; update this one")
    return Contents(tensors, metadata, own)


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
            f"{name} is {difference} in the model"
            for name, tensor in wanted.items()
            if name in tensors and (difference := _difference(tensors[name], tensor))
        ],
    }
    if any(differences.values()):
        lines = [f"  {len(names)} {kind}: {listed(names)}" for kind, names in differences.items() if names]
        bias = tensors.get(last := "head.classify.bias")
        if bias is not None and last in wanted and bias.shape != wanted[last].shape:
            lines.append(f"Build the model with num_classes={bias.numel()}, as the file has it.")
        raise CheckpointError("\n".join([f"{path} does not fit the model.", *lines]))
    if bad := [name for name, tensor in tensors.items() if not tensor.float().isfinite().all()]:
        raise CheckpointError(
            f"{path} holds numbers that are not finite, in {len(bad)} tensors: {listed(bad)}. The training "
            "that wrote it has diverged, or the file is damaged: take an earlier one, or fetch it again."
        )
    module.load_state_dict(tensors)


def _difference(found: Tensor, wanted: Tensor) -> str:
    """Say why a tensor cannot be copied into another: any float can into a float, integer into integer."""
    both_ways = ((found.dtype, wanted.dtype), (wanted.dtype, found.dtype))
    if found.shape == wanted.shape and all(torch.can_cast(*types) for types in both_ways):
        return ""
    return " in the file, ".join(f"{str(one.dtype)[6:]} {list(one.shape)}" for one in (found, wanted))


def listed(names: Sequence[str], most: int = 3) -> str:
    """Return the first few names as text, and how many more there are. Used in {doc}`05_dmnet`."""
    return "; ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def weights_digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of tensors: names, types, shapes and bytes. Used in {doc}`07_evaluation`."""
    total = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        total.update(f"{name} {tensor.dtype} {list(tensor.shape)}\0".encode())
        total.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def save_weights(model: DMNet, path: PathLike, **metadata: Any) -> None:
    """Write a model's weights as safetensors, completely or not at all. Used in {doc}`06_training`.

    The file also says which system it is: architecture, class names, recipe and evaluation protocol; and the
    tensors' digest. Equal weights make equal files, byte for byte.

    Args:
        model: its parameters and buffers are written, as they are, from any device.
        path: file to write, by custom `*.safetensors`.
        **metadata: what else to note, under names of your own: numbers, text, lists; the rest as text.

    Raises:
        ValueError: if a name in `metadata` is one that the file uses itself.
        OSError: if it cannot be written, for example on a full disk; an older file at `path` is then intact.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    noted: dict[str, Any] = {"format": FORMAT, "architecture": asdict(model.architecture)}
    noted["tensors_sha256"] = weights_digest(tensors)
    if system := model.system:
        noted |= {"system": system.name, "dataset": system.dataset, "classes": system.classes}
        noted |= {"recipe": asdict(system.recipe), "evaluation": asdict(system.evaluation)}
    if taken := sorted(noted.keys() & metadata.keys()):
        raise ValueError(f"metadata must not be called {', '.join(taken)}: the file uses that name itself")
    with atomic_write(path) as temporary:
        temporary.write_bytes(save(tensors, {NOTES: json.dumps(noted | metadata, default=str)}))
