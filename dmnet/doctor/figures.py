"""What the doctor shows: examples with their masks, and the classes' shares."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from dmnet.classes import colour_table
from dmnet.errors import DataError
from dmnet.plots import add_class_legend


def show_examples(
    examples: Mapping[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]],
    classes: Sequence[str],
    palette: NDArray[np.uint8],
    *,
    width: float = 7.0,
) -> Figure:
    """Show labelled pictures, a row each: the image, its mask in colours, and the mask laid over the image.

    Used in {doc}`02_data`.

    Below are the names of the classes that occur, of "void", and of "no class", in magenta, for all labels
    beyond the classes. Used in {doc}`02_data`.

    Args:
        examples: id -> image [H, W, 3] and mask, [H, W] or, if it is a picture itself, [H, W, 3].
        classes: K names.
        palette: uint8 [K, 3].
        width: of the figure in inches.

    Raises:
        DataError: if there is no example.
    """
    if not examples:
        raise DataError("there is no example to show")
    colours = colour_table(palette)
    colours[len(classes) : 255] = (255, 0, 255)
    height = sum(width / 3 * image.shape[0] / image.shape[1] + 0.25 for image, _ in examples.values())
    size = (width, height + 0.2 * -(-len(classes) // 4))
    figure, axes = plt.subplots(len(examples), 3, figsize=size, squeeze=False, layout="constrained")
    seen: set[int] = set()
    for row, (name, (image, mask)) in zip(axes, examples.items(), strict=True):
        painted = colours[mask] if mask.ndim == 2 else mask
        seen |= set(np.unique(mask).tolist() if mask.ndim == 2 else ())
        for axis, picture in zip(row, (image, painted, image), strict=True):
            axis.imshow(picture)
            axis.axis("off")
        # A mask of another size is stretched.
        frame = (-0.5, image.shape[1] - 0.5, image.shape[0] - 0.5, -0.5)
        row[2].imshow(painted, alpha=0.5, extent=frame, interpolation="nearest")
        row[0].set_title(name, fontsize=8)
        row[1].set_title("mask", fontsize=8)
        row[2].set_title("both", fontsize=8)
    names = {label: classes[label] if label < len(classes) else "no class" for label in seen - {255}}
    names |= {255: "void"} if 255 in seen else {}
    texts = {text: colours[label] for label, text in names.items()}  # "no class" once
    if texts:
        add_class_legend(figure, list(texts), np.stack(list(texts.values())))
    return figure


def show_class_shares(shares: pd.DataFrame, palette: NDArray[np.uint8], *, width: float = 4.4) -> Figure:
    """Show each class's share of the pixels as bars in its colour, one for each split.

    Used in {doc}`02_data`.

    Args:
        shares: in percent; a row per class, a column per split.
        palette: uint8 [K, 3].
        width: of the figure in inches.

    Raises:
        DataError: if there are fewer colours than classes, or no share.
    """
    if shares.size == 0 or len(palette) < len(shares):
        raise DataError(f"{shares.shape[0]} classes in {shares.shape[1]} splits and {len(palette)} colours")
    splits = list(shares.columns)
    figure, axis = plt.subplots(
        figsize=(width, 0.2 * len(shares) * (len(splits) + 0.5) + 0.6), layout="constrained"
    )
    thick = 0.8 / len(splits)
    hatches = ("", "////", "....", "xxxx")
    for i, split in enumerate(splits):
        places = np.arange(len(shares)) + thick * (i - (len(splits) - 1) / 2)
        style: dict[str, Any] = {"hatch": hatches[i % 4], "edgecolor": "0.65", "linewidth": 0.5}
        bars = axis.barh(places, shares[split], thick, color=palette[: len(shares)] / 255, **style)
        texts = [f"{share:.2g} %" if share < 10 else f"{share:.0f} %" for share in shares[split]]
        axis.bar_label(bars, texts, padding=3, fontsize=7)
    axis.set(xlabel="share of the pixels in %", xlim=(0, 1.18 * max(float(np.nanmax(shares)), 1e-9)))
    axis.set_yticks(range(len(shares)), [str(name) for name in shares.index])
    axis.set_ylim(len(shares) - 0.5, -0.5)
    if len(splits) > 1:
        handles = [
            Patch(facecolor="white", edgecolor="0.4", hatch=hatches[i % 4], label=str(split))
            for i, split in enumerate(splits)
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(splits))
    return figure
