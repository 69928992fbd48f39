"""The label doctor: what is in a data set, what is wrong with it, and how to mend it.

```
report = doctor.examine([datasets.load("folder", "pictures", split) for split in ("train", "val")])
print(report)           # every finding, with its files and its remedy
report.table()          # how much of each class there is
```

"Why is my IoU 0 or NaN?" is nearly always answered by the masks: 255 is void and was meant as the object,
colours stand where numbers belong, labels count from 1, a class is in one split alone. The modules
`diagnoses` and `label_diagnoses` know these mistakes, and `mending` has what their remedies call.
"""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dmnet.classes import voc_palette
from dmnet.datasets.base import IGNORE
from dmnet.datasets.files import FileDataset
from dmnet.doctor import diagnoses
from dmnet.doctor.diagnoses import Case, Finding
from dmnet.doctor.label_diagnoses import labels
from dmnet.doctor.measuring import measure, read_stored
from dmnet.errors import DataError
from dmnet.images import read_image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Finding", "Report", "SplitCounts", "examine", "pictures", "quick_check", "shares"]

_SAMPLE = 24  # masks of a set that the quick check reads
_STRANGE = 254  # label, in pictures, of values that stand for nothing


@dataclass(frozen=True, eq=False)
class SplitCounts:
    """What was counted in one split. Used in {doc}`02_data`."""

    split: str  # its name
    size: int  # how many examples it has
    examined: int  # how many of them were read
    pixels: NDArray[np.int64]  # int64 [K], per class
    images: NDArray[np.int64]  # int64 [K], masks that have the class
    void: int  # pixels that count nowhere
    unknown: int  # pixels whose value stands for nothing

    @property
    def total(self) -> int:
        """All pixels counted."""
        return int(self.pixels.sum()) + self.void + self.unknown


@dataclass(frozen=True, eq=False)
class Report:
    """What the doctor found. Used in {doc}`02_data`."""

    classes: tuple[str, ...]  # names of the classes
    splits: tuple[SplitCounts, ...]  # the counts
    findings: tuple[Finding, ...]  # what is wrong or looks wrong; errors first

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings with which training or scores cannot be right."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    def table(self) -> pd.DataFrame:
        """Return, for every class and split, its share of the pixels in percent and the images that have it.

        Two rows follow the classes: "(void)", and "(no class)" if there are such pixels.
        """
        columns: dict[str, Any] = {}
        for part in self.splits:
            pixels = [*part.pixels, part.void, part.unknown]
            columns[f"{part.split} %"] = 100 * np.array(pixels) / (part.total or np.nan)
            columns[f"{part.split} images"] = pd.array([*part.images.tolist(), None, None], dtype="Int64")
        index = pd.Index([*self.classes, "(void)", "(no class)"], name="class")
        table = pd.DataFrame(columns, index=index)
        return table if any(part.unknown for part in self.splits) else table.iloc[:-1]

    def __str__(self) -> str:
        lines = []
        for part in self.splits:
            read = "" if part.examined == part.size else f", {part.examined} of them read"
            lines.append(f"{part.split}: {part.size} examples{read}, {len(self.classes)} classes")
        lines += [str(finding) for finding in self.findings] or ["Nothing wrong was found."]
        return "\n".join(lines)


def examine(dataset: Any, *, limit: int | None = None, workers: int | None = None) -> Report:
    """Read pictures and masks, and say what is wrong with them. Used in {doc}`02_data`.

    Args:
        dataset: see `dmnet.datasets.Dataset`; or a list of several, the splits of one data set.
        limit: read so many examples of each split, spread over it, instead of all. What needs all of them,
            such as a class that never occurs, is not said then.
        workers: threads that read files, by default one per core.

    Raises:
        DataError: if there is no data set, or one was loaded without labels.
    """
    cases = [_measured(one, limit, workers) for one in _several(dataset)]
    found = [finding for case in cases for finding in _diagnosed(case)]
    found += [finding for case in cases for finding in diagnoses.belonging(case)]
    found += [*_compared(cases), *diagnoses.unpaired(cases), *diagnoses.duplicates(cases)]
    if not any(finding.severity == "error" for finding in found):  # else it would be its consequence
        found += diagnoses.absent_classes(cases)
    order = ("error", "warning", "note")
    found.sort(key=lambda finding: order.index(finding.severity))
    return Report(cases[0].classes, tuple(_counted(case) for case in cases), tuple(found))


