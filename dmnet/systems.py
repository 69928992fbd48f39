"""What can be built: the 24 published systems and the project's own small ones, as frozen dataclasses.

A *system* is an architecture together with the data set, the training recipe and the evaluation protocol
behind its number. Nothing is inherited or mutated: read one `System` and you have read all there is. The
published rows come from `data/published/*.csv`; what they have in common stands in the presets below.
"""

import csv
import difflib
from dataclasses import dataclass, field, replace
from typing import Literal

from dmnet import classes as class_lists
from dmnet.errors import DMNetError, UnknownSystemError
from dmnet.files import shipped
from dmnet.settings import check_settings


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """What `dmnet.model.DMNet` builds.

    The defaults are the published network with ResNet-50 at output stride 8 on 21 classes
    [He, Deng and Qiao 2019, section 3; both public implementations].
    """

    backbone: str = "resnet50"  # a key of dmnet.backbone.BACKBONES
    stem: Literal["deep", "plain"] = "deep"  # "v1c": three 3x3 convolutions; "plain": one 7x7, as torchvision
    output_stride: int = 8
    num_classes: int = 21
    channels: int = 512  # C: width of each scale
    filter_sizes: tuple[int, ...] = (1, 3, 5, 7)  # k of each scale
    filters: Literal["dynamic", "static"] = "dynamic"  # "static": learned once, for comparison only
    fusion_kernel: int = 3
    fusion_channels: int = 512
    aux_channels: int | None = 512  # width of the auxiliary head; None leaves it out
    dropout: float = 0.1
    align_corners: bool = False  # how logits are upsampled; True in mmseg's 769x769 systems

    def __post_init__(self) -> None:
        check_settings(self)
        if self.fusion_kernel % 2 == 0:
            raise DMNetError(f"fusion_kernel must be odd, or the logits grow, got {self.fusion_kernel}")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a system is trained. The defaults are ssseg's recipe for PASCAL VOC.

    Lengths are in pixels as (height, width); the resize limits are (long side, short side).
    """

    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = 0.01
    final_learning_rate: float = 1e-4  # where the schedule ends
    schedule: Literal["poly", "cosine"] = "poly"
    power: float = 0.9  # of the poly schedule
    warmup: int = 0  # iterations of linear warm-up
    momentum: float = 0.9  # SGD's momentum, AdamW's first beta
    weight_decay: float = 5e-4  # on all parameters
    batch_size: int = 16  # images per step, all devices together
    epochs: int | None = 60  # either epochs ...
    iterations: int | None = None  # ... or iterations
    aux_weight: float = 0.4  # of the auxiliary loss
    background_weight: float = 1.0  # weight of class 0 in the cross-entropy
    label_stride: int = 1  # > 1: loss on every n-th pixel of a randomly shifted grid, much cheaper
    resize: tuple[int, int] | None = (2048, 512)
    scale_range: tuple[float, float] = (0.5, 2.0)  # random factor on `resize`
    crop: tuple[int, int] | None = (512, 512)
    max_class_share: float = 0.75  # a crop with more of one class is drawn again, up to 10 times
    flip: float = 0.5  # probability of a horizontal flip
    quarter_turns: bool = False  # rotate by a random multiple of 90 degrees
    photometric: bool = True
    pretrained: bool = True  # start the backbone from ImageNet weights
    freeze_bn: bool = False  # batch norm with its running statistics, for batches of a few small crops

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How a system is scored; logits are resized to the original size.

    ssseg resizes the network's logits at once, mmsegmentation by way of the resized image's size; so do both
    with windows, which are put together at that size. For other ways to score see `dmnet.protocols`.
    """

    resize: tuple[int, int] | None = (2048, 512)  # (long side, short side), ratio kept
    window: tuple[int, int] | None = None  # (height, width); None: the whole image at once
    window_stride: tuple[int, int] | None = None  # (down, across)
    scales: tuple[float, ...] = (1.0,)  # factors on `resize`; the predictions of all are averaged
    flip: bool = False  # predict the mirrored image too
    average: Literal["logits", "softmax"] = "logits"  # what is averaged: ssseg logits, mmseg probabilities
    upsampling: Literal["direct", "two-step"] = "direct"  # to the original size: ssseg direct, mmseg two-step

    def __post_init__(self) -> None:
        check_settings(self)
        if not self.scales or min(self.scales) <= 0:
            raise DMNetError(f"scales must be one factor above 0 or more, e.g. (1.0,), got {self.scales!r}")
        if (self.window is None) != (self.window_stride is None):
            raise DMNetError(
                f"window and window_stride belong together, got {self.window} and {self.window_stride}; "
                "give both, e.g. (512, 512) and (341, 341), or neither"
            )
        for side, step in zip(self.window or (), self.window_stride or (), strict=True):
            if step > side:
                raise DMNetError(
                    f"window_stride must be at most the window, or there are gaps that nothing predicts: "
                    f"the window is {self.window}, the stride {self.window_stride}"
                )


