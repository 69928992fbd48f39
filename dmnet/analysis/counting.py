"""What a network costs: its parameters and its multiply-adds (MACs), without computing anything."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dmnet.dynamic import DynamicConvModule
from dmnet.model import DMNet
from dmnet.systems import Architecture


def parameters(architecture: Architecture) -> dict[str, int]:
    """Return how many numbers each tensor has, the auxiliary head's too. Derived in {doc}`04_dmnet`."""
    with torch.device("meta"):  # shapes without numbers: no memory
        model = DMNet(architecture)
    return {name: parameter.numel() for name, parameter in model.named_parameters()}


def multiply_adds(architecture: Architecture, height: int = 512, width: int = 512) -> dict[str, int]:
    """Return the multiply-adds of every convolution for one image of height x width pixels.

    Convolutions only, as is usual, and no auxiliary head. The dynamic convolutions, which are no layers, are
    counted under the name of their module with `.dynamic` added. Derived in {doc}`04_dmnet`.
    """
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        model = DMNet(replace(architecture, aux_channels=None)).eval()
        model(torch.empty(1, 3, height, width))
    flops = {name.removeprefix("DMNet."): sum(of.values()) for name, of in counter.get_flop_counts().items()}
    counts = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            counts[name] = flops[name] // 2  # a multiply-add is two operations
        elif isinstance(module, DynamicConvModule):  # what its layers do not account for
            layers = sum(flops.get(f"{name}.{layer}", 0) for layer, _ in module.named_children())
            counts[f"{name}.dynamic"] = (flops[name] - layers) // 2
    return counts


def by_part(counts: Mapping[str, int]) -> dict[str, int]:
    """Add counts up: children of backbone and head, the auxiliary head whole. Used in {doc}`04_dmnet`."""
    parts: Counter[str] = Counter()
    for name, count in counts.items():
        first, second, *_ = name.split(".")
        parts[second if first in ("backbone", "head") else first] += count
    return dict(parts)
