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
from functools import partial

import numpy as np
from numpy.random import Generator

from dmnet.worlds import drawing
from dmnet.worlds.drawing import Array, Bools, Indices, Item, Labels, Painter, Plan, Tiles, blend, coverage

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
_X, _Y = drawing.pixel_grid(SIZE)
_ROOT = 0.75**0.5  # half the diagonal pair of a hexagon of side 1

_WARM = ((0.80, 0.36, 0.26), (0.90, 0.62, 0.26), (0.86, 0.50, 0.50), (0.93, 0.76, 0.54), (0.69, 0.30, 0.33))
_COOL = ((0.23, 0.41, 0.66), (0.30, 0.61, 0.69), (0.44, 0.47, 0.76), (0.62, 0.77, 0.86), (0.19, 0.45, 0.52))
_TONES = np.array([_COOL, _WARM], np.float32)  # [2, 5, 3]
_GEMS = np.array([(0.06, 0.62, 0.36), (0.84, 0.06, 0.24)], np.float32)  # jade, ruby
_GOLD = (0.88, 0.69, 0.30)
_SILVER = (0.80, 0.82, 0.86)


@dataclass(frozen=True)
class Jewel(Painter):
    """Paints a piece of jewellery, a ring or a frame. Shown in {doc}`05_data`."""

    angle: float  # how it is turned
    shift: tuple[float, float] = (8.0, 8.0)  # where the gems' lattice begins, in gems, along two axes
    rubies: Bools = field(default_factory=lambda: np.zeros(_GEM_LATTICE**2, bool))  # the others are jades

    @property
    def is_piece(self) -> bool:
        """Whether it has gems; rings and frames have a hole."""
        return self.item.label not in (RING, FRAME)

    def local(self) -> tuple[Array, Array]:
        """Return the coordinates of the window's pixels from the object's centre, along its own axes."""
        window = self.item.window
        return drawing.turned(_X[window] - self.item.x, _Y[window] - self.item.y, self.angle)

    def gems(self, u: Array, v: Array) -> Tiles:
        """Return the gems that the pixels at a piece's own coordinates belong to."""
        pitch = self.item.diameter / 3.4
        return Tiles.cut(u / pitch + self.shift[0], v / pitch + self.shift[1], pitch, _GEM_LATTICE)

    def paint(self, canvas: Array, mask: Labels, x: Array, y: Array) -> None:
        """Paint the object with its shadow, and mark it, in place."""
        u, v = drawing.turned(x, y, self.angle)
        # Where the light goes, on the object's axes.
        away = drawing.turned(-drawing.LIGHT[0], -drawing.LIGHT[1], self.angle)
        depth = min(3.0, 1.0 + 0.03 * self.item.diameter)
        drawing.cast_shadow(canvas, _band(self.item, u - depth * away[0], v - depth * away[1]))
        if self.is_piece:
            _paint_piece(canvas, self, u, v, away)
        else:
            _paint_band(canvas, self.item, u, v, away)
        drawing.mark(mask, _band(self.item, u, v), self.item.label)


def plan(generator: Generator) -> Plan:
    """Plan one scene.

    Its `truth` holds `warm_quilt`, the majority, which decides about the classes (all True or all False),
    `warm_patch`, the patches that one sees, and `near`, where they are even; [128, 128]. See {doc}`05_data`.
    """
    warm = bool(generator.random() < 0.5)
    placed = _place(warm, generator)
    visible, near = np.ones(_X.shape, bool), np.zeros(_X.shape, bool)
    for one in placed:
        visible[one.item.window] &= _band(one.item, *one.local()) > 0
        if one.is_piece:
            near |= np.hypot(_X - one.item.x, _Y - one.item.y) < one.item.reach + NEAR
    patches = _sew(generator)
    warm_patches = _odd_patches(patches.number, visible, near, generator) ^ warm
    tones = (generator.random(_CELLS**2) * 5).astype(np.intp)
    brightness = generator.uniform(0.93, 1.05, (_CELLS**2, 1)).astype(np.float32)
    prints = (generator.random(_CELLS**2) * 5).astype(np.intp)
    truth = {"warm_quilt": np.full_like(near, warm), "warm_patch": warm_patches[patches.number], "near": near}
    return Plan(
        patch=patches.number,
        versions=warm_patches.astype(np.uint8),
        ground=partial(_paint_quilt, patches, tones, brightness, prints),
        painters=[_with_gems(one, generator) for one in placed],
        truth=truth,
        gain=generator.uniform(0.88, 1.08),
    )


def stock() -> dict[str, Painter]:
    """Return one object of each kind that looks different, in a picture's middle. See {doc}`05_data`."""
    kinds = {"ruby": RUBY_WARM, "jade": JADE_WARM, "ring": RING, "frame": FRAME}
    objects: dict[str, Painter] = {}
    for name, label in kinds.items():
        item = Item(label, _MIDDLE, _MIDDLE, 30.0, "square" if label == FRAME else "disc")
        objects[name] = _with_gems(Jewel(item, 0.4), np.random.default_rng(0))
    return objects


