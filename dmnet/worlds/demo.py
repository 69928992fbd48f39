"""The two data sets that the project draws itself: `demo_context` and `demo_scale`.

Scene number `index` of a split is drawn from the seeds (world, seed, split, index) alone, so the first scenes
of a large set are those of a small one, and any scene can be drawn again, with its hidden truth, by
`scene(index)`. A set is drawn when its first example is asked for, on all cores, and kept in the cache
folder.
"""

import os
import subprocess
import sys
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dmnet.classes import DEMO_CONTEXT, DEMO_SCALE, ClassList
from dmnet.datasets.base import IGNORE, Example, Image, Mask, checked_index
from dmnet.errors import DataError
from dmnet.files import atomic_write, data_dir, progress
from dmnet.worlds import context as context_world
from dmnet.worlds import scale as scale_world
from dmnet.worlds.drawing import Painter, Plan, Scene

SPLITS = {"train": 1600, "val": 300, "test": 300}  # default sizes; tune on val, score once on test
_ALONE = 250  # scenes that are drawn sooner than helpers could be started


@dataclass(frozen=True)
class World:
    """A kind of scene: how it is drawn, and the names of its classes."""

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
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))


WORLDS = {
    world.name: world
    for world in (
        World(
            "demo_context", 1, context_world.SIZE, context_world.REVISION, DEMO_CONTEXT,
            context_world.plan, context_world.stock,
        ),
        World(
            "demo_scale", 2, scale_world.SIZE, scale_world.REVISION, DEMO_SCALE,
            scale_world.plan, scale_world.stock,
        ),
    )
}  # fmt: skip


class DemoDataset:
    """A drawn data set; see `dmnet.datasets.base.Dataset` for what it offers.

    Args:
        name: "demo_context" or "demo_scale".
        split: "train", "val" (to tune on) or "test" (fresh scenes, to be scored once).
        size: number of scenes; the default is 1600, 300 and 300.
        seed: another seed is another data set of the same kind.
        workers: processes that draw; the default is one per available core.

    Raises:
        DataError: if the name, the split, the size or the seed is none.
    """

    ignore_index = IGNORE

    def __init__(
        self,
        name: str,
        split: str = "train",
        *,
        size: int | None = None,
        seed: int = 0,
        workers: int | None = None,
    ) -> None:
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
        self._workers = workers

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Example:
        index = checked_index(index, len(self))
        images, masks = self._arrays
        return images[index].copy(), masks[index].copy(), self.ids[index]

    def __iter__(self) -> Iterator[Example]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return f"DemoDataset({self.name!r}, {self.split!r}, size={len(self)}, seed={self.seed})"

    def __getstate__(self) -> dict[str, Any]:
        """Leave the pictures out when a loader's process gets a copy: it reads them from the cache."""
        return {key: value for key, value in self.__dict__.items() if key != "_arrays"}

    def scene(self, index: int) -> Scene:
        """Draw scene `index` again, with the hidden truth that its labels come from."""
        return self.world.scene(self.seed, self.split, checked_index(index, len(self)))

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


# Drawing on all cores. A helper is a new Python that draws a part of the scenes and writes the bytes to a
# pipe. Unlike multiprocessing, that needs no import guard in the caller's script, works in a notebook
# whatever the start method, and never forks a process that has threads (torch's).

_HELPER = "import sys; from dmnet.worlds.demo import _send; _send(*sys.argv[1:])"


def _draw_all(dataset: DemoDataset, images: Image, masks: Mask) -> None:
    """Fill the arrays with all scenes of the set."""
    todo = np.ones(len(dataset), bool)
    workers = min(dataset._workers or _cores(), len(dataset))
    with progress(total=len(dataset), desc=f"drawing {dataset.name} {dataset.split}") as bar:
        if workers > 1 and (len(dataset) > _ALONE or dataset._workers):
            with ThreadPoolExecutor(workers) as pool:
                parts = [range(first, len(dataset), workers) for first in range(workers)]
                list(pool.map(lambda part: _receive(dataset, part, images, masks, todo, bar), parts))
        for index in np.flatnonzero(todo):  # all of them on one core; else what a failed helper left
            scene = dataset.scene(int(index))
            images[index], masks[index] = scene.image, scene.mask
            bar.update()


def _receive(
    dataset: DemoDataset, part: range, images: Image, masks: Mask, todo: NDArray[np.bool_], bar: Any
) -> None:
    """Let a helper draw the scenes of `part`; where it fails, `todo` stays True and the caller draws them."""
    order = [dataset.name, str(dataset.seed), dataset.split, str(part.start), str(part.stop), str(part.step)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    try:
        helper = subprocess.Popen(
            [sys.executable, "-c", _HELPER, *order],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=environment,
        )  # fmt: skip
    except OSError:
        return
    with helper:
        assert helper.stdout is not None
        try:
            for index in part:
                image = helper.stdout.read(images[index].nbytes)
                mask = helper.stdout.read(masks[index].nbytes)
                if len(mask) < masks[index].nbytes:
                    return
                images[index] = np.frombuffer(image, np.uint8).reshape(images[index].shape)
                masks[index] = np.frombuffer(mask, np.uint8).reshape(masks[index].shape)
                todo[index] = False
                with bar.get_lock():  # several threads count
                    bar.update()
        finally:
            helper.kill()


def _send(name: str, seed: str, split: str, *numbers: str) -> None:
    """Draw scenes and write their bytes to standard output: what a helper does."""
    for index in range(*map(int, numbers)):
        scene = WORLDS[name].scene(int(seed), split, index)
        sys.stdout.buffer.write(scene.image.tobytes() + scene.mask.tobytes())
    sys.stdout.buffer.flush()


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
