"""What the values in the masks mean: the usual ways of storing labels so that scores become 0 or NaN."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import reduce
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dmnet.classes import VOID_COLOUR
from dmnet.datasets.base import IGNORE
from dmnet.doctor.findings import Case, Finding, Table, counted
from dmnet.doctor.measuring import Colour, MaskFacts

# Names that people give to a first class which shall not count.
_OTHER = {"other", "others", "void", "unlabeled", "unlabelled", "ignore", "ignored", "unknown", "undefined"}

_RAMPS = 0.15  # of the steps along rows. Measured: labels up to 0.03, resized or compressed ones from 0.2
_FEW_STEPS = 32  # below that a share says nothing
_TRACE = 0.001  # share of the pixels up to which a colour proves nothing
_EDGES = 0.05  # share of the pixels that such traces have together, at most, along soft edges

Masks = Sequence[MaskFacts]


def labels(case: Case) -> Iterator[Finding]:
    """All that the values of a split's masks give away. Used in {doc}`05_data`."""
    masks = case.masks
    rules = (_coloured, _renumbered, _refused, _blended, _binary, _beyond, _direct, _zero, _void, _one_class)
    for rule in rules:
        if masks and (finding := rule(case, masks)):
            yield finding
            if finding.severity == "error":  # what else these masks seem to say would be its consequence
                wrong = set(finding.files)
                masks = [mask for mask in masks if mask.name not in wrong]


def _coloured(case: Case, masks: Masks) -> Finding | None:
    """Colours in place of numbers."""
    if not (wrong := [mask for mask in masks if mask.colours]):
        return None
    pixels: Counter[Colour] = sum((Counter(dict(mask.colours)) for mask in wrong), Counter())
    if len(pixels) > 1 and all(red == green == blue for red, green, blue in pixels):
        seen = "several channels with the same grey values"
    elif _are_the_classes(case, pixels, wrong):
        seen = "the colours of the data set's classes"
    else:
        most = _some([colour for colour, _ in pixels.most_common()])
        seen = f"{most} (red, green, blue), which are not all colours of the data set's classes"
    message = f"{counted(len(wrong), 'mask')} stored in colours (mode {wrong[0].mode}), no numbers: {seen}"
    table = _colour_table(case, pixels) if len(wrong) == len(masks) else ()
    return case.finding("colour-mask", message, wrong, table=table)


def _colour_table(case: Case, pixels: Mapping[Colour, int]) -> Table:
    """Return which class each of these colours is, if all are the classes' and void's, or greys."""
    palette = [(red, green, blue) for red, green, blue in case.palette.tolist()]
    black, *greys, white = [(grey, grey, grey) for grey in (*range(len(case.classes)), IGNORE)]
    if set(pixels) == {black, white}:
        return case.table([black, white])
    for colours, void in ((palette, VOID_COLOUR), ([black, *greys], white)):
        if set(pixels) != {black} and set(pixels) <= {*colours, void}:
            return case.table(colours, void)
    return ()


def _are_the_classes(case: Case, pixels: Mapping[Colour, int], masks: Masks) -> bool:
    """Tell whether these colours are those of the classes, and of void: all of them, but for traces."""
    known = {(red, green, blue) for red, green, blue in case.palette.tolist()} | {VOID_COLOUR}
    total = sum(mask.size[0] * mask.size[1] for mask in masks)
    seen = {colour: count for colour, count in pixels.items() if count > _TRACE * total}
    enough = sum(seen.values()) >= (1 - _EDGES) * total
    # Black alone proves nothing: nearly every program has it for what is not labelled.
    return enough and set(seen) <= known and set(seen) != {(0, 0, 0)}


def _renumbered(case: Case, masks: Masks) -> Finding | None:
    """Palettes in which a number has several colours, or the colour of another class."""
    wrong = [mask for mask in masks if mask.palette]
    colours: dict[int, dict[Colour, None]] = defaultdict(dict)
    pixels: Counter[Colour] = Counter()
    for mask in wrong:
        for value, colour in mask.palette:
            pixels[colour] += int(mask.counts[value])
            if value not in case.encoding.ignored:
                colours[value][colour] = None
    known = _are_the_classes(case, pixels, wrong)
    if known and case.plain:
        for value, (red, green, blue) in enumerate(case.palette.tolist()):
            colours[value][red, green, blue] = None
    if not (changing := [value for value in sorted(colours) if len(colours[value]) > 1]):
        return None
    first, second, *_ = colours[changing[0]]
    seen = f"{changing[0]} is {first} here, {second} there (red, green, blue)"
    why = "if each image's colours were numbered anew, no number is one class"
    message = f"{counted(len(wrong), 'mask')} stored with palettes, but {seen}: {why}"
    sure = known or not case.encoding.valid[list(colours)].all()  # else somebody may like other colours
    table = _colour_table(case, pixels) if known and len(wrong) == len(masks) else ()
    return case.finding("palettes-differ", message, wrong, "error" if sure else "warning", table=table)


