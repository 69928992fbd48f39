"""What the kernel answers when the front end asks: files, and what the network makes of a picture.

A request is a message with an `id` and a `kind`; the reply carries `reply_to`, and bytes beside it.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from safetensors.numpy import save
from torch import Tensor

from dmnet.analysis.inside import look_inside
from dmnet.classes import ClassList
from dmnet.errors import DataError, DMNetError
from dmnet.images import read_image
from dmnet.inference import Labels, labels_at
from dmnet.model import DMNet
from dmnet.playground.catalogue import FILTER_SIZES, TITLES, catalogue, scenes, world_entry
from dmnet.playground.layers import pack_layers
from dmnet.playground.scenes import pack
from dmnet.plots import class_list
from dmnet.transforms import evaluation_image
from dmnet.zoo import load_pretrained

REMEMBERED = 40  # pictures that the front end need not give again
Reply = tuple[dict[str, Any], list[bytes]]  # a message to the front end, and the bytes beside it


class Desk:
    """Takes the front end's requests; arguments and errors as of `Playground`. Used in {doc}`09_ablation`."""

    def __init__(
        self, model: DMNet, pictures: Mapping[str, Any] | None, truths: Mapping[str, Labels] | None
    ) -> None:
        self.name = model.system.name if model.system else "network"
        if model.architecture.filter_sizes != FILTER_SIZES:
            has = f"{self.name} has {model.architecture.filter_sizes}; dmnet.predict takes its scale_gates"
            raise DMNetError(f"the playground has switches for the filter sizes 1, 3, 5 and 7; {has}")
        self.models = {self.name: model}
        if pictures is None and self.name not in (worlds := sorted({one.world for one in scenes().values()})):
            need = f"{self.name} needs pictures, e.g. pictures={{'street': 'photo.jpg'}}"
            raise DMNetError(f"{need}; scenes come with {' and '.join(worlds)}")
        self.own = None if pictures is None else {name: read_image(one) for name, one in pictures.items()}
        self.truths = {name: np.asarray(labels, np.uint8) for name, labels in (truths or {}).items()}
        for name, labels in self.truths.items():
            if self.own is None or name not in self.own or self.own[name].shape[:2] != labels.shape:
                raise DataError(f"the labels of {name!r} need a picture of that name and of their size")
        # Number -> picture as the network sees it, and its size.
        self.registered: dict[int, tuple[Tensor, tuple[int, int]]] = {}
        self.kinds = {"asset": self._asset, "picture": self._picture, "answer": self._answer}

    @property
    def scene_ids(self) -> list[str]:
        """The ids that `Playground.scene` may have."""
        return [scene["id"] for world in self.catalogue()["worlds"] for scene in world["scenes"]]

    def reply(self, request: dict[str, Any], buffers: Sequence[Any]) -> Reply:
        """Answer one request; what goes wrong is told in the reply."""
        try:
            content, attached = self.kinds[request["kind"]](request, buffers)
        except Exception as error:  # the front end shows it; a kernel's log is read by nobody
            content, attached = {"error": f"{type(error).__name__}: {error}"}, []
        return {**content, "reply_to": request["id"]}, attached

    def catalogue(self) -> dict[str, Any]:
        """Return what there is to choose from; see `dmnet.playground.catalogue.catalogue`."""
        if self.own is None:
            return {"worlds": sorted(catalogue()["worlds"], key=lambda world: world["name"] != self.name)}
        model = self.models[self.name]
        resize = model.system.evaluation.resize if model.system else None
        shown = [{"id": name, "title": name, "file": f"pictures/{name}", "layers": None} for name in self.own]
        classes = ClassList(*class_list(model))
        return {"worlds": [world_entry(self.name, classes, model.architecture.channels, resize, shown)]}

    def model(self, world: str) -> DMNet:
        """Return the network that answers for a world."""
        if world not in self.models:
            if world not in TITLES:
                raise DMNetError(f"there is no network for {world!r}")
            self.models[world] = load_pretrained(world)
        return self.models[world]

    def _asset(self, request: dict[str, Any], _: Sequence[Any]) -> Reply:
        return {}, [self.asset(request["name"])]

    def asset(self, name: str) -> bytes:
        """Return a file by the name that it has beside the book's pages."""
        if name == "catalogue.json":
            return json.dumps(self.catalogue()).encode()
        for own, image in (self.own or {}).items():
            if name == f"pictures/{own}":
                return save({"image": image} | ({"truth": self.truths[own]} if own in self.truths else {}))
        for scene in scenes().values():
            if name == scene.file:
                return pack(scene, self.model(scene.world), answers=False)
            if name == scene.layers:
                return pack_layers(scene)
        raise DMNetError(f"there is no file {name}")

    def _picture(self, request: dict[str, Any], buffers: Sequence[Any]) -> Reply:
        pixels = np.frombuffer(buffers[0], np.uint8).reshape(request["height"], request["width"], 3)
        number = max(self.registered, default=-1) + 1
        image = evaluation_image(self.model(request["world"]).system, pixels)
        self.registered[number] = image, pixels.shape[:2]
        self.registered.pop(number - REMEMBERED, None)  # a reader who drags an object makes many
        return {"number": number}, []

    def _answer(self, request: dict[str, Any], _: Sequence[Any]) -> Reply:
        number, other = request["picture"], request["donor"]
        model = self.model(request["world"])
        if number not in self.registered or not (other is None or other in self.registered):
            return {"forgotten": True}, []  # the front end gives it anew
        image, size = self.registered[number]
        donor = None if other is None else self.registered[other][0]
        answer = look_inside(model, image, request["gates"], donor=donor)
        grids = [one[min(request["channel"], len(one) - 1)] for one in (*answer.filters, *answer.responses)]
        labels = labels_at(answer.logits, size, model.architecture.align_corners)
        content = {"shapes": [list(grid.shape) for grid in grids]}
        arrays = [labels, *(one.float().cpu().numpy() for one in (answer.logits, *grids))]
        return content, [array.tobytes() for array in arrays]
