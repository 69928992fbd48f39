"""What the values in the masks mean: the usual ways of storing labels so that scores become 0 or NaN."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from math import gcd

import numpy as np
from numpy.typing import NDArray

from dmnet.classes import VOID_COLOUR
from dmnet.datasets.base import IGNORE
from dmnet.doctor.findings import Case, Finding, Table, counted
from dmnet.doctor.measuring import Colour, MaskFacts, Measurement

# Names that people give to a first class which shall not count.
_OTHER = {"other", "others", "void", "unlabeled", "unlabelled", "ignore", "ignored", "unknown", "undefined"}

_RAMPS = 0.15  # of the steps along rows. Measured: labels up to 0.03, resized or compressed ones from 0.2
_FEW_STEPS = 32  # below that a share says nothing
_TRACE = 0.001  # share of the pixels up to which a colour proves nothing
_EDGES = 0.05  # share of the pixels that such traces have together, at most, along soft edges

Masks = list[tuple[Measurement, MaskFacts]]
Found = tuple[Finding, Masks] | None  # what is wrong, and with which masks
Values = NDArray[np.int64]  # the pixels of every stored value, [256]


def labels(case: Case) -> Iterator[Finding]:
    """All that the values of a split's masks give away. Used in {doc}`02_data`."""
    masks = list(case.masks)
    for rule in (_coloured, _renumbered, _refused, _blended):
        if found := rule(case, masks):
            yield found[0]
            if found[0].severity == "error":  # what else these masks seem to say would be its consequence
                wrong = {one for one, _ in found[1]}
                masks = [(one, mask) for one, mask in masks if one not in wrong]
    if not masks:
        return
    counts = np.sum([mask.counts for _, mask in masks], axis=0)
    values = np.flatnonzero(counts).tolist()
    for explain in (_binary, _beyond, _direct, _zero):
        if finding := explain(case, masks, counts, values):
            yield finding
            return
    yield from _void(case, masks)


def _coloured(case: Case, masks: Masks) -> Found:
    """Colours in place of numbers."""
    wrong = [(one, mask) for one, mask in masks if mask.colours]
    if not wrong:
        return None
    pixels: Counter[Colour] = Counter()
    for _, mask in wrong:
        pixels.update(dict(mask.colours))
    most = ", ".join([str(colour) for colour, _ in pixels.most_common(6)] + ["..."] * (len(pixels) > 6))
    seen = f"{most} (red, green, blue), which are not all colours of the data set's classes"
    table = _colour_table(case, pixels) if len(wrong) == len(masks) else ()
    if len(pixels) > 1 and all(red == green == blue for red, green, blue in pixels):
        seen = "three channels with the same grey values"
    elif _are_the_classes(case, pixels, wrong):
        seen = "the colours of the data set's classes"
    message = f"{counted(len(wrong), 'mask')} stored in colours (mode {wrong[0][1].mode}), no numbers: {seen}"
    return replace(case.finding("colour-mask", message, _names(wrong)), table=table), wrong


def _colour_table(case: Case, pixels: Mapping[Colour, int]) -> Table:
    """Return which class each of these colours is, if all are the classes' and void's, or greys."""
    palette = [(red, green, blue) for red, green, blue in case.palette.tolist()]
    greys = [(label, label, label) for label in range(len(case.classes))]
    for colours, void in ((palette, VOID_COLOUR), (greys, (IGNORE, IGNORE, IGNORE))):
        if set(pixels) != {(0, 0, 0)} and set(pixels) <= {*colours, void}:
            return case.table(colours, void)
    return ()


def _are_the_classes(case: Case, pixels: Mapping[Colour, int], masks: Masks) -> bool:
    """Tell whether these colours are those of the classes, and of void: all of them, but for traces.

    Black alone proves nothing: nearly every program has it for what is not labelled.
    """
    known = {(red, green, blue) for red, green, blue in case.palette.tolist()} | {VOID_COLOUR}
    total = sum(mask.size[0] * mask.size[1] for _, mask in masks)
    seen = {colour: count for colour, count in pixels.items() if count > _TRACE * total}
    enough = sum(seen.values()) >= (1 - _EDGES) * total
    return enough and set(seen) <= known and set(seen) != {(0, 0, 0)}


