"""Others' weights: fetched, verified, translated to our names, loaded strictly and kept as our own files."""

import os
import re
import sys
import warnings
import zipfile
from _compat_pickle import REVERSE_IMPORT_MAPPING
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from filelock import FileLock
from torch import Tensor, nn
from torchvision.models import get_weight

from dmnet import checkpoints, systems
from dmnet.checkpoints import Contents, PathLike, weights_digest
from dmnet.download import download, sha256_of
from dmnet.errors import CheckpointError, DMNetError, DownloadError
from dmnet.files import data_dir, shipped
from dmnet.model import DMNet, build_model, from_system
from dmnet.runs import read_json
from dmnet.systems import Architecture, Evaluation, Recipe, System
from dmnet.zoo.weight_names import Source, starts, translate

IMAGENET: dict[tuple[str, str], str] = {  # (backbone, stem) -> torchvision's name, or an address
    ("resnet18", "plain"): "ResNet18_Weights.IMAGENET1K_V1",
    ("resnet50", "plain"): "ResNet50_Weights.IMAGENET1K_V1",
    ("resnet101", "plain"): "ResNet101_Weights.IMAGENET1K_V1",
    ("resnet50", "deep"): "https://download.openmmlab.com/pretrain/third_party/resnet50_v1c-2cccc1ad.pth",
    ("resnet101", "deep"): "https://download.openmmlab.com/pretrain/third_party/resnet101_v1c-e67eebb6.pth",
}
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


class Report(NamedTuple):
    """What was loaded. Used in {doc}`05_dmnet`."""

    source: Source  # whose names the file uses
    tensors: int
    metadata: dict[str, Any]  # mmseg's `meta`, ssseg's counters, or what `save_weights` noted


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
                raise CheckpointError(
                    f"{path} holds more than weights: a {name}, which could run code, and was not opened. If "
                    f"you trust where it comes from, {_copy(f'dmnet.zoo.tensors_in({code})')}"
                ) from None
            stand_ins[name] = _Number if name.startswith("numpy.") else _Object


def _check_zip(path: PathLike) -> None:
    """Raise an error unless a zip is one of `torch.save`, and holds what its checksums say."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        names = {member.filename.partition("/")[2] for member in members}
        for program, code in [PROGRAMS[name] for name in names & PROGRAMS.keys()]:
            raise CheckpointError(
                f"{path} is a program of {program}, which is run, not loaded. If you trust where it comes "
                f"from, {_copy(code.format(os.fspath(path)))}"
            )
        if "data.pkl" not in names or any(member.compress_type for member in members):
            reason = "a checkpoint is in it, or a folder to be packed again without compression"
            raise ValueError(f"a compressed zip, or none of torch.save. Unpack it: {reason}")
        if any(member.CRC for member in members) and (wrong := archive.testzip()):
            raise ValueError(f"the checksum of {wrong} in it is wrong")  # not of files that have none


def tensors_in(content: Any) -> dict[str, Tensor]:
    """Return the dense tensors in a module or in what is nested, by their path. Used in {doc}`05_dmnet`."""
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
    which has checksums; its older format and others' safetensors cannot tell. Used in {doc}`05_dmnet`.

    If there are several networks, `start` is what the names of the wanted one's tensors begin with.

    Raises:
        CheckpointError: if it cannot be read, isn't a checkpoint, is cut off or damaged, or holds code.
    """
    try:
        with open(path, "rb") as file:
            first = file.read(32)
        if first[8:9] == b"{":  # safetensors: in eight bytes the length of a header, a JSON
            contents = checkpoints.read_weights(path)
        elif LEGACY in first or first.startswith(b"PK"):
            contents = _read_foreign(path)
        else:
            raise ValueError("not of torch.save, nor safetensors: unpack an archive, save a bare pickle anew")
    except CheckpointError:
        raise
    except Exception as error:  # a damaged file can raise anything
        said = str(error).rpartition("WeightsUnpickler error:")[2].strip() or type(error).__name__
        reason = said.splitlines()[0][:200]
        raise CheckpointError(f"{path} is missing, cut off, damaged or no checkpoint ({reason})") from error
    tensors, metadata, own = contents
    if own and metadata.get("tensors_sha256", digest := weights_digest(tensors)) != digest:
        raise CheckpointError(f"{path} is damaged: its tensors are not what was saved; copy it again")
    if own:
        return contents
    if not tensors:
        raise CheckpointError(f"{path} is no checkpoint: it needs tensors by name")
    possible = starts(tensors) if start is None else [start]
    if len(possible) > 1:
        code = f"dmnet.zoo.read_weights({os.fspath(path)!r}, {possible[0]!r}).tensors"
        raise CheckpointError(
            f"{path} holds several networks, under {' and '.join(possible)}: choose one, {_copy(code)}"
        )
    begin = "".join(possible)
    network = {name.removeprefix(begin): t for name, t in tensors.items() if name.startswith(begin)}
    return Contents(network, metadata, own=False)


