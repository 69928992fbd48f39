"""What is looked at around a training: weights of classes, learning curves, confusion; without pyplot."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dmnet.files import atomic_write
from dmnet.metrics import ratio


def balanced_weights(pixels: Sequence[int]) -> tuple[float, ...]:
    """Return class weights by which all classes count alike, from the number of pixels of each.

    1 / (number of classes * share), "balanced" in scikit-learn [King and Zeng 2001]; 1 without a pixel. The
    pixels are e.g. `dmnet.doctor.examine(dataset).splits[0].pixels`. See {doc}`06_training`.
    """
    mean = sum(pixels) / len(pixels)
    return tuple(float(f"{mean / count:.4g}") if count else 1.0 for count in pixels)


def draw_run(folder: Any, classes: Sequence[str], history: pd.DataFrame, matrix: Any = None) -> None:
    """Write `curves.png` and, of a `ConfusionMatrix`, `confusion.png` into a folder. See {doc}`06_training`.

    `train(watch=functools.partial(draw_run, folder, classes))` does it at every evaluation and checkpoint.
    """
    figures = {"curves": show_curves(history)}
    figures |= {"confusion": show_confusion(matrix.counts, classes)} if matrix else {}
    for name, figure in figures.items():
        with atomic_write(Path(folder, f"{name}.png")) as temporary:
            figure.savefig(temporary, dpi=150)


def show_curves(history: pd.DataFrame) -> Figure:
    """Show loss, its mean over 20 steps, learning rate, and mIoU if there is any. See {doc}`06_training`.

    `history` is that of a `dmnet.training.TrainingResult`.
    """
    names = {"loss": "loss", "lr": "learning rate", "val_miou": "mIoU on validation images"}
    curves = history[[*names]].dropna(axis="columns", how="all")
    figure = Figure(figsize=(6, 2.2 * curves.shape[1]), layout="constrained")
    axes = figure.subplots(curves.shape[1], sharex=True)
    for axis, (column, values) in zip(axes, curves.items(), strict=True):
        values = values.dropna()
        axis.plot(values, color="0.8" if column == "loss" else "C0", marker="." if len(values) < 20 else "")
        axis.set(ylabel=names[str(column)], ylim=(0, None))
    axes[0].plot(history["loss"].rolling(20, min_periods=1).mean(), "C1")
    axes[-1].set(xlabel="iteration")
    return figure


def show_confusion(counts: NDArray[Any], classes: Sequence[str]) -> Figure:
    """Show a confusion matrix, each row divided by its sum; up to 20 classes with numbers in the cells.

    `counts` are those of a `dmnet.metrics.ConfusionMatrix`, [K, K]; the row of a class without a pixel is
    empty. Used in {doc}`07_evaluation`.
    """
    count, few = len(classes), len(classes) <= 20
    shares = ratio(counts, np.broadcast_to(counts.sum(axis=1, keepdims=True), counts.shape))
    side = (0.3 if few else 0.14) * count  # inches
    figure = Figure(figsize=(max(side + 2.3, 4.4), side + 0.9), layout="constrained")
    axis = figure.subplots()
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        if few and not np.isnan(share):
            style: Any = {"ha": "center", "va": "center", "color": "w" if share > 0.5 else "k"}
            axis.text(column, row, f"{100 * share:.0f}", **style)
    axis.set_yticks(range(count), [f"{n}  {name}" for n, name in enumerate(classes)])
    axis.set(xticks=range(0, count, 1 if few else 5), xlabel="predicted as, % of the true class's pixels")
    if not few:
        axis.tick_params(labelsize=7)
    axis.spines[:].set_visible(False)
    return figure
