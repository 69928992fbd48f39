"""The figures of the chapters: each function that draws one returns it, a matplotlib `Figure`."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from torch import Tensor

from dmnet.classes import colour_table
from dmnet.transforms import MEAN, STD

Picture = NDArray[Any] | Tensor
BARE: dict[str, Any] = {"xticks": (), "yticks": (), "frame_on": False}  # axes of which one sees nothing


def show_images(
    images: Sequence[Picture] | Tensor,
    titles: Sequence[str] = (),
    *,
    columns: int | None = None,
    width: float = 7.0,
    **imshow: Any,
) -> Figure:
    """Show pictures [H, W] or [H, W, 3] side by side, without axes, the last perhaps without a title.

    There are `columns` in a row, by default all. The figure is `width` inches wide. All else is passed to
    `Axes.imshow`. Used in {doc}`welcome`.
    """
    columns = columns or len(images)
    rows = -(-len(images) // columns)
    height, breadth = np.asarray(images[0]).shape[:2]
    size = (width, rows * (width / columns * height / breadth + (0.25 if titles else 0.05)))
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, subplot_kw=BARE)
    for axis, image in zip(axes.flat, images, strict=False):
        axis.imshow(np.asarray(image), **imshow)
    for axis, title in zip(axes.flat, titles, strict=False):
        axis.set_title(title)
    return figure


def colour_labels(labels: Picture, palette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return labels [H, W] as a picture uint8 [H, W, 3]; 255 gets VOC's cream. Used in {doc}`02_backbone`."""
    return colour_table(palette)[np.asarray(labels)]


def denormalise(image: Tensor) -> NDArray[np.uint8]:
    """Return the uint8 [H, W, 3] behind a normalised image [3, H, W]. Used in {doc}`06_training`."""
    values = image.detach().cpu().permute(1, 2, 0) * torch.tensor(STD) + torch.tensor(MEAN)
    return values.round().clamp(0, 255).to(torch.uint8).numpy()


def show_table(
    columns: Mapping[str, Sequence[Picture]],
    *,
    rows: Sequence[str] = (),
    digits: int | None = None,
    largest: float | None = None,
    width: float = 4.4,
) -> Figure:
    """Show pictures and filters in a table: one row per example, one column per kind.

    Pictures [H, W, 3] are shown as they are; maps and filters [H, W] in red (adds) and blue (subtracts), on a
    scale from -`largest` to `largest`, by default that of the column. The values of filters of up to
    3 x 3 taps are written with so many `digits` after the point, if any. Used in {doc}`03_dynamic_filters`.
    """
    height = len(next(iter(columns.values())))
    size = (width, width / len(columns) * height + 0.3)
    figure, axes = plt.subplots(height, len(columns), figsize=size, squeeze=False, subplot_kw=BARE)
    for (title, pictures), column in zip(columns.items(), axes.T, strict=True):
        column[0].set_title(title)
        arrays = [np.asarray(torch.as_tensor(picture).detach()) for picture in pictures]
        limit = largest or max((float(np.abs(a).max()) for a in arrays if a.ndim == 2), default=1.0) or 1.0
        for axis, array in zip(column, arrays, strict=True):
            axis.imshow(array, cmap="RdBu_r", vmin=-limit, vmax=limit)  # both of no use to [H, W, 3]
            if digits is None or array.ndim == 3 or array.size > 9:
                continue
            for (y, x), value in np.ndenumerate(array):
                colour = "white" if abs(value) > 0.6 * limit else "black"
                axis.text(x, y, f"{value:.{digits}f}", ha="center", va="center", color=colour)
    for axis, label in zip(axes[:, 0], rows, strict=False):
        axis.set_ylabel(label)
    return figure


