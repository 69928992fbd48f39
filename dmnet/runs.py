"""The folder of a training run: what was asked for, what happened, and all that it takes to go on.

- `config.json`: the system with every field, data and seed, and the options of the command line;
- `environment.json`: versions, devices and command, once more for every time that the run was resumed;
- `log.csv`: a row per iteration, written as it happens; `tensorboard/`: the same for TensorBoard;
- `last.ckpt`: model, optimizer and random state; a run resumes from here, exactly;
- `last.safetensors`: the weights at the end; `best.safetensors`: those with the best mIoU on the way;
- `classes.csv`: the scores per class at the end;
- `predictions/*.png`: image, labels, prediction at every evaluation; `curves.png`, `confusion.png`;
- `.lock`: held by the process that trains, so that a second one cannot write into the same run.
"""

import hashlib
import json
import platform
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from filelock import FileLock, Timeout
from PIL import Image

from dmnet.errors import CheckpointError, DMNetError
from dmnet.files import atomic_write, naming
from dmnet.systems import System

LOCK_SECONDS = 10.0  # loading processes outlive a killed run by a few seconds, and its lock with them
COLUMNS = ("iteration", "epoch", "lr", "loss", "aux_loss", "seconds", "images_per_second", "val_miou")
TAGS = {"lr": "learning_rate", "aux_loss": "loss/auxiliary", "val_miou": "mIoU/val"}  # TensorBoard's names
STATE = {"iteration", "best", "worse", "seconds", "model", "optimizer", "precision", "random", "log"}
Facts = dict[str, Any]  # ready for JSON
DECISIVE = ("torch", "device", "gpu", "world_size", "threads", "precision", "accumulate", "compile")


@dataclass
class Run:
    """A run while it goes on; see `open_run`. Used in {doc}`06_training`."""

    folder: Path | None = None  # None writes nothing and keeps the log in memory alone
    state: dict[str, Any] | None = None  # the checkpoint to go on from
    rows: list[dict[str, Any]] = field(default_factory=list)  # the log
    _log: Any = field(default=None, init=False)  # an open file
    _events: Any = field(default=None, init=False)  # a SummaryWriter

    def log(self, row: dict[str, Any]) -> None:
        """Add one row, a value or None for each of `COLUMNS`; it is in the file when this returns."""
        self.rows.append(row)
        if self._log is not None:
            with naming(self._log.name):
                self._log.write(_line(row).encode())
        if self._events is not None:
            for name in ("loss", "images_per_second", *TAGS):
                if row.get(name) is not None:
                    self._events.add_scalar(TAGS.get(name, name), row[name], row["iteration"])

    def add_image(self, image: Image.Image, iteration: int) -> None:
        """Keep a sample prediction."""
        if self.folder is not None:
            with atomic_write(self.folder / "predictions" / f"{iteration:06d}.png") as temporary:
                image.save(temporary)
        if self._events is not None:
            self._events.add_image("prediction", np.asarray(image), iteration, dataformats="HWC")

    def save_state(self, state: dict[str, Any]) -> None:
        """Write the checkpoint to go on from; the one before stays until this one is complete."""
        if self._events is not None:
            self._events.flush()  # a resumed run writes none of these steps again
        if self.folder is not None:
            path = self.folder / "last.ckpt"
            try:
                with atomic_write(path) as temporary:
                    torch.save(state | {"log": self.rows}, temporary)
            except RuntimeError as error:  # how PyTorch reports a full disk
                reason = str(error).splitlines()[0]
                raise OSError(f"{path} could not be written, is the disk full? ({reason})") from error

    def history(self) -> pd.DataFrame:
        """Return the log, indexed by iteration."""
        table = pd.DataFrame(self.rows, columns=list(COLUMNS)).astype(float).astype({"iteration": int})
        return table.set_index("iteration")