# Where everything is


def _place(warm: bool, generator: Generator) -> list[Jewel]:
    """Place 4 to 7 objects, the largest first; one that finds no place is made smaller."""
    low, high = np.log(DIAMETERS)
    diameters = np.exp(generator.uniform(low, high, 4 + int(generator.random() * 4)))
    placed: list[Jewel] = []
    for diameter in sorted(diameters.tolist(), reverse=True):
        kind, half, third = generator.random(3)
        if kind < PIECES:
            label = (RUBY_WARM if half < 0.5 else JADE_WARM) + (not warm)  # the cool one follows the warm one
            shape, least = ("disc", "square", "hexagon")[int(third * 3)], DIAMETERS[0]
        else:
            label, shape = (RING, "disc") if half < 0.5 else (FRAME, "square")
            least = SMALLEST_RING
        item = Item(label, 0, 0, max(diameter, least), shape)
        while not (found := _settle(item, placed, generator)) and item.diameter > DIAMETERS[0]:
            item = replace(item, diameter=max(0.8 * item.diameter, DIAMETERS[0]))
        if found and found.diameter >= least:
            placed.append(Jewel(found, generator.uniform(0, 2 * math.pi)))
    return placed


def _settle(item: Item, placed: list[Jewel], generator: Generator) -> Item | None:
    """Return an object at a place where it fits: inside the picture, apart from the others; or None."""
    others = [one.item for one in placed]
    for _ in range(_TRIES):
        x, y = generator.uniform(item.reach + 1, SIZE - 2 - item.reach, 2).tolist()
        if all(math.dist((x, y), (o.x, o.y)) >= item.reach + _GAP + o.reach for o in others):
            return replace(item, x=x, y=y)
    return None


def _sew(generator: Generator) -> Tiles:
    """Return the patches of a quilt: a turned, slightly wavy grid."""
    uniform = generator.uniform
    pitch = uniform(21, 28)
    angle, phases = uniform(0, math.pi / 2), uniform(0, 2 * math.pi, 2).tolist()
    height, wave = uniform(1.0, 2.2), 2 * math.pi / uniform(45, 70)
    u, v = drawing.turned(_X - _MIDDLE, _Y - _MIDDLE, angle)
    u, v = u + height * np.sin(v * wave + phases[0]), v + height * np.sin(u * wave + phases[1])
    first, second = ((_CELLS - 1) / 2 + generator.random(2)).tolist()
    u, v = u / pitch + first, v / pitch + second
    return Tiles.cut(u.astype(float), v.astype(float), pitch, _CELLS)


def _odd_patches(patch: Indices, visible: Bools, near: Bools, generator: Generator) -> Bools:
    """Choose the patches of the minority: half of those beside the pieces, as far as they go, then others."""
    area = np.bincount(patch[visible], minlength=_CELLS**2)
    beside = np.bincount(patch[visible & near], minlength=_CELLS**2) > 0.3 * area
    wanted = (1 - QUILT_MAJORITY) * area.sum()
    odd = np.zeros(_CELLS**2, bool)
    for part, most in ((beside, 0.5), (~beside, 1.0)):
        share = max(wanted - area[odd].sum(), 0) / max(area[part].sum(), 1)
        odd |= drawing.choose_cells(area * part, min(most, share), generator) & part
    return odd


def _with_gems(jewel: Jewel, generator: Generator) -> Jewel:
    """Choose the gems of a piece; a ring or a frame stays as it is."""
    if not jewel.is_piece:
        return jewel
    first, second = generator.uniform(8, 9, 2).tolist()
    jewel = replace(jewel, shift=(first, second))
    u, v = jewel.local()
    gems, gem = np.unique(jewel.gems(u, v).number, return_inverse=True)
    inside = _outline(jewel.item, u, v) < -_border(jewel.item)
    area = np.bincount(gem.ravel()[inside.ravel()], minlength=len(gems))
    rubies = jewel.rubies.copy()
    mostly_jade = jewel.item.label in (JADE_WARM, JADE_COOL)
    rubies[gems] = drawing.choose_cells(area, GEM_MAJORITY, generator) ^ mostly_jade
    return replace(jewel, rubies=rubies)


# What it looks like


def _paint_quilt(
    patches: Tiles, tones: Indices, brightness: Array, prints: Indices, versions: Labels
) -> Array:
    """Return printed patches, padded and quilted, float32 [128, 128, 3].

    Every patch has one of five tones, a brightness about 1, one of five prints, and a version; see `Plan`.
    """
    colour = _TONES[versions, tones] * brightness
    left, top, edge = patches.left, patches.top, patches.edge
    thread = np.sin((left + top) * 2.1) * np.sin((left - top) * 2.1)
    padding = 1 - 0.30 * np.exp(-edge / 1.8)
    canvas = colour[patches.number] * (padding + 0.07 * patches.raised(2.5) + 0.025 * thread)[..., None]
    blend(canvas, (1.0, 0.97, 0.90), 0.34 * _print(prints, patches) * drawing.smoothstep(2.0, 3.2, edge))
    dashes = drawing.smoothstep(-0.2, 0.5, np.sin((left + top) * math.pi / 2))
    blend(canvas, (1.0, 0.96, 0.86), 0.55 * dashes * coverage(np.abs(edge - 2.2) - 0.3))
    blend(canvas, canvas * 0.45, coverage(edge - 0.35))
    return canvas


