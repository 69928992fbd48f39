"""How other programs write labels: a reader for each kind.

A reader finds the images that have labels, and says how each is drawn: as rows of a table of all that is
stored. A kind that stores outlines has the row 0 for what none covers, class "background". A pixel belongs to
an outline if its centre does, as COCO's own tools have it; the later one lies on top.
"""

import base64
import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
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
from dmnet.images import LABEL_MODES, as_rgb, decode, open_mask, reading

with extra("prepare"):
    import yaml
    from pycocotools import mask as coco

SPLITS = {"training": "train", "valid": "val", "validation": "val", "testing": "test"}
SPLITS |= {split: split for split in SPLITS.values()}
OUTSIDE, CROWD = "(no outline)", "iscrowd"  # rows of a table
IMAGES, MASKS = (files.IMAGES, *files.OWN_IMAGES), (files.MASKS, *files.OWN_MASKS)  # folders
LABELME, COCO = ("shapes", "imagePath"), ("images", "annotations", "categories")  # keys of their files
DATUMARO = [{"name": "", "id": 0, "url": ""}]  # what it and CVAT license by: they call every mask a crowd
LINE = re.compile(r"(.*?\S)\s*[\s:=]\s*(\d+|\d+\s*,\s*\d+\s*,\s*\d+)\s*(?::.*)?")
BOXES = "boxes around objects, not their pixels: detection data"
UNCLEAR = "is turned by EXIF data, and its labels may be or not; store it as it is seen, with labels to match"

Names = dict[str, str]  # what is stored -> name of its class
Rows = NDArray[np.integer]  # [H, W]: of each pixel, the row of the table
Example = tuple[str, str, Path, Callable[[], Rows]]  # id, split or "all", image (or labelme's file), labels
Paths = dict[str, Path]  # by path in a folder, without suffix
Size = tuple[int, int]  # height, width
Outlines = list[tuple[str, Any]]  # what is stored, and which pixels it covers, as pycocotools' run lengths


class Export:
    """What was exported, as a reader finds it. Used in {doc}`05_data`."""

    def __init__(self, root: Path) -> None:
        self.root, self.images = root, _files(root, *files.SUFFIXES)
        self.table: Names = {}
        self.examples: list[Example] = []
        self._called: dict[str, list[Path]] = defaultdict(list)
        for path in self.images:
            self._called[_nfc(path.name)].append(path)

    def add(self, image: Path, draw: Callable[[], Rows], split: str = "all") -> None:
        """Add an image that has labels; split "all" stands for that of its folder."""
        name, own = _place(image, self.root)
        self.examples.append((name, own if split == "all" else split, image, draw))

    def named(self, name: str, file: Path, split: str) -> Path | None:
        """Return the image that a file calls so, also if it was moved; None if that is not clear."""
        name = _nfc(name.replace("\\", "/").lstrip("./"))
        fits = self._called[name.rpartition("/")[2]]
        for sign in (
            lambda path: _nfc(path.as_posix()).endswith(f"/{name}"),
            lambda path: path.parent == file.parent,
            lambda path: _place(path, self.root)[1] == split,
        ):
            fits = [path for path in fits if sign(path)] or fits
        return fits[0] if len(fits) == 1 else None


def guess(root: Path) -> str:
    """Return the one kind that a folder looks like. Used in {doc}`05_data`."""
    listed = _files(root, ".txt", ".csv")
    signs = {
        "cvat": root / "labelmap.txt" in listed and (root / files.MASKS).is_dir(),
        "roboflow": any(file.name == "_classes.csv" for file in listed),
        "labelme": bool(_json_with(root, *LABELME)),
        "coco": bool(_json_with(root, *COCO)),
        "yolo": any("labels" in file.relative_to(root).parts for file in listed),
    }
    if len(fits := [kind for kind, fit in signs.items() if fit]) == 1:
        return fits[0]
    drawn = f"; {found[0]} holds {BOXES}" if (found := _files(root / "Annotations", ".xml")) else ""
    seen, kinds = " and ".join(fits) or "none of the kinds", ", ".join(KINDS)
    raise DataError(f"{root} looks like {seen}{drawn}; say --from {kinds}, or --table FILE for other masks")


