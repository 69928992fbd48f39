"""Progress bars: shown to a person, silent in a log."""

import os
import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def watched() -> bool:
    """Tell whether somebody is looking: a terminal, or a notebook that isn't being built into the book."""
    if os.environ.get("DMNET_QUIET"):
        return False
    return sys.stderr.isatty() or "ipykernel" in sys.modules


def progress(iterable: Iterable[Any] | None = None, **options: Any) -> tqdm:
    """Return a tqdm bar that is drawn only where somebody is looking.

    The plain text bar, in notebooks too: a widget would be dead in the rendered book.

    Args:
        iterable: what to go through, or None to call `update` by hand.
        **options: passed to `tqdm`.
    """
    options = {"disable": not watched(), "leave": False, "dynamic_ncols": True} | options
    return tqdm(iterable, **options)
