"""What the values in the masks mean: the usual ways of storing labels so that scores become 0 or NaN."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from math import gcd

import numpy as np
from numpy.typing import NDArray

from dmnet.classes import VOID_COLOUR
from dmnet.datasets.base import IGNORE
from dmnet.doctor.diagnoses import Case, Finding, Severity, counted
from dmnet.doctor.measuring import MaskFacts, Measurement

# Names that people give to a first class which shall not count, and to one which shall.
_OTHER = {"other", "others", "void", "unlabeled", "unlabelled", "ignore", "ignored", "unknown", "undefined"}
_BACKGROUND = {"background", "_background_", "bg", "back"}

_RAMPS = 0.15  # of the steps along rows. Measured: labels up to 0.03, resized or compressed ones from 0.2
_FEW_STEPS = 32  # below that a share says nothing
_MOST = 0.8  # of the pixels: then the colours are those of the data set

_NAMES_FILE = "the class list (classes.txt)"

Masks = list[tuple[Measurement, MaskFacts]]
Colour = tuple[int, int, int]


def labels(case: Case) -> Iterator[Finding]:
    """All that the values of a split's masks give away. Used in {doc}`02_data`."""
    masks = list(case.masks)
    for rule in (_coloured, _renumbered, _lossy, _large, _blended):
        found, concerned = rule(case, masks)
        yield from found
        done = {one for one, _ in concerned}
        masks = [(one, mask) for one, mask in masks if one not in done]
    counts = np.sum([mask.counts for _, mask in masks], axis=0) if masks else np.zeros(256, np.int64)
    values = np.flatnonzero(counts).tolist()
    if not values:
        return
    for explain in (_binary, _beyond, _direct, _zero):
        if finding := explain(case, masks, counts, values):
            yield finding
            return
    yield from _void(case, masks)


# Masks that are no labels at all --------------------------------------------------------------------------

Found = tuple[list[Finding], Masks]


def _coloured(case: Case, masks: Masks) -> Found:
    """Colours in place of numbers."""
    wrong = [(one, mask) for one, mask in masks if mask.colours]
    if not wrong:
        return [], []
    colours: dict[Colour, int] = {}
    for _, mask in wrong:
        for colour, pixels in mask.colours:
            colours[colour] = colours.get(colour, 0) + pixels
    names = [one.mask_name for one, _ in wrong]
    start = f"{counted(len(wrong), 'mask')} pictures (mode {wrong[0][1].mode}) that hold colours, not labels"
    if all(red == green == blue for red, green, blue in colours):
        return [
            case.finding(
                "grey-as-colour", "error", f"{start}: grey values, three times the same",
                "keep one of the three channels, then check again", names,
                "mending.rewrite(dataset, lambda mask: mask[..., 0] if mask.ndim == 3 else mask)",
            )
        ], wrong  # fmt: skip
    known = {tuple(colour) for colour in case.palette.tolist()} | {VOID_COLOUR}
    share = _known_share(case, colours)
    most = sorted(colours, key=lambda colour: -colours[colour])
    shown = ", ".join(str(colour) for colour in most[:6]) + (", ..." if len(most) > 6 else "")
    code = _from_colours(case, "dataset.palette")
    if share > _MOST:
        message = f"{start}: {share:.0%} of the pixels have a colour of the data set's palette"
        remedy = "give every colour its class's number"
        if len(known) <= len(case.classes):
            remedy += "; some classes share a colour, so tell those apart by hand"
    else:
        message = f"{start}: {shown} (red, green, blue)"
        remedy = f"list the classes' colours in the order of {_NAMES_FILE}, and give each its class's number"
        code = f"{_listed_colours(case, most)}\n{_from_colours(case, 'colours')}"
    return [case.finding("colour-mask", "error", message, remedy, names, code)], wrong


