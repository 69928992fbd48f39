"""Feed the package with what nobody made on purpose, and write down what became of it.

    .venv/bin/python tools/fuzz.py                            # 10,000 inputs a kind; make test-long
    .venv/bin/python tools/fuzz.py --only archives --inputs 500
    .venv/bin/python tools/fuzz.py --only archives --number 17    # this one again, with its traceback

An input is a valid file, folder, command or state, changed by chance: bytes, spans, numbers, values of a
JSON. It is used, or refused by an error of ours (`dmnet.errors.DMNetError`). A fault is anything else, and
more than `SECONDS` or `MEGABYTES`: it is printed with its number, and the exit code is 1. Every kind has a
process of its own, so that a crash is one, too. `data/results/fuzzing.csv` is what it writes; seconds are
the processor's.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import pandas as pd
import torch
from fuzz_inputs import KINDS, Use
from peak_memory import memory

from dmnet.errors import DMNetError
from dmnet.files import atomic_write

ROOT = Path(__file__).resolve().parents[1]
OUTPUT = ROOT / "data" / "results" / "fuzzing.csv"
SECONDS, MEGABYTES = 20, 1000  # of one input; of all inputs of a kind together, above what was there before


class TooLong(BaseException):
    """One input took longer than SECONDS; no `except Exception` hides it."""


def attempt(use: Use, kind: str, number: int) -> BaseException | None:
    """Make and use one input; return what it raised."""

    def late(*_: Any) -> None:
        raise TooLong(f"more than {SECONDS} seconds of the processor")

    timed = hasattr(signal, "setitimer")  # not on Windows
    if timed:
        signal.signal(signal.SIGPROF, late)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        use(Random(f"{kind} {number}"))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return error
    finally:
        if timed:
            signal.setitimer(signal.ITIMER_PROF, 0)
    return None


def refused(error: BaseException) -> bool:
    """Return whether that is how an input may be refused: by an error of ours, or a picture by its size."""
    return isinstance(error, DMNetError) or (isinstance(error, MemoryError) and "cut it" in str(error))


def feed(kind: str, numbers: range, folder: Path, tell: Callable[[int, str], None]) -> dict[str, Any]:
    """Make and use the inputs of a kind in this process; `tell` is told of every fault, by number."""
    torch.set_num_threads(1)
    events = "torch.utils.tensorboard"
    with contextlib.ExitStack() as stack, warnings.catch_warnings(action="ignore"):
        stack.callback(mock.patch.stopall)  # what a kind has started
        stack.enter_context(mock.patch("os.sync", create=True))  # no input asks what the disk does
        stack.callback(sys.modules.pop, events)
        sys.modules[events] = None  # type: ignore[assignment]  # a run does without
        use, kept = KINDS[kind](folder), 0
        begin, slowest, least = time.process_time(), 0.0, memory()
        for number in numbers:
            start = time.process_time()
            error = attempt(use, kind, number)
            slowest = max(slowest, time.process_time() - start)
            kept += error is None
            if error is not None and not refused(error):
                tell(number, "".join(traceback.format_exception(error)))
    more = memory() - least
    if more > MEGABYTES:
        tell(-1, f"the inputs took {more:.0f} MB")
    row = {"kind": kind, "inputs": len(numbers), "used": kept, "refused": len(numbers) - kept}
    row |= {"seconds": round(time.process_time() - begin, 1), "slowest_ms": round(1000 * slowest)}
    return row | {"megabytes": round(more)}


def child(kind: str, numbers: range, folder: str, pipe: Any) -> None:
    """Feed in this process, and say through the pipe what came of it."""
    pipe.send(feed(kind, numbers, Path(folder), lambda number, text: pipe.send((number, text))))


def run(
    kind: str, numbers: range, feeding: Callable[..., None] = child
) -> tuple[dict[str, Any], list[tuple[int, str]]]:
    """Feed a kind in a process of its own; return its row of the table, and the faults."""
    here, there = multiprocessing.Pipe(duplex=False)
    faults: list[tuple[int, str]] = []
    row: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        process = multiprocessing.get_context("spawn").Process(
            target=feeding, args=(kind, numbers, folder, there)
        )
        process.start()
        there.close()
        with contextlib.suppress(EOFError):
            while not row:
                said = here.recv()
                row = said if isinstance(said, dict) else {}
                faults += [said] if isinstance(said, tuple) else []
        process.join()
    if process.exitcode:
        faults.append(
            (-1, f"the process ended with {process.exitcode}: try fewer inputs, to find which it was")
        )
    return row | {"faults": len(faults)}, faults


def addresses(inputs: int) -> tuple[dict[str, Any], list[tuple[int, str]]]:
    """Feed the playground's state in a page's address, in Node: the program has all of it."""
    program = [
        shutil.which("node") or str(ROOT / ".venv/bin/node"),
        str(ROOT / "tests/playground/javascript/fuzz_addresses.mjs"),
        str(inputs),
    ]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        return {"kind": "addresses", "faults": 1}, [(-1, done.stderr)]
    said = json.loads(done.stdout)
    return said["row"], [tuple(one) for one in said["faults"]]


def main() -> None:
    """Feed the kinds asked for, and put them into the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=[*KINDS, "addresses"], default=[*KINDS, "addresses"])
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--number", type=int, help="of one input, which is used in this process")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    if arguments.number is not None:
        with tempfile.TemporaryDirectory() as folder:
            one = range(arguments.number, arguments.number + 1)
            print(feed(arguments.only[0], one, Path(folder), lambda number, text: print(number, text)))
            os.chdir(ROOT)
        return
    table, failed = pd.read_csv(arguments.output) if arguments.output.exists() else pd.DataFrame(), 0
    for kind in arguments.only:
        row, faults = (
            addresses(arguments.inputs) if kind == "addresses" else run(kind, range(arguments.inputs))
        )
        for number, text in faults:
            print(f"{kind} {number}: {text}", flush=True)
        print(row, flush=True)
        failed += len(faults)
        row |= {
            "torch": torch.__version__,
            "python": platform.python_version(),
            "machine": platform.machine(),
        }
        kept = table[table["kind"] != kind] if len(table) else table
        table = pd.concat([kept, pd.DataFrame([row])], ignore_index=True)
        with atomic_write(arguments.output) as temporary:
            table.to_csv(temporary, index=False)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
