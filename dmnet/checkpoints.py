"""Checkpoints: load those of ssseg, mmseg or our own into a model; save and fetch weights.

A model is touched only after every tensor of a file has been found, and found to fit.
"""

import os
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from filelock import FileLock
from torch import Tensor, nn
from torchvision.models import get_weight

from dmnet import systems
from dmnet.backbone import RESNETS
from dmnet.download import download, sha256_of
from dmnet.errors import CheckpointError, DownloadError
from dmnet.files import data_dir, shipped
from dmnet.model import DMNet, build_model, from_system
from dmnet.systems import Architecture, Evaluation, Published, Recipe, System
from dmnet.weight_files import Container, PathLike, read_weights, write_weights
from dmnet.zoo.weight_names import Source, listed, translate, unwrapped

# Loading --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Report:
    """What was loaded: whose names the file uses, how it is packed, how much, and what is noted in it."""

    path: Path
    source: Source
    container: Container
    tensors: int
    metadata: dict[str, Any]


def load_checkpoint(model: DMNet, path: PathLike) -> Report:
    """Load a checkpoint of ssseg, mmseg or our own into `model`, strictly.

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
    in_file = dict(zip(tensors, contents.tensors, strict=True))
    if differences := _compare(model.state_dict(), tensors, in_file):
        advice = _advice(model, source, tensors, differences)
        raise CheckpointError(f"{path} does not fit. {advice}\n{differences}")
    if contents.own:
        _require_same_meaning(path, model.architecture, contents.metadata.get("architecture"))
    _require_finite(path, tensors)
    model.load_state_dict(tensors)
    return Report(path, source, contents.container, len(tensors), contents.metadata)


@dataclass(frozen=True)
class Differences:
    """Where a file and a model don't agree, by our names."""

    missing: tuple[str, ...]
    surplus: tuple[str, ...]
    misshapen: tuple[str, ...]  # with both shapes
    in_file: Mapping[str, str]  # our name -> the file's

    def __bool__(self) -> bool:
        return bool(self.missing or self.surplus or self.misshapen)

    def __str__(self) -> str:
        """Count each kind and list its first few."""
        surplus = [self.in_file[name] for name in self.surplus]
        kinds = {"missing": self.missing, "surplus": surplus, "of another shape or type": self.misshapen}
        return "\n".join(f"  {len(v)} {kind}: {listed(v, separator='; ')}" for kind, v in kinds.items() if v)


def _compare(
    wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], in_file: Mapping[str, str]
) -> Differences:
    both = [name for name in wanted if name in found]
    return Differences(
        missing=tuple(name for name in wanted if name not in found),
        surplus=tuple(name for name in found if name not in wanted),
        misshapen=tuple(
            f"{in_file[name]} is {_kind(found[name])} in the file, {_kind(wanted[name])} in the model"
            for name in both
            if not _fits(wanted[name], found[name])
        ),
        in_file=in_file,
    )


