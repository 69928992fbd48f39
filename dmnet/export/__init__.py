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

Two things in this network stop the usual exporters: adaptive pooling to 3, 5 and 7 bins, which ONNX lacks,
and a convolution whose weight is computed. Here the first is two matrix products, the second a plain `Conv`
with the filters as its second input; see `dmnet.export.onnx_graph`.
"""

import copy
import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import dmnet
from dmnet.checkpoints import PathLike
from dmnet.errors import ExportError
from dmnet.export.onnx_graph import IR_VERSION, OPSET, Graph, Value, write
from dmnet.files import atomic_write
from dmnet.model import DMNet
from dmnet.provenance import weights_digest
from dmnet.transforms import MEAN, STD

TOLERANCE = 1e-4  # largest difference from PyTorch, as a fraction of the largest value
CHECKED_SIZES = ((64, 64), (65, 97))  # pixels; odd ones too, which no stride divides
NEEDED = "ONNX export needs onnx and onnxruntime: pip install 'dmnet[export]'"


@dataclass(frozen=True)
class Exported:
    """What was written, and how far it is from PyTorch."""

    path: Path
    bytes: int
    nodes: int
    size: tuple[int, int] | None  # (height, width) of the image; None: any
    difference: float  # largest difference of any output, as a fraction of its largest value


def export(
    model: DMNet, path: PathLike, *, size: tuple[int, int] | None = None, inner: bool = False
) -> Exported:
    """Write a model as ONNX, after comparing what was written with PyTorch in ONNX Runtime.

    Args:
        model: any system, on any device, in training or evaluation; it is exported as it is in evaluation,
            in float32, without its auxiliary head, and stays as it was.
        path: file to write, by custom `*.onnx`.
        size: (height, width) of the image, for runtimes that must know it beforehand; None: any size.
        inner: also filters and responses, and inputs for another image's filters.

    Returns:
        A short report.

    Raises:
        ExportError: if onnx or onnxruntime isn't installed, `size` is too small, the network uses what
            cannot be exported, or the file computes something else than PyTorch; nothing is written then.
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
    further `filter_sizes`, `opset`, `dmnet_version` and `weights_sha256` (`weights_digest`).

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

    def forward(
        self, image: Tensor, scale_gates: Tensor, other_weight: Tensor, other_filters: Sequence[Tensor]
    ) -> tuple[Tensor, ...]:
        """Return logits [1, K, h, w]; with `inner` then all filters [C, k, k], all responses [C, h, w].

        Args:
            image: [1, 3, H, W].
            scale_gates: [S].
            other_weight: [S]; not read without `inner`.
            other_filters: [C, k, k] for each scale; not read without `inner`.
        """
        features = self.backbone(image).stage4
        filters = self.head.filters(features)
        scales = range(len(filters))
        if self.inner:
            shares = [other_weight[number] for number in scales]
            filters = [(1.0 - shares[n]) * filters[n] + shares[n] * other_filters[n] for n in scales]
        responses = self.head.responses(features, filters)
        logits = self.head.logits(features, responses, [scale_gates[number] for number in scales])
        return (logits, *(one[0] for one in (*filters, *responses))) if self.inner else (logits,)


def _example(network: OpenNetwork, size: tuple[int, int], generator: torch.Generator) -> dict[str, Tensor]:
    """Return random inputs, by name; gates and mixtures between 0 and 1."""
    example = {
        "image": torch.randn(1, 3, *size, generator=generator),
        "scale_gates": torch.rand(len(network.sizes), generator=generator),
        "other_weight": torch.rand(len(network.sizes), generator=generator),
    }
    for k in network.sizes:
        example[f"other_filters_{k}"] = torch.randn(network.channels, k, k, generator=generator)
    return {name: example[name] for name in network.names()[0]}


