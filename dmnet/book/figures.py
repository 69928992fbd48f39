"""The figures of the chapters. A function `show_...` returns the matplotlib `Figure`.

Two are parts of a figure and draw on the `Axes` that they are given: `show_reads` and `mark_square`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from torch import Tensor

from dmnet.errors import DataError
from dmnet.upsampling import interpolation_matrix


def show_table(
    columns: Mapping[str, Sequence[NDArray[Any] | Tensor]],
    *,
    rows: Sequence[str] = (),
    digits: int | None = None,
    width: float = 4.4,
) -> Figure:
    """Show pictures and filters in a table: one row per example, one column per kind.

    Used in {doc}`04_dynamic_filters`.

    Args:
        columns: title -> one picture per row. Pictures [H, W, 3] are shown as they are; maps and filters
            [H, W] in red (adds) and blue (subtracts), with one colour scale for the whole column.
        rows: a label for each row, or none.
        digits: write the values of filters of up to 3 x 3 taps, with so many digits after the point.
        width: of the figure in inches.

    Raises:
        DataError: if columns, or the labels of the rows, differ in number.
    """
    counts = {title: len(pictures) for title, pictures in columns.items()}
    height = max(counts.values(), default=0)
    if height == 0 or set(counts.values()) != {height} or len(rows) not in (0, height):
        raise DataError(f"columns of {counts} pictures and {len(rows)} row labels make no table")
    size = (width, width / len(columns) * height + 0.3)
    figure, axes = plt.subplots(height, len(columns), figsize=size, squeeze=False)
    for (title, pictures), column in zip(columns.items(), axes.T, strict=True):
        column[0].set_title(title)
        arrays = [np.asarray(torch.as_tensor(picture).detach()) for picture in pictures]
        limit = max((float(np.abs(array).max()) for array in arrays if array.ndim == 2), default=1.0) or 1.0
        for axis, array in zip(column, arrays, strict=True):
            axis.imshow(
                array, cmap="RdBu_r", norm=TwoSlopeNorm(0, -limit, limit) if array.ndim == 2 else None
            )
            if digits is not None and array.ndim == 2 and array.size <= 9:
                _write_values(axis, array, f"{{:.{digits}f}}", light_above=0.6 * limit)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    for axis, label in zip(axes[:, 0], rows, strict=False):
        axis.set_ylabel(label)
    return figure


def show_digits(
    grids: Mapping[str, NDArray[Any] | Tensor],
    *,
    marks: Mapping[str, tuple[int, int, int]] | None = None,
    columns: int = 3,
    width: float = 4.4,
) -> Figure:
    """Show small grids of numbers, cell by cell, all drawn with cells of one size.

    Used in {doc}`04_dynamic_filters`.

    Args:
        grids: title -> values [H, W].
        marks: title -> (row, column, side) of a square window to frame.
        columns: grids in a row.
        width: of the figure in inches.

    Raises:
        DataError: if a mark belongs to no grid.
    """
    if strangers := set(marks or ()) - set(grids):
        raise DataError(f"marks for {sorted(strangers)}, but the grids are {list(grids)}")
    sizes = [np.shape(grid) for grid in grids.values()]
    rows = [sizes[start : start + columns] for start in range(0, len(sizes), columns)]
    widths = [max(row[i][1] for row in rows if i < len(row)) for i in range(len(rows[0]))]
    heights = [max(size[0] for size in row) for row in rows]
    figure, axes = plt.subplots(
        *(len(rows), len(rows[0])),
        figsize=(width, width * sum(heights) / sum(widths) + 0.1),
        squeeze=False,
        gridspec_kw={"width_ratios": widths, "height_ratios": heights},
    )
    for axis in axes.flat:
        axis.axis("off")
    for axis, (title, grid) in zip(axes.flat, grids.items(), strict=False):
        array = np.asarray(grid)
        axis.set_title(title)
        axis.pcolormesh(
            array, cmap="Blues", vmin=0, vmax=2 * max(array.max(), 1), edgecolor="#8aa", linewidth=0.8
        )
        axis.set(aspect="equal", ylim=(len(array) + 0.06, -0.06), xlim=(-0.06, array.shape[1] + 0.06))
        _write_values(axis, array, "{:g}", offset=0.5)
        if marks and title in marks:
            top, left, side = marks[title]
            axis.add_patch(Rectangle((left, top), side, side, fill=False, edgecolor="#d1495b", linewidth=2.5))
    return figure


def _write_values(
    axis: Axes, array: NDArray[Any], form: str, *, offset: float = 0.0, light_above: float = np.inf
) -> None:
    """Write each cell's number into it; white on cells that are dark."""
    for (row, column), value in np.ndenumerate(array):
        colour = "white" if abs(value) > light_above else "black"
        place = (column + offset, row + offset)
        axis.text(*place, form.format(value), ha="center", va="center", color=colour)


