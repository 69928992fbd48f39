"""Images, filters and labels shown to people."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from dmnet.classes import ADE20K, CITYSCAPES, DEMO_CONTEXT, DEMO_SCALE, VOC, colour_table, voc_palette
from dmnet.errors import DataError
from dmnet.images import read_image

if TYPE_CHECKING:
    from dmnet.model import DMNet

Labels = NDArray[np.uint8]


def show_images(
    images: Sequence[NDArray[Any] | Tensor],
    titles: Sequence[str] = (),
    *,
    columns: int | None = None,
    width: float = 7.0,
    **imshow: Any,
) -> Figure:
    """Show pictures side by side, without axes. Used in {doc}`welcome`.

    Args:
        images: arrays [H, W] or [H, W, 3].
        titles: one for each; if there are fewer, the last pictures have none.
        columns: pictures in a row; all of them by default.
        width: of the figure in inches.
        **imshow: passed to `Axes.imshow`.

    Raises:
        DataError: if there is no picture, or more titles than pictures.
    """
    if not len(images) or len(titles) > len(images):
        raise DataError(f"{len(images)} pictures and {len(titles)} titles: every title needs a picture")
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


def show_filters(filters: Tensor, *, columns: int = 8, title: str = "", width: float = 7.0) -> Figure:
    """Show filters [N, k, k] as tiles: red adds, blue subtracts, one colour scale for all.

    Used in {doc}`welcome`.

    Raises:
        DataError: if `filters` has another shape.
    """
    tiles = torch.as_tensor(filters).detach()
    if tiles.ndim != 3 or tiles.numel() == 0:
        raise DataError(f"filters must be [N, k, k], at least one, got {list(tiles.shape)}")
    if tiles.shape[-1] == 1:
        columns = min(columns, 16)
    limit = float(tiles.abs().max()) or 1.0
    rows = -(-len(tiles) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(width, width / columns * rows + 0.3), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    norm = TwoSlopeNorm(0, -limit, limit)
    for axis, tile in zip(axes.flat, tiles, strict=False):
        picture = axis.imshow(tile.numpy(), cmap="RdBu_r", norm=norm)
    figure.colorbar(picture, ax=axes, shrink=0.8, pad=0.01)
    figure.suptitle(title, fontsize=9)
    return figure


def add_class_legend(figure: Figure, classes: Sequence[str], palette: NDArray[np.uint8]) -> None:
    """Put the classes' names and colours below `figure`. Used in {doc}`02_data`."""
    handles = [Patch(color=colour / 255, label=name) for name, colour in zip(classes, palette, strict=True)]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(classes), 4), fontsize=8)


def colour_labels(labels: NDArray[Any] | Tensor, palette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return labels [H, W] as a picture uint8 [H, W, 3]; 255 gets VOC's cream. Used in {doc}`03_backbone`.

    Raises:
        DataError: if a label has no colour in the palette [K, 3].
    """
    indices = np.asarray(labels)
    strange = indices[(indices < 0) | (indices >= len(palette)) & (indices != 255)]
    if strange.size:
        raise DataError(f"label {strange.flat[0]} has no colour in a palette of {len(palette)}")
    return colour_table(palette)[indices]


def class_list(model: "DMNet") -> tuple[tuple[str, ...], Labels]:
    """Return names and colours of the model's classes: those of a known data set, else VOC's colours.

    Used in {doc}`welcome`.
    """
    count = model.architecture.num_classes
    names = model.system.classes if model.system else ()
    for known in (VOC, CITYSCAPES, ADE20K, DEMO_CONTEXT, DEMO_SCALE):
        if names == known.names:
            return names, known.palette
    return names or tuple(f"class {number}" for number in range(count)), voc_palette(count)


def overlay(
    image: Any,
    labels: ArrayLike,
    palette: ArrayLike | None = None,
    *,
    alpha: float = 0.5,
    boundaries: bool = True,
    legend: Sequence[str] | None = None,
) -> Image.Image:
    """Return the image with its labels painted over it. Used in {doc}`welcome`.

    Args:
        image: a path, a PIL image or an array [H, W, 3].
        labels: [H, W], integers; 255 is painted in VOC's colour of void.
        palette: uint8 [K, 3]; VOC's colours without it.
        alpha: opacity of the colours, 0..1.
        boundaries: draw a white line, one pixel wide, where two labels meet.
        legend: names of the classes; those that occur are listed below the picture.

    Raises:
        DataError: if image and labels differ in size.
    """
    pixels, classes = read_image(image), np.asarray(labels).astype(np.uint8)
    if pixels.shape[:2] != classes.shape:
        raise DataError(f"the image is {pixels.shape[:2]}, its labels are {classes.shape} (height, width)")
    colours = colour_table(palette)
    mixed = ((1 - alpha) * pixels + alpha * colours[classes] + 0.5).astype(np.uint8)
    if boundaries:  # pixels whose right or lower neighbour has another label
        mixed[:, :-1][classes[:, :-1] != classes[:, 1:]] = 255
        mixed[:-1][classes[:-1] != classes[1:]] = 255
    picture = Image.fromarray(mixed)
    return picture if legend is None else _with_legend(picture, classes, colours, legend)


def _with_legend(picture: Image.Image, labels: Labels, colours: Labels, names: Sequence[str]) -> Image.Image:
    """Add one line per class that occurs below the picture, the most frequent first."""
    counts = np.bincount(labels.ravel(), minlength=256)
    shown = [int(c) for c in np.argsort(-counts, kind="stable") if counts[c]]
    line = min(max(picture.width // 24, 12), 28)  # pixels
    font = ImageFont.load_default(size=0.7 * line)
    texts = {c: f"{names[c] if c < len(names) else 'void'}  {counts[c] / labels.size:.1%}" for c in shown}
    needed = int(max(font.getlength(text) for text in texts.values())) + 2 * line
    canvas = Image.new(
        "RGB", (max(picture.width, needed), picture.height + line * len(shown) + line // 2), "white"
    )
    canvas.paste(picture)
    draw = ImageDraw.Draw(canvas)
    for row, (c, text) in enumerate(texts.items()):
        top = picture.height + line // 4 + row * line
        box = (line // 4, top + line // 8, line + line // 4, top + line - line // 8)
        draw.rectangle(box, fill=tuple(colours[c].tolist()), outline="grey")
        draw.text((1.6 * line, top + line // 2), text, fill="black", font=font, anchor="lm")
    return canvas
