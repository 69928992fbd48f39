"""Refuse settings that no network can be built or trained with, before time is spent.

A word that is none of the known ones would otherwise choose something in silence (`optimizer="SGD"` AdamW,
`filters="Dynamic"` the static ones), and a wrong number would end in an error deep in PyTorch.
"""

import math
from dataclasses import fields
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from dmnet.errors import DMNetError

_FROM_0 = ("learning_rate", "final_learning_rate", "warmup", "weight_decay", "momentum", "dropout", "flip")
_SHARES = ("momentum", "dropout", "flip")  # in 0..1


def check_settings(settings: Any) -> None:
    """Compare every field of a dataclass with its annotation; integers, but for warm-up steps, start at 1.

    Raises:
        DMNetError: if one does not fit; the message names the field, its value and what it may be.
    """
    hints = get_type_hints(type(settings))
    for field in fields(settings):
        value, hint = getattr(settings, field.name), hints[field.name]
        if not _fits(value, hint):
            raise DMNetError(f"{field.name} must be {_described(hint)}, got {value!r}")
        numbers = value if isinstance(value, tuple | list) else [value]
        whole = field.name not in _FROM_0 and int in _leaves(hint)
        for number in numbers:
            if whole and number is not None and number < 1:
                raise DMNetError(f"{field.name} must be at least 1, got {value!r}")
            if (field.name in _FROM_0 and number < 0) or (field.name in _SHARES and number > 1):
                upper = " and at most 1" if field.name in _SHARES else ""
                raise DMNetError(f"{field.name} must be at least 0{upper}, got {value!r}")


def _fits(value: Any, hint: Any) -> bool:
    """Tell whether a value is of an annotated type; whole numbers pass as floats, lists as tuples."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Literal:
        return value in parts
    if origin is UnionType:
        return any(_fits(value, part) for part in parts)
    if origin is tuple:
        if not isinstance(value, tuple | list):
            return False
        wanted = parts[:1] * len(value) if parts[-1] is ... else parts
        return len(value) == len(wanted) and all(map(_fits, value, wanted))
    if hint in (int, float):
        kind = Integral if hint is int else Real
        return isinstance(value, kind) and not isinstance(value, bool) and math.isfinite(value)
    return isinstance(value, hint)


def _leaves(hint: Any) -> set[Any]:
    """Return the plain types that an annotation is made of."""
    parts = get_args(hint)
    return set().union(*map(_leaves, parts)) if parts and get_origin(hint) is not Literal else {hint}


def _described(hint: Any) -> str:
    """Return an annotation in words."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Literal:
        return " or ".join(map(repr, parts))
    if origin is UnionType:
        return " or ".join(map(_described, parts))
    if origin is tuple and parts[-1] is ...:
        return "several numbers, e.g. (3,)"
    if origin is tuple:
        return f"{len(parts)} numbers, e.g. ({', '.join(['256'] * len(parts))})"
    words = {int: "a whole number", float: "a number", bool: "True or False", str: "a word", NoneType: "None"}
    return words[hint]
