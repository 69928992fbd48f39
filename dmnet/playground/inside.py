"""A network's answer together with what its scales did: filters $g_k$ and responses $y_k$."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dmnet.dynamic import DynamicConvModule, dynamic_depthwise_conv
from dmnet.errors import DMNetError
from dmnet.inference import evaluating
from dmnet.model import DMNet


@dataclass(frozen=True)
class Answer:
    """One image's answer, scale by scale.

    Attributes:
        logits: [K, h, w] at the output stride.
        features: $f$, what all scales filter, [C_in, h, w].
        filters: the filters that were used, $g_k$, one [C, k, k] per scale.
        responses: $y_k$ before its gate, one [C, h, w] per scale.
    """

    logits: Tensor
    features: Tensor
    filters: list[Tensor]
    responses: list[Tensor]


def look_inside(
    model: DMNet,
    image: Tensor,
    scale_gates: Sequence[float],
    *,
    lender: Tensor | None = None,
    lent: Sequence[float] | None = None,
) -> Answer:
    """Run the network on one image, and keep what its scales computed.

    Args:
        model: any DMNet, on any device; its mode is left as it was.
        image: [3, H, W], normalised; see `dmnet.transforms.evaluation_image`.
        scale_gates: weight of each scale's response.
        lender: another image [3, H', W'] whose filters are lent to this one; None lends nothing.
        lent: for each scale how much of its filter is the lender's, 0 to 1; all 1 by default.

    Returns:
        The `Answer`; without a lender its logits are those of `model(image[None], scale_gates)`.

    Raises:
        DMNetError: if `scale_gates` or `lent` does not hold one number per scale.
    """
    scales: list[DynamicConvModule] = list(model.head.scales)  # type: ignore[arg-type]
    shares = [1.0] * len(scales) if lent is None else list(lent)
    for name, numbers in (("scale_gates", scale_gates), ("lent", shares)):
        if len(numbers) != len(scales):
            raise DMNetError(f"{name} needs {len(scales)} numbers, one for each scale, got {list(numbers)}")
    weight = next(model.parameters())
    with evaluating(model), torch.inference_mode():
        features = model.backbone(image[None].to(weight)).stage4
        other = None if lender is None else model.backbone(lender[None].to(weight)).stage4
        filters, responses = [], []
        for scale, share in zip(scales, shares, strict=True):
            own = scale.filters(features)
            used = own if other is None else own.lerp(scale.filters(other), share)
            filters.append(used)
            responses.append(F.relu(scale.norm(dynamic_depthwise_conv(scale.reduce(features), used))))
    inside = features[0], [one[0] for one in filters], [one[0] for one in responses]
    return Answer(gated_logits(model, [scale_gates], *inside[::2])[0], *inside)


def gated_logits(
    model: DMNet, subsets: Sequence[Sequence[float]], features: Tensor, responses: Sequence[Tensor]
) -> Tensor:
    """Return the logits of several settings of the gates at once: only what follows the scales is computed.

    Args:
        model: whose `features` and `responses` these are.
        subsets: N times one weight per scale.
        features: [C_in, h, w].
        responses: one [C, h, w] per scale, before the gates.

    Returns:
        [N, K, h, w].
    """
    gates = torch.tensor(subsets).to(features)[..., None, None, None]  # [N, S, 1, 1, 1]
    gated = gates * torch.stack(list(responses))  # [N, S, C, h, w]
    with evaluating(model), torch.inference_mode():
        fused = torch.cat([features.expand(len(gated), -1, -1, -1), gated.flatten(1, 2)], dim=1)
        return model.head.classify(model.head.fuse(fused))