@contextmanager
def open_run(
    folder: str | PathLike[str] | None, config: Facts, resume: bool, options: Any, facts: Facts
) -> Iterator[Run]:
    """Lock a run's folder and go on in it, unless that would lose a checkpoint. Used in {doc}`06_training`.

    None for a folder writes nothing. The `config` must be the folder's, if there is one; see `configuration`.
    `options` are kept beside it and may be others every time, the `facts` (see `environment`) of every time.
    To `resume` a folder without a checkpoint is to start at the beginning.

    Raises:
        DMNetError: if the folder holds another run, or this one and `resume` is not set, or is in use.
        CheckpointError: if the checkpoint cannot be read.
    """
    if folder is None:
        yield Run()
        return
    run, before = Run(folder := Path(folder)), []
    folder.mkdir(parents=True, exist_ok=True)
    log, checkpoint, sessions = folder / "log.csv", folder / "last.ckpt", folder / "environment.json"
    with ExitStack() as stack:
        try:
            stack.enter_context(FileLock(folder / ".lock", timeout=LOCK_SECONDS))
        except Timeout:
            raise DMNetError(f"another process is training in {folder}; choose another folder") from None
        for unfinished in folder.rglob(".*.????????.tmp.*"):  # of a process that was killed while it saved
            unfinished.unlink()
        if checkpoint.exists():
            there = read_json(folder / "config.json", dict)
            old, new = (pd.json_normalize(one).to_dict("records")[0] for one in (there, config))
            first, last = (new.get(f"system.recipe.{which}learning_rate") for which in ("", "final_"))
            free = (".iterations", ".epochs") if first == last else ()  # the rate does not depend on the end
            changed = [k for k in new if old.get(k) != new[k] and not str(k).endswith(free)]
            if changed := [f"{k}: {old.get(k)} there, {new[k]} here" for k in changed]:
                other = f"a run with another configuration ({'; '.join(changed[:3])})"
                raise DMNetError(f"{folder} holds {other}: choose another folder, or repeat its settings")
            if not resume:
                raise DMNetError(f"{folder} holds this very run: resume it (resume=True, --resume)")
            run.state = read_state(checkpoint)
            before = read_json(sessions, list)
            last = before[-1]
            if changed := [f"{k} {last.get(k)} -> {facts[k]}" for k in DECISIVE if last.get(k) != facts[k]]:
                effect = "weights will differ from an unbroken run's by rounding, or batch norm's statistics"
                warnings.warn(f"resumed with {', '.join(changed)}: {effect}", stacklevel=2)
            options = options or there.get("options")
        _write_json(folder / "config.json", {**config, "options": options})
        done, run.rows = (run.state["iteration"], run.state["log"]) if run.state else (0, [])
        _write_json(sessions, [*before, {"iteration": done, **facts}])
        with atomic_write(log) as temporary:  # a killed process has written more, or half a line
            temporary.write_text(",".join(COLUMNS) + "\n" + "".join(map(_line, run.rows)))
        run._log = stack.enter_context(log.open("ab", buffering=0))
        with suppress(ImportError):  # TensorBoard need not be there
            from torch.utils.tensorboard import SummaryWriter

            # TensorBoard hides what a killed process has written after its last checkpoint.
            run._events = stack.enter_context(SummaryWriter(folder / "tensorboard", purge_step=done + 1))
        yield run


def read_state(path: Path) -> dict[str, Any]:
    """Return the checkpoint of a run: tensors and plain values alone. Used in {doc}`06_training`."""
    why = None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        numbers = [state[name] for name in ("iteration", "best", "worse", "seconds")]
        log = Run(rows=[dict(row) for row in state["log"]]).history()  # it can be read again
        whole = state.keys() >= STATE and zipfile.ZipFile(path).testzip() is None  # which PyTorch leaves out
        if whole and sum(numbers) >= -1 and isinstance(numbers[0], int) and log.index.is_monotonic_increasing:
            return state
    except Exception as error:  # a damaged file can raise anything
        why = error
    raise CheckpointError(f"{path} is damaged, or no checkpoint of a run; delete it to start over") from why


def read_json(path: Path, kind: type) -> Any:
    """Return a run's JSON file, a dict or a list, or raise a `DMNetError`. Used in {doc}`06_training`."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DMNetError(f"there is no run in {path.parent}: it has no {path.name}") from None
    except (ValueError, RecursionError):  # of JSON that is nested too deep
        value = None
    parts = value if isinstance(value, list) else [value]
    if not isinstance(value, kind) or not parts or not all(isinstance(part, dict) for part in parts):
        raise DMNetError(f"{path} is damaged, or not that of a run; choose another folder")
    return value


def _line(row: dict[str, Any]) -> str:
    return ",".join("" if row.get(name) is None else str(row[name]) for name in COLUMNS) + "\n"


def _write_json(path: Path, value: Any) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, default=str) + "\n", encoding="utf-8")


def configuration(system: System, train_set: Any, val_set: Any, seed: int) -> Facts:
    """Return what decides a run's result, and so identifies it. Shown in {doc}`06_training`."""
    config: Facts = {"system": asdict(system), "seed": seed, "train_set": None, "val_set": None}
    for key, dataset in (("train_set", train_set), ("val_set", val_set)):
        if dataset is not None:
            facts = {name: getattr(dataset, name, None) for name in ("name", "split", "seed", "revision")}
            ids = hashlib.sha256("\n".join(getattr(dataset, "ids", ())).encode()).hexdigest()
            config[key] = {name: value for name, value in facts.items() if isinstance(value, str | int)}
            config[key] |= {"type": type(dataset).__name__, "images": len(dataset)}
            config[key] |= {"classes": dataset.classes, "ids_sha256": ids[:16]}
    return json.loads(json.dumps(config))


def environment(device: torch.device, world_size: int = 1) -> Facts:
    """Return versions, device, commit and command, but no host. Used in {doc}`06_training`."""
    gpu = device.type == "cuda"
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "commit": commit(Path(__file__).resolve().parents[1]),
        "python": platform.python_version(),
        "torch": torch.__version__,
        **{name: version(name) for name in ("dmnet", "torchvision", "numpy")},
        "platform": platform.platform(),
        "device": device.type,
        "gpu": torch.cuda.get_device_name(device) if gpu else None,
        "cuda": torch.version.cuda if gpu else None,
        "world_size": world_size,
        "threads": torch.get_num_threads(),
    }


def commit(clone: Path) -> str | None:
    """Return a clone's commit, "-dirty" after changes; None without one. Used in {doc}`06_training`."""
    command = ["git", "-C", str(clone), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    with suppress(OSError, subprocess.SubprocessError):
        if (clone / ".git").exists():
            return subprocess.check_output(command, text=True, timeout=10, stderr=subprocess.DEVNULL).strip()
    return None