def show_digits(
    grids: Mapping[str, Picture],
    *,
    marks: Mapping[str, tuple[int, int, int]] | None = None,
    columns: int = 3,
    width: float = 4.4,
) -> Figure:
    """Show small grids of numbers [H, W], cell by cell, all drawn with cells of one size.

    `marks` are squares to frame, title -> (row, column, side). Used in {doc}`03_dynamic_filters`.
    """
    sizes = [np.shape(grid) for grid in grids.values()]
    widths = [max(size[1] for size in sizes[i::columns]) for i in range(min(columns, len(sizes)))]
    heights = [max(size[0] for size in sizes[i : i + columns]) for i in range(0, len(sizes), columns)]
    size = (width, width * sum(heights) / sum(widths) + 0.1)
    ratios: dict[str, Any] = {"width_ratios": widths, "height_ratios": heights, "subplot_kw": BARE}
    figure, axes = plt.subplots(len(heights), len(widths), figsize=size, squeeze=False, **ratios)
    for axis, (title, grid) in zip(axes.flat, grids.items(), strict=False):
        array = np.asarray(grid)
        axis.set_title(title)
        style = {"cmap": "Blues", "vmax": 2 * max(array.max(), 1), "edgecolor": "#8aa", "linewidth": 0.8}
        axis.pcolormesh(array, vmin=0, **style)
        axis.set(aspect="equal", ylim=(len(array) + 0.06, -0.06), xlim=(-0.06, array.shape[1] + 0.06))
        for (row, column), value in np.ndenumerate(array):
            text = {"ha": "center", "va": "center", "color": "black", "size": 11}
            axis.text(column + 0.5, row + 0.5, f"{value:g}", **text)
        if marks and title in marks:
            top, left, side = marks[title]
            axis.add_patch(Rectangle((left, top), side, side, fill=False, edgecolor="#d1495b", linewidth=2.5))
    return figure


Box = tuple[float, float, float, str, str]  # x and y of the centre, width, text, colour; 0.8 high


def show_architecture(shapes: Mapping[str, str]) -> Figure:
    """Draw the plan of DMNet, with a module for each filter size. Used in {doc}`04_dmnet`.

    `shapes` says what leaves each part: "image", "stage 3", "stage 4", "response", "joined", "fused",
    "logits", "labels" (upsampled logits) and "auxiliary".
    """
    blue, orange, red, green, pink, grey = "#cfe3f1", "#fde3b8", "#f6cdb8", "#cdeadf", "#f1d7e6", "#e8e8e8"
    places = {"k = 1": -1.3, "k = 3": 0, "k = 5": 1.3, "k = 7": 2.6}
    together = f"concatenate f and {len(places)} × {shapes['response']}"
    boxes: dict[str, Box] = {
        "image": (0, 9.4, 3.0, f"image\n{shapes['image']}", grey),
        "stage 3": (0, 8.1, 3.0, f"backbone to stage 3\n{shapes['stage 3']}", blue),
        "stage 4": (0, 6.8, 3.0, f"stage 4: features f\n{shapes['stage 4']}", blue),
        "f": (-2.65, 5.2, 1.1, "f itself", blue),
        **{name: (x, 5.2, 1.15, f"DCM\n{name}", orange) for name, x in places.items()},
        "join": (0, 3.6, 6.4, f"{together}\n{shapes['joined']}", grey),
        "fuse": (0, 2.3, 3.0, f"fuse: 3×3 conv\n{shapes['fused']}", red),
        "classify": (0, 1.0, 3.0, f"classify: 1×1 conv\n{shapes['logits']}", green),
        "up": (0, -0.3, 3.0, f"upsample\n{shapes['labels']}", green),
        "auxiliary": (2.65, 8.1, 1.5, f"auxiliary\n{shapes['auxiliary']}", pink),
    }
    chain = [*pairwise(["image", "stage 3", "stage 4"]), *pairwise(["join", "fuse", "classify", "up"])]
    branches = [pair for name in ("f", *places) for pair in (("stage 4", name), (name, "join"))]
    figure, axis = plt.subplots(figsize=(4.4, 4.4 * 10.7 / 6.8))
    for x, y, width, text, colour in boxes.values():
        axis.add_patch(Rectangle((x - width / 2, y - 0.4), width, 0.8, facecolor=colour, edgecolor="#444444"))
        axis.text(x, y, text, ha="center", va="center", color="black")
    for start, end in [*chain, *branches, ("stage 3", "auxiliary")]:
        (tail, head), aside = _anchors(boxes[start], boxes[end]), end == "auxiliary"
        style = {"arrowstyle": "-|>", "color": "#444444", "linestyle": "--" if aside else "-"}
        axis.annotate("", head, tail, arrowprops=style | {"shrinkA": 0, "shrinkB": 0})
    axis.set(xlim=(-3.3, 3.5), ylim=(-0.8, 9.9), aspect="equal")
    axis.axis("off")
    return figure


