"""The dilated ResNets: shapes, the à-trous identity, torchvision's own; what the tiny ones see."""

import pytest
import torch
import torchvision

from dmnet.backbone import NARROW, RESNETS, PatchEncoder, ResNet, build_backbone
from dmnet.errors import DMNetError


def resnet(backbone: str = "resnet18", stem: str = "plain", output_stride: int = 8, seed: int = 0) -> ResNet:
    torch.manual_seed(seed)
    return build_backbone(backbone, stem, output_stride).eval()


@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize("size", [(64, 64), (65, 97), (1, 1), (33, 7)])
def test_stage_4_has_the_output_stride(output_stride: int, size: tuple[int, int]) -> None:
    model = resnet(output_stride=output_stride)
    features = model(torch.zeros(1, 3, *size))
    expected = tuple(-(-side // output_stride) for side in size)
    assert features.stage4.shape == (1, 512, *expected)
    assert model.channels == (features.stage3.shape[1], features.stage4.shape[1])


@torch.no_grad()
@pytest.mark.parametrize(("backbone", "stem"), [("resnet18", "plain"), ("resnet50", "deep")])
@pytest.mark.parametrize("output_stride", [8, 16])
def test_every_nth_dilated_feature_is_the_plain_one(backbone: str, stem: str, output_stride: int) -> None:
    """With equal weights, the plain features are a sample of the dense ones."""
    plain, dense = resnet(backbone, stem, 32), resnet(backbone, stem, output_stride)
    dense.load_state_dict(plain.state_dict())
    images = torch.randn(1, 3, 97, 129)
    step = 32 // output_stride
    torch.testing.assert_close(
        dense(images).stage4[..., ::step, ::step], plain(images).stage4, rtol=1e-4, atol=1e-5
    )


@torch.no_grad()
@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_the_plain_network_is_torchvisions(name: str) -> None:
    theirs = torchvision.models.get_model(name, weights=None).eval()
    ours = resnet(name, "plain", 32)
    missing, surplus = ours.load_state_dict(theirs.state_dict(), strict=False)
    assert missing == []
    assert surplus == ["fc.weight", "fc.bias"]
    images = torch.randn(1, 3, 64, 96)
    x = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(images))))
    x = theirs.layer4(theirs.layer3(theirs.layer2(theirs.layer1(x))))
    torch.testing.assert_close(ours(images).stage4, x)


@pytest.mark.parametrize("name", RESNETS)
def test_widths_of_the_stages(name: str) -> None:
    with torch.device("meta"):
        assert resnet(name).channels == ((256, 512) if name == "resnet18" else (1024, 2048))


@pytest.mark.parametrize("stem", ["plain", "deep"])
def test_modules_stand_in_the_order_in_which_they_are_used(stem: str) -> None:
    """The chapter on the backbone walks through them and counts what they see."""
    with torch.device("meta"):
        names = list(dict(resnet(stem=stem).named_children()))
    assert names[-5:] == ["maxpool", "layer1", "layer2", "layer3", "layer4"]


def test_refuses_another_output_stride() -> None:
    with pytest.raises(ValueError, match="must be 8, 16 or 32, got 4"):
        resnet(output_stride=4)


def test_an_unknown_backbone_is_refused() -> None:
    with pytest.raises(DMNetError, match=r"no backbone called 'resnet5'; there are resnet18, .*tiny_resnet"):
        build_backbone("resnet5")


@pytest.mark.parametrize("backbone", [*NARROW, "tiny_patches"])
@pytest.mark.parametrize("size", [(160, 160), (1, 1), (9, 23), (97, 131)])
def test_narrow_ones_have_output_stride_8(backbone: str, size: tuple[int, int]) -> None:
    model = build_backbone(backbone).eval()
    stage3, stage4 = model(torch.zeros(1, 3, *size))
    assert (stage3.shape[1], stage4.shape[1]) == model.channels
    assert stage4.shape[2:] == tuple(-(-side // 8) for side in size)


def test_the_patch_encoder_sees_11_pixels_and_no_further() -> None:
    model = PatchEncoder().eval().double()
    for parameter in model.parameters():  # nothing cancels, nothing is cut off by a ReLU
        torch.nn.init.constant_(parameter, 0.1)
    image = torch.rand(1, 3, 96, 96, dtype=torch.float64, requires_grad=True)
    model(image).stage4[0, :, 6, 6].sum().backward()
    seen = image.grad.abs().sum((0, 1)) > 0
    rows, columns = seen.any(1).nonzero().flatten(), seen.any(0).nonzero().flatten()
    assert len(rows) == len(columns) == 11
    assert seen[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].all()
