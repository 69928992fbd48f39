"""Labels shown to people, and the colours of what is drawn."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import get_data_path
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

from dmnet.classes import KNOWN, colour_table, voc_palette
from dmnet.errors import DataError
from dmnet.images import read_image
from dmnet.model import DMNet

Labels = NDArray[np.uint8]
# What is drawn, in charts and in live figures, has these colours of Okabe and Ito, told apart by most eyes.
SCALES = {1: "#e69f00", 3: "#56b4e9", 5: "#cc79a7", 7: "#0072b2"}  # the filter sizes
KINDS = {"ruby": "#d55e00", "jade": "#009e73"}  # the drawn worlds' questions


def class_list(model: DMNet) -> tuple[tuple[str, ...], Labels]:
    """Return the model's class names, and their colours, or VOC's if unknown. Used in {doc}`welcome`."""
    known = {one.names: one.palette for one in KNOWN}
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
    the colours, 0..1. If `legend` names the classes, they are listed below. A DataError if image and labels
    differ in size. Used in {doc}`welcome`.
    """
    pixels, classes = read_image(image), np.asarray(labels).astype(np.uint8)
    if pixels.shape[:2] != classes.shape:
        raise DataError(f"the image is {pixels.shape[:2]}, its labels are {classes.shape} (height, width)")
    colours = colour_table(palette)
    for top in range(0, len(pixels), 256):  # strips, since floats take eight times the memory
        rows = slice(top, top + 256)
        pixels[rows] = (1 - alpha) * pixels[rows] + alpha * colours[classes[rows]] + 0.5
    pixels[:, :-1][classes[:, :-1] != classes[:, 1:]] = 255  # where the right neighbour has another label
    pixels[:-1][classes[:-1] != classes[1:]] = 255
    picture = Image.fromarray(pixels)
    return picture if legend is None else _with_legend(picture, classes, colours, legend)


def _with_legend(picture: Image.Image, labels: Labels, colours: Labels, names: Sequence[str]) -> Image.Image:
    """Add one line per class that occurs below the picture, the most frequent first."""
    counts = np.bincount(labels.ravel(), minlength=256)
    line = min(max(picture.width // 24, 12), 28)  # pixels
    font = ImageFont.truetype(f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf", 0.7 * line)  # has accents
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
