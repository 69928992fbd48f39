"""Others' weights: fetched, verified, translated to our names, loaded strictly and kept as our own files."""

import os
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from filelock import FileLock
from torch import Tensor, nn
from torchvision.models import get_weight

from dmnet import checkpoints, systems
from dmnet.checkpoints import Contents, PathLike
from dmnet.download import download, sha256_of
from dmnet.errors import CheckpointError, DownloadError
from dmnet.files import data_dir, shipped
from dmnet.model import DMNet, build_model, from_system
from dmnet.systems import Architecture, Evaluation, Recipe, System
from dmnet.zoo.weight_names import Source, translate, unwrapped

V1C = "https://download.openmmlab.com/pretrain/third_party/"
IMAGENET: dict[tuple[str, str], str] = {  # (backbone, stem) -> torchvision's name, or an address
    ("resnet18", "plain"): "ResNet18_Weights.IMAGENET1K_V1",
    ("resnet50", "plain"): "ResNet50_Weights.IMAGENET1K_V1",
    ("resnet101", "plain"): "ResNet101_Weights.IMAGENET1K_V1",
    ("resnet50", "deep"): V1C + "resnet50_v1c-2cccc1ad.pth",
    ("resnet101", "deep"): V1C + "resnet101_v1c-e67eebb6.pth",
}


@dataclass(frozen=True)
class Report:
    """What was loaded: whose names the file uses, how much, what is noted. Used in {doc}`05_dmnet`."""

    path: Path
    source: Source
    tensors: int
    metadata: dict[str, Any]


def read_weights(path: PathLike) -> Contents:
    """Return the contents of a weight file: safetensors or one of PyTorch's formats, whatever its name.

    Pickles are read with `weights_only=True`, which builds tensors, numbers and text, nothing else. The
    tensors are all of the file, or its entry "model" or "state_dict"; the metadata is what stands beside
    them: mmseg's `meta`, ssseg's counters. Used in {doc}`05_dmnet`.

    Raises:
        CheckpointError: if it cannot be read, isn't a checkpoint, is cut off, or holds more than plain data.
    """
    try:
        with open(path, "rb") as file:
            safe = file.read(9)[8:] == b"{"  # safetensors: in eight bytes the length of a header, a JSON
        mapped = zipfile.is_zipfile(path)
        content = None if safe else torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
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
    if safe:
        return checkpoints.read_weights(path)
    metadata: dict[str, Any] = {}
    for key in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            metadata = {
                name: value for name, value in content.items() if isinstance(value, int | float | str)
            }
            metadata |= content["meta"] if isinstance(content.get("meta"), Mapping) else {}
            content = content[key]
    if not isinstance(content, Mapping) or not content or not all(map(_is_plain, content.items())):
        raise CheckpointError(
            f"{path} is no checkpoint: it needs tensors by name, alone or under 'model' or 'state_dict'"
        )
    return Contents(dict(content), metadata, own=False)


def _is_plain(item: tuple[Any, Any]) -> bool:
    name, value = item
    dense = isinstance(value, Tensor) and value.layout == torch.strided and not value.is_quantized
    return isinstance(name, str) and dense


def load_checkpoint(model: DMNet, path: PathLike) -> Report:
    """Load a checkpoint of ssseg, mmseg or our own into `model`, strictly. Shown in {doc}`05_dmnet`.

    Published and training files, with or without a `module.` prefix, in PyTorch's two formats or as
    safetensors. Half precision is converted. The output stride of a public file cannot be told from its
    tensors: build the system that belongs to it.

    Args:
        model: as `dmnet.build_model` returns it.
        path: the file, whatever its name.

    Returns:
        A short report; the metadata is mmseg's `meta`, ssseg's counters, or what `save_weights` noted.

    Raises:
        CheckpointError: if the file isn't a checkpoint, is cut off, wants to run code, lacks a tensor or has
            one too many, has one that doesn't fit or isn't finite, or belongs to another system. The model is
            untouched.
    """
    path = Path(path)
    contents = read_weights(path)
    try:
        source, tensors = translate(contents.tensors)
    except CheckpointError as error:
        raise CheckpointError(f"{path} {error}") from error
    if contents.own:
        _compare_notes(path, contents.metadata.get("architecture", {}), model.architecture)
    checkpoints.load_weights(model, tensors, path)
    return Report(path, source, len(tensors), contents.metadata)


