r"""From the logits of all views to one label per pixel, in bands of a few rows.

Upsampling a window, adding windows up, dividing by how many lie over a pixel and resizing to the original
size are linear, and each works on rows and columns alone. So all of it together is one matrix per axis: a
view's logits at full size are $R \, L \, C^\top$ for every class, where $L$ holds the coarse logits of all
windows side by side, as they came from the network. Any few rows of the result can be computed alone, and
the full-size logits of all classes never exist. The result is that of the plain computation but for rounding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from dmnet.datasets.base import IGNORE
from dmnet.errors import DMNetError
from dmnet.upsampling import interpolation_matrix

BAND_VALUES = 2**21  # values of a band, all classes together: 8 MB

Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class Layer:
    """The logits of one view, and how they come to the original size.

    Attributes:
        logits: float32 [r, c, K]; the rows of all windows below one another, their columns side by side.
        rows: float32 [H, r], on the CPU; the weights of the coarse rows in each row of the result.
        columns: float32 [W, c], on the device of the logits.
        flip: whether the logits are those of the mirror image.
    """

    logits: Tensor
    rows: Tensor
    columns: Tensor
    flip: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the result."""
        return len(self.rows), len(self.columns)

    def band(self, top: int, bottom: int) -> Tensor:
        """Return rows top..bottom-1 of the logits at full size, [bottom - top, W, K]."""
        weights = self.rows[top:bottom]
        used = weights.any(dim=0).nonzero()[:, 0]  # few; found on the CPU, so that no GPU is waited for
        wide = self.columns @ self.logits[used.to(self.logits.device)]  # [used, W, K]
        if self.flip:
            wide = wide.flip(1)
        band = weights[:, used].to(self.logits.device) @ wide.flatten(1)
        return band.view(bottom - top, *wide.shape[1:])


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


def fused_band(
    layers: Sequence[Layer], top: int, bottom: int, average: Literal["logits", "softmax"] = "logits"
) -> Tensor:
    """Return the mean over views of logits or probabilities, [bottom - top, W, K].

    ssseg averages logits, mmsegmentation the probabilities of each view, both at the original size.
    """
    total = None
    for layer in layers:
        band = layer.band(top, bottom)
        if average == "softmax":
            band = band.softmax(-1)
        total = band if total is None else total.add_(band)
    assert total is not None
    return total.div_(len(layers))


def fused_labels(layers: Sequence[Layer], average: Literal["logits", "softmax"] = "logits") -> Labels:
    """Return the class of every pixel: the arg-max of `fused_band` over all rows.

    Args:
        layers: one for each view, of equal size and classes.
        average: what is averaged over the views.

    Returns:
        uint8 [H, W].

    Raises:
        DMNetError: if there are more classes than a label map can hold.
    """
    (height, width), (*_, classes) = layers[0].size, layers[0].logits.shape
    if classes > IGNORE:
        raise DMNetError(f"a label map holds at most {IGNORE} classes and void, the logits have {classes}")
    if len(layers) == 1:
        average = "logits"  # whose order is that of the probabilities
    labels = torch.empty(height, width, dtype=torch.uint8, device=layers[0].logits.device)
    step = max(BAND_VALUES // (classes * width), 1)
    for top in range(0, height, step):
        bottom = min(top + step, height)
        labels[top:bottom] = fused_band(layers, top, bottom, average).argmax(-1)
    return labels.cpu().numpy()


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
    coarse = logits.permute(1, 2, 0).float().contiguous()  # half precision is too coarse between pixels
    rows = interpolation_matrix(height, size[0], align_corners)
    columns = interpolation_matrix(width, size[1], align_corners).to(logits.device)
    return fused_labels([Layer(coarse, rows, columns)])