def weights_of(path: PathLike) -> Path:
    """Return the newest weights in a run's folder, or a file as it is. Used in {doc}`06_training`.

    Raises a CheckpointError if the folder has none.
    """
    folder = Path(path)
    files = [file for name in ("last.safetensors", "last.ckpt") if (file := folder / name).is_file()]
    if folder.is_dir() and not files:
        raise CheckpointError(f"{folder} is no run: it has neither last.safetensors nor last.ckpt")
    return max(files, key=lambda file: file.stat().st_mtime_ns, default=folder)


def recorded(path: PathLike) -> dict[str, Any]:
    """Return a run's `config.json`, by its folder or a file of it, or {}. Used in {doc}`06_training`."""
    folder, config = Path(path) if Path(path).is_dir() else Path(path).parent, {}
    if str(path) not in systems.names():
        with suppress(DMNetError, OSError):
            config = read_json(folder / "config.json", dict)
    return config if isinstance(config.get("system"), dict) else {}


def load_checkpoint(model: DMNet, path: PathLike) -> Report:
    """Load a checkpoint of ssseg, mmseg or our own into `model`, strictly. Shown in {doc}`05_dmnet`.

    Published and training files, models saved whole, averaged, wrapped or in a Lightning module, see
    `read_weights`; `path` may also be a run's folder. Half precision is converted. The output stride of a
    public file cannot be told from its tensors: build the system that belongs to it.

    Raises:
        CheckpointError: as `read_weights`; if a tensor is missing, one too many, doesn't fit or isn't finite,
            or the file belongs to another system. The model is untouched.
    """
    path = weights_of(path)
    return _load(model, path, read_weights(path))


def load_initial(model: DMNet, source: PathLike) -> list[str]:
    """Load a file's, a run's or a system's weights to train on from, and return what was left out.

    Left as they are in `model` are the classifiers' tensors that the file has for another number of classes.
    All others are loaded as by `load_checkpoint`, which says what is an error. Used in {doc}`06_training`.
    """
    path = pretrained_file(str(source)) if os.fspath(source) in systems.names() else weights_of(source)
    left: list[str] = []
    _load(model, path, read_weights(path), left)
    return left


def _load(model: DMNet, path: Path, contents: Contents, left: list[str] | None = None) -> Report:
    """Load a file's tensors; with a list `left`, classifiers for other classes are left out and put there."""
    try:
        source, tensors = translate(contents.tensors)
    except CheckpointError as error:
        raise CheckpointError(f"{path} {error}") from error
    # What no shape tells, but our own files note:
    ours, noted = model.architecture, contents.metadata.get("architecture") if contents.own else None
    noted = noted if isinstance(noted, dict) else {}
    if (sizes := noted.get("filter_sizes", [*ours.filter_sizes])) != [*ours.filter_sizes]:
        raise CheckpointError(f"{path} was trained with filter_sizes={sizes}, not {[*ours.filter_sizes]}")
    if (stride := noted.get("output_stride", ours.output_stride)) != ours.output_stride:
        text = f"{path} was trained at output stride {stride}, the model has {ours.output_stride}"
        warnings.warn(f"{text}: it works, with other results", stacklevel=3)
    if left is not None:
        wanted = model.state_dict()
        layers = [name for name in wanted if name.startswith(("head.classify.", "auxiliary.4."))]
        left += [name for name in layers if name in tensors and tensors[name].shape != wanted[name].shape]
        tensors |= {name: wanted[name] for name in left}
    checkpoints.load_weights(model, _counters(model) | tensors, path)
    return Report(source, len(contents.tensors), contents.metadata)


