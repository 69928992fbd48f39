"""The world `demo_context`: the local pattern is ambiguous, the whole picture decides.

Jewellery lies on a quilt. The quilt is sewn of warm and cool patches, about 77 % of the visible area of one
kind; that majority is the quilt's name. Pieces are tiled with rubies and jades, about 60 % of one kind, which
names the piece. A piece of rubies on a warm quilt and one on a cool quilt are different classes, although one
looks like the other. The patches beside the pieces keep the secret: the two kinds are as even there as the
majority of the whole allows, so one must look at the whole quilt. Rings and frames have a class of their own
wherever they lie.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Any

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
    choose_cells,
    coverage,
    mark,
    pixel_grid,
    smoothstep,
)

SIZE = 128  # pixels
REVISION = 3  # of the pictures: raise it when a pixel changes, so that no old cache or weight is used

RUBY_WARM, RUBY_COOL, JADE_WARM, JADE_COOL, RING, FRAME = range(1, 7)

QUILT_MAJORITY = 0.77  # share of a quilt's visible area that has its name's colours
GEM_MAJORITY = 0.60  # share of a piece's area that has its name's gems
NEAR = 8.0  # pixels from a piece: the patches that reach so near to it keep its secret
DIAMETERS = (7.0, 96.0)  # pixels, log-uniform
SMALLEST_RING = 12.0  # pixels: the band of a smaller ring or frame would be void altogether
PIECES = 0.64  # share of the objects; rings and frames divide the rest

_MIDDLE = (SIZE - 1) / 2
_CELLS = 12  # patches along the quilt's own axes that are surely enough for the diagonal
_TRIES = 40  # places tried for an object before it is made smaller
_GEM_LATTICE = 24  # gems along the lattice that are surely enough for a piece and what is around it
_GAP = 2.5  # pixels between two objects, at least
_X, _Y = pixel_grid(SIZE)
_ROOT = 0.75**0.5  # half the diagonal pair of a hexagon of side 1

_WARM = ((0.80, 0.36, 0.26), (0.90, 0.62, 0.26), (0.86, 0.50, 0.50), (0.93, 0.76, 0.54), (0.69, 0.30, 0.33))
_COOL = ((0.23, 0.41, 0.66), (0.30, 0.61, 0.69), (0.44, 0.47, 0.76), (0.62, 0.77, 0.86), (0.19, 0.45, 0.52))
_TONES = np.array([_COOL, _WARM], np.float32)  # [2, 5, 3]
_RUBY = (0.84, 0.06, 0.24)
_JADE = (0.06, 0.62, 0.36)
_GEMS = np.array([_JADE, _RUBY], np.float32)
_GOLD = (0.88, 0.69, 0.30)
_SILVER = (0.80, 0.82, 0.86)


@dataclass(frozen=True)
class Jewel:
    """Paints a piece of jewellery, a ring or a frame; see `dmnet.worlds.drawing.Painter`.

    Shown in {doc}`02_data`.

    Attributes:
        item: what and where.
        angle: how it is turned.
        shift: where the gems' lattice begins, in gems, along two axes.
        rubies: which gems of the lattice are rubies, bool [24 * 24]; the others are jades.
    """

    item: Item
    angle: float
    shift: tuple[float, float] = (8.0, 8.0)
    rubies: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(_GEM_LATTICE**2, bool), repr=False)

    @property
    def window(self) -> tuple[slice, slice]:
        """See `Painter.window`."""
        reach = _reach(self.item.shape, self.item.diameter) + 6
        rows = slice(max(0, int(self.item.y - reach)), min(SIZE, int(self.item.y + reach) + 2))
        columns = slice(max(0, int(self.item.x - reach)), min(SIZE, int(self.item.x + reach) + 2))
        return rows, columns

    @property
    def is_piece(self) -> bool:
        """Whether it has gems: rings and frames have a hole."""
        return self.item.label not in (RING, FRAME)

    def local(self) -> tuple[Array, Array]:
        """Return the coordinates of the window's pixels from the object's centre, along its own axes."""
        return self.turned(_X[self.window] - self.item.x, _Y[self.window] - self.item.y)

    def turned(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Return distances from the centre along the object's own axes."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return cos * x + sin * y, cos * y - sin * x

    def paint(self, canvas: Array, mask: Labels, x: Array, y: Array, diameter: float) -> None:
        """Paint the object with its shadow, and mark it, in place."""
        item = replace(self.item, diameter=diameter)
        u, v = self.turned(x, y)
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        # from the light, on its axes
        away = (-LIGHT[0] * cos - LIGHT[1] * sin, -LIGHT[1] * cos + LIGHT[0] * sin)
        depth = min(3.0, 1.0 + 0.03 * diameter)
        shadow = _band(item, u - depth * away[0], v - depth * away[1])
        canvas *= (1 - 0.5 * (1 - smoothstep(-2.0, 2.5, shadow)))[..., None]
        if self.is_piece:
            _paint_piece(canvas, replace(self, item=item), u, v, away)
        else:
            _paint_band(canvas, item, u, v, away)
        mark(mask, _band(item, u, v), item.label)


def plan(generator: np.random.Generator) -> Plan:
    """Plan one scene.

    Its `truth` holds `warm_quilt`, the majority, which decides about the classes (all True or all False),
    `warm_patch`, the patches that one sees, and `near`, where they are kept even; all bool [128, 128].
    Shown in {doc}`02_data`.
    """
    warm = bool(generator.random() < 0.5)
    placed = _place(warm, generator)
    visible, near = np.ones((SIZE, SIZE), bool), np.zeros((SIZE, SIZE), bool)
    for one in placed:
        visible[one.window] &= _band(one.item, *one.local()) > 0
        if one.is_piece:
            reach = _reach(one.item.shape, one.item.diameter) + NEAR
            near |= np.hypot(_X - one.item.x, _Y - one.item.y) < reach
    quilt, patch, warm_patches = _sew(warm, visible, near, generator)
    painters = [_with_gems(one, generator) if one.is_piece else one for one in placed]
    truth = {"warm_quilt": np.full((SIZE, SIZE), warm), "warm_patch": warm_patches[patch], "near": near}
    return Plan(
        patch=patch,
        versions=warm_patches.astype(np.uint8),
        ground=quilt.paint,
        painters=painters,
        truth=truth,
        gain=generator.uniform(0.88, 1.08),
    )


def stock() -> dict[str, Painter]:
    """Return one object of each kind that can be told apart by its looks, in the middle of a picture.

    Shown in {doc}`02_data`.
    """
    kinds = {"ruby": RUBY_WARM, "jade": JADE_WARM, "ring": RING, "frame": FRAME}
    objects: dict[str, Painter] = {}
    for name, label in kinds.items():
        shape = "square" if label == FRAME else "disc"
        jewel = Jewel(Item(label, _MIDDLE, _MIDDLE, 30.0, shape), 0.4)
        objects[name] = _with_gems(jewel, np.random.default_rng(0)) if jewel.is_piece else jewel
    return objects


# Where everything is


def _place(warm: bool, generator: np.random.Generator) -> list[Jewel]:
    """Place 4 to 7 objects, the largest first; one that finds no place is made smaller."""
    low, high = np.log(DIAMETERS)
    diameters = np.exp(generator.uniform(low, high, 4 + int(generator.random() * 4)))
    placed: list[Jewel] = []
    for diameter in sorted(diameters.tolist(), reverse=True):
        kind, shape = _kind(generator)
        diameter = max(diameter, SMALLEST_RING) if kind in (RING, FRAME) else diameter
        while (spot := _spot(placed, shape, diameter, generator)) is None and diameter > DIAMETERS[0]:
            diameter = max(0.8 * diameter, DIAMETERS[0])
        if spot is None or (kind in (RING, FRAME) and diameter < SMALLEST_RING):
            continue
        if kind not in (RING, FRAME):
            kind += 0 if warm else 1
        item = Item(kind, *spot, diameter, shape)
        placed.append(Jewel(item, generator.uniform(0, 2 * math.pi)))
    return placed


def _kind(generator: np.random.Generator) -> tuple[int, str]:
    """Draw what an object is; pieces get the class of their gems on a warm quilt for the time being."""
    kind, half, shape = generator.random(3)
    if kind >= PIECES:
        return (RING, "disc") if half < 0.5 else (FRAME, "square")
    return (RUBY_WARM if half < 0.5 else JADE_WARM), ("disc", "square", "hexagon")[int(shape * 3)]


def _reach(shape: str, diameter: float) -> float:
    """Return the distance from the centre to the farthest corner."""
    return diameter * {"disc": 0.5, "square": 0.627, "hexagon": 0.55}[shape]


def _spot(
    placed: list[Jewel], shape: str, diameter: float, generator: np.random.Generator
) -> tuple[float, float] | None:
    """Return a centre where an object fits: inside the picture, apart from the others; or None."""
    reach = _reach(shape, diameter)
    for _ in range(_TRIES):
        if 2 * (reach + 2) >= SIZE:
            return None
        x, y = generator.uniform(reach + 1, SIZE - 2 - reach, 2).tolist()
        apart = all(
            math.dist((x, y), (other.x, other.y)) >= reach + _GAP + _reach(other.shape, other.diameter)
            for other in (one.item for one in placed)
        )
        if apart:
            return x, y
    return None


# What it looks like


def _sew(
    warm: bool, visible: NDArray[np.bool_], near: NDArray[np.bool_], generator: np.random.Generator
) -> tuple["_Quilt", NDArray[np.intp], NDArray[np.bool_]]:
    """Sew a quilt; return it, each pixel's patch, and which patches are warm."""
    pitch = generator.uniform(21, 28)
    u, v = _wobbly_grid(pitch, generator)
    column, row = np.floor(u).astype(np.intp), np.floor(v).astype(np.intp)
    patch = row * _CELLS + column
    area = np.bincount(patch[visible], minlength=_CELLS * _CELLS)
    beside = np.bincount(patch[visible & near], minlength=_CELLS * _CELLS) > 0.3 * area
    warm_patches = _odd_patches(area, beside, generator) ^ warm
    quilt = _Quilt(
        patch=patch,
        pitch=pitch,
        left=(u - column) * pitch,
        top=(v - row) * pitch,
        tone=np.minimum((generator.random(len(area)) * 5).astype(np.intp), 4),
        brightness=generator.uniform(0.93, 1.05, (len(area), 1)).astype(np.float32),
        print_kind=(generator.random(len(area)) * 5).astype(np.intp),
    )
    return quilt, patch, warm_patches