def open_image(file: Path) -> tuple[bytes, Image.Image]:
    """Return bytes and decoded image of an image file, or of a labelme file's. Used in {doc}`05_data`."""
    content = file.read_bytes()
    with reading(file):
        if file.suffix.lower() == ".json":
            content = base64.b64decode(json.loads(content)["imageData"])
        return content, decode(Image.open(BytesIO(content)), file)


def some(found: Collection[Path]) -> str:
    """Return how many files there are, and three of them. Used in {doc}`05_data`."""
    first = ", ".join(str(file) for file in sorted(found)[:3])
    return f"{len(found)} file{'s' * (len(found) > 1)} ({first}{', ...' * (len(found) > 3)})"


@contextmanager
def _at(place: object) -> Iterator[None]:
    """Make a DataError of whatever malformed contents raise in the block; it names the place."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        why = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise DataError(f"{place}: {why}; correct it, or export it again") from error


def _nfc(path: object) -> str:
    return unicodedata.normalize("NFC", str(path))


def _files(root: Path, *suffixes: str) -> list[Path]:
    """Return the files below a folder that have one of the suffixes, but none that data sets skip, too."""
    found = [path for path in root.rglob("*") if path.suffix.lower() in suffixes and path.is_file()]
    skipped = re.compile(rf"\.|({'|'.join(files.STRAY)})$")
    return sorted(path for path in found if not any(map(skipped.match, path.relative_to(root).parts)))


def _json_with(root: Path, *keys: str) -> list[Path]:
    """Return the JSON files in which these keys occur."""
    texts = ((file, file.read_bytes()) for file in _files(root, ".json"))
    return [file for file, text in texts if all(f'"{key}"'.encode() in text for key in keys)]


def _split(*names: str) -> str:
    """Return the split that the first of these names stands for that does, as "train2017" does; or "all"."""
    splits = (SPLITS.get(name.lower().rstrip("0123456789")) for name in names)
    return next(filter(None, splits), "all")


def _place(file: Path, root: Path) -> tuple[str, str]:
    """Return id and split of an image, from the folders that it lies in."""
    *folders, name = file.relative_to(root).with_suffix("").parts
    others = [one for one in folders if one not in IMAGES and _split(one) == "all"]
    return _nfc("_".join([*others, name])), _split(*folders)


def tabled(root: Path, lines: Sequence[str] = ()) -> Export:
    """Read masks in VOC's layout or in pairs, and a table of what they hold. Used in {doc}`05_data`.

    Its lines are `name value` or `name r,g,b`; by default they are CVAT's, `name:r,g,b:parts:actions`.
    """
    lines = lines or files.read_list(root / "labelmap.txt", "export as Segmentation mask 1.1")
    images, masks = _by_id(root, *IMAGES), _by_id(root, *MASKS)
    splits: dict[str, str] = {}
    for file in sorted([*(root / files.LISTS).glob("[!.]*.txt"), *root.glob("[!.]*.txt")]):
        if (split := _split(file.stem)) != "all":  # trainval and default are no splits
            for line in files.read_list(file):
                name = line.strip('"')  # CVAT quotes names with spaces
                if name not in images or splits.setdefault(name, split) != split:
                    raise DataError(f"{file}: {name} has no image in {root}, or is in two lists; mend it")
    return _masked(root, lines, images, masks, splits)


def _roboflow(root: Path) -> Export:
    """Read images and masks in one folder per split, with a list "Pixel Value, Class" in each."""
    lines: dict[str, None] = {}
    for file in (file for file in _files(root, ".csv") if file.name == "_classes.csv"):
        first, *rest = files.read_list(file)
        if first.replace(" ", "") != "PixelValue,Class":
            raise DataError(f"{file} begins with {first!r}, not 'Pixel Value, Class', as for masks")
        lines |= dict.fromkeys(" ".join(line.split(",", 1)[::-1]).strip() for line in rest)
    images = _by_id(root, "")
    masks = {name: images.pop(name) for name in [*images] if name.endswith("_mask")}
    return _masked(root, lines, images, masks, {})


def _by_id(root: Path, *usual: str) -> Paths:
    """Return the images in the first of these folders that exists, by their path without suffix."""
    folder = next((root / name for name in usual if (root / name).is_dir()), None)
    if folder is None:
        raise DataError(f"{root} has no folder {' or '.join(usual)}; export images and masks")
    found: Paths = {}
    for path in _files(folder, *files.SUFFIXES):
        name = _nfc(path.relative_to(folder).with_suffix("").as_posix())
        if found.setdefault(name, path) != path:
            raise DataError(f"{found[name]} and {path} have one id, {name}; rename or remove one")
    return found


def _masked(root: Path, lines: Iterable[str], images: Paths, masks: Paths, splits: dict[str, str]) -> Export:
    """Return the images that have a mask and, if there are lists, a split; refuse what has no line."""
    export, parsed = Export(root), dict[tuple[int, ...], str]()
    for line in (line for line in lines if not line.startswith("#")):
        match = LINE.fullmatch(line)
        key = tuple(int(part) for part in match[2].split(",")) if match else ()
        mixed = any(len(other) != len(key) for other in parsed)
        if match is None or mixed or max(key) > (65535 if len(key) == 1 else 255):
            raise DataError(f"{line!r} is not of the form 'name 7' or, for colours, 'name 51,221,255'")
        if key in parsed:
            raise DataError(f"{line!r} has what {parsed[key]!r} has; correct the table")
        parsed[key] = match[1]
    export.table = {",".join(map(str, key)): name for key, name in parsed.items()}
    export.images, coloured = [*images.values()], {*map(len, parsed)} == {3}
    rows = np.full(1 << 24, len(parsed), np.uint16)  # of every number; there is no row after the last
    rows[[int.from_bytes(key) if coloured else key[0] for key in parsed]] = range(len(parsed))
    unknown: dict[int, Counter[Path]] = defaultdict(Counter)
    for name, image in progress(images.items(), desc="looking at masks"):
        mask = next((masks.pop(name + end) for end in files.MASK_ENDINGS if name + end in masks), None)
        if mask and (not splits or name in splits):
            numbers = _numbers(mask, coloured)
            strange = numbers[rows[numbers] == len(parsed)]
            for number, count in zip(*np.unique(strange, return_counts=True), strict=True):
                unknown[int(number)][mask] = int(count)
            draw = partial(lambda file: rows[_numbers(file, coloured)], mask)
            export.add(image, draw, splits.get(name, "all"))
    if masks:
        raise DataError(f"{min(masks.values())} belongs to no image; give it one, or remove it")
    if unknown:
        what, shown = "colours" if coloured else "values", ""
        for number, where in sorted(unknown.items(), key=lambda item: -item[1].total())[:20]:
            stored = ",".join(map(str, number.to_bytes(3))) if coloured else str(number)
            shown += f"\n- {stored}: {where.total():,} pixels in {some(where)}"
        remedy = f"give each a line, {files.IGNORED} being the name of void; none is rounded"
        raise DataError(f"the masks hold {len(unknown)} {what} that are not in the table; {remedy}:{shown}")
    return export


def _numbers(file: Path, coloured: bool) -> NDArray[np.integer]:
    """Return a mask's values, or its colours as 0xRRGGBB, [H, W]."""
    mask = open_mask(file)
    if coloured:
        return as_rgb(mask, file).astype(np.int64) @ (1 << 16, 1 << 8, 1)
    if mask.mode not in LABEL_MODES:
        raise DataError(f"{file} holds colours (mode {mask.mode}): a table needs lines 'name 51,221,255'")
    return np.asarray(mask).astype(np.uint32).clip(max=(1 << 24) - 1)  # negative ones become the largest


