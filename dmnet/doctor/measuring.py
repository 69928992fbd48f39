"""What the label doctor measures: one image and its mask, read below the readers' refusals.

`dmnet.images.read_mask` refuses a mask of colours; here it is opened all the same, so that `labels` can say
which colours it holds.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from io import BytesIO
from os import PathLike, cpu_count
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from dmnet.datasets.files import FileDataset
from dmnet.errors import DataError
from dmnet.files import progress
from dmnet.images import BROKEN, LABEL_MODES, LOSSY

GRID = 96  # longest side of the small copies that borders and edges are compared on
KEPT = 64  # examples whose small copies are kept
_COLOURS = 64  # colours of a mask that are kept, the most frequent ones
_NO_COPY = np.zeros((0, 0), np.uint8)

Size = tuple[int, int]  # width, height
Colour = tuple[int, int, int]  # red, green, blue


@dataclass(frozen=True, eq=False)
class ImageFacts:
    """What is known of an image. Used in {doc}`02_data`."""

    size: Size  # as the eye sees it
    stored: Size  # as the file holds it; another one where EXIF data turn the image
    turned: bool  # whether EXIF data turn or mirror it
    digest: bytes  # of the file, or of the pixels if there is none
    small: NDArray[np.uint8]  # [h, w], its grey values, upright, at most `GRID` pixels; empty if not kept
    raw: NDArray[np.uint8]  # the same of the pixels as stored


@dataclass(frozen=True, eq=False)
class MaskFacts:
    """What is known of a mask. Used in {doc}`02_data`."""

    size: Size
    counts: NDArray[np.int64]  # [256], pixels of every stored value; all 0 in a mask of colours
    steps: int  # places where the value changes along a row; of a tall mask, some of its rows
    between: int  # pixels that lie strictly between two different neighbours in value: a ramp, not a border
    outside: tuple[int, ...]  # values below 0 or above 255, up to ten
    small: NDArray[np.uint8]  # [h, w], the values on the grid of the image's small copy
    mode: str = "array"  # Pillow's of a file, e.g. "P" or "RGB"
    lossy: str = ""  # the name of the file's format if it changes values
    colours: tuple[tuple[Colour, int], ...] = ()  # of a mask of colours, the most frequent ones: their pixels
    palette: tuple[tuple[int, Colour], ...] = ()  # of a palette mask, the values that occur: their colours


@dataclass(frozen=True, eq=False)
class Measurement:
    """One example: its facts, or why there are none. Used in {doc}`02_data`."""

    image_name: str  # the image's file, or the id
    mask_name: str  # the mask's file, or the id
    image: ImageFacts | None = None  # None if it could not be read
    mask: MaskFacts | None = None  # None if it could not be read
    problems: Mapping[str, str] = field(default_factory=dict)  # file, or id -> why it cannot be used


def measure(dataset: Any, indices: Sequence[int]) -> Iterator[Measurement]:
    """Measure some examples, in their order. Used in {doc}`02_data`.

    The files of a `FileDataset` are opened directly, by a thread per core. Another data set is read by one
    thread, since nobody knows whether it bears several.

    Small copies are kept of `KEPT` examples or a few more, and of images that EXIF data turn; those of all
    would fill the memory.
    """
    label = f"examining {getattr(dataset, 'split', '')}".rstrip()
    step = max(len(indices) // KEPT, 1)
    with ThreadPoolExecutor(cpu_count() or 1) as pool:
        if isinstance(dataset, FileDataset):
            found = pool.map(lambda index: _from_files(dataset, dataset.ids[index]), indices)
        else:
            found = (_from_arrays(dataset, index) for index in indices)
        for position, one in enumerate(progress(found, total=len(indices), desc=label)):
            if position % step and not (one.image and one.image.turned):
                image = one.image and replace(one.image, small=_NO_COPY, raw=_NO_COPY)
                one = replace(one, image=image, mask=one.mask and replace(one.mask, small=_NO_COPY))
            yield one


def spread(size: int, count: int) -> list[int]:
    """Return `count` of the numbers 0 .. size - 1, evenly spread; all if there are fewer.

    Used in {doc}`02_data`.
    """
    return np.linspace(0, size - 1, min(size, count)).astype(int).tolist()


def _from_files(dataset: FileDataset, name: str) -> Measurement:
    """Measure the two files of one id."""
    facts: dict[str, Any] = {}
    problems: dict[str, str] = {}
    kinds = (("image", _image_facts), ("mask", _mask_file_facts))
    for (kind, read), file in zip(kinds, dataset.files[name], strict=True):
        facts[f"{kind}_name"] = str(file or name)
        try:
            facts[kind] = file and read(file.read_bytes())
        except UnidentifiedImageError:
            problems[str(file)] = f"{file} is no image that Pillow reads, or its head is damaged"
        except BROKEN as error:
            problems[str(file)] = f"{file} is damaged or cut off: {error}"
    return Measurement(**facts, problems=problems)


def _from_arrays(dataset: Any, index: int) -> Measurement:
    """Measure what `dataset[index]` returns."""
    try:
        image, mask, name = dataset[index]
    except (DataError, OSError) as error:
        name = dataset.ids[index] if hasattr(dataset, "ids") else f"example {index}"
        return Measurement(name, name, problems={name: str(error)})
    image, mask = np.asarray(image), np.asarray(mask)
    wrong = ""
    if image.ndim != 3 or image.shape[-1] != 3 or image.dtype != np.uint8:
        wrong = f"{name}: the image is {image.dtype} {list(image.shape)}, not uint8 [H, W, 3]"
    elif mask.ndim != 2 or mask.dtype.kind not in "iub":
        wrong = f"{name}: the mask is {mask.dtype} {list(mask.shape)}, not integers [H, W]"
    if wrong:
        return Measurement(name, name, problems={name: wrong})
    size = (image.shape[1], image.shape[0])
    small = _small_grey(Image.fromarray(image))
    facts = ImageFacts(size, size, False, _digest(image.tobytes()), small, small)
    return Measurement(name, name, facts, _mask_facts(mask))


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


# One image -----------------------------------------------------------------------------------------------


def _image_facts(content: bytes) -> ImageFacts:
    """Measure an image's file. It is decoded to its end, so a damaged one raises Pillow's error."""
    with Image.open(BytesIO(content)) as image:
        stored = image.size
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        # A JPEG decoded at a quarter of its size is read to its end all the same, in less than half the time.
        image.draft("L", (max(stored[0] // 4, GRID), max(stored[1] // 4, GRID)))
        image.load()
        small = raw = _small_grey(image)
        if orientation in range(2, 9):
            small = _small_grey(ImageOps.exif_transpose(image))
    size = (stored[1], stored[0]) if orientation in range(5, 9) else stored
    return ImageFacts(size, stored, orientation in range(2, 9), _digest(content), small, raw)


def _small_grey(image: Image.Image) -> NDArray[np.uint8]:
    grey = image.convert("L") if image.mode != "F" and not image.mode.startswith("I") else image.convert("F")
    values = np.asarray(grey.resize(_grid(image.size), Image.Resampling.BOX), np.float32)
    return (values * (255 / max(values.max(), 255))).astype(np.uint8)  # 16 bits become 8


def _grid(size: Size) -> Size:
    """Return the size on the coarse grid; close to the same whatever the file was decoded at."""
    scale = min(GRID / max(size), 1)
    return max(round(size[0] * scale), 1), max(round(size[1] * scale), 1)


# One mask ------------------------------------------------------------------------------------------------


def read_stored(source: str | PathLike[str] | BytesIO) -> tuple[NDArray[Any], Image.Image]:
    """Open a mask as it is stored, whatever it holds. Used in {doc}`02_data`.

    Returns:
        The values, integers [H, W] (palette indices, not colours) or uint8 [H, W, 3] of a mask of colours;
        and Pillow's image.
    """
    with Image.open(source) as image:
        image.load()
        if image.mode in LABEL_MODES:
            return np.asarray(image), image
        if image.mode == "F":
            return np.rint(np.asarray(image)).astype(np.int64), image
        return np.asarray(image.convert("RGB")), image


def _mask_file_facts(content: bytes) -> MaskFacts:
    """Measure a mask's file."""
    values, image = read_stored(BytesIO(content))
    facts = _mask_facts(values if values.ndim == 2 else _NO_COPY)
    lossy = image.format if image.format in LOSSY else ""
    facts = replace(facts, size=image.size, mode=image.mode, lossy=lossy)
    if values.ndim == 3:
        found: list[Any] = image.convert("RGB").getcolors(image.width * image.height) or []
        most = sorted(found, reverse=True)[:_COLOURS]
        return replace(facts, colours=tuple((colour, count) for count, colour in most))
    colours = np.reshape(image.getpalette("RGB") or [], (-1, 3)).tolist() if image.mode == "P" else []
    used = [value for value in np.flatnonzero(facts.counts).tolist() if value < len(colours)]
    return replace(facts, palette=tuple((value, tuple(colours[value])) for value in used))


def _mask_facts(array: NDArray[Any]) -> MaskFacts:
    """Measure the values of a mask, integers [H, W]."""
    height, width = array.shape
    inside = (array >= 0) & (array <= 255)
    outside = tuple(np.unique(array[~inside])[:10].tolist())
    values = np.where(inside, array, 0).astype(np.uint8)
    rows = values[:: max(height // 256, 1)]
    rising, falling = rows[:, :-1] < rows[:, 1:], rows[:, :-1] > rows[:, 1:]
    steps = np.count_nonzero(rising) + np.count_nonzero(falling)
    ramps = (rising[:, :-1] & rising[:, 1:]) | (falling[:, :-1] & falling[:, 1:])
    counts = np.bincount(values.ravel(), minlength=256)
    small = values
    if values.size:  # every n-th value, on the grid of `_small_grey`
        columns, lines = _grid((width, height))
        small = values[np.ix_(_centres(height, lines), _centres(width, columns))]
    return MaskFacts((width, height), counts, int(steps), int(np.count_nonzero(ramps)), outside, small)


def _centres(length: int, count: int) -> NDArray[np.int64]:
    return ((np.arange(count) + 0.5) * length / count).astype(np.int64)
