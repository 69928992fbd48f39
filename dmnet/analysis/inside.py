"""A network's answer together with what its scales did: filters $g_k$ and responses $y_k$."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from dmnet.model import DMNet, evaluating


class Answer(NamedTuple):
    """One image's answer, scale by scale. Used in {doc}`09_ablation`."""

    logits: Tensor  # [K, h, w] at the output stride
    features: Tensor  # f, what all scales filter, [C_in, h, w]
    filters: list[Tensor]  # g_k, those that were used, one [C, k, k] per scale
    responses: list[Tensor]  # y_k before its gate, one [C, h, w] per scale


def look_inside(
    model: DMNet,
    image: Tensor,
    scale_gates: Sequence[float],
    *,
    donor: Tensor | None = None,
    donor_share: Sequence[float] | None = None,
) -> Answer:
    """Run the network on one image, and keep what its scales computed. Used in {doc}`09_ablation`.

    Args:
        model: any DMNet, on any device; its mode is left as it was.
        image: [3, H, W], normalised; see `dmnet.transforms.evaluation_image`.
        scale_gates: weight of each scale's response; a DMNetError if it isn't one number per scale.
        donor: another image [3, H', W'] whose filters are used instead of this one's; None: its own.
        donor_share: for each scale how much of its filter is the donor's, 0 to 1; all 1 by default.
    """
    weight = next(model.parameters())
    with evaluating(model), torch.inference_mode():
        features = model.backbone(image[None].to(weight)).stage4
        filters = model.head.filters(features)
        given = [1.0] * len(filters) if donor_share is None else donor_share
        shares = model.head.gates(given, features, "donor_share")
        if donor is not None:
            others = model.head.filters(model.backbone(donor[None].to(weight)).stage4)
            filters = [own.lerp(*one) for own, *one in zip(filters, others, shares, strict=True)]
        responses = model.head.responses(features, filters)
        logits = model.head.logits(features, responses, model.head.gates(scale_gates, features))
    return Answer(logits[0], features[0], [one[0] for one in filters], [one[0] for one in responses])


def gated_logits(
    model: DMNet, settings: Sequence[Sequence[float]], features: Tensor, responses: Sequence[Tensor]
) -> Tensor:
    """Return the logits [N, K, h, w] of N settings of the gates: only what follows the scales is computed.

    `features` and `responses` are an `Answer`'s. Used in {doc}`09_ablation`.
    """
    gates = torch.stack([model.head.gates(one, features) for one in settings])  # [N, S]
    with evaluating(model), torch.inference_mode():
        every = features.expand(len(gates), -1, -1, -1)
        return model.head.logits(every, responses, gates[..., None, None, None].unbind(1))
