r"""ONNX: any system as one file that runs where there is no PyTorch, for example in a browser.

```
inputs   image              [1, 3, H, W]   normalised RGB, as dmnet.transforms.evaluation_image makes it
         scale_gates        [S]            weight of each scale's response; ones: as it was trained
outputs  logits             [1, K, h, w]   at the output stride, h = ceil(H / stride)
```

With `inner=True` the file also shows what the network does inside, and lets another image's filters in; for
each filter size k:

```
inputs   other_weight       [S]            0: the image's own filters, 1: those given, between: their mixture
         other_filters_k    [C, k, k]      those given; they count where other_weight is not 0
outputs  filters_k          [C, k, k]      the filters that were used
         responses_k        [C, h, w]      the response y_k, before it is weighted
```

All are float32, the batch is one image. The file records what it is (`read_metadata`).

PyTorch's exporter writes the graph. ONNX has no adaptive pooling: `adaptive_pooling` says it as two products.
"""

import copy
import json
import logging
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dmnet.checkpoints import PathLike, weights_digest
from dmnet.errors import DMNetError
from dmnet.files import atomic_write
from dmnet.model import DMNet
from dmnet.transforms import MEAN, STD

OPSET = 20  # of ONNX's operators; ONNX Runtime reads it since 1.18
TOLERANCE = 1e-4  # largest difference from PyTorch, as a fraction of the largest value
EXAMPLE_SIZE = (72, 104)  # pixels; the exporter follows an image of this size through the network
CHECKED_SIZES = ((64, 64), (65, 97))  # odd ones too, which no stride divides


class ExportError(DMNetError):
    """A network cannot be exported, or not faithfully; no file was written. Used in {doc}`welcome`."""


@dataclass(frozen=True)
class Exported:
    """What was written, and how far it is from PyTorch; see {doc}`differences`."""

    path: Path
    bytes: int
    nodes: int
    size: tuple[int, int] | None  # (height, width) of the image; None: any
    difference: float  # largest difference of any output, as a fraction of its largest value


def export(
    model: DMNet, path: PathLike, *, size: tuple[int, int] | None = None, inner: bool = False
) -> Exported:
    """Write a model as ONNX, after comparing what was written with PyTorch in ONNX Runtime.

    It takes 10 to 30 seconds: the graph must hold for all sizes of image. Shown in {doc}`differences`.

    Args:
        model: any system, on any device, in training or evaluation; it is exported as it is in evaluation,
            in float32, without its auxiliary head, and stays as it was.
        path: file to write, by custom `*.onnx`.
        size: (height, width) of the image, for runtimes that must know it beforehand; None: any size.
        inner: also filters and responses, and inputs for another image's filters.

    Returns:
        A short report.

    Raises:
        ExportError: if the libraries aren't installed, `size` is too small, the network uses what cannot be
            exported, or the file computes something else than PyTorch; nothing is written then.
        OSError: if it cannot be written; an older file at `path` is then intact.
    """
    onnx, _ = _libraries()
    if size is not None and min(size) < 1:
        raise ExportError(f"size must be (height, width) in pixels, at least 1, got {size}")
    plain = copy.deepcopy(model).float().cpu().eval()
    network = OpenNetwork(plain, inner).eval()
    proto = _proto(network, size)
    for key, value in _metadata(model, size).items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, value
    with atomic_write(path) as temporary:
        onnx.save(proto, temporary)
        onnx.checker.check_model(temporary, full_check=True)
        difference = _check(plain, network, temporary, (size,) if size else CHECKED_SIZES)
    path = Path(path)
    return Exported(path, path.stat().st_size, len(proto.graph.node), size, difference)


def read_metadata(path: PathLike) -> dict[str, Any]:
    """Return what an exported file says of itself.

    Under `system`, `dataset` and `classes` what it predicts; under `architecture` how it is built; under
    `mean`, `std` and `channel_order` how `image` is normalised; under `image_size` [height, width] or None;
    further `filter_sizes`, `opset`, `dmnet_version` and `weights_sha256` (`weights_digest`). Used in
    {doc}`differences`.

    Raises:
        ExportError: if the file isn't ONNX, or not from here.
    """
    onnx, _ = _libraries()
    try:
        proto = onnx.load(path, load_external_data=False)
    except OSError:
        raise
    except Exception as error:  # protobuf's own, which has no stable name
        raise ExportError(f"{path} is no ONNX file ({error})") from error
    found = {entry.key: entry.value for entry in proto.metadata_props}
    if "dmnet_version" not in found:
        raise ExportError(f"{path} was not written by dmnet.export: it does not say which system it is")
    return {key: json.loads(value) for key, value in found.items()}


