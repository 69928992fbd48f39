"""The brushes that both demo worlds are painted with.

A picture is a float32 array [H, W, 3] with values in 0..1; a shape is a *signed distance*, in pixels,
negative inside; its edge is smoothed by `coverage`. Everything is elementwise NumPy: no matrix product, whose
rounding depends on the machine, ever decides about a label.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]
Indices = NDArray[np.intp]
Labels = NDArray[np.uint8]

VOID = 255
LIGHT = (-0.6, -0.8)  # where the light comes from (x, y): the upper left
NOISE = 0.012  # standard deviation of a picture's noise


@dataclass(frozen=True)
class Item:
    """An object of a scene: class, centre and size, both in pixels. Shown in {doc}`05_data`."""

    label: int
    x: float
    y: float
    diameter: float
    shape: str = "disc"

    @property
    def reach(self) -> float:
        """Distance from the centre to the farthest corner."""
        return self.diameter * {"disc": 0.5, "square": 0.627, "hexagon": 0.55}[self.shape]

    @property
    def window(self) -> tuple[slice, slice]:
        """The part of a picture, rows and columns, that the object and its shadow may touch."""
        reach = self.reach + 6
        rows, columns = (slice(max(0, int(c - reach)), int(c + reach) + 2) for c in (self.y, self.x))
        return rows, columns


@dataclass(frozen=True)
class Scene:
    """A drawn picture together with what it was drawn from. Shown in {doc}`05_data`."""

    image: NDArray[np.uint8]  # RGB [H, W, 3]
    mask: Labels  # [H, W], class per pixel, 255 within one pixel of an object's edge
    truth: Mapping[str, Bools]  # the hidden maps that decide about the labels, each [H, W]; see `plan`
    objects: tuple[Item, ...]  # in the order in which they were painted


@dataclass(frozen=True)
class Painter(ABC):
    """Paints an object, wherever it is to be. Shown in {doc}`05_data`."""

    item: Item

    @abstractmethod
    def paint(self, canvas: Array, mask: Labels, x: Array, y: Array) -> None:
        """Paint the object over `canvas` [..., 3] and write its label into `mask` [...], in place.

        `x` and `y` [...] say how far each pixel lies to the right of the object's centre, and below it.
        """


@dataclass(frozen=True)
class Plan:
    """All that is random about a scene but its noise. Shown in {doc}`05_data`."""

    patch: Indices  # number of the patch of the ground that each pixel belongs to, [H, W]
    versions: Labels  # which version each patch has, [patches]: bit 0 is set where it is warm, bit 1 light
    ground: Callable[[Labels], Array]  # paints the ground, float32 [H, W, 3], given its patches' versions
    painters: Sequence[Painter]  # of the objects, in the order in which they are painted
    truth: Mapping[str, Bools]  # the hidden maps; see `Scene`
    gain: float  # the exposure

    def draw(self, generator: Generator) -> Scene:
        """Draw the scene, with noise out of the generator."""
        canvas = self.ground(self.versions)
        mask = np.zeros(self.patch.shape, np.uint8)
        grid_x, grid_y = pixel_grid(len(mask))
        items = tuple(painter.item for painter in self.painters)
        for painter, item in zip(self.painters, items, strict=True):
            x, y = grid_x[item.window] - item.x, grid_y[item.window] - item.y
            painter.paint(canvas[item.window], mask[item.window], x, y)
        noise = generator.standard_normal(canvas.shape, dtype=np.float32)
        exposed = canvas * np.float32(self.gain) + np.float32(NOISE) * noise
        return Scene((np.clip(exposed, 0, 1) * 255 + 0.5).astype(np.uint8), mask, self.truth, items)


@dataclass(frozen=True)
class Tiles:
    """An area cut into square tiles. Shown in {doc}`05_data`."""

    number: Indices  # of the tile that each pixel belongs to, [h, w]
    pitch: float  # pixels from one tile to the next
    left: Array  # pixels from the tile's own left edge, [h, w]
    top: Array  # and from its upper one

    @classmethod
    def cut(cls, u: Array, v: Array, pitch: float, columns: int) -> Self:
        """Return the tiles of an area; `u` and `v` [h, w] count them along and across the rows."""
        column, row = np.floor(u), np.floor(v)
        number = (row * columns + column).astype(np.intp)
        return cls(number, pitch, (u - column) * pitch, (v - row) * pitch)

    @property
    def edge(self) -> Array:
        """Pixels from the nearest edge, [h, w]."""
        right, bottom = self.pitch - self.left, self.pitch - self.top
        return np.minimum(np.minimum(self.left, right), np.minimum(self.top, bottom))

    def raised(self, width: float) -> Array:
        """Return how much edges that are rounded over about `width` pixels face the light, -1..1."""
        lit, dark = np.minimum(self.left, self.top), self.pitch - np.maximum(self.left, self.top)
        return np.exp(-lit / width) - np.exp(-dark / width)


def pixel_grid(size: int) -> tuple[Array, Array]:
    """Return x and y of all pixels of a square picture, each [size, size]. Shown in {doc}`05_data`."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    return x, y


def turned(x: Any, y: Any, angle: float) -> tuple[Any, Any]:
    """Return a point's coordinates along axes that are turned by `angle`. Shown in {doc}`05_data`."""
    cos, sin = math.cos(angle), math.sin(angle)
    return cos * x + sin * y, cos * y - sin * x


def coverage(distance: Array) -> Array:
    """Return how much of each pixel a shape covers (0..1), by its distance. Shown in {doc}`05_data`."""
    return np.clip(0.5 - distance, 0, 1)


def blend(canvas: Array, colour: Array | tuple[float, ...], alpha: Array) -> None:
    """Paint `colour` over `canvas` [..., 3], in place, as opaque as `alpha` [...]. See {doc}`05_data`."""
    canvas += (np.asarray(colour, np.float32) - canvas) * alpha[..., None]


def lit(colour: Array | tuple[float, ...], light: Array, spill: float = 0.3) -> Array:
    """Return a colour at the brightness `light` [...]; what exceeds 1 runs into white. See {doc}`05_data`."""
    white = spill * np.maximum(light - 1, 0)[..., None]
    return (np.asarray(colour, np.float32) * light[..., None] + white).astype(np.float32)


def smoothstep(low: float, high: float, value: Array) -> Array:
    """Return 0 below `low`, 1 above `high`, and a smooth rise between. Shown in {doc}`05_data`."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def cast_shadow(canvas: Array, distance: Array) -> None:
    """Darken `canvas` [..., 3], in place, by the signed distance of a shadow. Shown in {doc}`05_data`."""
    canvas *= (1 - 0.5 * (1 - smoothstep(-2.0, 2.5, distance)))[..., None]


def mark(mask: Labels, distance: Array, label: int) -> None:
    """Write `label` where `distance` is negative, and void within 1 of the edge. Shown in {doc}`05_data`."""
    mask[distance < 0] = label
    mask[np.abs(distance) <= 1] = VOID


def choose_cells(area: NDArray[np.integer[Any]], share: float, generator: Generator) -> Bools:
    """Choose cells at random until they fill `share` of the total area, as nearly as whole cells can.

    `area` [n] holds each cell's visible pixels; those without may be either. Shown in {doc}`05_data`.
    """
    chosen = np.zeros(len(area), bool)
    wanted = share * area.sum()
    for cell in np.argsort(generator.random(len(area)), kind="stable"):
        if area[cell] / 2 <= wanted:  # nearer to the goal with this cell than without it
            chosen[cell] = True
            wanted -= area[cell]
    return chosen