def _anchors(start: Box, end: Box) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return where an arrow leaves one box and meets the other: to the right in a row, else straight down."""
    if start[1] == end[1]:
        return (start[0] + start[2] / 2, start[1]), (end[0] - end[2] / 2, end[1])
    narrow, wide = sorted((start, end), key=lambda box: box[2])
    reach = wide[2] / 2 - 0.1
    inside = min(max(narrow[0], wide[0] - reach), wide[0] + reach)  # as upright as the wider box allows
    tail, head = (narrow[0], inside) if narrow is start else (inside, narrow[0])
    return (tail, start[1] - 0.4), (head, end[1] + 0.4)


def show_shares(values: "pd.Series[float]", colours: Sequence[str], label: str) -> Figure:
    """Show parts of a whole as bars, with their shares; `label` tells the unit. Used in {doc}`04_dmnet`."""
    figure, axis = plt.subplots(figsize=(4.4, 0.32 * len(values) + 0.6))
    bars = axis.barh(values.index.astype(str), values, color=colours[: len(values)])
    shares = values / values.sum()
    written = ["<1%" if 0 < share < 0.005 else f"{share:.0%}" for share in shares]
    sizes = [f"{value:.1f}" if value == 0 or value >= 0.05 else "<0.1" for value in values]
    labels = [f"{size}  ({share})" for size, share in zip(sizes, written, strict=True)]
    axis.bar_label(bars, labels, padding=3)
    axis.invert_yaxis()
    axis.set(xlabel=label, xlim=(0, 1.4 * values.max()))
    return figure


def show_seeds(runs: pd.DataFrame) -> Figure:
    """Show every training run as a dot: a band per variant, a line per length of training; bars are means.

    The table has the columns "variant", "iterations" and "miou" (in percent). Used in {doc}`06_experiment`.
    """
    variants = list(dict.fromkeys(runs["variant"]))
    lengths = sorted(set(runs["iterations"]))
    pitch = 0.84 / len(lengths)  # from one line of a band, which is 1 high, to the next
    figure, axis = plt.subplots(figsize=(4.4, (0.16 + 0.2 * len(lengths)) * len(variants) + 0.9))
    looks: list[dict[str, Any]] = [{"color": f"C{i}", "marker": "os^D"[i % 4]} for i in range(len(lengths))]
    for (variant, length), scores in runs.groupby(["variant", "iterations"], sort=False)["miou"]:
        i = lengths.index(length)
        line = variants.index(variant) + pitch * (i - (len(lengths) - 1) / 2)
        nudges = np.arange(len(scores)) - (len(scores) - 1) / 2  # equal dots stay visible
        axis.scatter(scores, line + 0.1 * pitch * nudges, s=22, alpha=0.8, linewidths=0, **looks[i])
        axis.plot([scores.mean()] * 2, [line - 0.4 * pitch, line + 0.4 * pitch], color="0.3", linewidth=1)
    for length, look in zip(lengths, looks, strict=True):
        axis.scatter([], [], label=str(length), **look)
    for row in range(0, len(variants), 2):
        axis.axhspan(row - 0.5, row + 0.5, color="0.94", zorder=0, linewidth=0)
    axis.set(xlabel="mIoU in %", yticks=range(len(variants)), ylim=(len(variants) - 0.5, -0.5))
    axis.set_yticklabels([name.replace("3x3", "3×3") for name in variants])
    if len(lengths) > 1:
        figure.legend(loc="outside lower center", ncols=len(lengths), title="iterations")
    return figure
