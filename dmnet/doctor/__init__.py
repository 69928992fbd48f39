"""The label doctor: what is in a data set, what is wrong with it, and what can be done about it.

`print(doctor.examine([train_set, val_set]))` shows every finding, with its files and its remedy in words.
"Why is my IoU 0 or NaN?" is nearly always answered by the masks. The doctor changes no file: how corrected
masks are written into a new folder, `data/README.md` shows.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dmnet.doctor import files
from dmnet.doctor.findings import Case, Finding
from dmnet.doctor.labels import labels
from dmnet.errors import DataError

__all__ = ["Finding", "Report", "SplitCounts", "examine", "quick_check"]

QUICK = 24  # masks of each split that are read where it must not take long
_RULES = (files.unusable, files.turned, files.sizes, labels, files.belonging)


@dataclass(frozen=True, eq=False)
class SplitCounts:
    """What was counted in one split. Used in {doc}`05_data`."""

    split: str  # its name
    size: int  # how many examples it has
    examined: int  # how many of them were read
    pixels: NDArray[np.int64]  # int64 [K], per class
    images: NDArray[np.int64]  # int64 [K], masks that have the class
    void: int  # pixels that count nowhere
    unknown: int  # pixels whose value stands for nothing


@dataclass(frozen=True, eq=False)
class Report:
    """What the doctor found. Used in {doc}`05_data`."""

    classes: tuple[str, ...]  # names of the classes
    splits: tuple[SplitCounts, ...]  # the counts
    findings: tuple[Finding, ...]  # what is wrong or looks wrong; errors first

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings with which training or scores cannot be right."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    def table(self) -> pd.DataFrame:
        """Return each class's share of the pixels in percent, and its images; so of void and of no class."""
        columns: dict[str, Any] = {}
        for part in self.splits:
            pixels = np.array([*part.pixels, part.void, part.unknown])
            columns[f"{part.split} %"] = 100 * pixels / (pixels.sum() or np.nan)
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


def examine(dataset: Any, *, limit: int | None = None) -> Report:
    """Read a `dmnet.datasets.Dataset`, or a list of splits, and say what is wrong. Used in {doc}`05_data`.

    With a `limit`, so many examples of each split are read; what needs all of them is not said then.
    """
    cases = [Case(one, limit) for one in (dataset if isinstance(dataset, list | tuple) else [dataset])]
    if not cases:
        raise DataError("there is no data set to examine")
    found = [one for case in cases for rule in _RULES for one in rule(case)]
    found += files.compared(cases)
    if not any(finding.severity == "error" for finding in found):  # else it would be its consequence
        found += files.absent_classes(cases)
    found.sort(key=lambda finding: ("error", "warning", "note").index(finding.severity))
    return Report(cases[0].classes, tuple(_counted(case) for case in cases), tuple(found))


def quick_check(train_set: Any, val_set: Any = None) -> None:
    """Look at the lists, whether all files are there, and at a few masks of each set: seconds at most.

    Warns of what is no error; a DataError if training on these sets cannot go well. Used in {doc}`05_data`.
    """
    sets = [train_set] if val_set is None or val_set is train_set else [train_set, val_set]
    report = examine(sets, limit=QUICK)
    if report.errors:
        errors = "\n".join(map(str, report.errors))
        raise DataError(f"the data cannot be trained on as they are:\n{errors}")
    for dataset in sets:
        dataset[0]  # what the reader itself refuses
    for finding in report.findings:
        if finding.severity == "warning":
            warnings.warn(str(finding), stacklevel=3)


def _counted(case: Case) -> SplitCounts:
    per_mask = np.reshape([case.labels(mask) for mask in case.masks], (-1, len(case.classes) + 1))
    *pixels, void = per_mask.sum(axis=0, dtype=np.int64)
    unknown = sum(mask.size[0] * mask.size[1] for mask in case.masks) - sum(pixels) - void
    sizes, images = (len(case.dataset), len(case.examples)), np.count_nonzero(per_mask[:, :-1], axis=0)
    return SplitCounts(case.split, *sizes, np.array(pixels), images, int(void), int(unknown))
