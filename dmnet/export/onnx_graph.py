"""ONNX graphs, written node by node from a traced network.

PyTorch's own exporter follows a network through its decompositions and a solver for shapes: half a minute
for a ResNet-50 with four scales, 341 nodes for the smallest system. A DMNet needs a dozen kinds of nodes.
`torch.fx` lists what the network calls, in order, and each call has one short function here: 0.2 s, 184
nodes. The graph keeps the network's own names: weights are called as in its `state_dict`, a node as the
module it came from.

Whatever has no function here is refused. What was written is compared with PyTorch by `dmnet.export`.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from dmnet.dynamic import dynamic_depthwise_conv
from dmnet.errors import ExportError

OPSET = 20  # of ONNX's operators
IR_VERSION = 10  # of its file format: readable for every ONNX Runtime since 1.18


class Value(str):
    """The name of a tensor in the graph, as against a Python string."""

    __slots__ = ()


class Graph:
    """A graph in the making.

    Args:
        pooled_size: (height, width) of every tensor that is pooled, where it is known; None: of any size.
    """

    def __init__(self, pooled_size: tuple[int, int] | None = None) -> None:
        self.pooled_size = pooled_size
        self.nodes: list[Any] = []  # onnx.NodeProto
        self.initializers: dict[str, np.ndarray] = {}
        self._lengths: dict[tuple[Value, int], Value] = {}

    def add(self, kind: str, *inputs: Any, name: str, **attributes: Any) -> Value:
        """Add a node and return its result; numbers and arrays among the inputs become constants."""
        from onnx import helper

        names = [
            one if isinstance(one, Value) else self.constant(f"{name}.{position}", one)
            for position, one in enumerate(inputs)
        ]
        self.nodes.append(helper.make_node(kind, names, [name], name=name, **attributes))
        return Value(name)

    def constant(self, name: str, value: Any) -> Value:
        """Add a constant: floats as float32, integers as int64."""
        array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
        kind = np.float32 if array.dtype.kind == "f" else np.int64
        self.initializers[name] = np.array(array, kind)  # a copy, in row order
        return Value(name)

    def length(self, x: Value, axis: int) -> Value:
        """Return the length of a tensor along an axis, a scalar int64."""
        if (x, axis) not in self._lengths:
            shape = self.add("Shape", x, name=f"{x}.shape{axis}", start=axis, end=axis + 1)
            self._lengths[x, axis] = self.add("Squeeze", shape, name=f"{x}.length{axis}")
        return self._lengths[x, axis]


class Shape:
    """The shape [N, C, H, W] of a tensor; its lengths are read off in the graph when they are asked for."""

    def __init__(self, graph: Graph, x: Value) -> None:
        self.graph, self.x = graph, x

    def __getitem__(self, index: int | slice) -> Value | tuple[Value, ...]:
        if isinstance(index, slice):
            return tuple(self.graph.length(self.x, axis) for axis in range(4)[index])
        return self.graph.length(self.x, range(4)[index])


# Tracing --------------------------------------------------------------------------------------------------


class Tracer(fx.Tracer):
    """Follows a network into every module but those that have a function here.

    The dynamic convolution is one call to it, as it is one node in ONNX.
    """

    def __init__(self) -> None:
        super().__init__(autowrap_functions=(dynamic_depthwise_conv,))

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Return whether a module is one call."""
        return type(m) in MODULES or super().is_leaf_module(m, module_qualified_name)


def write(network: nn.Module, graph: Graph, inputs: dict[str, Any]) -> list[Value]:
    """Write all that a network calls, in order, and return its results.

    Args:
        network: in evaluation mode; returns a tuple of tensors.
        graph: what is written to.
        inputs: what stands for each argument of the network's `forward`: a value, or a list of values.

    Raises:
        ExportError: if the network calls something that has no function here.
    """
    values: dict[fx.Node, Any] = {}
    trace = Tracer().trace(network)
    for node in trace.nodes:
        args = fx.node.map_arg(node.args, values.__getitem__)
        kwargs = fx.node.map_arg(node.kwargs, values.__getitem__)
        if node.op == "output":
            return list(args[0])
        if node.op == "placeholder":
            values[node] = inputs[node.target]
            continue
        values[node] = _written(network, graph, node, args, kwargs)
    raise AssertionError("a trace ends with its output")


