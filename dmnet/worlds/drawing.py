"""The brushes that both demo worlds are painted with.

A picture is a float32 array [H, W, 3] with values in 0..1; a shape is a *signed distance*, in pixels,
negative inside; its edge is smoothed by `coverage`. Everything is elementwise NumPy: no matrix product, whose
rounding depends on the machine, ever decides about a label.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Labels = NDArray[np.uint8]

VOID = 255
LIGHT = (-0.6, -0.8)  # where the light comes from (x, y): the upper left


@dataclass(frozen=True)
class Item:
    """One object of a scene: its class, where its centre is, and how large it is (all in pixels).

    Shown in {doc}`02_data`.
    """

    label: int
    x: float
    y: float
    diameter: float
    shape: str = "disc"


@dataclass(frozen=True)
class Scene:
    """A drawn picture together with what it was drawn from. Shown in {doc}`02_data`.

    Attributes:
        image: uint8 RGB [H, W, 3].
        mask: uint8 [H, W], class per pixel, 255 within one pixel of an object's edge.
        truth: the hidden maps that decide about the labels, each [H, W]; every world lists its own.
        objects: the objects, in the order in which they were painted.
    """

    image: NDArray[np.uint8]
    mask: Labels
    truth: Mapping[str, NDArray[np.bool_]]
    objects: tuple[Item, ...]


class Painter(Protocol):
    """Paints one object of a scene, wherever its centre is and however large it is to be.

    Shown in {doc}`02_data`.
    """

    @property
    def item(self) -> Item:
        """The object, as it lies in its scene."""

    @property
    def window(self) -> tuple[slice, slice]:
        """The part of its scene's picture, rows and columns, that the object and its shadow may touch."""

    def paint(self, canvas: Array, mask: Labels, x: Array, y: Array, diameter: float) -> None:
        """Paint the object, and mark it, in place.

        Args:
            canvas: [..., 3], what it is painted over.
            mask: [...], where its label is written.
            x: [...], how far each pixel lies to the right of the object's centre.
            y: [...], how far below it.
            diameter: in pixels.
        """


@dataclass(frozen=True)
class Plan:
    """All that is random about a scene but its noise. Shown in {doc}`02_data`.

    Attributes:
        patch: number of the patch of the ground that each pixel belongs to, [H, W].
        versions: which version each patch has, uint8 [patches]: bit 0 is set where it is warm, bit 1 light.
        ground: paints the ground alone, float32 [H, W, 3], given the versions of its patches.
        painters: of the objects, in the order in which they are painted.
        truth: the hidden maps; see `Scene`.
        gain: the exposure.
    """

    patch: NDArray[np.intp]
    versions: NDArray[np.uint8]
    ground: Callable[[NDArray[np.uint8]], Array]
    painters: Sequence[Painter]
    truth: Mapping[str, NDArray[np.bool_]]
    gain: float

    def draw(self, generator: np.random.Generator) -> Scene:
        """Draw the scene, with noise out of the generator."""
        canvas = self.ground(self.versions)
        mask = np.zeros(self.patch.shape, np.uint8)
        grid_x, grid_y = pixel_grid(len(mask))
        for painter in self.painters:
            window, item = painter.window, painter.item
            x, y = grid_x[window] - item.x, grid_y[window] - item.y
            painter.paint(canvas[window], mask[window], x, y, item.diameter)
        image = finish(canvas, self.gain, 0.012, generator)
        return Scene(image, mask, self.truth, tuple(painter.item for painter in self.painters))


def pixel_grid(size: int) -> tuple[Array, Array]:
    """Return the coordinates x and y of all pixel centres of a square picture, each [size, size].

    Shown in {doc}`02_data`.
    """
    y, x = np.mgrid[:size, :size].astype(np.float32)
    return x, y


def coverage(distance: Array) -> Array:
    """Return how much of each pixel a shape covers (0..1), given the signed distance to its edge.

    Shown in {doc}`02_data`.
    """
    return np.clip(0.5 - distance, 0, 1)


def blend(canvas: Array, colour: Array | tuple[float, ...], alpha: Array) -> None:
    """Paint `colour` over `canvas` [..., 3], in place, with the opacity `alpha` [...].

    Shown in {doc}`02_data`.
    """
    canvas += (np.asarray(colour, np.float32) - canvas) * alpha[..., None]


def smoothstep(low: float, high: float, value: Array) -> Array:
    """Return 0 below `low`, 1 above `high`, and a smooth rise between. Shown in {doc}`02_data`."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def mark(mask: Labels, distance: Array, label: int) -> None:
    """Write `label` where `distance` is negative, and void within one pixel of the edge, in place.

    Shown in {doc}`02_data`.
    """
    mask[distance < 0] = label
    mask[np.abs(distance) <= 1] = VOID


def choose_cells(
    area: NDArray[np.integer[Any]], share: float, generator: np.random.Generator
) -> NDArray[np.bool_]:
    """Choose cells at random until they fill `share` of the total area, as nearly as whole cells can.

    Shown in {doc}`02_data`.

    Args:
        area: visible pixels of each cell, [n].
        share: fraction wanted, 0..1.
        generator: where the order comes from.

    Returns:
        bool [n], True where the cell was chosen; cells without visible pixels may be either.
    """
    order = np.argsort(generator.random(len(area)), kind="stable")
    wanted = share * area.sum()
    chosen = np.zeros(len(area), bool)
    filled = 0.0
    for cell in order:
        if filled + area[cell] / 2 <= wanted:  # nearer to the goal with this cell than without it
            chosen[cell] = True
            filled += area[cell]
    return chosen


def finish(canvas: Array, gain: float, noise: float, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Return the canvas as uint8, exposed by `gain`, with normal noise of standard deviation `noise`.

    Shown in {doc}`02_data`.
    """
    canvas = canvas * np.float32(gain)
    canvas += np.float32(noise) * generator.standard_normal(canvas.shape, dtype=np.float32)
    return (np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8)
