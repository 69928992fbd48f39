"""Files that are missing, broken or turned, sizes that differ, and masks that belong to other images."""

import unicodedata
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dmnet.datasets.files import STRAY, SUFFIXES, FileDataset
from dmnet.doctor.findings import Case, Finding, counted
from dmnet.doctor.measuring import ImageFacts, MaskFacts

_TINY = 16  # pixels along a side: two positions of a network with output stride 8
_HUGE = 50e6  # pixels: most cameras have fewer, and a training step on one needs gigabytes
_FITTING = 0.75  # of the comparisons. Measured: 1.0 for right pairs, 0.5 to 0.7 for shuffled ones

_OTHERS = ("SegmentationObject",)  # VOC's folder of masks whose numbers are instances, no classes
_FORMATS = {
    ".txt": "polygons as YOLO stores them",
    ".json": "polygons, as LabelMe and others store them",
    ".xml": "boxes or polygons, as PASCAL VOC's detection data and LabelImg store them",
    ".npy": "NumPy arrays",
}


def unusable(case: Case) -> Iterator[Finding]:
    """Files that are missing, or cannot be read. Used in {doc}`02_data`."""
    if len(case.dataset) == 0:
        yield case.finding("empty", "there is no example")
    if isinstance(data := case.dataset, FileDataset):
        for kind, place in (("image", 0), ("mask", 1)):
            if absent := [name for name, found in data.files.items() if found[place] is None]:
                name, instead = _instead(case, kind, absent)
                message = f"{counted(len(absent), kind)} missing in {data.root}, asked for by {data.source}"
                yield case.finding(name, message + instead, absent)
    broken = {file: why for one in case.examples for file, why in one.problems.items()}
    if broken:
        message = f"{counted(len(broken), 'file')} unusable: {next(iter(broken.values()))}"
        yield case.finding("unreadable", message, broken)
    known = set(np.flatnonzero(case.encoding.valid).tolist())
    drawn = [
        (one.image_name, image.values) for one, image, mask in case.pairs
        if image.values <= known.union(np.flatnonzero(mask.counts).tolist())
    ]  # fmt: skip
    if maps := [name for name, values in drawn if values - {0, 255}]:  # which are a scanned page's, too
        message = f"{counted(len(maps), 'image')} no photograph, but a label map: nothing but labels is in it"
        yield case.finding("label-map-as-image", message, maps)


def _instead(case: Case, kind: str, absent: list[str]) -> tuple[str, str]:
    """Return the kind of finding, and what is there in place of most of the missing files, in words."""
    if kind == "mask" and case.dataset.name == "cityscapes":
        return "no-label-ids", ". The masks of Cityscapes are the files <id>_gtFine_labelIds.png"
    used = {file for pair in case.dataset.files.values() for file in pair}
    rest = [file for file in case.dataset.root.rglob("[!.]*") if file not in used]
    there = {
        file.with_name(unicodedata.normalize("NFC", file.name)) for file in rest
        if not {*_OTHERS, *STRAY} & set(file.parts)
    }  # fmt: skip
    for file in sorted(there, key=lambda file: (file.suffix.lower() not in SUFFIXES, file)):
        before, found, after = file.name.partition(absent[0])
        if not found or before[-1:].isalnum() or after[:1].isalnum():  # else it is 10, not 1
            continue
        if 2 * sum(file.with_name(f"{before}{one}{after}") in there for one in absent) > len(absent):
            files = f"he files {before}<id>{after} in {file.parent}"
            if file.suffix.lower() in SUFFIXES:
                return "other-names", f". They seem to be t{files}"
            known = _FORMATS.get(file.suffix.lower(), "another format")
            return "other-format", f". T{files} are no label maps, but annotations: {known}"
    return f"missing-{kind}", ""