def _renumbered(case: Case, masks: Masks) -> Found:
    """Palette pictures in which every picture numbers its colours anew."""
    wrong = [(one, mask) for one, mask in masks if mask.palette]
    numbers: dict[Colour, set[int]] = {}
    colours: Counter[Colour] = Counter()
    for _, mask in wrong:
        once = Counter(colour for _, colour in mask.palette)
        for value, colour in mask.palette:
            colours[colour] += int(mask.counts[value])
            if once[colour] == 1:
                numbers.setdefault(colour, set()).add(value)
    changing = [colour for colour in colours if len(numbers.get(colour, ())) > 1]
    if len(changing) < 2:  # one alone: black stands for 0 and for all that has no colour
        return [], []
    first = changing[0]
    message = (
        f"{counted(len(wrong), 'mask')} palette pictures with other numbers for the same colour, e.g. "
        f"{_some(sorted(numbers[first]))} for {first} (red, green, blue): a program numbered the colours of "
        "each picture anew, so a number is another class in every mask"
    )
    names = [one.mask_name for one, _ in wrong]
    if _known_share(case, colours) > _MOST:
        code = "mending.by_colour(dataset, dataset.palette)"
        remedy = "give every colour its class's number"
        return [case.finding("palettes-differ", "error", message, remedy, names, code)], wrong
    most = [colour for colour, _ in colours.most_common()]
    code = f"{_listed_colours(case, most)}\nmending.by_colour(dataset, colours)"
    remedy = (
        f"if the colours are what tells the classes apart, list them in the order of {_NAMES_FILE}, and give "
        "each its class's number"
    )
    return [case.finding("palettes-differ", "warning", message, remedy, names, code)], wrong


def _known_share(case: Case, colours: Mapping[Colour, int]) -> float:
    """Return the share of the pixels that have a colour of the data set's palette, or void's."""
    known = {tuple(colour) for colour in case.palette.tolist()} | {VOID_COLOUR}
    return sum(pixels for colour, pixels in colours.items() if colour in known) / sum(colours.values())


def _lossy(case: Case, masks: Masks) -> Found:
    """JPEG and its like change labels."""
    wrong = [(one, mask) for one, mask in masks if mask.lossy]
    if not wrong:
        return [], []
    message = f"{counted(len(wrong), 'mask')} saved as {wrong[0][1].lossy}, which changes labels to compress"
    remedy, code = _restore(case, wrong, "export them again as PNG; what the compression changed is lost")
    return [
        case.finding("lossy-mask", "error", message, remedy, (one.mask_name for one, _ in wrong), code)
    ], wrong


def _large(case: Case, masks: Masks) -> Found:
    """Values that no 8-bit label map has."""
    wrong = [(one, mask) for one, mask in masks if mask.outside or mask.mode == "F"]
    if not wrong:
        return [], []
    outside = sorted({value for _, mask in wrong for value in mask.outside})[:6]
    message = f"{counted(len(wrong), 'mask')} of mode {wrong[0][1].mode} with values such as {outside}"
    remedy = "save the labels, 0 to 254 and 255 for void, as 8-bit PNG (is this an instance map?)"
    code = ""
    if outside and min(outside) >= 0 and len(outside) < len(case.classes):
        code = (
            f"{_recode({value: i + 1 for i, value in enumerate(outside)})}  # correct and complete the pairs"
        )
    return [
        case.finding("large-values", "error", message, remedy, (one.mask_name for one, _ in wrong), code)
    ], wrong


def _blended(case: Case, masks: Masks) -> Found:
    """Values in between, from resizing with interpolation, drawing with soft edges or compression."""
    strange = {one: (mask.counts > 0) & ~case.encoding.valid for one, mask in masks}
    soft = {one for one, mask in masks if _ramps(mask, bool(strange[one].any()))}
    if any(strange[one].any() for one in soft):  # the others were made the same way
        soft |= {one for one in strange if strange[one].any()}
    wrong = [(one, mask) for one, mask in masks if one in soft]
    invalid = np.flatnonzero(np.any([strange[one] for one in soft], axis=0)).tolist() if soft else []
    if not wrong:
        return [], []
    like = f" (such as {', '.join(map(str, invalid[:5]))}, which no class has)" if invalid else ""
    message = (
        f"{counted(len(wrong), 'mask')} not sharp: between two labels lie values in between{like}, so they "
        "were resized with interpolation, drawn with soft edges, or compressed"
    )
    lost = (
        "make them again from the originals, resized by nearest neighbour: mask.resize(size, "
        "Image.Resampling.NEAREST), saved as PNG"
    )
    remedy, code = _restore(case, wrong, lost)
    severity: Severity = "error" if invalid else "warning"
    return [
        case.finding(
            "in-between-values", severity, message, remedy, (one.mask_name for one, _ in wrong), code
        )
    ], wrong


