"""The folder of a training run: what was asked for, what happened, and all that it takes to go on.

- `config.json`: the system with every field, data and seed; versions and command;
- `log.csv`: a row per iteration, written as it happens;
- `last.ckpt`: model, optimizer and random state; a run resumes from here, exactly;
- `last.safetensors`: the weights at the end; `best.safetensors`: those with the best mIoU on the way;
- `classes.csv`: the scores per class at the end;
- `predictions/*.png`: a validation image, its labels and its prediction at every evaluation;
- `.lock`: held by the process that trains, so that a second one cannot write into the same run.
"""

import csv
import hashlib
import json
import os
import pickle
import platform
import sys
import zipfile
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self, TextIO

import numpy as np
import pandas as pd
import torch
import torchvision
from filelock import BaseFileLock, FileLock, Timeout

import dmnet
from dmnet.errors import CheckpointError, DMNetError
from dmnet.files import atomic_write, name_file
from dmnet.systems import System

LOCK_SECONDS = 10.0  # loading processes outlive a killed run by a few seconds, and its lock with them
COLUMNS = ("iteration", "epoch", "lr", "loss", "aux_loss", "seconds", "images_per_second", "val_miou")
STATE = {"iteration", "best", "seconds", "model", "optimizer", "random", "random_cuda"}  # of a checkpoint
Row = dict[str, Any]  # a value, or None, for each of COLUMNS


def configuration(system: System, train_set: Any, val_set: Any, seed: int) -> dict[str, Any]:
    """Return what decides a run's result, ready for JSON: two runs with the same one are the same run."""
    config = {
        "system": asdict(system),
        "seed": seed,
        "train_set": _describe(train_set),
        "val_set": None if val_set is None else _describe(val_set),
    }
    return json.loads(json.dumps(config))


def _describe(dataset: Any) -> dict[str, Any]:
    """Return what identifies a data set, as far as it tells."""
    facts = {name: getattr(dataset, name, None) for name in ("name", "split", "seed", "revision")}
    known = {name: value for name, value in facts.items() if isinstance(value, str | int)}
    ids = hashlib.sha256("\n".join(getattr(dataset, "ids", ())).encode()).hexdigest()[:16]
    return {
        "type": type(dataset).__name__,
        **known,
        "images": len(dataset),
        "ids_sha256": ids,  # the first 16 digits
        "classes": list(dataset.classes),
    }


def made_with() -> dict[str, Any]:
    """Return the versions and the command, for the record."""
    return {
        "command": sys.argv,
        "dmnet": dmnet.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "numpy": np.__version__,
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
    }


