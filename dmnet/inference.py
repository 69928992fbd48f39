r"""From an image to a label per pixel, and from a data set to its scores.

The steps are those of the published evaluation: resize to the protocol's limits, normalise, run the network
on the whole image or on crops that slide over it, resize the logits to the *original* size, average over
scales and mirror images (test-time augmentation, TTA), take the arg-max.

Upsampling a crop, adding crops up, dividing by how many lie over a pixel and resizing to the original size
are linear, and each works on rows and columns alone. So all of it together is one matrix per axis: a view's
logits at full size are $R \, L \, C^\top$ for every class, where $L$ holds the coarse logits of all crops
side by side, as they came from the network. Any few rows of the result can be computed alone: the labels are
made strip by strip, and the full-size logits of all classes never exist.
"""

import warnings
from collections.abc import Sequence
from contextlib import closing
from functools import reduce
from itertools import groupby, islice
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, distributed

from dmnet.datasets.base import IGNORE, Checked
from dmnet.errors import DataError, DMNetError
from dmnet.files import interactive
from dmnet.files import progress as progress_bar
from dmnet.images import read_image
from dmnet.metrics import ConfusionMatrix, Metric
from dmnet.model import DMNet, ScaleGates, evaluating
from dmnet.sampling import read_ahead, worker_advice
from dmnet.systems import Evaluation
from dmnet.transforms import fitted_size, network_input
from dmnet.upsampling import interpolation_matrix

STRIP_VALUES = 2**20  # logits of all classes in a strip of rows: 4 MB

Precision = Literal["fp32", "bf16", "fp16"]
Labels = NDArray[np.uint8]
Pixels = NDArray[np.uint8]


def predict(
    model: DMNet,
    image: Any,
    scale_gates: ScaleGates = None,
    protocol: Evaluation | None = None,
    precision: Precision = "fp32",
) -> Labels:
    """Return the class of every pixel, uint8 [H, W], at the size of `image`. Shown in {doc}`07_evaluation`.

    The image is a path, a PIL image or an array of any size. The protocol is by default that of the model's
    system; without a system images are not resized. Others are made by `dmnet.systems.protocol`. With "bf16",
    or "fp16" on a GPU, convolutions multiply in half precision (`torch.autocast`): as fast as the processor
    makes it; a pixel between two classes may change sides. A DataError if the image cannot be read, a
    DMNetError if the device has no such precision.
    """
    return predict_batch(model, [read_image(image)], scale_gates, protocol, precision)[0]


def predict_batch(
    model: DMNet,
    images: Sequence[Pixels],
    scale_gates: ScaleGates = None,
    protocol: Evaluation | None = None,
    precision: Precision = "fp32",
) -> Labels:
    """Return `predict` of B images of one size, uint8 [H, W, 3], that are computed at once: uint8 [B, H, W].

    Convolutions round differently in batches of another size, so that two classes with all but equal logits
    may change places. Used in {doc}`07_evaluation`.
    """
    own = model.system.evaluation if model.system else Evaluation(resize=None)
    protocol, size, corners = protocol or own, images[0].shape[:2], model.architecture.align_corners
    direct = protocol.window is None and protocol.upsampling == "direct"  # to the original size in one step
    device, views = next(model.parameters()).device, []
    with evaluating(model), torch.inference_mode():
        for view in tta_views(protocol, size):
            with _multiplying(precision, device.type):  # the network alone, not the resizing of its logits
                answers = _view_logits(model, images, view, protocol.flip, scale_gates)
            h, w = answers[0].shape[2] // len(view.tops), answers[0].shape[3] // len(view.lefts)  # of a crop
            crop, resized = (size, size) if direct else (view.crop, view.size)
            rows = crops_matrix(h, crop[0], view.tops, resized[0], size[0], corners)
            columns = crops_matrix(w, crop[1], view.lefts, resized[1], size[1], corners).to(device)
            for number, logits in enumerate(answers):  # the second is of the mirror image, and turned back
                views.append(ViewLogits(logits, rows, columns.flip(0) if number else columns))
        return fuse(views, protocol.average)


def _multiplying(precision: Precision, device: str) -> torch.autocast:
    """Return the context in which convolutions multiply in this precision."""
    kinds = {"fp32": None, "bf16": torch.bfloat16} | ({} if device == "cpu" else {"fp16": torch.float16})
    if precision not in kinds:
        raise DMNetError(f"precision on {device} is one of {', '.join(kinds)}, not {precision!r}")
    return torch.autocast(device, kinds[precision], enabled=precision != "fp32")


