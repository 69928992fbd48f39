"""The playground's scenes: which there are, and all that the page knows about each before a network runs.

A scene travels as one gzipped safetensors file: the picture, the truth, the hidden maps behind the labels,
the full network's filters and responses (means over the channels), and the labels of all 16 subsets of
scales. So the page can answer every switch at once, and exactly, while the network is still on its way.
"""

import gzip
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from dmnet.analysis.inside import Answer, gated_logits, look_inside
from dmnet.inference import Labels, labels_at
from dmnet.metrics import ConfusionMatrix
from dmnet.model import DMNet
from dmnet.transforms import evaluation_image
from dmnet.worlds.demo import WORLDS
from dmnet.worlds.drawing import Plan, Scene

# Of the split "test"; chosen by eye for variety. The first of each world is the one that is shown first.
SCENES: dict[str, tuple[int, ...]] = {
    "demo_scale": (26, 1, 5, 7, 14, 16, 24, 25, 32, 35, 37, 38, 45),
    "demo_context": (13, 0, 5, 7, 14, 15, 18, 21, 22, 27, 30, 35, 39),
}
SUBSETS = tuple(product((0, 1), repeat=4))  # subset number s has scale i on where bit 3 - i of s is 1
FILTER_SIZES = (1, 3, 5, 7)
GROUP = {"demo_scale": "Coins", "demo_context": "Quilt"}


@dataclass(frozen=True)
class Question:
    """What some objects ask of the ground. Shown in {doc}`09_ablation`.

    Attributes:
        text: in words.
        pairs: labels of the objects that ask it: the one where the answer is yes, the one where it is no.
        seen: name of the map of noisy tiles.
        hidden: name of the map that is the answer.
        majority: whether the answer is what most of the visible ground looks like; else it lies behind it.
    """

    text: str
    pairs: tuple[tuple[int, int], ...]
    seen: str
    hidden: str
    majority: bool = False


# Per world; question i is about bit i of the versions of `dmnet.worlds.drawing.Plan`.
QUESTIONS = {
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
    """One of the playground's scenes. Shown in {doc}`09_ablation`.

    Attributes:
        world: "demo_scale" or "demo_context"; also the name of the network that labels it.
        index: its number in the split "test".
    """

    world: str
    index: int

    @property
    def id(self) -> str:
        """What the page's address calls it, e.g. "scale-26"."""
        return f"{self.world.removeprefix('demo_')}-{self.index}"

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


# Shown where no script runs.
STILL = (PlayScene("demo_scale", 26), PlayScene("demo_scale", 16), PlayScene("demo_context", 13))


def scenes() -> Iterator[PlayScene]:
    """Yield all scenes, world by world. Used in {doc}`09_ablation`."""
    for world, indices in SCENES.items():
        for index in indices:
            yield PlayScene(world, index)


def find_scene(name: str) -> PlayScene | None:
    """Return the scene with an id, or None. Used in {doc}`09_ablation`."""
    return next((scene for scene in scenes() if scene.id == name), None)


def subset_labels(model: DMNet, answer: Answer, size: tuple[int, int]) -> Labels:
    """Return the labels of every subset of the scales, uint8 [16, *size], in the order of `SUBSETS`.

    Used in {doc}`09_ablation`.
    """
    logits = gated_logits(model, SUBSETS, answer.features, answer.responses)
    return np.stack([labels_at(one, size) for one in logits])


def full_answer(scene: PlayScene, drawn: Scene, model: DMNet) -> Answer:
    """Return the network's answer with every scale at its full weight. Used in {doc}`09_ablation`."""
    return look_inside(model, evaluation_image(scene.world, drawn.image), (1.0,) * 4)


def score(labels: Labels, truth: Labels, classes: int) -> float:
    """Return the mIoU of one picture, in 0..1. Used in {doc}`09_ablation`."""
    matrix = ConfusionMatrix(classes)
    matrix.update(labels, truth)
    return matrix.miou()


def window_votes(scene: Scene, question: Question, side: int) -> list[bool]:
    """Return for every object that asks a question whether the tiles around it give the right answer.

    The vote is the majority of the tiles in a square window; it is what an average over that extent can know.
    Used in {doc}`09_ablation`.

    Args:
        scene: with its truth.
        question: about the ground.
        side: of the window, in pixels.
    """
    votes, size = [], scene.mask.shape[0]
    for item in scene.objects:
        if any(item.label in pair for pair in question.pairs):
            x, y = (min(max(round(place), 0), size - 1) for place in (item.x, item.y))
            rows, columns = (slice(max(0, c - side // 2), c + side // 2) for c in (y, x))
            majority = scene.truth[question.seen][rows, columns].mean() > 0.5
            votes.append(bool(majority == scene.truth[question.hidden][y, x]))
    return votes


def pack(scene: PlayScene, model: DMNet, *, answers: bool = True) -> bytes:
    """Return all that the page needs of a scene, as gzipped safetensors. Used in {doc}`09_ablation`.

    Without `answers`, the labels of the subsets are left out: a kernel computes them when they are asked for.

    Tensors: `image` uint8 [H, W, 3]; `truth` uint8 [H, W]; `answers` uint8 [16, H, W]; `hidden` uint8
    [M, H, W], 0 or 1; `filters_k` float32 [k, k] and `responses_k` float32 [h, w], means over the channels.
    Metadata: `facts`, JSON with the names of the `hidden` maps, the `questions` (see `Question`) and the
    `objects`, each its label and its centre, x and y in pixels.
    """
    drawn = scene.draw()
    answer = full_answer(scene, drawn, model)
    tensors: dict[str, NDArray[Any]] = {
        "image": drawn.image,
        "truth": drawn.mask,
        "hidden": np.stack([drawn.truth[name] for name in drawn.truth]).astype(np.uint8),
    }
    if answers:
        tensors["answers"] = subset_labels(model, answer, drawn.mask.shape)
    for k, filters, responses in zip(FILTER_SIZES, answer.filters, answer.responses, strict=True):
        tensors[f"filters_{k}"] = filters.mean(0).numpy()
        tensors[f"responses_{k}"] = responses.mean(0).numpy()
    facts = {
        "hidden": list(drawn.truth),
        "questions": [asdict(question) for question in QUESTIONS[scene.world]],
        "objects": [(item.label, round(item.x, 2), round(item.y, 2)) for item in drawn.objects],
    }
    content = save(tensors, {"facts": json.dumps(facts)})  # one entry: several come in any order
    return gzip.compress(content, mtime=0)