def _written(network: nn.Module, graph: Graph, node: fx.Node, args: Any, kwargs: Any) -> Any:
    """Write one call and return its result."""
    target: Any = node.target
    if node.op == "get_attr":
        return graph.constant(target, operator.attrgetter(target)(network))
    if node.op == "call_module":
        module = network.get_submodule(target)
        if type(module) in MODULES:
            return MODULES[type(module)](graph, target, module, *args, **kwargs)
        raise _unknown(f"the module {type(module).__name__} ({target})")
    if target is dynamic_depthwise_conv:
        scale = network.get_submodule(list(node.meta["nn_module_stack"])[-1])
        return _dynamic_conv(graph, node.name, scale, *args)
    if target in FUNCTIONS:
        return FUNCTIONS[target](graph, node.name, *args, **kwargs)
    raise _unknown(f"{getattr(target, '__name__', target)} ({node.op})")


def _unknown(what: str) -> ExportError:
    return ExportError(
        f"the network uses {what}, for which dmnet.export.onnx_graph knows no ONNX node; "
        "add a function to its MODULES or FUNCTIONS"
    )


# Modules --------------------------------------------------------------------------------------------------


def _pair(value: int | Sequence[int]) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


def _conv(graph: Graph, name: str, module: nn.Conv2d, x: Value) -> Value:
    if isinstance(module.padding, str) or module.padding_mode != "zeros":
        raise _unknown(f"padding {module.padding!r}, {module.padding_mode} ({name})")
    weights = [graph.constant(f"{name}.weight", module.weight)]
    if module.bias is not None:
        weights.append(graph.constant(f"{name}.bias", module.bias))
    return graph.add(
        "Conv",
        x,
        *weights,
        name=name,
        strides=list(module.stride),
        pads=list(module.padding) * 2,
        dilations=list(module.dilation),
        group=module.groups,
    )


def _batch_norm(graph: Graph, name: str, module: nn.BatchNorm2d, x: Value) -> Value:
    tensors = ("weight", "bias", "running_mean", "running_var")
    parameters = [graph.constant(f"{name}.{part}", getattr(module, part)) for part in tensors]
    return graph.add("BatchNormalization", x, *parameters, name=name, epsilon=module.eps)


def _max_pool(graph: Graph, name: str, module: nn.MaxPool2d, x: Value) -> Value:
    return graph.add(
        "MaxPool",
        x,
        name=name,
        kernel_shape=_pair(module.kernel_size),
        strides=_pair(module.stride),
        pads=_pair(module.padding) * 2,
        dilations=_pair(module.dilation),
        ceil_mode=int(module.ceil_mode),
    )


