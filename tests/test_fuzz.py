"""The tool that makes inputs by chance: a few of every kind in each run, and that it finds what is wrong."""

import os
import sys
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import fuzz  # noqa: E402
import fuzz_inputs  # noqa: E402

INPUTS = 40  # of each kind; `make test-long` makes 10,000


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path.cwd())  # and back, afterwards


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_what_is_made_by_chance_is_used_or_refused_by_an_error_of_ours(kind: str, tmp_path: Path) -> None:
    faults: list[Any] = []
    row = fuzz.feed(kind, range(INPUTS), tmp_path, lambda *fault: faults.append(fault))
    assert faults == []
    assert row["inputs"] == INPUTS == row["used"] + row["refused"]
    assert row["used"] and row["refused"]  # or the chances would be of no use


def test_addresses_of_pages() -> None:
    row, faults = fuzz.addresses(2000)
    assert faults == [] and row["inputs"] == 2000 and row["used"] and row["refused"]


def test_the_committed_report_has_every_kind_and_no_fault() -> None:
    """`make test-long` wrote it: README and CONTRIBUTING speak of 10,000 inputs a kind."""
    table = pd.read_csv(fuzz.OUTPUT).set_index("kind")
    assert set(table.index) == {*fuzz.KINDS, "addresses"}
    assert (table["inputs"] >= 10_000).all() and not table["faults"].any()
    assert (table[["used", "refused"]] > 0).all(axis=None)
    assert table["slowest_ms"].max() < 1000 * fuzz.SECONDS and table["megabytes"].max() < fuzz.MEGABYTES


def test_the_same_number_makes_the_same_input() -> None:
    whole = bytes(range(256)) * 4
    one, again, other = (fuzz_inputs.damaged(whole, Random(f"x {number}")) for number in (1, 1, 2))
    assert one == again != other


def slow(_: Path) -> fuzz.Use:
    def use(draw: Random) -> None:
        try:
            while True:
                pass
        except Exception as error:  # what a reader of damaged files does
            raise fuzz.DMNetError("damaged") from error

    return use


def wrong(_: Path) -> fuzz.Use:
    def use(draw: Random) -> None:
        if draw.random() < 0.5:
            raise KeyError("x")

    return use


def dead(kind: str, numbers: range, folder: str, pipe: Any) -> None:
    pipe.send((3, "a fault before"))
    os._exit(139)


@pytest.mark.skipif(sys.platform == "win32", reason="needs the timers of POSIX")
def test_what_hangs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "SECONDS", 0.2)
    monkeypatch.setattr(fuzz, "KINDS", {"slow": slow})
    found: list[Any] = []
    fuzz.feed("slow", range(1), tmp_path, lambda *fault: found.append(fault))
    assert [number for number, _ in found] == [0] and "TooLong" in found[0][1]


@pytest.mark.parametrize("more", [99, 101])
def test_what_raises_and_what_fills_the_memory_is_told(
    more: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzz, "KINDS", {"wrong": wrong})
    monkeypatch.setattr(fuzz, "MEGABYTES", 100)
    monkeypatch.setattr(fuzz, "memory", iter((50, 50 + more)).__next__)  # before and after
    found: dict[int, str] = {}
    row = fuzz.feed("wrong", range(8), tmp_path, found.__setitem__)
    assert (-1 in found) == (more > fuzz.MEGABYTES) and row["megabytes"] == more
    raised = [text for number, text in found.items() if number >= 0]
    assert 0 < len(raised) < 8 and all("KeyError: 'x'" in text for text in raised)


def test_a_process_that_dies_is_told() -> None:
    row, faults = fuzz.run("archives", range(1), feeding=dead)
    assert [number for number, _ in faults] == [3, -1] and "ended with 139" in faults[1][1]
    assert row == {"faults": 2}
