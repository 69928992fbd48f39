"""All systems by name, our own and the 24 that others published, and their weights (which load PyTorch).

The published are the rows of `data/published/ssseg.csv` and `mmseg.csv`; what those share stands here.
"""

import csv
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, get_args

from dmnet import classes
from dmnet.files import shipped
from dmnet.systems import Architecture, Evaluation, Recipe, System
from dmnet.zoo.own import OWN as OWN

if TYPE_CHECKING:
    from dmnet.zoo.pretrained import load_checkpoint as load_checkpoint
    from dmnet.zoo.pretrained import load_pretrained as load_pretrained
    from dmnet.zoo.pretrained import pretrained_file as pretrained_file
    from dmnet.zoo.pretrained import published_digest as published_digest

Source = Literal["ssseg", "mmseg"]


@dataclass(frozen=True, kw_only=True)
class Published:
    """A published checkpoint: its scores in percent and its addresses. Shown in {doc}`12_zoo`."""

    source: Source
    miou: float
    miou_ms_flip: float | None  # multi-scale + flip; not published by ssseg
    config_url: str
    model_url: str
    log_url: str
    sha256_prefix: str | None = None  # mmseg's file names end with it


RECIPES = {
    "voc": Recipe(),
    "ade20k": Recipe(epochs=130),
    "cityscapes": Recipe(epochs=220, batch_size=8, resize=(2048, 1024), crop=(512, 1024)),
}
CLASSES = {"voc": classes.VOC, "ade20k": classes.ADE20K, "cityscapes": classes.CITYSCAPES}


def published_system(row: dict[str, str], source: Source) -> System:
    """Return the system that one row of `data/published/{source}.csv` describes. Shown in {doc}`04_dmnet`."""
    dataset, mmseg = row["dataset"], source == "mmseg"
    height, width = map(int, row["crop"].split("x"))
    recipe = replace(RECIPES[dataset], crop=(height, width))
    slides = recipe.crop == (769, 769)  # mmseg's 769x769 configurations slide a window and align corners
    if slides:  # one pixel more than 2048 x 1024: aligned corners then fall on whole pixels
        recipe = replace(recipe, resize=(2049, 1025))
    if mmseg:  # counts iterations; same otherwise
        recipe = replace(recipe, epochs=None, iterations=int(row["iterations"]))
    return System(
        name=row["system"],
        dataset=dataset,
        classes=CLASSES[dataset].names,
        architecture=Architecture(
            backbone=f"resnet{row['depth']}",
            output_stride=int(row["output_stride"]),
            num_classes=len(CLASSES[dataset]),
            aux_channels=256 if mmseg else 512,
            align_corners=slides,
        ),
        recipe=recipe,
        evaluation=Evaluation(
            resize=recipe.resize,
            window=recipe.crop if slides else None,
            window_stride=(513, 513) if slides else None,
            average="softmax" if mmseg else "logits",
            upsampling="two-step" if mmseg else "direct",
        ),
        published=Published(
            source=source,
            miou=float(row["miou"]),
            miou_ms_flip=float(row["miou_ms_flip"]) if mmseg else None,
            **{name: row[name] for name in ("config_url", "model_url", "log_url")},
            sha256_prefix=row["model_url"].removesuffix(".pth").rsplit("-", 1)[1] if mmseg else None,
        ),
    )


PUBLISHED = {
    row["system"]: published_system(row, source)
    for source in get_args(Source)
    for row in csv.DictReader(shipped("published", f"{source}.csv").read_text("utf-8").splitlines())
}


def __getattr__(name: str) -> Any:
    if not name.startswith("_"):
        return getattr(import_module("dmnet.zoo.pretrained"), name)
    raise AttributeError(f"module 'dmnet.zoo' has no attribute {name!r}")