def _refused(case: Case, masks: Masks) -> Finding | None:
    """JPEG and its like, which change labels, and values that no 8-bit label map has."""
    if not (wrong := [mask for mask in masks if mask.lossy or mask.outside or mask.mode == "F"]):
        return None
    outside = sorted({value for mask in wrong for value in mask.outside})
    values = f"with values such as {outside[:6]} (numbers of instances?)" if outside else "that is, floats"
    why = f"mode {wrong[0].mode}, {values}"
    if forms := sorted({mask.lossy for mask in wrong} - {""}):
        why = f"{' and '.join(forms)} changes labels to compress"
    return case.finding("no-label-map", f"{counted(len(wrong), 'mask')} no label map: {why}", wrong)


def _blended(case: Case, masks: Masks) -> Finding | None:
    """Values in between, from resizing with interpolation, drawing with soft edges or compression."""
    unknown = ~case.encoding.valid
    strange = {mask for mask in masks if mask.counts[unknown].any()}
    soft = {mask for mask in masks if np.count_nonzero(mask.counts) >= 6 and _ramps([mask])}
    # A narrow strip of a class is a ramp, too: of masks with few values, only what no class has is evidence.
    if strange & soft or _ramps(strange, unknown):
        soft |= strange
    if not (wrong := [mask for mask in masks if mask in soft]):
        return None
    invalid = [value for value in _held(wrong)[1] if unknown[value]]
    like = f" (such as {', '.join(map(str, invalid[:5]))}, which no class has)" if invalid else ""
    why = "from resizing with interpolation, soft edges or compression"
    message = f"{counted(len(wrong), 'mask')} not sharp: values lie between two labels{like}, {why}"
    return case.finding("in-between-values", message, wrong, "error" if invalid else "warning")


def _ramps(masks: Collection[MaskFacts], values: NDArray[np.bool_] | slice = slice(None)) -> bool:
    """Tell whether masks, taken together, rise and fall gradually, by these values."""
    steps, between = sum(mask.steps for mask in masks), sum(mask.between[values].sum() for mask in masks)
    return bool(steps >= _FEW_STEPS and between > _RAMPS * steps)


def _binary(case: Case, masks: Masks) -> Finding | None:
    """Black and white."""
    black = [mask for mask in masks if np.flatnonzero(mask.counts).tolist() == [0, IGNORE]]
    others = [mask for mask in masks if mask.counts[1:IGNORE].any()]
    meant = any(mask.counts[IGNORE] for mask in others)  # as void
    if not black or meant or IGNORE in case.encoding.stored or not case.encoding.valid[IGNORE]:
        return None
    counts, _ = _held(black)
    which = f"{len(black)} of {len(masks)}" if others else "the"
    held = f"0 and 255 alone ({counts[IGNORE] / counts.sum():.1%} are 255)"
    message = f"{which} masks hold the values {held}, and 255 is void: what was meant as the object counts "
    message += "nowhere, so nothing is learned and its IoU is NaN or 0"
    if others:  # some of which may be right
        message += ". No other mask has 255, so it hardly means void"
        return case.finding("binary-255", message, black, "warning")
    if len(case.classes) != 2:
        message += f"; and two values tell 2 classes apart, not {len(case.classes)}"
    return case.finding("binary-255", message, masks, table=case.table([0, IGNORE]))


