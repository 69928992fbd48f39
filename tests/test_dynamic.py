"""The dynamic filter against its definition, written as loops, and the properties the book derives."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from dmnet.dynamic import DynamicConvModule, StaticConvModule, dynamic_depthwise_conv


def loops(features: torch.Tensor, filters: torch.Tensor) -> torch.Tensor:
    """The definition: one output pixel, one tap at a time."""
    batch, channels, height, width = features.shape
    size = filters.shape[-1]
    out = torch.zeros_like(features)
    for b in range(batch):
        for c in range(channels):
            for i in range(height):
                for j in range(width):
                    for u in range(size):
                        for v in range(size):
                            y, x = i + u - size // 2, j + v - size // 2
                            if 0 <= y < height and 0 <= x < width:
                                out[b, c, i, j] += filters[b, c, u, v] * features[b, c, y, x]
    return out


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 5), st.integers(1, 5)),
    size=st.integers(1, 7),
    seed=st.integers(0, 2**31),
)
def test_equals_nested_loops(shape: tuple[int, int, int, int], size: int, seed: int) -> None:
    torch.manual_seed(seed)
    features = torch.randn(shape, dtype=torch.float64)
    filters = torch.randn(*shape[:2], size, size, dtype=torch.float64)
    torch.testing.assert_close(dynamic_depthwise_conv(features, filters), loops(features, filters))


def test_even_size_pads_one_more_on_the_left_and_the_top() -> None:
    impulse = torch.zeros(1, 1, 5, 5)
    impulse[0, 0, 2, 2] = 1
    response = dynamic_depthwise_conv(impulse, torch.arange(1.0, 5).reshape(1, 1, 2, 2))
    # Tap (u, v) reads pixel (i + u - 1, j + v - 1): the impulse shows up reversed, below and to the right.
    expected = torch.zeros(1, 1, 5, 5)
    expected[0, 0, 2:4, 2:4] = torch.tensor([[4.0, 3.0], [2.0, 1.0]])
    assert torch.equal(response, expected)


def test_works_on_channels_last_and_under_gradients() -> None:
    features = torch.randn(2, 3, 6, 5, dtype=torch.float64, requires_grad=True)
    filters = torch.randn(2, 3, 3, 3, dtype=torch.float64, requires_grad=True)
    last = features.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(
        dynamic_depthwise_conv(last, filters), dynamic_depthwise_conv(features, filters)
    )
    assert torch.autograd.gradcheck(dynamic_depthwise_conv, (features, filters))


@pytest.mark.parametrize("shape", [(1, 3, 3, 3), (2, 2, 3, 3), (2, 3, 3, 5), (3, 3, 3)])
def test_refuses_filters_that_do_not_fit(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="need filters of shape"):
        dynamic_depthwise_conv(torch.zeros(2, 3, 8, 8), torch.zeros(shape))


@pytest.fixture(params=[1, 2, 3, 5, 7], ids="k={}".format)
def module(request: pytest.FixtureRequest) -> DynamicConvModule:
    torch.manual_seed(0)
    return DynamicConvModule(8, 16, request.param).double().eval()


def test_each_image_is_independent_of_its_batch(module: DynamicConvModule) -> None:
    features = torch.randn(3, 8, 9, 11, dtype=torch.float64)
    together = module(features)
    for index in range(3):
        torch.testing.assert_close(together[index : index + 1], module(features[index : index + 1]))


def test_a_single_tap_is_a_gate_per_channel() -> None:
    torch.manual_seed(0)
    module = DynamicConvModule(8, 16, 1).eval()
    features = torch.randn(2, 8, 9, 11)
    mean = features.mean(dim=(2, 3))
    gate = F.linear(mean, module.generate.weight[:, :, 0, 0], module.generate.bias)
    expected = F.relu(module.norm(gate[:, :, None, None] * module.reduce(features)))
    torch.testing.assert_close(module(features), expected)


def test_a_filter_is_a_projected_thumbnail(module: DynamicConvModule) -> None:
    features = torch.randn(2, 8, 14, 14, dtype=torch.float64)
    thumbnail = F.adaptive_avg_pool2d(features, module.filter_size)
    weight = module.generate.weight[:, :, 0, 0]
    expected = torch.einsum("oc,bcuv->bouv", weight, thumbnail) + module.generate.bias[:, None, None]
    torch.testing.assert_close(module.filters(features), expected)


@torch.no_grad()
def test_without_weights_a_filter_is_a_box(module: DynamicConvModule) -> None:
    module.generate.weight.zero_()
    filters = module.filters(torch.randn(2, 8, 9, 9, dtype=torch.float64))
    assert torch.equal(filters, module.generate.bias[None, :, None, None].expand_as(filters))


def test_a_constant_image_gives_a_flat_filter(module: DynamicConvModule) -> None:
    features = torch.randn(1, 8, 1, 1, dtype=torch.float64).expand(1, 8, 10, 13)
    filters = module.filters(features)
    torch.testing.assert_close(filters, filters[..., :1, :1].expand_as(filters))


FLIPS_AND_TURNS = {
    "left-right": lambda x: x.flip(-1),
    "up-down": lambda x: x.flip(-2),
    "quarter turn": lambda x: x.rot90(1, (-2, -1)),
}


@pytest.mark.parametrize("name", FLIPS_AND_TURNS)
def test_odd_sizes_commute_with_flips_and_turns_and_even_ones_do_not(
    module: DynamicConvModule, name: str
) -> None:
    move = FLIPS_AND_TURNS[name]
    features = torch.randn(1, 8, 12, 12, dtype=torch.float64)
    difference = (module(move(features)) - move(module(features))).abs().max()
    if module.filter_size % 2:
        assert difference < 1e-12
    else:
        assert difference > 1e-2


def test_static_filters_do_not_commute_with_flips() -> None:
    torch.manual_seed(0)
    module = StaticConvModule(8, 16, 3).eval()
    features = torch.randn(1, 8, 12, 12)
    assert (module(features.flip(-1)) - module(features).flip(-1)).abs().max() > 1e-2


def test_static_filters_ignore_the_image() -> None:
    module = StaticConvModule(8, 4, 3)
    filters = module.filters(torch.randn(2, 8, 6, 6))
    assert filters.shape == (2, 4, 3, 3)
    assert torch.equal(filters[0], filters[1])


@torch.no_grad()
def test_the_module_is_not_shift_equivariant() -> None:
    torch.manual_seed(0)
    module = DynamicConvModule(8, 16, 3).eval()
    features = torch.randn(1, 8, 24, 24)
    moved = features.roll(5, -1)
    inner = slice(8, 20)  # away from the border, a fixed filter would agree
    dynamic = (module(moved)[..., inner] - module(features).roll(5, -1)[..., inner]).abs().max()
    static = StaticConvModule(8, 16, 3).eval()
    fixed = (static(moved)[..., inner] - static(features).roll(5, -1)[..., inner]).abs().max()
    assert fixed < 1e-5 < 1e-2 < dynamic
