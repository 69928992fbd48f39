"""From a photograph to what the network sees: at evaluation, and with augmentation at training.

Images are uint8 RGB arrays [H, W, 3] and masks uint8 arrays [H, W] on the way in, float32 tensors [3, h, w],
normalised, and int64 tensors [h, w] on the way out. Both pipelines are those of the public implementations.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Generator, Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from dmnet import systems
from dmnet.datasets.base import IGNORE
from dmnet.images import read_image
from dmnet.systems import Recipe, System

MEAN = (123.675, 116.28, 103.53)  # of ImageNet's RGB values in 0..255
STD = (58.395, 57.12, 57.375)
CROP_DRAWS = 10

Bytes = NDArray[np.uint8]


def normalise(image: Tensor) -> Tensor:
    """RGB values 0..255, [..., 3, H, W] -> float32 with about zero mean and unit variance over ImageNet."""
    return tv.normalize(image.float(), list(MEAN), list(STD))


def denormalise(image: Tensor) -> Bytes:
    """Return the picture, uint8 [H, W, 3], behind a normalised image [3, H, W]."""
    mean, std = torch.tensor(MEAN), torch.tensor(STD)
    values = image.detach().cpu().permute(1, 2, 0) * std + mean
    return values.round().clamp(0, 255).to(torch.uint8).numpy()


def fitted_size(size: tuple[int, int], limits: tuple[int, int]) -> tuple[int, int]:
    """Return the largest size of the same shape whose sides stay within the limits.

    Args:
        size: (height, width), in pixels.
        limits: of the long side and of the short side. The order of the two doesn't matter.

    Returns:
        (height, width), rounded half up as in mmcv, each at least 1.
    """
    scale = min(max(limits) / max(size), min(limits) / min(size))
    height, width = (max(int(side * scale + 0.5), 1) for side in size)
    return height, width


def evaluation_image(system: System | str | None, image: Any) -> Tensor:
    """Return an image as the network sees it when it is scored.

    Resized to the limits of the system's evaluation protocol (ratio kept, bilinear, without anti-aliasing,
    values rounded, as OpenCV does it), then normalised.

    Args:
        system: a `System` or the name of one; None leaves the image at its size.
        image: a path, a PIL image or an array; see `dmnet.images.read_image`.

    Returns:
        Tensor [3, h, w], float32.

    Raises:
        UnknownSystemError: if there is no such system.
        DataError: if the image cannot be read.
    """
    system = systems.get(system) if isinstance(system, str) else system
    pixels = _channels_first(read_image(image))
    if system is not None and system.evaluation.resize is not None:
        pixels = _resize_image(pixels, fitted_size(_size(pixels), system.evaluation.resize))
    return normalise(pixels)


@dataclass(frozen=True)
class TrainingTransform:
    """The published augmentation, in its order; a recipe's neutral values leave steps out.

    Resize by a random factor, random crop, flip, (quarter turn; half turn where height and width differ),
    photometric distortion, normalise, pad to the crop. The generator decides everything: the same state of it
    gives the same sample.
    """

    recipe: Recipe

    def __call__(self, image: Bytes, mask: Bytes, generator: Generator) -> tuple[Tensor, Tensor]:
        """Return one training sample.

        Args:
            image: uint8 [H, W, 3], RGB.
            mask: uint8 [H, W]; 255 is ignored.
            generator: source of all randomness.

        Returns:
            Image [3, h, w], float32, and mask [h, w], int64; h x w is the recipe's crop, if it has one.
        """
        recipe = self.recipe
        pixels, labels = _channels_first(image), torch.from_numpy(np.ascontiguousarray(mask))
        if recipe.resize is not None:
            pixels, labels = random_resize(pixels, labels, recipe.resize, recipe.scale_range, generator)
        if recipe.crop is not None:
            pixels, labels = random_crop(pixels, labels, recipe.crop, recipe.max_class_share, generator)
        if chance(recipe.flip, generator):
            pixels, labels = pixels.flip(-1), labels.flip(-1)
        if recipe.quarter_turns:
            height, width = recipe.crop or _size(labels)
            turns = integer(0, 3, generator) if height == width else 2 * integer(0, 1, generator)
            pixels, labels = pixels.rot90(turns, (-2, -1)), labels.rot90(turns, (-2, -1))
        if recipe.photometric:
            pixels = photometric_distortion(pixels, generator)
        normal = normalise(pixels)
        if recipe.crop is not None:
            normal, labels = pad_to(normal, labels, recipe.crop)
        return normal, labels.long()


def training_transform(recipe: Recipe) -> TrainingTransform:
    """Return the augmentation of `recipe`: a function of (image, mask, generator)."""
    return TrainingTransform(recipe)


# The steps -----------------------------------------------------------------------------------------------


def random_resize(
    image: Tensor, mask: Tensor, limits: tuple[int, int], factors: tuple[float, float], generator: Generator
) -> tuple[Tensor, Tensor]:
    """Resize, ratio kept, to `limits` (long, short) times one uniform factor."""
    factor = uniform(*factors, generator)
    size = fitted_size(_size(mask), (int(limits[0] * factor), int(limits[1] * factor)))
    # By pixel centres, as the bilinear image is sampled; OpenCV's "nearest" is off by up to half a pixel.
    resized = tv.resize(mask[None], list(size), InterpolationMode.NEAREST_EXACT)[0]
    return _resize_image(image, size), resized


def random_crop(
    image: Tensor, mask: Tensor, size: tuple[int, int], max_class_share: float, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Cut out a random window of `size`; all of a side that is shorter.

    A window is drawn again, 10 draws at most, while it shows fewer than two classes or while one class fills
    `max_class_share` or more of its labelled pixels. A share of 1 takes the first.
    """
    height, width = (min(side, wanted) for side, wanted in zip(_size(mask), size, strict=True))
    for _ in range(CROP_DRAWS):
        top = integer(0, mask.shape[-2] - height, generator)
        left = integer(0, mask.shape[-1] - width, generator)
        window = tv.crop(mask, top, left, height, width)
        if max_class_share >= 1 or _is_varied(window, max_class_share):
            break
    return tv.crop(image, top, left, height, width), window


