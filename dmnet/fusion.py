r"""From the logits of all views to one label per pixel, one tile of the image after the other.

Upsampling a window, adding windows up, dividing by how many lie over a pixel and resizing to the original
size are linear, and each works on rows and columns alone. So all of it together is one matrix per axis: a
view's logits at full size are $R \, L \, C^\top$ for every class, where $L$ holds the coarse logits of all
windows side by side, as they came from the network. Any tile of the result can be computed alone, and the
full-size logits of all classes never exist. The result is that of the plain computation but for rounding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from dmnet.datasets.base import IGNORE
from dmnet.errors import DMNetError
from dmnet.upsampling import interpolation_matrix

TILE_WIDTH = 128
TILE_VALUES = 2**19  # of all classes together: 2 MB, which a cache holds

Labels = NDArray[np.uint8]


class Block(NamedTuple):
    """A few rows of a matrix, and of its columns only those that are not 0 there."""

    used: Tensor  # int64 [u], numbers of the columns
    weights: Tensor  # [rows, u]


def blocks(matrix: Tensor, step: int, device: torch.device | str = "cpu") -> list[Block]:
    """Return a matrix of `axis_matrix` in blocks of `step` rows, on the device."""
    parts = ((part.any(dim=0).nonzero()[:, 0], part) for part in matrix.split(step))
    return [Block(used.to(device), part[:, used].to(device)) for used, part in parts]


@dataclass(frozen=True)
class Layer:
    """The logits of one view, and how they come to the original size.

    Attributes:
        logits: float32 [r, c, K]; the rows of all windows below one another, their columns side by side.
        rows: the matrix [H, r] in blocks, one for each row of tiles.
        columns: the matrix [W, c] in blocks, one for each column of tiles.
    """

    logits: Tensor
    rows: list[Block]
    columns: list[Block]

    def tile(self, row: int, column: int) -> Tensor:
        """Return a tile of the logits at full size, [height, width, K]."""
        (down, row_weights), (across, column_weights) = self.rows[row], self.columns[column]
        wide = column_weights @ self.logits[down][:, across]  # [u, width, K]
        return (row_weights @ wide.flatten(1)).view(len(row_weights), *wide.shape[1:])


def make_layer(logits: Tensor, rows: Tensor, columns: Tensor) -> Layer:
    """Return the layer of logits [r, c, K] that the matrices [H, r] and [W, c] bring to full size."""
    height = max(TILE_VALUES // (logits.shape[-1] * TILE_WIDTH), 1)
    return Layer(logits, blocks(rows, height, logits.device), blocks(columns, TILE_WIDTH, logits.device))


def axis_matrix(
    values: int, window: int, starts: Sequence[int], length: int, size: int, align_corners: bool = False
) -> Tensor:
    """Return what brings the values of all windows along one axis to the original length.

    Each window's values are interpolated to its length, windows are averaged where they overlap, and the
    resized image's axis is interpolated to the original's [mmsegmentation 0.x, `slide_inference`].

    Args:
        values: how many the network returns for a window.
        window: length of each window.
        starts: where the windows begin.
        length: of the axis of the resized image; every pixel lies in a window.
        size: of the axis of the original image.
        align_corners: as in `torch.nn.functional.interpolate`.

    Returns:
        Tensor [size, len(starts) * values], float32; every row sums to 1.
    """
    merged, count = torch.zeros(length, len(starts), values), torch.zeros(length)
    for number, start in enumerate(starts):
        merged[start : start + window, number] = interpolation_matrix(values, window, align_corners)
        count[start : start + window] += 1
    merged /= count[:, None, None]
    axis = merged.flatten(1).T[None]  # [1, channel = value of a window, length]
    return F.interpolate(axis, size=size, mode="linear", align_corners=align_corners)[0].T.contiguous()


def fused_tile(
    layers: Sequence[Layer], row: int, column: int, average: Literal["logits", "softmax"] = "logits"
) -> Tensor:
    """Return the mean over views of logits or probabilities in one tile, [height, width, K].

    ssseg averages logits, mmsegmentation the probabilities of each view, both at the original size.
    """
    tiles = (layer.tile(row, column) for layer in layers)
    if average == "softmax":
        tiles = (tile.softmax(-1) for tile in tiles)
    return reduce(Tensor.add_, tiles).div_(len(layers))


def fused_labels(layers: Sequence[Layer], average: Literal["logits", "softmax"] = "logits") -> Labels:
    """Return the class of every pixel: the arg-max of every tile.

    Args:
        layers: one for each view, of the same classes and size.
        average: what is averaged over the views.

    Returns:
        uint8 [H, W].

    Raises:
        DMNetError: if there are more classes than a label map can hold.
    """
    classes = layers[0].logits.shape[-1]
    if classes > IGNORE:
        raise DMNetError(f"a label map holds at most {IGNORE} classes and void, the logits have {classes}")
    if len(layers) == 1:
        average = "logits"  # whose order is that of the probabilities
    labels = [
        torch.cat(
            [
                fused_tile(layers, row, column, average).argmax(-1).to(torch.uint8)
                for column in range(len(layers[0].columns))
            ],
            dim=1,
        )
        for row in range(len(layers[0].rows))
    ]
    return torch.cat(labels).cpu().numpy()


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
    _, height, width = logits.shape
    coarse = logits.permute(1, 2, 0).float()  # half precision is too coarse between pixels
    rows = interpolation_matrix(height, size[0], align_corners)
    columns = interpolation_matrix(width, size[1], align_corners)
    return fused_labels([make_layer(coarse.contiguous(), rows, columns)])
