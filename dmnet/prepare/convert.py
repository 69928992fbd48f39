"""Labels that another program wrote become label maps, in a new folder as `dmnet.datasets` reads "pairs".

    OUT/classes.txt               a name a line, the first for the value 0
    OUT/images/train/a.jpg        a copy, byte for byte
    OUT/masks/train/a.png         palette PNG; 255 = void

A source with one split or none gives no folders of splits: then a lot draws the validation set. What is read
stays as it is; what is written appears under its name when it is complete and was read back.

Outlines are filled as COCO's own tools do it: a pixel belongs to an object if its centre does. Where objects
overlap, the later one lies on top. What no outline covers is class 0, "background".
"""

import base64
import csv
import itertools
import json
import os
import re
import secrets
import shutil
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from PIL import ExifTags, Image, ImageOps

from dmnet.classes import label_image
from dmnet.datasets import files
from dmnet.datasets.base import IGNORE
from dmnet.errors import DataError, extra
from dmnet.files import progress
from dmnet.images import BROKEN, LABEL_MODES, LOSSY, read_image, read_mask

with extra("prepare"):
    import yaml
    from pycocotools import mask as coco

SPLITS = {"training": "train", "valid": "val", "validation": "val", "testing": "test"}
SPLITS |= {split: split for split in ("train", "val", "test")}
NO_AREA = {"point", "points", "line", "linestrip"}  # shapes of labelme
COLOUR = re.compile(r"(.*?\S)\s*[:\s]\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*(?::.*)?")
VALUE = re.compile(r"(.*?\S)[\s:=,]+(\d+)")
UNDECIDED = (
    "is turned by its EXIF orientation, and nothing tells whether its labels are; store it as it is seen "
    "(PIL.ImageOps.exif_transpose), with labels to match"
)

Rows = NDArray[np.integer]  # [H, W]: of each pixel, the row of the table
Example = tuple[str, str, Path, Rows]  # id; split, "all" for none; image file, or labelme file with it; rows


@dataclass(frozen=True)
class Converted:
    """What became of every stored value. Used in {doc}`02_data`.

    Attributes:
        kind: what the labels were read as.
        folder: the new data set.
        table: what was stored, number and name of its class, pixels, images that have it.
        counts: examples of every split; the split of a set without splits is "all".
        notes: what was left out.
    """

    kind: str
    folder: Path
    table: pd.DataFrame
    counts: dict[str, int]
    notes: list[str]


