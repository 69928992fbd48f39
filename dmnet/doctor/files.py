"""Files that are missing, broken, turned or paired wrongly, and what several splits have in common."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dmnet.datasets.files import STRAY, SUFFIXES, FileDataset
from dmnet.doctor.findings import Case, Finding, counted

_TINY = 16  # pixels along a side: two positions of a network with output stride 8
_HUGE = 50e6  # pixels: most cameras have fewer, and a training step on one needs gigabytes
_FITTING = 0.75  # of the comparisons. Measured: 1.0 for right pairs, 0.5 to 0.7 for shuffled ones
_ABSENT = "its IoU is NaN, or 0 where it is predicted"

_NO_CLASSES = {*STRAY, "SegmentationObject"}  # folders of label maps that are no labels, as VOC's objects
_FORMATS = {
    ".txt": "polygons as YOLO stores them",
    ".json": "polygons, as LabelMe and others store them",
    ".xml": "boxes or polygons, as PASCAL VOC's detection data and LabelImg store them",
    ".npy": "NumPy arrays",
}


def unusable(case: Case) -> Iterator[Finding]:
    """Files that are missing, or cannot be read. Used in {doc}`05_data`."""
    if len(case.dataset) == 0:
        yield case.finding("empty", "there is no example")
    if isinstance(data := case.dataset, FileDataset):
        for kind, place in (("image", 0), ("mask", 1)):
            absent = [name for name, found in data.files.items() if found[place] is None]
            other, words, there = _instead(data, kind, absent) if absent else ("", "", set())
            lost = [name for name in absent if name not in there]
            for name, names, instead in ((other, there, words), (f"missing-{kind}", lost, "")):
                if names:
                    what = f"{counted(len(names), kind)} missing in {data.root}, asked for by {data.source}"
                    yield case.finding(name, what + instead, sorted(names))
    if broken := {file: why for one in case.examples for file, why in one.problems.items()}:
        message = f"{counted(len(broken), 'file')} unusable: {next(iter(broken.values()))}"
        yield case.finding("unreadable", message, broken)
    maps = [
        image for image, mask in case.pairs
        if image.values - {0, 255}  # which are a scanned page's, too
        and (case.encoding.valid | (mask.counts > 0))[list(image.values)].all()
    ]  # fmt: skip
    if maps:
        message = f"{counted(len(maps), 'image')} made of labels alone: a label map, no photograph"
        yield case.finding("label-map-as-image", message, maps)


def _instead(data: FileDataset, kind: str, absent: list[str]) -> tuple[str, str, set[str]]:
    """Return what is there in place of most of the missing files: the finding, in words, for which ids."""
    if kind == "mask" and data.name == "cityscapes":
        return "no-label-ids", ". The masks of Cityscapes are the files <id>_gtFine_labelIds.png", set(absent)
    used = {file for pair in data.files.values() for file in pair}
    there = {  # with names in the form that ids have
        file.with_name(unicodedata.normalize("NFC", file.name)) for file in data.root.rglob("[!.]*")
        if file not in used and not _NO_CLASSES.intersection(file.relative_to(data.root).parts)
        and (kind == "mask" or file.suffix.lower() in SUFFIXES)
    }  # fmt: skip
    order = sorted(there, key=lambda file: (file.suffix.lower() not in SUFFIXES, file))
    for name, file in product(absent[:8], order):  # some of them may be lost
        before, found, after = file.name.partition(name)
        if not found or before[-1:].isalnum() or after[:1].isalnum():  # else it is 10, not 1
            continue
        fitting = {one for one in absent if file.with_name(f"{before}{one}{after}") in there}
        if 2 * len(fitting) > len(absent):
            files = f"he files {before}<id>{after} in {file.parent}"
            if file.suffix.lower() in SUFFIXES:
                return "other-names", f". They seem to be t{files}", fitting
            known = _FORMATS.get(file.suffix.lower(), "another format")
            return "other-format", f". T{files} are no label maps, but annotations: {known}", fitting
    return "", "", set()


def sizes(case: Case) -> Iterator[Finding]:
    """Masks that have another size than their images; images of an unusual size. Used in {doc}`05_data`."""
    if wrong := [pair for pair in case.pairs if pair[1].size not in (pair[0].size, pair[0].stored)]:
        image, mask = wrong[0]
        have, want = [mask.size for _, mask in wrong], [image.size for image, _ in wrong]
        why = "; a mask must have a label for every pixel of its image"
        if have == [size[::-1] for size in want]:
            why = ": rows and columns are swapped"
        elif sorted(have) == sorted(want) and len(set(have)) > 1:
            why = "; these sizes occur among the images, for other ids, so they seem to be paired wrongly"
        (w, h), (width, height) = mask.size, image.size
        message = f"{counted(len(wrong), 'mask')} not of the image's size: {mask.name} is {w}x{h}, "
        message += f"its image {width}x{height} (width x height){why}"
        yield case.finding("sizes-differ", message, [mask for _, mask in wrong])
    images = [one.image for one in case.examples if one.image]
    if odd := [one for one in images if min(one.size) < _TINY or one.size[0] * one.size[1] > _HUGE]:
        width, height = odd[0].size
        message = f"{counted(len(odd), 'image')} unusually small or large, e.g. {width}x{height} pixels"
        yield case.finding("unusual-size", message, odd)


def turned(case: Case) -> Iterator[Finding]:
    """Images that EXIF data turn, but not their masks: by shape, else most borders. See {doc}`05_data`."""
    sure = []
    fits: dict[str, bool] = {}  # whether the mask's borders fit the pixels as stored better
    for image, mask in case.pairs:
        shapes = (image.size, image.stored, mask.size)
        upright, stored, drawn = (np.sign(width - height) for width, height in shapes)
        if upright != stored == drawn:
            sure.append(image.name)
        elif image.turned and image.size == mask.size and image.raw.shape == mask.small.shape:
            fits[image.name] = _contrast(image.raw, mask.small) > _contrast(image.small, mask.small)
    likely = [name for name, better in fits.items() if better]
    if names := [*sure, *(likely if 2 * len(likely) > len(fits) else ())]:
        why = f"the mask is not: {'it has the shape of' if sure else 'its borders fit'} the stored pixels"
        message = f"{counted(len(names), 'image')} turned by EXIF data, {why}"
        yield case.finding("exif-turned", message, names, "error" if sure else "warning")


def belonging(case: Case) -> Iterator[Finding]:
    """Masks whose borders lie on other images' edges, not on their own image's. Used in {doc}`05_data`."""
    if any(turned(case)):
        return
    pairs = [
        (image.small, mask.small) for image, mask in case.pairs
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
        message = "the masks' borders follow their own images hardly better than others' do, in "
        message += f"{np.mean(wins):.0%} of the comparisons: they may be paired wrongly, shifted or mirrored"
        yield case.finding("wrong-order", message, [mask for _, mask in case.pairs])


def _contrast(grey: NDArray[Any], labels: NDArray[Any]) -> float:
    """Return the mean step of grey [h, w] where neighbouring labels [h, w] differ; NaN without borders."""
    # Where labels change, images change, too: along a mask's borders this is larger in its image than along
    # those of another mask, or of its own when that is turned, whatever the image shows.
    grey = grey.astype(np.int16)
    steps = [np.abs(np.diff(grey, axis=axis))[np.diff(labels, axis=axis) != 0] for axis in (0, 1)]
    return float(joined.mean()) if (joined := np.concatenate(steps)).size else float("nan")


def compared(cases: Sequence[Case]) -> Iterator[Finding]:
    """What is seen in several splits at once, but for classes that are absent. Used in {doc}`05_data`."""
    for case in cases[1:]:
        if case.classes != cases[0].classes:
            message = f"the classes are {case.classes}, in {cases[0].split} {cases[0].classes}"
            yield case.finding("classes-differ", message)
    every = "+".join(case.split for case in cases)
    pairs = [pair for case in cases for pair in getattr(case.dataset, "files", {}).values()]
    lone = dict.fromkeys(str(mask) for case in cases for mask in getattr(case.dataset, "unpaired", ()))
    if lone and all(mask for _, mask in pairs):  # else it is the names that do not fit
        message = f"{counted(len(lone), 'mask')} there without an image, and not used"
        yield cases[0].finding("mask-without-image", message, lone, split=every)
    places: dict[bytes, list[tuple[str, str]]] = defaultdict(list)  # content of an image: splits and files
    for split, image in [(case.split, one.image) for case in cases for one in case.examples if one.image]:
        places[image.digest].append((split, image.name))
    repeated = [found for found in places.values() if len(found) > 1]
    leaking = "in more than one split: scores on one are remembered from the other"
    for name, effect in (("leak", leaking), ("duplicates", "there more than once")):
        groups = [one for one in repeated if (len({split for split, _ in one}) > 1) == (name == "leak")]
        if groups:
            where = "+".join(dict.fromkeys(split for group in groups for split, _ in group))
            names = [file for group in groups for _, file in group]
            yield cases[0].finding(name, f"{counted(len(groups), 'image')} {effect}", names, split=where)


def absent_classes(cases: Sequence[Case]) -> Iterator[Finding]:
    """Classes without a pixel in one split or in all, if every mask was counted. See {doc}`05_data`."""
    if not all(case.complete and case.masks for case in cases):
        return
    classes = np.array(cases[0].classes)
    seen = np.array([sum(case.labels(mask)[:-1] for mask in case.masks) for case in cases]) > 0  # [splits, K]
    anywhere = seen.any(axis=0)
    if anywhere.any() and not anywhere.all():
        missing = np.flatnonzero(~anywhere)
        last = ". They are the last in the list" if missing[0] == len(classes) - len(missing) else ""
        message = f"no pixel of {', '.join(classes[missing])}; {_ABSENT}{last}"
        own = getattr(cases[0].dataset, "name", "") == "ade20k" and len(classes) < 150  # in its folders
        severity, splits = "error" if own and last else "", "+".join(case.split for case in cases)
        yield cases[0].finding("class-never", message, severity=severity, split=splits)
    for case, here in zip(cases, seen, strict=True):
        only = ~here & anywhere
        if only.any() and here.any():
            others = "+".join(other.split for other in cases if other is not case)
            effect = "cannot be learned" if case.split.startswith("train") else _ABSENT
            message = f"no pixel of {', '.join(classes[only])}, which {others} has: {effect}"
            yield case.finding("class-absent", message)