def _compare_notes(path: Path, noted: dict[str, Any], ours: Architecture) -> None:
    """Compare what no shape tells, but our own files note: a CheckpointError for the sizes of the filters."""
    if (sizes := tuple(noted.get("filter_sizes", ours.filter_sizes))) != ours.filter_sizes:
        raise CheckpointError(f"{path} was trained with filter_sizes={sizes}, not {ours.filter_sizes}")
    if (stride := noted.get("output_stride", ours.output_stride)) != ours.output_stride:
        text = f"{path} was trained at output stride {stride}, the model has {ours.output_stride}"
        warnings.warn(f"{text}: it works, with other results", stacklevel=3)


def load_pretrained(name_or_path: PathLike) -> DMNet:
    """Build a system and load its trained weights: those that come with the project, or the published ones.

    Published weights are fetched once (about 220 to 440 MB), verified, converted to safetensors and kept in
    `checkpoints/` of the data folder (`dmnet.files.data_dir`). Without a network, put the published file into
    `downloads/` there, under its own name; it is verified and converted alike. Used in {doc}`welcome`.

    Args:
        name_or_path: a name of `dmnet.systems`, or one of our own weight files.

    Returns:
        The model, in evaluation mode, on the CPU.

    Raises:
        UnknownSystemError: if it is neither a system's name nor a file.
        CheckpointError: if the system has no trained weights, or the file doesn't hold them.
        DownloadError: if they cannot be fetched; the message says where to put a file fetched by hand.
    """
    name = os.fspath(name_or_path)
    if name not in systems.names() and (Path(name).exists() or name.endswith(".safetensors")):
        return _described(name)
    path = pretrained_file(name)
    model = build_model(name)
    try:
        load_checkpoint(model, path)
    except CheckpointError as error:
        if systems.get(name).published is None:
            raise
        raise CheckpointError(f"{error}\nDelete {path} and it is fetched again.") from error
    return model.eval()


def _described(path: PathLike) -> DMNet:
    """Return the network that one of our own files describes, loaded."""
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
    checkpoints.load_weights(model, contents.tensors, path)
    return model.eval()


def pretrained_file(name: str) -> Path:
    """Return the file of a system's trained weights, after fetching and converting it if need be.

    Used in {doc}`07_evaluation`.

    Raises:
        UnknownSystemError: if there is no such system.
        CheckpointError: if it has no trained weights, or the published file doesn't hold them.
        DownloadError: as `load_pretrained`.
    """
    system = systems.get(name)
    if system.weights:
        return shipped("weights", system.weights)
    if system.published is None:
        raise CheckpointError(f"{name!r} has no trained weights: train it, from build_model({name!r})")
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
    """Return the SHA-256 of a weight file; of a converted one, that of the published file it was made from.

    So it is what `sha256sum` says of the file that anybody can fetch. Used in {doc}`07_evaluation`.

    Raises:
        CheckpointError: if the file is no checkpoint.
    """
    return read_weights(path).metadata.get("sha256") or sha256_of(path)


def load_imagenet(model: DMNet) -> None:
    """Load public ImageNet weights into the backbone. Used in {doc}`06_training`.

    torchvision's for the plain stem, the two "v1c" files for the deep stem; fetched once, verified by the
    digest in their names, and kept in `downloads/` of the data folder.

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
    """Load the weights of a classification network into the backbone, strictly. Used in {doc}`06_training`.

    Its classifier (`fc.*`) is left out, and so are the counters `num_batches_tracked`, which old files lack
    and nothing here reads.

    Raises:
        CheckpointError: as `load_checkpoint`; the model is untouched.
    """
    found = read_weights(path).tensors
    backbone = cast(nn.Module, model.backbone)
    tensors = {name: t for name, t in backbone.state_dict().items() if name.endswith("num_batches_tracked")}
    for name, tensor in zip(unwrapped(found), found.values(), strict=True):
        if not name.startswith("fc.") and not name.endswith("num_batches_tracked"):
            tensors[name] = tensor
    checkpoints.load_weights(backbone, tensors, path)


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