# The network as it is exported ----------------------------------------------------------------------------


class OpenNetwork(nn.Module):
    """A network for one image, with its inside as further results; its weights are the model's.

    Used in {doc}`differences`.

    Args:
        model: in evaluation mode.
        inner: take and return what is inside.
    """

    def __init__(self, model: DMNet, inner: bool) -> None:
        super().__init__()
        self.backbone, self.head, self.inner = model.backbone, model.head, inner
        self.channels, self.sizes = model.architecture.channels, model.architecture.filter_sizes

    def names(self) -> tuple[list[str], list[str]]:
        """Return the names of inputs and outputs, in order."""
        inputs, outputs = ["image", "scale_gates"], ["logits"]
        if self.inner:
            inputs += ["other_weight", *(f"other_filters_{k}" for k in self.sizes)]
            outputs += [f"filters_{k}" for k in self.sizes] + [f"responses_{k}" for k in self.sizes]
        return inputs, outputs

    def example(self, size: tuple[int, int], seed: int) -> dict[str, Tensor]:
        """Return random inputs, by name; gates and mixtures between 0 and 1."""
        generator = torch.Generator().manual_seed(seed)
        scales = len(self.sizes)
        inputs = [torch.randn(1, 3, *size, generator=generator), torch.rand(scales, generator=generator)]
        if self.inner:
            inputs.append(torch.rand(scales, generator=generator))
            inputs += [torch.randn(self.channels, k, k, generator=generator) for k in self.sizes]
        return dict(zip(self.names()[0], inputs, strict=True))

    def forward(self, image: Tensor, scale_gates: Tensor, *other: Tensor) -> tuple[Tensor, ...]:
        """Return logits [1, K, h, w]; with `inner` then all filters [C, k, k], all responses [C, h, w].

        Args:
            image: [1, 3, H, W].
            scale_gates: [S].
            *other: with `inner` the weights [S] and the filters [C, k, k] of another image, for each scale.
        """
        features = self.backbone(image).stage4
        filters = self.head.filters(features)
        if self.inner:
            mixed = zip(filters, other[1:], other[0], strict=True)
            filters = [(1.0 - share) * own + share * other for own, other, share in mixed]
        responses = self.head.responses(features, filters)
        logits = self.head.logits(features, responses, scale_gates)
        return (logits, *(one[0] for one in (*filters, *responses))) if self.inner else (logits,)


# The file -------------------------------------------------------------------------------------------------


