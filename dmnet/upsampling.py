"""Bilinear upsampling as what it is: a linear map, one matrix per axis. Derived in {doc}`04_dmnet`."""

import torch
import torch.nn.functional as F
from torch import Tensor


def interpolation_matrix(length: int, size: int, align_corners: bool = False) -> Tensor:
    """Return the matrix, float32 [size, length], that interpolates `length` values of one axis to `size`.

    Bilinear interpolation is linear and works on each axis by itself, so interpolating the columns of the
    identity gives its matrix, whose rows sum to 1. With it any few rows and columns of an upsampled map can
    be computed alone. `align_corners` as in `torch.nn.functional.interpolate`. Shown in {doc}`04_dmnet`.
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

    Logits are [B, K, h, w], each shift is below the stride. Shown in {doc}`06_training`.
    """
    if stride == 1:
        return upsample(logits, size, align_corners)
    rows, columns = (
        interpolation_matrix(length, side, align_corners)[start::stride].to(logits)
        for length, side, start in zip(logits.shape[-2:], size, shift, strict=True)
    )
    return rows @ logits.contiguous() @ columns.T
