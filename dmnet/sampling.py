"""Which sample comes when: a pure function of the seed and the sample's number.

Nothing here has a state. Sample number n of a training run is the same whether one process draws it or eight
workers do, and whether the run is in its first hour or was resumed after a crash.
"""

from collections.abc import Generator, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from dmnet.datasets import IGNORE
from dmnet.errors import DataError
from dmnet.interrupts import leave_to_parent
from dmnet.transforms import Bytes, TrainingTransform

ORDER, AUGMENTATION, DROPOUT = 0, 1, 2  # what a stream of random numbers is for

Batch = tuple[Tensor, Tensor, list[str]]  # images [B, 3, H, W], labels [B, H, W], ids


def stream_seed(*key: int) -> int:
    """Return a 64-bit seed for the stream of random numbers that `key` names; near keys are unrelated."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0])


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, length: int) -> list[int]:
    generator = torch.Generator().manual_seed(stream_seed(ORDER, seed, epoch))
    return torch.randperm(length, generator=generator).tolist()


class TrainingSamples(Dataset[tuple[Tensor, Tensor, str]]):
    """An endless sequence of augmented samples: `samples[n]` for n = 0, 1, 2, ...

    Every epoch is a new permutation, cut to full batches. A data set smaller than one batch is repeated:
    its epochs follow one another within a batch.

    Args:
        dataset: dataset[i] -> (image, mask, id).
        transform: see `dmnet.transforms.training_transform`.
        batch_size: decides how many samples of an epoch are used.
        seed: of everything.
    """

    def __init__(self, dataset: Any, transform: TrainingTransform, batch_size: int, seed: int) -> None:
        self.dataset, self.transform, self.batch_size, self.seed = dataset, transform, batch_size, seed
        length = len(dataset)
        self.per_epoch = length if length < batch_size else length - length % batch_size

    def __getitem__(self, n: int) -> tuple[Tensor, Tensor, str]:
        epoch, position = divmod(n, self.per_epoch)
        index = _order(self.seed, epoch, len(self.dataset))[position]
        image, mask, name = self.dataset[index]
        check_sample(image, mask, name, len(self.dataset.classes))
        generator = torch.Generator().manual_seed(stream_seed(AUGMENTATION, self.seed, n))
        return *self.transform(image, mask, generator), name


def check_sample(image: Bytes, mask: Bytes, name: str, classes: int) -> None:
    """Raise a `DataError` if the mask has another size than its image, or a label that is no class."""
    if mask.shape != image.shape[:2]:
        raise DataError(f"{name}: the image is {image.shape[:2]}, its mask {mask.shape} (height, width)")
    wrong = mask[(mask >= classes) & (mask != IGNORE)]
    if wrong.size:
        raise DataError(
            f"{name}: the mask has the label {wrong[0]}, but there are {classes} classes, 0 to {classes - 1} "
            f"(and {IGNORE}, ignored); complete the class list or correct the mask"
        )


class _Batches(Sampler[list[int]]):
    """The numbers of the samples that process `rank` of `processes` draws for iterations start..stop-1."""

    def __init__(self, start: int, stop: int, batch_size: int, rank: int, processes: int) -> None:
        self.iterations, self.batch_size, self.rank = range(start, stop), batch_size, rank
        self.share = batch_size // processes

    def __iter__(self) -> Iterator[list[int]]:
        for iteration in self.iterations:
            first = iteration * self.batch_size + self.rank * self.share
            yield list(range(first, first + self.share))

    def __len__(self) -> int:
        return len(self.iterations)


def training_batches(
    samples: TrainingSamples,
    start: int,
    stop: int,
    workers: int = 0,
    pin_memory: bool = False,
    rank: int = 0,
    processes: int = 1,
) -> Generator[Batch, None, None]:
    """Yield the batches of iterations start..stop-1, or of each the part of one of several processes.

    Args:
        samples: knows the size of the whole batch.
        start: first iteration, from 0.
        stop: iteration after the last.
        workers: processes that load images; 0 loads them in this one.
        pin_memory: see `torch.utils.data.DataLoader`.
        rank: which of the training processes this is.
        processes: how many there are; the batch size is a multiple of it.
    """
    loader: DataLoader[Any] = DataLoader(
        samples,
        batch_sampler=_Batches(start, stop, samples.batch_size, rank, processes),
        num_workers=workers,
        collate_fn=_collate,
        pin_memory=pin_memory,
        worker_init_fn=leave_to_parent,
        generator=torch.Generator(),  # else it draws from the global state, once more in a resumed run
    )
    batches = iter(loader)
    try:
        yield from batches
    except DataError as error:  # a worker's error comes with the traceback of its process in the message
        raise DataError(str(error).rpartition("DataError: ")[2].strip()) from None
    finally:
        if workers:  # left to itself, it waits until nobody holds the traceback of an error any more
            batches._shutdown_workers()  # type: ignore[attr-defined]


def _collate(samples: list[tuple[Tensor, Tensor, str]]) -> Batch:
    images, labels, names = zip(*samples, strict=True)
    sizes = {tuple(image.shape[1:]): name for image, name in zip(images, names, strict=True)}
    if len(sizes) > 1:
        found = ", ".join(f"{height} x {width} ({name})" for (height, width), name in sizes.items())
        raise DataError(f"images of one batch differ in size: {found}. Give a crop, e.g. crop=(256, 256)")
    return torch.stack(images), torch.stack(labels), list(names)