@dataclass(frozen=True, kw_only=True)
class Published:
    """A published checkpoint: its scores in percent and its addresses."""

    source: Literal["ssseg", "mmseg"]
    miou: float
    miou_ms_flip: float | None  # multi-scale + flip; not published by ssseg
    config_url: str
    model_url: str
    log_url: str
    sha256_prefix: str | None = None  # mmseg's file names end with it


@dataclass(frozen=True, kw_only=True)
class System:
    """One thing that can be built, trained and scored under one name."""

    name: str
    dataset: str
    architecture: Architecture
    recipe: Recipe
    evaluation: Evaluation
    classes: tuple[str, ...] = ()
    published: Published | None = None
    weights: str | None = None  # file below data/weights that comes with the project
    departures: str = field(default="", compare=False)  # where it differs from the published network, and why


# Published -----------------------------------------------------------------------------------------------

VOC = Recipe()
ADE20K = replace(VOC, epochs=130)
CITYSCAPES = replace(VOC, epochs=220, batch_size=8, resize=(2048, 1024), crop=(512, 1024))
RECIPES = {"voc": VOC, "ade20k": ADE20K, "cityscapes": CITYSCAPES}
CLASSES = {
    "voc": class_lists.VOC.names,
    "ade20k": class_lists.ADE20K.names,
    "cityscapes": class_lists.CITYSCAPES.names,
}


