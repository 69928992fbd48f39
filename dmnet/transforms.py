"""From a photograph to what the network sees: at evaluation, and with augmentation at training.

Images are uint8 RGB arrays [H, W, 3] and masks uint8 arrays [H, W] on the way in, float32 tensors [3, h, w],
normalised, and int64 tensors [h, w] on the way out. The steps are OpenCV's and NumPy's, not those of
torchvision.transforms.v2, which draw from a global state and cost more; the tests hold each against those.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from dmnet import systems
from dmnet.datasets.base import IGNORE
from dmnet.images import read_image
from dmnet.systems import Recipe, System

MEAN = (123.675, 116.28, 103.53)  # of ImageNet's RGB values in 0..255
STD = (58.395, 57.12, 57.375)
CROP_DRAWS = 10

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Size = tuple[int, int]  # height, width


def evaluation_image(system: System | str | None, image: Any) -> Tensor:
    """Return an image as the network sees it when it is scored, float32 [3, h, w]. Used in {doc}`04_dmnet`.

    It is read by `dmnet.images.read_image`, which says what may be given, and resized by the protocol of the
    `System`, or of the one of that name; None leaves it at its size.
    """
    system = systems.get(system) if isinstance(system, str) else system
    return network_input(read_image(image), system.evaluation.resize if system else None)


def network_input(pixels: Bytes, limits: Size | None) -> Tensor:
    """Return RGB pixels, uint8 [H, W, 3], as the network sees them: resized, normalised, float32 [3, h, w].

    `limits` are of the long and of the short side; None leaves the size. Used in {doc}`07_evaluation`.
    """
    if limits is not None:
        pixels = resize_image(pixels, fitted_size(pixels.shape[:2], limits))
    return torch.from_numpy(normalise(pixels)).permute(2, 0, 1)  # a view: channels stay last in memory


@dataclass(frozen=True)
class TrainingTransform:
    """The published augmentation; neutral values leave steps out. Shown in {doc}`06_training`."""

    recipe: Recipe

    def __call__(self, image: Bytes, mask: Bytes, generator: Generator) -> tuple[Tensor, Tensor]:
        """Return a training sample of an image, uint8 [H, W, 3], and its mask, uint8 [H, W].

        The sample is float32 [3, h, w] and int64 [h, w], of the size of the recipe's crop, if it has one.
        The generator decides everything: the same state of it gives the same sample.
        """
        recipe = self.recipe
        if recipe.resize is not None:
            image, mask = random_resize(image, mask, recipe.resize, recipe.scale_range, generator)
        if recipe.crop is not None:
            image, mask = random_crop(image, mask, recipe.crop, recipe.cat_max_ratio, generator)
        size = recipe.crop or mask.shape[:2]
        image, mask = random_flip(image, mask, recipe.flip, generator)
        if recipe.quarter_turns:
            image, mask = random_turn(image, mask, size, generator)
        pixels = photometric_distortion(image, generator) if recipe.photometric else image
        pixels, labels = pad(normalise(pixels), size, 0), pad(mask, size, IGNORE)
        planes = torch.from_numpy(pixels).permute(2, 0, 1).contiguous()
        return planes, torch.from_numpy(labels.astype(np.int64, order="C"))


def random_resize(
    image: Bytes, mask: Bytes, limits: tuple[int, int], scale_range: tuple[float, float], generator: Generator
) -> tuple[Bytes, Bytes]:
    """Resize, ratio kept, to `limits` (long, short) times one uniform factor. Shown in {doc}`06_training`."""
    factor = uniform(*scale_range, generator)
    size = fitted_size(mask.shape[:2], (int(limits[0] * factor), int(limits[1] * factor)))
    return resize_image(image, size), resize_mask(mask, size)


def random_crop(
    image: Bytes, mask: Bytes, size: Size, cat_max_ratio: float, generator: Generator
) -> tuple[Bytes, Bytes]:
    """Cut out a random window of `size`, and all of a side that is shorter. Shown in {doc}`06_training`.

    A window is drawn again, 10 draws at most, while it shows fewer than two classes or while one class fills
    `cat_max_ratio` or more of its labelled pixels. A ratio of 1 takes the first.
    """
    height, width = (min(side, wanted) for side, wanted in zip(mask.shape[:2], size, strict=True))
    for _ in range(CROP_DRAWS):
        top = integer(0, mask.shape[0] - height, generator)
        left = integer(0, mask.shape[1] - width, generator)
        window = slice(top, top + height), slice(left, left + width)
        if cat_max_ratio >= 1:
            break
        counts = cv2.calcHist([mask[window]], [0], None, [IGNORE], [0, IGNORE])  # of each label but 255
        if counts.max() < cat_max_ratio * counts.sum():  # so there are two classes at least
            break
    return image[window], mask[window]


def random_flip(image: Bytes, mask: Bytes, probability: float, generator: Generator) -> tuple[Bytes, Bytes]:
    """Mirror left and right with the given probability. Shown in {doc}`06_training`."""
    if chance(probability, generator):
        return cv2.flip(image, 1), cv2.flip(mask, 1)
    return image, mask


def random_turn(image: Bytes, mask: Bytes, size: Size, generator: Generator) -> tuple[Bytes, Bytes]:
    """Turn by a multiple of 90 degrees, of 180 if `size` is no square. Used in {doc}`06_training`."""
    turns = integer(0, 3, generator) if size[0] == size[1] else 2 * integer(0, 1, generator)
    return np.rot90(image, turns), np.rot90(mask, turns)


def photometric_distortion(image: Bytes, generator: Generator) -> Floats:
    """Change brightness, contrast, saturation and hue, each with probability 1/2.

    Contrast comes before or after saturation and hue. It is a factor on the values: about black, as in the
    public implementations, not about the mean grey. They cut each result down to whole numbers 0..255; here
    all stays within 0..255, and nothing is rounded. Shown in {doc}`06_training`.
    """
    contrast_first = chance(0.5, generator)
    values = np.arange(256, dtype=np.float32)  # what becomes of each: quicker than of each pixel
    if chance(0.5, generator):
        values = np.clip(values + uniform(-32, 32, generator), 0, 255)
    if contrast_first and chance(0.5, generator):
        values = np.clip(values * uniform(0.5, 1.5, generator), 0, 255)
    colours = cv2.LUT(image, values)
    saturation = uniform(0.5, 1.5, generator) if chance(0.5, generator) else 1.0
    hue_shift = uniform(-18, 18, generator) / 180 if chance(0.5, generator) else 0.0
    if saturation != 1 or hue_shift != 0:
        colours = adjust_hsv(colours, saturation, hue_shift)
    if not contrast_first and chance(0.5, generator):
        colours *= uniform(0.5, 1.5, generator)
        np.clip(colours, 0, 255, out=colours)
    return colours


def fitted_size(size: Size, limits: tuple[int, int]) -> Size:
    """Return the largest (height, width) of the same shape whose sides stay within the limits, in any order.

    Rounded half up as in mmcv, each at least 1. Used in {doc}`07_evaluation`.
    """
    scale = min(max(limits) / max(size), min(limits) / min(size))
    height, width = (max(int(side * scale + 0.5), 1) for side in size)
    return height, width


def resize_image(image: Bytes, size: Size) -> Bytes:
    """Resize to (height, width), bilinear without anti-aliasing. Used in {doc}`06_training`."""
    return image if size == image.shape[:2] else cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)


def resize_mask(mask: Bytes, size: Size) -> Bytes:
    """Resize to (height, width), nearest by pixel centres, as the image is sampled.

    OpenCV's "nearest" is off by up to half a pixel, its "nearest exact" a little. Used in {doc}`06_training`.
    """
    for axis in (1, 0):
        old, new = mask.shape[axis], size[axis]
        # The centre of pixel i, (i + 1/2) old / new, lies in pixel floor(that).
        mask = np.take(mask, (2 * np.arange(new) + 1) * old // (2 * new), axis)
    return mask


def adjust_hsv(image: Floats, saturation: float, hue_shift: float) -> Floats:
    """Multiply the S of HSV by a factor, at most to 1, and shift H by a part of the colour circle; V stays.

    Takes and returns RGB values 0..255, [H, W, 3]. A shift of 1/3 makes red green, green blue and blue red.
    Shown in {doc}`06_training`.
    """
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)  # in degrees, 0..1 and 0..255
    if hue_shift != 0:
        hsv[..., 0] += hue_shift % 1 * 360  # OpenCV takes hues of 360 degrees and more modulo 360
    if saturation != 1:
        hsv[..., 1] = np.minimum(hsv[..., 1] * saturation, 1)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def normalise(image: Bytes | Floats) -> Floats:
    """Take RGB values 0..255, [H, W, 3], to mean 0, variance 1 over ImageNet. Shown in {doc}`06_training`."""
    height, width, _ = image.shape  # row by row: NumPy is slow at inner loops of three
    mean, std = (np.tile(np.array(values, np.float32), width) for values in (MEAN, STD))
    rows = image.reshape(height, 3 * width) - mean
    rows /= std  # in place: large arrays are slow to get
    return rows.reshape(image.shape)


def pad(array: NDArray[Any], size: Size, value: float) -> NDArray[Any]:
    """Pad an image or a mask with a value to `size`, half on each side. Shown in {doc}`06_training`."""
    down, right = (max(new - old, 0) for old, new in zip(array.shape[:2], size, strict=True))
    if not (down or right):
        return array
    borders = (down // 2, down - down // 2, right // 2, right - right // 2)
    return cv2.copyMakeBorder(array, *borders, cv2.BORDER_CONSTANT, value=(value,) * 3)


def uniform(low: float, high: float, generator: Generator) -> float:
    """Draw a number from [low, high). Used in {doc}`06_training`."""
    return low + (high - low) * torch.rand((), generator=generator, dtype=torch.float64).item()


def integer(low: int, high: int, generator: Generator) -> int:
    """Draw a whole number from low to high, both included. Used in {doc}`06_training`."""
    return int(torch.randint(low, high + 1, (), generator=generator))


def chance(probability: float, generator: Generator) -> bool:
    """Draw True with the given probability. Used in {doc}`06_training`."""
    return uniform(0, 1, generator) < probability
