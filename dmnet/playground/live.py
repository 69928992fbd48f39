"""Live figures: a still picture that the reader can take hold of, in a notebook or in the page."""

import io
import json
import re
from base64 import b64encode
from html import escape
from typing import Any

import anywidget
import matplotlib.pyplot as plt
import numpy as np
import traitlets
from matplotlib.figure import Figure
from PIL import Image

from dmnet.playground import bundle


class LiveFigure(anywidget.AnyWidget):
    """A figure of `dmnet.playground.bundle.FIGURES`. Shown in {doc}`03_dynamic_filters`.

    Its module in `frontend/` takes the `data`, as JSON: pictures, uint8 [H, W, 3], as WebP, maps, bool
    [H, W], as bits, int8 as text, others as lists. A page of the book loads what is `later` when it is
    asked for. Print shows `still`, which `alt` describes; it is closed.
    """

    _esm = traitlets.Unicode().tag(sync=True)
    _css = traitlets.Unicode(bundle.style("live")).tag(sync=True)
    data = traitlets.Unicode().tag(sync=True)
    later = traitlets.Unicode().tag(sync=True)

    def __init__(self, name: str, data: Any, still: Figure, alt: str, later: Any = None) -> None:
        still.savefig(file := io.BytesIO(), format="svg", metadata={"Date": None})
        plt.close(still)
        texts = (json.dumps(one, default=_plain, separators=(",", ":")) for one in (data, later))
        text, more = (one.replace("</", "<\\/") for one in texts)
        kind = 'script type="application/json"'  # it stands in a page
        self.html = f'<div data-dmnet-live="{name}"><{kind}>{text}</script>'
        self.html += f'<{kind} data-later="{name}">{more}</script>' * (later is not None)
        self.html += f'<img src="{_address(file, "svg+xml")}" alt="{escape(alt)}"></div>'
        super().__init__(_esm=bundle.script(name), data=text, later=more)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        shown: Any = super()._repr_mimebundle_(**kwargs)  # a page of the book takes the HTML
        shown[0]["text/html"] = self.html
        return shown


def _plain(value: Any) -> Any:
    array = np.asarray(value)
    if array.dtype == np.int8:  # text: it compresses better than a list; a run is its letter and its length
        text = (array.astype(np.uint8) + 80).tobytes().decode("latin1")
        text = re.sub(r"(.)\1{11,999}", lambda run: run[1] + chr(256 + len(run[0])), text, flags=re.DOTALL)
        return {"shape": array.shape, "text": text}
    if array.ndim == 3:
        Image.fromarray(array).save(file := io.BytesIO(), "webp", quality=46, method=6)
        return _address(file)
    if array.ndim == 2 and array.dtype == bool:
        return {"shape": array.shape, "bits": b64encode(np.packbits(array).tobytes()).decode()}
    return array.tolist()


def _address(file: io.BytesIO, kind: str = "webp") -> str:
    return f"data:image/{kind};base64,{b64encode(file.getvalue()).decode()}"
