"""Labels painted for people: over the image, with boundaries and a legend."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

from dmnet.classes import (
    ADE20K,
    CITYSCAPES,
    DEMO_CONTEXT,
    DEMO_SCALE,
    VOC,
    colour_table,
    voc_palette,
)
from dmnet.errors import DataError
from dmnet.images import read_image
from dmnet.model import DMNet

Labels = NDArray[np.uint8]


def class_list(model: DMNet) -> tuple[tuple[str, ...], Labels]:
    """Return names and colours of the model's classes: those of a known data set, else VOC's colours."""
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
    """Return the image with its labels painted over it.

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
    if boundaries:
        mixed[_boundaries(classes)] = 255
    picture = Image.fromarray(mixed)
    return picture if legend is None else _with_legend(picture, classes, colours, legend)


def _boundaries(labels: Labels) -> NDArray[np.bool_]:
    """Mark the pixels whose right or lower neighbour has another label."""
    edge = np.zeros(labels.shape, bool)
    edge[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    edge[:-1] |= labels[:-1] != labels[1:]
    return edge


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
