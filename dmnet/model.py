r"""DMNet: a dilated backbone, the dynamic multi-scale head and an auxiliary head [He, Deng and Qiao 2019].

```
images [B, 3, H, W] -> backbone -> f [B, C4, h, w] -> y_1, y_3, y_5, y_7 [B, C, h, w] each
                           |                          concatenate f and all y_k, 3x3 convolution, classify
                           +-> stage 3 [B, C3, h', w'] -> auxiliary head (a training aid)
```

Assembled by hand in {doc}`04_dmnet`. The modules' names stand in weight files; elsewhere a scale's `generate`
is the filter generator, the head's `fuse` the bottleneck or fusion convolution, `classify` the classifier.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from dmnet import systems
from dmnet.backbone import build_backbone, conv_norm_relu
from dmnet.dynamic import DynamicConvModule, StaticConvModule
from dmnet.errors import DMNetError
from dmnet.systems import Architecture, System

ScaleGates = Sequence[float] | Tensor | None


class Output(NamedTuple):
    """What the network returns, before upsampling. Used in {doc}`04_dmnet`."""

    logits: Tensor  # [B, K, h, w] at the output stride
    aux_logits: Tensor | None  # [B, K, h', w'] from stage 3, or None without an auxiliary head


class MultiScaleHead(nn.Module):
    """All dynamic scales beside the features themselves, fused and classified. Derived in {doc}`04_dmnet`."""

    def __init__(self, in_channels: int, architecture: Architecture) -> None:
        super().__init__()
        a = architecture
        scale = DynamicConvModule if a.filters == "dynamic" else StaticConvModule
        self.scales = nn.ModuleList(scale(in_channels, a.channels, k) for k in a.filter_sizes)
        fused = in_channels + len(a.filter_sizes) * a.channels
        self.fuse = nn.Sequential(*conv_norm_relu(fused, a.fusion_channels, a.fusion_kernel))
        self.dropout = nn.Dropout2d(a.dropout)  # drops whole channels
        self.classify = nn.Conv2d(a.fusion_channels, a.num_classes, 1)

    def forward(self, features: Tensor, scale_gates: ScaleGates = None) -> Tensor:
        """[B, C4, h, w] -> logits [B, K, h, w]; `scale_gates` as in `DMNet.forward`."""
        gates = None if scale_gates is None else self.gates(scale_gates, features)
        return self.logits(features, self.responses(features), gates)

    def filters(self, features: Tensor) -> list[Tensor]:
        """Return $g_k(f)$, [B, C, k, k] for each scale."""
        return [scale.filters(features) for scale in self.scales]  # type: ignore[operator]

    def responses(self, features: Tensor, filters: Sequence[Tensor | None] | None = None) -> list[Tensor]:
        """Return $y_k$, [B, C, h, w] for each scale; `filters` [B, C, k, k] replace its own."""
        filters = filters or [None] * len(self.scales)
        return [scale(features, lent) for scale, lent in zip(self.scales, filters, strict=True)]

    def logits(
        self, features: Tensor, responses: Sequence[Tensor], gates: Sequence[Tensor] | Tensor | None = None
    ) -> Tensor:
        """Fuse features [B, C4, h, w] and responses, each times its gate, and classify: [B, K, h, w]."""
        if gates is not None:
            responses = [gate * response for gate, response in zip(gates, responses, strict=True)]
        fused = self.fuse(torch.cat([features, *responses], dim=1))
        return self.classify(self.dropout(fused))

    def gates(self, given: Sequence[float] | Tensor, features: Tensor, name: str = "scale_gates") -> Tensor:
        """Return one number for each scale as a tensor [S] beside `features`; refuse any other count."""
        gates = torch.as_tensor(given, dtype=features.dtype, device=features.device)
        if gates.shape != (len(self.scales),):
            sizes = ", ".join(str(scale.filter_size) for scale in self.scales)
            needed = f"{len(self.scales)} numbers, one for each filter size ({sizes})"
            raise DMNetError(f"{name} needs {needed}, got {given}")
        return gates


class DMNet(nn.Module):
    """The whole network, with random weights. Derived in {doc}`04_dmnet`."""

    system: System | None = None  # set by `build_model`; prediction reads the evaluation protocol from it

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = self.architecture = architecture
        self.backbone = build_backbone(a.backbone, a.stem, a.output_stride)
        stage3, stage4 = self.backbone.channels
        self.head = MultiScaleHead(stage4, a)
        self.auxiliary: nn.Module | None = None
        if a.aux_channels:  # stage 3 -> logits, so that the earlier stages learn what is useful by itself
            hidden = conv_norm_relu(stage3, a.aux_channels, 3)
            classify = nn.Conv2d(a.aux_channels, a.num_classes, 1)
            self.auxiliary = nn.Sequential(*hidden, nn.Dropout2d(a.dropout), classify)

    def forward(self, images: Tensor, scale_gates: ScaleGates = None) -> Output:
        """Return logits at the output stride for normalised RGB images [B, 3, H, W] of any height and width.

        `scale_gates` are weights of the scales' responses y_k, in the order of `filter_sizes`: None is all
        ones, and zero switches a scale off. A DMNetError if they aren't one number per scale.
        """
        stage3, stage4 = self.backbone(images)
        aux_logits = None if self.auxiliary is None else self.auxiliary(stage3)
        return Output(self.head(stage4, scale_gates), aux_logits)

    def logits(self, images: Tensor, scale_gates: ScaleGates = None) -> Tensor:
        """Return logits as `forward` does, without the auxiliary head: prediction has no use for it."""
        return self.head(self.backbone(images).stage4, scale_gates)


def build_model(name: str, **overrides: Any) -> DMNet:
    """Return the system called `name`, one of `dmnet.systems.names()`, with random weights.

    `overrides` change fields of its `Architecture`, for example `num_classes=11`. An UnknownSystemError
    suggests the nearest names, a TypeError names an override that is no field. Used in {doc}`04_dmnet`.
    """
    system = systems.get(name)
    return from_system(replace(system, architecture=replace(system.architecture, **overrides)))


def from_system(system: System) -> DMNet:
    """Return the network that `system` describes, with random weights. Used in {doc}`06_training`."""
    model = DMNet(system.architecture)
    model.system = system
    return model


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Switch every module to evaluation mode, and each back as it was. Used in {doc}`07_evaluation`."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def pick_device(device: str) -> torch.device:
    """Return the device of that name; "auto" is a GPU if there is one. Used in {doc}`06_training`."""
    name = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise DMNetError(f"the device {name!r} cannot be used here: {str(error).splitlines()[0]}") from error
    return torch.device(name)