@dataclass
class _Source:
    """What is read, and what its reader finds: the table before the first example, notes at any time."""

    root: Path
    given: Path | None  # --table
    table: list[tuple[str, str]] = field(default_factory=list)  # what is stored, name of its class
    notes: list[str] = field(default_factory=list)

    def note(self, what: str, found: Collection[Path]) -> None:
        """Note what became of some files, if there are any."""
        self.notes += [f"{what}: {_some(found)}"] if found else []


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    kind: str | None = None,
    table: str | os.PathLike[str] | None = None,
) -> Converted:
    """Make a data set of label maps from labels of another program. Used in {doc}`02_data`.

    Args:
        source: the folder as it was exported; it stays as it is.
        target: the new folder; it must not exist, and must not lie in `source`.
        kind: one of `KINDS`; by default the one that the folder's contents show.
        table: for "colours" and "values", a file with lines `name r,g,b` or `name value`; several may have
            one name, and "(ignored)" is void.

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
    found = _Source(root, None if table is None else Path(table).expanduser())
    kind = kind or _guess(found)
    if kind not in KINDS:
        raise DataError(f"there is no kind {kind!r}; there are {', '.join(KINDS)}")
    if (table is None) == (kind in ("colours", "values")):
        line = "name value" if kind == "values" else "name r,g,b"
        needed = (
            f"--table FILE, with lines {line!r} ({files.IGNORED} for void)" if table is None else "no table"
        )
        raise DataError(f"{kind} needs {needed}")
    temporary = out.with_name(f".{out.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.mkdir()
        became, counts = _write(found, KINDS[kind](found), temporary)
        if hasattr(os, "sync"):
            os.sync()  # the final name must not reach the disk before the bytes
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Converted(kind, out, became, counts, found.notes)


def _guess(source: _Source) -> str:
    """Return the one kind that the folder, or the table given, looks like."""
    if source.given:
        lines = map(str.strip, _text(source.given).splitlines())
        return "colours" if any(COLOUR.fullmatch(line) for line in lines) else "values"
    root, listed = source.root, _files(source.root, ".txt", ".csv")
    signs = {
        "cvat": root / "labelmap.txt" in listed and (root / files.MASKS).is_dir(),
        "roboflow": any(file.name == "_classes.csv" for file in listed),
        "labelme": bool(_json_with(root, *LABELME)),
        "coco": bool(_json_with(root, *COCO)),
        "yolo": any("labels" in file.relative_to(root).parts for file in listed),
    }
    if len(fits := [kind for kind, fit in signs.items() if fit]) == 1:
        return fits[0]
    raise DataError(
        f"{root} looks like {' and '.join(fits) or 'none of the kinds'}{_boxes(root)}; say which: --from "
        f"{', '.join(KINDS)} (colours and values need a --table)"
    )


def _write(source: _Source, examples: Iterator[Example], folder: Path) -> tuple[pd.DataFrame, dict[str, int]]:
    """Write a data set and read it back; return what became of every row, and the splits' sizes."""
    first = next(examples, None)  # now the table is there
    if first is None:
        raise DataError(f"{source.root} holds no image with labels of this kind{_boxes(source.root)}")
    names = list(dict.fromkeys(name for _, name in source.table if name != files.IGNORED))
    palette = files.labels_of(names, files.Encoding.plain())[0].palette
    if "" in names:
        raise DataError(f"{source.root} has a class without a name; give it one")
    number = {name: index for index, name in enumerate(names)} | {files.IGNORED: IGNORE}
    numbers = np.array([number[name] for _, name in source.table], np.uint8)
    pixels, images = np.zeros((2, len(numbers)), np.int64)
    origins: dict[object, Path] = {}  # of every image and every id
    written, read = {}, {}
    for name, split, file, rows in itertools.chain([first], examples):
        for key in (file, (split, name)):
            if key in origins:
                raise DataError(f"{origins[key]} and {file} are one example, {name}; remove or rename one")
            origins[key] = file
        content, image = _open(file)
        rows = _upright(rows, image, file)
        counts = np.bincount(rows.ravel(), minlength=len(numbers))
        pixels, images = pixels + counts, images + (counts > 0)
        suffix = f".{image.format}".lower().replace("mpo", "jpg") if file.suffix == ".json" else file.suffix
        (folder / "images" / split).mkdir(parents=True, exist_ok=True)
        (folder / "images" / split / f"{name}{suffix}").write_bytes(content)
        (folder / "masks" / split).mkdir(parents=True, exist_ok=True)
        label_image(numbers[rows], palette).save(folder / "masks" / split / f"{name}.png")
        written[split, name] = zlib.crc32(numbers[rows].tobytes())
    (folder / files.NAMES).write_text("\n".join(names) + "\n", encoding="utf-8")
    splits = list(dict.fromkeys(split for split, _ in written))
    if len(splits) == 1:
        for kind in ("images", "masks"):
            (folder / kind / splits[0]).rename(folder / "only")
            (folder / kind).rmdir()
            (folder / "only").rename(folder / kind)
        written, splits = {("all", name): code for (_, name), code in written.items()}, ["all"]
    elif "all" in splits:
        stray = next(file for key, file in origins.items() if isinstance(key, tuple) and key[0] == "all")
        raise DataError(f"{stray} is in no split, others are in {', '.join(splits)}; move it to one")
    sets = [files.load_pairs(folder, split) for split in splits]
    for dataset, name in progress([(one, name) for one in sets for name in one.ids], desc="reading back"):
        dataset.image_file(name)
        read[dataset.split, name] = zlib.crc32(read_mask(dataset.mask_file(name)).tobytes())
    if read != written:
        raise DataError("masks cannot be read back as they were written; is the disk in order?")
    table = pd.DataFrame(source.table, columns=["stored", "name"])
    table.insert(1, "class", numbers)
    return table.assign(pixels=pixels, images=images), {one.split: len(one) for one in sets}