def _counters(module: nn.Module) -> dict[str, Tensor]:
    """Return batch norm's counters, which old files lack and nothing here reads."""
    return {name: t for name, t in module.state_dict().items() if name.endswith("num_batches_tracked")}


def load_pretrained(name_or_path: PathLike, weights: PathLike | None = None) -> DMNet:
    """Return a system in evaluation mode with its trained weights, the project's own or the published ones.

    Published weights are fetched once (about 220 to 440 MB), verified, converted to safetensors and kept in
    `checkpoints/` of the data folder (`dmnet.files.data_dir`). Without a network, put the published file into
    `downloads/` there, under its own name; it is verified and converted alike. Used in {doc}`welcome`.

    Args:
        name_or_path: a name of `dmnet.systems`, a run's folder, its `last.ckpt`, or our own weight file.
        weights: anyone's file to load instead, for as many classes as it has; one that names this very system
            is loaded as it describes it.

    Raises:
        UnknownSystemError: if it is neither a system's name nor a path.
        CheckpointError: if the system has no trained weights, or the file doesn't hold them.
        DownloadError: if they cannot be fetched; the message says where to put a file fetched by hand.
    """
    name = os.fspath(name_or_path)
    known = name in systems.names()
    if weights is not None:
        contents = read_weights(path := weights_of(weights))
        with suppress(CheckpointError):
            model = _described(path, contents)
            if model.system and model.system.name == name:
                return model
        model = _for_classes(name, path, contents) if known else load_pretrained(name)
        _load(model, path, contents)
        return model.eval()
    if not known and (Path(name).exists() or Path(name).name != name or "." in name):
        return _described(path := weights_of(name), read_weights(path))
    path, model = pretrained_file(name), build_model(name).eval()
    try:
        load_checkpoint(model, path)
    except CheckpointError as error:
        if systems.get(name).published is None:
            raise
        raise CheckpointError(f"{error}\nDelete {path} and it is fetched again.") from error
    return model


def _for_classes(name: str, path: Path, contents: Contents) -> DMNet:
    """Build a system for as many classes as a file has."""
    system, bias = systems.get(name), None
    with suppress(CheckpointError):
        bias = translate(contents.tensors)[1].get("head.classify.bias")
    if bias is not None and (count := bias.numel()) != system.architecture.num_classes:
        text = f"{path} is for {count} classes, {name} for {system.architecture.num_classes}"
        warnings.warn(f"{text}: they go by their numbers here", stacklevel=3)
        system = replace(system, architecture=replace(system.architecture, num_classes=count), classes=())
    return from_system(system)


def _described(path: Path, contents: Contents) -> DMNet:
    """Return the network that one of our own files describes, loaded."""
    noted = contents.metadata
    if not contents.own and (system := recorded(path).get("system")):  # a run's last.ckpt
        noted = system | {"system": system.get("name")}
    elif not contents.own:
        raise CheckpointError(
            f"{path} does not say which system it belongs to. Name that: load_pretrained(name, path), in the "
            "shell NAME --weights FILE; `dmnet systems` lists the names."
        )
    renamed = {"max_class_share": "cat_max_ratio"}  # older files have the old names
    try:
        architecture, system = Architecture(**noted["architecture"]), None
        if "system" in noted:
            settings = {renamed.get(key, key): value for key, value in noted["recipe"].items()}
            if (first := settings.pop("background_weight", 1)) != 1:  # of class 0, in older files
                settings["class_weights"] = [first]
            about = {"name": noted["system"], "dataset": noted["dataset"], "classes": tuple(noted["classes"])}
            recipe, how = Recipe(**settings), Evaluation(**noted["evaluation"])
            system = System(**about, architecture=architecture, recipe=recipe, evaluation=how)
        with torch.device("meta"):  # which takes no memory, whatever sizes are noted
            needed = sum(tensor.numel() for tensor in DMNet(architecture).state_dict().values())
    except Exception as error:  # notes can be anything
        reason = f"{path} describes a network that this dmnet cannot build ({error}); update dmnet"
        raise CheckpointError(reason) from error
    if needed > (there := sum(tensor.numel() for tensor in contents.tensors.values())):
        raise CheckpointError(f"{path} is damaged: it describes {needed:,} numbers and holds {there:,}")
    model = DMNet(architecture).eval()
    model.system = system
    checkpoints.load_weights(model, contents.tensors, path)
    return model