def _view_logits(
    model: DMNet, images: Sequence[Pixels], view: "View", flip: bool, scale_gates: ScaleGates
) -> list[Tensor]:
    """Return logits of all crops, [B, K, rows of crops * h, columns of crops * w]; those mirrored second."""
    inputs = torch.stack([network_input(image, view.limits) for image in images])
    inputs, (height, width), answers = inputs.to(next(model.parameters())), view.crop, []
    for mirrored in (False, True) if flip else (False,):
        rows = []
        for top in view.tops:
            band = inputs[..., top : top + height, :]
            band = band.flip(-1) if mirrored else band
            crops = (band[..., left : left + width] for left in view.lefts)
            rows.append(torch.cat([model.logits(crop, scale_gates).float() for crop in crops], dim=3))
        answers.append(torch.cat(rows, dim=2))
    return answers


class View(NamedTuple):
    """An image at one of the scales, and the crops that the network sees of it. See {doc}`07_evaluation`."""

    limits: tuple[int, int] | None  # (long side, short side) that the image is resized to; None: it is not
    size: tuple[int, int]  # (height, width) of the resized image
    crop: tuple[int, int]  # (height, width) of each crop; `size` where none slides
    tops: tuple[int, ...]  # first row of each row of crops
    lefts: tuple[int, ...]  # first column of each column of crops; in the mirror image they lie at the same


def tta_views(protocol: Evaluation, size: tuple[int, int]) -> list[View]:
    """Return a view per scale of an image of `size` (height, width). Used in {doc}`07_evaluation`.

    The protocol's limits times a scale, each rounded down, are the limits at that scale [mmsegmentation 0.x,
    `MultiScaleFlipAug`]; without limits the image's own sides take their place. (ssseg resizes the resized
    image a second time; no published number depends on it.)
    """
    views = []
    for scale in protocol.scales:
        limits = protocol.resize
        if limits is not None or scale != 1:
            first, second = limits or size
            limits = max(int(first * scale), 1), max(int(second * scale), 1)
        height, width = size if limits is None else fitted_size(size, limits)
        down, across = protocol.window or (height, width)
        steps = protocol.window_stride or (down, across)
        tops, lefts = crop_starts(height, down, steps[0]), crop_starts(width, across, steps[1])
        views.append(View(limits, (height, width), (min(down, height), min(across, width)), tops, lefts))
    return views


def crop_starts(length: int, crop: int, stride: int) -> tuple[int, ...]:
    """Return where the crops along one axis begin. Used in {doc}`07_evaluation`.

    They are `stride` apart; the last is moved back to end at the border. A crop that is larger than the image
    begins at 0, and is cut to the image [mmsegmentation 0.x, `EncoderDecoder.slide_inference`].
    """
    count = max(length - crop + stride - 1, 0) // stride + 1
    return tuple(min(number * stride, max(length - crop, 0)) for number in range(count))


def crops_matrix(
    values: int, crop: int, starts: Sequence[int], length: int, size: int, align_corners: bool = False
) -> Tensor:
    """Return the matrix that brings the values of all crops along one axis to the original length.

    The `values` that the network returns for a crop are interpolated to its length, `crop`; crops are
    averaged where they overlap; and the axis of the resized image, of this `length`, is interpolated to the
    original `size`: float32 [size, len(starts) * values], rows sum to 1. Derived in {doc}`07_evaluation`.
    """
    merged, count = torch.zeros(length, len(starts), values), torch.zeros(length)
    for number, start in enumerate(starts):
        merged[start : start + crop, number] = interpolation_matrix(values, crop, align_corners)
        count[start : start + crop] += 1
    merged /= count[:, None, None]
    axis = merged.flatten(1).T[None]  # [1, channel = value of a crop, length]
    return F.interpolate(axis, size=size, mode="linear", align_corners=align_corners)[0].T.contiguous()


class ViewLogits(NamedTuple):
    """Logits of one view, and what brings them to the original size. Derived in {doc}`07_evaluation`."""

    logits: Tensor  # L, float32 [B, K, r, c]
    rows: Tensor  # R, [H, r], on the CPU
    columns: Tensor  # C, [W, c], where the logits are; from right to left for the mirror image

    def strip(self, top: int, bottom: int) -> Tensor:
        """Return a few rows of the logits at the original size, [B, bottom - top, W, K]."""
        part = self.rows[top:bottom]
        used = part.any(dim=0).nonzero()[:, 0]  # the few coarse rows that the strip lies between
        wide = self.columns @ self.logits[:, :, used].permute(0, 2, 3, 1)  # [B, used, W, K]
        strip = part[:, used].to(wide.device) @ wide.flatten(2)
        return strip.unflatten(2, wide.shape[2:])