def _rows(source: str) -> list[dict[str, str]]:
    with open(shipped("published", f"{source}.csv"), newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _published_system(row: dict[str, str], source: Literal["ssseg", "mmseg"]) -> System:
    """Return the system that one row of `data/published/{source}.csv` describes."""
    dataset = row["dataset"]
    crop = _pair(row["crop"])
    slides = crop == (769, 769)  # mmseg's 769x769 configurations slide a window and align corners
    recipe = replace(RECIPES[dataset], crop=crop)
    if slides:  # one pixel more than 2048 x 1024: aligned corners then fall on whole pixels
        recipe = replace(recipe, resize=(2049, 1025))
    if source == "mmseg":  # counts iterations; same otherwise
        recipe = replace(recipe, epochs=None, iterations=int(row["iterations"]))
    return System(
        name=row["system"],
        dataset=dataset,
        classes=CLASSES[dataset],
        architecture=Architecture(
            backbone=f"resnet{row['depth']}",
            output_stride=int(row["output_stride"]),
            num_classes=len(CLASSES[dataset]),
            aux_channels=512 if source == "ssseg" else 256,
            align_corners=slides,
        ),
        recipe=recipe,
        evaluation=Evaluation(
            resize=recipe.resize,
            window=crop if slides else None,
            window_stride=(513, 513) if slides else None,
            average="softmax" if source == "mmseg" else "logits",
            upsampling="two-step" if source == "mmseg" else "direct",
        ),
        published=Published(
            source=source,
            miou=float(row["miou"]),
            miou_ms_flip=float(row["miou_ms_flip"]) if source == "mmseg" else None,
            config_url=row["config_url"],
            model_url=row["model_url"],
            log_url=row["log_url"],
            sha256_prefix=row["model_url"].removesuffix(".pth").rsplit("-", 1)[1]
            if source == "mmseg"
            else None,
        ),
    )


def _pair(text: str) -> tuple[int, int]:
    height, width = text.split("x")
    return int(height), int(width)


# Our own -------------------------------------------------------------------------------------------------

DEMO_SCALE = System(
    name="demo_scale",
    dataset="demo_scale",
    classes=class_lists.DEMO_SCALE.names,
    architecture=Architecture(
        backbone="tiny_patches",  # sees 11 pixels: it can name a patch, never its neighbourhood
        num_classes=7,
        channels=16,
        fusion_kernel=1,  # a 3x3 fusion is itself a scale, and hides what the filters contribute
        fusion_channels=64,
        aux_channels=None,  # two stages are too shallow to need one
        dropout=0.0,
    ),
    recipe=Recipe(
        optimizer="adamw",  # finds the two cues in 600 iterations
        learning_rate=3e-3,
        final_learning_rate=0.0,
        schedule="cosine",
        warmup=30,
        weight_decay=1e-3,
        batch_size=8,
        epochs=None,
        iterations=600,
        background_weight=0.4,  # coins cover little of a scene
        label_stride=4,
        resize=None,
        scale_range=(1.0, 1.0),  # the question *is* scale: keep it
        crop=None,
        quarter_turns=True,
        photometric=False,  # colour carries the answer
        pretrained=False,
    ),
    evaluation=Evaluation(resize=None),
    weights="demo_scale.safetensors",
    departures=(
        "Backbone with a receptive field of 11 pixels instead of a ResNet, and a 1x1 fusion: any larger "
        "convolution is a scale of its own and would answer in the filters' place. 16 channels per scale, no "
        "auxiliary head, AdamW with a cosine schedule: it learns in a minute on two cores."
    ),
)

DEMO_CONTEXT = System(
    name="demo_context",
    dataset="demo_context",
    classes=class_lists.DEMO_CONTEXT.names,
    architecture=Architecture(
        backbone="tiny_resnet",
        num_classes=7,
        channels=16,
        fusion_channels=48,
        aux_channels=None,
        dropout=0.0,
    ),
    recipe=replace(
        DEMO_SCALE.recipe,
        optimizer="sgd",
        learning_rate=0.08,  # 8 times the published one; with the warm-up it does not diverge
        schedule="poly",
        warmup=20,
        weight_decay=5e-4,
        iterations=700,
        background_weight=1.0,
    ),
    evaluation=Evaluation(resize=None),
    weights="demo_context.safetensors",
    departures=(
        "One bottleneck per stage and narrow layers instead of ResNet-50, 16 channels per scale, no "
        "auxiliary head, a learning rate of 0.08 with warm-up and the loss on a sixteenth of the pixels: it "
        "trains from scratch in under three minutes on two cores."
    ),
)

SMALL_R18 = System(
    name="small_r18",
    dataset="folder",
    architecture=Architecture(
        backbone="resnet18", stem="plain", channels=64, fusion_channels=128, aux_channels=64
    ),
    recipe=replace(VOC, pretrained=True, batch_size=8, epochs=None, iterations=4000),
    evaluation=Evaluation(),
    departures=(
        "ResNet-18 with torchvision's plain stem and an eighth of the published head's width: for pictures "
        "of one's own on a laptop."
    ),
)

SYSTEMS: dict[str, System] = {
    system.name: system
    for system in (
        *(_published_system(row, "ssseg") for row in _rows("ssseg")),
        *(_published_system(row, "mmseg") for row in _rows("mmseg")),
        DEMO_CONTEXT,
        DEMO_SCALE,
        SMALL_R18,
    )
}


def names() -> tuple[str, ...]:
    """Return the names of all systems: ssseg's, mmseg's, then our own."""
    return tuple(SYSTEMS)


def get(name: str) -> System:
    """Return the system called `name`.

    Raises:
        UnknownSystemError: if there is none; the message suggests the nearest names.
    """
    if name in SYSTEMS:
        return SYSTEMS[name]
    near = difflib.get_close_matches(name, SYSTEMS, n=3, cutoff=0.4)
    hint = f"Did you mean {' or '.join(near)}?" if near else "`dmnet systems` lists them all."
    raise UnknownSystemError(f"there is no system called {name!r}. {hint}")
