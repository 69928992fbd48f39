"""Draw book/assets/overview.png, the picture of the README: python tools/overview.py ."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import SubFigure

import dmnet
from dmnet import datasets
from dmnet.book import figures
from dmnet.files import atomic_write
from dmnet.model import DMNet

OUTPUT = Path(__file__).resolve().parents[1] / "book" / "assets" / "overview.png"
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


if __name__ == "__main__":
    plt.rcParams.update({"font.size": 11, "axes.titlesize": 11, "image.interpolation": "nearest"})
    sheet = plt.figure(figsize=(8.4, 4.2), layout="constrained", facecolor="white")
    top, bottom = sheet.subfigures(2, 1, height_ratios=(1.5, 1))
    for part, show, name in ((top, show_gates, "demo_scale"), (bottom, show_filters, "demo_context")):
        show(part, dmnet.load_pretrained(name), datasets.load(name, split="test", size=48))
    for axis in sheet.findobj(plt.Axes):
        axis.axis("off")
    with atomic_write(OUTPUT) as temporary:
        sheet.savefig(temporary, dpi=160, format="png")
