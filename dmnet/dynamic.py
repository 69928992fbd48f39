r"""The dynamic filter: one function, one module [He, Deng and Qiao 2019, section 3.2].

A dynamic filter is not learned but computed, for every image and every channel, from a $k \times k$ thumbnail
of the features it is about to filter. Words and symbols:

- `features` is $f$, [B, C_in, H, W]; `filter_size` is $k$; `channels` is $C$;
- `filters` is $g_k(f)$, [B, C, k, k];
- `reduce(features)` is $r_k(f)$, [B, C, H, W];
- the module's result is $y_k = \mathrm{ReLU}(\mathrm{BN}(g_k(f) * r_k(f)))$, [B, C, H, W].

Built up step by step in {doc}`03_dynamic_filters`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def dynamic_depthwise_conv(features: Tensor, filters: Tensor) -> Tensor:
    r"""Filter every channel of every image with a filter of its own.

    $y_{bc}(i, j) = \sum_{u, v} g_{bc}(u, v)\, x_{bc}(i + u - p, j + v - p)$ with $p = \lfloor k / 2 \rfloor$
    and zeros outside the image: features [B, C, H, W] and filters [B, C, k, k] -> [B, C, H, W]. Even $k$ so
    pads one more on the left and on the top, as both public implementations do. Computed as *one* convolution
    over a single image of B * C channels in as many groups, so that no loop over the batch remains. A
    ValueError if batch or channels differ, or a filter is not square. Derived in {doc}`03_dynamic_filters`.
    """
    batch, channels, height, width = features.shape
    size = filters.shape[-1]
    if filters.shape != (batch, channels, size, size):
        needed = f"filters of shape [{batch}, {channels}, k, k], got {tuple(filters.shape)}"
        raise ValueError(f"features of shape {tuple(features.shape)} need {needed}")
    before, after = size // 2, (size - 1) // 2
    images = features.reshape(1, batch * channels, height, width)
    images = F.pad(images, (before, after, before, after))
    kernels = filters.reshape(batch * channels, 1, size, size)
    return F.conv2d(images, kernels, groups=batch * channels).reshape(features.shape)


class DynamicConvModule(nn.Module):
    r"""One scale of DMNet, the dynamic convolutional module (DCM) [He, Deng and Qiao 2019, figure 3].

    It takes `in_channels` features; `filter_size`, $k$, is odd or even. Derived in {doc}`03_dynamic_filters`.
    """

    def __init__(self, in_channels: int, channels: int, filter_size: int) -> None:
        super().__init__()
        self.filter_size = filter_size
        # One (w, b) serves all k * k taps: a filter is a projected thumbnail of its own image.
        self.generate = nn.Conv2d(in_channels, channels, 1)
        self.reduce = nn.Sequential(
            nn.Conv2d(in_channels, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
        )
        self.norm = nn.BatchNorm2d(channels)

    def filters(self, features: Tensor) -> Tensor:
        r"""Return $g_k = w\,\mathrm{pool}_k(f) + b$: [B, C_in, H, W] -> [B, C, k, k]."""
        return self.generate(F.adaptive_avg_pool2d(features, self.filter_size))

    def forward(self, features: Tensor, filters: Tensor | None = None) -> Tensor:
        """Return $y_k$: [B, C_in, H, W] -> [B, C, H, W]; `filters` [B, C, k, k] replace the module's own."""
        reduced = self.reduce(features)  # before the filters: gradients add up in this order, to the last bit
        filters = self.filters(features) if filters is None else filters
        return F.relu(self.norm(dynamic_depthwise_conv(reduced, filters)), inplace=True)


class StaticConvModule(DynamicConvModule):
    """The same module with filters that are learned once and shared by all images, for comparison.

    It is *not* part of DMNet: experiments train it to see what "dynamic" buys over "multi-scale". Shown in
    {doc}`09_ablation`.
    """

    def __init__(self, in_channels: int, channels: int, filter_size: int) -> None:
        super().__init__(in_channels, channels, filter_size)
        del self.generate
        self.kernel = nn.Parameter(torch.empty(channels, filter_size, filter_size))
        nn.init.kaiming_uniform_(self.kernel.unsqueeze(1), a=5**0.5)  # as a depthwise nn.Conv2d's

    def filters(self, features: Tensor) -> Tensor:
        """Return the learned filters, whatever the image: [B, C_in, H, W] -> [B, C, k, k]."""
        return self.kernel.expand(features.shape[0], -1, -1, -1)