def _dynamic_conv(graph: Graph, name: str, scale: Any, x: Value, filters: Value) -> Value:
    """Filter one image as `dynamic_depthwise_conv`: a convolution whose weight is computed.

    Args:
        graph: the graph.
        name: of the node.
        scale: the `DynamicConvModule` that asks for it.
        x: [1, C, H, W].
        filters: [1, C, k, k].
    """
    k = scale.filter_size
    weight = graph.add("Transpose", filters, name=f"{name}.weight", perm=[1, 0, 2, 3])  # [C, 1, k, k]
    return graph.add(
        "Conv",
        x,
        weight,
        name=name,
        kernel_shape=[k, k],
        pads=[k // 2, k // 2, (k - 1) // 2, (k - 1) // 2],
        group=scale.norm.num_features,
    )


MODULES: dict[type[nn.Module], Callable[..., Value]] = {
    nn.Conv2d: _conv,
    nn.BatchNorm2d: _batch_norm,
    nn.MaxPool2d: _max_pool,
    nn.ReLU: lambda graph, name, module, x: graph.add("Relu", x, name=name),
    nn.Dropout2d: lambda graph, name, module, x: x,  # drops nothing in evaluation
}

# Functions ------------------------------------------------------------------------------------------------


def _adaptive_pool(graph: Graph, name: str, x: Value, bins: int) -> Value:
    r"""Pool [1, C, h, w] to [1, C, k, k] as $P_h X P_w^\top$: two products, whatever the size of the image.

    ONNX has no adaptive pooling. Other exporters unroll it into a slice and a mean for each of the k * k
    bins of one fixed size, or refuse it where k doesn't divide the size.
    """
    if bins == 1:
        return graph.add("GlobalAveragePool", x, name=name)
    rows, columns = _averaging(graph, name, x, 2, bins), _averaging(graph, name, x, 3, bins)
    narrow = graph.add("MatMul", x, columns, name=f"{name}.across")  # [1, C, h, k]
    return graph.add("MatMul", rows, narrow, name=name)


def _averaging(graph: Graph, name: str, x: Value, axis: int, bins: int) -> Value:
    """Return P_h [k, h] for axis 2, the transposed P_w [w, k] for axis 3.

    Bin i averages the pixels from floor(i * length / k) up to, not including, ceil((i + 1) * length / k)
    [PyTorch documentation, AdaptiveAvgPool2d].
    """
    down = axis == 2
    name = f"{name}.{'rows' if down else 'columns'}"
    if graph.pooled_size is not None:
        matrix = F.adaptive_avg_pool1d(torch.eye(graph.pooled_size[axis - 2]), bins)  # [length, k]
        return graph.constant(name, matrix.T if down else matrix)
    bin_ = np.arange(bins).reshape((-1, 1) if down else (1, -1))
    length = graph.length(x, axis)
    pixel = graph.add("Range", 0, length, 1, name=f"{name}.pixel")
    if not down:
        pixel = graph.add("Unsqueeze", pixel, [1], name=f"{name}.pixel_column")
    first = graph.add("Mul", bin_, length, name=f"{name}.first_times_bins")
    start = graph.add("Div", first, bins, name=f"{name}.start")
    last = graph.add("Mul", bin_ + 1, length, name=f"{name}.last_times_bins")
    rounded_up = graph.add("Add", last, bins - 1, name=f"{name}.last_rounded_up")
    stop = graph.add("Div", rounded_up, bins, name=f"{name}.stop")
    after = graph.add("GreaterOrEqual", pixel, start, name=f"{name}.not_before")
    before = graph.add("Less", pixel, stop, name=f"{name}.not_after")
    inside = graph.add("And", after, before, name=f"{name}.inside")
    count = graph.add("Sub", stop, start, name=f"{name}.count")
    ones = graph.add("Cast", inside, name=f"{name}.ones", to=_float())
    return graph.add("Div", ones, graph.add("Cast", count, name=f"{name}.pixels", to=_float()), name=name)


def _float() -> int:
    from onnx import TensorProto

    return int(TensorProto.FLOAT)


def _pad(
    graph: Graph,
    name: str,
    x: Value,
    widths: Sequence[Any],
    mode: str = "constant",
    value: float | None = None,
) -> Value:
    """Pad the last two axes; PyTorch's order is left, right, top, bottom."""
    if mode != "constant" or len(widths) != 4:
        raise _unknown(f"padding {mode!r} of {len(widths) // 2} axes ({name})")
    left, right, top, bottom = widths
    parts = [
        graph.add("Reshape", width, [1], name=f"{name}.{side}")
        for side, width in (("top", top), ("left", left), ("bottom", bottom), ("right", right))
    ]
    pads = graph.add("Concat", *parts, name=f"{name}.pads", axis=0)
    return graph.add("Pad", x, pads, value or 0.0, [2, 3], name=name)


def _item(graph: Graph, name: str, x: Any, index: Any) -> Any:
    if isinstance(x, Value):
        return graph.add("Gather", x, index, name=name, axis=0)
    return x[index]


def _attribute(graph: Graph, name: str, x: Value, attribute: str) -> Shape:
    if attribute != "shape":
        raise _unknown(f"the attribute {attribute} of a tensor ({name})")
    return Shape(graph, x)


def _operator(kind: str) -> Callable[..., Value]:
    return lambda graph, name, *inputs, **options: graph.add(kind, *inputs, name=name)


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    F.relu: _operator("Relu"),
    F.adaptive_avg_pool2d: _adaptive_pool,
    F.pad: _pad,
    torch.cat: lambda graph, name, tensors, dim: graph.add("Concat", *tensors, name=name, axis=dim),
    operator.add: _operator("Add"),
    operator.sub: _operator("Sub"),
    operator.mul: _operator("Mul"),
    operator.mod: _operator("Mod"),
    operator.getitem: _item,
    getattr: _attribute,
    "expand": lambda graph, name, x, *sizes: graph.add("Unsqueeze", x, [0], name=name),  # for the one image
}
