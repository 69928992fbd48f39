"""Every figure kind that the book uses more than once. Each function returns the matplotlib `Figure`."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray
from torch import Tensor

from dmnet.datasets.classes import VOID_COLOUR


def show_images(
    images: Sequence[NDArray[Any] | Tensor],
    titles: Sequence[str] = (),
    *,
    columns: int | None = None,
    width: float = 7.0,
    **imshow: Any,
) -> Figure:
    """Show pictures side by side, without axes.

    Args:
        images: arrays [H, W] or [H, W, 3].
        titles: one for each, or none.
        columns: pictures in a row; all of them by default.
        width: of the figure in inches.
        **imshow: passed to `Axes.imshow`.
    """
    columns = columns or len(images)
    rows = -(-len(images) // columns)
    height, breadth = np.asarray(images[0]).shape[:2]
    title_height = 0.25 if titles else 0.05
    size = (width, rows * (width / columns * height / breadth + title_height))
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, image in zip(axes.flat, images, strict=False):
        axis.imshow(np.asarray(image), **imshow)
    for axis, title in zip(axes.flat, titles, strict=False):
        axis.set_title(title)
    return figure


def colour_labels(labels: NDArray[Any] | Tensor, palette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return labels [H, W] as a picture uint8 [H, W, 3]; 255 gets VOC's cream."""
    table = np.full((256, 3), VOID_COLOUR, dtype=np.uint8)
    table[: len(palette)] = palette
    return table[np.asarray(labels)]


def add_class_legend(figure: Figure, classes: Sequence[str], palette: NDArray[np.uint8]) -> None:
    """Put the classes' names and colours below `figure`."""
    handles = [Patch(color=colour / 255, label=name) for name, colour in zip(classes, palette, strict=True)]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(classes), 4), fontsize=8)


def show_filters(filters: Tensor, *, columns: int = 8, title: str = "", width: float = 7.0) -> Figure:
    """Show filters [N, k, k] as tiles: red adds, blue subtracts, one colour scale for all."""
    tiles = torch.as_tensor(filters).detach()
    if tiles.shape[-1] == 1:
        columns = min(columns, 16)
    limit = float(tiles.abs().max()) or 1.0
    rows = -(-len(tiles) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(width, width / columns * rows + 0.3), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    norm = TwoSlopeNorm(0, -limit, limit)
    for axis, tile in zip(axes.flat, tiles, strict=False):
        picture = axis.imshow(tile, cmap="RdBu_r", norm=norm)
    figure.colorbar(picture, ax=axes, shrink=0.8, pad=0.01)
    figure.suptitle(title, fontsize=9)
    return figure


def show_table(
    columns: Mapping[str, Sequence[NDArray[Any] | Tensor]],
    *,
    rows: Sequence[str] = (),
    digits: int | None = None,
    width: float = 5.4,
) -> Figure:
    """Show pictures and filters in a table: one row per example, one column per kind.

    Args:
        columns: title -> one picture per row. Pictures [H, W, 3] are shown as they are; maps and filters
            [H, W] in red (adds) and blue (subtracts), with one colour scale for the whole column.
        rows: a label for each row, or none.
        digits: write the values of filters of up to 3 x 3 taps, with so many digits after the point.
        width: of the figure in inches.
    """
    height = max(len(pictures) for pictures in columns.values())
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
    for axis, label in zip(axes[:, 0], rows, strict=False):
        axis.set_ylabel(label)
    return figure


def show_digits(
    grids: Mapping[str, NDArray[Any] | Tensor],
    *,
    marks: Mapping[str, tuple[int, int, int]] | None = None,
    columns: int = 3,
    width: float = 5.4,
) -> Figure:
    """Show small grids of numbers, cell by cell, all drawn with cells of one size.

    Args:
        grids: title -> values [H, W].
        marks: title -> (row, column, side) of a square window to frame.
        columns: grids in a row.
        width: of the figure in inches.
    """
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