def _ramps(mask: MaskFacts, strange: bool) -> bool:
    """Tell whether values rise and fall gradually; a class drawn as a thin line alone is no evidence."""
    several = np.count_nonzero(mask.counts) >= (3 if strange else 6)
    return bool(several and mask.steps >= _FEW_STEPS and mask.between > _RAMPS * mask.steps)


def _restore(case: Case, masks: Masks, lost: str) -> tuple[str, str]:
    """Return a remedy for softened masks: a threshold where they were black and white, else the originals."""
    counts = np.sum([mask.counts for _, mask in masks], axis=0)
    ends = counts[:32].sum() + counts[224:].sum()
    if len(case.classes) == 2 and counts[224:].any() and ends > 0.8 * counts.sum():
        return "they are black and white: cut them at the middle", _mend("mask > 127")
    return lost, ""


# Numbers that are not those of the classes ---------------------------------------------------------------


def _binary(case: Case, masks: Masks, counts: NDArray[np.int64], values: list[int]) -> Finding | None:
    """Black and white."""
    if values != [0, IGNORE] or IGNORE in case.encoding.stored or not case.encoding.valid[IGNORE]:
        return None
    message = (
        f"the masks hold the values 0 and 255 alone ({counts[255] / counts.sum():.1%} are 255), and 255 is "
        "void: what was meant as the object counts nowhere, so nothing is learned and its IoU is NaN or 0"
    )
    remedy = "store the object as 1"
    if len(case.classes) != 2:
        remedy += f"; {_NAMES_FILE} has {len(case.classes)} names, but masks of two values tell 2 apart"
    files = _having(masks, [IGNORE])
    return case.finding("binary-255", "error", message, remedy, files, _recode({IGNORE: 1}))


def _beyond(case: Case, masks: Masks, counts: NDArray[np.int64], values: list[int]) -> Finding | None:
    """Values that stand for nothing."""
    wrong = [value for value in values if not case.encoding.valid[value]]
    if not wrong:
        return None
    files = _having(masks, wrong)
    for explain in (_greys_of_palette, _stretched, _shifted):
        if finding := explain(case, values, files):
            return finding
    if len(files) <= 0.2 * len(masks):
        return _stray(case, wrong, files)
    highest, count = max(wrong), len(case.classes)
    shown = ", ".join(f"{value} ({counts[value]} pixels)" for value in wrong[:5])
    if len(wrong) > 5:
        shown += f" and {len(wrong) - 5} more values"
    message = (
        f"{files[0]}: the mask has the label {wrong[0]}, but there are {_known(case)}; in all, {shown} "
        "have no class"
    )
    remedy = f"correct the masks, or complete {_NAMES_FILE}"
    if _plain(case) and highest < 254:
        remedy += f": it has {count} names, labels up to {highest} need {highest + 1}"
    return case.finding("class-list-short", "error", message, remedy, files)


def _greys_of_palette(case: Case, values: list[int], files: list[str]) -> Finding | None:
    """A palette picture that was converted to grey: luminances instead of indices."""
    pairs = list(zip(case.encoding.stored, case.palette.tolist(), strict=True))
    greys = {_grey(colour): value for value, colour in reversed(pairs)}
    greys |= {_grey(VOID_COLOUR): IGNORE, IGNORE: IGNORE}
    if len(values) < 2 or not set(values) <= set(greys):
        return None
    table = {value: greys[value] for value in values if value != greys[value]}
    message = (
        f"the values {_some(values)} are the brightness of the classes' colours: palette pictures were "
        "converted to grey, and their numbers were lost"
    )
    remedy = "use the masks as they were before (open them without convert('L')), or give the numbers back"
    return case.finding("palette-lost", "error", message, remedy, files, _recode(table))


def _grey(colour: tuple[int, int, int] | list[int]) -> int:
    """Return the brightness that Pillow and OpenCV give a colour [ITU-R BT.601]."""
    return (19595 * colour[0] + 38470 * colour[1] + 7471 * colour[2] + 0x8000) >> 16


