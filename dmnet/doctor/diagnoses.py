"""What the label doctor's measurements mean: files, sizes, and what the splits have in common.

What the values in the masks mean is in `label_diagnoses`.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dmnet.classes import voc_palette
from dmnet.datasets.base import IGNORE
from dmnet.datasets.files import Encoding, FileDataset
from dmnet.doctor.measuring import ImageFacts, MaskFacts, Measurement

SHOWN = 5  # files that a finding names
_TINY = 16  # pixels along a side: two positions of a network with output stride 8
_FITTING = 0.75  # of the comparisons. Measured: 1.0 for right pairs, 0.5 to 0.7 for shuffled ones
_HUGE = 50e6  # pixels: most cameras have fewer, and a training step on one needs gigabytes

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or looks wrong. Used in {doc}`02_data`."""

    name: str  # of the kind, e.g. "binary-255"
    # "error" if training or scores cannot be right, "warning" if they probably are not what was meant, "note"
    # if it is good to know
    severity: Severity
    split: str  # which part of the data; several are joined by "+"
    message: str  # what is wrong
    remedy: str  # what to do about it
    code: str = ""  # lines of Python that mend it, or "". They use `np`, `mending` and the split as `dataset`
    files: tuple[str, ...] = ()  # the first few files (or ids) concerned
    count: int = 0  # how many files are concerned

    def __str__(self) -> str:
        lines = [f"{self.severity} in {self.split} [{self.name}]: {self.message}"]
        if self.files:
            more = f" and {self.count - len(self.files)} more" if self.count > len(self.files) else ""
            lines.append(f"  files: {', '.join(self.files)}{more}")
        lines.append(f"  remedy: {self.remedy}")
        lines += [f"    {line}" for line in self.code.splitlines()]
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class Case:
    """One split, measured. Used in {doc}`02_data`."""

    dataset: Any  # see `dmnet.datasets.Dataset`
    examples: tuple[Measurement, ...]  # what was measured of it
    # "missing-image" and "missing-mask" -> ids and messages, of all examples
    absent: dict[str, dict[str, str]]

    @property
    def split(self) -> str:
        """The name of the split."""
        return str(getattr(self.dataset, "split", "data"))

    @property
    def complete(self) -> bool:
        """Whether every example was measured."""
        return len(self.examples) == len(self.dataset)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return tuple(self.dataset.classes)

    @cached_property
    def palette(self) -> NDArray[np.uint8]:
        """A colour per class, [K, 3]."""
        return np.asarray(getattr(self.dataset, "palette", voc_palette(len(self.classes))), np.uint8)

    @cached_property
    def encoding(self) -> Encoding:
        """How the masks store the labels."""
        if isinstance(self.dataset, FileDataset):
            return self.dataset.encoding
        void = getattr(self.dataset, "ignore_index", IGNORE)
        return Encoding(tuple(range(len(self.classes))), (void,))

    @cached_property
    def masks(self) -> tuple[tuple[Measurement, MaskFacts], ...]:
        """The masks that could be read."""
        return tuple((one, one.mask) for one in self.examples if one.mask is not None)

    @cached_property
    def pairs(self) -> tuple[tuple[Measurement, ImageFacts, MaskFacts], ...]:
        """The examples of which both files could be read."""
        return tuple((one, one.image, one.mask) for one in self.examples if one.image and one.mask)

    @property
    def leave_out(self) -> str:
        """How examples that cannot be used are left out, in words."""
        if not isinstance(self.dataset, FileDataset):
            return "leave them out"
        source = self.dataset.source
        return "take the ids off the list" if source.is_file() else f"move the pictures out of {source}"

    def labels(self, mask: MaskFacts) -> NDArray[np.int64]:
        """Return the pixels of every class, and of void as the last entry, [K + 1]."""
        void = mask.counts[list(set(self.encoding.ignored))].sum()
        return np.append(mask.counts[list(self.encoding.stored)], void)

    def finding(
        self,
        name: str,
        severity: Severity,
        message: str,
        remedy: str,
        files: Iterable[str] = (),
        code: str = "",
    ) -> Finding:
        """Return a finding about this split; only what lies in files can be mended by code."""
        names = list(files)
        code = code if isinstance(self.dataset, FileDataset) else ""
        return Finding(name, severity, self.split, message, remedy, code, tuple(names[:SHOWN]), len(names))


def counted(count: int, what: str) -> str:
    """Return "1 mask is" or "3 masks are". Used in {doc}`02_data`."""
    return f"1 {what} is" if count == 1 else f"{count} {what}s are"


