"""The demo backbones: what they may see, and the sizes of what they return."""

import pytest
import torch

from dmnet.tiny import PatchEncoder, TinyResNet


@pytest.mark.parametrize("backbone", [PatchEncoder, TinyResNet])
@pytest.mark.parametrize("size", [(160, 160), (1, 1), (9, 23), (97, 131)])
def test_stage_4_has_output_stride_8(backbone: type[torch.nn.Module], size: tuple[int, int]) -> None:
    model = backbone().eval()
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
