"""Labels that another program wrote become label maps, in a new folder as `dmnet.datasets` reads "pairs".

```
OUT/classes.txt               a name a line, the first for the value 0
OUT/images/train/a.jpg        a copy, byte for byte
OUT/masks/train/a.png         palette PNG; 255 = void
```
A source with one split or none gives no folders of splits: then a lot draws the validation set. What is read
stays as it is; what is written appears under its name when it is complete and was read back.
"""

import os
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import ExifTags, Image, ImageOps

from dmnet.classes import label_image
from dmnet.datasets import files, load
from dmnet.datasets.base import IGNORE
from dmnet.errors import DataError
from dmnet.files import progress
from dmnet.images import as_rgb, read_mask, reading
from dmnet.prepare import exports
from dmnet.prepare.folders import new_folder


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    kind: str | None = None,
    table: str | os.PathLike[str] | Sequence[str] = (),
    say: Callable[[str], object] = lambda text: None,
) -> pd.DataFrame:
    """Make a data set of label maps from labels of another program. Used in {doc}`05_data`.

    Args:
        source: the folder as it was exported; it stays as it is.
        target: the new folder; it must not exist, and must not lie in `source`.
        kind: one of `exports.KINDS`; by default the one that the folder's contents show.
        table: for masks alone, what they hold: lines `name r,g,b` or `name value`, or a file of them; several
            may have one name, and "(ignored)" is void.
        say: called with a line on the kind, on what was left out, and on the images of each split.

    Returns:
        By what was stored: number and name of its class, pixels, and images that have it.

    Raises:
        DataError: if something is malformed, unknown or ambiguous; then there is no `target`.
    """
    root, out = Path(source).expanduser(), Path(target).expanduser()
    if not root.is_dir():
        raise DataError(f"there is no folder {root}; unpack the export, and give the folder")
    if os.path.lexists(out) or out.resolve().is_relative_to(root.resolve()):
        raise DataError(f"{out} exists, or lies in {root}: nothing of yours is changed; give a new folder")
    if isinstance(table, str | os.PathLike):
        table = files.read_list(Path(table).expanduser(), "write lines 'name 7' or 'name 51,221,255' into it")
    if kind and (table or kind not in exports.KINDS):
        raise DataError(f"there are {', '.join(exports.KINDS)}, not {kind!r}; a table is for other masks")
    kind = kind or ("masks" if table else exports.guess(root))
    say(f"{root} is read as {kind}")
    export = exports.tabled(root, table) if table else exports.KINDS[kind](root)
    if not export.examples:
        raise DataError(f"{root} holds no image with labels of this kind")
    with new_folder(out) as temporary:
        return _write(export, temporary, say)


def _write(export: exports.Export, folder: Path, say: Callable[[str], object]) -> pd.DataFrame:
    """Write a data set and read it back; return what became of every row."""
    names = [_tidy(name) for name in export.table.values()]
    classes = [name for name in dict.fromkeys(names) if name != files.IGNORED]
    palette = files.labels_of(classes, files.Encoding.plain())[0].palette
    numbers = np.array([classes.index(one) if one in classes else IGNORE for one in names], np.uint8)
    splits: dict[str, set[str]] = {}
    origins: dict[object, Path] = {}  # of every image and every id
    for name, split, file, _ in export.examples:
        splits.setdefault(split, set()).add(name)
        for key in (file.resolve(), (split, name)):
            if key in origins:
                raise DataError(f"{name} has labels twice, of {origins[key]} and {file}; leave out one")
            origins[key] = file
    if len(splits) > 1 and "all" in splits:
        there = ", ".join(sorted(splits.keys() - {"all"}))
        raise DataError(f"images are in {there}, and in no split; put all into splits, or none")
    if left := [file for file in export.images if file.resolve() not in origins]:
        say(f"Left out, without labels that are read, or in no list: {exports.some(left)}")
    places = {split: split if len(splits) > 1 else "" for split in splits}
    for part in (folder / "images", folder / "masks"):
        for place in places.values():
            (part / place).mkdir(parents=True)
    pixels, images, bare = *np.zeros((2, len(names)), np.int64), 0
    for name, split, file, draw in progress(export.examples, desc="converting"):
        content, image = exports.open_image(file)
        rows = _upright(draw(), image, file)
        counts = np.bincount(rows.ravel(), minlength=len(names))
        pixels, images = pixels + counts, images + (counts > 0)
        bare += bool(exports.OUTSIDE in export.table and counts[0] == rows.size)
        held = f".{image.format}".lower().replace("mpo", "jpg")
        suffix = held if file.suffix.lower() == ".json" else file.suffix
        (folder / "images" / places[split] / f"{name}{suffix}").write_bytes(content)
        mask = folder / "masks" / places[split] / f"{name}.png"
        label_image(numbers[rows], palette).save(mask)
        if not np.array_equal(read_mask(mask), numbers[rows]):
            raise DataError(f"{file}: its mask cannot be read back as it was written; is the disk in order?")
    if bare:
        say(f"Background alone, having no outline: {bare} images")
    (folder / files.NAMES).write_text("\n".join(classes) + "\n", encoding="utf-8")
    for split, ids in splits.items():
        dataset = load("pairs", folder, places[split] or "all")
        if set(dataset.ids) != ids or dataset.classes != tuple(classes):
            raise DataError(f"{dataset!r} is not what was written; rename what has a strange name")
        say(f"{dataset.split}: {len(dataset)} images")
    columns = {"class": numbers, "name": names, "pixels": pixels, "images": images}
    return pd.DataFrame(columns, pd.Index([*export.table], name="stored"))


def _tidy(name: object) -> str:
    """Return a name as one line, labelme's `_background_` and `__ignore__` as they are called here."""
    if not isinstance(name, str) or not name.strip() or name.encode(errors="ignore").decode() != name:
        raise DataError(f"{name!r} cannot be the name of a class; give it one, in YAML in quotes")
    name = unicodedata.normalize("NFC", " ".join(name.split()))
    known = {"background": "background", "_background_": "background", "__ignore__": files.IGNORED}
    return known.get(name.lower(), name)


def _upright(rows: exports.Rows, image: Image.Image, file: Path) -> exports.Rows:
    """Turn labels of the pixels as stored, as EXIF turns the image; sizes tell what they were drawn on."""
    with reading(file):
        upright = as_rgb(ImageOps.exif_transpose(image), file).shape[:2]
    stored, turned = image.size[::-1], image.getexif().get(ExifTags.Base.Orientation, 1)
    if rows.shape not in (upright, stored):
        raise DataError(f"{file} is {upright} (height, width), its labels {rows.shape}; export both again")
    if turned > 1 and upright == stored:
        raise DataError(f"{file} {exports.UNCLEAR}")
    if rows.shape == upright:
        return rows
    mask = Image.fromarray(rows.astype(np.int32))
    mask.getexif()[ExifTags.Base.Orientation] = turned
    return np.asarray(ImageOps.exif_transpose(mask))