def _drawn(table: Names, size: Size, outlines: Outlines) -> Rows:
    rows_of, rows = {stored: row for row, stored in enumerate(table)}, np.zeros(size, np.uint16)
    for stored, code in outlines:
        rows[coco.decode(code) > 0] = rows_of[stored]
    return rows


def _polygons(size: Size, outlines: Iterable[ArrayLike]) -> Any:
    """Return the run lengths of polygons; corners are x, y in pixels, from the image's edge."""
    height, width = size
    slack = 2 + 0.01 * max(height, width)
    corners = [np.asarray(outline, float).reshape(-1, 2) for outline in outlines]
    for one in corners:
        if len(one) < 3:
            raise ValueError(f"an outline of {len(one)} corners has no area")
        if not ((one >= -slack) & (one <= (width + slack, height + slack))).all():  # NaN is neither
            raise ValueError(f"an outline leaves the image, {width}x{height}: {one.min(0)} to {one.max(0)}")
    return coco.merge(coco.frPyObjects([one.ravel().tolist() for one in corners], height, width))


def _labelme(root: Path) -> Export:
    """Read one JSON file an image, with shapes; a list `labels.txt` or `classes.txt` orders their labels."""
    export, labels, kinds = Export(root), set[str](), set[str]()
    for file in progress(_json_with(root, *LABELME), desc="reading labels"):
        with _at(file):
            content, outlines = json.loads(file.read_text("utf-8-sig")), Outlines()
            size = int(content["imageHeight"]), int(content["imageWidth"])
            for index, shape in enumerate(content["shapes"]):
                with _at(f"{file}, shape {index} ({shape['label']})"):
                    kinds.add(kind := shape.get("shape_type") or "polygon")
                    outlines.append((shape["label"], _shape(kind, shape, size)))
            image = export.named(content["imagePath"], file, _place(file, root)[1])
            if not image and not content.get("imageData"):
                raise ValueError(f"its image {content['imagePath']} is not in {root}, nor in the file")
            export.add(image or file, partial(_drawn, export.table, size, outlines))
            labels |= {label for label, _ in outlines}
    if kinds == {"rectangle"}:
        raise DataError(f"{root} holds rectangles alone, {BOXES}")
    lists = [file for file in (root / "labels.txt", root / files.NAMES) if file.is_file()]
    names = files.read_list(lists[0]) if lists else sorted(labels, key=str)
    if strange := sorted(map(str, labels - {*names})):
        raise DataError(f"{lists[0]} has no {', '.join(strange)}, as shapes do; add it, or correct them")
    export.table |= {OUTSIDE: "background"} | {name: name for name in names}
    return export


