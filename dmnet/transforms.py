"""From a photograph to what the network sees: at evaluation, and with augmentation at training.

Images are uint8 RGB arrays [H, W, 3] and masks uint8 arrays [H, W] on the way in, float32 tensors [3, h, w],
normalised, and int64 tensors [h, w] on the way out. Both pipelines are those of the public implementations.

The steps are OpenCV's and NumPy's, not those of torchvision.transforms.v2: theirs draw from a global state,
which no generator decides, and resizing, hue and normalising in floats cost several times as much. The tests
hold each step against torchvision's; `tools/input_speed.py` measures how fast the whole is.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
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
STRIP = 2**15  # pixels that are distorted and normalised at a time: floats that stay in the processor's cache

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Window = tuple[slice, slice]  # rows, columns


def normalise(image: Bytes | Floats) -> Floats:
    """RGB values 0..255, [H, W, 3] -> float32 with about zero mean and unit variance over ImageNet."""
    height, width, _ = image.shape
    rows = image.reshape(height, 3 * width).astype(np.float32)  # NumPy is slow at inner loops of three
    rows -= _row(MEAN, width)
    rows /= _row(STD, width)
    return rows.reshape(image.shape)


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
    by OpenCV), then normalised.

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
    return network_input(read_image(image), system.evaluation.resize if system else None)


def network_input(pixels: Bytes, limits: tuple[int, int] | None) -> Tensor:
    """Return pixels, uint8 [H, W, 3], as the network sees them: resized, then normalised.

    Args:
        pixels: RGB.
        limits: of the long and of the short side (ratio kept, bilinear); None leaves the image at its size.

    Returns:
        Tensor [3, h, w], float32.
    """
    if limits is not None:
        pixels = resize_image(pixels, fitted_size(_size(pixels), limits))
    return _channels_first(normalise(pixels))


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
        recipe, size = self.recipe, _size(mask)
        if recipe.resize is not None:
            size = random_size(size, recipe.resize, recipe.scale_range, generator)
        if recipe.crop is None:
            pixels, labels = resize_image(image, size), resize_mask(mask, size)
        else:  # only what the crop keeps is resized
            window, labels = random_window(mask, size, recipe.crop, recipe.max_class_share, generator)
            pixels = resize_image(image, size, window)
        if chance(recipe.flip, generator):
            pixels, labels = cv2.flip(pixels, 1), cv2.flip(labels, 1)
        if recipe.quarter_turns:
            height, width = recipe.crop or size
            turns = integer(0, 3, generator) if height == width else 2 * integer(0, 1, generator)
            pixels, labels = np.rot90(pixels, turns), np.rot90(labels, turns)
        distortion = draw_distortion(generator) if recipe.photometric else None
        size = recipe.crop or _size(labels)
        labels = pad_to(labels, size, IGNORE)
        return _network_input(pixels, distortion, size), torch.from_numpy(labels.astype(np.int64, order="C"))


def _network_input(image: Bytes, distortion: "Distortion | None", size: tuple[int, int]) -> Tensor:
    """Distort, normalise and pad an image, strip by strip. Returns [3, *size], float32."""
    height, width = _size(image)
    top, _, left, _ = _borders((height, width), size)
    planes = np.zeros((3, *size), np.float32)
    inner = planes[:, top : top + height, left : left + width]
    step = max(STRIP // width, 1)
    for start in range(0, height, step):
        rows = slice(start, start + step)
        strip = distort(image[rows], distortion) if distortion else image[rows]
        inner[:, rows] = normalise(strip).transpose(2, 0, 1)
    return torch.from_numpy(planes)


def training_transform(recipe: Recipe) -> TrainingTransform:
    """Return the augmentation of `recipe`: a function of (image, mask, generator)."""
    return TrainingTransform(recipe)


# The steps -----------------------------------------------------------------------------------------------


def random_resize(
    image: Bytes, mask: Bytes, limits: tuple[int, int], factors: tuple[float, float], generator: Generator
) -> tuple[Bytes, Bytes]:
    """Resize, ratio kept, to `limits` (long, short) times one uniform factor."""
    size = random_size(_size(mask), limits, factors, generator)
    return resize_image(image, size), resize_mask(mask, size)


def random_size(
    size: tuple[int, int], limits: tuple[int, int], factors: tuple[float, float], generator: Generator
) -> tuple[int, int]:
    """Return `size` (height, width), fitted to `limits` (long, short) times one uniform factor."""
    factor = uniform(*factors, generator)
    return fitted_size(size, (int(limits[0] * factor), int(limits[1] * factor)))


def resize_image(image: Bytes, size: tuple[int, int], window: Window | None = None) -> Bytes:
    """Return the image resized to `size`, bilinearly without anti-aliasing, or only a window of the result.

    With a window, what lies to the right of it and below is not computed; the pixels are the same.
    """
    rows, columns = window or (slice(size[0]), slice(size[1]))
    if size != _size(image):
        (height, width), (new_height, new_width) = _size(image), size
        # Where the window's last row and column end in the image, rounded up, and a neighbour to mix with.
        bottom = -(-rows.stop * height // new_height) + 1
        right = -(-columns.stop * width // new_width) + 1
        fy, fx = new_height / height, new_width / width
        if (round(bottom * fy), round(right * fx)) == (bottom, right):  # OpenCV would copy the part as it is
            bottom, right = height, width
        # Factors, not a size: OpenCV would derive other ones from the part's own size.
        image = cv2.resize(image[:bottom, :right], None, fx=fx, fy=fy, interpolation=cv2.INTER_LINEAR)
    return image[rows, columns]


def resize_mask(mask: Bytes, size: tuple[int, int], window: Window | None = None) -> Bytes:
    """Return the mask resized to `size`, nearest by pixel centres, or only a window of the result.

    So is the bilinear image sampled. (OpenCV's "nearest" is off by up to half a pixel.)
    """
    window = window or (slice(size[0]), slice(size[1]))
    if size == _size(mask):
        return mask[window]
    # The centre of pixel i, (i + 1/2) old / new, lies in pixel floor(that).
    rows, columns = (
        (2 * np.arange(new)[part] + 1) * old // (2 * new)
        for old, new, part in zip(_size(mask), size, window, strict=True)
    )
    return mask[rows][:, columns]


def random_crop(
    image: Bytes, mask: Bytes, size: tuple[int, int], max_class_share: float, generator: Generator
) -> tuple[Bytes, Bytes]:
    """Cut out a random window of `size`; all of a side that is shorter. See `random_window`."""
    window, labels = random_window(mask, _size(mask), size, max_class_share, generator)
    return image[window], labels


def random_window(
    mask: Bytes, size: tuple[int, int], crop: tuple[int, int], max_class_share: float, generator: Generator
) -> tuple[Window, Bytes]:
    """Draw where to crop: a window that shows more than one class, if there is one.

    A window is drawn again, 10 draws at most, while it shows fewer than two classes or while one class fills
    `max_class_share` or more of its labelled pixels. A share of 1 takes the first.

    Args:
        mask: uint8 [H, W]; 255 is ignored.
        size: (height, width) that image and mask are resized to.
        crop: (height, width) of the window; all of a side of `size` that is shorter.
        max_class_share: see above.
        generator: source of all randomness.

    Returns:
        The window's rows and columns of the resized image, and the resized mask in it.
    """
    height, width = (min(side, wanted) for side, wanted in zip(size, crop, strict=True))
    for _ in range(CROP_DRAWS):
        top = integer(0, size[0] - height, generator)
        left = integer(0, size[1] - width, generator)
        window = slice(top, top + height), slice(left, left + width)
        labels = resize_mask(mask, size, window)
        if max_class_share >= 1 or _is_varied(labels, max_class_share):
            break
    return window, labels


def _is_varied(mask: Bytes, max_class_share: float) -> bool:
    pixels = cv2.calcHist([mask], [0], None, [IGNORE], [0, IGNORE])  # of each label but 255
    return bool((pixels > 0).sum() > 1 and pixels.max() < max_class_share * pixels.sum())


def photometric_distortion(image: Bytes, generator: Generator) -> Floats:
    """Change brightness, contrast, saturation and hue at random: see `draw_distortion` and `distort`."""
    return distort(image, draw_distortion(generator))


@dataclass(frozen=True)
class Distortion:
    """How the colours of an image change; the defaults change nothing."""

    contrast_first: bool  # before saturation and hue, not after them
    brightness: float = 0.0  # is added
    contrast: float = 1.0  # factor: about black, as in the public implementations, not about the mean grey
    saturation: float = 1.0  # factor
    turn: float = 0.0  # of the hue, in parts of the colour circle

    @cached_property
    def values(self) -> Floats:
        """What the first steps make of the values 0..255, [256]."""
        values = (np.arange(256, dtype=np.float32) + self.brightness).clip(0, 255)
        return (values * self.contrast).clip(0, 255) if self.contrast_first else values


def draw_distortion(generator: Generator) -> Distortion:
    """Draw a distortion: each of its changes has probability 1/2, and so has contrast to be early or late."""

    def drawn(low: float, high: float, neutral: float) -> float:
        return uniform(low, high, generator) if chance(0.5, generator) else neutral

    contrast_first = chance(0.5, generator)
    brightness = drawn(-32, 32, 0)
    contrast = drawn(0.5, 1.5, 1) if contrast_first else 1.0
    saturation = drawn(0.5, 1.5, 1)
    turn = drawn(-18, 18, 0) / 180
    if not contrast_first:
        contrast = drawn(0.5, 1.5, 1)
    return Distortion(contrast_first, brightness, contrast, saturation, turn)


def distort(image: Bytes, distortion: Distortion) -> Floats:
    """Change the colours: brightness, contrast if it is early, saturation and hue, contrast if it is late.

    Every step stays within 0..255. The public implementations cut each result down to whole numbers; here
    nothing is rounded.

    Args:
        image: uint8 [H, W, 3], RGB.
        distortion: see there.

    Returns:
        [H, W, 3], float32, values 0..255.
    """
    colours = cv2.LUT(image, distortion.values)
    if distortion.saturation != 1 or distortion.turn != 0:
        colours = change_hsv(colours, distortion.saturation, distortion.turn)
    if distortion.contrast != 1 and not distortion.contrast_first:
        colours *= distortion.contrast
        np.clip(colours, 0, 255, out=colours)
    return colours


def change_hsv(image: Floats, saturation: float, turn: float) -> Floats:
    """Multiply the S of HSV by a factor, at most to 1, and turn H by a part of the colour circle; V stays.

    Args:
        image: [H, W, 3], float32, RGB values 0..255.
        saturation: factor, at least 0.
        turn: -1..1; 1/3 makes red green, green blue and blue red.

    Returns:
        [H, W, 3], float32, RGB values 0..255.
    """
    height, width, _ = image.shape
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV).reshape(height, 3 * width)  # in degrees, 0..1 and 0..255
    if saturation != 1:
        hsv *= _row((1, saturation, 1), width)
        np.minimum(hsv, _row((np.inf, 1, np.inf), width), out=hsv)
    if turn != 0:
        hsv += _row((turn % 1 * 360, 0, 0), width)  # OpenCV takes hues of 360 degrees and more modulo 360
    return cv2.cvtColor(hsv.reshape(image.shape), cv2.COLOR_HSV2RGB)


def pad_to(array: NDArray[Any], size: tuple[int, int], value: float) -> NDArray[Any]:
    """Pad an image or a mask with a value to `size`, half on each side."""
    borders = _borders(_size(array), size)
    return (
        cv2.copyMakeBorder(array, *borders, cv2.BORDER_CONSTANT, value=(value,) * 3)
        if any(borders)
        else array
    )


def _borders(size: tuple[int, int], wanted: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return how many pixels are missing at the top, bottom, left and right."""
    down, right = (max(new - old, 0) for old, new in zip(size, wanted, strict=True))
    return down // 2, down - down // 2, right // 2, right - right // 2


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


def _size(array: NDArray[Any]) -> tuple[int, int]:
    return array.shape[0], array.shape[1]


@lru_cache(maxsize=8)
def _row(colour: tuple[float, float, float], width: int) -> Floats:
    """Return the colour `width` times, [3 * width]."""
    return np.tile(np.array(colour, np.float32), width)


def _channels_first(image: Floats) -> Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)  # a view: the values stay channels-last in memory
