"""How other programs write labels: a reader for each kind, which goes through images and the rows of a table.

A kind that stores outlines has the row 0 for what none covers, class "background". Outlines are filled as
COCO's own tools do it: a pixel belongs to an object if its centre does. Where objects overlap, the later one
lies on top.
"""

import base64
import csv
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import ExifTags, Image

from dmnet.datasets import files
from dmnet.errors import DataError, extra
from dmnet.files import progress
from dmnet.images import BROKEN, LABEL_MODES, LOSSY

with extra("prepare"):
    import yaml
    from pycocotools import mask as coco

SPLITS = {"training": "train", "valid": "val", "validation": "val", "testing": "test"}
SPLITS |= {split: split for split in SPLITS.values()}
OUTSIDE = ("(no outline)", "background")
NO_AREA = {"point", "points", "line", "linestrip"}  # shapes of labelme
LABELME, COCO = ("shapes", "imagePath"), ("images", "annotations", "categories")  # keys of their files
DATUMARO = [{"name": "", "id": 0, "url": ""}]  # what it and CVAT license by: they call every mask a crowd
COLOUR = re.compile(r"(.*?\S)\s*[:\s]\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*(?::.*)?")
VALUE = re.compile(r"(.*?\S)[\s:=,]+(\d+)")
UNCLEAR = (
    "is turned by its EXIF orientation, and nothing tells whether its labels are; store it as it is seen "
    "(PIL.ImageOps.exif_transpose), with labels to match"
)

Rows = NDArray[np.integer]  # [H, W]: of each pixel, the row of the table
Example = tuple[str, str, Path, Rows]  # id; split, "all" for none; image file, or labelme file with it; rows
Pair = tuple[str, str, Path, Path | None]  # id, split, image, mask
MALFORMED = (LookupError, ArithmeticError, AttributeError, TypeError, MemoryError, *BROKEN, yaml.YAMLError)


@dataclass
class Source:
    """What is read, and what its reader says of it. Used in {doc}`02_data`.

    The table is filled before the reader's first example, the rest at any time.
    """

    root: Path
    given: Path | None  # --table
    say: Callable[[str], object]
    place: object = "the source"  # what is being read, for messages
    table: list[tuple[str, str]] = field(default_factory=list)  # what is stored, name of its class
    images: list[Path] = field(default_factory=list)  # all that are there, where that can be told

    def count(self, what: str, found: Collection[Path]) -> None:
        """Say what became of some files, if there are any."""
        if found:
            self.say(f"{what}: {_some(found)}")

    def text(self, file: Path) -> str:
        """Return a file's text."""
        self.place = file
        try:
            return file.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{file} cannot be read as UTF-8 text: {error}") from error


def read(source: Source, kind: str) -> Iterator[Example]:
    """Go through a kind's examples; a DataError names the malformed place. Used in {doc}`02_data`."""
    try:
        yield from KINDS[kind](source)
    except DataError:
        raise
    except MALFORMED as error:
        why = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise DataError(f"{source.place}: {why}; correct it, or export it again") from error


# Files ----------------------------------------------------------------------------------------------------


def open_image(file: Path) -> tuple[bytes, Image.Image]:
    """Return bytes and decoded image of an image file, or of a labelme file's. Used in {doc}`02_data`."""
    content = file.read_bytes()
    try:
        if file.suffix.lower() == ".json":
            content = base64.b64decode(json.loads(content)["imageData"])
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


def _json_with(root: Path, *keys: str) -> list[Path]:
    """Return the JSON files in which these keys occur."""
    texts = ((file, file.read_bytes()) for file in _files(root, ".json"))
    return [file for file, text in texts if all(f'"{key}"'.encode() in text for key in keys)]


def _some(found: Collection[Path]) -> str:
    """Return how many files there are, and three of them."""
    first = ", ".join(str(file) for file in sorted(found)[:3])
    return f"{len(found)} file{'s' * (len(found) > 1)} ({first}{', ...' * (len(found) > 3)})"


def _split(name: str) -> str:
    """Return what a split is called here: "train2017" is train, "Validation" val; "all" for no split."""
    return SPLITS.get(name.lower().rstrip("0123456789"), "all")