def _odd_patches(
    area: NDArray[np.integer[Any]], beside: NDArray[np.bool_], generator: np.random.Generator
) -> NDArray[np.bool_]:
    """Choose the patches of the minority: half of those beside the pieces, as far as they go, then others."""
    wanted = (1 - QUILT_MAJORITY) * area.sum()
    around, others = area * beside, area * ~beside
    odd = choose_cells(around, min(0.5, wanted / max(around.sum(), 1)), generator) & beside
    wanted = max(wanted - area[odd].sum(), 0)
    return odd | (choose_cells(others, min(1.0, wanted / max(others.sum(), 1)), generator) & ~beside)


def _wobbly_grid(pitch: float, generator: np.random.Generator) -> tuple[Array, Array]:
    """Return coordinates that count patches along a turned, slightly wavy grid; each [128, 128]."""
    uniform = generator.uniform
    angle, phases = uniform(0, math.pi / 2), uniform(0, 2 * math.pi, 2).tolist()
    height, wave = uniform(1.0, 2.2), 2 * math.pi / uniform(45, 70)
    cos, sin = math.cos(angle), math.sin(angle)
    x, y = _X - _MIDDLE, _Y - _MIDDLE
    u, v = cos * x + sin * y, cos * y - sin * x
    u, v = u + height * np.sin(v * wave + phases[0]), v + height * np.sin(u * wave + phases[1])
    shift = (_CELLS - 1) / 2 + generator.random(2)
    return u / pitch + float(shift[0]), v / pitch + float(shift[1])


