"""The playground: switch the network's scales on and off, and see it answer, in a notebook or in the page.

`Playground` is the widget; it needs anywidget (`pip install "dmnet[playground]"`). The other modules are what
it is made of, and what writes the files behind the book's pages.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dmnet.errors import extra

if TYPE_CHECKING:
    from dmnet.playground.widget import Playground as Playground

__all__ = ["Playground"]


def __getattr__(name: str) -> Any:
    """Import the widget when it is asked for: building the pages' files needs no anywidget."""
    if name != "Playground":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with extra("playground"):
        return import_module("dmnet.playground.widget").Playground