def _shape(kind: str, shape: dict[str, Any], size: Size) -> Any:
    """Return the run lengths of one of labelme's shapes."""
    points = np.asarray(shape["points"], float).reshape(-1, 2)
    if kind == "polygon" or (kind == "rectangle" and len(points) == 4):  # X-AnyLabeling's
        return _polygons(size, [points])
    if kind not in ("rectangle", "circle", "mask"):
        raise ValueError(f"a {kind} has no area that is known here; draw an outline, or remove it")
    (x, y), (x_end, y_end) = points
    if kind == "rectangle":
        return _polygons(size, [[x, y, x_end, y, x_end, y_end, x, y_end]])
    area = np.zeros(size, bool)
    if kind == "circle":
        down, right = np.ogrid[: size[0], : size[1]]
        area = np.hypot(right + 0.5 - x, down + 0.5 - y) <= np.hypot(x_end - x, y_end - y)
    else:
        with Image.open(BytesIO(base64.b64decode(shape["mask"]))) as mask:
            area[int(y) : int(y_end) + 1, int(x) : int(x_end) + 1] = mask
    return coco.encode(np.asfortranarray(area, np.uint8))


def _coco(root: Path) -> Export:
    """Read JSON files of COCO's form; category ids in any order become 1, 2, ..., crowds void."""
    export, names = Export(root), dict[int, str]()
    for file in progress(_json_with(root, *COCO), desc="reading labels"):
        with _at(file):
            content, outlines = json.loads(file.read_text("utf-8-sig")), defaultdict[int, Outlines](list)
            for one in content["categories"]:
                if names.setdefault(int(one["id"]), one["name"]) != one["name"]:
                    raise ValueError(f"category {one['id']} is {one['name']!r} here, not so elsewhere")
            every = content["annotations"]
            if bare := sum(not one.get("segmentation") for one in every):
                raise ValueError(f"{bare} of {len(every)} annotations are {BOXES}")
            sizes = {one["id"]: (int(one["height"]), int(one["width"])) for one in content["images"]}
            crowds = content.get("licenses") != DATUMARO
            for one in sorted(every, key=lambda one: not (crowds and one.get("iscrowd"))):  # these below
                with _at(f"{file}, annotation {one.get('id')}"):
                    if one["category_id"] not in names or one["image_id"] not in sizes:
                        raise ValueError("its category or image is not in the file")
                    stored = CROWD if crowds and one.get("iscrowd") else str(one["category_id"])
                    code = _run_lengths(sizes[one["image_id"]], one["segmentation"])
                    outlines[one["image_id"]].append((stored, code))
            split = _split(*re.split(r"[\W_]+", str(file.relative_to(root))))
            for one in content["images"]:
                if not (image := export.named(one["file_name"], file, split)):
                    raise ValueError(f"no image in {root}, or several, are {one['file_name']}")
                export.add(image, partial(_drawn, export.table, sizes[one["id"]], outlines[one["id"]]), split)
    rows = {str(number): names[number] for number in sorted(names)}
    export.table |= {OUTSIDE: "background"} | rows | {CROWD: files.IGNORED}
    return export


