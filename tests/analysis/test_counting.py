"""Counts of parameters and multiply-adds, against a counter that traces the network."""

from dataclasses import replace

import pytest
import torch
from fvcore.nn import FlopCountAnalysis

from dmnet import systems
from dmnet.analysis import counting
from dmnet.model import DMNet
from dmnet.systems import Architecture

SMALL = {
    "tiny": systems.get("demo_scale").architecture,
    "resnet18": replace(systems.get("small_r18").architecture, aux_channels=None),
    "even and odd filters": replace(systems.get("demo_context").architecture, filter_sizes=(2, 5)),
    "static": replace(systems.get("demo_scale").architecture, filters="static"),
}


@pytest.mark.parametrize("architecture", SMALL.values(), ids=SMALL)
def test_multiply_adds_are_those_that_a_trace_finds(architecture: Architecture) -> None:
    counter = FlopCountAnalysis(DMNet(architecture).eval(), torch.zeros(1, 3, 97, 130))
    counter.unsupported_ops_warnings(False)
    assert sum(counting.multiply_adds(architecture, 97, 130).values()) == counter.by_operator()["conv"]


def test_the_published_network() -> None:
    architecture = systems.get("ssseg_r50_d8_voc").architecture
    counts = counting.multiply_adds(architecture)
    dynamic = sum(count for name, count in counts.items() if name.endswith(".dynamic"))
    assert dynamic == (1 + 9 + 25 + 49) * 512 * 64 * 64
    assert sum(counts.values()) == 195_718_807_552
    assert round((sum(counts.values()) - dynamic) / 1e9, 1) == 195.5  # what a count of the layers alone gives
    assert sum(counting.parameters(architecture).values()) == 55_542_666


def test_parts_add_up() -> None:
    architecture = systems.get("small_r18").architecture
    parts = counting.by_part(counting.parameters(architecture))
    stages = ["layer1", "layer2", "layer3", "layer4"]
    assert list(parts) == ["conv1", "bn1", *stages, "scales", "fuse", "classify", "auxiliary"]
    assert sum(parts.values()) == sum(p.numel() for p in DMNet(architecture).parameters())
