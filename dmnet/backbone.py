"""Dilated ResNets: classification backbones turned into dense feature extractors.

Two changes make a ResNet dense [Yu and Koltun 2016; Chen et al. 2017]: the last stages lose their stride, so
the features keep their resolution, and the 3x3 convolutions *behind* the lost stride gain a dilation, so
every unit sees what it saw before. The convolution that carried the stride still has the dilation of the
stage before it (public code calls this "contracted"): with the same weights, every fourth pixel of stage 4 at
output stride 8 is then exactly the plain ResNet's.
"""

from typing import NamedTuple, Protocol

import torch.nn.functional as F
from torch import Tensor, nn

from dmnet.errors import DMNetError
from dmnet.systems import Architecture

# output stride -> strides of the four stages, dilations of the four stages
STRIDES_AND_DILATIONS: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {
    8: ((1, 2, 1, 1), (1, 1, 2, 4)),
    16: ((1, 2, 2, 1), (1, 1, 1, 2)),
    32: ((1, 2, 2, 2), (1, 1, 1, 1)),  # the plain ResNet
}


class Features(NamedTuple):
    """What a backbone returns: its last two stages; at output stride 8 both have the same size."""

    stage3: Tensor  # [B, C3, h', w'], read by the auxiliary head
    stage4: Tensor  # [B, C4, h, w], read by the dynamic multi-scale head


class Backbone(Protocol):
    """What `dmnet.model.DMNet` asks of a backbone: images [B, 3, H, W] -> `Features`."""

    channels: tuple[int, int]  # of stage 3 and stage 4

    def __call__(self, images: Tensor) -> Features:
        """Images [B, 3, H, W] -> features of the last two stages."""
        ...


def norm_relu(channels: int) -> tuple[nn.Module, nn.Module]:
    """Return what follows every convolution."""
    return nn.BatchNorm2d(channels), nn.ReLU(inplace=True)


def _conv3x3(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=dilation, dilation=dilation, bias=False)


def _downsample(inputs: int, outputs: int, stride: int) -> nn.Module | None:
    """Return the projection of a block's shortcut, or None where the shapes already agree."""
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, the block of ResNet-18 [He et al. 2016, figure 5 left].

    Args:
        inputs: incoming channels.
        width: channels of both convolutions.
        stride: of the first convolution.
        entry: dilation of the convolution that carries, or once carried, the stride.
        dilation: of what comes after it.
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
        x = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(x)) + shortcut)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 and a shortcut [He et al. 2016, figure 5 right]; the stride sits on the 3x3.

    Arguments as `BasicBlock`; `entry` is the dilation of its only 3x3 convolution, so `dilation` has no use.
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
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        return F.relu(self.bn3(self.conv3(x)) + shortcut)


Block = type[BasicBlock] | type[Bottleneck]


class ResNet(nn.Module):
    """A ResNet without its classifier, at a chosen output stride.

    Args:
        block: `BasicBlock` or `Bottleneck`.
        blocks: how many of them in each of the four stages.
        stem: "plain", one 7x7 convolution, or "deep", three 3x3 [He et al. 2019, ResNet-C].
        output_stride: 8, 16 or 32: pixels of the image per pixel of stage 4.
        width: of the first stage's 3x3 convolutions; doubles with each stage.

    Raises:
        ValueError: if `output_stride` is none of the three.
    """

    def __init__(
        self,
        block: Block,
        blocks: tuple[int, ...],
        stem: str = "deep",
        output_stride: int = 8,
        width: int = 64,
    ) -> None:
        super().__init__()
        if output_stride not in STRIDES_AND_DILATIONS:
            raise DMNetError(f"output_stride must be 8, 16 or 32, got {output_stride}")
        strides, dilations = STRIDES_AND_DILATIONS[output_stride]
        if stem == "deep":
            self.stem = _deep_stem(width)
        else:  # torchvision's names, so that its ImageNet weights load as they are
            self.conv1 = nn.Conv2d(3, width, 7, 2, padding=3, bias=False)
            self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        widths = [width * 2**stage for stage in range(4)]
        inputs = [width, *(w * block.expansion for w in widths)]
        stages = zip(inputs, widths, blocks, strides, dilations, strict=False)
        self.layer1, self.layer2, self.layer3, self.layer4 = (_stage(block, *stage) for stage in stages)
        self.channels = (inputs[3], inputs[4])

    def forward(self, images: Tensor) -> Features:
        """Images [B, 3, H, W] -> features of stages 3 and 4, at ceil(H / stride) x ceil(W / stride)."""
        x = self.stem(images) if hasattr(self, "stem") else F.relu(self.bn1(self.conv1(images)))
        stage2 = self.layer2(self.layer1(self.maxpool(x)))
        stage3 = self.layer3(stage2)
        return Features(stage3, self.layer4(stage3))


def _deep_stem(width: int) -> nn.Sequential:
    half = width // 2
    return nn.Sequential(
        *(_conv3x3(3, half, 2), *norm_relu(half)),
        *(_conv3x3(half, half), *norm_relu(half)),
        *(_conv3x3(half, width), *norm_relu(width)),
    )


def _stage(block: Block, inputs: int, width: int, blocks: int, stride: int, dilation: int) -> nn.Sequential:
    """Return one stage; its first block has the stride, or enters with the dilation of the stage before."""
    first = block(inputs, width, stride, max(dilation // 2, 1), dilation)
    rest = (block(width * block.expansion, width, 1, dilation, dilation) for _ in range(blocks - 1))
    return nn.Sequential(first, *rest)


RESNETS: dict[str, tuple[Block, tuple[int, ...]]] = {
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
    "resnet101": (Bottleneck, (3, 4, 23, 3)),
}


def build_resnet(architecture: Architecture) -> ResNet:
    """Return the ResNet that `architecture` names, with random weights."""
    block, blocks = RESNETS[architecture.backbone]
    return ResNet(block, blocks, architecture.stem, architecture.output_stride)
