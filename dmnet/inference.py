"""From an image to a label per pixel, and from a data set to its scores.

The steps are those of the published evaluation: resize to the protocol's limits, normalise, run the network
on the whole image or on windows, resize the logits to the *original* size, average over scales and mirror
images, take the arg-max. `dmnet.views` says which views there are, `dmnet.fusion` makes labels of them.
"""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from dmnet.datasets.base import IGNORE, Example
from dmnet.errors import DataError, DMNetError
from dmnet.files import interactive
from dmnet.files import progress as progress_bar
from dmnet.fusion import Labels, Layer, axis_matrix, fused_labels, make_layer
from dmnet.fusion import labels_at as labels_at
from dmnet.helpers import Helpers
from dmnet.images import read_image
from dmnet.metrics import ConfusionMatrix, Metric
from dmnet.model import DMNet, ScaleGates
from dmnet.pictures import class_list as class_list
from dmnet.pictures import overlay as overlay
from dmnet.sampling import leave_to_parent
from dmnet.systems import Evaluation
from dmnet.upsampling import interpolation_matrix
from dmnet.views import View, cut, view_image, views

Pixels = NDArray[np.uint8]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Switch every module to evaluation mode, and each back to the mode that it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def predict_logits(model: DMNet, images: Tensor, scale_gates: ScaleGates = None) -> Tensor:
    """Return the logits of normalised images, at the network's output stride.

    Args:
        model: on any device; its mode is left as it was.
        images: [3, H, W] or [B, 3, H, W]; moved to the model's device and number format.
        scale_gates: see `dmnet.model.DMNet.forward`.

    Returns:
        [K, h, w] or [B, K, h, w], on the model's device.
    """
    batch = images if images.dim() == 4 else images[None]
    weight = next(model.parameters())
    with evaluating(model), torch.inference_mode():
        logits = model(batch.to(weight), scale_gates).logits
    return logits if images.dim() == 4 else logits[0]


def predict(
    model: DMNet,
    image: Any,
    scale_gates: ScaleGates = None,
    protocol: Evaluation | None = None,
    *,
    batch_size: int = 1,
) -> Labels:
    """Return the class of every pixel.

    Args:
        model: knows by `model.system` how it is scored; without a system images are not resized.
        image: a path, a PIL image or an array, of any size; see `dmnet.images.read_image`.
        scale_gates: see `dmnet.model.DMNet.forward`.
        protocol: another way than the model's own, e.g. `dmnet.systems.protocol(model.system, "ms+flip")`.
        batch_size: windows that a GPU computes at once.

    Returns:
        uint8 [H, W], at the size of `image`.

    Raises:
        DataError: if the image cannot be read.
    """
    return predict_batch(model, [read_image(image)], scale_gates, protocol, batch_size=batch_size)[0]


def predict_batch(
    model: DMNet,
    images: Sequence[Pixels],
    scale_gates: ScaleGates = None,
    protocol: Evaluation | None = None,
    *,
    batch_size: int = 1,
) -> list[Labels]:
    """Return the class of every pixel of several images of one size; see `predict`.

    A CPU computes one image or window after the other, whatever `batch_size`: then the labels do not depend
    on it. A GPU's convolutions round differently in batches of different size, so that there two classes with
    all but equal logits may change places.

    Args:
        model: as for `predict`.
        images: uint8 [H, W, 3] each.
        scale_gates: see `dmnet.model.DMNet.forward`.
        protocol: as for `predict`.
        batch_size: images or windows that a GPU computes at once.
    """
    own = model.system.evaluation if model.system else Evaluation(resize=None)
    protocol = own if protocol is None else protocol
    at_once, weight = _at_once(model, batch_size), next(model.parameters())
    layers: list[list[Layer]] = [[] for _ in images]
    with evaluating(model), torch.inference_mode():
        for view in views(protocol, images[0].shape[:2]):
            inputs = _stacked([view_image(view, image) for image in images]).to(weight)
            for flip in view.flips:
                logits = _window_logits(model, inputs, view, flip, scale_gates, at_once)
                rows, columns = _matrices(model, view, flip, logits, protocol, images[0].shape[:2])
                for of_image, one in zip(layers, logits.flatten(1, 2).flatten(2, 3), strict=True):
                    of_image.append(make_layer(one, rows, columns))
            del inputs
        return [fused_labels(of_image, protocol.average) for of_image in layers]