def _upright(rows: Rows, image: Image.Image, file: Path) -> Rows:
    """Turn labels of the pixels as stored, as EXIF turns the image; sizes tell what they were drawn on."""
    try:
        upright, stored = read_image(image).shape[:2], image.size[::-1]
    except DataError as error:
        raise DataError(f"{file}: {error}") from error
    if rows.shape not in (upright, stored):
        raise DataError(f"{file} is {upright} (height, width), its labels {rows.shape}; export both again")
    if _turn(image) and upright == stored:
        raise DataError(f"{file} {UNDECIDED}")
    if not _turn(image) or rows.shape == upright:
        return rows
    mask = Image.fromarray(rows.astype(np.int32))
    mask.getexif()[ExifTags.Base.Orientation] = _turn(image)
    return np.asarray(ImageOps.exif_transpose(mask))


def _turn(image: Image.Image) -> int:
    """Return the EXIF orientation, 0 for none."""
    orientation = image.getexif().get(ExifTags.Base.Orientation, 0)
    return orientation if orientation in range(2, 9) else 0


# Files ----------------------------------------------------------------------------------------------------


@contextmanager
def _reading(place: object) -> Iterator[None]:
    """Name the file, and the place in it, where the contents are not as expected."""
    try:
        yield
    except DataError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, yaml.YAMLError) as error:
        why = f"there is no {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(f"{place}: {why}; correct it, or export it again") from error


def _text(file: Path) -> str:
    """Return a file's text; a DataError if there is none."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read as UTF-8 text: {error}; save it as UTF-8") from error


def _json(file: Path) -> Any:
    """Return what a JSON file holds."""
    with _reading(file):
        return json.loads(_text(file))


def _json_with(root: Path, *keys: str) -> list[Path]:
    """Return the JSON files in which these keys occur."""
    texts = ((file, file.read_bytes()) for file in _files(root, ".json"))
    return [file for file, text in texts if all(f'"{key}"'.encode() in text for key in keys)]


def _open(file: Path) -> tuple[bytes, Image.Image]:
    """Return the bytes and the decoded image of an image file, or of the one that a labelme file holds."""
    with _reading(f"{file}, imageData"):
        content = base64.b64decode(_json(file)["imageData"]) if file.suffix == ".json" else file.read_bytes()
    try:
        with Image.open(BytesIO(content)) as image:
            image.load()
            image.getexif()  # is kept
    except BROKEN as error:
        raise DataError(f"{file} is damaged, cut off or no image that Pillow reads: {error}") from error
    return content, image


def _files(root: Path, *suffixes: str) -> list[Path]:
    """Return the files below a folder that have one of the suffixes, but none that is hidden."""
    found = (path for path in root.rglob("*") if path.suffix.lower() in suffixes and path.is_file())
    return sorted(path for path in found if not any(part[0] == "." for part in path.relative_to(root).parts))


def _some(found: Collection[Path]) -> str:
    """Return how many files there are, and three of them."""
    first = ", ".join(str(file) for file in sorted(found)[:3])
    return f"{len(found)} file{'s' * (len(found) > 1)}, {first}{', ...' * (len(found) > 3)}"


def _split(name: str) -> str:
    """Return what a split is called here: "train2017" is train, "Validation" val; "all" for no split."""
    return SPLITS.get(name.lower().rstrip("0123456789"), "all")


def _place(file: Path, root: Path) -> tuple[str, str]:
    """Return id and split of an image, from the folders that it lies in."""
    *folders, name = file.relative_to(root).with_suffix("").parts
    split = next((folder for folder in folders if _split(folder) != "all"), "all")
    return "_".join([*(one for one in folders if one not in ("images", split)), name]), _split(split)


def _boxes(root: Path) -> str:
    """Return why a folder with boxes in VOC's form is refused, or nothing."""
    found = _files(root / "Annotations", ".xml")
    return f" ({found[0]} holds boxes around objects, not their pixels: detection data)" if found else ""


# Masks ----------------------------------------------------------------------------------------------------


