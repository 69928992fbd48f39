"""What the kernel answers when the front end asks: files, and what the network makes of a picture.

A request is a message with an `id` and a `kind`; the reply carries `reply_to`, and bytes beside it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save
from torch import Tensor

from dmnet.analysis.inside import look_inside
from dmnet.errors import DataError, DMNetError
from dmnet.export import export
from dmnet.images import read_image
from dmnet.inference import Labels, labels_at
from dmnet.model import DMNet
from dmnet.playground.catalogue import FILTER_SIZES, SCENES, catalogue, find_scene
from dmnet.playground.layers import pack_layers
from dmnet.playground.scenes import pack
from dmnet.plots import class_list
from dmnet.transforms import evaluation_image
from dmnet.zoo import load_pretrained

LONG_SIDE = 1024  # pixels of a reader's own picture: a kernel computes more than a browser

REMEMBERED = 40  # pictures that the front end need not give again


class Reply(NamedTuple):
    """What goes back to the front end. Used in {doc}`09_ablation`."""

    content: dict[str, Any]
    buffers: list[bytes]


class Desk:
    """Takes the front end's requests. Used in {doc}`09_ablation`.

    Args:
        model: the network that answers; the other demo system is loaded when its scenes are asked for.
        pictures: name -> picture; None offers the drawn scenes, which are those of the demo systems.
        truths: name -> labels of as many of the pictures as have any.
        static: folder with ONNX Runtime for pages, which a network that runs in the page needs.

    Raises:
        DMNetError: if the network has other scales than 1, 3, 5 and 7, or is no demo system and there are no
            pictures.
        DataError: if a picture cannot be read or its labels have another size.
    """

    def __init__(
        self,
        model: DMNet,
        pictures: Mapping[str, Any] | None,
        truths: Mapping[str, Labels] | None,
        static: Path | None = None,
    ) -> None:
        self.name = model.system.name if model.system else "network"
        if model.architecture.filter_sizes != FILTER_SIZES:
            raise DMNetError(
                f"the playground has switches for the filter sizes 1, 3, 5 and 7; {self.name} has "
                f"{model.architecture.filter_sizes}. Use dmnet.predict(..., scale_gates=...) for it"
            )
        self.models, self.static = {self.name: model}, static
        if pictures is None and self.name not in SCENES:
            raise DMNetError(
                f"{self.name} needs pictures to choose from, e.g. pictures={{'street': 'photo.jpg'}}; drawn "
                f"scenes come with {' and '.join(SCENES)}"
            )
        self.own = None if pictures is None else {name: read_image(one) for name, one in pictures.items()}
        self.truths = dict(truths or {})
        for name, labels in self.truths.items():
            if self.own is None or name not in self.own or self.own[name].shape[:2] != np.shape(labels):
                raise DataError(f"the labels of {name!r} need a picture of that name and of their size")
        self.registered: dict[
            int, tuple[Tensor, tuple[int, int]]
        ] = {}  # number -> as the network sees it, size
        self.kinds: dict[str, Callable[[dict[str, Any], Sequence[Any]], Reply]] = {
            "asset": self._asset,
            "picture": self._picture,
            "answer": self._answer,
        }

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
        return Reply({**content, "reply_to": request["id"]}, attached)

    def catalogue(self) -> dict[str, Any]:
        """Return what there is to choose from; see `dmnet.playground.catalogue.catalogue`."""
        if self.own is None:
            worlds = sorted(catalogue()["worlds"], key=lambda world: world["name"] != self.name)
            return {"long_side": LONG_SIDE, "worlds": worlds}
        names, palette = class_list(self.models[self.name])
        entry = {
            "name": self.name,
            "title": self.name,
            "hint": "Switch scales off, one at a time.",
            "classes": list(names),
            "palette": palette.tolist(),
            "pairs": {},
            "model": None,
            "channels": self.models[self.name].architecture.channels,
            "scenes": [
                {"id": name, "title": name, "file": f"pictures/{name}", "layers": None} for name in self.own
            ],
        }
        return {"long_side": LONG_SIDE, "worlds": [entry]}

    def model(self, world: str) -> DMNet:
        """Return the network that answers for a world."""
        if world not in self.models:
            if world not in SCENES:
                raise DMNetError(f"there is no network for {world!r}")
            self.models[world] = load_pretrained(world)
        return self.models[world]

    def _asset(self, request: dict[str, Any], _: Sequence[Any]) -> Reply:
        return Reply({}, [self.asset(request["name"])])

    def asset(self, name: str) -> bytes:
        """Return a file by the name that it has beside the book's pages."""
        if name == "catalogue.json":
            return json.dumps(self.catalogue()).encode()
        kind, _, rest = name.partition("/")
        if kind == "pictures" and self.own is not None and rest in self.own:
            return _packed(self.own[rest], self.truths.get(rest))
        if kind in SCENES:
            number, _, what = rest.partition(".")
            scene = find_scene(f"{kind.removeprefix('demo_')}-{number}")
            if scene:
                layers = what == "layers.gz"
                return pack_layers(scene) if layers else pack(scene, self.model(kind), answers=False)
        world = name.removesuffix(".onnx")
        return exported(world) if world in SCENES else self._served(name)

    def _served(self, name: str) -> bytes:
        """Return one of the files of ONNX Runtime."""
        root = self.static.resolve() if self.static else None
        file = (root / "playground" / name).resolve() if root else None
        if not root or not file or not file.is_relative_to(root) or not file.is_file():
            raise DMNetError(
                f"there is no file {name}: engine='browser' needs static=, the folder of ONNX Runtime for "
                "pages (in a clone `.venv/static`, after `make setup`); use engine='kernel'"
            )
        return file.read_bytes()

    def _picture(self, request: dict[str, Any], buffers: Sequence[Any]) -> Reply:
        pixels = np.frombuffer(buffers[0], np.uint8).reshape(request["height"], request["width"], 3)
        number = max(self.registered, default=-1) + 1
        image = evaluation_image(self.model(request["world"]).system, pixels)
        self.registered[number] = image, pixels.shape[:2]
        self.registered.pop(number - REMEMBERED, None)  # a reader who drags an object makes many
        return Reply({"number": number}, [])

    def _answer(self, request: dict[str, Any], _: Sequence[Any]) -> Reply:
        number, other = request["picture"], request["donor"]
        model = self.model(request["world"])
        if number not in self.registered or not (other is None or other in self.registered):
            return Reply({"forgotten": True}, [])  # the front end gives it anew
        image, size = self.registered[number]
        donor = None if other is None else self.registered[other][0]
        answer = look_inside(model, image, request["gates"], donor=donor)
        grids = [_channel(one, request["channel"]) for one in (*answer.filters, *answer.responses)]
        labels = labels_at(answer.logits, size, model.architecture.align_corners)
        content = {"shapes": [list(grid.shape) for grid in grids], "channels": len(answer.filters[0])}
        arrays = [labels, *(one.float().cpu().numpy() for one in (answer.logits, *grids))]
        return Reply(content, [array.tobytes() for array in arrays])


def _channel(values: Tensor, channel: int) -> Tensor:
    """Return one channel of [C, h, w]; the mean over all for -1."""
    return values.mean(0) if channel < 0 else values[min(channel, len(values) - 1)]


def _packed(image: NDArray[np.uint8], truth: Labels | None) -> bytes:
    """Return a picture of the caller's as a scene's file."""
    return save({"image": image} if truth is None else {"image": image, "truth": np.asarray(truth, np.uint8)})


@cache
def exported(world: str) -> bytes:
    """Return a demo system as ONNX, with its inside; the first time this takes 10 seconds.

    Used in {doc}`09_ablation`.
    """
    with TemporaryDirectory() as folder:
        file = Path(folder, "demo.onnx")
        export(load_pretrained(world), file, inner=True)
        return file.read_bytes()