def _at_once(model: DMNet, batch_size: int) -> int:
    """Return how many windows are computed at once."""
    return 1 if next(model.parameters()).device.type == "cpu" else batch_size


def _stacked(images: Sequence[Tensor]) -> Tensor:
    """Return a batch; of one image no copy is made."""
    return torch.stack(list(images)) if len(images) > 1 else images[0][None]


def _window_logits(
    model: DMNet, inputs: Tensor, view: View, flip: bool, scale_gates: ScaleGates, batch_size: int
) -> Tensor:
    """Return the coarse logits of all windows, float32 [B, rows of windows, h, columns of windows, w, K]."""
    places = list(product(range(len(inputs)), enumerate(view.windows)))
    for first in range(0, len(places), batch_size):
        chosen = places[first : first + batch_size]
        batch = _stacked([cut(inputs[image], window, flip) for image, (_, window) in chosen])
        logits = model(batch, scale_gates).logits.permute(0, 2, 3, 1)  # [batch, h, w, K]
        if first == 0:
            grid = len(view.tops), logits.shape[1], len(view.lefts), *logits.shape[2:]
            result = torch.empty(len(inputs), *grid, device=logits.device)
        for (image, (number, _)), one in zip(chosen, logits, strict=True):
            row, column = divmod(number, len(view.lefts))
            result[image, row, :, column] = one
    return result


