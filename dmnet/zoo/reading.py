"""Reading weight files, our own and others': all tensors, or a message that says why not; nothing is run."""

import json
import os
import re
import sys
import warnings
import zipfile
from _compat_pickle import REVERSE_IMPORT_MAPPING
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from torch import Tensor, nn

from dmnet.checkpoints import FORMAT, NOTES, PathLike, listed, weights_digest
from dmnet.errors import CheckpointError
from dmnet.zoo.weight_names import starts

LEGACY = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"  # PyTorch's older format begins with this number, pickled
PROGRAMS = {  # what else PyTorch zips, by a file in it: whose program, and how to read its weights
    "constants.pkl": ("TorchScript", "torch.jit.load({!r}, map_location='cpu').state_dict()"),
    "archive_format": ("torch.export", "torch.export.load({!r}).state_dict"),
}
# Objects that are no code: of other packages, classes, by their capital letter; and of Python and NumPy DATA.
STANDARD = sys.stdlib_module_names | set(REVERSE_IMPORT_MAPPING.values())  # pickles have Python 2's names
DATA = re.compile(
    r"builtins\.(getattr|dict|float|frozenset|int|list|range|set|slice|str|tuple)"
    r"|(argparse|collections|datetime|decimal|fractions|pathlib|typing|uuid)\..+|types\.SimpleNamespace"
    r"|numpy\.(dtype|matrix|ndarray|(bool|u?int|float)\d*_?|(_?core\.multiarray|ma|random)\..+)"
)


class Contents(NamedTuple):
    """What a file holds: tensors by the names they have there, and what is noted. Used in {doc}`04_dmnet`."""

    tensors: dict[str, Tensor]
    metadata: dict[str, Any]
    own: bool  # written by `save_weights`


class _Number:
    """What becomes of NumPy's numbers and arrays in a pickle: nothing."""

    def __init__(self, *given: Any) -> None: ...

    __setstate__ = __init__


class _Object:
    """What becomes of other objects: a mapping, with their attributes; nothing is imported, nothing run."""

    def __new__(cls, *given: Any) -> Any:
        return OrderedDict()


def _copy(tensors: str) -> str:
    """Return the remedy for a file that holds more than one network's tensors, which an expression reads."""
    lines = ("import torch, dmnet.zoo", f"torch.save({tensors}, 'weights.pth')")
    return "\n    ".join(["copy the tensors alone to another file and load that:", *lines])


def _unpickle(path: PathLike) -> Any:
    """Return what a file of PyTorch holds, with nothing but tensors and plain data in it."""
    if zipped := zipfile.is_zipfile(path):
        _check_zip(path)
    stand_ins: dict[str, Any] = {}
    while True:
        try:
            allowed = torch.serialization.safe_globals([(kind, name) for name, kind in stand_ins.items()])
            with allowed, warnings.catch_warnings(action="ignore"):  # of a pickle's protocol
                return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
        except Exception as error:
            unknown = re.search(r"GLOBAL (\S+)|Unsupported operand 149", str(error))
            if not unknown and (not stand_ins or isinstance(error, EOFError | RuntimeError)):
                raise  # cut off or damaged
            name = unknown[1] or "pickle.protocol 4" if unknown else [*stand_ins][-1]
            name = name if "." in name else f"builtins.{name}"
            module, _, kind = name.rpartition(".")
            foreign = kind[:1].isupper() and module.split(".")[0] not in STANDARD
            if name in stand_ins or len(stand_ins) > 99 or not (foreign or DATA.fullmatch(name)):
                code = f"torch.load({os.fspath(path)!r}, map_location='cpu', weights_only=False)"
                found = f"{path} holds more than weights: a {name}, which could run code, and was not opened"
                trusted = _copy(f"dmnet.zoo.tensors_in({code})")
                raise CheckpointError(f"{found}. If you trust where it comes from, {trusted}") from None
            stand_ins[name] = _Number if name.startswith("numpy.") else _Object


def _check_zip(path: PathLike) -> None:
    """Raise an error unless a zip is one of `torch.save`, and holds what its checksums say."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        names = {member.filename.partition("/")[2] for member in members}
        for program, code in [PROGRAMS[name] for name in names & PROGRAMS.keys()]:
            trusted = f"If you trust where it comes from, {_copy(code.format(os.fspath(path)))}"
            raise CheckpointError(f"{path} is a program of {program}, which is run, not loaded. {trusted}")
        if "data.pkl" not in names or any(member.compress_type for member in members):
            reason = "a checkpoint is in it, or a folder to be packed again without compression"
            raise ValueError(f"a compressed zip, or none of torch.save; unpack it: {reason}")
        if any(member.CRC for member in members) and (wrong := archive.testzip()):
            raise ValueError(f"the checksum of {wrong} in it is wrong")  # not of files that have none


def tensors_in(content: Any) -> dict[str, Tensor]:
    """Return the dense tensors in a module or in what is nested, by their path. Used in {doc}`04_dmnet`."""
    found: dict[str, Tensor] = {}
    seen: dict[int, Any] = {}  # a pickle may lead to one mapping in very many ways

    def walk(part: Any, name: str) -> None:
        if isinstance(part, nn.Module):
            part = part.state_dict()
        if isinstance(part, Tensor) and name and part.layout == torch.strided and not part.is_quantized:
            found[name] = part
        elif isinstance(part, Mapping | list | tuple) and id(part) not in seen:
            seen[id(part)] = part
            items = part if isinstance(part, Mapping) else {str(i): one for i, one in enumerate(part)}
            inside = getattr(part, "__dict__", {})
            for group in (items, *map(inside.get, ("_parameters", "_buffers", "_modules"))):
                for key, value in group.items() if isinstance(group, Mapping) else ():
                    if isinstance(key, str):
                        walk(value, f"{name}.{key}" if name else key)

    walk(content, "")
    return found


def _read_safetensors(path: PathLike) -> Contents:
    """Return all tensors of a safetensors file, and what is noted there."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dict)
        noted = file.metadata() or {}
    return Contents(tensors, dict(json.loads(noted[NOTES])) if NOTES in noted else noted, NOTES in noted)


