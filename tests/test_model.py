"""The whole network against recorded outputs of both public implementations, and how many weights it has."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import dmnet
from dmnet.model import DMNet, build_model
from dmnet.zoo.weight_names import translate

REFERENCE = Path(__file__).parent / "reference"
GOLDENS = {
    "ssseg_r50_d8_voc": "ssseg_r50_d8_voc",
    "ssseg_r50_d16_cityscapes": "ssseg_r50_d16_cityscapes",
    "ssseg_r101_d8_ade20k": "ssseg_r101_d8_ade20k",
    "mmseg_r50_d8_cityscapes_512x1024_40k": "mmseg_r50_d8_cityscapes",
}
KEYS = {
    "ssseg_r50_d8_voc": "keys_ssseg_r50_voc.json",
    "ssseg_r50_d16_cityscapes": "keys_ssseg_r50_voc.json",
    "ssseg_r101_d8_ade20k": "keys_ssseg_r101_ade20k.json",
    "mmseg_r50_d8_cityscapes_512x1024_40k": "keys_mmseg_r50_cityscapes.json",
}
CLASSIFIERS = ("decoder.4.", "auxiliary_decoder.4.", "conv_seg.")


def load_fill_weights():  # a script beside the records, not a package
    spec = importlib.util.spec_from_file_location("fill_weights", REFERENCE / "fill_weights.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


fill = load_fill_weights()


def filled_model(name: str) -> DMNet:
    """The system, filled under the *public* names of its tensors and translated."""
    model = build_model(name).eval()
    shapes = json.loads((REFERENCE / KEYS[name]).read_text())
    classes = model.architecture.num_classes
    shapes = {k: [classes, *s[1:]] if any(c in k for c in CLASSIFIERS) else s for k, s in shapes.items()}
    state = {k: torch.from_numpy(np.asarray(v)) for k, v in fill.filled(shapes).items()}
    source, ours = translate(state)
    assert source == name.split("_")[0]
    model.load_state_dict(ours, strict=True)
    return model


@torch.no_grad()
@pytest.mark.parametrize("name", GOLDENS)
def test_outputs_match_the_public_implementation(name: str) -> None:
    golden = np.load(REFERENCE / f"golden_{GOLDENS[name]}.npz")
    batch, channels, height, width, seed = golden["input"].tolist()
    assert channels == 3
    output = filled_model(name)(torch.from_numpy(fill.golden_input(batch, height, width, seed)))
    for ours, key in [(output.logits, "logits"), (output.aux_logits, "aux_logits")]:
        theirs = golden[key]
        assert ours.shape == theirs.shape
        # The record itself differs by 1.07e-5 to 1.22e-5 between instruction sets, and from float64.
        assert np.abs(ours.numpy() - theirs).max() / theirs.std() <= 1.25e-5


def test_parameters_of_the_published_network() -> None:
    with torch.device("meta"):
        model = build_model("ssseg_r50_d8_voc")
    assert sum(p.numel() for p in model.parameters()) == 55_542_666  # 55.54 M


@pytest.fixture(scope="module")
def small() -> DMNet:
    torch.manual_seed(0)
    return build_model("demo_scale").eval()


@torch.no_grad()
def test_gates_of_one_change_nothing(small: DMNet) -> None:
    images = torch.randn(2, 3, 65, 97)
    for gates in ([1, 1, 1, 1], torch.ones(4), np.ones(4)):
        assert torch.equal(small(images).logits, small(images, scale_gates=gates).logits)


@torch.no_grad()
def test_a_gate_of_zero_removes_one_response(small: DMNet) -> None:
    features = torch.randn(1, 64, 9, 11)
    responses = [scale(features) for scale in small.head.scales]
    responses[1] = torch.zeros_like(responses[1])
    expected = small.head.classify(small.head.fuse(torch.cat([features, *responses], dim=1)))
    torch.testing.assert_close(small.head(features, [1, 0, 1, 1]), expected)


def test_gates_carry_gradients(small: DMNet) -> None:
    gates = torch.ones(4, requires_grad=True)
    small(torch.randn(1, 3, 64, 64), scale_gates=gates).logits.square().sum().backward()
    assert gates.grad is not None and gates.grad.abs().min() > 0


@pytest.mark.parametrize("gates", [[1, 1, 1], [[1, 1, 1, 1]], 1.0])
def test_gates_must_be_one_number_per_scale(small: DMNet, gates: object) -> None:
    with pytest.raises(ValueError, match=r"4 numbers, one for each filter size \(1, 3, 5, 7\)"):
        small(torch.zeros(1, 3, 32, 32), scale_gates=gates)


@torch.no_grad()
@pytest.mark.parametrize("name", ["demo_scale", "demo_context", "small_r18"])
@pytest.mark.parametrize("size", [(1, 1), (8, 8), (31, 50), (160, 129)])
def test_any_image_size_works(name: str, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    output = build_model(name).eval()(torch.randn(1, 3, *size))
    assert output.logits.shape[2:] == tuple(-(-side // 8) for side in size)
    assert output.logits.isfinite().all()


@torch.no_grad()
def test_an_image_does_not_depend_on_its_batch(small: DMNet) -> None:
    images = torch.randn(3, 3, 48, 64)
    torch.testing.assert_close(small(images).logits[1:2], small(images[1:2]).logits)


def test_single_scale_and_static_variants_build() -> None:
    single = build_model("demo_scale", filter_sizes=(7,), channels=64)
    assert sum(p.numel() for p in single.parameters()) == 37_351  # as many as all four scales together
    four = build_model("demo_scale")
    assert sum(p.numel() for p in four.parameters()) == 37_351
    static = build_model("demo_scale", filters="static")
    static(torch.zeros(1, 3, 64, 64))
    plain = build_model("demo_scale", filter_sizes=())
    assert plain(torch.zeros(1, 3, 64, 64)).logits.shape == (1, 7, 8, 8)


def test_errors_name_the_remedy() -> None:
    with pytest.raises(dmnet.errors.UnknownSystemError, match="ssseg_r50_d8_voc"):
        build_model("ssseg_r50_voc")
    with pytest.raises(TypeError, match="classes"):
        build_model("demo_scale", classes=3)
    with pytest.raises(ValueError, match="resnet50"):
        build_model("demo_scale", backbone="resnet5")


def test_the_model_is_an_ordinary_module(small: DMNet) -> None:
    assert isinstance(small, nn.Module)
    assert small.system is not None and small.system.name == "demo_scale"