def _tabled(source: _Source, coloured: bool, file: Path | None = None) -> Iterator[Example]:
    """Read masks in VOC's layout or in pairs, whose colours or values are in a table.

    Its lines are `name r,g,b`, `name:r,g,b:parts:actions` (CVAT's) or `name value`.
    """
    file = file or source.given or source.root / "labelmap.txt"
    pattern, form, most = (COLOUR, "name r,g,b", 255) if coloured else (VALUE, "name value", 65535)
    table: dict[int, tuple[str, str]] = {}
    for index, line in enumerate(map(str.strip, _text(file).splitlines()), start=1):
        if not line or line.startswith("#"):
            continue
        match = pattern.fullmatch(line)
        parts = [int(part) for part in match.groups()[1:]] if match else []
        if not match or max(parts) > most:
            raise DataError(f"{file}, line {index}: {line!r} is not {form!r}, with numbers up to {most}")
        number = (parts[0] << 16) + (parts[1] << 8) + parts[2] if coloured else parts[0]
        if number in table:
            raise DataError(f"{file}, line {index}: {line!r} has what {table[number][1]!r} has; remove one")
        table[number] = (",".join(map(str, parts)), match[1])
    return _masks(source, table, _pairs(source.root), coloured)


def _pairs(root: Path) -> list[tuple[str, str, Path, Path | None]]:
    """Return id, split, image and mask of every image, in folders named as VOC's or as those of pairs."""
    found: list[dict[str, Path]] = []
    for usual in ((files.IMAGES, *files.OWN_IMAGES), (files.MASKS, *files.OWN_MASKS)):
        folder = next((root / name for name in usual if (root / name).is_dir()), None)
        if folder is None:
            raise DataError(f"{root} has no folder {' or '.join(usual)}; export images and masks")
        found.append({})
        for path in _files(folder, *files.SUFFIXES):
            name = str(path.relative_to(folder).with_suffix("").as_posix())
            if found[-1].setdefault(name, path) != path:
                raise DataError(f"{found[-1][name]} and {path} have one id, {name}; rename or remove one")
    images, masks = found
    lists = sorted((root / files.LISTS).glob("[!.]*.txt"))
    lists = lists or [root / f"{split}.txt" for split in ("train", "val", "test")]
    splits: dict[str, str] = {}
    for file in lists:
        if not file.is_file() or (file.stem == "trainval" and len(lists) > 1):  # is train and val
            continue
        for line in files.read_list(file, "write ids into it, one a line"):
            name, split = line.strip('"'), _split(file.stem)  # CVAT quotes names with spaces
            if name not in images:
                raise DataError(f"{file} asks for {name}, but {root} has no such image; export it, too")
            if splits.setdefault(name, split) != split:
                raise DataError(f"{file} has {name}, which is in {splits[name]}, too; remove it from one")
    splits = splits or {name: _place(Path(f"{name}.x"), Path())[1] for name in images}
    ways = {name: [masks[name + end] for end in files.MASK_ENDINGS if name + end in masks] for name in splits}
    return [
        (_place(Path(f"{name}.x"), Path())[0], split, images[name], next(iter(ways[name]), None))
        for name, split in splits.items()
    ]


def _masks(
    source: _Source,
    table: dict[int, tuple[str, str]],
    pairs: list[tuple[str, str, Path, Path | None]],
    coloured: bool,
) -> Iterator[Example]:
    """Go through the examples that have a mask; `table` has a row for each of the masks' numbers."""
    source.table += table.values()
    source.note("left out, having no mask", [image for _, _, image, mask in pairs if mask is None])
    known, order = np.array(list(table)), np.argsort(list(table))
    unknown: dict[int, Counter[Path]] = defaultdict(Counter)
    for name, split, image, mask in progress(pairs, desc="converting"):
        if mask is None:
            continue
        stored = _stored(mask, coloured)
        rows = order[np.searchsorted(known, stored, sorter=order).clip(max=len(known) - 1)]
        wrong = stored[known[rows] != stored]
        for number, count in zip(*np.unique(wrong, return_counts=True), strict=True):
            unknown[number][mask] += int(count)
        if not unknown:  # else nothing comes of it, but the others are looked through
            yield name, split, image, rows
    if unknown:
        lines = []
        for number, where in sorted(unknown.items(), key=lambda item: -item[1].total())[:20]:
            shown = f"{number >> 16},{number >> 8 & 255},{number & 255}" if coloured else str(number)
            lines.append(f"\n- {shown}: {where.total():,} pixels in {_some(where)}")
        raise DataError(
            f"the masks hold {len(unknown)} {'colours' if coloured else 'values'} that are not in the table, "
            f"and none is rounded:{''.join(lines)}\nGive each a line, {files.IGNORED} being the name of void"
        )


