"""What memory prediction may use."""

import tracemalloc
import weakref
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dmnet import inference, systems
from dmnet.inference import predict, tta_views
from dmnet.systems import Architecture
from dmnet.transforms import network_input


class CountedBytes(TorchDispatchMode):
    """Counts the bytes of all tensors that operations return, for as long as any of them lives."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self.users: Counter[int] = Counter()  # tensors on each block of memory

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self._enter(tensor)
        return result

    def _enter(self, tensor: torch.Tensor) -> None:
        block, size = tensor.untyped_storage().data_ptr(), tensor.untyped_storage().nbytes()
        if not size:
            return
        self.live += size if not self.users[block] else 0
        self.users[block] += 1
        self.peak = max(self.peak, self.live)
        weakref.finalize(tensor, self._leave, block, size)

    def _leave(self, block: int, size: int) -> None:
        self.users[block] -= 1
        self.live -= size if not self.users[block] else 0


def test_bytes_are_counted_while_they_live():
    with CountedBytes() as counted:
        first = torch.zeros(1000)
        part = first[10:]
        del first
        assert counted.live == 4000
        torch.ones(500).add_(1)
        assert (counted.live, counted.peak) == (4000, 6000)
        del part
    assert (counted.live, counted.peak) == (0, 6000)


class Stub(nn.Module):
    """A network of no cost: logits at output stride 8 that are made, not computed."""

    system = None

    def __init__(self, classes: int, counted: CountedBytes) -> None:
        super().__init__()
        self.architecture = Architecture(num_classes=classes, align_corners=True)
        self.weight = nn.Parameter(torch.randn(classes, 1, 1))
        self.counted = counted
        self.returned = 0  # bytes of all logits
        self.before_the_last = 0  # peak before the last call

    def logits(self, images: torch.Tensor, scale_gates: object = None) -> torch.Tensor:
        logits = images[:, :1, ::8, ::8] * self.weight
        self.returned += logits.nbytes
        self.before_the_last = max(self.before_the_last, self.counted.peak)
        self.counted.peak = self.counted.live
        return logits


@pytest.mark.parametrize(
    ("name", "classes", "part"),
    [
        ("whole", 19, 1),
        ("whole", 150, 4),
        ("slide", 19, 1),
        ("slide", 150, 4),
        ("ms+flip", 19, 4),
        ("ms+flip", 150, 8),
        ("ms+flip, whole", 19, 4),
        ("ms+flip, whole", 150, 8),
    ],
)
def test_full_size_logits_never_exist(name, classes, part, monkeypatch):
    """Beside the images and the network's own answers, a small part of them is all that is ever held.

    Where every length is divided by `part`, all that is held is divided by its square; so are the strips
    here, which are else of one size whatever the image.
    """
    monkeypatch.setattr(inference, "STRIP_VALUES", inference.STRIP_VALUES // part**2)
    system = systems.get("mmseg_r50_d8_cityscapes_769x769_80k")
    protocol = systems.protocol(system, name.removesuffix(", whole"))
    lengths = {key: getattr(protocol, key) for key in ("resize", "window", "window_stride")}
    if name.endswith(", whole"):
        lengths |= {"window": None, "window_stride": None}
    smaller = {key: pair and tuple(-(side // -part) for side in pair) for key, pair in lengths.items()}
    protocol = replace(protocol, **smaller)
    image = np.random.default_rng(0).integers(0, 256, (1024 // part, 2048 // part, 3), np.uint8)
    tracemalloc.start()  # NumPy's and OpenCV's arrays, which prepare the images
    largest = network_input(image, tta_views(protocol, image.shape[:2])[-1].limits).nbytes
    _, preparing = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert largest < preparing < 1.5 * largest
    with CountedBytes() as counted:
        model = Stub(classes, counted)
        labels = predict(model, image, protocol=protocol)
    assert len(np.unique(labels)) > 1
    full = 4 * classes * labels.size
    images = 2 * largest  # the image and its mirror image, or a window
    assert counted.peak < model.returned + images + full / 5  # after the network's last answer
    assert model.before_the_last < model.returned + images + full / 5
