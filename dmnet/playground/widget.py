"""The playground in a notebook: an anywidget, whose traits a cell can read, set and observe."""

import re
from collections.abc import Mapping
from html import escape
from json import dumps
from typing import Any

import anywidget
import numpy as np
import traitlets
from numpy.typing import NDArray

from dmnet.errors import DMNetError
from dmnet.model import DMNet
from dmnet.playground import bundle
from dmnet.playground.kernel import Desk
from dmnet.zoo import load_pretrained

# What can be done to a scene: verb -> what follows it. The front end's `edits.js` says what they mean.
EDITS = {
    "move": r"\d+ -?\d+ -?\d+",
    "size": r"\d+ -?\d+",
    "remove": r"\d+|all",
    "add": r"[a-z]+ -?\d+ -?\d+",
    "exchange": "warm|light",
    "turn": r"(warm|light) \d+",
    "share": r"\d+",
    "brightness": r"\d+",
    "warmth": r"-?\d+",
}


class Playground(anywidget.AnyWidget):
    """The interactive scale ablation. Shown in {doc}`09_ablation`.

    ```
    playground = Playground("demo_scale")
    playground                                   # shows it
    playground.scale_gates = [1, 0, 1, 1]        # in another cell: switches 3 x 3 off
    playground.observe(print, "scale_gates")     # tells what the reader changes
    ```

    Args:
        model: a network on any device, or the name of a system, whose weights are then loaded. With the demo
            systems and `street` come scenes, which can all be chosen; every other network needs `pictures`.
        pictures: name -> picture (path, PIL image or array), for the reader to choose from. Each is seen
            whole, in one run: the sliding windows of a system's protocol have a filter each.
        truths: name -> labels, uint8 [H, W], 255 where nothing counts; for those pictures that have any.
        **state: the traits below.

    Attributes:
        scale_gates: the weight of each scale, four numbers, 0 to 2.
        scene: id of the picture that is shown, e.g. "scale-26".
        channel: which channel of filters and responses is shown; -1 is the one that varies most.
        donor: id of the picture whose filters are used instead of its own, or "".
        reveal: which of the scene's questions is answered on the picture; -1 is none.
        edits: changes of the drawn scene, e.g. `["move 3 45 60", "exchange warm"]`; see `EDITS`. Each scene
            keeps its own. The number of an object is shown in the workbench, which "Change ..." opens.

    Raises:
        DMNetError: if a scene or a weight is none; if the network's filter sizes are not 1, 3, 5 and 7; if
            pictures are missing or cannot be used.
    """

    _esm = bundle.script()
    _css = bundle.style()
    scale_gates = traitlets.List(traitlets.Float(), [1.0] * 4, minlen=4, maxlen=4).tag(sync=True)
    scene = traitlets.Unicode("").tag(sync=True)
    channel = traitlets.Int(-1, min=-1).tag(sync=True)
    donor = traitlets.Unicode("").tag(sync=True)
    reveal = traitlets.Int(-1, min=-1).tag(sync=True)
    edits = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(
        self,
        model: DMNet | str = "demo_scale",
        pictures: Mapping[str, Any] | None = None,
        truths: Mapping[str, NDArray[np.uint8]] | None = None,
        **state: Any,
    ) -> None:
        self._desk = Desk(load_pretrained(model) if isinstance(model, str) else model, pictures, truths)
        state.setdefault("scene", self._desk.scene_ids[0])
        super().__init__(**state)
        self.on_msg(lambda _, request, buffers: self.send(*self._desk.reply(request, buffers)))
        self._edits = {self.scene: self.edits}  # of every scene: they come back with it
        self.observe(lambda _: self._edits.update({self.scene: self.edits}), "edits")
        self.observe(lambda _: self.set_trait("edits", self._edits.get(self.scene, [])), "scene")

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Take what the page says. What it leaves out is as before, and the scene's own changes too."""
        edits = sync_data.get("edits", self.edits)
        with self.hold_sync():
            super().set_state(sync_data)
            self.edits = edits

    @traitlets.validate("scale_gates")
    def _valid_gates(self, proposal: Any) -> list[float]:
        if not all(0 <= gate <= 2 for gate in proposal["value"]):
            raise DMNetError(f"a scale's weight is a number from 0 to 2, got {list(proposal['value'])}")
        return proposal["value"]

    @traitlets.validate("scene", "donor")
    def _valid_scene(self, proposal: Any) -> str:
        name, known = proposal["value"], self._desk.scene_ids
        if name not in known and not (name == "" and proposal["trait"].name == "donor"):
            raise DMNetError(f"there is no scene {name!r}; there are {', '.join(known)}")
        return name

    @traitlets.validate("edits")
    def _valid_edits(self, proposal: Any) -> list[str]:
        for edit in proposal["value"]:
            verb, *rest = edit.split() or [""]
            if verb not in EDITS or not re.fullmatch(EDITS[verb], " ".join(rest)):
                raise DMNetError(f"a change of a scene is one of {', '.join(EDITS)}, got {edit!r}")
        return proposal["value"]

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Add to the widget what a page of the book shows: a place that its own script fills."""
        shown: Any = super()._repr_mimebundle_(**kwargs)
        state = {"scene": self.scene, "gates": self.scale_gates, "channel": self.channel}
        state |= {"donor": self.donor, "reveal": self.reveal, "edits": self.edits}
        shown[0]["text/html"] = (
            f'<div class="dmnet-playground" data-dmnet-playground="{escape(dumps(state))}">'
            "<p>The interactive playground: run this cell in a notebook, or read the book.</p></div>"
        )
        return shown