def _stored(file: Path, coloured: bool) -> NDArray[np.int64]:
    """Return a mask's values, or its colours as numbers 0xRRGGBB, [H, W]."""
    content, mask = _open(file)
    if mask.format in LOSSY:
        raise DataError(f"{file} is a {mask.format} file, which changes labels to compress; save PNG masks")
    if not coloured:
        if mask.mode not in LABEL_MODES:
            raise DataError(f"{file} holds colours (mode {mask.mode}): --from colours, with a table of them")
        return np.asarray(mask).astype(np.int64)
    deep = mask.format == "PNG" and content[24] == 16  # bits a channel, which Pillow cuts down to 8
    if deep or mask.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
        raise DataError(f"{file} (mode {mask.mode}) has no colours of 8 bits; save it as 8-bit RGB")
    if mask.has_transparency_data and mask.convert("RGBA").getchannel("A").getextrema() != (255, 255):
        raise DataError(f"{file} is transparent in places; save it without alpha, with a colour for void")
    return np.asarray(mask.convert("RGB")).astype(np.int64) @ (1 << 16, 1 << 8, 1)


def _roboflow(source: _Source) -> Iterator[Example]:
    """Read images and masks in one folder per split, with a list "Pixel Value, Class" in each."""
    table: dict[int, tuple[str, str]] = {}
    pairs: list[tuple[str, str, Path, Path | None]] = []
    for file in (file for file in _files(source.root, ".csv") if file.name == "_classes.csv"):
        lines = csv.reader(_text(file).splitlines(), skipinitialspace=True)
        with _reading(file):
            if [cell.strip() for cell in next(lines, [])] != ["Pixel Value", "Class"]:
                raise ValueError("its first line is not 'Pixel Value, Class', as for semantic segmentation")
            for value, name in filter(None, lines):
                if table.setdefault(int(value), (value, name.strip())) != (value, name.strip()):
                    raise ValueError(f"{value} is {name.strip()!r}, elsewhere {table[int(value)][1]!r}")
        found = files.list_files(file.parent)
        for name, image in found.items():
            if not name.endswith("_mask"):
                pairs.append((*_place(image, source.root), image, found.get(f"{name}_mask")))
    return _masks(source, dict(sorted(table.items())), pairs, coloured=False)


# Outlines -------------------------------------------------------------------------------------------------


def _outlined(source: _Source, stored: Iterable[object], names: Iterable[str]) -> None:
    """Set the table: row 0 is what no outline covers, then come the names given."""
    usual = {"_background_": "background", "__ignore__": files.IGNORED}  # labelme's
    tidy = (" ".join(name.split()) for name in names)
    classes = ("background" if name.lower() == "background" else usual.get(name, name) for name in tidy)
    source.table += [("(no outline)", "background"), *zip(map(str, stored), classes, strict=True)]


def _fill(rows: Rows, row: int, *outlines: ArrayLike) -> None:
    """Give the pixels inside of outlines a row; corners are x, y in pixels, from the image's edge."""
    height, width = rows.shape
    slack = 2 + 0.01 * max(height, width)
    for outline in outlines:
        corners = np.asarray(outline, float).reshape(-1, 2)
        if len(corners) < 3:
            raise ValueError(f"an outline of {len(corners)} corners has no area")
        inside = ((corners >= -slack) & (corners <= (width + slack, height + slack))).all(
            axis=1
        )  # NaN is not
        if not inside.all():
            raise ValueError(
                f"the corner {corners[~inside][0].tolist()} is outside of {width}x{height} pixels"
            )
        (code,) = coco.frPyObjects([corners.ravel().tolist()], height, width)
        np.copyto(rows, row, where=coco.decode(code).astype(bool))


