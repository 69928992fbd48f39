"""The two data sets that the project draws itself: `demo_context` and `demo_scale`.

Scene number `index` of a split is drawn from the seeds (world, seed, split, index) alone, so the first scenes
of a large set are those of a small one, and any scene can be drawn again, with its hidden truth, by
`scene(index)`. A set is drawn when its first example is asked for, and kept in the cache folder.
"""

import multiprocessing
import os
import signal
import sys
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dmnet.classes import DEMO_CONTEXT, DEMO_SCALE, ClassList
from dmnet.datasets.base import IGNORE, Example, Image, Mask
from dmnet.errors import DataError
from dmnet.files import atomic_write, data_dir, progress
from dmnet.worlds import context, scale
from dmnet.worlds.drawing import Painter, Plan, Scene

SPLITS = {"train": 1600, "val": 300, "test": 300}  # default sizes; tune on val, score once on test
_ALONE = 250  # scenes that one process has drawn before others have started


@dataclass(frozen=True)
class World:
    """A kind of scene: how it is drawn, and the names of its classes. Shown in {doc}`05_data`."""

    name: str
    number: int  # enters the seeds, so that two worlds never share random numbers
    size: int  # pixels along a side
    revision: int
    classes: ClassList
    planner: Callable[[np.random.Generator], Plan]
    stock: Callable[[], dict[str, Painter]]  # one object of each kind

    def plan(self, seed: int, split: str, index: int) -> Plan:
        """Plan one scene: all that its picture is painted from, but for the noise."""
        return self.planner(self._generator(seed, split, index))

    def scene(self, seed: int, split: str, index: int) -> Scene:
        """Draw one scene from its seeds."""
        generator = self._generator(seed, split, index)
        return self.planner(generator).draw(generator)

    def _generator(self, seed: int, split: str, index: int) -> np.random.Generator:
        entropy = (self.number, seed, list(SPLITS).index(split), index)
        return np.random.Generator(np.random.PCG64(entropy))


WORLDS = {
    name: World(name, number, world.SIZE, world.REVISION, classes, world.plan, world.stock)
    for name, number, classes, world in (
        ("demo_context", 1, DEMO_CONTEXT, context),
        ("demo_scale", 2, DEMO_SCALE, scale),
    )
}


class DemoDataset:
    """A drawn data set; see `dmnet.datasets.Dataset` for what it offers. Shown in {doc}`05_data`.

    The `name` is "demo_context" or "demo_scale"; the `split` "train", "val", to tune on, or "test", fresh
    scenes to be scored once; the `size` the number of scenes, by default 1600, 300 and 300. Another `seed` is
    another data set of the same kind. A DataError if one of them is none.
    """

    ignore_index = IGNORE

    def __init__(self, name: str, split: str = "train", *, size: int | None = None, seed: int = 0) -> None:
        if name not in WORLDS:
            raise DataError(f"there is no drawn data set {name!r}; there are {', '.join(WORLDS)}")
        if split not in SPLITS:
            raise DataError(f"{name} has no split {split!r}; it has {', '.join(SPLITS)}")
        if (size is not None and size < 1) or seed < 0:
            raise DataError(f"size must be at least 1 and seed at least 0, got {size} and {seed}")
        self.name, self.split, self.seed = name, split, seed
        self.world = WORLDS[name]
        self.revision = self.world.revision
        self.classes = self.world.classes.names
        self.palette = self.world.classes.palette
        self.ids = tuple(f"{split}_{index:05d}" for index in range(SPLITS[split] if size is None else size))

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Example:
        name, (images, masks) = self.ids[index], self._arrays
        return images[index].copy(), masks[index].copy(), name

    def __iter__(self) -> Iterator[Example]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return f"DemoDataset({self.name!r}, {self.split!r}, size={len(self)}, seed={self.seed})"

    def __getstate__(self) -> dict[str, Any]:
        """Leave the pictures out when a loader's process gets a copy: it reads them from the cache."""
        return {key: value for key, value in self.__dict__.items() if key != "_arrays"}

    def scene(self, index: int) -> Scene:
        """Draw scene `index` again, with the hidden truth that its labels come from."""
        return self.world.scene(self.seed, self.split, range(len(self))[index])

    @property
    def cache_file(self) -> Path:
        """Where the drawn set is kept; the file can be deleted at any time."""
        name = f"{self.name}-revision{self.revision}-seed{self.seed}-{self.split}-{len(self)}.npz"
        return data_dir() / "cache" / "demo" / name

    @cached_property
    def _arrays(self) -> tuple[Image, Mask]:
        """All images [n, H, W, 3] and masks [n, H, W], from the cache or drawn now."""
        shape = (len(self), self.world.size, self.world.size)
        cached = _read_cache(self.cache_file, shape)
        if cached:
            return cached
        images, masks = np.empty((*shape, 3), np.uint8), np.empty(shape, np.uint8)
        _draw_all(self, images, masks)
        try:
            with atomic_write(self.cache_file) as temporary:
                np.savez(temporary, images=images, masks=masks)
        except OSError as error:  # a full or read-only disk: the set is complete in memory all the same
            warnings.warn(
                f"{self.cache_file} could not be kept, so it is drawn again next time: {error}", stacklevel=3
            )
        return images, masks


def _read_cache(file: Path, shape: tuple[int, int, int]) -> tuple[Image, Mask] | None:
    """Return the arrays of a cache file; None, with a warning if it is broken, when they must be drawn."""
    if not os.path.exists(file):  # False, too, where looking is forbidden
        return None
    try:
        with file.open("rb") as content, np.load(content) as arrays:  # reading verifies the checksums
            images, masks = arrays["images"], arrays["masks"]
        if images.shape == (*shape, 3) and masks.shape == shape and images.dtype == masks.dtype == np.uint8:
            return images, masks
        reason = f"it holds {images.dtype} {images.shape}"
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        reason = str(error)
    warnings.warn(f"the cache file {file} is damaged and is drawn again: {reason}", stacklevel=4)
    return None


def _draw_all(dataset: DemoDataset, images: Image, masks: Mask) -> None:
    """Fill the arrays with all scenes of the set, on all cores where processes can be forked."""
    numbers = range(len(dataset))
    many = sys.platform == "linux" and len(dataset) > _ALONE
    with ExitStack() as stack:
        scenes: Iterator[Scene] = map(dataset.scene, numbers)
        if many and not multiprocessing.current_process().daemon:  # a loader's worker starts no processes
            # Ctrl-C ends this process, which then ends the others.
            options: Any = {"initializer": signal.signal, "initargs": (signal.SIGINT, signal.SIG_IGN)}
            options["mp_context"] = multiprocessing.get_context("fork")  # a script may lack a guard
            pool = ProcessPoolExecutor(len(os.sched_getaffinity(0)), **options)
            scenes = stack.enter_context(pool).map(dataset.scene, numbers, chunksize=8)
        description = f"drawing {dataset.name} {dataset.split}"
        for index, scene in enumerate(progress(scenes, desc=description, total=len(dataset))):
            images[index], masks[index] = scene.image, scene.mask