def show_distances(distances: Mapping[str, Tensor], *, against: str, width: float = 4.4) -> Figure:
    """Plot one kind of distance against each of the others, with the correlation above.

    Used in {doc}`04_dynamic_filters`.

    Args:
        distances: what -> values [N], one per pair of things.
        against: name of the one on the vertical axis.
        width: of the figure in inches.
    """
    vertical = distances[against]
    others = {name: values for name, values in distances.items() if name != against}
    figure, axes = plt.subplots(1, len(others), figsize=(width, 2.5), sharey=True, squeeze=False)
    for axis, (name, values) in zip(axes.flat, others.items(), strict=True):
        correlation = torch.corrcoef(torch.stack([values, vertical]))[0, 1]
        axis.scatter(values, vertical, s=6, alpha=0.35, linewidths=0)
        axis.set(xlabel=f"distance of {name}", title=f"correlation {correlation:.2f}")
    axes[0, 0].set_ylabel(f"distance of {against}")
    return figure


Box = tuple[float, float, float, str, str]  # x and y of the centre, width, text, colour


def show_plan(
    boxes: Mapping[str, Box],
    arrows: Sequence[tuple[str, str]],
    *,
    dashed: Sequence[tuple[str, str]] = (),
    width: float = 4.4,
) -> Figure:
    """Draw boxes and the arrows between them, from top to bottom; an arrow along one row runs sideways.

    Used in {doc}`05_dmnet`.

    Args:
        boxes: name -> (x, y, width, text, colour); a box is 0.8 high.
        arrows: pairs of names, from and to.
        dashed: more arrows, dashed.
        width: of the figure in inches; one unit of x is as long as one of y.
    """
    half = 0.4
    left = min(x - w / 2 for x, _, w, _, _ in boxes.values()) - 0.1
    right = max(x + w / 2 for x, _, w, _, _ in boxes.values()) + 0.1
    low, high = (pick(y for _, y, _, _, _ in boxes.values()) for pick in (min, max))
    figure, axis = plt.subplots(figsize=(width, width * (high - low + 1) / (right - left)))
    for x, y, w, text, colour in boxes.values():
        axis.add_patch(Rectangle((x - w / 2, y - half), w, 2 * half, facecolor=colour, edgecolor="#444444"))
        axis.text(x, y, text, ha="center", va="center", fontsize=10)
    for start, end in [*arrows, *dashed]:
        style = {"arrowstyle": "-|>", "color": "#444444", "shrinkA": 0, "shrinkB": 0}
        style["linestyle"] = "--" if (start, end) in dashed else "-"
        tail, head = _anchors(boxes[start], boxes[end], half)
        axis.annotate("", head, tail, arrowprops=style)
    axis.set(xlim=(left, right), ylim=(low - 0.5, high + 0.5), aspect="equal")
    axis.axis("off")
    return figure