def _labelme(source: _Source) -> Iterator[Example]:
    """Read one JSON file an image, with shapes; a list `labels.txt` or `classes.txt` orders their labels."""
    found = _json_with(source.root, *LABELME)
    kinds: dict[str, set[str]] = defaultdict(set)
    for file in progress(found, desc="reading labels"):
        with _reading(file):
            for shape in _json(file)["shapes"]:
                kinds[shape["label"]].add(shape.get("shape_type") or "polygon")
    bare = {label for label, several in kinds.items() if several <= NO_AREA}
    if bare:
        source.notes.append(f"left out, being points or lines alone: the labels {', '.join(sorted(bare))}")
    labels = sorted(kinds.keys() - bare)
    for lines in (source.root / "labels.txt", source.root / files.NAMES):
        if lines.is_file():
            labels = list(files.read_list(lines, "write the labels into it, one a line"))
            if missing := kinds.keys() - bare - {*labels}:
                raise DataError(f"{lines} has no line for the label {min(missing)!r}; complete it")
    _outlined(source, labels, labels)
    taken = set()
    for file in progress(found, desc="converting"):
        content = _json(file)
        with _reading(file):
            path = file.parent / content["imagePath"].replace("\\", "/")
            image = next((one for one in (path, file.parent / path.name) if one.is_file()), file)
            if image == file and not content.get("imageData"):
                raise ValueError(f"its image {path} is not there, nor in the file; put it beside the file")
            rows = np.zeros((content["imageHeight"], content["imageWidth"]), np.uint8, order="F")
        for index, shape in enumerate(content["shapes"]):
            with _reading(f"{file}, shape {index} ({shape['label']})"):
                if shape["label"] not in bare:
                    _draw(rows, 1 + labels.index(shape["label"]), shape)
        taken.add(image.resolve())
        yield *_place(file, source.root), image, rows
    left = [one for one in _files(source.root, *files.SUFFIXES) if one.resolve() not in taken]
    source.note("left out, without a JSON file", left)


def _draw(rows: Rows, row: int, shape: dict[str, Any]) -> None:
    """Give the pixels of one of labelme's shapes a row."""
    kind, points = shape.get("shape_type") or "polygon", np.asarray(shape["points"], float).reshape(-1, 2)
    if kind == "polygon" or (kind == "rectangle" and len(points) == 4):
        _fill(rows, row, points)
    elif kind == "rectangle":
        (left, top), (right, bottom) = points
        _fill(rows, row, [(left, top), (right, top), (right, bottom), (left, bottom)])
    elif kind == "circle":
        centre, edge = points
        angles = np.linspace(0, 2 * np.pi, 360, endpoint=False)
        ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        _fill(rows, row, centre + np.hypot(*(edge - centre)) * ring)
    elif kind == "mask":
        (left, top), (right, bottom) = points.astype(int)
        with Image.open(BytesIO(base64.b64decode(shape["mask"]))) as mask:
            rows[top : bottom + 1, left : right + 1][np.asarray(mask) > 0] = row
    else:
        raise ValueError(f"a {kind} has no area, but the label has others that do; draw its outline")


def _coco(source: _Source) -> Iterator[Example]:
    """Read JSON files of COCO's form; category ids in any order become 1, 2, ..., crowds void."""
    contents = {file: _json(file) for file in _json_with(source.root, *COCO)}
    names: dict[int, str] = {}
    for file, content in contents.items():
        with _reading(f"{file}, categories"):
            for one in content["categories"]:
                if names.setdefault(one["id"], one["name"]) != one["name"]:
                    raise ValueError(f"{one['id']} is {one['name']!r}, elsewhere {names[one['id']]!r}")
            boxes = sum(not one.get("segmentation") for one in content["annotations"])
        if boxes:
            raise DataError(
                f"{file}: {boxes} of {len(content['annotations'])} annotations are boxes without an outline, "
                "which is detection data; export outlines (segmentation)"
            )
    ids = sorted(names)
    _outlined(source, [*ids, "iscrowd"], [*(names[one] for one in ids), files.IGNORED])
    images: dict[str, list[Path]] = defaultdict(list)
    for path in _files(source.root, *files.SUFFIXES):
        images[path.name].append(path)
    empty = []
    for file, content in contents.items():
        words = re.split(r"[\W_]+", str(file.relative_to(source.root)))
        split = next((_split(word) for word in words if _split(word) != "all"), "all")
        annotations: dict[Any, list[Any]] = defaultdict(list)
        with _reading(file):
            for one in content["annotations"]:
                annotations[one["image_id"]].append(one)
        for entry in progress(content["images"], desc=f"converting {file.name}"):
            with _reading(f"{file}, image {entry.get('id')}"):
                name = entry["file_name"].replace("\\", "/")
                fits = images[name.rpartition("/")[2]]
                fits = [path for path in fits if path.as_posix().endswith(f"/{name}")] or fits
                fits = [path for path in fits if _place(path, source.root)[1] == split] or fits
                if len(fits) != 1:
                    raise ValueError(f"{len(fits)} images {name} are in {source.root}, not one")
                rows = np.zeros((entry["height"], entry["width"]), np.uint8, order="F")
                several = annotations.pop(entry["id"], [])
            empty += [] if several else fits
            for one in sorted(several, key=lambda one: not one.get("iscrowd")):  # objects over crowds
                with _reading(f"{file}, annotation {one.get('id')}"):
                    if one["category_id"] not in names:
                        raise ValueError(f"there is no category {one['category_id']}")
                    row = 1 + (len(ids) if one.get("iscrowd") else ids.index(one["category_id"]))
                    if isinstance(one["segmentation"], list):
                        _fill(rows, row, *one["segmentation"])
                    else:
                        np.copyto(rows, row, where=_decoded(one["segmentation"], rows.shape))
            yield _place(fits[0], source.root)[0], split, fits[0], rows
        if annotations:
            raise DataError(
                f"{file}: annotations have the image_id {next(iter(annotations))}, no image has it"
            )
    source.note("background alone, without annotations", empty)