# Files ---------------------------------------------------------------------------------------------------


def files(case: Case) -> Iterator[Finding]:
    """Files that are missing, or cannot be read. Used in {doc}`02_data`."""
    for kind in ("image", "mask"):
        if absent := case.absent.get(f"missing-{kind}"):
            yield _missing(case, kind, absent)
    broken: dict[str, dict[str, str]] = defaultdict(dict)
    for one in case.examples:
        for problem, message in one.problems.items():
            if not problem.startswith("missing"):
                broken[problem][one.mask_name if problem.endswith("mask") else one.image_name] = message
    for problem, messages in broken.items():
        what, remedy = {
            "unreadable-image": ("image", f"copy or download the file again, or {case.leave_out}"),
            "unreadable-mask": ("mask", f"export the mask again as PNG, or {case.leave_out}"),
            "unreadable-example": ("example", "correct what the message says"),
            "wrong-array": ("example", "return (image, mask, id) as `dmnet.datasets.Dataset` says"),
        }[problem]
        message = f"{counted(len(messages), what)} unusable: {next(iter(messages.values()))}"
        yield case.finding(problem, "error", message, remedy, messages)


def _missing(case: Case, kind: str, absent: dict[str, str]) -> Finding:
    """Say which files are missing, and whether they are there under longer names."""
    message = f"{counted(len(absent), kind)} missing: {next(iter(absent.values()))}"
    found = _longer_names(case, kind, absent)
    if found is None:
        remedy = f"put the {kind}s there, or {case.leave_out}"
        return case.finding(f"missing-{kind}", "error", message, remedy, absent)
    folder, before, after = found
    remedy = f"the files are called {before}<id>{after}: rename them to <id>"
    code = (
        "from pathlib import Path\n"
        f"for file in Path({str(folder)!r}).glob({f'{before}*{after}'!r}):\n"
        f"    name = file.name.removeprefix({before!r}).removesuffix({after!r})\n"
        f"    file.rename(file.with_name(name + {'.png' if kind == 'mask' else Path(after).suffix!r}))"
    )
    return case.finding("other-names", "error", message, remedy, absent, code)


def _longer_names(case: Case, kind: str, absent: dict[str, str]) -> tuple[Path, str, str] | None:
    """Return (folder, before, after) if most missing files are there as before + id + after."""
    taken = {Path(one.image_name if kind == "mask" else one.mask_name).parent for one in case.examples}
    name = next(iter(absent))
    ways: Counter[tuple[Path, str, str]] = Counter()
    for folder, _, names in os.walk(case.dataset.root):
        if Path(folder) in taken:
            continue
        there = set(names)
        for other in names:
            before, found, after = other.partition(name)
            if found and not other.startswith("."):
                ways[Path(folder), before, after] = sum(f"{before}{one}{after}" in there for one in absent)
    best, count = ways.most_common(1)[0] if ways else (None, 0)
    return best if count * 2 > len(absent) else None


def unpaired(cases: Sequence[Case]) -> Iterator[Finding]:
    """Masks that belong to no picture; where pictures lack masks too, it is the names that do not fit.

    Used in {doc}`02_data`.
    """
    told: set[str] = set()  # splits may share a folder
    for case in cases:
        if not isinstance(case.dataset, FileDataset) or case.absent.get("missing-mask"):
            continue
        masks = case.dataset.unpaired
        names = [str(file) for file in masks if str(file) not in told]
        if not names:
            continue
        told.update(names)
        message = f"{counted(len(names), 'mask')} there without an image, and not used: {names[0]}"
        remedy = "add the image, or remove the mask; an image and its mask have the same name"
        yield case.finding("mask-without-image", "warning", message, remedy, names)


# Sizes ---------------------------------------------------------------------------------------------------


