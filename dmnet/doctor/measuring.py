"""What the label doctor measures: one picture and its mask, read below the readers' refusals.

`dmnet.images.read_mask` refuses a mask of colours; here it is opened all the same, so that `label_diagnoses`
can say which colours, and what they probably stand for.
"""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from io import BytesIO
from os import PathLike, cpu_count
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from dmnet.datasets.files import FileDataset
from dmnet.errors import DataError
from dmnet.files import progress
from dmnet.images import BROKEN, LABEL_MODES, LOSSY

GRID = 96  # longest side of the small copies that borders and edges are compared on
KEPT = 64  # examples whose small copies are kept
_COLOURS = 64  # colours of a mask that are kept, the most frequent ones

Size = tuple[int, int]  # width, height


@dataclass(frozen=True, eq=False)
class ImageFacts:
    """What is known of a picture. Used in {doc}`02_data`."""

    size: Size  # as the eye sees it
    stored: Size  # as the file holds it; another one where EXIF data turn the picture
    orientation: int  # EXIF, 1 (upright) to 8
    digest: bytes  # of the file, or of the pixels if there is none
    # uint8 [h, w], its grey values, upright, on a grid of at most `GRID` pixels; empty where it was not kept,
    # see `measure`
    small: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class MaskFacts:
    """What is known of a mask. Used in {doc}`02_data`."""

    size: Size  # width and height
    mode: str  # Pillow's, e.g. "P" or "RGB"; "array" where there is no file
    lossy: str  # the name of the format if it changes values, else ""
    counts: NDArray[np.int64]  # int64 [256], pixels of every stored value; all 0 in a mask of colours
    steps: int  # places where the value changes along a row; of a tall mask, some of its rows
    between: int  # pixels that lie strictly between two different neighbours in value: a ramp, not a border
    # the most frequent colours and their pixels, in a mask of colours
    colours: tuple[tuple[tuple[int, int, int], int], ...]
    shades: int  # how many colours there are
    outside: tuple[int, ...]  # values below 0 or above 255, up to ten
    small: NDArray[np.uint8]  # uint8 [h, w], the values on the grid of the picture's small copy
    # in a palette picture, the values that occur and their colours
    palette: tuple[tuple[int, tuple[int, int, int]], ...] = ()


@dataclass(frozen=True, eq=False)
class Measurement:
    """One example: its facts, or why there are none. Used in {doc}`02_data`."""

    name: str  # its id
    image_name: str  # the picture's file, or the id
    mask_name: str  # the mask's file, or the id
    image: ImageFacts | None  # None if it could not be read
    mask: MaskFacts | None  # None if it could not be read
    problems: dict[str, str]  # kind ("missing-image", "unreadable-mask", ...) -> message


