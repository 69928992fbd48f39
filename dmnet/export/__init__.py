r"""ONNX: any system as one file that runs where there is no PyTorch, for example in a browser.

```
inputs   image              [1, 3, H, W]   normalised RGB, as dmnet.transforms.evaluation_image makes it
         scale_gates        [S]            weight of each scale's response; by default ones, as it was trained
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

All are float32, the batch is one image. ONNX Runtime for pages takes no input that has a default, so a file
with `inner` has none. Elsewhere the runtime may remark that the gates "will not be treated as constant": so
it should be. The file's metadata say what it is, every value as JSON: `system`, `dataset` and `classes`;
`architecture` and `filter_sizes`; how `image` is normalised; its size, if fixed; and what it was made of.

PyTorch's exporter writes the graph. ONNX has no adaptive pooling: `adaptive_pooling` says it as two products.
`fast` hands the same graph to OpenVINO at once, so that `dmnet.predict` computes by it.
"""

import copy
import json
import logging
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from dmnet.checkpoints import PathLike, weights_digest
from dmnet.errors import DMNetError, extra
from dmnet.files import atomic_write
from dmnet.model import DMNet, ScaleGates
from dmnet.transforms import MEAN, STD

OPSET = 20  # of ONNX's operators; ONNX Runtime reads it since 1.18
TOLERANCE = 1e-4  # largest difference from PyTorch, as a fraction of the largest value
EXAMPLE_SIZE = (72, 104)  # pixels; the exporter follows an image of this size through the network
CHECKED_SIZES = ((64, 64), (65, 97))  # odd ones too, which no stride divides
_RUNTIME: list[Any] = []  # OpenVINO's, once it has been asked for