def sizes(case: Case) -> Iterator[Finding]:
    """Masks that have another size than their images, and why. Used in {doc}`02_data`."""
    differ = [pair for pair in case.pairs if pair[1].size != pair[2].size]
    if turned := [pair for pair in differ if pair[1].stored == pair[2].size]:
        yield _exif(case, turned)
    wrong = [pair for pair in differ if pair[1].stored != pair[2].size]
    if not wrong:
        return
    one, image, mask = wrong[0]
    names = [one.mask_name for one, _, _ in wrong]
    message = (
        f"{counted(len(wrong), 'mask')} not of the image's size: {one.mask_name} is {_size(mask.size)}, "
        f"its image {_size(image.size)} (width x height)"
    )
    have, want = ([pair[i].size for pair in wrong] for i in (2, 1))  # type: ignore[union-attr]
    if sorted(have) == sorted(want) and len(wrong) > 1 and len(set(have)) > 1:
        yield case.finding(
            "wrong-order", "error", f"{message}; all these sizes occur among the images, for other ids",
            "images and masks were paired in different orders: give each mask its own image's name", names,
        )  # fmt: skip
    elif all(mask.size == image.size[::-1] for _, image, mask in wrong):
        yield case.finding(
            "transposed", "error", f"{message}: rows and columns are swapped",
            "transpose the masks (or turn them, if the pictures show that)", names,
            "mending.transpose(dataset)",
        )  # fmt: skip
    elif all(_same_shape(image.size, mask.size) for _, image, mask in wrong):
        yield case.finding(
            "resized", "error", f"{message}: the mask was made for another resolution",
            "resize the masks to their images by nearest neighbour, never by interpolation", names,
            "mending.resize(dataset)",
        )  # fmt: skip
    else:
        yield case.finding(
            "sizes-differ", "error", f"{message}; a mask must have a label for every pixel of its own image",
            f"look whether the mask belongs to this image; cut both alike, or {case.leave_out}", names,
        )  # fmt: skip