def _results(network: OpenNetwork, example: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return what the open network computes, by name."""
    nothing = torch.empty(0)
    others = [example.get(f"other_filters_{k}", nothing) for k in network.sizes]
    with torch.inference_mode():
        results = network(
            example["image"], example["scale_gates"], example.get("other_weight", nothing), others
        )
    return dict(zip(network.names()[1], results, strict=True))


def _own_results(model: DMNet, network: OpenNetwork, example: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the same by way of the model itself, with its own filters."""
    with torch.inference_mode():
        results = [model(example["image"], example["scale_gates"]).logits]
        if network.inner:
            features = model.backbone(example["image"]).stage4
            results += [one[0] for one in (*model.head.filters(features), *model.head.responses(features))]
    return dict(zip(network.names()[1], results, strict=True))


# The file -------------------------------------------------------------------------------------------------


def _proto(network: OpenNetwork, size: tuple[int, int] | None) -> Any:
    """Return the network as an `onnx.ModelProto`."""
    onnx, _ = _libraries()
    example = _example(network, size or CHECKED_SIZES[0], torch.Generator().manual_seed(0))
    shapes = {name: tuple(tensor.shape) for name, tensor in _results(network, example).items()}
    rows, columns = shapes["logits"][2:]
    graph = Graph(pooled_size=(rows, columns) if size else None)
    results = write(
        network,
        graph,
        {
            "image": Value("image"),
            "scale_gates": Value("scale_gates"),
            "other_weight": Value("other_weight"),
            "other_filters": [Value(f"other_filters_{k}") for k in network.sizes],
        },
    )
    for result, name in zip(results, shapes, strict=True):
        graph.add("Identity", result, name=name)
    make = onnx.helper.make_tensor_value_info
    inputs = [make(name, onnx.TensorProto.FLOAT, _dims(name, x.shape, size)) for name, x in example.items()]
    outputs = [make(name, onnx.TensorProto.FLOAT, _dims(name, shape, size)) for name, shape in shapes.items()]
    weights = [onnx.numpy_helper.from_array(array, name) for name, array in graph.initializers.items()]
    return onnx.helper.make_model(
        onnx.helper.make_graph(graph.nodes, "dmnet", inputs, outputs, weights),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="dmnet",
        producer_version=dmnet.__version__,
    )


def _dims(name: str, shape: Sequence[int], size: tuple[int, int] | None) -> list[int | str]:
    """Return a tensor's shape as the file states it: height and width by name where they are free."""
    free = {"image": ["height", "width"], "logits": ["rows", "columns"]}
    if size is None and (name in free or name.startswith("responses_")):
        return [*shape[:-2], *free.get(name, free["logits"])]
    return list(shape)


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
        "dmnet_version": dmnet.__version__,
        "weights_sha256": weights_digest(model),
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
    generator = torch.Generator().manual_seed(1)
    differences = [0.0]
    for size in sizes:
        example = _example(network, size, generator)
        if network.inner:
            differences += _differences(session, example, _results(network, example))
            example["other_weight"].zero_()
        differences += _differences(session, example, _own_results(model, network, example))
    return max(differences)


def _differences(session: Any, example: dict[str, Tensor], expected: dict[str, Tensor]) -> list[float]:
    """Return max|found - expected| / max|expected| of each output; too large a one is an error."""
    found = session.run(list(expected), {name: x.numpy() for name, x in example.items()})
    differences = []
    for (name, tensor), array in zip(expected.items(), found, strict=True):
        difference = _difference(tensor, torch.from_numpy(array))
        if not difference <= TOLERANCE:  # NaN too
            height, width = example["image"].shape[-2:]
            raise ExportError(
                f"the exported network differs from PyTorch: {name} by {difference:.1e} of its largest "
                f"value, for an image of {height} x {width}; allowed are {TOLERANCE:.0e}. Nothing was "
                "written. Are the model's weights finite?"
            )
        differences.append(difference)
    return differences


def _difference(expected: Tensor, found: Tensor) -> float:
    """Infinite for another shape, NaN where a number is not finite."""
    if expected.shape != found.shape:
        return math.inf
    scale = expected.abs().max().item()
    return (found - expected).abs().max().item() / (scale or 1.0)


def _libraries() -> tuple[Any, Any]:
    """Import onnx and onnxruntime, which only export needs."""
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise ExportError(f"{NEEDED} ({error})") from error
    return onnx, onnxruntime
