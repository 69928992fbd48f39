"""What the playground offers: scenes, what each world asks, and the catalogue that the front end reads."""

from dataclasses import dataclass
from itertools import product
from typing import Any

from dmnet import systems
from dmnet.classes import CAMVID, ClassList
from dmnet.playground.photographs import Photograph, photographs
from dmnet.worlds.demo import WORLDS
from dmnet.worlds.drawing import Plan, Scene

# Of the split "test"; chosen by eye for variety. The first of each world is the one that is shown first.
SCENES: dict[str, tuple[int, ...]] = {
    "demo_scale": (26, 1, 5, 7, 14, 16, 24, 25, 32, 35, 37, 38, 45),
    "demo_context": (13, 0, 5, 7, 14, 15, 18, 21, 22, 27, 30, 35, 39),
}
SUBSETS = tuple(product((0, 1), repeat=4))  # subset number s has scale i on where bit 3 - i of s is 1
FILTER_SIZES = (1, 3, 5, 7)
# Of each network the channel whose 7 x 7 filters differ most from scene to scene, in relation to their size.
CHANNELS = {"demo_scale": 13, "demo_context": 9}
GROUP = {"demo_scale": "Coins", "demo_context": "Quilt"}
TITLES = {"demo_scale": "Coins on a mosaic", "demo_context": "Jewellery on a quilt", "street": "Photographs"}
KNOWS = {  # what each network knows; it takes everything else for some of that, too
    "demo_scale": "coins on a mosaic",
    "demo_context": "jewellery on a quilt",
    "street": "11 things of a street in Cambridge, seen from a car",
}
HINTS = {
    "demo_scale": "Rubies ask which side of the mosaic they lie on, warm or cool; jades, whether their block "
    "is light or dark. Switch off 7 × 7, then 3 × 3.",
    "demo_context": "Push the slider from cool to warm: no pixel of the jewellery changes, but its names do.",
    "street": f"This network knows {KNOWS['street']}, and takes all that it sees for one of them. Nothing "
    "in a photograph can be moved or revealed: switch scales off, or show a picture of yours.",
}
PAIRS = {
    "demo_scale": {"rubies": [1, 2], "jades": [3, 4], "engraved": [5, 6]},
    "demo_context": {"pieces": [1, 2, 3, 4], "rings, frames": [5, 6]},
    "street": {"large": [0, 1, 3, 4, 5], "moving": [8, 9, 10], "thin": [2, 6, 7]},
}
ALTS = {
    "demo_scale": "Some 30 gold coins on a mosaic of warm and cool, light and dark tiles",
    "demo_context": "Jewellery, tiled with rubies and jades, on a quilt of warm and cool patches",
}


@dataclass(frozen=True)
class Question:
    """What some objects ask of the ground. Shown in {doc}`09_ablation`."""

    text: str  # in words
    pairs: tuple[tuple[int, int], ...]  # labels of those that ask: where the answer is yes, where it is no
    seen: str  # name of the map of noisy tiles
    hidden: str  # name of the map that is the answer
    majority: bool = False  # whether it is what most of the visible ground looks like; else it lies behind it


# Per world; question i is about bit i of the versions of `dmnet.worlds.drawing.Plan`.
QUESTIONS: dict[str, tuple[Question, ...]] = {
    "street": (),
    "demo_scale": (
        Question("rubies: which side?", ((1, 2),), "warm_tile", "warm_side"),
        Question("jades: which block?", ((3, 4),), "light_tile", "light_block"),
    ),
    "demo_context": (
        Question("pieces: which quilt?", ((1, 2), (3, 4)), "warm_patch", "warm_quilt", majority=True),
    ),
}


@dataclass(frozen=True)
class PlayScene:
    """One of the playground's scenes. Shown in {doc}`09_ablation`."""

    world: str  # "demo_scale" or "demo_context"; also the name of the network that labels it
    index: int  # its number in the split "test"
    credit = None

    @property
    def id(self) -> str:
        """What the page's address calls it, e.g. "scale-26"."""
        return f"{self.world.removeprefix('demo_')}-{self.index}"

    @property
    def file(self) -> str:
        """Where it lies in the folder; see `dmnet.playground.scenes.pack`."""
        return f"{self.world}/{self.index}.safetensors.gz"

    @property
    def layers(self) -> str:
        """Where its layers lie; see `dmnet.playground.layers.pack_layers`."""
        return f"{self.world}/{self.index}.layers.gz"

    @property
    def title(self) -> str:
        """What the reader chooses it by, e.g. "Coins 1"."""
        return f"{GROUP[self.world]} {SCENES[self.world].index(self.index) + 1}"

    def draw(self) -> Scene:
        """Draw the picture, with its hidden truth."""
        return WORLDS[self.world].scene(0, "test", self.index)

    def plan(self) -> Plan:
        """Return what the picture is painted from."""
        return WORLDS[self.world].plan(0, "test", self.index)


# Id -> scene, world by world.
BY_ID = {
    scene.id: scene
    for world, indices in SCENES.items()
    for scene in (PlayScene(world, index) for index in indices)
}
# Shown where no script runs.
STILL = (BY_ID["scale-26"], BY_ID["scale-16"], BY_ID["context-13"])


def scenes() -> dict[str, PlayScene | Photograph]:
    """Return all scenes by their ids: those that are drawn, then the photographs. Used in {doc}`welcome`."""
    return {**BY_ID, **{one.id: one for one in photographs()}}


def catalogue() -> dict[str, Any]:
    """Return the worlds to choose from, with classes, colours and scenes. Used in {doc}`welcome`."""
    worlds, keys = [], ("id", "title", "file", "layers", "credit")
    for world in TITLES:
        system, classes = systems.get(world), WORLDS[world].classes if world in WORLDS else CAMVID
        resize = system.evaluation.resize
        shown = [{key: getattr(one, key) for key in keys} for one in scenes().values() if one.world == world]
        worlds.append(world_entry(world, classes, system.architecture.channels, resize, shown))
        worlds[-1]["model"] = f"{world}.onnx.gz"
    return {"worlds": worlds}


def world_entry(name: str, classes: ClassList, channels: int, resize: Any, shown: Any) -> dict[str, Any]:
    """Return what the catalogue says of a network and its scenes. Used in {doc}`09_ablation`."""
    return {
        "name": name,
        "title": TITLES.get(name, name),
        "hint": HINTS.get(name, "Switch scales off, one at a time."),
        "knows": KNOWS.get(name, f"{len(classes)} classes"),
        "classes": list(classes.names),
        "palette": classes.palette.tolist(),
        "pairs": PAIRS.get(name, {}),
        "model": None,  # file of the exported network
        "channels": channels,
        "channel": CHANNELS.get(name, 0),  # the one that is shown first
        "resize": resize,  # long and short side of a reader's own picture; None: at most 240 pixels
        "scenes": shown,
    }
