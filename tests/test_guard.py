"""What a prediction and a training step cost, counted, not timed: multiply-adds, operations, bytes.

Seconds say something only on a machine that does nothing else (`tools/speed.py`); these counts are the same
on every machine, and fail when a change lets the network compute or keep more.
"""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch
from small_weights import small_model
from test_inference_memory import CountedBytes
from torch.utils._python_dispatch import TorchDispatchMode

from dmnet.analysis.counting import multiply_adds
from dmnet.backbone import Bottleneck
from dmnet.dynamic import dynamic_depthwise_conv
from dmnet.inference import predict
from dmnet.losses import segmentation_loss
from dmnet.model import DMNet
from dmnet.systems import Evaluation, Recipe

SIDE = 64  # of the images; logits are 8 x 8
BATCH = 2


class Counted(TorchDispatchMode):
    """Counts the operations that PyTorch is asked for, and the multiply-adds of those that multiply."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()
        self.products: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        with self:  # inference mode leaves matmul and others whole
            parts = func.decompose(*args, **(kwargs or {}))
        if parts is not NotImplemented:
            return parts
        result, name = func(*args, **(kwargs or {})), func.overloadpacket.__name__
        self.calls[name] += 1
        if name == "convolution":
            self.products[name] += (
                result.numel() * args[1][0].numel()
            )  # every output, a filter of one channel
        elif name == "convolution_backward":  # as often again for each gradient that is wanted
            self.products[name] += args[0].numel() * args[2][0].numel() * sum(args[-1][:2])
        elif name in ("mm", "bmm"):
            self.products[name] += args[0].numel() * args[1].shape[-1]
        assert "addmm" not in name and "baddbmm" not in name  # which would have to be counted, too
        return result


@pytest.fixture
def model() -> DMNet:
    """The published network with everything narrow, its auxiliary head included."""
    return small_model(1)


def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


def products(work: Callable[[], object]) -> Counter[str]:
    """Multiply-adds of what is done, by kind of operation."""
    with Counted() as counted:
        work()
    return counted.products


def auxiliary(model: DMNet, side: int) -> int:
    """Multiply-adds of the auxiliary head for one image, which `multiply_adds` leaves out."""
    hidden, *_, classify = model.auxiliary
    return side**2 * (hidden.weight.numel() + classify.weight.numel())


def test_a_prediction_multiplies_as_often_as_the_network_has_to(model: DMNet) -> None:
    """The network without its auxiliary head, and the two matrices that enlarge its logits; nothing else."""
    found = products(lambda: predict(model, image(), protocol=Evaluation(resize=None)))
    network = sum(multiply_adds(model.architecture, SIDE, SIDE).values())
    classes, coarse = model.architecture.num_classes, SIDE // 8
    enlarging = classes * (coarse * coarse * SIDE + coarse * SIDE * SIDE)
    assert found.pop("convolution") == network
    assert found.total() == enlarging


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("scales", [(1.0,), (0.5, 1.0)])
def test_every_view_is_computed_once(model: DMNet, flip: bool, scales: tuple[float, ...]) -> None:
    protocol = Evaluation(resize=None, scales=scales, flip=flip)
    found = products(lambda: predict(model, image(), protocol=protocol))["convolution"]
    sides = [round(SIDE * scale) for scale in scales]
    assert found == (1 + flip) * sum(sum(multiply_adds(model.architecture, s, s).values()) for s in sides)


def step(model: DMNet) -> Callable[[], None]:
    torch.manual_seed(0)
    images, labels = torch.randn(BATCH, 3, SIDE, SIDE), torch.randint(0, 21, (BATCH, SIDE, SIDE))
    optimizer = torch.optim.SGD(model.train().parameters(), 0.01, momentum=0.9)

    def take() -> None:
        optimizer.zero_grad()
        segmentation_loss(model(images), labels, Recipe()).total.backward()
        optimizer.step()

    return take


def test_a_step_multiplies_three_times_as_often_as_the_network_forwards(model: DMNet) -> None:
    """Once forward, once for the gradients of the inputs, once for the weights'; images need no gradient."""
    counts = multiply_adds(model.architecture, SIDE, SIDE)
    first = next(iter(counts))
    assert first == "backbone.stem.0"
    found = products(step(model))
    network = sum(counts.values()) + auxiliary(model, SIDE // 8)
    assert found["convolution"] + found["convolution_backward"] == BATCH * (3 * network - counts[first])


def test_no_map_is_made_twice(model: DMNet) -> None:
    """ReLUs and the sums of shortcuts change the map that is there, in a prediction as in a step."""
    blocks = sum(isinstance(one, Bottleneck) for one in model.modules())
    assert blocks >= 4
    for work in (lambda: predict(model, image(), protocol=Evaluation(resize=None)), step(model)):
        with Counted() as counted:
            work()
        assert counted.calls["relu"] == 0
        assert counted.calls["relu_"] > 3 * blocks
        assert counted.calls["add_"] >= blocks


# Bytes of all that operations return, while it lives: measured with PyTorch 2.14, and a tenth more.
MOST = {"prediction": 440_000, "step": 4_330_000}


def test_a_prediction_allocates_no_more_than_it_did(model: DMNet) -> None:
    with CountedBytes() as counted:
        predict(model, image(), protocol=Evaluation(resize=None))
    assert MOST["prediction"] / 2 < counted.peak <= MOST["prediction"]


def test_a_step_allocates_no_more_than_it_did(model: DMNet) -> None:
    take = step(model)
    take()  # makes the gradients and the optimizer's state, which stay
    with CountedBytes() as counted:
        take()
    assert MOST["step"] / 2 < counted.peak <= MOST["step"]


@pytest.mark.parametrize("k", [1, 2, 3, 7])
def test_the_dynamic_convolution_has_no_loop(k: int) -> None:
    """The operations do not depend on the batch, the channels or the taps; one of them is a convolution."""

    def calls(batch: int, channels: int, size: int) -> Counter[str]:
        features, filters = torch.randn(batch, channels, 9, 9), torch.randn(batch, channels, size, size)
        with Counted() as counted:
            dynamic_depthwise_conv(features, filters)
        return counted.calls

    found = calls(5, 7, k)
    assert found == calls(1, 1, k)
    assert found["convolution"] == 1 and found.total() <= 8


def test_the_heads_operations_grow_by_the_scale_alone() -> None:
    """Every scale costs the same operations: two convolutions of 1 x 1, one dynamic, and what follows."""
    found = []
    for sizes in [(3,), (3, 5), (3, 5, 7)]:
        head = small_model(1, filter_sizes=sizes).eval().head
        features = torch.randn(1, head.scales[0].generate.in_channels, 9, 9)
        with torch.no_grad(), Counted() as counted:
            head(features)
        found.append(counted.calls)
    assert found[1] - found[0] == found[2] - found[1]
    assert (found[1] - found[0])["convolution"] == 3
