"""Which sample comes when: a pure function of the seed and the sample's number.

Nothing here has a state. Sample number n of a training run is the same whether one process draws it or eight
workers do, and whether the run is in its first hour or was resumed after a crash.
"""

import signal
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from dmnet.datasets.base import Checked
from dmnet.errors import DataError, DMNetError
from dmnet.transforms import TrainingTransform

ORDER, AUGMENTATION, DROPOUT = 0, 1, 2  # what a stream of random numbers is for
GRACE_SECONDS = 120  # that a loading process lives on after a SIGTERM, which may be meant for its parent
Batch = tuple[Tensor, Tensor, list[str]]  # images [B, 3, H, W], labels [B, H, W], ids


def stream_seed(*key: int) -> int:
    """Return a 64-bit seed for the stream of random numbers of `key`. Used in {doc}`06_training`."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0])


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, length: int) -> list[int]:
    generator = torch.Generator().manual_seed(stream_seed(ORDER, seed, epoch))
    return torch.randperm(length, generator=generator).tolist()


class TrainingSamples(Dataset[tuple[Tensor, Tensor, str]]):
    """An endless sequence of augmented samples: `samples[n]` for n = 0, 1, 2, ...

    Every epoch is a new permutation, cut to full batches. A data set smaller than one batch is repeated:
    its epochs follow one another within a batch. The seed is that of the order and of the augmentation.
    Examples are looked at by `dmnet.datasets.base.Checked`. Used in {doc}`06_training`.
    """

    def __init__(self, dataset: Any, transform: TrainingTransform, batch_size: int, seed: int) -> None:
        self.dataset, self.transform = dataset, transform
        self.batch_size, self.seed = batch_size, seed
        length = len(dataset)
        self.per_epoch = length if length < batch_size else length - length % batch_size

    def __getitem__(self, n: int) -> tuple[Tensor, Tensor, str]:
        epoch, position = divmod(n, self.per_epoch)
        index = _order(self.seed, epoch, len(self.dataset))[position]
        image, mask, name = Checked(self.dataset)[index]
        generator = torch.Generator().manual_seed(stream_seed(AUGMENTATION, self.seed, n))
        return *self.transform(image, mask, generator), name


def training_batches(
    samples: TrainingSamples,
    start: int,
    stop: int,
    workers: int = 0,
    pin_memory: bool = False,
    rank: int = 0,
    world_size: int = 1,
) -> Generator[Batch, None, None]:
    """Yield the batches of iterations start..stop-1, counted from 0, or of each this rank's part.

    The whole batch, which `samples` knows, is a multiple of `world_size`; `workers` processes load images, 0
    loads them in this one. Used in {doc}`06_training`.
    """
    whole, part = samples.batch_size, samples.batch_size // world_size
    firsts = range(start * whole + rank * part, stop * whole, whole)  # of each batch, or part
    parts = (list(range(first, first + part)) for first in firsts)
    yield from read_ahead(samples, workers, batch_sampler=parts, collate_fn=_collate, pin_memory=pin_memory)


def read_ahead(dataset: Any, workers: int, **options: Any) -> Generator[Any, None, None]:
    """Yield what a `DataLoader` reads by as many processes, or by this one if `workers` is 0.

    It draws nothing from the global random state, and its processes end with it. Used in {doc}`06_training`.
    """
    generator = torch.Generator()  # else it draws from the global state, once more in a resumed run
    options |= {"num_workers": workers, "worker_init_fn": leave_to_parent, "generator": generator}
    items = iter(DataLoader(dataset, **options))
    try:
        yield from items
    except DataError as error:  # a worker's error comes with the traceback of its process in the message
        raise DataError(str(error).rpartition("DataError: ")[2].strip()) from None
    finally:
        if workers:  # left to itself, it waits until nobody holds the traceback of an error any more
            items._shutdown_workers()  # type: ignore[attr-defined]


@contextmanager
def worker_advice(workers: int) -> Iterator[None]:
    """Say what to do when one of the `workers`, processes that load images, is killed: a DMNetError.

    PyTorch's error comes wherever the program is just then. Used in {doc}`06_training`.
    """
    try:
        yield
    except (RuntimeError, ConnectionError) as error:  # the latter in the middle of a batch
        if not workers or (isinstance(error, RuntimeError) and "DataLoader worker" not in str(error)):
            raise
        reason = str(error).splitlines()[0].strip().rstrip(".")
        advice = f"perhaps the memory was full: try fewer than {workers} (workers, --workers), or 0"
        raise DMNetError(f"a process that loads images is gone ({reason}); {advice}") from error


def leave_to_parent(worker: int = 0) -> None:
    """Let a loading process outlive Ctrl-C and SIGTERM: its parent ends it. Used in {doc}`06_training`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "alarm"):
        signal.signal(signal.SIGTERM, lambda number, frame: signal.alarm(GRACE_SECONDS))


def _collate(samples: list[tuple[Tensor, Tensor, str]]) -> Batch:
    images, labels, names = zip(*samples, strict=True)
    sizes = {tuple(image.shape[1:]): name for image, name in zip(images, names, strict=True)}
    if len(sizes) > 1:
        found = ", ".join(f"{height} x {width} ({name})" for (height, width), name in sizes.items())
        raise DataError(f"images of one batch differ in size: {found}. Give a crop, e.g. crop=(256, 256)")
    return torch.stack(images), torch.stack(labels), list(names)