def _fits(wanted: Tensor, found: Tensor) -> bool:
    """Tell whether `found` can be copied into `wanted`: any float into a float, integer into integer."""
    integer = not (found.is_floating_point() or found.is_complex() or found.dtype == torch.bool)
    return wanted.shape == found.shape and (
        found.is_floating_point() if wanted.is_floating_point() else integer
    )


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def _require_finite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Refuse NaN and infinity, which would reach every pixel of every prediction."""
    bad = [name for name, t in tensors.items() if t.is_floating_point() and not t.float().isfinite().all()]
    if bad:
        raise CheckpointError(
            f"{path} holds numbers that are not finite, in {len(bad)} tensors: {listed(bad)}. The training "
            "that wrote it has diverged, or the file is damaged: take an earlier one, or fetch it again."
        )


def _require_same_meaning(path: Path, model: Architecture, noted: Any) -> None:
    """Compare what shapes cannot tell; our own files say it."""
    file = _architecture(path, noted)
    if file.filter_sizes != model.filter_sizes:
        raise CheckpointError(
            f"{path} was trained with filter sizes {file.filter_sizes}, the model has {model.filter_sizes}. "
            f"Build it with filter_sizes={file.filter_sizes}, or use dmnet.checkpoints.model_from_file."
        )
    if file.output_stride != model.output_stride:
        warnings.warn(
            f"{path} was trained at output stride {file.output_stride}, the model has {model.output_stride}: "
            "it works, with other results",
            stacklevel=3,
        )


# Whose is it? ---------------------------------------------------------------------------------------------


BACKBONE_MARKS = {  # a tensor that only this backbone has; the first that is found decides
    "backbone.fine.0.weight": "tiny_patches",
    "backbone.layer3.conv1.weight": "tiny_resnet",
    "backbone.layer3.22.conv3.weight": "resnet101",
    "backbone.layer3.5.conv3.weight": "resnet50",
    "backbone.layer3.1.conv2.weight": "resnet18",
}


@dataclass(frozen=True)
class Traits:
    """What the shapes of a network's tensors tell about it; the output stride isn't among it."""

    backbone: str | None
    stem: str | None
    classes: int | None
    scales: int
    channels: int | None
    fusion_channels: int | None
    aux_channels: int | None

    @classmethod
    def of_model(cls, a: Architecture) -> "Traits":
        """Read them off an architecture."""
        stem = a.stem if a.backbone in RESNETS else None
        scales = len(a.filter_sizes)
        return cls(a.backbone, stem, a.num_classes, scales, a.channels, a.fusion_channels, a.aux_channels)

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor]) -> "Traits":
        """Read them off tensors under our names; None where the telling tensor is missing."""

        def width(name: str) -> int | None:
            return len(tensors[name]) if name in tensors and tensors[name].ndim else None

        backbone = next((name for mark, name in BACKBONE_MARKS.items() if mark in tensors), None)
        deep = "backbone.stem.0.weight" in tensors
        return cls(
            backbone,
            stem=("deep" if deep else "plain") if backbone in RESNETS else None,
            classes=width("head.classify.weight"),
            scales=len({name.split(".")[2] for name in tensors if name.startswith("head.scales.")}),
            channels=width("head.scales.0.norm.weight"),
            fusion_channels=width("head.fuse.1.weight"),
            aux_channels=width("auxiliary.1.weight"),
        )

    def differing(self, other: "Traits") -> list[str]:
        """Describe each trait in which this one differs from `other`."""
        mine, theirs = asdict(self), asdict(other)
        return [f"{name} {mine[name]} (not {theirs[name]})" for name in mine if mine[name] != theirs[name]]


def _advice(model: DMNet, source: Source, tensors: Mapping[str, Tensor], differences: Differences) -> str:
    """Say what the file looks like and what to build for it."""
    file, ours = Traits.of_tensors(tensors), Traits.of_model(model.architecture)
    name = repr(model.system.name) if model.system else "..."
    others = [*differences.missing, *differences.surplus]
    if not differences.misshapen and all(part.startswith("auxiliary.") for part in others):
        if differences.missing and not differences.surplus:
            return f"It has no auxiliary head: build_model({name}, aux_channels=None) loads it."
        return (
            f"It has an auxiliary head, the model has none: load it into build_model({name}, "
            f"aux_channels={file.aux_channels}); setting model.auxiliary = None afterwards drops the head."
        )
    if not (odd := file.differing(ours)):
        return "Its tensors are those of this system, but some were lost, added or changed: fetch it again."
    return f"It looks like {source} weights with {', '.join(odd)}: {_suggestion(file)}"


def _suggestion(file: Traits) -> str:
    traits = {name: Traits.of_model(system.architecture) for name, system in systems.SYSTEMS.items()}
    if same := [name for name, known in traits.items() if known == file]:
        either = listed(map(repr, same), separator=" or ")
        return f"build {either} (the output stride can't be told from the file)."
    if near := [name for name, known in traits.items() if replace(known, classes=file.classes) == file]:
        return f"build_model({near[0]!r}, num_classes={file.classes}) may be it."
    return "no system of that shape is known; `dmnet systems` lists them."


# Saving ---------------------------------------------------------------------------------------------------


def save_weights(model: DMNet, path: PathLike, **metadata: Any) -> None:
    """Write a model's weights as safetensors, completely or not at all.

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
    own = _describe(model)
    if taken := sorted({"format", *own} & metadata.keys()):
        raise ValueError(f"metadata must not be called {', '.join(taken)}: the file uses that name itself")
    write_weights(path, model.state_dict(), own | metadata)


