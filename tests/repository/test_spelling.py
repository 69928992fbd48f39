"""The check of spelling finds what is wrong in prose, and leaves alone what is none."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import check_spelling


@pytest.fixture(scope="module")
def checker() -> check_spelling.Checker:
    return check_spelling.Checker(*check_spelling.read_list())


@pytest.mark.parametrize(
    "text, fault",
    [
        ("Four filters look at the same feetures.", "'feetures' is in no list"),
        ("A *convolutoin* of the features", "'convolutoin' is in no list"),
        ("the pixel's neighbor and its colours", "'neighbor': the book writes 'neighbour'"),
        ("the pixel's neighbour and its Colors", "'Colors': the book writes 'colour'"),
        ("It is the\n  the same", "'the' stands twice"),
        ("In order to see", "'In order to': the book writes 'to'"),
        ("found by shapley", "'shapley' is in no list"),
        ("```{admonition} Predcit\nWhat?\n```\n", "'Predcit' is in no list"),
        ("````{solution} ex\n```python\nx = 1\n```\nTehn it is one.\n````", "'Tehn' is in no list"),
        ("| one | $x$ | tow thinngs |", "'thinngs' is in no list"),
    ],
)
def test_it_finds(checker: check_spelling.Checker, text: str, fault: str) -> None:
    found = list(checker.faults(text))
    assert len(found) == 1
    assert found[0].startswith(fault)


@pytest.mark.parametrize(
    "text",
    [
        "Shapley's values of `colorbar` in {numref}`fig-xyzzy`, {doc}`its page <04_dynamic_filterz>`",
        "$x_\\mathrm{centr}$ and $$ \\alphaa $$ (eq-mdds)\n\n(fig-xyzzy)=\n",
        "```python\ncolr = 1\n```\n\n```{code-block} bash\npip instal dmnet\n```\n",
        "[here](https://exampel.org/colr) and dmnet/colr.py, `a\nb`, ssseg_r50_d8, DCMx, 3x3 and kEdge",
    ],
)
def test_it_leaves_alone(checker: check_spelling.Checker, text: str) -> None:
    assert list(checker.faults(text)) == []


def test_it_reads_captions_alt_texts_comments_and_messages(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(check_spelling, "ROOT", tmp_path)
    metadata = {"mystnb": {"figure": {"caption": "captoin"}, "image": {"alt": "altt"}}}
    cell = {"id": "a", "cell_type": "code", "metadata": metadata, "source": ["%run x\n", "y = 1  # commment"]}
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "a.ipynb").write_text(json.dumps({"cells": [cell]}))
    (tmp_path / "dmnet").mkdir()
    code = '"""Docc of it."""\nraise ValueError("what is wrnog here now")  # noqa: E501\nname = "wrnog"\n'
    (tmp_path / "dmnet" / "a.py").write_text(code)
    checker = check_spelling.Checker({"noqa"}, {})
    found = [
        f"{place}: {one.split()[0]}" for place, text in check_spelling.texts() for one in checker.faults(text)
    ]
    assert found == [
        "book/a.ipynb, cell a: 'captoin'",
        "book/a.ipynb, cell a: 'altt'",
        "book/a.ipynb, cell a: 'commment'",
        "dmnet/a.py: 'wrnog'",
    ]


def test_every_entry_of_the_list_says_something_that_the_dictionary_does_not() -> None:
    allowed, instead = check_spelling.read_list()
    spelling = check_spelling.SpellChecker(language="en")
    assert len(allowed) > 100
    assert [one for one in allowed if one.islower() and one in spelling.word_frequency] == []
    assert [one for one in instead if one.rstrip("*") in allowed] == []