class Run:
    """A run's folder, and its log; with `folder` None the log is kept in memory alone.

    Args:
        folder: made if missing.
        config: see `configuration`.
        resume: go on from the folder's checkpoint; a folder without one starts at the beginning.

    Attributes:
        state: the checkpoint to go on from, or None.
        rows: the log.

    Raises:
        DMNetError: if the folder's checkpoint is that of another configuration, `resume` is not set, or
            another process is training there.
        CheckpointError: if the checkpoint cannot be read.
    """

    def __init__(
        self, folder: str | os.PathLike[str] | None, config: dict[str, Any], resume: bool = False
    ) -> None:
        self.folder = None if folder is None else Path(folder)
        self.state: dict[str, Any] | None = None
        self.rows: list[Row] = []
        self._log: TextIO | None = None
        self._lock: BaseFileLock | None = None
        if self.folder is not None:
            self._lock = _locked(self.folder)
            try:
                self._claim(self.folder, config, resume)
                self._open_log(self.folder / "log.csv", self.state["iteration"] if self.state else 0)
            except BaseException:
                self._lock.release()
                raise

    def _claim(self, folder: Path, config: dict[str, Any], resume: bool) -> None:
        """Make the folder this run's, unless that would lose a checkpoint."""
        path, checkpoint = folder / "config.json", folder / "last.ckpt"
        there = _read_config(path) if path.exists() else {}
        if not checkpoint.exists():
            with atomic_write(path) as temporary:
                temporary.write_text(json.dumps({**config, "made_with": made_with()}, indent=2) + "\n")
            return
        if not there:
            raise DMNetError(f"{checkpoint} has no config.json beside it; choose another folder")
        if different := _differences(there, config):
            raise DMNetError(
                f"{folder} holds a run with another configuration ({'; '.join(different[:3])}). "
                "Choose another folder, or repeat that run's settings to resume it."
            )
        if not resume:
            raise DMNetError(
                f"{folder} holds this very run. Resume it (resume=True, --resume), or choose another."
            )
        self.state = read_state(checkpoint)

    def _open_log(self, path: Path, iteration: int) -> None:
        """Cut the log back to the checkpoint's iteration and open it for more."""
        self.rows = _read_log(path, iteration)
        with atomic_write(path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(self.rows)
        self._log = path.open("a", newline="")

    def log(self, row: Row) -> None:
        """Add one row; it is in the file when this returns."""
        self.rows.append(row)
        if self._log is not None:
            try:
                csv.DictWriter(self._log, COLUMNS).writerow(row)
                self._log.flush()
            except OSError as error:
                name_file(error, Path(self._log.name))
                raise

    def save_state(self, state: dict[str, Any]) -> None:
        """Write the checkpoint to go on from; the one before stays until this one is complete."""
        if self.folder is not None:
            path = self.folder / "last.ckpt"
            with atomic_write(path) as temporary:
                try:
                    torch.save(state, temporary)
                except RuntimeError as error:  # how PyTorch reports a full disk
                    reason = str(error).splitlines()[0]
                    raise OSError(
                        f"{path} could not be written, is the disk full? The checkpoint before it, if there "
                        f"is one, is intact ({reason})"
                    ) from error

    def history(self) -> pd.DataFrame:
        """Return the log, indexed by iteration."""
        table = pd.DataFrame(self.rows, columns=list(COLUMNS)).set_index("iteration").astype(float)
        return table.set_index(table.index.astype(int))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._log is not None:
            with suppress(OSError):  # of a full disk: `log` has told of it, and its row comes again
                self._log.close()
        if self._lock is not None:
            self._lock.release()


def _locked(folder: Path) -> BaseFileLock:
    """Keep other processes out of a run's folder, until the lock is released or this process ends."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock", timeout=LOCK_SECONDS)
    try:
        lock.acquire()
    except Timeout:
        raise DMNetError(
            f"another process is training in {folder}: wait until it has ended, or choose another folder"
        ) from None
    return lock


def read_state(path: Path) -> dict[str, Any]:
    """Return the checkpoint of a run. Never unpickles arbitrary objects."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if isinstance(state, dict) and state.keys() >= STATE:
            return state
        reason: Exception | None = None
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, zipfile.BadZipFile) as error:
        reason = error
    raise CheckpointError(
        f"{path} is damaged, or no checkpoint of a run; delete it to start over"
    ) from reason


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text())
        del config["made_with"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise DMNetError(f"{path} is damaged, or not that of a run; choose another folder") from error
    return config


def _read_log(path: Path, iteration: int) -> list[Row]:
    """Return the complete rows up to an iteration."""
    if not path.exists():
        return []
    lines = path.read_text().splitlines(keepends=True)
    complete = [line for line in lines if line.endswith("\n")]  # a kill may leave half a line
    try:
        rows = [row for row in csv.DictReader(complete) if int(row["iteration"]) <= iteration]
        values = [{name: float(value) if value else None for name, value in row.items()} for row in rows]
    except (ValueError, KeyError, TypeError) as error:  # edited, or a power cut left garbage
        raise DMNetError(
            f"{path} is damaged ({error}): mend it, or move it away to go on with a new log"
        ) from error
    return [{**value, "iteration": int(row["iteration"])} for value, row in zip(values, rows, strict=True)]


def _differences(old: Any, new: Any, name: str = "") -> list[str]:
    """Return one line per value that differs between two configurations."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = list(dict.fromkeys([*old, *new]))
        parts = (_differences(old.get(key), new.get(key), f"{name}.{key}".lstrip(".")) for key in keys)
        return [line for part in parts for line in part]
    return [] if old == new else [f"{name}: {old} there, {new} here"]
