"""Docstrings reach the API reference as they were meant: code, formulas and diagrams, and no stray marks."""

import importlib
import sys
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sphinx.util.inspect import stringify_signature
from sphinx.util.typing import stringify_annotation

from dmnet.plots import overlay
from dmnet.systems import Evaluation

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "book" / "extensions"))
docstrings = importlib.import_module("docstrings")


@pytest.mark.parametrize(
    ("written", "translated"),
    [
        ("the filters `g` of $g_k$", "the filters ``g`` of :math:`g_k`"),
        ("`a * b` and $x^*$", "``a * b`` and :math:`x^*`"),
        ("*all* of [B, K, *size]", "*all* of [B, K, \\*size]"),
        ("  * a point", "  * a point"),
        ("  - costs 3 $ and 4 $", "  - costs 3 $ and 4 $"),
        ("``code`` and :func:`name`", "``code`` and :func:`name`"),
        ("Derived in {doc}`06_training`, `x`.", "Derived in :doc:`06_training`, ``x``."),
        ("plain_name, last_", "plain_name, last\\_"),
    ],
)
def test_a_line_is_translated(written: str, translated: str) -> None:
    assert docstrings.inline(written) == translated


def test_a_fence_becomes_a_literal_block() -> None:
    lines = ["Text:", "", "```python", "a = `x` * 2", "", "b = 1", "```", "More `x`."]
    expected = ["Text:", "", "", "::", "", "    a = `x` * 2", "", "    b = 1", "", "More ``x``."]
    assert docstrings.translate(lines) == expected


@given(
    st.text(alphabet=st.characters(blacklist_characters="`$*_|\\\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"))
)
def test_plain_words_stay_as_they_are(line: str) -> None:
    assert docstrings.inline(line) == line


def test_a_checked_field_is_shown_by_its_type_alone() -> None:
    shown, _ = docstrings.plain_types(None, "class", "", Evaluation, None, "", None)
    assert "resize: tuple[int, int] | None = (2048, 512)" in shown and "pydantic" not in shown
    assert docstrings.plain_types(None, "class", "", Path, None, "(a=<factory>)", None) == ("(a=...)", "")


def test_arrays_have_the_names_that_the_code_has() -> None:
    written = stringify_signature(signature(overlay), unqualified_typehints=True)
    arguments, returned = written.split(" -> ")
    arguments, returned = docstrings.plain_types(None, "function", "", overlay, None, arguments, returned)
    assert "labels: ~numpy.typing.ArrayLike, palette: ~numpy.typing.ArrayLike | None = None" in arguments
    array = stringify_annotation(NDArray[np.uint8], "smart")
    _, returned = docstrings.plain_types(None, "function", "", overlay, None, "()", f"{array} | None")
    assert returned == "~numpy.typing.NDArray[~numpy.uint8] | None"
