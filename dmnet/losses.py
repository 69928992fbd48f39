"""What training minimises."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from dmnet.datasets.base import IGNORE
from dmnet.model import Output
from dmnet.systems import Recipe
from dmnet.upsampling import upsample, upsample_grid


class Loss(NamedTuple):
    """The loss and its two parts, each a scalar."""

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
    r"""Return $L = \mathrm{CE}(\text{logits}) + \lambda\, \mathrm{CE}(\text{aux\_logits})$.

    $\lambda$ is `recipe.aux_weight`; both logits are upsampled to the labels' size first. With
    `recipe.label_stride` $s > 1$ the cross-entropy is taken over the pixels (i, j) with i = a and j = b
    (mod s) alone, with a and b drawn anew at every call from torch's global random state. It is exact there
    (the upsampled logits *at those pixels*) and $s^2$ times cheaper; of the $s^2$ draws each pixel is in one.

    A batch that is computed in parts has the mean over *all* its labelled pixels as its loss: the sum of its
    parts' losses, when all of them are given the same `shift` and the weight of the whole batch.

    Args:
        output: of the network.
        labels: [B, H, W], int64; 255 is ignored.
        recipe: gives `aux_weight`, `background_weight` and `label_stride`.
        align_corners: how the architecture upsamples.
        shift: (a, b), see `draw_shift`; None draws it here.
        weight: scalar, see `labelled`; None: that of these labels.
    """
    stride, size = recipe.label_stride, (labels.shape[-2], labels.shape[-1])
    shift = draw_shift(labels, stride) if shift is None else shift
    labels = on_grid(labels, shift, stride)

    def term(logits: Tensor) -> Tensor:
        if stride > 1:
            full = upsample_grid(logits, size, shift, stride, align_corners)
        else:
            full = upsample(logits, size, align_corners)
        return cross_entropy(full, labels, recipe.background_weight, weight)

    main = term(output.logits)
    if output.aux_logits is None:
        return Loss(main, main, None)
    aux = term(output.aux_logits)
    return Loss(main + recipe.aux_weight * aux, main, aux)


def draw_shift(labels: Tensor, stride: int) -> tuple[int, int]:
    """Return the first row and column of the grid that a loss is taken on, from torch's global random state.

    Args:
        labels: [B, H, W]; an image smaller than the stride keeps a pixel.
        stride: step of the grid; 1, every pixel, needs no draw.
    """
    if stride == 1:
        return 0, 0
    row, column = torch.randint(stride, (2,)).tolist()
    return row % labels.shape[-2], column % labels.shape[-1]


def on_grid(labels: Tensor, shift: tuple[int, int], stride: int) -> Tensor:
    """Return every `stride`-th row and column of labels [B, H, W], from `shift` on."""
    return labels[:, shift[0] :: stride, shift[1] :: stride]


def labelled(labels: Tensor, background_weight: float = 1.0) -> Tensor:
    """Return how many pixels of labels [B, H, W] are labelled, those of class 0 counted by their weight."""
    known = labels != IGNORE
    return known.sum() + (background_weight - 1) * (labels == 0).sum()


def cross_entropy(
    logits: Tensor, labels: Tensor, background_weight: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """Return the mean cross-entropy over the labelled pixels; 0, with zero gradients, if there are none.

    Args:
        logits: [B, K, H, W].
        labels: [B, H, W], int64; 255 is ignored.
        background_weight: weight of class 0; the other classes have 1. The mean is over the weights.
        weight: what the sum is divided by; None: `labelled(labels, background_weight)`.
    """
    weights = torch.ones(logits.shape[1], device=logits.device)
    weights[0] = background_weight
    # The library's own mean is 0 / 0 for a batch without labels, hence the sum.
    summed = F.cross_entropy(logits, labels, weights, ignore_index=IGNORE, reduction="sum")
    weight = labelled(labels, background_weight) if weight is None else weight
    return summed / weight.clamp(min=torch.finfo(torch.float32).tiny)
