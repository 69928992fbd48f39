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
    images: Sequence[NDArray[Any] | Tensor] | Tensor,
    titles: Sequence[str] = (),
    *,
    columns: int | None = None,
    width: float = 7.0,
    **imshow: Any,
) -> Figure:
    """Show pictures [H, W] or [H, W, 3] side by side, without axes, the last perhaps without a title.

    There are `columns` in a row, by default all. The figure is `width` inches wide. All else is passed to
    `Axes.imshow`. Used in {doc}`welcome`.

    Raises:
        DataError: if there is no picture, or more titles than pictures.
    """
    if not len(images) or len(titles) > len(images):
        raise DataError(f"{len(images)} pictures and {len(titles)} titles: every title needs a picture")
    columns = columns or len(images)
    rows = -(-len(images) // columns)
    height, breadth = np.asarray(images[0]).shape[:2]
    size = (width, rows * (width / columns * height / breadth + (0.25 if titles else 0.05)))
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, image in zip(axes.flat, images, strict=False):
        axis.imshow(np.asarray(image), **imshow)
    for axis, title in zip(axes.flat, titles, strict=False):
        axis.set_title(title)
    return figure


def show_filters(filters: Tensor, *, columns: int = 8, width: float = 7.0) -> Figure:
    """Show filters [N, k, k] as tiles: red adds, blue subtracts, one colour scale for all.

    Used in {doc}`welcome`.

    Raises:
        DataError: if `filters` has another shape.
    """
    tiles = torch.as_tensor(filters).detach()
    if tiles.ndim != 3 or tiles.numel() == 0:
        raise DataError(f"filters must be [N, k, k], at least one, got {list(tiles.shape)}")
    limit = float(tiles.abs().max()) or 1.0
    norm = TwoSlopeNorm(0, -limit, limit)
    figure = show_images(tiles, columns=columns, width=width, cmap="RdBu_r", norm=norm)
    figure.colorbar(figure.axes[0].images[0], ax=figure.axes, shrink=0.8, pad=0.01)
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
    """Return the model's class names, and their colours, or VOC's if unknown. Used in {doc}`welcome`."""
    known = {one.names: one.palette for one in (VOC, CITYSCAPES, ADE20K, DEMO_CONTEXT, DEMO_SCALE)}
    names = model.system.classes if model.system else ()
    names = names or tuple(f"class {number}" for number in range(model.architecture.num_classes))
    return names, known[names] if names in known else voc_palette(model.architecture.num_classes)


def overlay(
    image: Any,
    labels: ArrayLike,
    palette: ArrayLike | None = None,
    *,
    alpha: float = 0.5,
    legend: Sequence[str] | None = None,
) -> Image.Image:
    """Return the image with its labels painted over it, and a white line, one pixel wide, where two meet.

    The image is a path, a PIL image or an array [H, W, 3]; labels are integers [H, W], of which 255 is
    painted in VOC's colour of void; the palette is uint8 [K, 3], by default VOC's. `alpha` is the opacity of
    the colours, 0..1. If `legend` names the classes, they are listed below. Used in {doc}`welcome`.

    Raises:
        DataError: if image and labels differ in size.
    """
    pixels, classes = read_image(image), np.asarray(labels).astype(np.uint8)
    if pixels.shape[:2] != classes.shape:
        raise DataError(f"the image is {pixels.shape[:2]}, its labels are {classes.shape} (height, width)")
    colours = colour_table(palette)
    mixed = ((1 - alpha) * pixels + alpha * colours[classes] + 0.5).astype(np.uint8)
    mixed[:, :-1][classes[:, :-1] != classes[:, 1:]] = 255  # where the right neighbour has another label
    mixed[:-1][classes[:-1] != classes[1:]] = 255
    picture = Image.fromarray(mixed)
    return picture if legend is None else _with_legend(picture, classes, colours, legend)


def _with_legend(picture: Image.Image, labels: Labels, colours: Labels, names: Sequence[str]) -> Image.Image:
    """Add one line per class that occurs below the picture, the most frequent first."""
    counts = np.bincount(labels.ravel(), minlength=256)
    line = min(max(picture.width // 24, 12), 28)  # pixels
    font = ImageFont.load_default(size=0.7 * line)
    texts = {}
    for c in np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)].tolist():
        texts[c] = f"{names[c] if c < len(names) else 'void'}  {counts[c] / labels.size:.1%}"
    width = max(picture.width, int(max(map(font.getlength, texts.values()))) + 2 * line)
    canvas = Image.new("RGB", (width, picture.height + line * len(texts) + line // 2), "white")
    canvas.paste(picture)
    draw = ImageDraw.Draw(canvas)
    for row, (c, text) in enumerate(texts.items()):
        top = picture.height + line // 4 + row * line
        box = (line // 4, top + line // 8, line + line // 4, top + line - line // 8)
        draw.rectangle(box, fill=tuple(colours[c].tolist()), outline="grey")
        draw.text((1.6 * line, top + line // 2), text, fill="black", font=font, anchor="lm")
    return canvas