def _anchors(start: Box, end: Box, half: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return where an arrow leaves one box and meets the other: upright where the wider box reaches."""
    if start[1] == end[1]:
        side = 1 if end[0] > start[0] else -1
        return (start[0] + side * start[2] / 2, start[1]), (end[0] - side * end[2] / 2, end[1])
    narrow, wide = sorted((start, end), key=lambda box: box[2])
    reach = wide[2] / 2 - 0.1
    x = min(max(narrow[0], wide[0] - reach), wide[0] + reach)
    xs = (narrow[0], x) if narrow is start else (x, narrow[0])
    down = half if start[1] > end[1] else -half
    return (xs[0], start[1] - down), (xs[1], end[1] + down)


def show_architecture(shapes: Mapping[str, str], filter_sizes: Sequence[int] = (1, 3, 5, 7)) -> Figure:
    """Draw the plan of DMNet. Used in {doc}`05_dmnet`.

    Args:
        shapes: what leaves each part, as text: "image", "stage 3", "stage 4", "response", "joined", "fused",
            "logits", "labels" (upsampled logits) and "auxiliary".
        filter_sizes: one module for each.
    """
    blue, orange, red, green, pink, grey = "#cfe3f1", "#fde3b8", "#f6cdb8", "#cdeadf", "#f1d7e6", "#e8e8e8"
    step = 5.2 / len(filter_sizes)
    places = {f"k = {k}": -1.95 + step * (i + 0.5) for i, k in enumerate(filter_sizes)}
    boxes: dict[str, Box] = {
        "image": (0, 9.4, 3.0, f"image\n{shapes['image']}", grey),
        "stage 3": (0, 8.1, 3.0, f"backbone to stage 3\n{shapes['stage 3']}", blue),
        "stage 4": (0, 6.8, 3.0, f"stage 4: features f\n{shapes['stage 4']}", blue),
        "f": (-2.65, 5.2, 1.1, "f itself", blue),
        **{name: (x, 5.2, step - 0.15, f"DCM\n{name}", orange) for name, x in places.items()},
        "join": (
            0,
            3.6,
            6.4,
            f"concatenate f and {len(places)} × {shapes['response']}\n{shapes['joined']}",
            grey,
        ),
        "fuse": (0, 2.3, 3.0, f"fuse: 3×3 conv\n{shapes['fused']}", red),
        "classify": (0, 1.0, 3.0, f"classify: 1×1 conv\n{shapes['logits']}", green),
        "up": (0, -0.3, 3.0, f"upsample\n{shapes['labels']}", green),
        "auxiliary": (2.65, 8.1, 1.5, f"auxiliary\n{shapes['auxiliary']}", pink),
    }
    branches = ["f", *places]
    arrows = [("image", "stage 3"), ("stage 3", "stage 4"), *(("stage 4", name) for name in branches)]
    arrows += [
        *((name, "join") for name in branches),
        ("join", "fuse"),
        ("fuse", "classify"),
        ("classify", "up"),
    ]
    return show_plan(boxes, arrows, dashed=[("stage 3", "auxiliary")])


def show_shares(
    values: Mapping[str, float], colours: Sequence[str], label: str, *, width: float = 4.4
) -> Figure:
    """Show the parts of a whole as bars, each with its value and its share in per cent.

    Used in {doc}`05_dmnet`.

    Args:
        values: part -> value, 0 or more; a dict or a pandas Series.
        colours: at least one for each part.
        label: what the values are, with their unit.
        width: of the figure in inches.

    Raises:
        DataError: if a value is negative, all are 0, or there are fewer colours than parts.
    """
    amounts = [float(value) for _, value in values.items()]
    if min(amounts, default=0) < 0 or sum(amounts) == 0:
        raise DataError(f"parts of a whole must not be negative and not all 0, got {amounts}")
    if len(colours) < len(amounts):
        raise DataError(f"{len(amounts)} parts need as many colours, got {len(colours)}")
    figure, axis = plt.subplots(figsize=(width, 0.32 * len(amounts) + 0.6))
    bars = axis.barh([str(name) for name, _ in values.items()], amounts, color=list(colours)[: len(amounts)])
    total = sum(amounts)
    shares = ["<1%" if 0 < amount / total < 0.005 else f"{amount / total:.0%}" for amount in amounts]
    labels = [f"{amount:.3g}  ({share})" for amount, share in zip(amounts, shares, strict=True)]
    axis.bar_label(bars, labels, padding=3)
    axis.invert_yaxis()
    axis.set(xlabel=label, xlim=(0, 1.4 * max(amounts)))
    return figure


def show_upsampling(values: Tensor, size: int) -> Figure:
    """Show a row of values and the pixels it is interpolated to, under both conventions of `align_corners`.

    Used in {doc}`05_dmnet`.

    Args:
        values: [length], at least 2 of them.
        size: pixels wanted, more than one.

    Raises:
        DataError: if there are fewer than two values or pixels.
    """
    if len(values) < 2 or size < 2:
        raise DataError(f"at least two values and two pixels are needed, got {len(values)} and {size}")
    figure, axes = plt.subplots(2, 1, figsize=(4.4, 3.2))
    index = torch.arange(len(values))
    places = [(index + 0.5) * size / len(values) - 0.5, index * (size - 1) / (len(values) - 1)]
    for axis, align, where in zip(axes, (False, True), places, strict=True):
        pixels = interpolation_matrix(len(values), size, align) @ values
        axis.imshow(
            pixels[None].numpy(),
            extent=(-0.5, size - 0.5, -0.4, 0.4),
            cmap="YlGnBu",
            vmax=2 * float(values.max()),
        )
        for i, pixel in enumerate(pixels.tolist()):
            axis.text(i, 0, f"{pixel:.2f}".rstrip("0").rstrip("."), ha="center", va="center", fontsize=10)
        for value, x in zip(values.tolist(), where.tolist(), strict=True):
            axis.plot([x, x], [0.4, 0.6], color="black", linewidth=1)
            circle = {"boxstyle": "circle", "facecolor": "white"}
            axis.text(x, 0.85, f"{value:g}", ha="center", va="center", fontsize=10, bbox=circle)
        axis.set(xlim=(-0.6, size - 0.4), ylim=(-0.5, 1.2), title=f"align_corners = {align}")
        axis.axis("off")
    return figure


def show_reads(axis: Axes, title: str, *, grid: int, step: int, pixels: int = 13) -> None:
    """Draw two stacked layers of three weights; light up all that the middle unit of the second one reads.

    Used in {doc}`03_backbone`.

    Args:
        axis: to draw on.
        title: what the drawing shows; the number of pixels seen is added.
        grid: pixels between two neighbouring units of both layers.
        step: pixels between the places that a unit of the second layer reads; the first reads neighbours.
        pixels: of the input, odd.
    """
    middle = pixels // 2
    read = [middle - step, middle, middle + step]
    seen = sorted({unit + offset for unit in read for offset in (-1, 0, 1)})
    for unit in read:
        axis.plot([middle, unit], [2, 1], "C0")
        for offset in (-1, 0, 1):
            axis.plot([unit, unit + offset], [1, 0], "C0")
    rows = [(range(pixels), seen), (range(0, pixels, grid), read), (range(0, pixels, grid), [middle])]
    for height, (units, lit) in enumerate(rows):
        colours = ["C0" if unit in lit else "0.8" for unit in units]
        axis.scatter(units, [height] * len(units), color=colours, s=70, zorder=3)
    axis.set_title(f"{title}: sees {len(seen)} pixels", fontsize=12)
    axis.set_yticks([0, 1, 2], ["pixels", "layer 1", "layer 2"], fontsize=11)
    axis.tick_params(length=0, labelbottom=False)
    axis.spines[:].set_visible(False)
    axis.set_ylim(-0.4, 2.3)


def mark_square(axis: Axes, *, centre: float, side: float, colour: str = "white") -> None:
    """Frame the square of `side` pixels around (centre, centre), and write its side into it.

    Used in {doc}`03_backbone`.
    """
    corner = centre - side / 2
    axis.add_patch(Rectangle((corner, corner), side, side, fill=False, edgecolor=colour, linestyle="--"))
    axis.text(centre, corner + 4, f"{side:g} pixels", color=colour, ha="center", va="top", fontsize=11)


def show_seeds(runs: pd.DataFrame, *, width: float = 4.4) -> Figure:
    """Show every training run as a dot: a row per variant, a colour and shape per length of training.

    Used in {doc}`06_training`.

    Args:
        runs: one row per run, with the columns "variant", "iterations" and "miou" (in percent). Variants are
            drawn in the order of their first row.
        width: of the figure in inches.
    """
    variants = list(dict.fromkeys(runs["variant"]))
    lengths = sorted(set(runs["iterations"]))
    figure, axis = plt.subplots(figsize=(width, 0.34 * len(variants) + 0.9))
    for i, length in enumerate(lengths):
        part = runs[runs["iterations"] == length]
        runs_of = part.groupby("variant")["variant"]
        nudge = 0.07 * (runs_of.cumcount() - (runs_of.transform("size") - 1) / 2)  # equal dots stay visible
        place = part["variant"].map(variants.index) + 0.35 * (i - (len(lengths) - 1) / 2) + nudge
        dots: dict[str, Any] = {"color": f"C{i}", "marker": "os^D"[i % 4], "label": f"{length} iterations"}
        axis.scatter(part["miou"], place, s=26, alpha=0.8, linewidths=0, **dots)
    for row in range(len(variants)):
        axis.axhline(row, color="0.9", zorder=0, linewidth=0.8)
    axis.set(xlabel="mIoU in %", yticks=range(len(variants)), yticklabels=variants)
    axis.invert_yaxis()
    if len(lengths) > 1:
        figure.legend(loc="outside lower center", ncols=len(lengths))
    return figure