@torch.no_grad()
def fuse(views: Sequence[ViewLogits], average: Literal["logits", "softmax"] = "logits") -> Labels:
    """Return the class of every pixel, uint8 [B, H, W]: the arg-max of the mean over views, strip by strip.

    ssseg averages logits, mmsegmentation the probabilities of each view, both at the original size. A
    DMNetError if there are more classes than a label map can hold. Derived in {doc}`07_evaluation`.
    """
    (batch, classes), height, width = views[0].logits.shape[:2], len(views[0].rows), len(views[0].columns)
    if classes > IGNORE:
        raise DMNetError(f"a label map holds at most {IGNORE} classes and void, the logits have {classes}")
    probabilities = average == "softmax" and len(views) > 1  # of one view both have the same order
    step, labels = max(STRIP_VALUES // (batch * classes * width), 1), []
    for top in range(0, height, step):
        strips = (view.strip(top, top + step) for view in views)
        total = reduce(Tensor.add_, (strip.softmax(-1) if probabilities else strip for strip in strips))
        # On a CPU NumPy's arg-max over the classes of a pixel, side by side in memory, is the fastest.
        on_cpu = total.device.type == "cpu"
        best = torch.from_numpy(total.numpy().argmax(-1)) if on_cpu else total.argmax(-1)
        labels.append(best.to(torch.uint8))
    return torch.cat(labels, dim=1).cpu().numpy()


def labels_at(logits: Tensor, size: tuple[int, int], align_corners: bool = False) -> Labels:
    """Return the arg-max, uint8 [*size], of logits [K, h, w] resized bilinearly: K is at most 255.

    The resized logits are never all there at once. Derived in {doc}`07_evaluation`.
    """
    rows = interpolation_matrix(logits.shape[1], size[0], align_corners)
    columns = interpolation_matrix(logits.shape[2], size[1], align_corners).to(logits.device)
    return fuse([ViewLogits(logits[None].float(), rows, columns)])[0]  # half precision is too coarse


def evaluate(
    model: DMNet,
    dataset: Any,
    *,
    protocol: Evaluation | None = None,
    scale_gates: ScaleGates = None,
    precision: Precision = "fp32",
    metrics: Sequence[Metric] = (),
    batch_size: int = 1,
    workers: int = 0,
    progress: bool = False,
) -> ConfusionMatrix:
    """Predict every image of a data set and count what is right. Shown in {doc}`07_evaluation`.

    Where `torch.distributed` runs (`torchrun`), every process must call this: rank r of n takes the images
    r, r + n, ..., and all get the counts of the whole set. On the CPU the result does not depend on their
    number, nor on `workers`, as long as each computes with as many threads (`OMP_NUM_THREADS`).

    A data set has `classes`, a length and dataset[i] -> (image, mask, id); masks hold 0..K-1 and 255. Other
    `metrics`, e.g. `[dmnet.analysis.boundaries.Trimap(21)]`, are filled in place. A GPU computes `batch_size`
    images of one size in a row at once, a CPU one by one; `workers` processes read ahead; `precision` is as
    in `predict`. A DataError if the classes are others in number or order, or a mask has another label.
    """
    classes, learned = tuple(dataset.classes), model.system.classes if model.system else ()
    if len(classes) != (known := model.architecture.num_classes):
        raise DataError(f"the model knows {known} classes, the data set has {len(classes)}; train --init RUN")
    if len(learned) == len(classes) and learned != classes:
        differ = f"the model learned the classes {', '.join(learned)}, the data set has {', '.join(classes)}"
        if any(name in learned and learned[label] != name for label, name in enumerate(classes)):
            remedy = "number the masks as the model does (data/README.md, Classes in another order)"
            raise DataError(f"{differ}: a number means another class in each. {remedy}")
        warnings.warn(f"{differ}: labels are compared by number alone", stacklevel=2)
    running = distributed.is_available() and distributed.is_initialized()
    rank, world_size = (distributed.get_rank(), distributed.get_world_size()) if running else (0, 1)
    device = next(model.parameters()).device
    at_once = 1 if device.type == "cpu" else batch_size
    matrix = ConfusionMatrix(len(classes))
    counters = [matrix, *metrics]
    counts = [array for counter in counters for array in counter.arrays]
    for array in counts if rank > 0 else ():
        array[...] = 0  # what has been counted before is added once, by rank 0
    numbers = range(rank, len(dataset), world_size)
    examples = read_ahead(Checked(dataset), workers, batch_size=None, sampler=numbers, collate_fn=tuple)
    hidden = not (progress and rank == 0 and interactive())
    bar = progress_bar(total=len(dataset), desc="evaluate", unit="image", disable=hidden)
    with worker_advice(workers), closing(examples), bar:
        for _, alike in groupby(examples, lambda example: example[0].shape):
            while group := list(islice(alike, at_once)):
                images = [image for image, *_ in group]
                found = predict_batch(model, images, scale_gates, protocol, precision)
                for labels, (_, mask, _) in zip(found, group, strict=True):
                    for counter in counters:
                        counter.update(labels, mask)
                    bar.update(world_size)
    for array in counts if world_size > 1 else ():
        counted = torch.from_numpy(array).to(device)
        distributed.all_reduce(counted)
        array[...] = counted.cpu().numpy()
    return matrix