@dataclass(frozen=True)
class _Quilt:
    """Printed patches, padded and quilted.

    Attributes:
        patch: number of each pixel's patch, [128, 128].
        pitch: pixels from one patch to the next.
        left, top: pixels from a patch's own edges, [128, 128].
        tone: which of five tones each patch has.
        brightness: of each patch, about 1, [patches, 1].
        print_kind: of each patch; see `_print`.
    """

    patch: NDArray[np.intp]
    pitch: float
    left: Array
    top: Array
    tone: NDArray[np.intp]
    brightness: Array
    print_kind: NDArray[np.intp]

    def paint(self, versions: NDArray[np.uint8]) -> Array:
        """Paint the quilt, float32 [128, 128, 3]; `versions` are those of `Plan`."""
        left, top, pitch = self.left, self.top, self.pitch
        colour = _TONES[versions.astype(np.intp), self.tone] * self.brightness
        print_ = _print(self.print_kind[self.patch], left, top, pitch)
        edge = np.minimum(np.minimum(left, pitch - left), np.minimum(top, pitch - top))
        thread = np.sin((left + top) * 2.1) * np.sin((left - top) * 2.1)
        padding = 1 - 0.30 * np.exp(-edge / 1.8)
        raised = np.exp(-np.minimum(left, top) / 2.5) - np.exp(-np.minimum(pitch - left, pitch - top) / 2.5)
        canvas = colour[self.patch] * (padding + 0.07 * raised + 0.025 * thread)[..., None]
        blend(canvas, (1.0, 0.97, 0.90), 0.34 * print_ * smoothstep(2.0, 3.2, edge))
        dashes = smoothstep(-0.2, 0.5, np.sin((left + top) * math.pi / 2))
        blend(canvas, (1.0, 0.96, 0.86), 0.55 * dashes * coverage(np.abs(edge - 2.2) - 0.3))
        blend(canvas, canvas * 0.45, coverage(edge - 0.35))
        return canvas


