"""The dynamic filter against its definition, written as loops, and the properties the book derives."""

from random import Random

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


SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 6), st.integers(1, 6))
SEEDS = st.integers(0, 2**31)


def drawn(shape: tuple[int, ...], size: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = shape, (*shape[:2], size, size)
    features, filters = (torch.randn(one, generator=generator, dtype=torch.float64) for one in shapes)
    return features, filters


def moved(picture: torch.Tensor, turns: int, flip: bool) -> torch.Tensor:
    return (picture.flip(-1) if flip else picture).rot90(turns, (-2, -1))


@given(SHAPES, st.sampled_from([1, 3, 5, 7]), st.integers(0, 3), st.booleans(), SEEDS)
def test_moved_features_and_filters_give_the_moved_answer(
    shape: tuple[int, ...], size: int, turns: int, flip: bool, seed: int
) -> None:
    features, filters = drawn(shape, size, seed)
    found = dynamic_depthwise_conv(moved(features, turns, flip), moved(filters, turns, flip))
    torch.testing.assert_close(found, moved(dynamic_depthwise_conv(features, filters), turns, flip))


@given(SHAPES, st.sampled_from([1, 3, 5, 7]), st.integers(0, 3), st.booleans(), SEEDS)
def test_the_module_of_odd_size_commutes_with_any_move_on_pictures_of_any_size(
    shape: tuple[int, ...], size: int, turns: int, flip: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    module = DynamicConvModule(shape[1], 4, size).double().eval()
    features, _ = drawn(shape, size, seed)
    torch.testing.assert_close(module(moved(features, turns, flip)), moved(module(features), turns, flip))


@given(SHAPES, st.integers(1, 7), SEEDS, st.randoms(use_true_random=False))
def test_every_image_and_every_channel_answers_for_itself(
    shape: tuple[int, ...], size: int, seed: int, random: Random
) -> None:
    features, filters = drawn(shape, size, seed)
    images, channels = ([random.randrange(n) for _ in range(3)] for n in shape[:2])  # some twice, some never
    found = dynamic_depthwise_conv(features[images][:, channels], filters[images][:, channels])
    torch.testing.assert_close(found, dynamic_depthwise_conv(features, filters)[images][:, channels])


@settings(max_examples=12)
@given(st.tuples(*[st.integers(1, 2)] * 2, *[st.integers(1, 4)] * 2), st.integers(1, 4), SEEDS)
def test_gradients_of_features_and_filters_are_right(shape: tuple[int, ...], size: int, seed: int) -> None:
    given = tuple(one.requires_grad_() for one in drawn(shape, size, seed))
    assert torch.autograd.gradcheck(dynamic_depthwise_conv, given)
    assert torch.autograd.gradgradcheck(dynamic_depthwise_conv, given)


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


@pytest.mark.parametrize("k", [1, 3, 7])
def test_static_filters_begin_as_a_depthwise_convolutions_do(k: int) -> None:
    torch.manual_seed(0)
    module, conv = StaticConvModule(8, 512, k), torch.nn.Conv2d(512, 512, k, groups=512)
    assert module.filter_size == k
    largest, theirs = module.kernel.abs().max().item(), conv.weight.abs().max().item()
    assert 0.98 / k < largest <= 1 / k and 0.98 / k < theirs <= 1 / k


@torch.no_grad()
def test_the_projection_is_rectified_and_filters_that_are_given_replace_the_modules_own():
    torch.manual_seed(0)
    module, features = DynamicConvModule(3, 2, 3).eval(), torch.randn(2, 3, 6, 5)
    given = torch.randn(2, 2, 3, 3)
    reduced = module.reduce(features)
    assert reduced.min() == 0
    expected = F.relu(module.norm(loops(reduced, given)))
    torch.testing.assert_close(module(features, given), expected)
    assert (module(features) - expected).abs().max() > 0.1


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
