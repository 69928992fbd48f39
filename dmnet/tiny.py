"""Two backbones for the drawn worlds: small enough to train from scratch in a minute on two cores.

Both have the interface of `dmnet.backbone.ResNet` and output stride 8.
"""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from dmnet.backbone import Backbone, Bottleneck, Features, norm_relu
from dmnet.systems import Architecture


class PatchEncoder(nn.Module):
    """A backbone that sees 11 x 11 pixels and no further.

    Two strided 3x3 convolutions and one strided 2x2; the residual blocks between them are 1x1. Whatever the
    network knows about a neighbourhood beyond 11 pixels it has learned through its filters: that makes
    `demo_scale` an experiment on them and not on the backbone.
    """

    channels = (24, 64)

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Sequential(
            *(nn.Conv2d(3, 16, 3, 2, padding=1, bias=False), *norm_relu(16)),  # receptive field 3, stride 2
            *(nn.Conv2d(16, 24, 3, 2, padding=1, bias=False), *norm_relu(24)),  # 7, 4
            PointwiseBlock(24, 24),
        )
        self.coarse = nn.Sequential(
            *(nn.Conv2d(24, 64, 2, 2, bias=False), *norm_relu(64)),  # 11, 8
            PointwiseBlock(64, 32),
            PointwiseBlock(64, 32),
        )

    def forward(self, images: Tensor) -> Features:
        """Images [B, 3, H, W] -> features at strides 4 and 8."""
        fine = self.fine(images)
        height, width = fine.shape[-2:]
        even = F.pad(fine, (0, width % 2, 0, height % 2))  # a 2x2 stride would drop an odd last row
        return Features(fine, self.coarse(even))


class PointwiseBlock(nn.Module):
    """A residual block of two 1x1 convolutions: more non-linearity, no larger receptive field."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(channels, width, 1, bias=False), *norm_relu(width)),
            *(nn.Conv2d(width, channels, 1, bias=False), nn.BatchNorm2d(channels)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        return F.relu(x + self.body(x))


class TinyResNet(nn.Module):
    """A ResNet with one bottleneck per stage, 16 to 96 channels, dilated to output stride 8."""

    channels = (64, 96)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            *(nn.Conv2d(3, 16, 3, 2, padding=1, bias=False), *norm_relu(16)),
            *(nn.Conv2d(16, 16, 3, 2, padding=1, bias=False), *norm_relu(16)),
        )
        self.layer1 = Bottleneck(16, 4)
        self.layer2 = Bottleneck(16, 8, stride=2)
        self.layer3 = Bottleneck(32, 16)
        self.layer4 = Bottleneck(64, 24, entry=2)

    def forward(self, images: Tensor) -> Features:
        """Images [B, 3, H, W] -> features of stages 3 and 4, at stride 8."""
        stage3 = self.layer3(self.layer2(self.layer1(self.stem(images))))
        return Features(stage3, self.layer4(stage3))


TINY: dict[str, Callable[[Architecture], Backbone]] = {
    "tiny_patches": lambda architecture: PatchEncoder(),
    "tiny_resnet": lambda architecture: TinyResNet(),
}