def _read_foreign(path: PathLike) -> Contents:
    """Return all tensors in a file of PyTorch, and what stands at its top."""
    content, metadata = _unpickle(path), {}
    if isinstance(content, Mapping):
        metadata = {name: value for name, value in content.items() if isinstance(value, int | float | str)}
        metadata |= content["meta"] if isinstance(content.get("meta"), Mapping) else {}
    return Contents(tensors_in(content), metadata, own=False)


def read_weights(path: PathLike, start: str | None = None) -> Contents:
    """Return the contents of a weight file: safetensors or one of PyTorch's formats, whatever its name.

    The tensors are those of the network that lies anywhere in the file, the metadata what stands at its top:
    mmseg's `meta`, ssseg's counters. Pickles are read with `weights_only=True`, and classes of other packages
    replaced by empty objects. Flipped bits are noticed in our own safetensors and in PyTorch's zip format,
    which has checksums; its older format and others' safetensors cannot tell. Used in {doc}`04_dmnet`.

    If there are several networks, `start` is what the names of the wanted one's tensors begin with.

    Raises:
        CheckpointError: if it cannot be read, isn't a checkpoint, is cut off or damaged, or holds code.
    """
    try:
        with open(path, "rb") as file:
            first = file.read(32)
        if first[8:9] == b"{":  # safetensors: in eight bytes the length of a header, a JSON
            contents = _read_safetensors(path)
        elif LEGACY in first or first.startswith(b"PK"):
            contents = _read_foreign(path)
        else:
            raise ValueError("not of torch.save, nor safetensors: unpack an archive, save a bare pickle anew")
    except CheckpointError:
        raise
    except Exception as error:  # a damaged file can raise anything
        said = str(error).rpartition("WeightsUnpickler error:")[2].strip() or type(error).__name__
        reason = said.splitlines()[0].partition(". ")[0][:200]
        state = "missing" if isinstance(error, FileNotFoundError) else "cut off, damaged or no checkpoint"
        raise CheckpointError(f"{path} is {state} ({reason})") from error
    tensors, metadata, own = contents
    if own and metadata.get("format", 0) not in range(FORMAT + 1):
        raise CheckpointError(f"{path} was written by a newer dmnet; update this one")
    if own and metadata.get("tensors_sha256", digest := weights_digest(tensors)) != digest:
        raise CheckpointError(f"{path} is damaged: its tensors are not what was saved; copy it again")
    if own:
        return contents
    if not tensors:
        raise CheckpointError(f"{path} is no checkpoint: it needs tensors by name")
    possible = starts(tensors) if start is None else [start]
    if len(possible) > 1:
        code = f"dmnet.zoo.read_weights({os.fspath(path)!r}, {possible[0]!r}).tensors"
        places = " and ".join(possible)
        raise CheckpointError(f"{path} holds several networks, under {places}: choose one, {_copy(code)}")
    begin = "".join(possible)
    network = {name.removeprefix(begin): t for name, t in tensors.items() if name.startswith(begin)}
    return Contents(network, metadata, own=False)


def load_weights(module: nn.Module, tensors: Mapping[str, Tensor], path: PathLike) -> None:
    """Copy tensors into a module, strictly and under our names: all, or none. Used in {doc}`04_dmnet`.

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
        lines = [f"  {len(names)} {kind}: {listed(names)}." for kind, names in differences.items() if names]
        bias = tensors.get(last := "head.classify.bias")
        if bias is not None and last in wanted and bias.shape != wanted[last].shape:
            lines.append(f"Build the model with num_classes={bias.numel()}, as the file has it.")
        raise CheckpointError("\n".join([f"{path} does not fit the model.", *lines]))
    if bad := [name for name, tensor in tensors.items() if not tensor.float().isfinite().all()]:
        where = f"{path} holds numbers that are not finite, in {len(bad)} tensors: {listed(bad)}"
        raise CheckpointError(f"{where}. Has its training diverged? Take an earlier one, or fetch it again.")
    module.load_state_dict(tensors)


def _difference(found: Tensor, wanted: Tensor) -> str:
    """Say why a tensor cannot be copied into another: any float can into a float, integer into integer."""
    both_ways = ((found.dtype, wanted.dtype), (wanted.dtype, found.dtype))
    if found.shape == wanted.shape and all(torch.can_cast(*types) for types in both_ways):
        return ""
    return " in the file, ".join(f"{str(one.dtype)[6:]} {list(one.shape)}" for one in (found, wanted))
