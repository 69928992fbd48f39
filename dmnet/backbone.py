"""Backbones: dilated ResNets, wide and narrow, and a tiny one that sees 11 pixels.

Two changes turn a ResNet for classification into a dense one [Yu and Koltun 2016; Chen et al. 2017]: the last
stages lose their stride, so the features keep their resolution, and the 3x3 convolutions *behind* the lost
stride gain a dilation, so every unit sees what it saw before. The convolution that carried the stride still
has the dilation of the stage before it (public code calls this "contracted"): with the same weights, every
fourth pixel of stage 4 at output stride 8 is then exactly the plain ResNet's. Derived in {doc}`02_backbone`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from dmnet.errors import DMNetError

# output stride -> strides of the four stages, dilations of the four stages
STRIDES_AND_DILATIONS: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {
    8: ((1, 2, 1, 1), (1, 1, 2, 4)),
    16: ((1, 2, 2, 1), (1, 1, 1, 2)),
    32: ((1, 2, 2, 2), (1, 1, 1, 1)),  # the plain ResNet
}


class Features(NamedTuple):
    """What a backbone returns: its last two stages. Used in {doc}`04_dmnet`."""

    stage3: Tensor  # [B, C3, h', w'], read by the auxiliary head
    stage4: Tensor  # [B, C4, h, w], read by the dynamic multi-scale head


def conv_norm_relu(inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    """Return a convolution, padded if its kernel is odd, and what follows it. Used in {doc}`04_dmnet`."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=(kernel - 1) // 2, bias=False)
    return [conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


def _conv3x3(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=dilation, dilation=dilation, bias=False)


def _downsample(inputs: int, outputs: int, stride: int) -> nn.Module | None:
    """Return the projection of a block's shortcut, or None where the shapes already agree."""
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, the block of ResNet-18 [He et al. 2016, figure 5 left].

    `entry` is the dilation of the convolution that carries, or once carried, the stride, `dilation` that of
    what comes after it. Shown in {doc}`02_backbone`.
    """

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int = 1, entry: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv1 = _conv3x3(inputs, width, stride, entry)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv3x3(width, width, 1, dilation)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _downsample(inputs, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, width, H / stride, W / stride]."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(x)).add_(shortcut), inplace=True)  # in place: no map is made twice


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 and a shortcut [He et al. 2016, figure 5 right]; the stride sits on the 3x3.

    `entry` is the dilation of its only 3x3 convolution, `dilation` has no use. Shown in {doc}`02_backbone`.
    """

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int = 1, entry: int = 1, dilation: int = 1) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv3x3(width, width, stride, entry)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = _downsample(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, 4 * width, H / stride, W / stride]."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)
        return F.relu(self.bn3(self.conv3(x)).add_(shortcut), inplace=True)  # in place: no map is made twice


Block = type[BasicBlock] | type[Bottleneck]


