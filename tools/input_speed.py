"""Measure how fast images come in, against the same pipeline written the plain way with OpenCV and NumPy.

    python tools/input_speed.py            # data/results/input_speed.csv

Both run in one process on one thread, in turns, on the same drawn photographs and label maps. What is counted
is CPU time, so that other programs disturb little. A ratio above 1 means that ours is faster. Each draws at
random for itself; a turn is long enough for the draws to average out.

The plain pipeline is that of ssseg and mmseg, step by step, as a good programmer would write it, not the
slowest that can be: OpenCV wherever it has the function, no copies that nobody needs, and classes counted by
`np.bincount` where both count by `np.unique`, which takes several times as long.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image

import dmnet
from dmnet import zoo
from dmnet.files import atomic_write
from dmnet.images import read_image, read_mask
from dmnet.systems import Recipe
from dmnet.transforms import MEAN, STD, TrainingTransform, fitted_size

OUTPUT = Path(__file__).resolve().parents[1] / "data" / "results" / "input_speed.csv"
SIZES = {"voc": (375, 500), "cityscapes": (1024, 2048)}  # of the images, height and width
SCENES = 8

Array = NDArray[Any]
Sample = tuple[Array, Array]
Work = Callable[[int], object]  # the number of an image -> the image, ready


# The plain pipeline --------------------------------------------------------------------------------------


def plain_sample(recipe: Recipe, image: Array, mask: Array, random: np.random.Generator) -> Sample:
    """Return the image, float32 [3, h, w], and mask, int64 [h, w], of one training sample."""
    image, mask = plain_resize(recipe, image, mask, random)
    image, mask = plain_crop(recipe, image, mask, random)
    if random.random() < recipe.flip:
        image, mask = cv2.flip(image, 1), cv2.flip(mask, 1)
    image = plain_colours(image, random).astype(np.float32)
    cv2.subtract(image, (*MEAN, 0.0), image)
    cv2.multiply(image, (*(1 / s for s in STD), 0.0), image)
    down, right = recipe.crop[0] - image.shape[0], recipe.crop[1] - image.shape[1]
    if down or right:
        borders = (down // 2, down - down // 2, right // 2, right - right // 2)
        image = cv2.copyMakeBorder(image, *borders, cv2.BORDER_CONSTANT, value=0)
        mask = cv2.copyMakeBorder(mask, *borders, cv2.BORDER_CONSTANT, value=255)
    return np.ascontiguousarray(image.transpose(2, 0, 1)), mask.astype(np.int64)


def plain_resize(recipe: Recipe, image: Array, mask: Array, random: np.random.Generator) -> Sample:
    factor = random.uniform(*recipe.scale_range)
    limits = int(recipe.resize[0] * factor), int(recipe.resize[1] * factor)
    height, width = fitted_size(mask.shape, limits)
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return image, cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST)


def plain_crop(recipe: Recipe, image: Array, mask: Array, random: np.random.Generator) -> Sample:
    height, width = min(recipe.crop[0], mask.shape[0]), min(recipe.crop[1], mask.shape[1])
    for _ in range(10):
        top = random.integers(0, mask.shape[0] - height + 1)
        left = random.integers(0, mask.shape[1] - width + 1)
        window = slice(top, top + height), slice(left, left + width)
        counts = np.bincount(mask[window].ravel(), minlength=256)[:255]
        if (counts > 0).sum() > 1 and counts.max() < recipe.cat_max_ratio * counts.sum():
            break
    return image[window], mask[window]


def plain_colours(image: Array, random: np.random.Generator) -> Array:
    def changed(values: Array, factor: float = 1.0, shift: float = 0.0) -> Array:
        return np.clip(values.astype(np.float32) * factor + shift, 0, 255).astype(np.uint8)

    contrast_last = random.random() < 0.5
    if random.random() < 0.5:
        image = changed(image, shift=random.uniform(-32, 32))
    if not contrast_last and random.random() < 0.5:
        image = changed(image, random.uniform(0.5, 1.5))
    if random.random() < 0.5:
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        hsv[..., 1] = changed(hsv[..., 1], random.uniform(0.5, 1.5))
        image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    if random.random() < 0.5:
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(int) + random.integers(-18, 18)) % 180
        image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    if contrast_last and random.random() < 0.5:
        image = changed(image, random.uniform(0.5, 1.5))
    return image


# What is measured ----------------------------------------------------------------------------------------


def draw_scene(kind: str, seed: int) -> Sample:
    """Draw a soft, slightly noisy photograph and its label map.

    "voc": one to three objects with void borders before a background, so that many crops are drawn again;
    "cityscapes": a street of three bands with smaller objects.
    """
    random, (height, width) = np.random.default_rng(seed), SIZES[kind]
    coarse = random.integers(0, 256, (height // 40, width // 40, 3), np.uint8)
    soft = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    image = (soft + random.normal(0, 4, soft.shape)).clip(0, 255).astype(np.uint8)
    mask = np.zeros((height, width), np.uint8)
    if kind == "cityscapes":
        mask[: height // 3], mask[2 * height // 3 :] = 1, 2
    count, extent = (random.integers(1, 4), 0.25) if kind == "voc" else (20, 0.06)
    for _ in range(count):
        centre = int(random.integers(width)), int(random.integers(height))
        axes = tuple(int(side * extent * random.uniform(0.5, 1.5)) for side in (width, height))
        cv2.ellipse(mask, centre, axes, 0, 0, 360, int(random.integers(3, 19)), -1)
        cv2.ellipse(mask, centre, axes, 0, 0, 360, 255, 5)
    return image, mask


def augmenting(kind: str) -> tuple[Work, Work]:
    """Return ours and the plain way to make a training sample by the recipe of `kind`."""
    recipe = zoo.RECIPES[kind]
    scenes = [draw_scene(kind, seed) for seed in range(SCENES)]
    transform = TrainingTransform(recipe)

    def ours(number: int) -> object:
        return transform(*scenes[number % SCENES], torch.Generator().manual_seed(number))

    def plain(number: int) -> object:
        sample = plain_sample(recipe, *scenes[number % SCENES], np.random.default_rng(number))
        return [torch.from_numpy(array) for array in sample]

    return ours, plain


def reading(kind: str, folder: Path) -> tuple[Work, Work]:
    """Return ours and the plain way to read an image and its mask; VOC's photographs are JPEG files."""
    image, mask = draw_scene(kind, 0)
    photo, labels = str(folder / ("photo.jpg" if kind == "voc" else "photo.png")), str(folder / "labels.png")
    Image.fromarray(image).save(photo, quality=92)
    Image.fromarray(mask).save(labels)

    def ours(_: int) -> object:
        return read_image(photo), read_mask(labels)

    def plain(_: int) -> object:
        return cv2.imread(photo, cv2.IMREAD_COLOR_RGB), cv2.imread(labels, cv2.IMREAD_UNCHANGED)

    return ours, plain


