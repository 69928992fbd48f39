"""What a finding is: its kind and severity, what was seen, in which files, and what can be done, in words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dmnet.classes import voc_palette
from dmnet.datasets.base import IGNORE
from dmnet.datasets.files import IGNORED, Encoding
from dmnet.doctor.measuring import MaskFacts, measure, spread
from dmnet.errors import DataError

SHOWN = 5  # files that a finding names in print
Table = tuple[str, ...]  # lines `name value` or `name r,g,b`

_NEW = "into a new folder (data/README.md, Correcting a data set)"
_IGNORED = "classes.txt; a line (ignored) leaves a value out"
_LEAVE = "leave it out by a list of the other ids (data/README.md)"

# The kinds of finding: how bad each usually is, and what can be done about it.
KINDS: dict[str, tuple[str, str]] = {
    "empty": ("error", "put ids into the split's list"),
    "missing-image": ("error", f"put it there, or {_LEAVE}"),
    "missing-mask": ("error", f"put it there, or {_LEAVE}"),
    "other-names": ("error", f"copy each under its id {_NEW}"),
    "other-format": ("error", "export label maps (PNG); `dmnet data convert` draws outlines; boxes are none"),
    "no-label-ids": ("error", "unpack gtFine_trainvaltest.zip; no colour images or trainIds replace them"),
    "unreadable": ("error", f"mend what is said, download or export it again, or {_LEAVE}"),
    "mask-without-image": ("warning", "add the image; an image and its mask have the same name"),
    "label-map-as-image": ("error", f"put the photograph in its place, or {_LEAVE}"),
    "sizes-differ": ("error", f"export the masks at the images' size, or resize by nearest neighbour {_NEW}"),
    "exif-turned": ("error", f"save the images upright, without EXIF data, masks turned likewise, {_NEW}"),
    "wrong-order": ("warning", f"look (`dmnet data check --pictures`); copy each to its image's id {_NEW}"),
    "unusual-size": ("warning", "leave icons out; cut huge images and their masks into tiles, for memory"),
    "colour-mask": ("error", f"write each colour's class, which labelmap.txt or its like lists, {_NEW}; "
                    "any other colour is to be looked at, never to be rounded"),
    "palettes-differ": ("warning", f"if colours tell the classes apart, write each colour's number {_NEW}"),
    "no-label-map": ("error", "export the numbers of the classes, 0 to 253 and 255 for void, as 8-bit PNG"),
    "in-between-values": ("error", "export them as PNG; where masks are resized, take the nearest neighbour"),
    "binary-255": ("error", f"export them anew, or, if there are just two classes, write 1 for 255 {_NEW}"),
    "palette-lost": ("error", f"use the masks as before convert('L'), or write the numbers {_NEW}"),
    "stretched": ("error", f"write the labels themselves {_NEW}"),
    "off-by-one": ("error", f"write every label one lower, and 255 as it is, {_NEW}"),
    "values-without-class": ("error", f"complete the class list ({_IGNORED}), or write right values {_NEW}"),
    "labels-not-ids": ("error", f"use the archive's own files (labelIds), or write the numbers {_NEW}"),
    "zero-counted": ("warning", f"if they shall not count, complete the class list ({_IGNORED})"),
    "all-void": ("warning", f"label it, or {_LEAVE}"),
    "one-class": ("warning", "look whether the objects were drawn, and stored with their numbers"),
    "classes-differ": ("error", "give all splits the same class list, in the same order"),
    "class-never": ("warning", "do masks count from 0 that must from 1 (ADE20K)? Else name them (ignored)"),
    "class-absent": ("warning", "draw the splits anew, or move examples, so that each has all classes"),
    "leak": ("warning", "take the ids off the training list"),
    "duplicates": ("note", "take the repetitions off the list"),
}  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or looks wrong. Used in {doc}`05_data`."""

    name: str  # of its kind, see `KINDS`
    severity: str  # "error": scores cannot be right; "warning": this is probably not meant; or "note"
    split: str  # which part of the data; several are joined by "+"
    message: str  # what was seen, and what it means
    files: tuple[str, ...]  # all files (or ids) concerned
    remedy: str  # what can be done about it, in words
    table: Table = ()  # what the masks hold, as `dmnet data convert` takes it; empty if unknown

    def __str__(self) -> str:
        lines = [f"{self.severity} in {self.split} [{self.name}]: {self.message}"]
        if self.files:
            more = f" and {len(self.files) - SHOWN} more" if len(self.files) > SHOWN else ""
            lines.append(f"  files: {', '.join(self.files[:SHOWN])}{more}")
        return "\n".join([*lines, f"  remedy: {self.remedy}"])


def counted(count: int, what: str) -> str:
    """Return "1 mask is" or "3 masks are". Used in {doc}`05_data`."""
    return f"1 {what} is" if count == 1 else f"{count} {what}s are"


class Case:
    """One split and what is measured of it, or of `limit` examples. Used in {doc}`05_data`."""

    def __init__(self, dataset: Any, limit: int | None = None) -> None:
        if not getattr(dataset, "labelled", True):
            raise DataError(f"{dataset!r} was loaded without labels; there is nothing to examine")
        self.dataset = dataset
        self.examples = tuple(measure(dataset, spread(len(dataset), limit or len(dataset))))
        self.split = str(getattr(dataset, "split", "data"))
        self.complete = len(self.examples) == len(dataset)  # whether every example was measured
        self.classes = tuple(dataset.classes)
        self.palette = np.asarray(getattr(dataset, "palette", voc_palette(len(self.classes))), np.uint8)
        labels = tuple(range(len(self.classes)))
        void = getattr(dataset, "ignore_index", IGNORE)
        self.encoding: Encoding = getattr(dataset, "encoding", Encoding(labels, (void,)))
        self.plain = self.encoding.stored == labels  # whether labels are stored as themselves
        self.masks = [one.mask for one in self.examples if one.mask]  # those that could be read
        self.pairs = [(one.image, one.mask) for one in self.examples if one.image and one.mask]

    def labels(self, mask: MaskFacts) -> NDArray[np.int64]:
        """Return the pixels of every class, and of void as the last entry, [K + 1]."""
        void = mask.counts[list(set(self.encoding.ignored))].sum()
        return np.append(mask.counts[list(self.encoding.stored)], void)

    def finding(self, name: str, message: str, files: Iterable[Any] = (), severity: str = "",
                split: str = "", table: Table = ()) -> Finding:  # fmt: skip
        """Return a finding of that kind, by default about this split, about files, or the facts of files."""
        names = tuple(file if isinstance(file, str) else file.name for file in files)
        usual, remedy = KINDS[name]
        return Finding(name, severity or usual, split or self.split, message, names, remedy, table)

    def table(self, stored: Sequence[Any], void: Any = None) -> Table:
        """Return a line on what is stored of each class, and of void; none if two would be alike."""
        names = self.classes if void is None else (*self.classes, IGNORED)
        values = [",".join(map(str, np.atleast_1d(one))) for one in (*stored, void)[: len(names)]]
        clear = self.plain and len(stored) == len(self.classes) and len(set(values)) == len(values)
        return tuple(f"{name} {value}" for name, value in zip(names, values, strict=True)) if clear else ()