def sizes(case: Case) -> Iterator[Finding]:
    """Masks that have another size than their images; images of an unusual size. Used in {doc}`02_data`."""
    wrong = [pair for pair in case.pairs if pair[2].size not in (pair[1].size, pair[1].stored)]
    if wrong:
        one, image, mask = wrong[0]
        have, want = [mask.size for _, _, mask in wrong], [image.size for _, image, _ in wrong]
        if have == [size[::-1] for size in want]:
            why = ": rows and columns are swapped"
        elif sorted(have) == sorted(want) and len(set(have)) > 1:
            why = "; these sizes occur among the images, for other ids, so they seem to be paired wrongly"
        else:
            why = "; a mask must have a label for every pixel of its image"
        (w, h), (width, height) = mask.size, image.size
        message = (
            f"{counted(len(wrong), 'mask')} not of the image's size: {one.mask_name} is {w}x{h}, its image "
            f"{width}x{height} (width x height){why}"
        )
        yield case.finding("sizes-differ", message, (one.mask_name for one, _, _ in wrong))
    images = [(one.image_name, one.image.size) for one in case.examples if one.image]
    if odd := [(name, size) for name, size in images if min(size) < _TINY or size[0] * size[1] > _HUGE]:
        (width, height), names = odd[0][1], [name for name, _ in odd]
        message = f"{counted(len(odd), 'image')} unusually small or large, e.g. {width}x{height} pixels"
        yield case.finding("unusual-size", message, names)


def turned(case: Case) -> Iterator[Finding]:
    """Images that EXIF data turn, with masks that were made for the pixels as they are stored.

    The sizes show that, or, where those are equal, the borders of most masks. Used in {doc}`02_data`.
    """
    sure = [one.image_name for one, image, mask in case.pairs if _on_its_side(image, mask)]
    fits: dict[str, bool] = {}  # whether the mask's borders fit the pixels as stored better
    for one, image, mask in case.pairs:
        if image.turned and image.size == mask.size and image.raw.shape == mask.small.shape:
            fits[one.image_name] = _contrast(image.raw, mask.small) > _contrast(image.small, mask.small)
    likely = [name for name, better in fits.items() if better]
    if names := [*sure, *(likely if 2 * len(likely) > len(fits) else ())]:
        how = "it has the shape of" if sure else "its borders fit"
        message = (
            f"{counted(len(names), 'image')} turned by EXIF data, the mask is not: {how} the stored pixels"
        )
        yield case.finding("exif-turned", message, names, "error" if sure else "warning")


def _on_its_side(image: ImageFacts, mask: MaskFacts) -> bool:
    """Tell whether a mask has the shape, not the size, of stored pixels that EXIF data turn on their side."""
    (width, height), (stored_width, stored_height) = mask.size, image.stored
    return image.stored != image.size and (width - height) * (stored_width - stored_height) > 0


def belonging(case: Case) -> Iterator[Finding]:
    """Masks whose borders lie on other images' edges, not on their own image's. Used in {doc}`02_data`."""
    if any(turned(case)):
        return
    pairs = [
        (image.small, mask.small) for _, image, mask in case.pairs
        if image.small.size and image.size == mask.size and image.small.shape == mask.small.shape
    ]  # fmt: skip
    wins = []
    for i, (grey, labels) in enumerate(pairs):
        own = _contrast(grey, labels)
        for j in {(i + k * len(pairs) // 6) % len(pairs) for k in range(1, 6)} - {i}:
            if pairs[j][1].shape == grey.shape and not np.array_equal(pairs[j][1], labels):
                other = _contrast(grey, pairs[j][1])
                if own != other and not np.isnan(own + other):
                    wins.append(own > other)
    if len(pairs) >= 8 and len(wins) >= 20 and np.mean(wins) < _FITTING:
        message = (
            "the borders of the masks follow their own images hardly better than other masks do "
            f"({np.mean(wins):.0%} of the comparisons): they may be paired wrongly, shifted or mirrored"
        )
        yield case.finding("wrong-order", message, (one.mask_name for one, _, _ in case.pairs))


def _contrast(grey: NDArray[Any], labels: NDArray[Any]) -> float:
    """Return the mean step of grey [h, w] where neighbouring labels [h, w] differ; NaN without borders."""
    # Where labels change, images change, too: along a mask's borders this is larger in its image than along
    # those of another mask, or of its own when that is turned, whatever the image shows.
    grey = grey.astype(np.int16)
    steps = [np.abs(np.diff(grey, axis=axis))[np.diff(labels, axis=axis) != 0] for axis in (0, 1)]
    joined = np.concatenate(steps)
    return float(joined.mean()) if joined.size else float("nan")
