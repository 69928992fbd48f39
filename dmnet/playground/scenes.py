"""The playground's scenes: all that the page knows about each before a network of its own runs.

A scene travels as one gzipped safetensors file: the picture, the truth, the hidden maps behind the labels,
the full network's filters and responses (one channel: `CHANNELS`), and the labels of all 16 subsets of
scales. So the page can answer every switch at once, and exactly, while the network is still on its way.
"""

import gzip
import json
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from dmnet.analysis.inside import gated_logits, look_inside
from dmnet.inference import Labels, labels_at
from dmnet.model import DMNet
from dmnet.playground.catalogue import CHANNELS, FILTER_SIZES, QUESTIONS, SUBSETS, PlayScene, Question
from dmnet.playground.photographs import Photograph
from dmnet.transforms import evaluation_image
from dmnet.worlds.drawing import VOID, Scene


def subset_labels(model: DMNet, image: NDArray[np.uint8]) -> Labels:
    """Return a picture's labels with every subset of the scales, uint8 [16, H, W], in the order of `SUBSETS`.

    The picture is uint8 [H, W, 3]. Used in {doc}`09_ablation`.
    """
    answer = look_inside(model, evaluation_image(model.system, image), (1.0,) * 4)
    logits = gated_logits(model, SUBSETS, answer.features, answer.responses)
    return np.stack([labels_at(one, image.shape[:2]) for one in logits])


def window_votes(scene: Scene, question: Question, side: int) -> list[bool]:
    """Return for every object that asks a question whether the tiles around it give the right answer.

    The vote is the majority of the tiles in a square window of `side` pixels; it is what an average over that
    extent can know. Used in {doc}`01_scale`.
    """
    votes, size = [], scene.mask.shape[0]
    for item in scene.objects:
        if any(item.label in pair for pair in question.pairs):
            x, y = (min(max(round(place), 0), size - 1) for place in (item.x, item.y))
            rows, columns = (slice(max(0, c - side // 2), c + side // 2) for c in (y, x))
            majority = scene.truth[question.seen][rows, columns].mean() > 0.5
            votes.append(bool(majority == scene.truth[question.hidden][y, x]))
    return votes


def pack(scene: PlayScene | Photograph, model: DMNet, *, answers: bool = True) -> bytes:
    """Return all that the page needs of a scene, as gzipped safetensors. Used in {doc}`09_ablation`.

    Without `answers`, the labels of the subsets are left out: a kernel computes them when they are asked for.

    Tensors: `image` uint8 [H, W, 3]; `truth` uint8 [H, W], where any label is known; `answers` uint8
    [16, H, W]; `hidden` uint8 [M, H, W], 0 or 1; `filters_k` float32 [k, k] and `responses_k` float32 [h, w],
    of the channel in `CHANNELS`. Metadata: `facts`, JSON with the names of the `hidden` maps, the
    `questions` (see `Question`) and the `objects`, each its label and its centre, x and y in pixels.
    """
    drawn = scene.draw()
    answer = look_inside(model, evaluation_image(model.system, drawn.image), (1.0,) * 4)
    tensors: dict[str, NDArray[Any]] = {
        "image": drawn.image,
        "hidden": np.array(list(drawn.truth.values()), np.uint8),
    }
    if (drawn.mask != VOID).any():
        tensors["truth"] = drawn.mask
    if answers:
        tensors["answers"] = subset_labels(model, drawn.image)
    for k, filters, responses in zip(FILTER_SIZES, answer.filters, answer.responses, strict=True):
        channel = CHANNELS.get(scene.world, 0)
        tensors |= {f"filters_{k}": filters[channel].numpy(), f"responses_{k}": responses[channel].numpy()}
    facts = {
        "hidden": list(drawn.truth),
        "questions": [asdict(question) for question in QUESTIONS[scene.world]],
        "objects": [(item.label, round(item.x, 2), round(item.y, 2)) for item in drawn.objects],
    }
    content = save(tensors, {"facts": json.dumps(facts)})  # one entry: several come in any order
    return gzip.compress(content, mtime=0)