def _beyond(case: Case, masks: Masks) -> Finding | None:
    """Values that stand for nothing. Where they are stored otherwise, all masks are, whatever they hold."""
    counts, values = _held(masks)
    if not (wrong := [value for value in values if not case.encoding.valid[value]]):
        return None
    count, highest = len(case.classes), max((value for value in values if value != IGNORE), default=0)
    held = f"the masks hold {_some(values)}: these"
    colours = [*case.palette.tolist(), VOID_COLOUR]
    greys = [(19595 * r + 38470 * g + 7471 * b + 0x8000) >> 16 for r, g, b in colours]  # [ITU-R BT.601]
    if len(values) > 1 and set(values) <= {*greys, IGNORE}:
        why = "are the brightness of the classes' colours: palettes were converted to grey"
        table = case.table(greys[:-1], IGNORE if IGNORE in values else greys[-1])
        return case.finding("palette-lost", f"{held} {why}", masks, table=table)
    if spread := _stretched(case, values):
        why = f"seem to be the labels 0 to {count - 1}, multiplied to be seen"
        table = case.table(spread, None if IGNORE in spread else IGNORE)
        return case.finding("stretched", f"{held} {why}", masks, table=table)
    if case.plain and highest == count and 0 not in values:
        why = f"count from 1, the {count} classes from 0: {case.classes[-1]}, the last one, is out of range, "
        why += "and every other is taken for its neighbour"
        table = case.table(range(1, count + 1), IGNORE)
        return case.finding("off-by-one", f"{held} {why}", masks, table=table)
    having = [mask for mask in masks if mask.counts[wrong].any()]
    known = f"0 to {count - 1}" if case.plain else f"stored as {_some(case.encoding.stored)}"
    shown = _some([f"{value} ({counts[value]} pixels)" for value in wrong])
    message = f"{having[0].name}: the mask has the label {wrong[0]}, but there are {count} classes, {known}; "
    message += f"in all, {shown} have no class, in {len(having)} of {len(masks)} masks"
    if case.plain and highest == count:
        message += ". That is one label more than names: one lacks its name, or 0 is what shall not count"
        message += ", or these masks count from 1, others from 0" * (len(having) < len(masks))
    return case.finding("values-without-class", message, having)


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


def _direct(case: Case, masks: Masks) -> Finding | None:
    """Labels 0..K-1 where files have numbers of their own: Cityscapes' trainIds, ADE20K lowered by one."""
    stored, count, (_, values) = case.encoding.stored, len(case.classes), _held(masks)
    found, high = [one for one in values if one != IGNORE], [one for one in stored if one >= count]
    if stored == tuple(range(1, count + 1)):  # 0 is void, too; but ADE20K's own files have no 255
        high = high if IGNORE in values and getattr(case.dataset, "name", "") == "ade20k" else []
    if case.plain or not found or max(found) >= count or not high or (len(masks) < 3 and not case.complete):
        return None
    labels = "labels (trainIds; ADE20K's numbers lowered by one), not the numbers of files (labelIds)"
    message = f"the masks hold {_some(values)}, but not {_some(high)}: these are the {labels}: "
    message += "classes are void, or taken for others"
    return case.finding("labels-not-ids", message, masks)


def _zero(case: Case, masks: Masks) -> Finding | None:
    """A zero that counts by accident."""
    having, first, (counts, _) = [mask for mask in masks if mask.counts[0]], case.classes[0], _held(masks)
    if not case.plain or not having or first.lower() not in _OTHER:
        return None
    message = f"the value 0 is the class {first!r} and counts: {counts[0] / counts.sum():.1%} of the pixels"
    return case.finding("zero-counted", message, having)


def _void(case: Case, masks: Masks) -> Finding | None:
    """Masks in which nothing counts."""
    if not (empty := [mask for mask in masks if not case.labels(mask)[:-1].any()]):
        return None
    message = f"{counted(len(empty), 'mask')} void everywhere: "
    if len(empty) < len(case.masks):
        return case.finding("all-void", message + "these images count nowhere", empty)
    return case.finding("all-void", message + "nothing counts, so every IoU is NaN", empty, "error")


def _one_class(case: Case, masks: Masks) -> Finding | None:
    """Masks in which nothing differs, if they are most of the split's."""
    present = np.flatnonzero(sum(case.labels(mask)[:-1] for mask in masks))
    most = case.complete and 2 * len(masks) > len(case.masks)
    if len(present) != 1 or len(case.classes) == 1 or not most:
        return None
    name = case.classes[present[0]]
    message = f"{name} is the only class in all {len(masks)} masks: there is nothing to tell apart"
    return case.finding("one-class", message, masks, "error" if len(masks) >= 8 else "warning")


def _held(masks: Masks) -> tuple[NDArray[np.int64], list[int]]:
    """Return the pixels of every stored value, [256], and the values that occur."""
    counts = np.sum([mask.counts for mask in masks], axis=0)
    return counts, np.flatnonzero(counts).tolist()


def _some(values: Sequence[Any]) -> str:
    """Write the first values, and the last."""
    texts = [str(value) for value in values]
    return ", ".join(texts if len(texts) <= 8 else [*texts[:6], "...", texts[-1]])
