"""What a network costs: its parameters and its multiply-adds, layer by layer, without computing anything."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from dmnet.dynamic import DynamicConvModule
from dmnet.model import DMNet
from dmnet.systems import Architecture


def parameters(architecture: Architecture) -> dict[str, int]:
    """Return how many numbers each learned tensor has: {name: count}, the auxiliary head included."""
    with torch.device("meta"):  # shapes without numbers: no memory
        model = DMNet(architecture)
    return {name: parameter.numel() for name, parameter in model.named_parameters()}


def multiply_adds(architecture: Architecture, height: int = 512, width: int = 512) -> dict[str, int]:
    """Return the multiply-adds of every convolution for one image, without the auxiliary head.

    Convolutions only, as is usual: no normalisation, activation, pooling or interpolation. The dynamic
    convolutions, which are no layers, are counted under the name of their module with `.dynamic` added.

    Args:
        architecture: of the network.
        height: of the image, in pixels.
        width: of the image, in pixels.
    """
    with torch.device("meta"):
        model = DMNet(replace(architecture, aux_channels=None)).eval()
        image = torch.empty(1, 3, height, width)
    counts: dict[str, int] = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(partial(_count_convolution, counts, name))
        elif isinstance(module, DynamicConvModule):
            module.register_forward_hook(partial(_count_dynamic, counts, f"{name}.dynamic"))
    model(image)
    return counts


def _count_convolution(
    counts: dict[str, int], name: str, module: nn.Conv2d, inputs: Any, output: Tensor
) -> None:
    counts[name] = module.weight.numel() * output[0, 0].numel()  # every weight, once at every position


def _count_dynamic(
    counts: dict[str, int], name: str, module: DynamicConvModule, inputs: Any, output: Tensor
) -> None:
    counts[name] = module.filter_size**2 * output.numel()  # k x k taps for every output value


def by_part(counts: Mapping[str, int]) -> dict[str, int]:
    """Add counts up by part: the children of backbone and head, and the auxiliary head as a whole."""
    parts: Counter[str] = Counter()
    for name, count in counts.items():
        first, second, *_ = name.split(".")
        parts[second if first in ("backbone", "head") else first] += count
    return dict(parts)
