"""The text files beside the pictures: lists of ids, and the names of the classes."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from dmnet import classes as class_lists
from dmnet.classes import ClassList
from dmnet.datasets.base import IGNORE
from dmnet.datasets.encoding import Encoding
from dmnet.errors import DataError

IGNORED = "(ignored)"  # instead of a class's name: pixels with this number count nowhere
NAMES = "classes.txt"

Classes = ClassList | Sequence[str]

_COLOURED = (
    class_lists.VOC,
    class_lists.ADE20K,
    class_lists.CITYSCAPES,
    class_lists.DEMO_CONTEXT,
    class_lists.DEMO_SCALE,
)


def read_lines(file: Path, remedy: str) -> tuple[str, ...]:
    """Return the lines of a text file that hold something, without blanks around them.

    Raises:
        DataError: if the file is missing, empty or no UTF-8 text; the message ends with `remedy`.
    """
    if not file.is_file():
        raise DataError(f"there is no list {file}; {remedy}")
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read as UTF-8 text: {error}") from error
    found = tuple(line.strip() for line in lines if line.strip())
    if not found:
        raise DataError(f"{file} is empty; {remedy}")
    return found


def read_ids(file: Path, remedy: str) -> tuple[str, ...]:
    """Return the ids of a list, one a line; the errors are those of `read_lines`, and an id that repeats."""
    ids = read_lines(file, remedy)
    if found := repeated(ids):
        raise DataError(f"{file} lists {', '.join(found)} more than once; remove the repetitions")
    return ids


def read_classes(file: Path) -> tuple[str, ...]:
    """Return class names, one a line, in the order of their numbers in the masks; "(ignored)" is no class.

    Raises:
        DataError: if the file is missing or empty, has a name twice, or more than 255 names.
    """
    names = read_lines(file, f"write the class names into {file}, one a line, in the order of their labels")
    if found := repeated([name for name in names if name != IGNORED]):
        raise DataError(f"{file} has {', '.join(found)} more than once; a name stands for one label")
    if len(names) > IGNORE:
        raise DataError(f"{file} has {len(names)} names; there are 255 labels besides void (255)")
    return names


def repeated(names: Sequence[str]) -> list[str]:
    """Return up to five of the names that occur more than once."""
    return [name for name, count in Counter(names).items() if count > 1][:5]


def labels_of(classes: Classes, encoding: Encoding) -> tuple[ClassList, Encoding]:
    """Return the classes and how they are stored: the first has the first stored value, and so on.

    Args:
        classes: names, or names with colours; values whose name is "(ignored)" are ignored, not a class.
        encoding: the stored values in the order of the names; it may know more than there are names.

    Raises:
        DataError: if there are more names than stored values, a name twice, or no class among them.
    """
    names = _names(classes)
    if len(names) > len(encoding.stored):
        raise DataError(f"there are {len(names)} class names, but masks for {len(encoding.stored)} at most")
    if found := repeated([name for name in names if name != IGNORED]):
        raise DataError(
            f"the class names have {', '.join(found)} more than once; a name stands for one label"
        )
    numbered = list(zip(names, encoding.stored, strict=False))
    kept = [(name, value) for name, value in numbered if name != IGNORED]
    if not kept:
        raise DataError(f"there is no class: every name is {IGNORED}")
    ignored = tuple(value for name, value in numbered if name == IGNORED)
    if not isinstance(classes, ClassList):
        classes = _coloured(tuple(name for name, _ in kept))
    return classes, Encoding(tuple(value for _, value in kept), (*encoding.ignored, *ignored))


def own_labels(
    file: Path, classes: Classes | None = None, *, zero_is_void: bool = False
) -> tuple[ClassList, Encoding]:
    """Return the classes of one's own pictures and how they are stored.

    Args:
        file: the `classes.txt` to read if `classes` is None.
        classes: names, or names with colours.
        zero_is_void: the value 0 is no class; a first name "(ignored)" says the same.
    """
    if classes is None:
        classes = read_classes(file)
    if not zero_is_void or _names(classes)[:1] == (IGNORED,):
        return labels_of(classes, Encoding.plain(IGNORE))
    return labels_of(classes, Encoding(tuple(range(1, IGNORE)), ignored=(IGNORE, 0)))


def _coloured(names: tuple[str, ...]) -> ClassList:
    """Return names with colours: those of the data set that has these classes, else VOC's."""
    return next((known for known in _COLOURED if known.names == names), ClassList.with_voc_colours(names))


def _names(classes: Classes) -> tuple[str, ...]:
    return classes.names if isinstance(classes, ClassList) else tuple(classes)
