"""Draw the README's picture, and the one that is shown where somebody shares a link.

`python tools/overview.py` writes book/assets/overview.png and book/assets/share.png.
"""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Rectangle

import dmnet
from dmnet import datasets
from dmnet.book import figures
from dmnet.files import atomic_write
from dmnet.model import DMNet

ASSETS = Path(__file__).resolve().parents[1] / "book" / "assets"
COINS, COOL, WARM = 26, 27, 7  # scenes of the split "test"


def show_gates(figure: SubFigure, model: DMNet, scenes: Any) -> None:
    """Show a scene and its prediction, with all scales and with one switched off."""
    scene = scenes[COINS][0]
    pictures = {"scene": scene}
    gates = {"prediction": None, "7×7 filters off": (1, 1, 1, 0), "3×3 filters off": (1, 0, 1, 1)}
    for title, on in gates.items():
        pictures[title] = figures.colour_labels(dmnet.predict(model, scene, on), scenes.palette)
    for axis, (title, picture) in zip(figure.subplots(1, 4), pictures.items(), strict=True):
        axis.imshow(picture)
        axis.set_title(title)


@torch.no_grad()
def show_filters(figure: SubFigure, model: DMNet, scenes: Any) -> None:
    """Show two scenes, and of each scale the filter that differs most between them."""
    images = [scenes[COOL][0], scenes[WARM][0]]
    batch = torch.stack([dmnet.transforms.evaluation_image(model.system, image) for image in images])
    features = model.backbone(batch).stage4
    for number, part in enumerate(figure.subfigures(1, 2)):
        axes = part.subplot_mosaic([["scene", [["0", "1"], ["2", "3"]], "prediction"]])
        labels = dmnet.predict(model, images[number])
        axes["scene"].imshow(images[number])
        axes["prediction"].imshow(figures.colour_labels(labels, scenes.palette))
        for scale, module in enumerate(model.head.scales):
            pair = module.filters(features)  # [2, 16, k, k]
            pair = pair[:, (pair[0] - pair[1]).mean((1, 2)).abs().argmax()]
            limit = float(pair.abs().max())
            axes[str(scale)].imshow(pair[number], cmap="RdBu_r", vmin=-limit, vmax=limit)
        for name, title in {"scene": "scene", "0": "its own filters", "prediction": "prediction"}.items():
            axes[name].set_title(title, loc="left" if name == "0" else "center")


def draw_overview() -> None:
    """Draw what switching scales off does, and what the filters of two scenes are."""
    sheet = plt.figure(figsize=(8.4, 4.2), layout="constrained", facecolor="white")
    top, bottom = sheet.subfigures(2, 1, height_ratios=(1.5, 1))
    for part, show, name in ((top, show_gates, "demo_scale"), (bottom, show_filters, "demo_context")):
        show(part, dmnet.load_pretrained(name), datasets.load(name, split="test", size=48))
    save(sheet, "overview.png", dpi=160)


def draw_share() -> None:
    """Draw the logo, the title, and a scene with its prediction: 1200 × 630, what most places show."""
    sheet = plt.figure(figsize=(12, 6.3), facecolor="#1b3a57")
    logo = sheet.add_axes((0.05, 0.5, 0.2, 0.2 * 12 / 6.3), xlim=(0, 7), ylim=(0, 7))
    for side, colour in ((7, "#1f4a68"), (5, "#2a6f8e"), (3, "#e0a33e"), (1, "#f7ead0")):
        corner = (7 - side) / 2
        logo.add_patch(Rectangle((corner, corner), side, side, facecolor=colour, edgecolor="white", lw=2))
    sheet.text(0.29, 0.79, "Dynamic Multi-Scale Filters", size=37, weight="bold", color="white")
    lines = "Semantic segmentation with filters made from the picture:\na book that runs, and its package"
    sheet.text(0.29, 0.56, lines, size=19, color="white", linespacing=1.5)
    model, scenes = dmnet.load_pretrained("demo_scale"), datasets.load("demo_scale", split="test", size=48)
    scene = scenes[COINS][0]
    pictures = [scene] + [
        figures.colour_labels(dmnet.predict(model, scene, gates), scenes.palette)
        for gates in ((1, 1, 1, 1), (1, 1, 1, 0), (1, 0, 1, 1))
    ]
    for number, picture in enumerate(pictures):
        axis = sheet.add_axes((0.05 + 0.232 * number, 0.06, 0.204, 0.204 * 12 / 6.3))
        axis.imshow(picture, interpolation="nearest")
    save(sheet, "share.png", dpi=100)


def save(sheet: Figure, name: str, dpi: int) -> None:
    """Write a figure without its axes."""
    for axis in sheet.findobj(plt.Axes):
        axis.axis("off")
    with atomic_write(ASSETS / name) as temporary:
        sheet.savefig(temporary, dpi=dpi, format="png")


if __name__ == "__main__":
    plt.rcParams.update({"font.size": 11, "axes.titlesize": 11, "image.interpolation": "nearest"})
    draw_overview()
    draw_share()