def _decoded(code: dict[str, Any], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the mask of COCO's run lengths; what does not fill the image exactly would give any pixels."""
    counts = code["counts"]
    if isinstance(counts, list):
        if sum(counts) != shape[0] * shape[1]:
            raise ValueError(f"its run lengths add up to {sum(counts)} pixels, not {shape[0] * shape[1]}")
        counts = coco.frPyObjects(code, *shape)["counts"].decode()
    mask = coco.decode({"size": code["size"], "counts": counts.encode()})
    if mask.shape != shape or coco.encode(mask)["counts"] != counts.encode():
        raise ValueError(f"its run lengths are not those of {shape} pixels (height, width)")
    return mask.astype(bool)


def _yolo(source: _Source) -> Iterator[Example]:
    """Read outlines as text, `labels/**/*.txt` beside `images/**`, with names in a YAML file or a list."""
    root = source.root
    settings = sorted([*root.glob("*.yaml"), *root.glob("*.yml")])
    if settings:
        with _reading(settings[0]):
            content = yaml.safe_load(_text(settings[0]))
            names = [content["names"][index] for index in range(len(content["names"]))]
            if "kpt_shape" in content or not all(isinstance(name, str) for name in names):
                raise ValueError(f"key points have no area (kpt_shape), and names are text, not {names}")
    else:
        names = list(files.read_list(root / files.NAMES, "write the names into it, or export data.yaml, too"))
    _outlined(source, range(len(names)), names)
    texts = {file for file in _files(root, ".txt") if "labels" in file.relative_to(root).parts[:-1]}
    images = [file for file in _files(root, *files.SUFFIXES) if "images" in file.relative_to(root).parts[:-1]]
    empty = []
    for file in progress(images, desc="converting"):
        parts = [*file.relative_to(root).parts]
        parts[parts.index("images")] = "labels"
        text = root.joinpath(*parts).with_suffix(".txt")
        image = _open(file)[1]
        if text in texts and _turn(image):
            raise DataError(f"{file} {UNDECIDED}")
        rows = np.zeros(image.size[::-1], np.uint8, order="F")
        lines = _text(text).splitlines() if text in texts else []
        for index, line in enumerate(lines, start=1):
            with _reading(f"{text}, line {index}"):
                number, *corners = line.split() or [""]
                if len(corners) == 4:
                    raise ValueError("five numbers are a box, so it is detection data")
                if number and not 0 <= int(number) < len(names):
                    raise ValueError(f"there is no class {number}, but 0 to {len(names) - 1}")
                if number:
                    _fill(rows, 1 + int(number), np.array(corners, float).reshape(-1, 2) * image.size)
        empty += [] if any(lines) else [file]
        texts.discard(text)
        yield *_place(file, root), file, rows
    if texts:
        raise DataError(f"{min(texts)} belongs to no image; put the image into images, or remove the file")
    source.note("background alone, without outlines", empty)


LABELME, COCO = ("shapes", "imagePath"), ("images", "annotations", "categories")
KINDS: dict[str, Callable[[_Source], Iterator[Example]]] = {
    "cvat": partial(_tabled, coloured=True),
    "colours": partial(_tabled, coloured=True),
    "values": partial(_tabled, coloured=False),
    "roboflow": _roboflow,
    "labelme": _labelme,
    "coco": _coco,
    "yolo": _yolo,
}