def read_metadata(path: PathLike) -> dict[str, Any]:
    """Return what is noted in a weight file; for our own files what `save_weights` wrote.

    Raises:
        CheckpointError: if the file is no checkpoint.
    """
    return read_weights(path).metadata


def model_from_file(path: PathLike) -> DMNet:
    """Build the network that one of our own files describes, load it and set it to evaluation.

    Raises:
        CheckpointError: if the file isn't one of our own, or isn't a checkpoint at all.
    """
    contents = read_weights(path)
    if not contents.own:
        raise CheckpointError(
            f"{path} does not say which system it belongs to. Name it: build_model(name), then "
            "load_checkpoint(model, path); `dmnet systems` lists the names."
        )
    model = _build_described(Path(path), contents.metadata)
    load_checkpoint(model, path)
    return model.eval()


def _describe(model: DMNet) -> dict[str, Any]:
    own: dict[str, Any] = {"architecture": asdict(model.architecture)}
    if system := model.system:
        own |= {"system": system.name, "dataset": system.dataset, "classes": system.classes}
        own |= {"recipe": asdict(system.recipe), "evaluation": asdict(system.evaluation)}
    return own


def _build_described(path: Path, metadata: dict[str, Any]) -> DMNet:
    architecture = _architecture(path, metadata.get("architecture"))
    try:
        if "system" not in metadata:
            return DMNet(architecture)
        return from_system(_system(metadata, architecture))
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(path, error) from error


def _system(metadata: dict[str, Any], architecture: Architecture) -> System:
    return System(
        name=metadata["system"],
        dataset=metadata["dataset"],
        classes=_tuples(metadata["classes"]),
        architecture=architecture,
        recipe=Recipe(**_tuples(metadata["recipe"])),
        evaluation=Evaluation(**_tuples(metadata["evaluation"])),
    )


