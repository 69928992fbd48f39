"""Rewriting masks that the label doctor found wrong. The originals are kept in a folder beside them.

```
dataset = datasets.load("folder", "pictures", "train")
mending.rewrite(dataset, lambda mask: mending.recode(mask, {255: 1}))
```

Load the data set again afterwards, and let the doctor look at it once more.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import ExifTags, Image, ImageOps

from dmnet.classes import VOID_COLOUR, colour_table, label_image
from dmnet.datasets.base import IGNORE
from dmnet.datasets.files import FileDataset
from dmnet.doctor.measuring import image_facts, read_stored
from dmnet.errors import DataError
from dmnet.files import progress

Stored = NDArray[Any]


def rewrite(dataset: FileDataset, change: Callable[[Stored], ArrayLike]) -> Path:
    """Store every mask of a data set anew, as 8-bit palette PNG. Used in {doc}`02_data`.

    All masks are computed before the first one is replaced, so an error leaves everything as it was.

    Args:
        dataset: whose masks; those of other splits in the same folder are left alone.
        change: gets what a file stores, int64 [H, W], or uint8 [H, W, 3] of a mask of colours; returns what
            shall be stored: integers in 0..255, [H, W], or booleans.

    Returns:
        The folder that the originals were moved to, `<folder of the masks>.before` (`.before2`, ...).

    Raises:
        DataError: if a file cannot be read, or `change` returns no label map; the message names the file.
    """
    return _rewrite(dataset, lambda name, stored: change(stored))


def recode(stored: ArrayLike, table: Mapping[int, int]) -> Stored:
    """Return the values with those replaced that the table has a new one for, [H, W].

    Used in {doc}`02_data`.
    """
    given = np.asarray(stored)
    result = given.copy()
    for old, new in table.items():
        result[given == old] = new
    return result


def from_colours(picture: ArrayLike, colours: ArrayLike, void: Sequence[int] | None = VOID_COLOUR) -> Stored:
    """Return the label of the nearest colour for every pixel. Used in {doc}`02_data`.

    Args:
        picture: uint8 [H, W, 3]; labels [H, W] are returned as they are.
        colours: of the labels 0, 1, 2, ..., [K, 3].
        void: the colour of 255; None if nothing is void.

    Returns:
        uint8 [H, W].
    """
    if np.ndim(picture) == 2:
        return np.asarray(picture)
    known = np.asarray(colours, np.int64).reshape(-1, 3)
    labels = np.arange(len(known))
    if void is not None and not (known == void).all(axis=1).any():
        known, labels = np.concatenate([known, [void]]), np.append(labels, IGNORE)
    red, green, blue = np.moveaxis(np.asarray(picture, np.int64), -1, 0)
    shades, where = np.unique(red << 16 | green << 8 | blue, return_inverse=True)
    rgb = np.stack([shades >> 16, shades >> 8 & 255, shades & 255], axis=-1)  # [shades, 3]
    nearest = [int(((known - shade) ** 2).sum(axis=1).argmin()) for shade in rgb]
    return labels[nearest].astype(np.uint8)[where.reshape(red.shape)]


def by_colour(dataset: FileDataset, colours: ArrayLike) -> Path:
    """Give every pixel the number of the class whose colour it has; see `rewrite`. Used in {doc}`02_data`.

    For palette pictures whose palettes differ, so that their numbers mean nothing.

    Args:
        dataset: whose masks.
        colours: of the classes, in their order, [K, 3].
    """

    def change(name: str, _stored: Stored) -> ArrayLike:
        with Image.open(dataset.mask_file(name)) as mask:
            picture = np.asarray(mask.convert("RGB"))
        return dataset.encoding.encode(from_colours(picture, colours))

    return _rewrite(dataset, change)


def resize(dataset: FileDataset) -> Path:
    """Give the masks the size of their images, by nearest neighbour; see `rewrite`.

    Used in {doc}`02_data`.
    """

    def change(name: str, stored: Stored) -> ArrayLike | None:
        size = image_facts(dataset.image_file(name).read_bytes()).size
        if size == stored.shape[1::-1]:
            return None
        return np.asarray(Image.fromarray(stored.astype(np.uint8)).resize(size, Image.Resampling.NEAREST))

    return _rewrite(dataset, change)


def transpose(dataset: FileDataset) -> Path:
    """Swap rows and columns of the masks that fit their images then; see `rewrite`.

    Used in {doc}`02_data`.
    """

    def change(name: str, stored: Stored) -> ArrayLike | None:
        size = image_facts(dataset.image_file(name).read_bytes()).size
        return stored.T if stored.shape == size and stored.shape[::-1] != size else None

    return _rewrite(dataset, change)


def turn(dataset: FileDataset, *, every: bool = False) -> Path:
    """Turn masks as the EXIF data turn their photographs; see `rewrite`. Used in {doc}`02_data`.

    Args:
        dataset: whose masks.
        every: turn all masks of photographs that are turned; else those that do not have their size.
    """

    def change(name: str, stored: Stored) -> ArrayLike | None:
        facts = image_facts(dataset.image_file(name).read_bytes())
        fits = facts.size == stored.shape[1::-1]
        if facts.orientation == 1 or (fits and not every):
            return None
        mask = Image.fromarray(stored.astype(np.uint8))
        mask.getexif()[ExifTags.Base.Orientation] = facts.orientation
        return np.asarray(ImageOps.exif_transpose(mask))

    return _rewrite(dataset, change)


def _rewrite(dataset: FileDataset, change: Callable[[str, Stored], ArrayLike | None]) -> Path:
    """Rewrite the masks for which `change(id, stored)` returns something."""
    files = {name: dataset.mask_file(name) for name in dataset.ids}
    folder = Path(os.path.commonpath([file.parent for file in files.values()]))
    colours = colour_table()
    colours[list(dataset.encoding.stored)] = dataset.palette
    kept = _unused(folder)
    with tempfile.TemporaryDirectory(prefix=".mending.", dir=folder.parent) as temporary:
        changed: dict[Path, Path] = {}
        for name, file in progress(files.items(), desc="mending"):
            stored = _read(file)
            if (new := change(name, stored if stored.ndim == 3 else stored.astype(np.int64))) is not None:
                changed[file] = Path(temporary) / file.relative_to(folder).with_suffix(".png")
                changed[file].parent.mkdir(parents=True, exist_ok=True)
                label_image(_checked(np.asarray(new), file), colours).save(changed[file])
        for file, new_file in changed.items():
            (kept / file.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, kept / file.relative_to(folder))
            os.replace(new_file, file.with_suffix(".png"))
            if file.suffix != ".png":
                file.unlink()
    return kept


def _read(file: Path) -> Stored:
    try:
        return read_stored(file)[0]
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{file} cannot be read, so no mask was changed: {error}") from error


def _checked(labels: NDArray[Any], file: Path) -> NDArray[Any]:
    """Raise a DataError unless this is a label map."""
    if labels.ndim != 2 or labels.dtype.kind not in "iub" or labels.min() < 0 or labels.max() > 255:
        raise DataError(
            f"{file} would become {labels.dtype} {list(labels.shape)} of {labels.min()} to {labels.max()}, "
            "not labels [H, W] in 0..255; no mask was changed (has this been done before?)"
        )
    return labels


def _unused(folder: Path) -> Path:
    """Return the first of `<folder>.before`, `<folder>.before2`, ... that does not exist."""
    number = 1
    while (kept := folder.with_name(f"{folder.name}.before{number if number > 1 else ''}")).exists():
        number += 1
    return kept