def _run_lengths(size: Size, outline: Any) -> Any:
    """Return polygons or run lengths as run lengths; those that do not add up could mean anything."""
    if isinstance(outline, list):
        return _polygons(size, outline)
    if tuple(outline["size"]) != size:
        raise ValueError(f"its size is {outline['size']}, its image's {size} (height, width)")
    runs = outline["counts"]
    code = coco.frPyObjects(outline, *size) if isinstance(runs, list) else outline | {"counts": runs.encode()}
    if coco.encode(coco.decode(code))["counts"] != code["counts"]:
        raise ValueError(f"its run lengths do not add up to {size[0] * size[1]} pixels")
    return code


def _yolo(root: Path) -> Export:
    """Read outlines as text, `labels/**/*.txt` beside `images/**`, with names in a YAML file or a list."""
    if settings := sorted([*root.glob("*.yaml"), *root.glob("*.yml")]):
        with _at(settings[0]):
            content = yaml.safe_load(settings[0].read_text("utf-8-sig"))
            names = [content["names"][index] for index in range(len(content["names"]))]
            if "kpt_shape" in content:
                raise ValueError("kpt_shape: key points have no area")
            for split, where in ((one, str(content.get(one) or one)) for one in ("train", "val", "test")):
                if _split(*re.split(r"[\\/]", where)) != split:
                    raise ValueError(f"{split}: {where}; images must be in images/{split}; or remove it")
    elif "background" in (names := list(files.read_list(root / files.NAMES))):
        raise DataError(f"{root / files.NAMES} has a background; is it 0? Say in data.yaml: 'names: [disc]'")
    export = Export(root)
    export.table |= {OUTSIDE: "background"} | {str(index): name for index, name in enumerate(names)}
    texts = {file for file in _files(root, ".txt") if "labels" in file.relative_to(root).parts[:-1]}
    for file in progress(export.images, desc="reading labels"):
        before, folder, after = f"/{file.relative_to(root).as_posix()}".partition("/images/")
        if folder:
            text = root / before[1:] / "labels" / Path(after).with_suffix(".txt")
            with reading(file), Image.open(file) as image:
                size, turned = image.size[::-1], image.getexif().get(ExifTags.Base.Orientation, 1)
            if turned > 1 and text in texts:
                raise DataError(f"{file} {UNCLEAR}")
            outlines = _lines(text, size, len(names)) if text in texts else []
            export.add(file, partial(_drawn, export.table, size, outlines))
            texts.discard(text)
    if texts:
        raise DataError(f"{min(texts)} belongs to no image; put the image into images, or remove the file")
    return export


def _lines(text: Path, size: Size, count: int) -> Outlines:
    """Read a class and the corners of an outline a line, as shares of the image's width and height."""
    outlines = Outlines()
    with _at(text):
        lines = dict(enumerate(text.read_text("utf-8-sig").splitlines(), start=1))
    for index, (number, *corners) in ((index, line.split()) for index, line in lines.items() if line.strip()):
        with _at(f"{text}, line {index}"):
            if len(corners) == 4:
                raise ValueError(f"five numbers are {BOXES}")
            if int(number) not in range(count):
                raise ValueError(f"there is no class {number}, but 0 to {count - 1}")
            if len(corners) % 2:
                raise ValueError(f"{len(corners)} numbers are no pairs of x and y")
            pixels = np.array(corners, float).reshape(-1, 2) * size[::-1]
            outlines.append((str(int(number)), _polygons(size, [pixels])))
    return outlines


KINDS = {"cvat": tabled, "roboflow": _roboflow, "labelme": _labelme, "coco": _coco, "yolo": _yolo}
