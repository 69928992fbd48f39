"""Labels that another program wrote become label maps, in a new folder as `dmnet.datasets` reads "pairs".

    OUT/classes.txt               a name a line, the first for the value 0
    OUT/images/train/a.jpg        a copy, byte for byte
    OUT/masks/train/a.png         palette PNG; 255 = void

A source with one split or none gives no folders of splits: then a lot draws the validation set. What is read
stays as it is; what is written appears under its name when it is complete and was read back.
"""

import os
import secrets
import shutil
import zlib
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import ExifTags, Image, ImageOps

from dmnet.classes import label_image
from dmnet.datasets import files, load
from dmnet.datasets.base import IGNORE
from dmnet.errors import DataError
from dmnet.files import progress
from dmnet.images import read_image, read_mask
from dmnet.prepare import exports


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    kind: str | None = None,
    table: str | os.PathLike[str] | None = None,
    say: Callable[[str], object] = lambda text: None,
) -> pd.DataFrame:
    """Make a data set of label maps from labels of another program. Used in {doc}`02_data`.

    Args:
        source: the folder as it was exported; it stays as it is.
        target: the new folder; it must not exist, and must not lie in `source`.
        kind: one of `exports.KINDS`; by default the one that the folder's contents show.
        table: for "colours" and "values", a file with lines `name r,g,b` or `name value`; several may have
            one name, and "(ignored)" is void.
        say: called with a line on the kind, on what was left out, and on the images of each split.

    Returns:
        By what was stored: number and name of its class, pixels, and images that have it.

    Raises:
        DataError: if something is malformed, unknown or ambiguous; then there is no `target`.
    """
    root, out = Path(source).expanduser(), Path(target).expanduser()
    if not root.is_dir():
        raise DataError(f"there is no folder {root}; unpack the export, and give the folder")
    if os.path.lexists(out):
        raise DataError(f"{out} exists, and nothing is written over; give a folder that is not there yet")
    if not out.parent.is_dir() or out.resolve().is_relative_to(root.resolve()):
        raise DataError(f"{out} must lie in a folder that exists, and not in {root}, which stays as it is")
    found = exports.Source(root, None if table is None else Path(table).expanduser(), say)
    kind = kind or exports.guess(found)
    if kind not in exports.KINDS:
        raise DataError(f"there is no kind {kind!r}; there are {', '.join(exports.KINDS)}")
    if (table is None) == (kind in ("colours", "values")):
        line = "name value" if kind == "values" else "name r,g,b"
        raise DataError(f"{kind} needs {'no table' if table else f'--table FILE, with lines {line!r}'}")
    say(f"{root} is read as {kind}")
    temporary = out.with_name(f".{out.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.mkdir()
        became = _write(found, exports.read(found, kind), temporary)
        if hasattr(os, "sync"):
            os.sync()  # the final name must not reach the disk before the bytes
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return became


def _write(source: exports.Source, examples: Iterator[exports.Example], folder: Path) -> pd.DataFrame:
    """Write a data set and read it back; return what became of every row."""
    if (first := next(examples, None)) is None:  # now the table is there
        raise DataError(f"{source.root} holds no image with labels of this kind{exports.boxes(source.root)}")
    names = [_tidy(name) for _, name in source.table]
    classes = [name for name in dict.fromkeys(names) if name != files.IGNORED]
    palette = files.labels_of(classes, files.Encoding.plain())[0].palette
    numbers = np.array([classes.index(one) if one in classes else IGNORE for one in names], np.uint8)
    pixels, images = np.zeros((2, len(names)), np.int64)
    origins: dict[object, Path] = {}  # of every image and every id
    written, found, bare = {}, {}, 0
    for name, split, file, drawn in chain([first], examples):
        for key in (file.resolve(), (split, name)):
            if key in origins:
                raise DataError(f"{origins[key]} and {file} are one example, {name}; remove or rename one")
            origins[key] = file
        content, image = exports.open_image(file)
        rows = _upright(drawn, image, file)
        counts = np.bincount(rows.ravel(), minlength=len(names))
        pixels, images = pixels + counts, images + (counts > 0)
        bare += bool(source.table[0] == exports.OUTSIDE and counts[0] == rows.size)
        held = f".{image.format}".lower().replace("mpo", "jpg")
        suffix = held if file.suffix.lower() == ".json" else file.suffix
        for part in ("images", "masks"):
            (folder / part / split).mkdir(parents=True, exist_ok=True)
        (folder / "images" / split / f"{name}{suffix}").write_bytes(content)
        label_image(numbers[rows], palette).save(folder / "masks" / split / f"{name}.png")
        written[split, name] = zlib.crc32(numbers[rows].tobytes())
    left = [file for file in source.images if file.resolve() not in origins]
    source.count("Left out, without labels", left)
    if bare:
        source.say(f"Images without an outline, background alone: {bare}")
    splits = list(dict.fromkeys(split for split, _ in written))
    if len(splits) == 1:
        for part in ("images", "masks"):
            (folder / part / splits[0]).rename(folder / "only")
            (folder / part).rmdir()
            (folder / "only").rename(folder / part)
        written, splits = {("all", name): code for (_, name), code in written.items()}, ["all"]
    elif "all" in splits:
        there = ", ".join(split for split in splits if split != "all")
        raise DataError(f"{source.root} has images in {there}, and in no split; put all into splits, or none")
    (folder / files.NAMES).write_text("\n".join(classes) + "\n", encoding="utf-8")
    for dataset in (load("pairs", folder, split) for split in splits):
        for name in progress(dataset.ids, desc="reading back"):
            dataset.image_file(name)
            found[dataset.split, name] = zlib.crc32(read_mask(dataset.mask_file(name)).tobytes())
        source.say(f"{dataset.split}: {len(dataset)} images")
    if found != written or dataset.classes != tuple(classes):
        raise DataError("masks cannot be read back as they were written; is the disk in order?")
    stored = pd.Index([stored for stored, _ in source.table], name="stored")
    columns = {"class": numbers, "name": names, "pixels": pixels, "images": images}
    return pd.DataFrame(columns, stored)


def _tidy(name: str) -> str:
    """Return a name as one line, labelme's `_background_` and `__ignore__` as they are called here."""
    if not isinstance(name, str) or not name.strip():
        raise DataError(f"{name!r} cannot be the name of a class; give it one, in YAML in quotes")
    name = " ".join(name.split())
    if name.lower() in ("background", "_background_"):
        return "background"
    return files.IGNORED if name == "__ignore__" else name


def _upright(rows: exports.Rows, image: Image.Image, file: Path) -> exports.Rows:
    """Turn labels of the pixels as stored, as EXIF turns the image; sizes tell what they were drawn on."""
    try:
        upright, stored = read_image(image).shape[:2], image.size[::-1]
    except DataError as error:
        raise DataError(f"{file}: {error}") from error
    if rows.shape not in (upright, stored):
        raise DataError(f"{file} is {upright} (height, width), its labels {rows.shape}; export both again")
    if exports.orientation(image) and upright == stored:
        raise DataError(f"{file} {exports.UNCLEAR}")
    if not exports.orientation(image) or rows.shape == upright:
        return rows
    mask = Image.fromarray(rows.astype(np.int32))
    mask.getexif()[ExifTags.Base.Orientation] = exports.orientation(image)
    return np.asarray(ImageOps.exif_transpose(mask))
