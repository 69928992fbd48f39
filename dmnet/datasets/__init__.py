"""Data sets: `load(name)` gives labelled pictures by index, whatever they come from."""

import os
from typing import Any

from dmnet.datasets.base import IGNORE, Dataset
from dmnet.datasets.demo import WORLDS, DemoDataset
from dmnet.errors import DataError

__all__ = ["IGNORE", "Dataset", "DemoDataset", "load", "names"]


def names() -> tuple[str, ...]:
    """Return the names that `load` knows."""
    return (*WORLDS,)


def load(name: str, root: str | os.PathLike[str] | None = None, split: str = "train", **options: Any) -> Dataset:
    """Return a data set."""
    if name in WORLDS:
        return DemoDataset(name, split, **options)
    raise DataError(f"there is no data set {name!r}; there are {', '.join(names())}")