def _is_varied(mask: Tensor, max_class_share: float) -> bool:
    pixels = torch.bincount(mask.flatten(), minlength=IGNORE + 1)
    pixels[IGNORE] = 0
    return int((pixels > 0).sum()) > 1 and int(pixels.max()) < max_class_share * int(pixels.sum())


def photometric_distortion(image: Tensor, generator: Generator) -> Tensor:
    """Change brightness, contrast, saturation and hue, each with probability 1/2.

    Contrast comes before saturation and hue or after them, at random.

    Args:
        image: [3, H, W], values 0..255.
        generator: source of all randomness.

    Returns:
        [3, H, W], float32, values 0..255.
    """
    image = image.float()
    contrast_first = chance(0.5, generator)
    if chance(0.5, generator):
        image = (image + uniform(-32, 32, generator)).clamp(0, 255)
    if contrast_first:
        image = _random_contrast(image, generator)
    if chance(0.5, generator):
        image = saturate(image, uniform(0.5, 1.5, generator))
    if chance(0.5, generator):
        turn = uniform(-18, 18, generator) / 180  # of the colour circle
        image = (tv.adjust_hue(image / 255, turn) * 255).clamp(0, 255)
    if not contrast_first:
        image = _random_contrast(image, generator)
    return image


def _random_contrast(image: Tensor, generator: Generator) -> Tensor:
    # About black, as in the public implementations; torchvision's contrast is about the mean grey.
    return (image * uniform(0.5, 1.5, generator)).clamp(0, 255) if chance(0.5, generator) else image


def saturate(image: Tensor, factor: float) -> Tensor:
    r"""Multiply the S of HSV (at most to 1); hue and value stay.

    $S = (V - \min) / V$ with $V$ the largest channel, so every channel's distance from $V$ grows by the same
    factor. (torchvision's `adjust_saturation` mixes with the luminance, which changes V.)
    """
    value = image.amax(-3, keepdim=True)
    spread = value - image.amin(-3, keepdim=True)
    factors = torch.clamp(value / spread.clamp(min=1e-6), max=factor)
    return (value - (value - image) * factors).clamp(min=0)  # rounding may fall just below


def pad_to(image: Tensor, mask: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Pad to `size`, half on each side: the normalised image with 0, the mask with 255."""
    down, right = (max(wanted - side, 0) for side, wanted in zip(_size(mask), size, strict=True))
    padding = (right // 2, right - right // 2, down // 2, down - down // 2)  # left, right, top, bottom
    return F.pad(image, padding), F.pad(mask, padding, value=IGNORE)


# Helpers -------------------------------------------------------------------------------------------------


def uniform(low: float, high: float, generator: Generator) -> float:
    """Draw a number from [low, high)."""
    return low + (high - low) * torch.rand((), generator=generator, dtype=torch.float64).item()


def integer(low: int, high: int, generator: Generator) -> int:
    """Draw a whole number from low to high, both included."""
    return int(torch.randint(low, high + 1, (), generator=generator))


def chance(probability: float, generator: Generator) -> bool:
    """Draw True with the given probability."""
    return uniform(0, 1, generator) < probability


def _channels_first(image: Bytes) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)


def _size(tensor: Tensor) -> tuple[int, int]:
    return tensor.shape[-2], tensor.shape[-1]


def _resize_image(image: Tensor, size: tuple[int, int]) -> Tensor:
    # In floats, rounded once: torchvision's uint8 path rounds after each axis, and OpenCV doesn't.
    resized = tv.resize(image.float(), list(size), InterpolationMode.BILINEAR, antialias=False)
    return resized.round().to(image.dtype)
