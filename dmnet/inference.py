"""From an image to a label per pixel: one scale, the whole image at once.

The steps are those of the published evaluation: resize to the system's limits, normalise, run the network,
resize the logits to the *original* size, take the arg-max. Systems whose protocol slides a window
(`evaluation.window`) are run on the whole image as well.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn

from dmnet.datasets.base import IGNORE
from dmnet.datasets.classes import (
    ADE20K,
    CITYSCAPES,
    DEMO_CONTEXT,
    DEMO_SCALE,
    VOC,
    colour_table,
    voc_palette,
)
from dmnet.errors import DataError, DMNetError
from dmnet.images import read_image
from dmnet.metrics import ConfusionMatrix
from dmnet.model import DMNet, ScaleGates
from dmnet.progress import progress as progress_bar
from dmnet.transforms import evaluation_image
from dmnet.upsampling import interpolation_matrix

BAND_VALUES = 2**24  # logits that are held at full width at once: 64 MB

Labels = NDArray[np.uint8]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Switch every module to evaluation mode, and each back to the mode that it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def predict_logits(model: DMNet, images: Tensor, scale_gates: ScaleGates = None) -> Tensor:
    """Return the logits of normalised images, at the network's output stride.

    Args:
        model: on any device; its mode is left as it was.
        images: [3, H, W] or [B, 3, H, W]; moved to the model's device and number format.
        scale_gates: see `dmnet.model.DMNet.forward`.

    Returns:
        [K, h, w] or [B, K, h, w], on the model's device.
    """
    batch = images if images.dim() == 4 else images[None]
    weight = next(model.parameters())
    with evaluating(model), torch.inference_mode():
        logits = model(batch.to(weight), scale_gates).logits
    return logits if images.dim() == 4 else logits[0]


def predict(model: DMNet, image: Any, scale_gates: ScaleGates = None) -> Labels:
    """Return the class of every pixel.

    Args:
        model: knows by `model.system` how it wants its images; without a system they are not resized.
        image: a path, a PIL image or an array, of any size; see `dmnet.images.read_image`.
        scale_gates: see `dmnet.model.DMNet.forward`.

    Returns:
        uint8 [H, W], at the size of `image`.

    Raises:
        DataError: if the image cannot be read.
    """
    pixels = read_image(image)
    prepared = evaluation_image(model.system, pixels)
    logits = predict_logits(model, prepared, scale_gates)
    height, width = pixels.shape[:2]
    return labels_at(logits, (height, width), model.architecture.align_corners)


def labels_at(logits: Tensor, size: tuple[int, int], align_corners: bool = False) -> Labels:
    """Return the arg-max of bilinearly resized logits, without ever holding all of them.

    Args:
        logits: [K, h, w], K at most 255.
        size: (height, width) of the result.
        align_corners: how the logits are resized.

    Returns:
        uint8 [height, width].

    Raises:
        DMNetError: if there are more classes than a label map can hold.
    """
    classes, height, _ = logits.shape
    if classes > IGNORE:
        raise DMNetError(f"a label map holds at most {IGNORE} classes and void, the logits have {classes}")
    logits = logits.float()  # half precision is too coarse for the weights between pixels
    wide = F.interpolate(logits[None], (height, size[1]), mode="bilinear", align_corners=align_corners)[0]
    rows = interpolation_matrix(height, size[0], align_corners).to(logits)  # [size[0], height]
    labels = torch.empty(size, dtype=torch.uint8)
    band = max(BAND_VALUES // (classes * size[1]), 1)
    for top in range(0, size[0], band):
        weights = rows[top : top + band]
        used = weights.any(dim=0).nonzero()  # a band needs only the few rows of logits next to it
        first, last = int(used[0]), int(used[-1]) + 1
        labels[top : top + band] = (weights[:, first:last] @ wide[:, first:last]).argmax(0).cpu()
    return labels.numpy()


def evaluate(
    model: DMNet, dataset: Any, *, scale_gates: ScaleGates = None, progress: bool = False
) -> ConfusionMatrix:
    """Predict every image of a data set and count what is right.

    Args:
        model: as for `predict`.
        dataset: len() and dataset[i] -> (image, mask, id); masks hold 0..K-1 and 255.
        scale_gates: see `dmnet.model.DMNet.forward`.
        progress: show a progress bar, if somebody is looking.

    Raises:
        DataError: if the data set has other classes than the model, or a mask a label that is no class.
    """
    classes = model.architecture.num_classes
    if len(dataset.classes) != classes:
        raise DataError(f"the model knows {classes} classes, the data set has {len(dataset.classes)}")
    learned = model.system.classes if model.system else ()
    if len(learned) == classes and learned != tuple(dataset.classes):
        warnings.warn(
            f"the model learned the classes {', '.join(learned)}, the data set calls them "
            f"{', '.join(dataset.classes)}: labels are compared by number alone",
            stacklevel=2,
        )
    matrix = ConfusionMatrix(classes, IGNORE)
    shown: dict[str, bool] = {} if progress else {"disable": True}
    for index in progress_bar(range(len(dataset)), desc="evaluate", unit="image", **shown):
        image, mask, name = dataset[index]
        try:
            matrix.update(predict(model, image, scale_gates), mask)
        except DataError as error:
            raise DataError(f"image {name}: {error}") from error
    return matrix


# Pictures ------------------------------------------------------------------------------------------------


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
