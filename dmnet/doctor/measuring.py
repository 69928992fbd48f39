"""What the label doctor measures: one image and its mask, also one of colours, which the reader refuses."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from io import BytesIO
from os import cpu_count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from dmnet.datasets.files import FileDataset
from dmnet.errors import DataError
from dmnet.files import progress
from dmnet.images import LABEL_MODES, LOSSY, as_rgb, decode, open_mask, reading

GRID = 96  # longest side of the small copies that borders and edges are compared on
KEPT = 64  # examples whose small copies are kept
_COLOURS = 64  # colours of a mask that are kept, the most frequent ones
_NO_COPY = np.zeros((0, 0), np.uint8)

Size = tuple[int, int]  # width, height
Colour = tuple[int, int, int]  # red, green, blue


@dataclass(frozen=True, eq=False)
class ImageFacts:
    """What is known of an image. Used in {doc}`05_data`."""

    name: str  # its file, or the id
    size: Size  # as the eye sees it
    stored: Size  # as the file holds it; another one where EXIF data turn the image
    turned: bool  # whether EXIF data turn or mirror it
    digest: bytes  # of the file, or of the pixels if there is none
    small: NDArray[np.uint8]  # [h, w], its grey values, upright, at most `GRID` pixels; empty if not kept
    raw: NDArray[np.uint8]  # the same of the pixels as stored
    values: frozenset[int] = frozenset()  # of a palette or grey image that has few, and no lossy format


@dataclass(frozen=True, eq=False)
class MaskFacts:
    """What is known of a mask. Used in {doc}`05_data`."""

    name: str  # its file, or the id
    size: Size
    counts: NDArray[np.int64]  # [256], pixels of every stored value; all 0 in a mask of colours
    steps: int  # places where the value changes along a row; of a tall mask, some of its rows
    between: NDArray[np.int64]  # [256], the values that lie between their neighbours': a ramp, not a border
    outside: tuple[int, ...]  # values below 0 or above 255, up to ten
    small: NDArray[np.uint8]  # [h, w], the values on the grid of the image's small copy
    mode: str = "array"  # Pillow's of a file, e.g. "P" or "RGB"
    lossy: str = ""  # the name of the file's format if it changes values
    colours: tuple[tuple[Colour, int], ...] = ()  # of a mask of colours, the most frequent ones: their pixels
    palette: tuple[tuple[int, Colour], ...] = ()  # of a palette mask, the values that occur: their colours


@dataclass(frozen=True, eq=False)
class Measurement:
    """One example: its facts, or why there are none. Used in {doc}`05_data`."""

    image: ImageFacts | None  # None if it could not be read
    mask: MaskFacts | None  # None if it could not be read
    problems: Mapping[str, str] = field(default_factory=dict)  # file, or id -> why it cannot be used


def measure(dataset: Any, indices: Sequence[int]) -> Iterator[Measurement]:
    """Measure some examples, in their order; files by a thread per core. Used in {doc}`05_data`."""
    label = f"examining {getattr(dataset, 'split', '')}".rstrip()
    step = max(len(indices) // KEPT, 1)
    with ThreadPoolExecutor(cpu_count() or 1) as pool:
        if isinstance(dataset, FileDataset):
            found = pool.map(lambda index: _from_files(*dataset.files[dataset.ids[index]]), indices)
        else:
            found = (_from_arrays(dataset, index) for index in indices)
        for position, one in enumerate(progress(found, total=len(indices), desc=label)):
            # To save memory, small copies are kept of about `KEPT` examples, and of images that are turned.
            if position % step and not (one.image and one.image.turned):
                image = one.image and replace(one.image, small=_NO_COPY, raw=_NO_COPY)
                one = replace(one, image=image, mask=one.mask and replace(one.mask, small=_NO_COPY))
            yield one


def spread(size: int, count: int) -> list[int]:
    """Return `count` of 0 .. size - 1, evenly spread; all if there are fewer. Used in {doc}`05_data`."""
    return np.linspace(0, size - 1, min(size, count)).astype(int).tolist()


def _from_files(*files: Path | None) -> Measurement:
    """Measure an image and its mask."""
    facts: list[Any] = []
    problems: dict[str, str] = {}
    for file, read in zip(files, (_image_facts, _mask_file_facts), strict=True):
        try:
            with reading(file):
                facts.append(file and read(file))
        except DataError as error:
            facts.append(None)
            problems[str(file)] = str(error)
    image, mask = facts
    return Measurement(image, mask, problems)


def _from_arrays(dataset: Any, index: int) -> Measurement:
    """Measure what `dataset[index]` returns."""
    name = dataset.ids[index] if hasattr(dataset, "ids") else f"example {index}"
    try:
        image, mask, name = dataset[index]
        image, mask = np.asarray(image), np.asarray(mask)
        right = image.dtype == np.uint8 and image.shape[2:] == (3,)
        if not right or mask.ndim != 2 or mask.dtype.kind not in "iub":
            seen = f"image {image.dtype} {list(image.shape)}, mask {mask.dtype} {list(mask.shape)}"
            raise DataError(f"{name}: {seen}; they must be uint8 [H, W, 3] and integers [H, W]")
    except (DataError, OSError) as error:
        return Measurement(None, None, {name: str(error)})
    size = (image.shape[1], image.shape[0])
    small = _small_grey(Image.fromarray(image))
    facts = ImageFacts(name, size, size, False, hashlib.blake2b(image.tobytes()).digest(), small, small)
    return Measurement(facts, _mask_facts(name, mask))


def _image_facts(file: Path) -> ImageFacts:
    """Measure an image's file. It is decoded to its end, and refused as `dmnet.images` refuses it."""
    content = file.read_bytes()
    with Image.open(BytesIO(content)) as image:
        stored, drawn = image.size, image.mode in ("L", "P") and image.format not in LOSSY
        # A JPEG decoded at a quarter of its size is read to its end all the same, in less than half the time.
        image.draft("L", (max(stored[0] // 4, GRID), max(stored[1] // 4, GRID)))
        decode(image, file)
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        few: Any = image.getcolors(_COLOURS) if drawn else None
        plain = image if image.mode in ("L", "RGB") else Image.fromarray(as_rgb(image, file))
        small = raw = _small_grey(plain)
        if turned := orientation in range(2, 9):
            plain.getexif()[ExifTags.Base.Orientation] = orientation
            small = _small_grey(ImageOps.exif_transpose(plain))
    size = (stored[1], stored[0]) if orientation in range(5, 9) else stored
    values = frozenset(value for _, value in few or ())
    return ImageFacts(str(file), size, stored, turned, hashlib.blake2b(content).digest(), small, raw, values)


def _small_grey(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image.convert("L").resize(_grid(image.size), Image.Resampling.BOX))


def _grid(size: Size) -> Size:
    """Return the size on the coarse grid; close to the same whatever the file was decoded at."""
    scale = min(GRID / max(size), 1)
    return max(round(size[0] * scale), 1), max(round(size[1] * scale), 1)


def read_stored(source: Path) -> tuple[NDArray[Any], Image.Image]:
    """Return a mask's numbers [H, W], or colours [H, W, 3], and Pillow's image. Used in {doc}`05_data`."""
    image = open_mask(source, lossy=True)
    if image.mode == "F":
        return np.rint(np.asarray(image)).astype(np.int64), image
    return np.asarray(image if image.mode in LABEL_MODES else image.convert("RGB")), image


def _mask_file_facts(file: Path) -> MaskFacts:
    """Measure a mask's file."""
    values, image = read_stored(file)
    facts = _mask_facts(str(file), values if values.ndim == 2 else _NO_COPY)
    lossy = image.format if image.format in LOSSY else ""
    facts = replace(facts, size=image.size, mode=image.mode, lossy=lossy)
    if values.ndim == 3:
        found: list[Any] = image.convert("RGB").getcolors(image.width * image.height) or []
        most = sorted(found, reverse=True)[:_COLOURS]
        return replace(facts, colours=tuple((colour, count) for count, colour in most))
    colours = np.reshape(image.getpalette("RGB") or [], (-1, 3)).tolist() if image.mode == "P" else []
    used = [value for value in np.flatnonzero(facts.counts).tolist() if value < len(colours)]
    return replace(facts, palette=tuple((value, tuple(colours[value])) for value in used))


def _mask_facts(name: str, array: NDArray[Any]) -> MaskFacts:
    """Measure the values of a mask, integers [H, W]."""
    height, width = array.shape
    inside = (array >= 0) & (array <= 255)
    outside = tuple(np.unique(array[~inside])[:10].tolist())
    values = np.where(inside, array, 0).astype(np.uint8)
    rows = values[:: max(height // 256, 1)]
    rising, falling = rows[:, :-1] < rows[:, 1:], rows[:, :-1] > rows[:, 1:]
    steps = int(np.count_nonzero(rising) + np.count_nonzero(falling))
    ramps = (rising[:, :-1] & rising[:, 1:]) | (falling[:, :-1] & falling[:, 1:])
    between = np.bincount(rows[:, 1:-1][ramps], minlength=256)
    counts, small = np.bincount(values.ravel(), minlength=256), values
    if values.size:
        small = np.asarray(Image.fromarray(values).resize(_grid((width, height)), Image.Resampling.NEAREST))
    return MaskFacts(name, (width, height), counts, steps, between, outside, small)
