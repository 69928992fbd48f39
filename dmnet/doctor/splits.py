"""What several splits have in common, and what one of them lacks."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from dmnet.doctor.findings import Case, Finding, counted

_ABSENT = "its IoU is NaN, or 0 where it is predicted"


def compared(cases: Sequence[Case]) -> Iterator[Finding]:
    """Splits whose classes differ from the first one's. Used in {doc}`02_data`."""
    for case in cases[1:]:
        if case.classes != cases[0].classes:
            message = f"the classes are {case.classes}, in {cases[0].split} {cases[0].classes}"
            yield case.finding("classes-differ", message)


def unpaired(cases: Sequence[Case]) -> Iterator[Finding]:
    """Masks that belong to no image. Used in {doc}`02_data`."""
    told: set[str] = set()  # splits may share a folder
    for case in cases:
        masks = map(str, getattr(case.dataset, "unpaired", ()))
        names = [name for name in masks if name not in told]
        told.update(names)
        # Where images lack masks too, it is the names that do not fit.
        if names and all(mask for _, mask in case.dataset.files.values()):
            message = f"{counted(len(names), 'mask')} there without an image, and not used"
            yield case.finding("mask-without-image", message, names)


def absent_classes(cases: Sequence[Case]) -> Iterator[Finding]:
    """Classes without a pixel in one split or in all; only where every mask was counted.

    Used in {doc}`02_data`.
    """
    if not all(case.complete and case.masks for case in cases):
        return
    classes = np.array(cases[0].classes)
    pixels = [sum(case.labels(mask)[:-1] for _, mask in case.masks) for case in cases]
    seen = np.array(pixels) > 0  # [splits, K]
    anywhere = seen.any(axis=0)
    if anywhere.any() and not anywhere.all():
        missing = np.flatnonzero(~anywhere)
        last = ". They are the last in the list" if missing[0] == len(classes) - len(missing) else ""
        message = f"no pixel of {', '.join(classes[missing])}; {_ABSENT}{last}"
        yield cases[0].finding("class-never", message, split="+".join(case.split for case in cases))
    for case, here in zip(cases, seen, strict=True):
        only = ~here & anywhere
        if only.any() and here.any():
            others = "+".join(other.split for other in cases if other is not case)
            effect = "cannot be learned" if case.split.startswith("train") else _ABSENT
            message = f"no pixel of {', '.join(classes[only])}, which {others} has: {effect}"
            yield case.finding("class-absent", message)


def duplicates(cases: Sequence[Case]) -> Iterator[Finding]:
    """The same image in two splits, or twice in one; the same file or, without files, the same pixels.

    Used in {doc}`02_data`.
    """
    places: dict[bytes, list[tuple[str, str]]] = defaultdict(list)  # split and file
    for case in cases:
        for one in case.examples:
            if one.image:
                places[one.image.digest].append((case.split, one.image_name))
    repeated = [found for found in places.values() if len(found) > 1]
    leaks = [found for found in repeated if len({split for split, _ in found}) > 1]
    within = [found for found in repeated if len({split for split, _ in found}) == 1]
    leaking = "in more than one split: scores on one are remembered from the other"
    for name, groups, effect in (("leak", leaks, leaking), ("duplicates", within, "there more than once")):
        if groups:
            where = "+".join(dict.fromkeys(split for group in groups for split, _ in group))
            files = [file for group in groups for _, file in group]
            message = f"{counted(len(groups), 'image')} {effect}"
            yield cases[0].finding(name, message, files, split=where)
