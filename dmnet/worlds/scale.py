"""The world `demo_scale`: two questions that need two extents of looking.

Coins lie on a mosaic. Two things about the mosaic are hidden in noise:

- *S1, the side.* A straight line through the middle parts the picture into a warm and a cool half, but only
  60 % of the tiles follow their half: one must average over a large area to see it (about 56 pixels).
- *S2, the block.* The mosaic is a checkerboard of light and dark blocks of 3 x 3 tiles; 80 % of the tiles
  follow their block: a small area answers best (about 24 pixels), a large one mixes blocks of both kinds.

The coins' marks say which question is asked: a ruby asks for the side, a jade for the block beneath it; an
engraved cross or ring asks for nothing. An average over one extent can answer one question well, not both.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dmnet.worlds.drawing import (
    LIGHT,
    Array,
    Item,
    Labels,
    Painter,
    Plan,
    blend,
    coverage,
    mark,
    pixel_grid,
    smoothstep,
)

SIZE = 160  # pixels
REVISION = 2  # of the pictures: raise it when a pixel changes, so that no old cache or weight is used

RUBY_WARM, RUBY_COOL, JADE_LIGHT, JADE_DARK, CROSS, RING = range(1, 7)

SIDE_FOLLOWED = 0.60  # share of the tiles that have the tone of their side
BLOCK_FOLLOWED = 0.80  # share of the tiles that have the brightness of their block
BLOCK_FLIPPED = 0.15  # share of the blocks that leave the checkerboard
RUBY_DISTANCE = 22  # pixels from the line, at least: a ruby's side is never in doubt
BORDER = 10  # pixels between a coin's centre and the border of the picture, at least
TYPES = (0.35, 0.45)  # share of rubies, of jades; the rest is engraved

_BLOCKS = 12  # blocks along the lattice's own axes that are surely enough for the diagonal
_WARM = ((0.89, 0.47, 0.34), (0.93, 0.66, 0.30), (0.88, 0.52, 0.52), (0.84, 0.60, 0.36), (0.95, 0.57, 0.43))
_COOL = ((0.34, 0.54, 0.84), (0.28, 0.66, 0.72), (0.52, 0.52, 0.86), (0.36, 0.68, 0.62), (0.46, 0.63, 0.82))
_TONES = np.array([_COOL, _WARM], np.float32)  # [2, 5, 3]

_GOLD = (0.86, 0.67, 0.28)
_FACE = (0.80, 0.62, 0.27)
_ENGRAVED = (0.30, 0.19, 0.06)
_RUBY = (0.80, 0.05, 0.20)
_JADE = (0.03, 0.56, 0.36)
_X, _Y = pixel_grid(SIZE)
_MIDDLE = (SIZE - 1) / 2
_WINDOW = 24  # pixels, enough for a coin and its shadow


@dataclass(frozen=True)
class _Lattice:
    """A square lattice of blocks, turned by `angle`; lattice coordinates count blocks from a corner."""

    angle: float
    block: float  # pixels
    shift: tuple[float, float]

    def to_lattice(self, x: Array, y: Array) -> tuple[Array, Array]:
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        x, y = (x - _MIDDLE) / self.block, (y - _MIDDLE) / self.block
        return cos * x + sin * y + self.shift[0], cos * y - sin * x + self.shift[1]

    def to_picture(self, u: Array, v: Array) -> tuple[Array, Array]:
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        u, v = (u - self.shift[0]) * self.block, (v - self.shift[1]) * self.block
        return cos * u - sin * v + _MIDDLE, sin * u + cos * v + _MIDDLE


@dataclass(frozen=True)
class _Line:
    """A straight line; `distance` is positive, in pixels, on its warm side."""

    angle: float
    offset: float

    def distance(self, x: Array, y: Array) -> Array:
        x, y = x - _MIDDLE, y - _MIDDLE
        return x * math.cos(self.angle) + y * math.sin(self.angle) - self.offset


def plan(generator: np.random.Generator) -> Plan:
    """Plan one scene.

    Its `truth` holds `warm_side` (S1) and `light_block` (S2), the answers, and `warm_tile` and `light_tile`,
    the noisy tiles that one sees; all bool [160, 160]. Shown in {doc}`02_data`.
    """
    uniform = generator.uniform
    shift = (_BLOCKS / 2 + uniform(-0.5, 0.5), _BLOCKS / 2 + uniform(-0.5, 0.5))
    lattice = _Lattice(uniform(0, math.pi / 2), uniform(23, 25), shift)
    line = _Line(uniform(0, 2 * math.pi), uniform(-0.06, 0.06) * SIZE)
    u, v = lattice.to_lattice(_X, _Y)
    block = np.floor(v).astype(np.intp), np.floor(u).astype(np.intp)
    tile = np.floor(3 * v).astype(np.intp), np.floor(3 * u).astype(np.intp)
    light_block = _light_blocks(generator)
    warm_tile, light_tile = _tiles(lattice, line, light_block, generator)
    mosaic = _Mosaic(
        tile=tile,
        side=lattice.block / 3,
        left=(3 * u - tile[1]) * (lattice.block / 3),
        top=(3 * v - tile[0]) * (lattice.block / 3),
        tone=np.minimum((generator.random(warm_tile.shape) * 5).astype(np.intp), 4),
        brightness=generator.uniform(0.94, 1.06, warm_tile.shape).astype(np.float32),
    )
    coins = _place_coins(lattice, line, light_block, generator)
    truth = {
        "warm_side": line.distance(_X, _Y) > 0,
        "light_block": light_block[block],
        "warm_tile": warm_tile[tile],
        "light_tile": light_tile[tile],
    }
    return Plan(
        patch=np.ravel_multi_index(tile, warm_tile.shape),
        versions=(warm_tile + 2 * light_tile).ravel().astype(np.uint8),
        ground=mosaic.paint,
        painters=[Coin(item) for item in coins],
        truth=truth,
        gain=uniform(0.92, 1.06),
    )


def stock() -> dict[str, Painter]:
    """Return one coin of each kind that can be told apart by its looks, in the middle of a picture.

    Shown in {doc}`02_data`.
    """
    kinds = {"ruby": RUBY_WARM, "jade": JADE_LIGHT, "cross": CROSS, "ring": RING}
    return {name: Coin(Item(label, _MIDDLE, _MIDDLE, 15.0)) for name, label in kinds.items()}


def _light_blocks(generator: np.random.Generator) -> NDArray[np.bool_]:
    """Return S2 per block: a checkerboard with some blocks turned over, bool [blocks, blocks]."""
    row, column = np.mgrid[:_BLOCKS, :_BLOCKS]
    first = generator.random() < 0.5
    return ((row + column + first) % 2 == 0) ^ (generator.random((_BLOCKS, _BLOCKS)) < BLOCK_FLIPPED)


def _tiles(
    lattice: _Lattice, line: _Line, light_block: NDArray[np.bool_], generator: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return whether each tile is warm, and whether it is light; both bool [3 * blocks, 3 * blocks]."""
    count = 3 * _BLOCKS
    row, column = np.mgrid[:count, :count]
    warm = line.distance(*lattice.to_picture((column + 0.5) / 3, (row + 0.5) / 3)) > 0
    warm ^= generator.random((count, count)) >= SIDE_FOLLOWED
    light = light_block[row // 3, column // 3] ^ (generator.random((count, count)) >= BLOCK_FOLLOWED)
    return warm, light


@dataclass(frozen=True)
class _Mosaic:
    """The tiles, their bevels and the seams between them.

    Attributes:
        tile: row and column of each pixel's tile, twice [160, 160].
        side: of a tile, in pixels.
        left, top: pixels from a tile's own edges, [160, 160].
        tone: which of five tones each tile has, [rows, columns].
        brightness: of each tile, about 1.
    """

    tile: tuple[NDArray[np.intp], NDArray[np.intp]]
    side: float
    left: Array
    top: Array
    tone: NDArray[np.intp]
    brightness: Array

    def paint(self, versions: NDArray[np.uint8]) -> Array:
        """Paint the mosaic, float32 [160, 160, 3]; `versions` are those of `Plan`."""
        warm, light = (versions.reshape(self.tone.shape) >> bit & 1 for bit in (0, 1))
        colour = _TONES[warm, self.tone]
        colour = np.where(light[..., None], colour * 0.50 + 0.47, colour * 0.52).astype(np.float32)
        colour *= self.brightness[..., None]
        canvas = colour[self.tile]
        left, top = self.left, self.top
        right, bottom = self.side - left, self.side - top
        weave = np.sin(left * 2.4) * np.sin(top * 2.4)
        raised = np.exp(-np.minimum(left, top)) - np.exp(-np.minimum(right, bottom))
        canvas *= (1 + 0.02 * weave + 0.10 * raised)[..., None]
        edge = np.minimum(np.minimum(left, right), np.minimum(top, bottom))
        blend(canvas, canvas * 0.42 + 0.05, 0.75 * (1 - smoothstep(0.1, 0.9, edge)))
        return canvas


def _place_coins(
    lattice: _Lattice, line: _Line, light_block: NDArray[np.bool_], generator: np.random.Generator
) -> tuple[Item, ...]:
    """Choose 26 to 30 block centres (fewer where the lattice has fewer inside), and a coin for each."""
    row, column = (index.ravel() for index in np.mgrid[:_BLOCKS, :_BLOCKS])
    x, y = lattice.to_picture(column + 0.5, row + 0.5)
    x, y = x + generator.uniform(-1, 1, x.shape), y + generator.uniform(-1, 1, y.shape)
    inside = np.minimum(np.minimum(x, y), SIZE - 1 - np.maximum(x, y)) >= BORDER
    order = np.argsort(generator.random(x.shape), kind="stable")
    order = order[inside[order]][: 26 + int(generator.random() * 5)]
    to_line = line.distance(x, y)
    far = np.flatnonzero(np.abs(to_line[order]) >= RUBY_DISTANCE)
    rubies = set(order[far[: round(TYPES[0] * len(order))]].tolist())
    coins = []
    for cell in order.tolist():
        if cell in rubies:
            label = RUBY_WARM if to_line[cell] > 0 else RUBY_COOL
        else:
            label = _other_coin(bool(light_block[row[cell], column[cell]]), generator)
        coins.append(Item(label, float(x[cell]), float(y[cell]), generator.uniform(14, 15.5)))
    return tuple(coins)


def _other_coin(light: bool, generator: np.random.Generator) -> int:
    """Return the class of a coin that is no ruby: a jade, or an engraved one."""
    kind, which = generator.random(2)
    if kind < TYPES[1] / (1 - TYPES[0]):
        return JADE_LIGHT if light else JADE_DARK
    return CROSS if which < 0.5 else RING


@dataclass(frozen=True)
class Coin:
    """Paints a coin; see `dmnet.worlds.drawing.Painter`. Shown in {doc}`02_data`."""

    item: Item

    @property
    def window(self) -> tuple[slice, slice]:
        """See `Painter.window`."""
        row = int(np.clip(np.floor(self.item.y) - _WINDOW // 2 + 1, 0, SIZE - _WINDOW))
        column = int(np.clip(np.floor(self.item.x) - _WINDOW // 2 + 1, 0, SIZE - _WINDOW))
        return slice(row, row + _WINDOW), slice(column, column + _WINDOW)

    def paint(self, canvas: Array, mask: Labels, x: Array, y: Array, diameter: float) -> None:
        """Paint the coin, in place: shadow, rim, face, then its mark."""
        radius = diameter / 2
        distance = np.hypot(x, y)
        toward = -(x * LIGHT[0] + y * LIGHT[1]) / np.maximum(distance, 0.5)  # -1 on the lit side
        shadow = np.hypot(x - 1.2, y - 1.6) - radius
        canvas *= (1 - 0.5 * (1 - smoothstep(-2.0, 2.5, shadow)))[..., None]
        blend(canvas, (0.25, 0.17, 0.05), coverage(distance - radius))
        # across the rim the surface rises, then falls
        rim = 0.5 * np.sin(np.clip((radius - distance) / 2.2, 0, 1) * (2 * math.pi))
        blend(canvas, _shaded(_GOLD, 1 - 0.75 * rim * toward), coverage(distance - radius + 0.5))
        face = _shaded(_FACE, 0.98 + (0.12 * distance / radius) * toward)
        blend(canvas, face, coverage(distance - radius + 2.1))
        _paint_mark(canvas, x, y, 0.46 * float(radius), self.item.label)
        mark(mask, distance - radius, self.item.label)


def _paint_mark(canvas: Array, x: Array, y: Array, radius: float, label: int) -> None:
    """Paint what tells the kinds of coin apart: a gem, or an engraving."""
    if label in (CROSS, RING):
        blend(canvas, (1.0, 0.90, 0.60), 0.8 * coverage(_engraving(x - 0.6, y - 0.6, radius, label)))
        blend(canvas, _ENGRAVED, coverage(_engraving(x, y, radius, label)))
        return
    distance = np.hypot(x, y)
    colour = _RUBY if label in (RUBY_WARM, RUBY_COOL) else _JADE
    blend(canvas, _shaded(colour, np.full_like(x, 0.45)), coverage(distance - radius - 0.4))
    glow = 1 + 0.45 * (x * -LIGHT[0] + y * -LIGHT[1]) / radius  # light gathers opposite to where it enters
    blend(canvas, _shaded(colour, glow), coverage(distance - radius + 0.5))
    blend(canvas, (1.0, 0.98, 0.96), 0.85 * coverage(np.hypot(x + 0.32 * radius, y + 0.38 * radius) - 0.75))


def _engraving(x: Array, y: Array, radius: float, label: int) -> Array:
    """Return the signed distance to an engraved ring, or to a cross."""
    if label == RING:
        return np.abs(np.hypot(x, y) - (radius - 0.6)) - 0.75
    across = np.maximum(np.abs(x) - radius - 0.3, np.abs(y) - 0.8)
    return np.minimum(across, np.maximum(np.abs(y) - radius - 0.3, np.abs(x) - 0.8))


def _shaded(colour: tuple[float, float, float], light: Array) -> Array:
    """Return `colour` at the brightness `light` [h, w]; what exceeds 1 runs into white; [h, w, 3]."""
    tint = np.array(colour, np.float32) * light[..., None]
    return tint + np.maximum(light - 1, 0)[..., None] * 0.25
