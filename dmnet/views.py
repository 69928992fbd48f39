"""Which views of an image a protocol asks for: its scales, their mirror images, the windows on each.

Sizes and windows are those of mmsegmentation 0.x [`MultiScaleFlipAug`, `EncoderDecoder.slide_inference`].
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dmnet import systems
from dmnet.systems import Evaluation
from dmnet.transforms import evaluation_image, fitted_size


class Window(NamedTuple):
    """A part of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class View:
    """An image at one scale, and the windows that the network sees of it.

    Attributes:
        limits: (long side, short side) that the image is resized to; None leaves it at its size.
        size: (height, width) of the resized image.
        window: (height, width) of each window; `size` where none slides.
        tops: first row of each row of windows.
        lefts: first column of each column of windows.
        flips: which of the image (False) and its mirror image (True) are predicted. The windows lie in the
            mirror image where they lie in the image.
    """

    limits: tuple[int, int] | None
    size: tuple[int, int]
    window: tuple[int, int]
    tops: tuple[int, ...]
    lefts: tuple[int, ...]
    flips: tuple[bool, ...]

    @property
    def windows(self) -> list[Window]:
        """All windows, row by row."""
        return [Window(top, left, *self.window) for top in self.tops for left in self.lefts]


def views(protocol: Evaluation, size: tuple[int, int]) -> list[View]:
    """Return the views of an image, one for each scale.

    Args:
        protocol: its resize limits times a scale, each rounded down, are the limits at that scale, as in
            mmsegmentation; without limits the image's own sides take their place. (ssseg resizes the resized
            image a second time; no published number depends on it.)
        size: (height, width) of the image.
    """
    flips = (False, True) if protocol.flip else (False,)
    return [_view(protocol, size, scale, flips) for scale in protocol.scales]


def _view(protocol: Evaluation, size: tuple[int, int], scale: float, flips: tuple[bool, ...]) -> View:
    limits = _limits(protocol.resize, size, scale)
    resized = size if limits is None else fitted_size(size, limits)
    window = resized
    tops: tuple[int, ...] = (0,)
    lefts: tuple[int, ...] = (0,)
    if protocol.window is not None and protocol.window_stride is not None:
        (height, width), (down, across) = protocol.window, protocol.window_stride
        window = min(height, resized[0]), min(width, resized[1])
        tops, lefts = starts(resized[0], height, down), starts(resized[1], width, across)
    return View(limits, resized, window, tops, lefts, flips)


def _limits(resize: tuple[int, int] | None, size: tuple[int, int], scale: float) -> tuple[int, int] | None:
    if resize is None and scale == 1:
        return None
    first, second = resize or size
    return max(int(first * scale), 1), max(int(second * scale), 1)


def starts(length: int, window: int, stride: int) -> tuple[int, ...]:
    """Return where the windows along one axis begin.

    They are `stride` apart; the last is moved back to end at the border. A window that is larger than the
    image begins at 0, and is cut to the image.
    """
    count = max(length - window + stride - 1, 0) // stride + 1
    return tuple(min(number * stride, max(length - window, 0)) for number in range(count))


def view_image(view: View, pixels: NDArray[np.uint8]) -> Tensor:
    """Return the image of a view as the network sees it, float32 [3, h, w]: resized and normalised."""
    carrier = replace(systems.DEMO_SCALE, evaluation=Evaluation(resize=view.limits))  # any other would do
    return evaluation_image(carrier, pixels)


def cut(image: Tensor, window: Window, flip: bool) -> Tensor:
    """Return a window [..., height, width] of an image [..., H, W], or of its mirror image."""
    left = image.shape[-1] - window.left - window.width if flip else window.left
    part = image[..., window.top : window.top + window.height, left : left + window.width]
    return part.flip(-1) if flip else part