def measure(
    dataset: Any, indices: Sequence[int], *, workers: int | None = None, hidden: bool = False
) -> Iterator[Measurement]:
    """Measure some examples, in their order. Used in {doc}`02_data`.

    Args:
        dataset: see `dmnet.datasets.Dataset`; the files of a `FileDataset` are opened directly.
        indices: which examples.
        workers: threads, by default one per core. A data set without files is read by one thread, since
            nobody knows whether it bears several.
        hidden: show no progress bar, not even where somebody is looking.

    Small copies are kept of `KEPT` examples or a few more, and of photographs that EXIF data turn; those of
    all would fill the memory.
    """
    step = max(len(indices) // KEPT, 1)
    for position, one in enumerate(_measured(dataset, indices, workers, hidden)):
        turned = one.image is not None and one.image.orientation > 1
        yield one if turned or position % step == 0 else _without_copies(one)


def _measured(
    dataset: Any, indices: Sequence[int], workers: int | None, hidden: bool
) -> Iterator[Measurement]:
    bar: dict[str, Any] = {"desc": f"examining {getattr(dataset, 'split', '')}".rstrip()}
    bar |= {"disable": True} if hidden else {}
    if not isinstance(dataset, FileDataset):
        yield from (measure_arrays(dataset, index) for index in progress(indices, **bar))
        return
    names = [dataset.ids[index] for index in indices]
    with ThreadPoolExecutor(workers or cpu_count() or 1) as pool:
        found = pool.map(lambda name: measure_files(dataset, name), names)
        yield from progress(found, total=len(names), **bar)


def _without_copies(one: Measurement) -> Measurement:
    none = np.zeros((0, 0), np.uint8)
    image = one.image and replace(one.image, small=none)
    return replace(one, image=image, mask=one.mask and replace(one.mask, small=none))


def measure_files(dataset: FileDataset, name: str) -> Measurement:
    """Measure the two files of one id. Used in {doc}`02_data`."""
    facts: dict[str, Any] = {"image": None, "mask": None}
    files: dict[str, str] = {"image": name, "mask": name}
    problems: dict[str, str] = {}
    for kind, find, read in (
        ("image", dataset.image_file, image_facts),
        ("mask", dataset.mask_file, mask_file_facts),
    ):
        try:
            file = find(name)
        except DataError as error:
            problems[f"missing-{kind}"] = str(error)
            continue
        files[kind] = str(file)
        try:
            facts[kind] = read(file.read_bytes())
        except UnidentifiedImageError:
            problems[f"unreadable-{kind}"] = f"{file} is no picture that Pillow reads, or its head is damaged"
        except BROKEN as error:
            problems[f"unreadable-{kind}"] = f"{file} is damaged or cut off: {error}"
    return Measurement(name, files["image"], files["mask"], facts["image"], facts["mask"], problems)


def measure_arrays(dataset: Any, index: int) -> Measurement:
    """Measure what `dataset[index]` returns. Used in {doc}`02_data`."""
    try:
        image, mask, name = dataset[index]
    except (DataError, OSError) as error:
        name = dataset.ids[index] if hasattr(dataset, "ids") else f"example {index}"
        return Measurement(name, name, name, None, None, {"unreadable-example": str(error)})
    image, mask = np.asarray(image), np.asarray(mask)
    wrong = ""
    if image.ndim != 3 or image.shape[-1] != 3 or image.dtype != np.uint8:
        wrong = f"{name}: the image is {image.dtype} {list(image.shape)}, not uint8 [H, W, 3]"
    elif mask.ndim != 2 or mask.dtype.kind not in "iub":
        wrong = f"{name}: the mask is {mask.dtype} {list(mask.shape)}, not integers [H, W]"
    if wrong:
        return Measurement(name, name, name, None, None, {"wrong-array": wrong})
    size = (image.shape[1], image.shape[0])
    digest = hashlib.blake2b(np.ascontiguousarray(image).tobytes(), digest_size=16).digest()
    facts = ImageFacts(size, size, 1, digest, _small_grey(Image.fromarray(image)))
    return Measurement(name, name, name, facts, mask_facts(mask), {})


# One picture ---------------------------------------------------------------------------------------------


def image_facts(content: bytes) -> ImageFacts:
    """Measure a picture's file. It is decoded to its end, so a damaged one raises Pillow's error.

    Used in {doc}`02_data`.
    """
    with Image.open(BytesIO(content)) as image:
        stored = image.size
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        # A JPEG decoded at a quarter of its size is read to its end all the same, in less than half the time.
        image.draft("L", (max(stored[0] // 4, GRID), max(stored[1] // 4, GRID)))
        image.load()
        small = _small_grey(ImageOps.exif_transpose(image))
    orientation = orientation if orientation in range(2, 9) else 1
    size = (stored[1], stored[0]) if orientation >= 5 else stored
    digest = hashlib.blake2b(content, digest_size=16).digest()
    return ImageFacts(size, stored, orientation, digest, small)


def _small_grey(image: Image.Image) -> NDArray[np.uint8]:
    grey = image.convert("L") if image.mode != "F" and not image.mode.startswith("I") else image.convert("F")
    values = np.asarray(grey.resize(_grid(image.size), Image.Resampling.BOX), np.float32)
    return (values * (255 / max(values.max(), 255))).astype(np.uint8)  # 16 bits become 8


def _grid(size: Size) -> Size:
    """Return the size on the coarse grid; close to the same whatever the file was decoded at."""
    scale = min(GRID / max(size), 1)
    return max(round(size[0] * scale), 1), max(round(size[1] * scale), 1)


# One mask ------------------------------------------------------------------------------------------------


def read_stored(source: str | PathLike[str] | bytes) -> tuple[NDArray[Any], str, str]:
    """Open a mask as it is stored, whatever it holds. Used in {doc}`02_data`.

    Returns:
        The values, integers [H, W] (palette indices, not colours) or uint8 [H, W, 3] of a mask of colours;
        Pillow's mode; and the format.
    """
    with Image.open(BytesIO(source) if isinstance(source, bytes) else source) as image:
        image.load()
        mode, form = image.mode, image.format or ""
        if mode in LABEL_MODES:
            return np.asarray(image), mode, form
        if mode == "F":
            return np.rint(np.asarray(image)).astype(np.int64), mode, form
        return np.asarray(image.convert("RGB")), mode, form


def mask_file_facts(content: bytes) -> MaskFacts:
    """Measure a mask's file. Used in {doc}`02_data`."""
    values, mode, form = read_stored(content)
    facts = mask_facts(values, mode, form if form in LOSSY else "")
    return replace(facts, palette=_used_palette(content, facts.counts)) if mode == "P" else facts


def _used_palette(content: bytes, counts: NDArray[np.int64]) -> tuple[tuple[int, tuple[int, int, int]], ...]:
    """Return the values that occur and have a colour, each with its colour."""
    with Image.open(BytesIO(content)) as image:
        colours = np.reshape(image.getpalette("RGB") or [], (-1, 3)).tolist()
    used = [value for value in np.flatnonzero(counts).tolist() if value < len(colours)]
    return tuple((value, tuple(colours[value])) for value in used)


def mask_facts(values: ArrayLike, mode: str = "array", lossy: str = "") -> MaskFacts:
    """Measure the values of a mask: integers [H, W], or colours uint8 [H, W, 3]. Used in {doc}`02_data`."""
    array = np.asarray(values)
    height, width = array.shape[:2]
    colours: tuple[tuple[tuple[int, int, int], int], ...] = ()
    shades = 0
    outside: tuple[int, ...] = ()
    if array.ndim == 3:
        colours, shades = _count_colours(array)
        array = np.zeros((0, 0), np.uint8)
    elif array.dtype != np.uint8:
        inside = (array >= 0) & (array <= 255)
        outside = tuple(np.unique(array[~inside])[:10].tolist())
        array = np.where(inside, array, 0).astype(np.uint8)
    counts = np.bincount(array.ravel(), minlength=256)
    steps, between = _count_steps(array[:: max(height // 256, 1)])
    return MaskFacts(
        (width, height), mode, lossy, counts, steps, between, colours, shades, outside,
        _small_labels(array),
    )  # fmt: skip


def _count_colours(array: NDArray[np.uint8]) -> tuple[tuple[tuple[tuple[int, int, int], int], ...], int]:
    """Return the most frequent colours with their pixels, and how many colours there are."""
    red, green, blue = np.moveaxis(array.astype(np.int64), -1, 0)
    codes, counts = np.unique(red << 16 | green << 8 | blue, return_counts=True)
    first = np.argsort(-counts, kind="stable")[:_COLOURS]
    pairs = zip(codes[first].tolist(), counts[first].tolist(), strict=True)
    return tuple(((code >> 16, code >> 8 & 255, code & 255), count) for code, count in pairs), len(codes)


def _count_steps(rows: NDArray[np.uint8]) -> tuple[int, int]:
    """Return, along rows [h, w]: steps and between, see `MaskFacts`."""
    rising, falling = rows[:, :-1] < rows[:, 1:], rows[:, :-1] > rows[:, 1:]
    ramps = (rising[:, :-1] & rising[:, 1:]) | (falling[:, :-1] & falling[:, 1:])
    return int(np.count_nonzero(rising) + np.count_nonzero(falling)), int(np.count_nonzero(ramps))


def _small_labels(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return every n-th value, on the grid of `_small_grey`."""
    height, width = array.shape
    if not array.size:
        return array
    columns, rows = _grid((width, height))
    return array[np.ix_(_centres(height, rows), _centres(width, columns))]


def _centres(length: int, count: int) -> NDArray[np.int64]:
    return ((np.arange(count) + 0.5) * length / count).astype(np.int64)