def _print(kind: NDArray[np.intp], left: Array, top: Array, pitch: float) -> Array:
    """Return where a patch's print is, 0..1: plain, stripes, dots, checks or diagonals by `kind` 0..4."""
    turns = 2 * math.pi / pitch
    across, down = np.cos(left * (5 * turns)), np.cos(top * (5 * turns))
    stripes = smoothstep(0.1, 0.8, across)
    dots = smoothstep(0.55, 0.85, 0.5 * (np.cos(left * (4 * turns)) + np.cos(top * (4 * turns))))
    checks = 0.5 * (smoothstep(-0.2, 0.2, across) + smoothstep(-0.2, 0.2, down))
    diagonals = smoothstep(0.2, 0.8, np.cos((left + top) * (4 * turns)))
    return np.choose(kind, [np.float32(0), stripes, dots, checks, diagonals]).astype(np.float32)


def _outline(item: Item, u: Array, v: Array) -> Array:
    """Return the signed distance to an object's outer edge, in its own coordinates."""
    if item.shape == "disc":
        return np.hypot(u, v) - item.diameter / 2
    u, v = np.abs(u), np.abs(v)
    if item.shape == "square":
        return np.maximum(u, v) - 0.443 * item.diameter
    return np.maximum(u, 0.5 * u + _ROOT * v) - 0.476 * item.diameter


def _band(item: Item, u: Array, v: Array) -> Array:
    """Return the signed distance to the edge of what an object covers: rings and frames have a hole."""
    outline = _outline(item, u, v)
    if item.label not in (RING, FRAME):
        return outline
    half = _width(item) / 2
    return np.abs(outline + half) - half


def _width(item: Item) -> float:
    """Return how broad the band of a ring or frame is, in pixels."""
    return max(4.0, 0.19 * item.diameter)


def _slope(item: Item, u: Array, v: Array, away: tuple[float, float]) -> Array:
    """Return how much an edge faces away from the light, -1..1, by the direction from the centre."""
    if item.shape == "disc":
        return (u * away[0] + v * away[1]) / np.maximum(np.hypot(u, v), 0.5)
    if item.shape == "square":
        flat = np.abs(u) > np.abs(v)
        return np.where(flat, np.sign(u) * away[0], np.sign(v) * away[1])
    upright = np.abs(u) > 0.5 * np.abs(u) + _ROOT * np.abs(v)
    slanted = 0.5 * np.sign(u) * away[0] + _ROOT * np.sign(v) * away[1]
    return np.where(upright, np.sign(u) * away[0], slanted).astype(np.float32)


def _paint_band(canvas: Array, item: Item, u: Array, v: Array, away: tuple[float, float]) -> None:
    """Paint a golden ring, round as a wire, or a silver frame with mitred corners."""
    width = _width(item)
    outline = _outline(item, u, v)
    across = np.clip((outline + width / 2) / (width / 2), -1, 1)  # -1 at the hole, 1 at the outer edge
    slope = _slope(item, u, v, away)
    blend(canvas, (0.20, 0.15, 0.10), coverage(np.abs(outline + width / 2) - width / 2))
    inner = coverage(np.abs(outline + width / 2) - width / 2 + 0.6)
    if item.label == RING:
        facing = -across * slope
        shine = np.maximum(facing, 0) ** 6 * 0.5
        blend(canvas, _lit(_GOLD, 0.85 + 0.42 * facing + shine), inner)
        return
    profile = np.where(np.abs(across) < 0.4, 0.0, np.sign(across)).astype(np.float32)
    blend(canvas, _lit(_SILVER, 0.90 - 0.30 * profile * slope), inner)
    blend(canvas, (0.30, 0.32, 0.38), 0.6 * coverage(np.abs(np.abs(across) - 0.4) * width / 2 - 0.2))


