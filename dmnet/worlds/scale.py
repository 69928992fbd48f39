"""The world `demo_scale`: two questions that need two extents of looking.

Coins lie on a mosaic. Two things about the mosaic are hidden in noise:

- *S1, the side*. A straight line through the middle parts the picture into a warm and a cool half, but only
  60 % of the tiles follow their half: one must average over a large area to see it (about 56 pixels).
- *S2, the block*. The mosaic is a checkerboard of light and dark blocks of 3 x 3 tiles; 80 % of the tiles
  follow their block: a small area answers best (about 24 pixels), a large one mixes blocks of both kinds.

The coins' marks say which question is asked: a ruby asks for the side, a jade for the block beneath it; an
engraved cross or ring asks for nothing. An average over one extent can answer one question well, not both.
"""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.random import Generator

from dmnet.worlds import drawing
from dmnet.worlds.drawing import Array, Bools, Indices, Item, Labels, Painter, Plan, Tiles, blend, coverage

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
_X, _Y = drawing.pixel_grid(SIZE)
_MIDDLE = (SIZE - 1) / 2
_SPILL = 0.25  # see `lit`


@dataclass(frozen=True)
class _Ground:
    """A square lattice of blocks, turned, and a straight line that is turned by another angle."""

    shift: tuple[float, float]  # of the lattice, in blocks
    angle: float
    block: float  # pixels
    line_angle: float
    line_offset: float  # pixels

    def to_lattice(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Return coordinates that count blocks from a corner of the lattice."""
        u, v = drawing.turned((x - _MIDDLE) / self.block, (y - _MIDDLE) / self.block, self.angle)
        return u + self.shift[0], v + self.shift[1]

    def to_picture(self, u: Array, v: Array) -> tuple[Array, Array]:
        u, v = (u - self.shift[0]) * self.block, (v - self.shift[1]) * self.block
        x, y = drawing.turned(u, v, -self.angle)
        return x + _MIDDLE, y + _MIDDLE

    def to_line(self, x: Array, y: Array) -> Array:
        """Return the distance from the line, in pixels, positive on its warm side."""
        return drawing.turned(x - _MIDDLE, y - _MIDDLE, self.line_angle)[0] - self.line_offset


def plan(generator: Generator) -> Plan:
    """Plan one scene.

    Its `truth` holds `warm_side` (S1) and `light_block` (S2), the answers, and `warm_tile` and `light_tile`,
    the noisy tiles that one sees; all bool [160, 160]. Shown in {doc}`05_data`.
    """
    uniform = generator.uniform
    ground = _Ground(
        shift=(_BLOCKS / 2 + uniform(-0.5, 0.5), _BLOCKS / 2 + uniform(-0.5, 0.5)),
        angle=uniform(0, math.pi / 2),
        block=uniform(23, 25),
        line_angle=uniform(0, 2 * math.pi),
        line_offset=uniform(-0.06, 0.06) * SIZE,
    )
    light_block, warm, light = _hidden_in_noise(ground, generator)
    u, v = ground.to_lattice(_X, _Y)
    block = np.floor(v).astype(np.intp), np.floor(u).astype(np.intp)
    tiles = Tiles.cut((3 * u).astype(float), (3 * v).astype(float), ground.block / 3, 3 * _BLOCKS)
    tones = (generator.random(len(warm)) * 5).astype(np.intp)
    brightness = uniform(0.94, 1.06, (len(warm), 1)).astype(np.float32)
    return Plan(
        patch=tiles.number,
        versions=(warm + 2 * light).astype(np.uint8),
        ground=partial(_paint_mosaic, tiles, tones, brightness),
        painters=_place_coins(ground, light_block, generator),
        truth={
            "warm_side": ground.to_line(_X, _Y) > 0,
            "light_block": light_block[block],
            "warm_tile": warm[tiles.number],
            "light_tile": light[tiles.number],
        },
        gain=uniform(0.92, 1.06),
    )


def stock() -> dict[str, Painter]:
    """Return one coin of each kind that looks different, in a picture's middle. See {doc}`05_data`."""
    kinds = {"ruby": RUBY_WARM, "jade": JADE_LIGHT, "cross": CROSS, "ring": RING}
    return {name: Coin(Item(label, _MIDDLE, _MIDDLE, 15.0)) for name, label in kinds.items()}


def _hidden_in_noise(ground: _Ground, generator: Generator) -> tuple[Bools, Bools, Bools]:
    """Return whether each block is light (S2), [rows, columns], each tile warm, [n], and each light, [n]."""
    row, column = np.mgrid[:_BLOCKS, :_BLOCKS]
    light_block = (row + column + (generator.random() < 0.5)) % 2 == 0  # a checkerboard
    light_block ^= generator.random(light_block.shape) < BLOCK_FLIPPED
    row, column = np.mgrid[: 3 * _BLOCKS, : 3 * _BLOCKS]
    warm = ground.to_line(*ground.to_picture((column + 0.5) / 3, (row + 0.5) / 3)) > 0
    warm ^= generator.random(warm.shape) >= SIDE_FOLLOWED
    light = light_block[row // 3, column // 3] ^ (generator.random(warm.shape) >= BLOCK_FOLLOWED)
    return light_block, warm.ravel(), light.ravel()


def _paint_mosaic(tiles: Tiles, tones: Indices, brightness: Array, versions: Labels) -> Array:
    """Return tiles with bevels and the seams between them, float32 [160, 160, 3].

    Every tile has one of five tones, a brightness about 1, and a version; see `Plan`.
    """
    colour = _TONES[versions & 1, tones]
    colour = np.where(versions[:, None] & 2, colour * 0.50 + 0.47, colour * 0.52) * brightness
    weave = np.sin(tiles.left * 2.4) * np.sin(tiles.top * 2.4)
    canvas = colour[tiles.number]
    canvas *= (1 + 0.02 * weave + 0.10 * tiles.raised(1.0))[..., None]
    blend(canvas, canvas * 0.42 + 0.05, 0.75 * (1 - drawing.smoothstep(0.1, 0.9, tiles.edge)))
    return canvas


def _place_coins(ground: _Ground, light_block: Bools, generator: Generator) -> list["Coin"]:
    """Choose 26 to 30 block centres (fewer where the lattice has fewer inside), and a coin for each."""
    row, column = (index.ravel() for index in np.mgrid[:_BLOCKS, :_BLOCKS])
    x, y = ground.to_picture(column + 0.5, row + 0.5)
    x, y = x + generator.uniform(-1, 1, x.shape), y + generator.uniform(-1, 1, y.shape)
    inside = np.minimum(np.minimum(x, y), SIZE - 1 - np.maximum(x, y)) >= BORDER
    order = np.argsort(generator.random(x.shape), kind="stable")
    order = order[inside[order]][: 26 + int(generator.random() * 5)]
    to_line = ground.to_line(x, y)
    far = np.flatnonzero(np.abs(to_line[order]) >= RUBY_DISTANCE)
    rubies = set(order[far[: round(TYPES[0] * len(order))]].tolist())
    coins = []
    for cell in order.tolist():
        if cell in rubies:
            label = RUBY_WARM if to_line[cell] > 0 else RUBY_COOL
        else:
            kind, which = generator.random(2)
            if kind < TYPES[1] / (1 - TYPES[0]):
                label = JADE_LIGHT if light_block.flat[cell] else JADE_DARK
            else:
                label = CROSS if which < 0.5 else RING
        coins.append(Coin(Item(label, float(x[cell]), float(y[cell]), generator.uniform(14, 15.5))))
    return coins


class Coin(Painter):
    """Paints a coin. Shown in {doc}`05_data`."""

    def paint(self, canvas: Array, mask: Labels, x: Array, y: Array) -> None:
        """Paint the coin, in place: shadow, rim, face, then its mark."""
        radius, label = self.item.diameter / 2, self.item.label
        distance = np.hypot(x, y)
        # -1 on the lit side
        toward = -(x * drawing.LIGHT[0] + y * drawing.LIGHT[1]) / np.maximum(distance, 0.5)
        drawing.cast_shadow(canvas, np.hypot(x - 1.2, y - 1.6) - radius)
        blend(canvas, (0.25, 0.17, 0.05), coverage(distance - radius))
        # across the rim the surface rises, then falls
        rim = 0.5 * np.sin(np.clip((radius - distance) / 2.2, 0, 1) * (2 * math.pi))
        blend(canvas, drawing.lit(_GOLD, 1 - 0.75 * rim * toward, _SPILL), coverage(distance - radius + 0.5))
        face = drawing.lit(_FACE, 0.98 + (0.12 * distance / radius) * toward, _SPILL)
        blend(canvas, face, coverage(distance - radius + 2.1))
        _paint_mark(canvas, x, y, 0.46 * radius, label)
        drawing.mark(mask, distance - radius, label)


def _paint_mark(canvas: Array, x: Array, y: Array, radius: float, label: int) -> None:
    """Paint what tells the kinds of coin apart: a gem, or an engraving."""
    if label in (CROSS, RING):
        blend(canvas, (1.0, 0.90, 0.60), 0.8 * coverage(_engraving(x - 0.6, y - 0.6, radius, label)))
        blend(canvas, _ENGRAVED, coverage(_engraving(x, y, radius, label)))
        return
    distance = np.hypot(x, y)
    colour = _RUBY if label in (RUBY_WARM, RUBY_COOL) else _JADE
    blend(canvas, drawing.lit(colour, np.full_like(x, 0.45)), coverage(distance - radius - 0.4))
    # Light gathers opposite to where it enters.
    glow = 1 + 0.45 * (x * -drawing.LIGHT[0] + y * -drawing.LIGHT[1]) / radius
    blend(canvas, drawing.lit(colour, glow, _SPILL), coverage(distance - radius + 0.5))
    blend(canvas, (1.0, 0.98, 0.96), 0.85 * coverage(np.hypot(x + 0.32 * radius, y + 0.38 * radius) - 0.75))


def _engraving(x: Array, y: Array, radius: float, label: int) -> Array:
    """Return the signed distance to an engraved ring, or to a cross."""
    if label == RING:
        return np.abs(np.hypot(x, y) - (radius - 0.6)) - 0.75
    across = np.maximum(np.abs(x) - radius - 0.3, np.abs(y) - 0.8)
    return np.minimum(across, np.maximum(np.abs(y) - radius - 0.3, np.abs(x) - 0.8))