def pretrained_file(name: str) -> Path:
    """Return the file of a system's trained weights, fetched and converted if need be.

    Raises what `load_pretrained` raises. Used in {doc}`07_evaluation`.
    """
    system = systems.get(name)
    if system.weights:
        return shipped("weights", system.weights)
    if system.published is None:
        raise CheckpointError(f"{name} has no trained weights: dmnet train {name} --data FOLDER --run RUN")
    converted = data_dir() / "checkpoints" / f"{name}.safetensors"
    if converted.exists():
        return converted
    converted.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(converted.with_name(f".{converted.name}.lock")):  # of several processes, one converts
        if not converted.exists():
            url, model = system.published.model_url, from_system(system)
            by_hand = _downloads(url).exists()
            original = _fetch(url, system.published.sha256_prefix)
            try:
                load_checkpoint(model, original)
            except CheckpointError:
                if not by_hand:
                    original.unlink()  # a login page, say
                raise
            checkpoints.save_weights(model, converted, url=url, sha256=sha256_of(original))
            if not by_hand:
                original.unlink()  # the converted file replaces it
    return converted


def published_digest(path: PathLike) -> str:
    """Return the SHA-256 of a file, or of the one it was converted from. Used in {doc}`07_evaluation`."""
    return read_weights(path).metadata.get("sha256") or sha256_of(path)


def load_imagenet(model: DMNet) -> None:
    """Load public ImageNet weights into the backbone. Used in {doc}`06_training`.

    They are fetched once, verified by the digest in their names, and kept in `downloads/` of the data folder.

    Raises:
        CheckpointError: if there are none for this backbone.
        DownloadError: if they cannot be fetched.
    """
    a = model.architecture
    if (a.backbone, a.stem) not in IMAGENET:
        raise CheckpointError(
            f"there are no public ImageNet weights for {a.backbone} with a {a.stem} stem: train from scratch"
        )
    weights = IMAGENET[a.backbone, a.stem]
    url = weights if weights.startswith("https:") else get_weight(weights).url
    advice = " To train from random weights, which takes far longer: pretrained=False (--no-pretrained)."
    load_backbone(model, _fetch(url, url.removesuffix(".pth").rpartition("-")[2], advice))


def load_backbone(model: DMNet, path: PathLike) -> None:
    """Load a classification network's weights, but its `fc.*`, into the backbone. Used in {doc}`06_training`.

    Strictly; raises a CheckpointError as `load_checkpoint` does.
    """
    backbone = cast(nn.Module, model.backbone)
    found = {name: t for name, t in read_weights(path).tensors.items() if not name.startswith("fc.")}
    checkpoints.load_weights(backbone, _counters(backbone) | found, path)


def _downloads(url: str) -> Path:
    return data_dir() / "downloads" / url.rpartition("/")[2]


def _fetch(url: str, sha256: str | None, advice: str = "") -> Path:
    path = _downloads(url)
    try:
        return download(url, path, sha256)
    except DownloadError as error:
        raise DownloadError(
            f"{error}\nWithout a network: fetch {url} elsewhere, put the file at {path} and try again; "
            f"nothing else is needed.{advice}"
        ) from error