def _gem_lattice(jewel: Jewel, u: Array, v: Array) -> tuple[Array, Array, float]:
    """Return coordinates that count gems along a piece's own axes, and a gem's side in pixels."""
    pitch = jewel.item.diameter / 3.4
    return u / pitch + jewel.shift[0], v / pitch + jewel.shift[1], pitch


def _gem(a: Array, b: Array) -> NDArray[np.intp]:
    """Return the number of the gem at a place of the lattice."""
    return np.floor(b).astype(np.intp) * _GEM_LATTICE + np.floor(a).astype(np.intp)


def _rim(item: Item) -> float:
    """Return how broad a piece's golden rim is, in pixels."""
    return min(2.4, 0.3 + 0.05 * item.diameter)


def _with_gems(jewel: Jewel, generator: np.random.Generator) -> Jewel:
    """Choose the gems of a piece."""
    first, second = generator.uniform(8, 9, 2).tolist()
    jewel = replace(jewel, shift=(first, second))
    u, v = jewel.local()
    a, b, _ = _gem_lattice(jewel, u, v)
    gems, gem = np.unique(_gem(a, b), return_inverse=True)
    inside = _outline(jewel.item, u, v) < -_rim(jewel.item)
    area = np.bincount(gem.ravel()[inside.ravel()], minlength=len(gems))
    chosen = choose_cells(area, GEM_MAJORITY, generator) ^ (jewel.item.label in (JADE_WARM, JADE_COOL))
    rubies = np.zeros(_GEM_LATTICE**2, bool)
    rubies[gems] = chosen
    return replace(jewel, rubies=rubies)


def _paint_piece(canvas: Array, jewel: Jewel, u: Array, v: Array, away: tuple[float, float]) -> None:
    """Paint a piece: a golden setting, tiled with square-cut rubies and jades."""
    outline, rim = _outline(jewel.item, u, v), _rim(jewel.item)
    slope = _slope(jewel.item, u, v, away)
    a, b, pitch = _gem_lattice(jewel, u, v)
    ruby = jewel.rubies[_gem(a, b)]
    colour = _GEMS[ruby.astype(np.intp)]
    gems = _cut(colour, (a - np.floor(a)) * pitch, (b - np.floor(b)) * pitch, pitch, away)
    blend(canvas, (0.22, 0.15, 0.06), coverage(outline))
    bevel = np.where(outline > -rim / 2, -slope, slope)  # the rim rises, then falls toward the gems
    blend(canvas, _lit(_GOLD, 0.92 + 0.35 * bevel), coverage(outline + min(0.5, rim / 2)))
    canvas += (gems - canvas) * coverage(outline + rim)[..., None]


def _cut(colour: Array, left: Array, top: Array, pitch: float, away: tuple[float, float]) -> Array:
    """Return square-cut gems in their settings: a bright table, four facets, and a glint; [h, w, 3]."""
    right, bottom = pitch - left, pitch - top
    edge = np.minimum(np.minimum(left, right), np.minimum(top, bottom))
    facet = np.select(
        [edge == left, edge == right, edge == top],
        [away[0], -away[0], away[1]],
        -away[1],
    )
    table = smoothstep(0.20, 0.26, edge / pitch)
    across, down = left / pitch - 0.5, top / pitch - 0.5
    glow = 0.95 + 0.5 * (across * away[0] + down * away[1])
    light = (1 - table) * (0.82 + 0.34 * facet) + table * glow
    gems = _lit_each(colour, light)
    spot = np.hypot(across + 0.14 * away[0], down + 0.14 * away[1]) * pitch
    if pitch > 3.5:  # smaller gems have no room for a glint or a setting
        blend(gems, (1.0, 1.0, 1.0), 0.75 * coverage(spot - 0.07 * pitch))
        blend(gems, (0.66, 0.52, 0.22), coverage(edge - min(0.8, 0.05 * pitch)))
    return gems


def _lit(colour: tuple[float, float, float], light: Array) -> Array:
    """Return one colour at the brightness `light` [h, w]; [h, w, 3]."""
    return _lit_each(np.array(colour, np.float32), light)


def _lit_each(colour: Array, light: Array) -> Array:
    """Return colours at the brightness `light`; what exceeds 1 runs into white."""
    return (colour * light[..., None] + np.maximum(light - 1, 0)[..., None] * 0.3).astype(np.float32)
