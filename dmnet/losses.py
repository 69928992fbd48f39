"""What training minimises. Derived in {doc}`06_training`."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from dmnet.datasets.base import IGNORE
from dmnet.model import Output
from dmnet.systems import Recipe
from dmnet.upsampling import upsample_grid


class Loss(NamedTuple):
    """The loss and its two parts, each a scalar. Used in {doc}`06_training`."""

    total: Tensor
    main: Tensor
    aux: Tensor | None  # before it is weighted


def segmentation_loss(
    output: Output,
    labels: Tensor,
    recipe: Recipe,
    align_corners: bool = False,
    shift: tuple[int, int] | None = None,
    weight: Tensor | None = None,
) -> Loss:
    r"""Return $L = \mathrm{CE}(z) + \lambda\, \mathrm{CE}(z^\text{aux})$.

    Logits are upsampled to the labels' size first. With `recipe.label_stride` $s > 1$ the loss is taken on
    every $s$-th row and column alone, from a random one on: exact there, and $s^2$ times cheaper. The losses
    of micro-batches add up to that of the batch, the mean over *all* its labelled pixels, if all are given
    the same `shift` and the weight of the whole batch. Derived in {doc}`06_training`.

    Args:
        output: of the network.
        labels: [B, H, W], int64; 255 is ignored.
        recipe: gives $\lambda$ = `aux_weight`, `class_weights` and `label_stride`.
        align_corners: how the architecture upsamples.
        shift: of the grid, see `draw_shift`; None draws it here.
        weight: scalar, see `labelled`; None: that of these labels.
    """
    stride, size = recipe.label_stride, (labels.shape[-2], labels.shape[-1])
    shift = draw_shift(labels, stride) if shift is None else shift
    labels = on_grid(labels, shift, stride)

    def term(logits: Tensor) -> Tensor:
        full = upsample_grid(logits, size, shift, stride, align_corners)
        return cross_entropy(full, labels, recipe.class_weights, weight)

    main = term(output.logits)
    if output.aux_logits is None:
        return Loss(main, main, None)
    aux = term(output.aux_logits)
    return Loss(main + recipe.aux_weight * aux, main, aux)


def draw_shift(labels: Tensor, stride: int) -> tuple[int, int]:
    """Draw the first row and column of the loss's grid on labels [B, H, W]. Used in {doc}`06_training`."""
    if stride == 1:
        return 0, 0
    row, column = torch.randint(stride, (2,)).tolist()
    return row % labels.shape[-2], column % labels.shape[-1]  # an image smaller than the stride keeps a pixel


def on_grid(labels: Tensor, shift: tuple[int, int], stride: int) -> Tensor:
    """Return every `stride`-th row and column of labels [B, H, W]. Used in {doc}`06_training`."""
    return labels[:, shift[0] :: stride, shift[1] :: stride]


def labelled(labels: Tensor, class_weights: Sequence[float] = ()) -> Tensor:
    """Return the number of labelled pixels, counted by their classes' weights. Used in {doc}`06_training`."""
    pixels = labels[labels != IGNORE].bincount(minlength=len(class_weights))
    more = torch.tensor([weight - 1 for weight in class_weights], dtype=torch.float, device=labels.device)
    return pixels.sum() + more @ pixels[: len(class_weights)].float()


def cross_entropy(
    logits: Tensor, labels: Tensor, class_weights: Sequence[float] = (), weight: Tensor | None = None
) -> Tensor:
    """Return the mean cross-entropy of the labelled pixels, 0 without any. Derived in {doc}`06_training`.

    Args:
        logits: [B, K, H, W].
        labels: [B, H, W], int64; 255 is ignored.
        class_weights: of the first classes; the others have 1. The mean is over the weights.
        weight: what the sum is divided by; None: `labelled(labels, class_weights)`.
    """
    weights = torch.ones(logits.shape[1], device=logits.device)
    weights[: len(class_weights)] = torch.tensor(class_weights)
    # The library's own mean is 0 / 0 for a batch without labels, hence the sum.
    summed = F.cross_entropy(logits, labels, weights, ignore_index=IGNORE, reduction="sum")
    weight = labelled(labels, class_weights) if weight is None else weight
    return summed / weight.clamp(min=torch.finfo(torch.float32).tiny)