def _print(kinds: Indices, patches: Tiles) -> Array:
    """Return where a patch's print is, 0..1: plain, stripes, dots, checks or diagonals by its kind, 0..4."""
    left, top, turns = patches.left, patches.top, 2 * math.pi / patches.pitch
    across, down = np.cos(left * (5 * turns)), np.cos(top * (5 * turns))
    stripes = drawing.smoothstep(0.1, 0.8, across)
    dots = drawing.smoothstep(0.55, 0.85, 0.5 * (np.cos(left * (4 * turns)) + np.cos(top * (4 * turns))))
    checks = 0.5 * (drawing.smoothstep(-0.2, 0.2, across) + drawing.smoothstep(-0.2, 0.2, down))
    diagonals = drawing.smoothstep(0.2, 0.8, np.cos((left + top) * (4 * turns)))
    plain = np.float32(0)
    return np.choose(kinds[patches.number], [plain, stripes, dots, checks, diagonals]).astype(np.float32)


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
    outline, half = _outline(item, u, v), _border(item) / 2
    return np.abs(outline + half) - half if item.label in (RING, FRAME) else outline


def _border(item: Item) -> float:
    """Return how broad the band of a ring or frame is, or a piece's golden rim, in pixels."""
    if item.label in (RING, FRAME):
        return max(4.0, 0.19 * item.diameter)
    return min(2.4, 0.3 + 0.05 * item.diameter)


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
    half, band, slope = _border(item) / 2, _band(item, u, v), _slope(item, u, v, away)
    across = np.clip((_outline(item, u, v) + half) / half, -1, 1)  # -1 at the hole, 1 at the outer edge
    blend(canvas, (0.20, 0.15, 0.10), coverage(band))
    if item.label == RING:
        facing = -across * slope
        shine = np.maximum(facing, 0) ** 6 * 0.5
        blend(canvas, drawing.lit(_GOLD, 0.85 + 0.42 * facing + shine), coverage(band + 0.6))
        return
    profile = np.where(np.abs(across) < 0.4, 0.0, np.sign(across)).astype(np.float32)
    blend(canvas, drawing.lit(_SILVER, 0.90 - 0.30 * profile * slope), coverage(band + 0.6))
    blend(canvas, (0.30, 0.32, 0.38), 0.6 * coverage(np.abs(np.abs(across) - 0.4) * half - 0.2))


def _paint_piece(canvas: Array, jewel: Jewel, u: Array, v: Array, away: tuple[float, float]) -> None:
    """Paint a piece: a golden setting, tiled with square-cut rubies and jades."""
    outline, rim, slope = _outline(jewel.item, u, v), _border(jewel.item), _slope(jewel.item, u, v, away)
    gems = jewel.gems(u, v)
    colour = _GEMS[jewel.rubies[gems.number].astype(np.intp)]
    blend(canvas, (0.22, 0.15, 0.06), coverage(outline))
    bevel = np.where(outline > -rim / 2, -slope, slope)  # the rim rises, then falls towards the gems
    blend(canvas, drawing.lit(_GOLD, 0.92 + 0.35 * bevel), coverage(outline + min(0.5, rim / 2)))
    blend(canvas, _facets(gems, colour, away), coverage(outline + rim))


def _facets(gems: Tiles, colour: Array, away: tuple[float, float]) -> Array:
    """Return square-cut gems in their settings: a bright table, four facets, and a glint; [h, w, 3]."""
    left, top, pitch, edge = gems.left, gems.top, gems.pitch, gems.edge
    sides = [edge == left, edge == pitch - left, edge == top]
    facet = np.select(sides, [away[0], -away[0], away[1]], -away[1])
    table = drawing.smoothstep(0.20, 0.26, edge / pitch)
    across, down = left / pitch - 0.5, top / pitch - 0.5
    glow = 0.95 + 0.5 * (across * away[0] + down * away[1])
    picture = drawing.lit(colour, (1 - table) * (0.82 + 0.34 * facet) + table * glow)
    spot = np.hypot(across + 0.14 * away[0], down + 0.14 * away[1]) * pitch
    if pitch > 3.5:  # smaller gems have no room for a glint or a setting
        blend(picture, (1.0, 1.0, 1.0), 0.75 * coverage(spot - 0.07 * pitch))
        blend(picture, (0.66, 0.52, 0.22), coverage(edge - min(0.8, 0.05 * pitch)))
    return picture