def _renumbered(case: Case, masks: Masks) -> Found:
    """Palettes in which every image numbers its colours anew, so that a number has several colours."""
    wrong = [(one, mask) for one, mask in masks if mask.palette]
    colours: dict[int, dict[Colour, None]] = defaultdict(dict)
    pixels: Counter[Colour] = Counter()
    for _, mask in wrong:
        for value, colour in mask.palette:
            pixels[colour] += int(mask.counts[value])
            if value not in case.encoding.ignored:
                colours[value][colour] = None
    changing = [value for value in sorted(colours) if len(colours[value]) > 1]
    if not changing:
        return None
    first, second, *_ = colours[changing[0]]
    message = (
        f"{counted(len(wrong), 'mask')} stored with palettes, but {changing[0]} is {first} here, {second} "
        "there (red, green, blue): if each image's colours were numbered anew, no number is one class"
    )
    severity = "error" if _are_the_classes(case, pixels, wrong) else "warning"
    table = _colour_table(case, pixels) if severity == "error" and len(wrong) == len(masks) else ()
    return replace(case.finding("palettes-differ", message, _names(wrong), severity), table=table), wrong


def _refused(case: Case, masks: Masks) -> Found:
    """JPEG and its like, which change labels, and values that no 8-bit label map has."""
    wrong = [(one, mask) for one, mask in masks if mask.lossy or mask.outside or mask.mode == "F"]
    if not wrong:
        return None
    if forms := sorted({mask.lossy for _, mask in wrong} - {""}):
        why = f"{' and '.join(forms)} changes labels to compress"
    else:
        outside = sorted({value for _, mask in wrong for value in mask.outside})
        why = f"mode {wrong[0][1].mode}, with values such as {outside[:6]} (numbers of instances?)"
    message = f"{counted(len(wrong), 'mask')} no label map: {why}"
    return case.finding("no-label-map", message, _names(wrong)), wrong


def _blended(case: Case, masks: Masks) -> Found:
    """Values in between, from resizing with interpolation, drawing with soft edges or compression."""
    strange = {one: (mask.counts > 0) & ~case.encoding.valid for one, mask in masks}
    soft = {one for one, mask in masks if _ramps(mask, bool(strange[one].any()))}
    if any(strange[one].any() for one in soft):  # the others were made the same way
        soft |= {one for one in strange if strange[one].any()}
    if not soft:
        return None
    wrong = [(one, mask) for one, mask in masks if one in soft]
    invalid = np.flatnonzero(np.any([strange[one] for one in soft], axis=0)).tolist()
    like = f" (such as {', '.join(map(str, invalid[:5]))}, which no class has)" if invalid else ""
    message = (
        f"{counted(len(wrong), 'mask')} not sharp: between two labels lie values in between{like}, so they "
        "were resized with interpolation, drawn with soft edges, or compressed"
    )
    severity = "error" if invalid else "warning"
    return case.finding("in-between-values", message, _names(wrong), severity), wrong


def _ramps(mask: MaskFacts, strange: bool) -> bool:
    """Tell whether values rise and fall gradually; a class drawn as a thin line alone is no evidence."""
    several = np.count_nonzero(mask.counts) >= (3 if strange else 6)
    return bool(several and mask.steps >= _FEW_STEPS and mask.between > _RAMPS * mask.steps)


def _binary(case: Case, masks: Masks, counts: Values, values: list[int]) -> Finding | None:
    """Black and white."""
    if values != [0, IGNORE] or IGNORE in case.encoding.stored or not case.encoding.valid[IGNORE]:
        return None
    message = (
        f"the masks hold the values 0 and 255 alone ({counts[255] / counts.sum():.1%} are 255), and 255 is "
        "void: what was meant as the object counts nowhere, so nothing is learned and its IoU is NaN or 0"
    )
    if len(case.classes) != 2:
        message += f"; and two values tell 2 classes apart, not {len(case.classes)}"
    finding = case.finding("binary-255", message, _having(masks, [IGNORE]))
    return replace(finding, table=case.table([0, IGNORE]))


def _beyond(case: Case, masks: Masks, counts: Values, values: list[int]) -> Finding | None:
    """Values that stand for nothing."""
    wrong = [value for value in values if not case.encoding.valid[value]]
    if not wrong:
        return None
    files, count = _having(masks, wrong), len(case.classes)
    table: Table = ()
    highest = max((value for value in values if value != IGNORE), default=0)
    if len(values) > 1 and set(values) <= {*(greys := _greys(case)), IGNORE}:
        name, table = "palette-lost", case.table(greys[:-1], IGNORE if IGNORE in values else greys[-1])
        why = "are the brightness of the classes' colours: palettes were converted to grey"
    elif spread := _stretched(case, values):
        name, table = "stretched", case.table(spread, None if IGNORE in spread else IGNORE)
        why = f"seem to be the labels 0 to {count - 1}, multiplied to be seen"
    elif case.plain and highest == count and 0 not in values:
        name, table = "off-by-one", case.table(range(1, count + 1), IGNORE)
        why = (
            f"count from 1, the {count} classes from 0: {case.classes[-1]}, the last one, is out of range, "
            "and every other is taken for its neighbour"
        )
    else:
        known = f"0 to {count - 1}" if case.plain else f"stored as {_some(case.encoding.stored)}"
        shown = ", ".join(f"{value} ({counts[value]} pixels)" for value in wrong[:5])
        more = f" and {len(wrong) - 5} more values" if len(wrong) > 5 else ""
        message = (
            f"{files[0]}: the mask has the label {wrong[0]}, but there are {count} classes, {known}; in all, "
            f"{shown}{more} have no class, in {len(files)} of {len(masks)} masks"
        )
        if case.plain and highest == count:
            message += ". That is one label more than names: one lacks its name, or 0 is what shall not count"
        return case.finding("values-without-class", message, files)
    return replace(case.finding(name, f"the masks hold {_some(values)}: these {why}", files), table=table)


