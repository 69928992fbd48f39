"""The playground: switch the network's scales on and off, and see it answer, in a notebook or in the page.

`Playground` is the widget, and `LiveFigure` a figure to be handled; both need anywidget (`pip install
"dmnet[playground]"`). The rest is what they are made of, and what writes the files behind the book's pages.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dmnet.errors import extra

if TYPE_CHECKING:
    from dmnet.playground.live import LiveFigure as LiveFigure
    from dmnet.playground.widget import Playground as Playground

__all__ = ["LiveFigure", "Playground"]
HOMES = {"LiveFigure": "live", "Playground": "widget"}


def __getattr__(name: str) -> Any:
    """Import a widget when it is asked for: building the pages' files needs no anywidget."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with extra("playground"):
        return getattr(import_module(f"dmnet.playground.{HOMES[name]}"), name)