def quick_check(train_set: Any, val_set: Any = None, *, progress: bool = True) -> None:
    """Look at the lists, whether all files are there, and at a few masks of each set: seconds at most.

    Used in {doc}`02_data`.

    Warnings are given with `warnings.warn`.

    Args:
        train_set: any data set with `classes` and dataset[i] -> (image, mask, id).
        val_set: another, or None.
        progress: show a progress bar, if somebody is looking.

    Raises:
        DataError: if training on these sets cannot go well: a set is empty, the two sets' classes differ,
            files are missing, or masks do not hold the labels of the classes. The message says what to do.
    """
    sets = {"training": train_set, "validation": val_set if val_set is not train_set else None}
    roles = {role: dataset for role, dataset in sets.items() if dataset is not None}
    for role, dataset in roles.items():
        if len(dataset) == 0:
            raise DataError(f"the {role} set is empty")
        if tuple(dataset.classes) != tuple(train_set.classes):
            raise DataError(f"the {role} set's classes are {dataset.classes}, not {train_set.classes}")
    cases = [_measured(dataset, _SAMPLE, None, hidden=not progress) for dataset in roles.values()]
    found = [finding for case in cases for finding in _diagnosed(case)]
    if errors := [str(finding) for finding in found if finding.severity == "error"]:
        raise DataError("the data cannot be trained on as they are:\n" + "\n".join(errors))
    for case in cases:
        case.dataset[0]  # what the reader itself refuses
    for finding in [*found, *diagnoses.absent_classes(cases)]:
        if finding.severity == "warning":
            warnings.warn(str(finding), stacklevel=3)


def _several(dataset: Any) -> Sequence[Any]:
    several = list(dataset) if isinstance(dataset, list | tuple) else [dataset]
    if not several:
        raise DataError("there is no data set to examine")
    return several


def _measured(dataset: Any, limit: int | None, workers: int | None, *, hidden: bool = False) -> Case:
    """Measure a data set, or `limit` examples spread over it; look whether the files of all are there."""
    if isinstance(dataset, FileDataset) and not dataset.labelled:
        raise DataError(f"{dataset!r} was loaded without labels; there is nothing to examine")
    size = len(dataset)
    indices = _spread(size, limit or size)
    examples = tuple(measure(dataset, indices, workers=workers, hidden=hidden))
    return Case(dataset, examples, _absent(dataset) if isinstance(dataset, FileDataset) else {})


def _spread(size: int, count: int) -> list[int]:
    """Return `count` of the numbers 0 .. size - 1, evenly spread; all if there are fewer."""
    return np.linspace(0, size - 1, min(size, count)).astype(int).tolist()


def _absent(dataset: FileDataset) -> dict[str, dict[str, str]]:
    """Return the ids without an image, and those without a mask, with the reader's message."""
    absent: dict[str, dict[str, str]] = {"missing-image": {}, "missing-mask": {}}
    for name in dataset.ids:
        for kind, find in (("missing-image", dataset.image_file), ("missing-mask", dataset.mask_file)):
            try:
                find(name)
            except DataError as error:
                absent[kind][name] = str(error)
    return absent


def _diagnosed(case: Case) -> Iterable[Finding]:
    """Yield what one split's measurements mean."""
    if len(case.dataset) == 0:
        yield case.finding("empty", "error", "there is no example", "put ids into the split's list")
    for rule in (diagnoses.files, diagnoses.sizes, labels, diagnoses.unusual_sizes):
        yield from rule(case)


