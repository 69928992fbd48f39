"""A scene taken apart, so that the page can put it together in another way.

Its layers travel as one gzipped safetensors file, which is asked for when the reader begins to change the
scene. They are the empty ground, once in every version (all patches warm, all cool, ...), and every object in
several sizes, each painted as the world paints it: the page only lays them on top of each other.
"""

import gzip
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from dmnet.playground.catalogue import QUESTIONS, PlayScene
from dmnet.worlds.demo import WORLDS
from dmnet.worlds.drawing import VOID, Array, Item, Labels, Painter, blend, cast_shadow, coverage, mark

# Pixels; a ring that is smaller is void altogether, and a larger object leaves no room for its ground.
DIAMETERS = {"demo_scale": (7.0, 32.0), "demo_context": (12.0, 96.0)}


class Cover(Painter):
    """Paints a card of grey paper that hides what is under it: its label is void. Used in {doc}`welcome`."""

    def paint(self, canvas: Array, mask: Labels, x: Array, y: Array) -> None:
        """Paint the card with its shadow, and mark it, in place."""
        half = self.item.diameter / 2
        cast_shadow(canvas, np.maximum(np.abs(x - 1.2), np.abs(y - 1.6)) - half)
        distance = np.maximum(np.abs(x), np.abs(y)) - half
        blend(canvas, (0.55, 0.55, 0.55), coverage(distance))
        mark(mask, distance, VOID)


@dataclass(frozen=True)
class Stamp:
    """An object cut out: a picture `p` under it becomes `p * through + added`. Used in {doc}`welcome`."""

    left: int  # where the cut begins, in pixels from the pixel that holds the object's centre
    top: int
    added: Array  # float32 [h, w, 3]
    through: Array  # float32 [h, w], 0..1
    mask: Labels  # uint8 [h, w]: 1 on the object, 255 where nothing counts, 0 elsewhere


def cut_out(painter: Painter, diameter: float) -> Stamp:
    """Paint an object by itself. Used in {doc}`welcome`.

    To paint is an affine map of every pixel that is painted over, so what becomes of black and of white tells
    everything.
    """
    item = replace(painter.item, diameter=diameter)
    painter = replace(painter, item=item)
    reach = math.ceil(0.7 * diameter) + 8  # corners and shadow
    offsets = np.arange(-reach, reach + 1, dtype=np.float32)
    x = np.broadcast_to(offsets - np.float32(item.x % 1), (len(offsets),) * 2)
    y = np.broadcast_to((offsets - np.float32(item.y % 1))[:, None], (len(offsets),) * 2)
    black, white = (np.full((*x.shape, 3), value, np.float32) for value in (0, 1))
    mask = np.zeros(x.shape, np.uint8)
    for canvas in (black, white):
        painter.paint(canvas, mask, x, y)
    through = (white - black)[..., 0]
    mask[(mask > 0) & (mask < VOID)] = 1
    rows, columns = (
        np.flatnonzero(((through < 1 - 1 / 255) | (mask > 0)).any(axis=1 - axis)) for axis in (0, 1)
    )
    cut = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return Stamp(int(columns[0]) - reach, int(rows[0]) - reach, black[cut], through[cut], mask[cut])


def sizes(painter: Painter, world: str) -> dict[int, float]:
    """Return an object's sizes: step -> diameter; two double it, 0 is as it is. Used in {doc}`welcome`."""
    diameter = painter.item.diameter
    if isinstance(painter, Cover):
        return {step: diameter * 2 ** (step / 2) for step in range(-2, 5)}
    least, most = DIAMETERS[world]
    every = {step: diameter * 2 ** (step / 2) for step in range(-2, 3)}
    return {step: size for step, size in every.items() if step == 0 or least <= size <= most}


def pack_layers(scene: PlayScene) -> bytes:
    """Return a scene's layers, as gzipped safetensors. Used in {doc}`welcome`.

    Tensors: `grounds` uint8 [V, H, W, 3], the ground with all patches in version 0, 1, ...; `patch` uint16
    [H, W]; `versions` uint8 [patches], which one each patch has; `stamps` uint8 [5, n], the pixels of all
    stamps: red, green and blue of what is added, what goes through, and the mask.

    Metadata: `facts`, JSON with the `objects`: first those of the scene, `placed`, then one of each kind that
    can be added. `name` is the kind, `label` the class, `x` and `y` the pixel that holds the centre, `stamps`
    the sizes: step -> left, top, width, height, and where its pixels start.
    """
    plan = scene.plan()
    objects: list[dict[str, Any]] = []
    parts: list[NDArray[np.uint8]] = []
    for name, painter, placed in _painters(scene.world, plan.painters):
        item, places = painter.item, {}
        for step, diameter in sizes(painter, scene.world).items():
            stamp = cut_out(painter, diameter)
            height, width = stamp.mask.shape
            places[step] = (stamp.left, stamp.top, width, height, sum(part.shape[1] for part in parts))
            added = _bytes(stamp.added * np.float32(plan.gain)).transpose(2, 0, 1)
            planes = np.concatenate([added, _bytes(stamp.through)[None], stamp.mask[None]])
            parts.append(planes.reshape(5, -1))
        entry = {"name": name, "label": item.label, "placed": placed, "stamps": places}
        objects.append({**entry, "x": math.floor(item.x), "y": math.floor(item.y)})
    used, patch = np.unique(plan.patch, return_inverse=True)
    versions = (np.full_like(plan.versions, v) for v in range(2 ** len(QUESTIONS[scene.world])))
    tensors: dict[str, NDArray[Any]] = {
        "grounds": np.stack([_bytes(plan.ground(one) * np.float32(plan.gain)) for one in versions]),
        "patch": patch.reshape(plan.patch.shape).astype(np.uint16),
        "versions": plan.versions[used],
        "stamps": np.ascontiguousarray(np.concatenate(parts, axis=1)),
    }
    return gzip.compress(save(tensors, {"facts": json.dumps({"objects": objects})}), mtime=0)


def _painters(world: str, painters: Iterable[Painter]) -> Iterator[tuple[str, Painter, bool]]:
    """Yield every object, the name of its kind, and whether it is in the scene."""
    stock = WORLDS[world].stock()
    pairs = [pair for question in QUESTIONS[world] for pair in question.pairs]
    for painter in painters:
        alike = next((pair for pair in pairs if painter.item.label in pair), (painter.item.label,))
        yield next(name for name, one in stock.items() if one.item.label in alike), painter, True
    for name, painter in stock.items():
        yield name, painter, False
    yield "cover", Cover(Item(VOID, 0, 0, 24.0)), False


def _bytes(values: Array) -> NDArray[np.uint8]:
    """Return numbers in 0..1 as 0..255."""
    return (np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)