def _stretched(case: Case, values: list[int], files: list[str]) -> Finding | None:
    """Labels that were spread over 0..255 to be visible."""
    count = len(case.classes)
    if not _plain(case) or len(values) < min(3, count) or values == [0, IGNORE]:
        return None
    gap = 255 / max(count - 1, 1)
    spread = {int(i * gap + half): i for half in (0.5, 0) for i in range(count)}
    step = reduce(gcd, (value for value in values if value != IGNORE))
    if IGNORE in values and set(values) <= set(spread):
        table = {value: spread[value] for value in values}
    elif step > 1 and max(value for value in values if value != IGNORE) // step < count:
        table = {value: value // step for value in values if value != IGNORE}
    else:
        return None
    message = f"the values {_some(values)} look like the labels 0 to {count - 1}, multiplied to be visible"
    code = _recode({value: label for value, label in table.items() if value != label})
    return case.finding("stretched", "error", message, "store the labels themselves", files, code)


def _shifted(case: Case, values: list[int], files: list[str]) -> Finding | None:
    """Labels that count from 1, or with a 0 that is none of the classes."""
    count = len(case.classes)
    if not _plain(case) or max(value for value in values if value != IGNORE) != count:
        return None
    lowered = _mend("np.where(mask == 255, 255, mask - 1)")
    if 0 not in values:
        message = (
            f"the masks count from 1: they hold {_some(values)}, the {count} classes are 0 to {count - 1}. "
            f"The last class, {case.classes[-1]}, is out of range, and every other one is taken for its "
            "neighbour"
        )
        return case.finding("off-by-one", "error", message, "store every label one lower", files, lowered)
    if case.classes[0].lower() in _BACKGROUND:
        message = f"the masks hold the labels 0 to {count}, one more than the {count} classes"
        remedy = (
            f"complete {_NAMES_FILE}: the name of label {count} is missing, or one in between; or, if 0 is "
            f"not {case.classes[0]} but nothing that counts, put (ignored) as its first line"
        )
        return case.finding("class-list-short", "error", message, remedy, files)
    message = (
        f"the masks hold 0 to {count}, but the {count} classes are 0 to {count - 1}: probably 0 is "
        "'other', as in ADE20K, and is counted by accident"
    )
    remedy = (
        "if 0 shall not count, put (ignored) as the first line into classes.txt, or "
        f"store every label one lower and 0 as 255; if it is a class, {_NAMES_FILE} lacks its name"
    )
    code = _mend("np.where((mask == 0) | (mask == 255), 255, mask - 1)")
    return case.finding("zero-counted", "error", message, remedy, files, code)


def _stray(case: Case, wrong: list[int], files: list[str]) -> Finding:
    message = (
        f"{files[0]}: the mask has the label {wrong[0]}, but there are {_known(case)}; "
        f"{len(files)} of {len(case.masks)} masks have such labels ({_some(wrong)})"
    )
    remedy = "correct these masks, or make the strange labels void"
    code = _recode(dict.fromkeys(wrong, IGNORE)) if case.encoding.valid[IGNORE] else ""
    return case.finding("stray-values", "error", message, remedy, files, code)


# Numbers that are allowed but mean something else -----------------------------------------------------------


def _direct(case: Case, masks: Masks, counts: NDArray[np.int64], values: list[int]) -> Finding | None:
    """Labels 0..K-1 where the data set has numbers of its own, e.g. Cityscapes' trainIds for labelIds."""
    stored, count = case.encoding.stored, len(case.classes)
    if _plain(case) or stored == tuple(range(1, count + 1)):
        return None
    found = [value for value in values if value != IGNORE]
    high = [value for value in stored if value >= count]
    if not found or max(found) >= count or not high or (len(masks) < 3 and not case.complete):
        return None
    message = (
        f"the masks hold {_some(found)}, below all of {_some(high)}: these are the labels themselves "
        "(trainIds), where this data set's files have numbers of their own (labelIds), so most classes "
        "are void"
    )
    remedy = "use the files that the data set has for it (Cityscapes: *_labelIds.png), or store its numbers"
    code = _mend("dataset.encoding.encode(mask)")
    return case.finding("labels-not-ids", "error", message, remedy, _having(masks, found), code)


def _zero(case: Case, masks: Masks, counts: NDArray[np.int64], values: list[int]) -> Finding | None:
    """A zero that counts by accident, or is ignored by accident."""
    first, stored = case.classes[0], case.encoding.stored
    if _plain(case):
        if 0 not in values or first.lower() not in _OTHER:
            return None
        return case.finding(
            "zero-counted", "warning",
            f"the value 0 is the class {first!r} and counts: {counts[0] / counts.sum():.1%} of the pixels",
            "if these pixels shall not count, put (ignored) as the first line into classes.txt instead of "
            f"{first}", _having(masks, [0]),
        )  # fmt: skip
    if stored != tuple(range(1, len(stored) + 1)) or case.encoding.valid[0] == 0 or 0 not in values:
        return None
    share = counts[0] / counts.sum()
    unused = case.complete and len(stored) not in values
    if share <= 0.05 or not (first.lower() in _BACKGROUND or share > 0.3) or not unused:
        return None
    message = (
        f"the value 0, {share:.1%} of the pixels, is ignored, and no mask has {len(stored)}, the number of "
        f"the last class {case.classes[-1]}: the masks seem to count from 0, so that {first!r} is void and "
        "every other class is taken for its neighbour"
    )
    remedy, code = "take the first line, (ignored), out of classes.txt", ""
    if getattr(case.dataset, "name", "") == "ade20k":  # whose masks must have an ignored 0
        remedy, code = "store every label one higher", _mend("np.where(mask == 255, 255, mask + 1)")
    return case.finding("zero-ignored", "warning", message, remedy, _having(masks, [0]), code)


def _void(case: Case, masks: Masks) -> Iterator[Finding]:
    """Masks in which nothing counts; sets in which nothing differs."""
    per_mask = [case.labels(mask) for _, mask in masks]
    empty = [one.mask_name for (one, _), pixels in zip(masks, per_mask, strict=True) if not pixels[:-1].any()]
    if empty:
        every = len(empty) == len(masks)
        yield case.finding(
            "all-void", "error" if every else "warning",
            f"{counted(len(empty), 'mask')} void everywhere: "
            + ("no pixel of the split counts, so every IoU is "
            "NaN" if every else "these images count nowhere"),
            f"label them, or {case.leave_out}", empty,
        )  # fmt: skip
    present = np.flatnonzero(np.sum(per_mask, axis=0)[:-1])
    if len(present) == 1 and case.complete and len(case.classes) > 1:
        name = case.classes[present[0]]
        yield case.finding(
            "one-class", "error" if len(masks) >= 8 else "warning",
            f"{name} is the only class in all {len(masks)} masks: there is nothing to tell apart",
            "look whether the objects were drawn at all, and stored with their numbers; else add examples "
            "that show the other classes",
            (one.mask_name for one, _ in masks),
        )  # fmt: skip


# Words and code ------------------------------------------------------------------------------------------


def _plain(case: Case) -> bool:
    """Tell whether labels are stored as themselves."""
    return case.encoding.stored == tuple(range(len(case.classes)))


def _having(masks: Masks, values: list[int]) -> list[str]:
    """Return the files that hold one of the values."""
    return [one.mask_name for one, mask in masks if mask.counts[values].any()]


def _known(case: Case) -> str:
    count = len(case.classes)
    if _plain(case):
        return f"{count} classes, 0 to {count - 1} (and 255, ignored)"
    return f"{count} classes, stored as {_some(list(case.encoding.stored))}"


def _some(values: list[int]) -> str:
    """Write the first values, and the last."""
    texts = [str(value) for value in values]
    return ", ".join(texts if len(texts) <= 8 else [*texts[:6], "...", texts[-1]])


def _mend(expression: str) -> str:
    return f"mending.rewrite(dataset, lambda mask: {expression})"


def _listed_colours(case: Case, colours: Sequence[Colour]) -> str:
    """Return a line of Python with the most frequent colours, for a person to put in order."""
    listed = ", ".join(str(colour) for colour in colours[: len(case.classes)])
    return f"colours = [{listed}]  # of {', '.join(case.classes[:3])}, ...: put them in this order"


def _from_colours(case: Case, colours: str) -> str:
    labels = f"mending.from_colours(mask, {colours})"
    return _mend(labels if _plain(case) else f"dataset.encoding.encode({labels})")


def _recode(table: Mapping[int, int]) -> str:
    return _mend(f"mending.recode(mask, {dict(table)})")