def _proto(network: OpenNetwork, size: tuple[int, int] | None) -> Any:
    """Return the network as an `onnx.ModelProto`."""
    example = network.example(size or EXAMPLE_SIZE, 0)
    inputs, outputs = network.names()
    any_size = {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    shapes = (any_size, None, *([(None,) * len(inputs[2:])] if network.inner else []))  # *other is one
    # It warns at length of inequalities between sizes that it cannot solve; the comparison is what counts.
    logging.getLogger("torch.fx.experimental.symbolic_shapes").setLevel(logging.ERROR)
    try:
        program: Any = torch.onnx.export(
            network,
            tuple(example.values()),
            input_names=inputs,
            output_names=outputs,
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes=None if size else shapes,
            custom_translation_table={torch.ops.aten.adaptive_avg_pool2d.default: adaptive_pooling},
            verbose=False,
        )
    except torch.onnx.errors.OnnxExporterError as error:
        reason = error.__cause__ or error
        raise ExportError(f"the network uses what PyTorch cannot write as ONNX: {reason}") from error
    proto = program.model_proto
    graph = proto.graph
    # Where in whose source each node comes from: half of a small file, with the paths of this machine.
    del graph.value_info[:], graph.metadata_props[:]
    for entry in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        del entry.metadata_props[:]
    for value in (*graph.input, *graph.output):
        free = [dim for dim in value.type.tensor_type.shape.dim if dim.dim_param]
        names = ("height", "width") if value.name == "image" else ("rows", "columns")
        for dim, name in zip(free, names, strict=False):
            dim.dim_param = name
    return proto


def adaptive_pooling(x: Any, bins: Sequence[int]) -> Any:
    r"""Write adaptive average pooling as $P_h X P_w^\top$: [1, C, h, w] -> [1, C, k, k], whatever h and w.

    Derived in {doc}`04_dynamic_filters`.
    """
    from onnxscript import opset20

    op: Any = opset20
    if tuple(bins) == (1, 1):
        return op.GlobalAveragePool(x)
    rows, columns = (_pooling_matrix(op, x, axis, k) for axis, k in zip((2, 3), bins, strict=True))
    return op.MatMul(rows, op.MatMul(x, op.Transpose(columns, perm=[1, 0])))


def _pooling_matrix(op: Any, x: Any, axis: int, bins: int) -> Any:
    """Write P [k, length]: bin i averages pixels floor(i * length / k) to ceil((i + 1) * length / k) - 1.

    Without a division, pixel p is in bin i if i * length < (p + 1) * k and p * k < (i + 1) * length.
    """
    bin_ = op.Unsqueeze(op.Constant(value_ints=list(range(bins))), [1])
    length = op.Shape(x, start=axis, end=axis + 1)
    pixel = op.Range(0, op.Squeeze(length), 1)
    ends_behind_start = op.Less(op.Mul(bin_, length), op.Mul(op.Add(pixel, 1), bins))
    starts_before_end = op.Less(op.Mul(pixel, bins), op.Mul(op.Add(bin_, 1), length))
    inside = op.Cast(op.And(ends_behind_start, starts_before_end), to=1)  # float32
    return op.Div(inside, op.ReduceSum(inside, [1]))


def _metadata(model: DMNet, size: tuple[int, int] | None) -> dict[str, str]:
    """Return what the file says of itself; every value as JSON."""
    system = model.system
    facts = {
        "system": system.name if system else None,
        "dataset": system.dataset if system else None,
        "classes": system.classes if system else None,
        "architecture": asdict(model.architecture),
        "filter_sizes": model.architecture.filter_sizes,
        "mean": MEAN,  # of RGB values in 0..255
        "std": STD,
        "channel_order": "RGB",
        "image_size": size,
        "opset": OPSET,
        "dmnet_version": version("dmnet"),
        "weights_sha256": weights_digest(model.state_dict()),
    }
    return {key: json.dumps(value) for key, value in facts.items()}


def _check(model: DMNet, network: OpenNetwork, path: PathLike, sizes: Sequence[tuple[int, int]]) -> float:
    """Compare a file with PyTorch, on random images of these sizes, random gates and filters.

    Returns:
        The largest difference of any output, as a fraction of the largest value of that output.

    Raises:
        ExportError: if it is above `TOLERANCE`, or no number.
    """
    _, runtime = _libraries()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors only
    session = runtime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])
    differences = [0.0]
    for seed, size in enumerate(sizes):
        example = network.example(size, seed)
        with torch.inference_mode():
            if network.inner:
                differences += _differences(session, network, example, network(*example.values()))
                example["other_weight"].zero_()
            # The same by way of the model itself, with its own filters.
            results = [model(example["image"], example["scale_gates"]).logits]
            if network.inner:
                features = model.backbone(example["image"]).stage4
                results += [
                    one[0] for one in (*model.head.filters(features), *model.head.responses(features))
                ]
            differences += _differences(session, network, example, results)
    return max(differences)


def _differences(
    session: Any, network: OpenNetwork, example: dict[str, Tensor], expected: Sequence[Tensor]
) -> list[float]:
    """Return max|found - expected| / max|expected| of each output; too large a one is an error."""
    names = network.names()[1]
    found = session.run(names, {name: x.numpy() for name, x in example.items()})
    differences = []
    for name, tensor, array in zip(names, expected, found, strict=True):
        scale = tensor.abs().max().item() or 1.0
        same_shape = tuple(tensor.shape) == array.shape
        difference = np.abs(array - tensor.numpy()).max().item() / scale if same_shape else math.inf
        if not difference <= TOLERANCE:  # NaN too
            height, width = example["image"].shape[-2:]
            raise ExportError(
                f"the exported network differs from PyTorch: {name} by {difference:.1e} of its largest "
                f"value, for an image of {height} x {width}; allowed are {TOLERANCE:.0e}. Nothing was "
                "written. Are the model's weights finite?"
            )
        differences.append(difference)
    return differences


def _libraries() -> tuple[Any, Any]:
    """Import onnx and onnxruntime, which only export needs."""
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        needed = "ONNX export needs onnx, onnxscript and onnxruntime: pip install 'dmnet[export]'"
        raise ExportError(f"{needed} ({error})") from error
    return onnx, onnxruntime