def _matrices(
    model: DMNet, view: View, flip: bool, logits: Tensor, protocol: Evaluation, size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Return what brings the coarse logits of a view to the original size, for rows and for columns."""
    corners = model.architecture.align_corners
    _, _, h, _, w, _ = logits.shape
    if protocol.window is None and protocol.upsampling == "direct":
        rows, columns = (interpolation_matrix(*axis, corners) for axis in ((h, size[0]), (w, size[1])))
    else:
        rows = axis_matrix(h, view.window[0], view.tops, view.size[0], size[0], corners)
        columns = axis_matrix(w, view.window[1], view.lefts, view.size[1], size[1], corners)
    return rows, columns.flip(0) if flip else columns


# Data sets -----------------------------------------------------------------------------------------------


def evaluate(
    model: DMNet,
    dataset: Any,
    *,
    protocol: Evaluation | None = None,
    scale_gates: ScaleGates = None,
    metrics: Sequence[Metric] = (),
    batch_size: int = 1,
    workers: int = 0,
    processes: int = 1,
    progress: bool = False,
) -> ConfusionMatrix:
    """Predict every image of a data set and count what is right.

    Where `torch.distributed` runs, every process must call this: process i of n takes the images i, i + n,
    ..., and all get the counts of the whole set. On the CPU the result is the same however many processes
    there are, whoever started them, and whatever `workers` and `batch_size` are, as long as each process
    computes with as many threads (`OMP_NUM_THREADS`); see `predict_batch` on batches.

    Args:
        model: as for `predict`.
        dataset: len() and dataset[i] -> (image, mask, id); masks hold 0..K-1 and 255.
        protocol: how to predict; None is the model's own, `model.system.evaluation`.
        scale_gates: see `dmnet.model.DMNet.forward`.
        metrics: what else is to be counted, e.g. `[dmnet.analysis.boundaries.Trimap(21)]`; filled in place.
        batch_size: images of one size in a row, or windows, that a GPU computes at once.
        workers: processes that read images ahead; 0 reads them in between.
        processes: of this machine that predict, each with a network of its own and, if the model is on a
            GPU, with a GPU of its own. They pay where one process cannot keep all cores busy.
        progress: show a progress bar, if somebody is looking.

    Raises:
        DataError: if the data set has other classes than the model, or a mask a label that is no class.
        DMNetError: if there are not as many GPUs as processes, or a process cannot load the model or ends.
    """
    _check_classes(model, dataset)
    rank, world = _place()
    if processes > 1 and world > 1:
        raise DMNetError(f"there are {world} processes already: leave processes out")
    counters: list[Metric] = [ConfusionMatrix(len(dataset.classes), IGNORE), *metrics]
    before = [[array.copy() for array in counter.arrays] for counter in counters]
    examples = _examples(dataset, range(rank, len(dataset), world), workers)
    options = {"scale_gates": scale_gates, "protocol": protocol, "batch_size": batch_size}
    hidden = not (progress and rank == 0 and interactive())
    with progress_bar(total=len(dataset), desc="evaluate", unit="image", disable=hidden) as bar:
        for (_, mask, name), labels in _predicted(model, examples, batch_size, processes, options):
            try:
                for counter in counters:
                    counter.update(labels, mask)
            except DataError as error:
                raise DataError(f"image {name}: {error}") from error
            bar.update(world)
    if world > 1:
        _add_up(counters, before, next(model.parameters()).device)
    matrix = counters[0]
    assert isinstance(matrix, ConfusionMatrix)
    return matrix


def _check_classes(model: DMNet, dataset: Any) -> None:
    classes = model.architecture.num_classes
    if len(dataset.classes) != classes:
        raise DataError(f"the model knows {classes} classes, the data set has {len(dataset.classes)}")
    learned = model.system.classes if model.system else ()
    if len(learned) == classes and learned != tuple(dataset.classes):
        warnings.warn(
            f"the model learned the classes {', '.join(learned)}, the data set calls them "
            f"{', '.join(dataset.classes)}: labels are compared by number alone",
            stacklevel=3,
        )


def _examples(dataset: Any, indices: Sequence[int], workers: int) -> Iterator[Example]:
    """Yield the examples in order, read ahead by `workers` processes (0: by this one)."""
    loader: DataLoader[Any] = DataLoader(
        dataset,
        batch_size=None,  # examples as they are: images differ in size
        sampler=indices,
        num_workers=workers,
        collate_fn=_as_it_is,
        worker_init_fn=leave_to_parent,
        generator=torch.Generator(),  # else it draws from the global state
    )
    try:
        yield from loader
    except DataError as error:
        if workers == 0:
            raise
        # A worker's error comes with the traceback of its process in the message.
        raise DataError(str(error).rpartition("DataError: ")[2].strip()) from None


def _as_it_is(example: Any) -> Any:
    return example


def _predicted(
    model: DMNet, examples: Iterable[Example], batch_size: int, processes: int, options: dict[str, Any]
) -> Iterator[tuple[Example, Labels]]:
    """Yield every example with its predicted labels, in order."""
    groups = _groups(examples, batch_size)
    if processes == 1:
        for group in groups:
            images = [image for image, *_ in group]
            yield from zip(group, predict_batch(model, images, **options), strict=True)
        return
    sent: list[list[Example]] = []  # groups whose labels are still to come

    def batches() -> Iterator[list[Pixels]]:
        for group in groups:
            sent.append(group)
            yield [image for image, *_ in group]

    with Helpers(model, processes, options) as helpers:
        for labels in helpers.map(batches()):
            yield from zip(sent.pop(0), labels, strict=True)


def _groups(examples: Iterable[Example], size: int) -> Iterator[list[Example]]:
    """Yield `size` examples at a time, fewer where the next image has another size."""
    group: list[Example] = []
    for example in examples:
        if group and (len(group) == size or group[0][0].shape != example[0].shape):
            yield group
            group = []
        group.append(example)
    if group:
        yield group


def _place() -> tuple[int, int]:
    """Return the number of this process, and how many there are."""
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def _add_up(counters: Sequence[Metric], before: Sequence[Sequence[Any]], device: torch.device) -> None:
    """Add to every count what the other processes have counted."""
    for counter, old in zip(counters, before, strict=True):
        for array, start in zip(counter.arrays, old, strict=True):
            counted = torch.from_numpy(array - start).to(device)
            torch.distributed.all_reduce(counted)
            array[...] = start + counted.cpu().numpy()