@dataclass(frozen=True)
class Exported:
    """What was written, and how far it is from PyTorch; see {doc}`differences`."""

    path: Path
    bytes: int
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
        path: file to write, by custom `*.onnx`. It needs one input, the image; the gates are ones by default.
        size: (height, width) of the image, for runtimes that must know it beforehand; None: any size.
        inner: also filters and responses, and inputs for another image's filters; then all must be given.

    Raises:
        DMNetError: if `size` is too small, the network uses what cannot be exported, or the file computes
            something else than PyTorch; nothing is written then.
        MissingExtraError: if onnx, onnxscript or onnxruntime isn't installed.
        OSError: if it cannot be written; an older file at `path` is then intact.
    """
    with extra("export"):
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  PyTorch's exporter needs it
    if size is not None and min(size) < 1:
        raise DMNetError(f"size must be (height, width) in pixels, at least 1, got {size}")
    plain = copy.deepcopy(model).float().cpu().eval()
    network = OpenNetwork(plain, inner).eval()
    proto = _proto(network, size)
    onnx.helper.set_model_props(proto, _metadata(model, size))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors only
    differences = []
    with atomic_write(path) as temporary:
        onnx.save(proto, temporary)
        onnx.checker.check_model(temporary, full_check=True)
        session = onnxruntime.InferenceSession(temporary, options, providers=["CPUExecutionProvider"])
        for seed, image_size in enumerate((size,) if size else CHECKED_SIZES):
            example = network.example(image_size, seed)
            with torch.inference_mode():
                if inner:
                    answers = network(*example.values())
                    differences.append(_difference(session.run, network.outputs, example, answers))
                    example["other_weight"].zero_()
                # The same by way of the model itself, with its own filters.
                logits = plain(example["image"], example["scale_gates"]).logits
                differences.append(_difference(session.run, ["logits"], example, [logits]))
    return Exported(Path(path), Path(path).stat().st_size, size, max(differences))


def fast(model: DMNet, *, precision: Literal["fp32", "bf16"] = "fp32") -> DMNet:
    """Return a copy of a network whose `logits` OpenVINO computes, on the CPU. Shown in {doc}`11_faster`.

    `dmnet.predict` and `dmnet.evaluate` take it as they take the model: images of any size, every protocol,
    gates. All else, `forward` too, stays PyTorch's. It has as many threads as PyTorch has when it is made.

    Args:
        model: any system, on any device; it stays as it was.
        precision: "bf16" multiplies in bfloat16, if OpenVINO can here: slowly without AVX-512 BF16 or AMX.

    Raises:
        DMNetError: if OpenVINO cannot compute in this precision on this processor, the network uses what
            cannot be exported, or what is computed is not what PyTorch does (in bfloat16: not finite).
        MissingExtraError: if `openvino`, or what an export needs, isn't installed.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # it reports every import
    with extra("fast"):
        import onnxscript  # noqa: F401  PyTorch's exporter needs it
        import openvino
    if not _RUNTIME:  # one for ever: as a second one ends, the stack is freed that signals are handled on
        _RUNTIME.append(openvino.Core())
    core, kinds = _RUNTIME[0], {"fp32": ("f32", TOLERANCE)}
    if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):  # else it would take float32, unsaid
        kinds["bf16"] = "bf16", sys.float_info.max
    if precision not in kinds:
        raise DMNetError(f"precision on this processor is one of {', '.join(kinds)}, not {precision!r}")
    plain = copy.deepcopy(model).float().cpu().eval()
    network = OpenNetwork(plain, inner=False).eval()
    proto = _proto(network, None)
    del proto.graph.initializer[-1]  # the gates' default, which OpenVINO would take for a constant
    hint, tolerance = kinds[precision]
    hints = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    try:
        compiled = core.compile_model(core.read_model(proto.SerializeToString()), "CPU", hints)
    except RuntimeError as error:  # what the processor could do, ONEDNN_MAX_CPU_ISA may forbid
        raise DMNetError(f"OpenVINO cannot compute this network in {precision} here: {error}") from error
    for seed, size in enumerate(CHECKED_SIZES):
        example = network.example(size, seed)
        with torch.inference_mode():
            expected = network(*example.values())
        _difference(lambda _, inputs: [compiled(inputs)[0]], ["logits"], example, expected, tolerance)

    def logits(images: Tensor, scale_gates: ScaleGates = None) -> Tensor:
        if torch.is_autocast_enabled("cpu"):
            raise DMNetError("`fast` has set this network's precision: predict without one")
        given = [1.0] * len(network.sizes) if scale_gates is None else scale_gates
        gates = plain.head.gates(given, images.new_empty(0)).numpy()
        answers = [compiled({"image": one[None].numpy(), "scale_gates": gates})[0].copy() for one in images]
        return torch.from_numpy(np.concatenate(answers))  # copies: the runtime uses its memory again

    plain.logits = logits  # type: ignore[method-assign]
    return plain


class OpenNetwork(nn.Module):
    """A model in evaluation for one image; with `inner` it also takes and returns what is inside.

    Its weights are the model's. Used in {doc}`differences`.
    """

    def __init__(self, model: DMNet, inner: bool) -> None:
        super().__init__()
        self.backbone, self.head, self.inner = model.backbone, model.head, inner
        self.channels, self.sizes = model.architecture.channels, model.architecture.filter_sizes
        self.inputs, self.outputs = ["image", "scale_gates"], ["logits"]  # names, in order
        if inner:
            self.inputs += ["other_weight", *(f"other_filters_{k}" for k in self.sizes)]
            self.outputs += [f"{what}_{k}" for what in ("filters", "responses") for k in self.sizes]

    def example(self, size: tuple[int, int], seed: int) -> dict[str, Tensor]:
        """Return random inputs, by name; gates and mixtures between 0 and 1."""
        generator = torch.Generator().manual_seed(seed)
        scales = len(self.sizes)
        inputs = [torch.randn(1, 3, *size, generator=generator), torch.rand(scales, generator=generator)]
        if self.inner:
            inputs.append(torch.rand(scales, generator=generator))
            inputs += [torch.randn(self.channels, k, k, generator=generator) for k in self.sizes]
        return dict(zip(self.inputs, inputs, strict=True))

    def forward(self, image: Tensor, scale_gates: Tensor, *other: Tensor) -> tuple[Tensor, ...]:
        """Return logits [1, K, h, w]; with `inner` then all filters [C, k, k], all responses [C, h, w].

        Image [1, 3, H, W], gates [S]; with `inner` weights [S] and, for each k, another's filters [C, k, k].
        """
        features = self.backbone(image).stage4
        filters = self.head.filters(features)
        if self.inner:
            mixed = zip(filters, other[1:], other[0], strict=True)
            filters = [(1.0 - share) * own + share * other for own, other, share in mixed]
        responses = self.head.responses(features, filters)
        logits = self.head.logits(features, responses, scale_gates)
        return (logits, *(one[0] for one in (*filters, *responses))) if self.inner else (logits,)


