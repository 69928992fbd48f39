"""Bilinear upsampling as what it is: a linear map, one matrix per axis. Derived in {doc}`05_dmnet`."""

import torch
import torch.nn.functional as F
from torch import Tensor


def interpolation_matrix(length: int, size: int, align_corners: bool = False) -> Tensor:
    """Return the matrix that linear interpolation multiplies by along one axis. Shown in {doc}`05_dmnet`.

    Bilinear interpolation is linear and works on each axis by itself, so interpolating the columns of the
    identity gives its matrix. With it any few rows and columns of an upsampled map can be computed alone.

    Args:
        length: number of values.
        size: number of values wanted.
        align_corners: as in `torch.nn.functional.interpolate`.

    Returns:
        Tensor [size, length], float32; every row sums to 1.
    """
    identity = torch.eye(length)[None]  # [batch 1, channel = column, length]
    return F.interpolate(identity, size=size, mode="linear", align_corners=align_corners)[0].T


def upsample(logits: Tensor, size: tuple[int, int], align_corners: bool = False) -> Tensor:
    """Logits [B, K, h, w] -> [B, K, *size], bilinear. Used in {doc}`06_training`."""
    return F.interpolate(logits, size=size, mode="bilinear", align_corners=align_corners)


def upsample_grid(
    logits: Tensor, size: tuple[int, int], shift: tuple[int, int], stride: int, align_corners: bool = False
) -> Tensor:
    """Return `upsample(logits, size)[..., shift[0]::stride, shift[1]::stride]` without computing the rest.

    Shown in {doc}`06_training`.

    Args:
        logits: [B, K, h, w].
        size: (height, width) of the upsampled map that the grid lies in.
        shift: first row and first column of the grid, each below `stride`.
        stride: step between rows, and between columns; 1: every pixel.
        align_corners: as in `torch.nn.functional.interpolate`.
    """
    if stride == 1:
        return upsample(logits, size, align_corners)
    rows, columns = (
        interpolation_matrix(length, side, align_corners)[start::stride].to(logits)
        for length, side, start in zip(logits.shape[-2:], size, shift, strict=True)
    )
    return rows @ logits.contiguous() @ columns.T