def _compared(cases: Sequence[Case]) -> Iterable[Finding]:
    """Yield the splits whose classes differ from the first one's."""
    for case in cases[1:]:
        if case.classes != cases[0].classes:
            yield case.finding(
                "classes-differ", "error",
                f"the classes are {case.classes}, in {cases[0].split} {cases[0].classes}",
                "give all splits the same class list, in the same order",
            )  # fmt: skip


def _counted(case: Case) -> SplitCounts:
    per_mask = np.array([case.labels(mask) for _, mask in case.masks], np.int64)
    per_mask = per_mask.reshape(-1, len(case.classes) + 1)
    pixels = per_mask.sum(axis=0)
    total = sum(mask.size[0] * mask.size[1] for _, mask in case.masks)
    return SplitCounts(
        case.split, len(case.dataset), len(case.examples), pixels[:-1], (per_mask[:, :-1] > 0).sum(axis=0),
        int(pixels[-1]), total - int(pixels.sum()),
    )  # fmt: skip


# Pictures ------------------------------------------------------------------------------------------------


def pictures(dataset: Any, count: int = 6, *, ids: Sequence[str] | None = None) -> "Figure":
    """Show examples: the image, its mask in the classes' colours, and both laid over each other.

    Used in {doc}`02_data`.

    Masks that the reader refuses are shown too: values without a class in magenta, colours as they are,
    another size stretched to the image's.

    Args:
        dataset: see `dmnet.datasets.Dataset`.
        count: how many examples, spread over the set.
        ids: which examples instead.

    Raises:
        DataError: if an id is unknown, or none of the examples can be read.
    """
    from dmnet.doctor.figures import show_examples

    indices = _spread(len(dataset), count)
    if ids is not None:
        if strangers := [name for name in ids if name not in dataset.ids]:
            raise DataError(f"{dataset!r} has no example {strangers[0]}")
        indices = [dataset.ids.index(name) for name in ids]
    shown = {}
    for index in indices:
        try:
            image, mask, name = _whatever(dataset, index)
        except (DataError, OSError, ValueError):
            continue
        shown[name] = (image, mask)
    if not shown:
        raise DataError("none of the examples can be read; the findings say why")
    return show_examples(
        shown, dataset.classes, getattr(dataset, "palette", voc_palette(len(dataset.classes)))
    )


def shares(report: Report, palette: NDArray[np.uint8]) -> "Figure":
    """Show the classes' shares of the pixels as bars, split by split; `palette` is the data set's, [K, 3].

    Used in {doc}`02_data`.
    """
    from dmnet.doctor.figures import show_class_shares

    table = report.table()
    columns = {part.split: table[f"{part.split} %"] for part in report.splits}
    return show_class_shares(pd.DataFrame(columns).loc[list(report.classes)], palette)


def _whatever(dataset: Any, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8], str]:
    """Return an image, its mask [H, W] (254 for values that stand for nothing) or [H, W, 3], and the id."""
    if not isinstance(dataset, FileDataset):
        image, mask, name = dataset[index]
        strange = (mask >= len(dataset.classes)) & (mask != getattr(dataset, "ignore_index", IGNORE))
        return image, np.where(strange, _STRANGE, mask).astype(np.uint8), name
    name = dataset.ids[index]
    stored, _, _ = read_stored(dataset.mask_file(name))
    if stored.ndim == 3:
        return read_image(dataset.image_file(name)), stored, name
    valid = dataset.encoding.valid[np.clip(stored, 0, 255)] & (stored >= 0) & (stored <= 255)
    labels_ = dataset.encoding.decode(np.where(valid, stored, dataset.encoding.stored[0]))
    return read_image(dataset.image_file(name)), np.where(valid, labels_, _STRANGE).astype(np.uint8), name
