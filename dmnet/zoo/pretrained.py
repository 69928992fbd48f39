"""Others' weights: fetched, verified, translated to our names, loaded strictly and kept as our own files."""

import os
import warnings
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from filelock import FileLock
from torch import Tensor, nn
from torchvision.models import get_weight

from dmnet import checkpoints, systems
from dmnet.checkpoints import PathLike
from dmnet.download import download, sha256_of
from dmnet.errors import CheckpointError, DMNetError, DownloadError
from dmnet.files import data_dir, shipped
from dmnet.model import DMNet, build_model, from_system
from dmnet.runs import read_json
from dmnet.systems import Architecture, Evaluation, Recipe, System
from dmnet.zoo.reading import Contents, load_weights, read_weights
from dmnet.zoo.reading import tensors_in as tensors_in
from dmnet.zoo.weight_names import Source, translate

IMAGENET: dict[tuple[str, str], str] = {  # (backbone, stem) -> torchvision's name, or an address
    ("resnet18", "plain"): "ResNet18_Weights.IMAGENET1K_V1",
    ("resnet50", "plain"): "ResNet50_Weights.IMAGENET1K_V1",
    ("resnet101", "plain"): "ResNet101_Weights.IMAGENET1K_V1",
    ("resnet50", "deep"): "https://download.openmmlab.com/pretrain/third_party/resnet50_v1c-2cccc1ad.pth",
    ("resnet101", "deep"): "https://download.openmmlab.com/pretrain/third_party/resnet101_v1c-e67eebb6.pth",
}


class Report(NamedTuple):
    """What was loaded. Used in {doc}`04_dmnet`."""

    source: Source  # whose names the file uses
    tensors: int
    metadata: dict[str, Any]  # mmseg's `meta`, ssseg's counters, or what `save_weights` noted


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
    """Load a checkpoint of ssseg, mmseg or our own into `model`, strictly. Shown in {doc}`04_dmnet`.

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
    load_weights(model, _counters(model) | tensors, path)
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
        call = "load_pretrained(name, path), in the shell NAME --weights FILE; `dmnet systems` lists names"
        raise CheckpointError(f"{path} does not say which system it belongs to. Name that: {call}.")
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
    load_weights(model, contents.tensors, path)
    return model


def pretrained_file(name: str) -> Path:
    """Return the file of a system's trained weights, fetched and converted if need be.

    Raises what `load_pretrained` raises. Used in {doc}`12_zoo`.
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
    """Return the SHA-256 of a file, or of the one it was converted from. Used in {doc}`12_zoo`."""
    return read_weights(path).metadata.get("sha256") or sha256_of(path)


def load_imagenet(model: DMNet) -> None:
    """Load public ImageNet weights into the backbone. Used in {doc}`06_training`.

    They are fetched once, verified by the digest in their names, and kept in `downloads/` of the data folder.
    A CheckpointError if there are none for this backbone, a DownloadError if they cannot be fetched.
    """
    a = model.architecture
    if (a.backbone, a.stem) not in IMAGENET:
        backbone = f"{a.backbone} with a {a.stem} stem"
        raise CheckpointError(f"there are no public ImageNet weights for {backbone}: train from scratch")
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
    load_weights(backbone, _counters(backbone) | found, path)


def _downloads(url: str) -> Path:
    return data_dir() / "downloads" / url.rpartition("/")[2]


def _fetch(url: str, sha256: str | None, advice: str = "") -> Path:
    path = _downloads(url)
    try:
        return download(url, path, sha256)
    except DownloadError as error:
        by_hand = f"fetch {url} elsewhere, put the file at {path} and try again; nothing else is needed"
        raise DownloadError(f"{error}\nWithout a network: {by_hand}.{advice}") from error