def _greys(case: Case) -> list[int]:
    """Return the brightness that Pillow and OpenCV give the colours of classes and void [ITU-R BT.601]."""
    colours = [*case.palette.tolist(), VOID_COLOUR]
    return [(19595 * r + 38470 * g + 7471 * b + 0x8000) >> 16 for r, g, b in colours]


def _stretched(case: Case, values: list[int]) -> Sequence[int]:
    """Return how the labels were spread over 0..255 to be visible, or nothing."""
    count = len(case.classes)
    if not case.plain or len(values) < min(3, count):
        return ()
    for half in (0.5, 0):
        spread = [int(label * 255 / max(count - 1, 1) + half) for label in range(count)]
        if IGNORE in values and set(values) <= set(spread):
            return spread
    others = [value for value in values if value != IGNORE]
    step = reduce(gcd, others)
    return range(0, step * count, step) if step > 1 and max(others) // step < count else ()


def _direct(case: Case, masks: Masks, counts: Values, values: list[int]) -> Finding | None:
    """Labels 0..K-1 where files have numbers of their own: Cityscapes' trainIds, ADE20K lowered by one."""
    stored, count = case.encoding.stored, len(case.classes)
    found, high = [one for one in values if one != IGNORE], [one for one in stored if one >= count]
    if stored == tuple(range(1, count + 1)):  # 0 is void, too; but ADE20K's own files have no 255
        high = high if IGNORE in values and getattr(case.dataset, "name", "") == "ade20k" else []
    if case.plain or not found or max(found) >= count or not high or (len(masks) < 3 and not case.complete):
        return None
    message = (
        f"the masks hold {_some(values)}, but not {_some(high)}: these are the labels themselves (trainIds; "
        "ADE20K's numbers lowered by one), where the data set's files have numbers of their own (labelIds): "
        "classes are void, or taken for others"
    )
    return case.finding("labels-not-ids", message, _having(masks, found))


def _zero(case: Case, masks: Masks, counts: Values, values: list[int]) -> Finding | None:
    """A zero that counts by accident."""
    first = case.classes[0]
    if not case.plain or 0 not in values or first.lower() not in _OTHER:
        return None
    message = f"the value 0 is the class {first!r} and counts: {counts[0] / counts.sum():.1%} of the pixels"
    return case.finding("zero-counted", message, _having(masks, [0]))


def _void(case: Case, masks: Masks) -> Iterator[Finding]:
    """Masks in which nothing counts; sets in which nothing differs."""
    per_mask = [case.labels(mask) for _, mask in masks]
    empty = [one.mask_name for (one, _), pixels in zip(masks, per_mask, strict=True) if not pixels[:-1].any()]
    if empty:
        every = len(empty) == len(masks)
        effect = "nothing in the split counts, so every IoU is NaN" if every else "these images count nowhere"
        message = f"{counted(len(empty), 'mask')} void everywhere: {effect}"
        yield case.finding("all-void", message, empty, "error" if every else "warning")
    present = np.flatnonzero(np.sum(per_mask, axis=0)[:-1])
    if len(present) == 1 and case.complete and len(case.classes) > 1:
        name = case.classes[present[0]]
        message = f"{name} is the only class in all {len(masks)} masks: there is nothing to tell apart"
        yield case.finding("one-class", message, _names(masks), "error" if len(masks) >= 8 else "warning")


def _names(masks: Masks) -> list[str]:
    return [one.mask_name for one, _ in masks]


def _having(masks: Masks, values: list[int]) -> list[str]:
    """Return the files that hold one of the values."""
    return [one.mask_name for one, mask in masks if mask.counts[values].any()]


def _some(values: Sequence[int]) -> str:
    """Write the first values, and the last."""
    texts = [str(value) for value in values]
    return ", ".join(texts if len(texts) <= 8 else [*texts[:6], "...", texts[-1]])