class ResNet(nn.Module):
    """A ResNet without its classifier, at a chosen output stride. Derived in {doc}`02_backbone`.

    `blocks` says how many each stage has, `widths` how many channels their 3x3 convolutions have; one number
    is that of the first, doubled with each stage. The stem is "plain", one 7x7 convolution, or "deep", three
    3x3 [He et al. 2019, ResNet-C], before a max-pool; or two strided 3x3 convolutions of the given channels.
    At `output_stride` 8, 16 or 32 a pixel of stage 4 stands for as many of the image.
    """

    def __init__(
        self,
        block: Block,
        blocks: Sequence[int],
        stem: str | tuple[int, int] = "deep",
        output_stride: int = 8,
        widths: int | Sequence[int] = 64,
    ) -> None:
        super().__init__()
        if output_stride not in STRIDES_AND_DILATIONS:
            raise DMNetError(f"output_stride must be 8, 16 or 32, got {output_stride}")
        strides, dilations = STRIDES_AND_DILATIONS[output_stride]
        widths = [widths * 2**stage for stage in range(4)] if isinstance(widths, int) else widths
        width = widths[0]
        if isinstance(stem, tuple):
            first, width = stem
            self.stem = nn.Sequential(*conv_norm_relu(3, first, 3, 2), *conv_norm_relu(first, width, 3, 2))
        elif stem == "deep":
            narrow = [*conv_norm_relu(3, width // 2, 3, 2), *conv_norm_relu(width // 2, width // 2, 3)]
            self.stem = nn.Sequential(*narrow, *conv_norm_relu(width // 2, width, 3))
        else:  # torchvision's names, so that its ImageNet weights load as they are
            self.conv1 = nn.Conv2d(3, width, 7, 2, padding=3, bias=False)
            self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.Identity() if isinstance(stem, tuple) else nn.MaxPool2d(3, 2, padding=1)
        inputs = [width, *(w * block.expansion for w in widths)]
        stages = zip(inputs, widths, blocks, strides, dilations, strict=False)
        self.layer1, self.layer2, self.layer3, self.layer4 = (_stage(block, *stage) for stage in stages)
        self.channels = (inputs[3], inputs[4])

    def forward(self, images: Tensor) -> Features:
        """Images [B, 3, H, W] -> features of stages 3 and 4, at ceil(H / stride) x ceil(W / stride)."""
        x = self.stem(images) if hasattr(self, "stem") else F.relu(self.bn1(self.conv1(images)), inplace=True)
        stage2 = self.layer2(self.layer1(self.maxpool(x)))
        stage3 = self.layer3(stage2)
        return Features(stage3, self.layer4(stage3))


def _stage(block: Block, inputs: int, width: int, blocks: int, stride: int, dilation: int) -> nn.Sequential:
    """Return one stage; its first block has the stride, or enters with the dilation of the stage before."""
    first = block(inputs, width, stride, max(dilation // 2, 1), dilation)
    rest = (block(width * block.expansion, width, 1, dilation, dilation) for _ in range(blocks - 1))
    return nn.Sequential(first, *rest)


class PointwiseBlock(nn.Module):
    """A residual block of two 1x1 convolutions: no larger receptive field. Used in {doc}`09_ablation`."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *conv_norm_relu(channels, width, 1), *conv_norm_relu(width, channels, 1)[:-1]
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        return F.relu(x + self.body(x), inplace=True)


class PatchEncoder(nn.Module):
    """A backbone that sees 11 x 11 pixels and no further.

    Two strided 3x3 convolutions and one strided 2x2; the residual blocks between them are 1x1. Whatever the
    network knows about a neighbourhood beyond 11 pixels it has learned through its filters: that makes
    `demo_scale` an experiment on them and not on the backbone. Output stride 8. Used in {doc}`09_ablation`.
    """

    channels = (24, 64)

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Sequential(
            *conv_norm_relu(3, 16, 3, 2),  # receptive field 3, stride 2
            *conv_norm_relu(16, 24, 3, 2),  # 7, 4
            PointwiseBlock(24, 24),
        )
        self.coarse = nn.Sequential(
            *conv_norm_relu(24, 64, 2, 2),  # 11, 8
            PointwiseBlock(64, 32),
            PointwiseBlock(64, 32),
        )

    def forward(self, images: Tensor) -> Features:
        """Images [B, 3, H, W] -> features at strides 4 and 8."""
        fine = self.fine(images)
        height, width = fine.shape[-2:]
        even = F.pad(fine, (0, width % 2, 0, height % 2))  # a 2x2 stride would drop an odd last row
        return Features(fine, self.coarse(even))


RESNETS: dict[str, tuple[Block, tuple[int, ...]]] = {
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
    "resnet101": (Bottleneck, (3, 4, 23, 3)),
}
# Two strided convolutions, no max-pool, and hardly anything at the high resolutions, where a CPU is slow.
NARROW: dict[str, tuple[Block, tuple[int, ...], tuple[int, int], tuple[int, ...]]] = {  # stem, widths
    "tiny_resnet": (Bottleneck, (1, 1, 1, 1), (16, 16), (4, 8, 16, 24)),
    "street_resnet": (BasicBlock, (1, 1, 2, 2), (32, 48), (48, 96, 96, 96)),
}
Backbone = ResNet | PatchEncoder


def build_backbone(name: str, stem: str = "deep", output_stride: int = 8) -> Backbone:
    """Return a backbone with random weights; its `channels` are those of stages 3 and 4.

    `stem` is a wide ResNet's; "tiny_patches" has one `output_stride`, 8. Used in {doc}`04_dmnet`.

    Raises:
        DMNetError: if there is none of this name; the message lists them.
    """
    if name in RESNETS:
        return ResNet(*RESNETS[name], stem, output_stride)
    if name in NARROW:
        block, blocks, narrow_stem, widths = NARROW[name]
        return ResNet(block, blocks, narrow_stem, output_stride, widths)
    if name == "tiny_patches":
        return PatchEncoder()
    known = ", ".join([*RESNETS, *NARROW, "tiny_patches"])
    raise DMNetError(f"there is no backbone called {name!r}; there are {known}")
