"""What the doctor shows: examples with their masks, and the classes' shares."""

from contextlib import suppress
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from dmnet.classes import colour_table
from dmnet.datasets.base import IGNORE
from dmnet.datasets.files import UNKNOWN, FileDataset
from dmnet.doctor import Report
from dmnet.doctor.measuring import read_stored, spread
from dmnet.errors import DataError

WIDTH = 7.0  # of the examples, in inches


def show_examples(dataset: Any, count: int = 6) -> Figure:
    """Show `count` examples, a row each: image, mask and both; a DataError if none can be read.

    Of refused masks, values without a class are magenta, other sizes stretched. Used in {doc}`05_data`.
    """
    examples = []
    for index in spread(len(dataset), count):
        with suppress(Exception):
            examples.append(_whatever(dataset, index))
    if not examples:
        raise DataError("none of the examples can be read; the findings say why")
    classes = dataset.classes
    colours = colour_table(getattr(dataset, "palette", None))
    colours[len(classes) : 255] = (255, 0, 255)
    height = sum(WIDTH / 3 * image.shape[0] / image.shape[1] + 0.25 for image, *_ in examples)
    size = (WIDTH, height + 0.2 * -(-len(classes) // 4))
    figure, axes = plt.subplots(len(examples), 3, figsize=size, squeeze=False, layout="constrained")
    seen: set[int] = set()
    for row, (image, mask, name) in zip(axes, examples, strict=True):
        painted = colours[mask] if mask.ndim == 2 else mask
        seen |= set(np.unique(mask).tolist() if mask.ndim == 2 else ())
        for axis, shown, title in zip(row, (image, painted, image), (name, "mask", "both"), strict=True):
            axis.imshow(shown)
            axis.set_title(title, fontsize=8)
            axis.axis("off")
        frame = (-0.5, image.shape[1] - 0.5, image.shape[0] - 0.5, -0.5)
        row[2].imshow(painted, alpha=0.5, extent=frame, interpolation="nearest")
    names = [*classes, *["no class"] * (255 - len(classes)), "void"]
    texts = {names[label]: colours[label] for label in sorted(seen)}
    if handles := [Patch(color=colour / 255, label=text) for text, colour in texts.items()]:
        figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 4), fontsize=8)
    return figure


def _whatever(dataset: Any, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8], str]:
    """Return an image, its mask [H, W] (254 for values that stand for nothing) or [H, W, 3], and the id."""
    if not isinstance(dataset, FileDataset):
        image, mask, name = dataset[index]
        strange = (mask >= len(dataset.classes)) & (mask != getattr(dataset, "ignore_index", IGNORE))
        return image, np.where(strange, UNKNOWN, mask).astype(np.uint8), name
    image, name = dataset.image(index)
    stored, _ = read_stored(dataset.mask_file(name))
    if stored.ndim == 2:
        inside = (stored >= 0) & (stored <= 255)
        stored = np.where(inside, dataset.encoding.decode(np.where(inside, stored, 0)), UNKNOWN)
    return image, stored.astype(np.uint8), name


def show_class_shares(report: Report, palette: NDArray[np.uint8]) -> Figure:
    """Show each class's share of the pixels as bars in its colour, one for each split. See {doc}`05_data`."""
    splits = [part.split for part in report.splits]
    shares = report.table().loc[list(report.classes), [f"{split} %" for split in splits]]
    size = (4.4, 0.2 * len(shares) * (len(splits) + 0.5) + 0.6)
    figure, axis = plt.subplots(figsize=size, layout="constrained")
    thick = 0.8 / len(splits)
    for i, split in enumerate(splits):
        places = np.arange(len(shares)) + thick * (i - (len(splits) - 1) / 2)
        style: dict[str, Any] = {"hatch": ("", "////", "....")[i % 3], "edgecolor": "0.65", "label": split}
        bars = axis.barh(places, shares[f"{split} %"], thick, color=palette[: len(shares)] / 255, **style)
        texts = [f"{share:.2g} %" if share < 10 else f"{share:.0f} %" for share in shares[f"{split} %"]]
        axis.bar_label(bars, texts, padding=3)
    axis.set(xlabel="share of the pixels in %", xlim=(0, 1.25 * max(np.nanmax(shares.to_numpy()), 1e-9)))
    axis.set_yticks(range(len(shares)), report.classes)
    axis.set_ylim(len(shares) - 0.5, -0.5)
    if len(splits) > 1:
        figure.legend(loc="outside lower center", ncols=len(splits))
    return figure