def in_turn(first: Work, second: Work) -> Work:
    """Return what does one after the other."""
    return lambda number: (first(number), second(number))


def compare(ours: Work, plain: Work, turns: int, images: int) -> tuple[list[float], list[float]]:
    """Return the CPU seconds of each turn of so many images, of ours and of the plain way."""
    seconds: tuple[list[float], list[float]] = [], []
    ours(0), plain(0)  # neither pays for the first calls
    for turn in range(turns):
        order = [(ours, seconds[0]), (plain, seconds[1])]
        for work, times in order if turn % 2 else order[::-1]:
            start = time.process_time()
            for number in range(turn * images, (turn + 1) * images):
                work(number)
            times.append(time.process_time() - start)
    return seconds


def row(step: str, kind: str, work: tuple[Work, Work], turns: int, images: int) -> dict[str, Any]:
    ours, plain = compare(*work, turns, images)
    ratios = [other / own for own, other in zip(ours, plain, strict=True)]
    low, _, high = statistics.quantiles(ratios, n=4)
    height, width = SIZES[kind]
    return {
        "step": step,
        "recipe": kind,
        "image": f"{width}x{height}",
        "ours images/s per core": round(images / statistics.median(ours), 1),
        "plain images/s per core": round(images / statistics.median(plain), 1),
        "ratio": round(statistics.median(ratios), 2),
        "ratio, lower quartile": round(low, 2),
        "ratio, upper quartile": round(high, 2),
        "turns": turns,
        "images per turn": images,
        "version": dmnet.__version__,
        "torch": torch.__version__,
        "opencv": cv2.__version__,
        "numpy": np.__version__,
        "pillow": Image.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=21, help="of each pipeline (default: 21)")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="file to write")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for kind, images in (("voc", 96), ("cityscapes", 48)):
            augment, read = augmenting(kind), reading(kind, Path(folder))
            both = in_turn(read[0], augment[0]), in_turn(read[1], augment[1])
            for step, work in (("augment", augment), ("read", read), ("read and augment", both)):
                rows.append(row(step, kind, work, arguments.turns, 12 if step == "read" else images))
                print("  ".join(f"{name}: {value}" for name, value in list(rows[-1].items())[:8]), flush=True)
    with atomic_write(arguments.output) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