def _exif(case: Case, turned: Sequence[tuple[Measurement, ImageFacts, MaskFacts]]) -> Finding:
    return case.finding(
        "exif-turned",
        "error",
        f"{counted(len(turned), 'photograph')} turned upright by EXIF data, but the masks were made for the "
        "pixels as stored",
        "turn the masks as the photographs are turned",
        [one.image_name for one, _, _ in turned],
        "mending.turn(dataset)",
    )


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _same_shape(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Tell whether two sizes differ, but not the ratio of their sides, to a pixel."""
    (w, h), (v, u) = sorted((one, other), reverse=True)
    return w > 1.1 * v and abs(h * v / w - u) <= 1


def unusual_sizes(case: Case) -> Iterator[Finding]:
    """Images too small to learn from, or too large to compute with. Used in {doc}`02_data`."""
    images = [(one.image_name, one.image.size) for one in case.examples if one.image]
    for name, odd, remedy in (
        (
            "tiny", [(n, s) for n, s in images if min(s) < _TINY],
            "take thumbnails and icons off the list, or use the pictures they were made from",
        ),
        (
            "huge", [(n, s) for n, s in images if s[0] * s[1] > _HUGE],
            "cut them into tiles with their masks: at full size neither training nor prediction may fit "
            "memory",
        ),
    ):  # fmt: skip
        if odd:
            message = (
                f"{counted(len(odd), 'image')} suspiciously {name}, e.g. {odd[0][0]}: {_size(odd[0][1])}"
            )
            yield case.finding(name, "warning", message, remedy, [name for name, _ in odd])


# Do the masks belong to the images? -----------------------------------------------------------------------


def belonging(case: Case) -> Iterator[Finding]:
    """Masks whose borders lie on other images' edges, not on their own image's. Used in {doc}`02_data`.

    Where labels change, pictures change too. So the mean step of grey along a mask's borders is larger in
    its own image than along the borders of other masks, whatever the picture shows.
    """
    pairs = [
        (one, image, mask) for one, image, mask in case.pairs
        if image.small.size and image.size == mask.size and image.small.shape == mask.small.shape
    ]  # fmt: skip
    turned = [
        (_contrast(image.small, mask.small) - _contrast(_untilted(image), mask.small), one.image_name)
        for one, image, mask in pairs
        if image.orientation > 1 and _untilted(image).shape == mask.small.shape
    ]
    against = [name for better, name in turned if better < 0]
    if len(against) > len(turned) / 2:
        yield case.finding(
            "exif-turned", "warning",
            f"{counted(len(against), 'photograph')} turned by EXIF data, but the borders of the masks fit "
            "the pixels as stored",
            "look at the pictures (`dmnet data check --pictures`); if so, turn the masks likewise", against,
            "mending.turn(dataset, every=True)",
        )  # fmt: skip
        return
    won = _won([(image.small, mask.small) for _, image, mask in pairs])
    if won is not None and won < _FITTING:
        yield case.finding(
            "wrong-order", "warning",
            "the borders of the masks follow their own images hardly better than other masks do "
            f"({won:.0%} of the comparisons): the files may be paired wrongly, or the masks shifted or "
            "mirrored",
            "look at the pictures (`dmnet data check --pictures`) and give each mask its own image's name",
            [one.mask_name for one, _, _ in case.pairs],
        )  # fmt: skip


def _won(pairs: Sequence[tuple[NDArray[Any], NDArray[Any]]]) -> float | None:
    """Return how often a mask fits its image better than another image's mask; None without evidence."""
    wins = []
    for i, (grey, labels) in enumerate(pairs):
        own = _contrast(grey, labels)
        for j in {(i + k * len(pairs) // 6) % len(pairs) for k in range(1, 6)} - {i}:
            if pairs[j][1].shape == grey.shape and not np.array_equal(pairs[j][1], labels):
                other = _contrast(grey, pairs[j][1])
                if own != other and not np.isnan(own + other):
                    wins.append(own > other)
    return float(np.mean(wins)) if len(pairs) >= 8 and len(wins) >= 20 else None


def _contrast(grey: NDArray[Any], labels: NDArray[Any]) -> float:
    """Return the mean step of grey [h, w] where neighbouring labels [h, w] differ; NaN without borders."""
    grey = grey.astype(np.int16)
    steps = [np.abs(np.diff(grey, axis=axis))[np.diff(labels, axis=axis) != 0] for axis in (0, 1)]
    joined = np.concatenate(steps)
    return float(joined.mean()) if joined.size else float("nan")


def _untilted(image: ImageFacts) -> NDArray[np.uint8]:
    """Return the small copy as the file stores the pixels: the EXIF orientation undone."""
    undo: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: np.transpose,
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).T,
        8: lambda a: np.rot90(a, -1),
    }
    return undo.get(image.orientation, lambda a: a)(image.small)


# What the splits have in common ---------------------------------------------------------------------------


def absent_classes(cases: Sequence[Case]) -> Iterator[Finding]:
    """Classes without a pixel in one split or in all; only where every mask was counted.

    Used in {doc}`02_data`.
    """
    if not all(case.complete and case.masks for case in cases):
        return
    classes = cases[0].classes
    pixels = [sum(case.labels(mask)[:-1] for _, mask in case.masks) for case in cases]
    seen = np.array(pixels) > 0  # [splits, K]
    splits = "+".join(case.split for case in cases)
    never = np.flatnonzero(~seen.any(axis=0)).tolist()
    tail = never == list(range(len(classes) - len(never), len(classes)))
    if never and seen.any():
        names = ", ".join(classes[i] for i in never)
        last = " They are the last in the list." if tail and len(never) > 1 else ""
        remedy = (
            "if the list is too long, take them off it; else correct the masks or the numbers in them. "
            "Their IoU is NaN, or 0 where they are predicted"
        )
        yield Finding("class-never", "warning", splits, f"no pixel of {names}.{last}".rstrip("."), remedy)
    for case, here in zip(cases, seen, strict=True):
        only = np.flatnonzero(~here & seen.any(axis=0)).tolist()
        if not only or not here.any():
            continue
        names = ", ".join(classes[i] for i in only)
        others = "+".join(other.split for other in cases if other is not case)
        effect = "cannot be learned" if case.split.startswith("train") else "IoU is NaN, or 0 where predicted"
        yield case.finding(
            "class-absent", "warning", f"no pixel of {names}, which {others} has: {effect}",
            f"move examples with {names} into {case.split}, or draw the splits anew so that each has all "
            "classes",
        )  # fmt: skip


def duplicates(cases: Sequence[Case]) -> Iterator[Finding]:
    """The same picture in two splits, or twice in one; the same file or, without files, the same pixels.

    Used in {doc}`02_data`.
    """
    places: dict[bytes, list[tuple[str, str]]] = defaultdict(list)
    for case in cases:
        for one in case.examples:
            if one.image:
                places[one.image.digest].append((case.split, one.image_name))
    repeated = [found for found in places.values() if len(found) > 1]
    if leaks := [found for found in repeated if len({split for split, _ in found}) > 1]:
        yield _repeated(
            "leak", "warning", leaks, "in more than one split: scores on one are remembered from the other",
            "take the ids off the training list",
        )  # fmt: skip
    if within := [found for found in repeated if len({split for split, _ in found}) == 1]:
        yield _repeated(
            "duplicates", "note", within, "there more than once: they count double",
            "take the repetitions off the list",
        )  # fmt: skip


def _repeated(
    name: str, severity: Severity, groups: Sequence[Sequence[tuple[str, str]]], what: str, remedy: str
) -> Finding:
    """Return a finding about pictures that are there more than once: groups of (split, file)."""
    names = [file for group in groups for _, file in group]
    where = "+".join(dict.fromkeys(split for group in groups for split, _ in group))
    message = f"{counted(len(groups), 'picture')} {what}"
    return Finding(name, severity, where, message, remedy, "", tuple(names[:SHOWN]), len(names))
