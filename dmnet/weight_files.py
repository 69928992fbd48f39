"""Files of weights: recognised by their content, and read without running anything in them.

Pickled files are only ever read with `weights_only=True`, which builds tensors, numbers and text and nothing
else. Our own files are safetensors, which cannot hold code at all.
"""

import json
import os
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dmnet.errors import CheckpointError
from dmnet.files import atomic_write
from dmnet.zoo.weight_names import listed

PathLike = str | os.PathLike[str]
Container = Literal["safetensors", "zip", "legacy"]
FORMAT = 1  # raise it when files change in a way that an older dmnet must not misread
METADATA_KEY = "dmnet"  # one JSON text: several keys would be written in random order


@dataclass(frozen=True)
class Contents:
    """What a file holds: tensors by the names they have there, and what is noted beside them."""

    container: Container
    tensors: dict[str, Tensor]
    metadata: dict[str, Any]
    own: bool = False  # written by `write_weights`


def read_weights(path: PathLike) -> Contents:
    """Return the contents of a weight file of any kind.

    Raises:
        CheckpointError: if it cannot be read, isn't a checkpoint, is cut off, or holds more than plain data.
    """
    path = Path(path)
    container = _container(path)
    if container == "safetensors":
        return _read_safetensors(path)
    tensors, metadata = _state_dict(path, _unpickle(path, container))
    return Contents(container, tensors, metadata)


def _container(path: Path) -> Container:
    """Tell the kind of file by its first bytes."""
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:  # missing, a folder, not ours to read
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error
    if start.startswith(b"PK\x03\x04"):
        return "zip"
    if start.startswith(b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"):  # PyTorch before 1.6
        return "legacy"
    if start[8:9] == b"{":  # after the length of the header
        return "safetensors"
    raise CheckpointError(f"{path} is not a checkpoint: {_what_else(start)}")


def _what_else(start: bytes) -> str:
    text = start.lstrip().lower()
    if not start:
        return "it is empty"
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "it is a web page; fetch the file itself, not the page that offers it"
    if text.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer; fetch the file itself with `git lfs pull`"
    return f"it begins with {start[:16]!r}"


def _unpickle(path: Path, container: Container) -> Any:
    """Return what torch.load makes of a file without running anything in it."""
    if container == "zip" and not zipfile.is_zipfile(path):
        raise CheckpointError(f"{path} is cut off: its end is missing. Fetch or write it again.")
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=container == "zip")
    except Exception as error:  # a damaged pickle can raise anything
        if refused := re.search(r"GLOBAL (\S+)", str(error)):
            raise CheckpointError(_refusal(path, refused[1])) from None
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise CheckpointError(
            f"{path} is cut off, damaged or no checkpoint ({reason}). Fetch or write it again."
        ) from error


def _refusal(path: Path, refused: str) -> str:
    output = path.with_name(f"{path.stem}_weights.pth")
    return (
        f"{path} holds more than weights: a {refused}, which could run code, so it was not opened. If you "
        "trust where it comes from, copy the weights alone to another file, in Python, and load that one:\n"
        f"    import torch; c = torch.load({str(path)!r}, map_location='cpu', weights_only=False)\n"
        f"    torch.save(c.get('state_dict', c.get('model', c)), {str(output)!r})"
    )


def _state_dict(path: Path, content: Any) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors, and what stands beside them, of an unpickled file."""
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path} is not a checkpoint: it holds a {type(content).__name__}, not a dict")
    key = next((key for key in ("model", "state_dict") if isinstance(content.get(key), Mapping)), None)
    tensors = content if key is None else content[key]
    odd = [str(name) for name, value in tensors.items() if not (isinstance(name, str) and _plain(value))]
    if odd or not tensors:
        what = f"{listed(odd)} is no tensor" if odd else "it holds nothing"
        raise CheckpointError(
            f"{path} is not a checkpoint, alone or with the weights under 'model' or 'state_dict': {what}"
        )
    beside = {} if key is None else {name: content[name] for name in content if name != key}
    meta = beside.get("meta")
    scalars = {str(name): value for name, value in beside.items() if isinstance(value, int | float | str)}
    return dict(tensors), scalars | (dict(meta) if isinstance(meta, Mapping) else {})


def _plain(value: Any) -> bool:
    return isinstance(value, Tensor) and value.layout == torch.strided and not value.is_quantized


def _read_safetensors(path: Path) -> Contents:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            noted = file.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} is cut off, damaged or no checkpoint ({error}). Fetch or write it again."
        ) from error
    if METADATA_KEY not in noted:
        return Contents("safetensors", tensors, noted)
    return Contents("safetensors", tensors, _own_metadata(path, noted[METADATA_KEY]), own=True)


def _own_metadata(path: Path, noted: str) -> dict[str, Any]:
    try:
        metadata = json.loads(noted)
        version = int(metadata["format"])
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} has damaged metadata: {error}") from error
    if version > FORMAT:
        raise CheckpointError(f"{path} was written by a newer dmnet (format {version}); update this one")
    return metadata


def write_weights(path: PathLike, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write safetensors, completely or not at all; equal contents make equal files, byte for byte.

    Args:
        path: file to write.
        tensors: from any device.
        metadata: numbers, text, lists and dicts; anything else is noted as text.

    Raises:
        OSError: if it cannot be written, for example on a full disk; an older file at `path` is then intact.
    """
    noted = {METADATA_KEY: json.dumps({"format": FORMAT, **metadata}, default=str)}
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_write(path) as temporary:
        try:
            save_file(plain, temporary, metadata=noted)
        except SafetensorError as error:
            raise OSError(f"{path} could not be written: {error}") from error