def _place(file: Path, root: Path) -> tuple[str, str]:
    """Return id and split of an image, from the folders that it lies in."""
    *folders, name = file.relative_to(root).with_suffix("").parts
    split = next((folder for folder in folders if _split(folder) != "all"), "all")
    return "_".join([*(one for one in folders if one not in ("images", split)), name]), _split(split)


def boxes(root: Path) -> str:
    """Return why a folder with boxes in VOC's form is refused, or nothing. Used in {doc}`02_data`."""
    found = _files(root / "Annotations", ".xml")
    return f" ({found[0]} holds boxes around objects, not their pixels: detection data)" if found else ""


def guess(source: Source) -> str:
    """Return the one kind that the folder, or the table given, looks like. Used in {doc}`02_data`."""
    if source.given:
        lines = map(str.strip, source.text(source.given).splitlines())
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
        f"{root} looks like {' and '.join(fits) or 'none of the kinds'}{boxes(root)}; say which: --from "
        f"{', '.join(KINDS)} (colours and values need a --table)"
    )


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 0 for an image that is not turned. Used in {doc}`02_data`."""
    stored = image.getexif().get(ExifTags.Base.Orientation, 0)
    return stored if stored in range(2, 9) else 0


# Masks ----------------------------------------------------------------------------------------------------


def _tabled(source: Source, coloured: bool) -> Iterator[Example]:
    """Read masks in VOC's layout or in pairs, whose colours or values are in a table.

    Its lines are `name r,g,b`, `name:r,g,b:parts:actions` (CVAT's `labelmap.txt`) or `name value`.
    """
    file = source.given or source.root / "labelmap.txt"
    pattern, form, most = (COLOUR, "name r,g,b", 255) if coloured else (VALUE, "name value", 65535)
    table: dict[int, tuple[str, str]] = {}
    for index, line in enumerate(map(str.strip, source.text(file).splitlines()), start=1):
        source.place = f"{file}, line {index}"
        if line and not line.startswith("#"):
            match = pattern.fullmatch(line)
            parts = [int(part) for part in match.groups()[1:]] if match else []
            if not match or max(parts) > most:
                raise ValueError(f"{line!r} is not of the form {form!r}, with numbers up to {most}")
            number = int.from_bytes(parts) if coloured else parts[0]
            if number in table:
                raise ValueError(f"{line!r} has what {table[number][1]!r} has")
            table[number] = (",".join(map(str, parts)), match[1])
    yield from _masks(source, table, list(_pairs(source.root)), coloured)


def _pairs(root: Path) -> Iterator[Pair]:
    """Go through id, split, image and mask of every image, in folders named as VOC's or as those of pairs."""
    images, masks = _by_id(root, files.IMAGES, *files.OWN_IMAGES), _by_id(root, files.MASKS, *files.OWN_MASKS)
    own = [root / f"{split}.txt" for split in ("train", "val", "test")]
    splits: dict[str, str] = {}
    for file in (*sorted((root / files.LISTS).glob("[!.]*.txt")), *own):
        if file.is_file() and file.stem != "trainval":  # that is both
            for line in files.read_list(file):
                name, split = line.strip('"'), _split(file.stem)  # CVAT quotes names with spaces
                if name not in images or splits.setdefault(name, split) != split:
                    raise DataError(f"{file}: {name} has no image in {root}, or is in two lists; mend it")
    for name in splits or images:
        mask = next((masks.pop(name + end) for end in files.MASK_ENDINGS if name + end in masks), None)
        label, split = _place(Path(f"{name}.x"), Path())
        yield label, splits.get(name, split), images[name], mask
    if masks and not splits:
        raise DataError(f"{min(masks.values())} belongs to no image; give it one, or remove it")


def _by_id(root: Path, *usual: str) -> dict[str, Path]:
    """Return the images in the first of these folders that exists, by their path without suffix."""
    folder = next((root / name for name in usual if (root / name).is_dir()), None)
    if folder is None:
        raise DataError(f"{root} has no folder {' or '.join(usual)}; export images and masks")
    found: dict[str, Path] = {}
    for path in _files(folder, *files.SUFFIXES):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if found.setdefault(name, path) != path:
            raise DataError(f"{found[name]} and {path} have one id, {name}; rename or remove one")
    return found


def _masks(
    source: Source, table: dict[int, tuple[str, str]], pairs: Sequence[Pair], coloured: bool
) -> Iterator[Example]:
    """Go through the examples that have a mask; `table` has a row for each of the masks' numbers."""
    if pairs and not table:
        raise ValueError("the table is empty")
    source.count("Left out, having no mask", [image for _, _, image, mask in pairs if mask is None])
    source.table += table.values()
    known, order = np.array([*table]), np.argsort([*table])
    unknown: dict[int, Counter[Path]] = defaultdict(Counter)
    for name, split, image, mask in progress(pairs, desc="converting"):
        if mask is None:
            continue
        stored = _stored(mask, coloured)
        rows = order[np.searchsorted(known, stored, sorter=order).clip(max=len(known) - 1)]
        for number, count in zip(*np.unique(stored[known[rows] != stored], return_counts=True), strict=True):
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
    content, mask = open_image(file)
    if mask.format in LOSSY:
        raise DataError(f"{file} is a {mask.format} file, which changes labels to compress; save PNG masks")
    if not coloured:
        if mask.mode not in LABEL_MODES:
            raise DataError(f"{file} holds colours (mode {mask.mode}): --from colours, with a table of them")
        return np.asarray(mask).astype(np.int64)
    deep = mask.format == "PNG" and content[24] == 16  # bits a channel, which Pillow cuts down to 8
    clear = mask.has_transparency_data and mask.convert("RGBA").getchannel("A").getextrema() != (255, 255)
    if deep or clear or mask.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
        why = "16 bits a channel" if deep else "transparent pixels" if clear else f"the mode {mask.mode}"
        raise DataError(f"{file} has {why}; save it as 8-bit RGB without alpha, void as a colour")
    return np.asarray(mask.convert("RGB")).astype(np.int64) @ (1 << 16, 1 << 8, 1)


def _roboflow(source: Source) -> Iterator[Example]:
    """Read images and masks in one folder per split, with a list "Pixel Value, Class" in each."""
    table: dict[int, tuple[str, str]] = {}
    pairs: list[Pair] = []
    for file in (file for file in _files(source.root, ".csv") if file.name == "_classes.csv"):
        lines = csv.reader(source.text(file).splitlines(), skipinitialspace=True)
        if [cell.strip() for cell in next(lines, [])] != ["Pixel Value", "Class"]:
            raise ValueError("its first line is not 'Pixel Value, Class', as for semantic segmentation")
        for value, name in filter(None, lines):
            if table.setdefault(int(value), (value, name.strip())) != (value, name.strip()):
                raise ValueError(f"{value} is {name.strip()!r}, elsewhere {table[int(value)][1]!r}")
        found = files.list_files(file.parent)
        for name in [name for name in found if not name.endswith("_mask")]:
            pairs.append((*_place(found[name], source.root), found[name], found.pop(f"{name}_mask", None)))
        if stray := [mask for name, mask in found.items() if name.endswith("_mask")]:
            raise DataError(f"{stray[0]} belongs to no image; give it one, or remove it")
    return _masks(source, dict(sorted(table.items())), pairs, coloured=False)


# Outlines -------------------------------------------------------------------------------------------------


def _fill(rows: Rows, row: int, *outlines: ArrayLike) -> None:
    """Give the pixels inside of outlines a row; corners are x, y in pixels, from the image's edge."""
    height, width = rows.shape
    slack = 2 + 0.01 * max(height, width)
    for outline in outlines:
        corners = np.asarray(outline, float).reshape(-1, 2)
        if len(corners) < 3:
            raise ValueError(f"an outline of {len(corners)} corners has no area")
        if not ((corners >= -slack) & (corners <= (width + slack, height + slack))).all():  # NaN is neither
            ends = f"{corners.min(axis=0)} to {corners.max(axis=0)}"
            raise ValueError(f"an outline leaves the image of {width}x{height} pixels: it goes from {ends}")
        (code,) = coco.frPyObjects([corners.ravel().tolist()], height, width)
        np.copyto(rows, row, where=coco.decode(code).astype(bool))


def _labelme(source: Source) -> Iterator[Example]:
    """Read one JSON file an image, with shapes; a list `labels.txt` or `classes.txt` orders their labels."""
    found = _json_with(source.root, *LABELME)
    kinds: dict[str, set[str]] = defaultdict(set)
    for file in progress(found, desc="reading labels"):
        for shape in json.loads(source.text(file))["shapes"]:
            kinds[shape["label"]].add(shape.get("shape_type") or "polygon")
    if bare := sorted(label for label, several in kinds.items() if several <= NO_AREA):
        source.say(f"Left out, being points or lines alone: the labels {', '.join(bare)}")
    labels = sorted(kinds.keys() - {*bare})
    for lines in (source.root / "labels.txt", source.root / files.NAMES):
        if lines.is_file():
            labels = list(files.read_list(lines))
            if missing := kinds.keys() - {*bare, *labels}:
                raise DataError(f"{lines} has no line for the label {min(missing)!r}; complete it")
    source.table += [OUTSIDE, *zip(labels, labels, strict=True)]
    source.images = _files(source.root, *files.SUFFIXES)
    for file in progress(found, desc="converting"):
        content = json.loads(source.text(file))
        path = file.parent / content["imagePath"].replace("\\", "/")
        image = next((one for one in (path, file.parent / path.name) if one.is_file()), file)
        if image == file and not content.get("imageData"):
            raise ValueError(f"its image {path} is not there, nor in the file")
        rows = np.zeros((content["imageHeight"], content["imageWidth"]), np.uint16, order="F")
        for index, shape in enumerate(content["shapes"]):
            source.place = f"{file}, shape {index} ({shape['label']})"
            if shape["label"] not in bare:
                _draw(rows, 1 + labels.index(shape["label"]), shape)
        yield *_place(file, source.root), image, rows


def _draw(rows: Rows, row: int, shape: dict[str, Any]) -> None:
    """Give the pixels of one of labelme's shapes a row."""
    kind, points = shape.get("shape_type") or "polygon", np.asarray(shape["points"], float).reshape(-1, 2)
    if kind == "rectangle" and len(points) == 2:
        (left, top), (right, bottom) = points
        points = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    if kind in ("polygon", "rectangle"):
        _fill(rows, row, points)
    elif kind == "circle":
        (x, y), (edge_x, edge_y) = points
        down, right = np.ogrid[: rows.shape[0], : rows.shape[1]]
        rows[np.hypot(right + 0.5 - x, down + 0.5 - y) <= np.hypot(edge_x - x, edge_y - y)] = row
    elif kind == "mask":
        (left, top), (right, bottom) = points.astype(int)
        with Image.open(BytesIO(base64.b64decode(shape["mask"]))) as mask:
            rows[top : bottom + 1, left : right + 1][np.asarray(mask) > 0] = row
    else:
        raise ValueError(f"a {kind} has no area; draw an outline, as for others of the label")


def _coco(source: Source) -> Iterator[Example]:
    """Read JSON files of COCO's form; category ids in any order become 1, 2, ..., crowds void."""
    contents = {file: json.loads(source.text(file)) for file in _json_with(source.root, *COCO)}
    names: dict[Any, str] = {}
    for file, content in contents.items():
        source.place = file
        for one in content["categories"]:
            if names.setdefault(one["id"], one["name"]) != one["name"]:
                raise ValueError(f"category {one['id']} is {one['name']!r}, elsewhere {names[one['id']]!r}")
        every = content["annotations"]
        if content.get("licenses") == DATUMARO:
            every[:] = [one | {"iscrowd": 0} for one in every]
        if bare := sum(not one.get("segmentation") for one in every):
            raise ValueError(f"{bare} of {len(every)} annotations are boxes without outline: detection data")
    rows_of = {one: row for row, one in enumerate(sorted(names), start=1)}
    source.table += [OUTSIDE, *((str(one), names[one]) for one in rows_of), ("iscrowd", files.IGNORED)]
    source.images = _files(source.root, *files.SUFFIXES)
    images: dict[str, list[Path]] = defaultdict(list)
    for path in source.images:
        images[path.name].append(path)
    for file, content in contents.items():
        words = re.split(r"[\W_]+", str(file.relative_to(source.root)))
        split = next((_split(word) for word in words if _split(word) != "all"), "all")
        annotations: dict[Any, list[Any]] = defaultdict(list)
        source.place = file
        for one in content["annotations"]:
            annotations[one["image_id"]].append(one)
        for entry in progress(content["images"], desc=f"converting {file.name}"):
            source.place = f"{file}, image {entry.get('id')}"
            name = entry["file_name"].replace("\\", "/")
            fits = images[name.rpartition("/")[2]]
            fits = [path for path in fits if path.as_posix().endswith(f"/{name}")] or fits
            fits = [path for path in fits if _place(path, source.root)[1] == split] or fits
            if len(fits) != 1:
                raise ValueError(f"{len(fits)} images {name} are in {source.root}, not one")
            rows = np.zeros((entry["height"], entry["width"]), np.uint16, order="F")
            drawn = annotations.pop(entry["id"], [])
            for one in sorted(drawn, key=lambda one: not one.get("iscrowd")):  # objects over crowds
                source.place = f"{file}, annotation {one.get('id')}, category {one['category_id']}"
                row = len(rows_of) + 1 if one.get("iscrowd") else rows_of[one["category_id"]]
                if isinstance(one["segmentation"], list):
                    _fill(rows, row, *one["segmentation"])
                else:
                    np.copyto(rows, row, where=_decoded(one["segmentation"], rows.shape))
            yield _place(fits[0], source.root)[0], split, fits[0], rows
        if annotations:
            raise DataError(f"{file}: annotations are of image {next(iter(annotations))}, which it lacks")


def _decoded(code: dict[str, Any], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the mask of COCO's run lengths; those that do not add up to the image could mean anything."""
    counts = code["counts"]
    if tuple(code["size"]) != shape:
        raise ValueError(f"its size is {code['size']}, its image's {shape} (height, width)")
    if isinstance(counts, list):
        return np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(shape, order="F")
    mask = coco.decode({"size": code["size"], "counts": counts.encode()})
    if coco.encode(mask)["counts"] != counts.encode():
        raise ValueError(f"its run lengths {counts!r} do not add up to {mask.size} pixels")
    return mask.astype(bool)


def _yolo(source: Source) -> Iterator[Example]:
    """Read outlines as text, `labels/**/*.txt` beside `images/**`, with names in a YAML file or a list."""
    root = source.root
    if settings := sorted([*root.glob("*.yaml"), *root.glob("*.yml")]):
        content = yaml.safe_load(source.text(settings[0]))
        names = [content["names"][index] for index in range(len(content["names"]))]
        if "kpt_shape" in content:
            raise ValueError("kpt_shape: key points have no area")
    else:
        names = list(files.read_list(root / files.NAMES))
    source.table += [OUTSIDE, *((str(index), name) for index, name in enumerate(names))]
    texts = {file for file in _files(root, ".txt") if "labels" in file.relative_to(root).parts[:-1]}
    source.images = _files(root, *files.SUFFIXES)
    images = [file for file in source.images if "images" in file.relative_to(root).parts[:-1]]
    for file in progress(images, desc="converting"):
        parts = [*file.relative_to(root).parts]
        parts[parts.index("images")] = "labels"
        text = root.joinpath(*parts).with_suffix(".txt")
        image = open_image(file)[1]
        if text in texts and orientation(image):
            raise DataError(f"{file} {UNCLEAR}")
        rows = np.zeros(image.size[::-1], np.uint16, order="F")
        lines = source.text(text).splitlines() if text in texts else []
        for index, line in enumerate(lines, start=1):
            source.place = f"{text}, line {index}"
            if not line.strip():
                continue
            number, *corners = line.split()
            if len(corners) == 4:
                raise ValueError("five numbers are a box: detection data")
            if not 0 <= int(number) < len(names):
                raise ValueError(f"there is no class {number}, but 0 to {len(names) - 1}")
            _fill(rows, 1 + int(number), np.array(corners, float).reshape(-1, 2) * image.size)
        texts.discard(text)
        yield *_place(file, root), file, rows
    if texts:
        raise DataError(f"{min(texts)} belongs to no image; put the image into images, or remove the file")


KINDS: dict[str, Callable[[Source], Iterator[Example]]] = {
    "cvat": partial(_tabled, coloured=True),
    "colours": partial(_tabled, coloured=True),
    "values": partial(_tabled, coloured=False),
    "roboflow": _roboflow,
    "labelme": _labelme,
    "coco": _coco,
    "yolo": _yolo,
}