def _proto(network: OpenNetwork, size: tuple[int, int] | None) -> Any:
    """Return the network as an `onnx.ModelProto`."""
    example = network.example(size or EXAMPLE_SIZE, 0)
    any_size = {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    others = [(None,) * len(network.inputs[2:])] if network.inner else []  # *other is one argument
    # It warns at length of inequalities between sizes that it cannot solve; the comparison is what counts.
    logging.getLogger("torch.fx.experimental.symbolic_shapes").setLevel(logging.ERROR)
    try:
        program: Any = torch.onnx.export(
            network,
            tuple(example.values()),
            input_names=network.inputs,
            output_names=network.outputs,
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes=None if size else (any_size, None, *others),
            custom_translation_table={torch.ops.aten.adaptive_avg_pool2d.default: adaptive_pooling},
            verbose=False,
        )
    except torch.onnx.errors.OnnxExporterError as error:
        raise DMNetError(f"PyTorch cannot write the network as ONNX: {error.__cause__ or error}") from error
    graph = (proto := program.model_proto).graph  # a property, which makes a new one each time
    # Where in whose source each node comes from: half of a small file, with the paths of this machine.
    del graph.value_info[:], graph.metadata_props[:]
    for entry in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        del entry.metadata_props[:]
    for value in (*graph.input, *graph.output):
        free = [dim for dim in value.type.tensor_type.shape.dim if dim.dim_param]
        names = ("height", "width") if value.name == "image" else ("rows", "columns")
        for dim, name in zip(free, names, strict=False):
            dim.dim_param = name
    if not network.inner:
        gates = graph.initializer.add(name="scale_gates", dims=example["scale_gates"].shape, data_type=1)
        gates.raw_data = np.ones(gates.dims, np.float32).tobytes()  # an input's default is an initializer
    return proto


def adaptive_pooling(x: Any, bins: Sequence[int]) -> Any:
    r"""Write adaptive average pooling as $P_h X P_w^\top$, of any h and w. See {doc}`03_dynamic_filters`."""
    from onnxscript import opset20 as op

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
    """Return what the file says of itself; every value as JSON, as ONNX has text alone."""
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


def _difference(
    run: Callable[..., Sequence[Any]],
    names: Sequence[str],
    example: dict[str, Tensor],
    expected: Sequence[Tensor],
    tolerance: float = TOLERANCE,
) -> float:
    """Return the largest max|found - expected| / max|expected| of these outputs; too large is an error."""
    found = run(names, {name: x.numpy() for name, x in example.items()})
    largest = 0.0
    for name, tensor, array in zip(names, expected, found, strict=True):
        scale = tensor.abs().max().item() or 1.0
        same_shape = tuple(tensor.shape) == array.shape
        difference = np.abs(array - tensor.numpy()).max().item() / scale if same_shape else math.inf
        if not difference <= tolerance:  # NaN too
            height, width = example["image"].shape[-2:]
            seen = f"{name} by {difference:.1e} of its largest value, for an image of {height} x {width}"
            limit = f"allowed are {tolerance:.0e}. Nothing was written. Are the model's weights finite?"
            raise DMNetError(f"the exported network differs from PyTorch: {seen}; {limit}")
        largest = max(largest, difference)
    return largest
