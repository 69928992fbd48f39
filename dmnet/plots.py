"""Every figure kind that the book uses more than once. Each function returns the matplotlib `Figure`."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch
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
