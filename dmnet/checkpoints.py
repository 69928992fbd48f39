"""Weights on disk: how our own files are written, safetensors without code; `dmnet.zoo` reads all kinds."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from dmnet.files import atomic_write
from dmnet.model import DMNet

PathLike = str | os.PathLike[str]
FORMAT = 1  # raise it when files change in a way that an older dmnet must not misread
NOTES = "dmnet"  # one JSON text: several keys would be written in random order


def listed(names: Sequence[str], most: int = 3) -> str:
    """Return the first few names as text, and how many more there are. Used in {doc}`04_dmnet`."""
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