def _architecture(path: Path, noted: Any) -> Architecture:
    try:
        return Architecture(**_tuples(noted))
    except (TypeError, ValueError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(f"{path} describes a network that this dmnet cannot build ({error}); update dmnet")


def _tuples(value: Any) -> Any:
    """Undo what JSON did to the tuples of a dataclass."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


# Pretrained -----------------------------------------------------------------------------------------------


V1C = "https://download.openmmlab.com/pretrain/third_party/"
START_WEIGHTS: dict[tuple[str, str], str] = {  # (backbone, stem) -> torchvision's name, or an address
    ("resnet18", "plain"): "ResNet18_Weights.IMAGENET1K_V1",
    ("resnet50", "plain"): "ResNet50_Weights.IMAGENET1K_V1",
    ("resnet101", "plain"): "ResNet101_Weights.IMAGENET1K_V1",
    ("resnet50", "deep"): V1C + "resnet50_v1c-2cccc1ad.pth",
    ("resnet101", "deep"): V1C + "resnet101_v1c-e67eebb6.pth",
}


def load_pretrained(name_or_path: PathLike) -> DMNet:
    """Build a system and load its trained weights: those that come with the project, or the published ones.

    Published weights are fetched once (about 220 to 440 MB), verified, converted to safetensors and kept in
    `checkpoints/` of the data folder (`dmnet.files.data_dir`). Without a network, put the published file into
    `downloads/` there, under its own name; it is verified and converted in the same way.

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
    if name not in systems.SYSTEMS and (Path(name).exists() or name.endswith(".safetensors")):
        return model_from_file(name)
    path = pretrained_file(name)
    model = build_model(name)
    try:
        load_checkpoint(model, path)
    except CheckpointError as error:
        if path != _converted(name):
            raise
        raise CheckpointError(f"{error}\nDelete {path} and it is fetched again.") from error
    return model.eval()


def pretrained_file(name: str) -> Path:
    """Return the file of a system's trained weights, after fetching and converting it if need be.

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
    converted = _converted(name)
    if not converted.exists():
        converted.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(converted.with_name(f".{converted.name}.lock")):  # of several processes, one converts
            if not converted.exists():
                _convert(system, system.published, converted)
    return converted


def published_digest(path: PathLike) -> str:
    """Return the SHA-256 of a weight file; of a converted one, that of the published file it was made from.

    So it is what `sha256sum` says of the file that anybody can fetch.

    Raises:
        CheckpointError: if the file is no checkpoint.
    """
    return read_metadata(path).get("sha256") or sha256_of(path)


def _converted(name: str) -> Path:
    return data_dir() / "checkpoints" / f"{name}.safetensors"


def _convert(system: System, published: Published, converted: Path) -> None:
    model, url = from_system(system), published.model_url
    by_hand = _downloads(url).exists()
    original = _fetch(url, published.sha256_prefix, partial(load_checkpoint, model))
    save_weights(model, converted, url=url, sha256=sha256_of(original))
    if not by_hand:
        original.unlink()  # the converted file replaces it


def load_imagenet(model: DMNet) -> None:
    """Load public ImageNet weights into the backbone, the usual start of a training.

    torchvision's for the plain stem, the two "v1c" files for the deep stem; fetched once, verified by the
    digest in their names, and kept in `downloads/` of the data folder.

    Raises:
        CheckpointError: if there are none for this backbone.
        DownloadError: if they cannot be fetched.
    """
    a = model.architecture
    if (a.backbone, a.stem) not in START_WEIGHTS:
        raise CheckpointError(
            f"there are no public ImageNet weights for {a.backbone} with a {a.stem} stem: train from scratch"
        )
    weights = START_WEIGHTS[a.backbone, a.stem]
    url = weights if weights.startswith("https:") else get_weight(weights).url
    digest = url.removesuffix(".pth").rpartition("-")[2]
    load_backbone_weights(model, _fetch(url, digest))


def load_backbone_weights(model: DMNet, path: PathLike) -> None:
    """Load the weights of a classification network into the backbone, strictly.

    Its classifier (`fc.*`) is left out, and so are the counters `num_batches_tracked`, which old files lack
    and nothing here reads.

    Raises:
        CheckpointError: as `load_checkpoint`; the model is untouched.
    """
    path = Path(path)
    contents = read_weights(path)
    names = unwrapped(contents.tensors)
    tensors = dict(zip(names, contents.tensors.values(), strict=True))
    found = {name: t for name, t in tensors.items() if not name.startswith("fc.") and not _is_counter(name)}
    backbone = cast(nn.Module, model.backbone)
    own = backbone.state_dict()
    wanted = {name: tensor for name, tensor in own.items() if not _is_counter(name)}
    if differences := _compare(wanted, found, {name: name for name in found}):
        a = model.architecture
        raise CheckpointError(
            f"{path} does not hold the weights of a {a.backbone} with a {a.stem} stem.\n{differences}"
        )
    _require_finite(path, found)
    backbone.load_state_dict(own | found)


def _is_counter(name: str) -> bool:
    return name.endswith("num_batches_tracked")


def _downloads(url: str) -> Path:
    return data_dir() / "downloads" / url.rpartition("/")[2]


def _fetch(url: str, sha256: str | None, check: Any = None) -> Path:
    path = _downloads(url)
    try:
        return download(url, path, sha256, check=check)
    except DownloadError as error:
        raise DownloadError(
            f"{error}\nWithout a network: fetch {url} elsewhere, put the file at {path} and try again; "
            "nothing else is needed."
        ) from error
