"""The folder of a training run: what was asked for, what happened, and all that it takes to go on.

- `config.json`: the system with every field, data and seed, and the options of the command line;
- `environment.json`: versions, devices and command, once more for every time that the run was resumed;
- `log.csv`: a row per iteration, written as it happens; `tensorboard/`: the same for TensorBoard;
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
import warnings
import zipfile
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self, TextIO

import pandas as pd
import torch
from filelock import BaseFileLock, FileLock, Timeout
from PIL import Image

from dmnet.errors import CheckpointError, DMNetError
from dmnet.files import add_filename, atomic_write
from dmnet.systems import System
from dmnet.tensorboard import Events

LOCK_SECONDS = 10.0  # loading processes outlive a killed run by a few seconds, and its lock with them
COLUMNS = ("iteration", "epoch", "lr", "loss", "aux_loss", "seconds", "images_per_second", "val_miou")
STATE = {"iteration", "best", "seconds", "model", "optimizer", "precision", "random"}  # of a checkpoint
DECISIVE = ("torch", "device", "gpu", "processes", "threads", "precision", "accumulate", "compile")
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


class Run:
    """A run's folder, and its log; with `folder` None the log is kept in memory alone.

    Args:
        folder: made if missing.
        config: see `configuration`.
        resume: go on from the folder's checkpoint; a folder without one starts at the beginning.
        options: kept in `config.json` too, but another run may have others.
        environment: see `dmnet.provenance.environment`; kept in `environment.json`.
        writes: False, for all but the first of several processes, reads the checkpoint and writes nothing.

    Attributes:
        state: the checkpoint to go on from, or None.
        rows: the log.

    Raises:
        DMNetError: if the folder's checkpoint is that of another configuration, `resume` is not set, or
            another process is training there.
        CheckpointError: if the checkpoint cannot be read.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None,
        config: dict[str, Any],
        resume: bool = False,
        *,
        options: dict[str, Any] | None = None,
        environment: dict[str, Any] | None = None,
        writes: bool = True,
    ) -> None:
        self.folder = Path(folder) if folder is not None and writes else None
        self.state: dict[str, Any] | None = None
        self.rows: list[Row] = []
        self._log: TextIO | None = None
        self._events: Events | None = None
        self._lock: BaseFileLock | None = None
        if self.folder is not None:
            self._lock = _locked(self.folder)
            try:
                self._claim(self.folder, config, resume, options or {})
                _sweep(self.folder)
                done = self.state["iteration"] if self.state else 0
                _add_session(self.folder / "environment.json", {"iteration": done, **(environment or {})})
                self._open_log(self.folder / "log.csv", done)
                self._events = Events(self.folder / "tensorboard", done)
            except BaseException:
                self._lock.release()
                raise
        elif folder is not None and resume and (checkpoint := Path(folder) / "last.ckpt").exists():
            self.state = read_state(checkpoint)

    def _claim(self, folder: Path, config: dict[str, Any], resume: bool, options: dict[str, Any]) -> None:
        """Make the folder this run's, unless that would lose a checkpoint."""
        path, checkpoint = folder / "config.json", folder / "last.ckpt"
        if not checkpoint.exists():
            _write_json(path, {**config, **options})
            (folder / "environment.json").unlink(missing_ok=True)  # of an attempt that saved nothing
            return
        if not path.exists():
            raise DMNetError(f"{checkpoint} has no config.json beside it; choose another folder")
        there = read_config(folder)
        if different := _differences({key: there.get(key) for key in config}, config):
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
                add_filename(error, Path(self._log.name))
                raise
        if self._events is not None:
            self._events.scalars(row)

    def add_picture(self, picture: Image.Image, iteration: int) -> None:
        """Keep a sample prediction."""
        if self.folder is not None and self._events is not None:
            with atomic_write(self.folder / "predictions" / f"{iteration:06d}.png") as temporary:
                picture.save(temporary)
            self._events.picture(picture, iteration)

    def save_state(self, state: dict[str, Any]) -> None:
        """Write the checkpoint to go on from; the one before stays until this one is complete."""
        if self.folder is not None and self._events is not None:
            self._events.flush()  # the resumed run writes none of these steps again
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
        if self._events is not None:
            with suppress(OSError):
                self._events.close()
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


def _sweep(folder: Path) -> None:
    """Remove the unfinished files of a process that was killed while it saved."""
    for place in (folder, folder / "predictions"):
        for unfinished in place.glob(".*.????????.tmp.*"):  # see `dmnet.files.atomic_write`
            unfinished.unlink()


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


def read_config(folder: Path) -> dict[str, Any]:
    """Return what a run's `config.json` says.

    Raises:
        DMNetError: if there is none, or it is damaged.
    """
    config = _read_json(folder / "config.json")
    if not isinstance(config, dict):
        raise DMNetError(f"{folder / 'config.json'} is not that of a run; choose another folder")
    return config


def _add_session(path: Path, session: dict[str, Any]) -> None:
    """Add how training goes on to how it went before, and warn if that makes a difference."""
    before = _read_json(path) if path.exists() else []
    if not isinstance(before, list):
        raise DMNetError(f"{path} is damaged: move it away to go on without it")
    _write_json(path, [*before, session])
    last = before[-1] if before else session
    if changed := [
        f"{key} {last.get(key)} -> {session.get(key)}"
        for key in DECISIVE
        if last.get(key) != session.get(key)
    ]:
        warnings.warn(
            f"resumed with {', '.join(changed)}: the weights will differ from an unbroken run's by rounding, "
            "or by batch norm's statistics",
            stacklevel=2,
        )


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DMNetError(f"there is no run in {path.parent}: it has no {path.name}") from None
    except ValueError as error:
        raise DMNetError(f"{path} is damaged, or not that of a run; choose another folder") from error


def _write_json(path: Path, value: Any) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


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
