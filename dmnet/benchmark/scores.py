"""The scores of all trained systems, measured here, beside the published ones: `dmnet evaluate --all`.

A file per data set, `scores_<data set>.csv`, holds a row per system and protocol:

| column | what |
| --- | --- |
| system, protocol | "single", the system's own, at one scale; "ms+flip" where such a score is published |
| split, images | what it was scored on |
| published, measured, difference | mIoU in percent; "not measured" until it has been |
| pixel_accuracy | percent |
| seconds, device, dmnet, torch | how long it took, on what, with which versions |
| weights | SHA-256 of the published file |
| data | first 16 digits of the SHA-256 of the list of ids |
| settings | every field of the `Evaluation` |
| iou ... | IoU of each class in percent; empty for a class that neither occurs nor is predicted |

A row is written when it is finished, so the work can be stopped at any moment. What stands there is not
measured again unless weights, data, settings or the version of dmnet have changed.
"""

import hashlib
import os
import platform
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from filelock import FileLock

from dmnet import datasets, systems, zoo
from dmnet.errors import DataError
from dmnet.files import atomic_write, data_dir, shipped
from dmnet.inference import evaluate
from dmnet.model import pick_device
from dmnet.systems import Evaluation, System

NOT_MEASURED = "not measured"
KEY = ["system", "protocol"]
SAME = ["dmnet", "weights", "data", "settings"]  # a row that agrees in these is not measured again
NUMBERS = ["images", "published", "measured", "difference", "pixel_accuracy", "seconds"]
FACTS = ["split", *NUMBERS, "device", "dmnet", "torch", "weights", "data", "settings"]
FAILURES = (ValueError, OSError, RuntimeError, MemoryError)  # of one system; the others go on

Key = tuple[str, str]
Row = dict[str, str]


@dataclass(frozen=True)
class Job:
    """One row: a system and the protocol to score it by. Used in {doc}`07_evaluation`."""

    system: System
    protocol: str  # "single" or "ms+flip"
    published: float | None  # mIoU in percent
    split: str  # published scores are on "val"; the demo systems were tuned there, and are scored on "test"
    evaluation: Evaluation

    @property
    def key(self) -> Key:
        """What identifies the row."""
        return self.system.name, self.protocol


def jobs(names: Iterable[str] | None = None) -> list[Job]:
    """Return what there is to score: every system that has trained weights, by every published protocol.

    Args:
        names: only these systems. Used in {doc}`07_evaluation`.
    """
    found = []
    for name in systems.names() if names is None else names:
        system, published = systems.get(name), systems.get(name).published
        if published:
            single, several = systems.protocol(system), systems.protocol(system, "ms+flip")
            found.append(Job(system, "single", published.miou, "val", single))
            if published.miou_ms_flip is not None:
                found.append(Job(system, "ms+flip", published.miou_ms_flip, "val", several))
        elif system.weights:
            found.append(Job(system, "single", None, "test", systems.protocol(system)))
    return found


def score_all(
    data_root: str | os.PathLike[str] | None = None,
    names: Iterable[str] | None = None,
    output: str | os.PathLike[str] | None = None,
    *,
    parts: bool = False,
    device: str = "auto",
    report: Callable[[str], object] = print,
    **options: Any,
) -> dict[tuple[str, str], str]:
    """Score systems by the protocols behind their published numbers and write the result files.

    What fails - weights that cannot be had, a data set that isn't there, a GPU that is too small - leaves its
    row as it was, and the work goes on with the next. Used in {doc}`07_evaluation`.

    Args:
        data_root: where the real data sets lie, see `dmnet.datasets.load`.
        names: only these systems; by default all that have trained weights.
        output: folder of the result files; by default `results` of the data folder.
        parts: score a published split of which images are missing, too.
        device: see `dmnet.model.pick_device`.
        report: called with a line of text for every row.
        options: passed to `dmnet.inference.evaluate`, e.g. `batch_size` and `workers`.

    Returns:
        Why, for every system and protocol that could not be scored; empty if all are.

    Raises:
        DataError: if a result file is damaged; nothing is measured then.
    """
    folder = Path(output) if output is not None else data_dir() / "results"
    wanted = jobs(names)
    for name in dict.fromkeys(job.system.dataset for job in wanted):
        there = _rows(name, folder)
        if missing := [job for job in wanted if job.system.dataset == name and job.key not in there]:
            _write(name, folder, {job.key: _placeholder(job) for job in missing})
    opened: dict[str, Any] = {}  # a data set is opened once
    reasons: dict[Key, str] = {}
    for job in wanted:
        title, name = ", ".join(job.key), job.system.dataset
        try:
            if name not in opened:
                opened[name] = _dataset(job, data_root, parts)
            same = {
                "dmnet": version("dmnet"),
                "weights": zoo.published_digest(zoo.pretrained_file(job.system.name)),
                "data": data_digest(opened[name]),
                "settings": "; ".join(f"{field}={value}" for field, value in asdict(job.evaluation).items()),
            }
            row = _rows(name, folder)[job.key]
            if row["measured"] != NOT_MEASURED and all(row[column] == same[column] for column in SAME):
                report(f"{title}: mIoU {row['measured']} %, measured before")
                continue
            new = _placeholder(job) | same | _measure(job, opened[name], device, options)
            _write(name, folder, {job.key: new})
            report(f"{title}: mIoU {new['measured']} % in {new['seconds']} s")
        except FAILURES as error:
            reason = str(error) or type(error).__name__
            told = ", for a reason told above" if reason in reasons.values() else f". {reason}"
            report(f"{title}: not scored{told}")
            reasons[job.key] = reason
    return reasons


def _dataset(job: Job, root: str | os.PathLike[str] | None, parts: bool) -> Any:
    """Load a job's data set, after checking that its scores can stand beside the published ones."""
    name = job.system.dataset
    dataset: Any = datasets.load(name, root if job.system.published else None, job.split)
    if tuple(dataset.classes) != job.system.classes:
        raise DataError(f"{name} {job.split} has classes of its own (classes.txt), not those of {job.key[0]}")
    whole = getattr(dataset, "official_size", None) or len(dataset)
    if len(dataset) != whole and not parts:
        raise DataError(
            f"{name} {job.split} has {len(dataset)} of its {whole} images: such a score says nothing of the "
            "published one. Complete it, or ask for parts (parts=True, --parts)"
        )
    return dataset


def _measure(job: Job, dataset: Any, device_name: str, options: dict[str, Any]) -> Row:
    """Return the columns that come out of an evaluation."""
    device = pick_device(device_name)
    model = zoo.load_pretrained(job.system.name).to(device)
    start = time.perf_counter()
    matrix = evaluate(model, dataset, protocol=job.evaluation, **options)
    seconds = time.perf_counter() - start
    measured = round(100 * matrix.miou(), 2)
    if np.isnan(measured):
        raise DataError("not one pixel is labelled, so there is nothing to score")
    cpu = f"{device.type} {platform.machine()}, {torch.get_num_threads()} threads"
    iou = zip(job.system.classes, 100 * matrix.iou(), strict=True)
    return {
        "images": str(len(dataset)),
        "measured": f"{measured:.2f}",
        "difference": "" if job.published is None else f"{measured - job.published:+.2f}",
        "pixel_accuracy": f"{100 * matrix.pixel_accuracy():.2f}",
        "seconds": f"{seconds:.1f}",
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else cpu,
        "torch": torch.__version__,
        **{f"iou {name}": "" if np.isnan(value) else f"{value:.2f}" for name, value in iou},
    }


def _placeholder(job: Job) -> Row:
    """Return the row of a job that has not been measured."""
    published = "" if job.published is None else f"{job.published:.2f}"
    empty = dict.fromkeys(_columns(job.system.dataset), "")
    return empty | {"split": job.split, "published": published, "measured": NOT_MEASURED}


def data_digest(dataset: Any) -> str:
    """Return 16 hexadecimal digits that stand for the images of a data set: their ids, and in which order.

    For a drawn set also the revision and the seed that it was drawn with. Used in {doc}`07_evaluation`.
    """
    drawn = [f"{name}={getattr(dataset, name)}" for name in ("revision", "seed") if hasattr(dataset, name)]
    return hashlib.sha256("\n".join([*dataset.ids, *drawn]).encode()).hexdigest()[:16]


# Files: text cells, so that what isn't touched stays as it was --------------------------------------------


def _columns(dataset: str) -> list[str]:
    """Return the names of the columns; the classes are those of the data set."""
    classes = next((job.system.classes for job in jobs() if job.system.dataset == dataset), ())
    return [*FACTS, *(f"iou {name}" for name in classes)]


def _read(dataset: str, folder: str | os.PathLike[str]) -> pd.DataFrame:
    """Return a result file as text, indexed by system and protocol; no rows if there is none."""
    path, columns = Path(folder) / f"scores_{dataset}.csv", [*KEY, *_columns(dataset)]
    if not path.exists():
        return pd.DataFrame(columns=columns, dtype=str).set_index(KEY)
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
        if list(rows.columns) != columns:
            raise ValueError("its columns are not those of this data set")
        if rows.duplicated(KEY).any():
            raise ValueError("two rows are for one system and protocol")
        percent = _numbers(rows).drop(columns=["images", "difference", "seconds"])
        if ((percent < 0) | (percent > 100)).any(axis=None):
            raise ValueError("a percentage is not between 0 and 100")
    except (ValueError, OSError) as error:
        raise DataError(f"{path} is damaged: {error}. Mend it, or move it away to score anew") from error
    return rows.set_index(KEY)


def _rows(dataset: str, folder: str | os.PathLike[str]) -> dict[Key, Row]:
    """Return the rows of a result file by their keys."""
    return cast(dict[Key, Row], _read(dataset, folder).to_dict("index"))


def _numbers(rows: pd.DataFrame) -> pd.DataFrame:
    numeric = [name for name in rows.columns if name in NUMBERS or name.startswith("iou ")]
    return rows[numeric].replace({NOT_MEASURED: "nan", "": "nan"}).astype(float)


def _write(dataset: str, folder: Path, new: dict[Key, Row]) -> None:
    """Put rows into a result file, in the place of those for the same systems and protocols."""
    data_dir().mkdir(parents=True, exist_ok=True)
    with FileLock(data_dir() / ".scores.lock"):  # another process may be writing another row
        rows = _rows(dataset, folder) | new
        known = [job.key for job in jobs()]
        order = [key for key in known if key in rows] + [key for key in rows if key not in known]
        table = pd.DataFrame([rows[key] for key in order], pd.MultiIndex.from_tuples(order, names=KEY))
        with atomic_write(folder / f"scores_{dataset}.csv") as temporary:
            table.to_csv(temporary, columns=_columns(dataset), lineterminator="\n")


def results_folder() -> Path:
    """Return the folder of this machine's results, else the project's. Used in {doc}`07_evaluation`."""
    own = data_dir() / "results"
    return own if any(own.glob("scores_*.csv")) else shipped("results")


def read(dataset: str, folder: str | os.PathLike[str] | None = None) -> pd.DataFrame:
    """Return the result file of a data set, indexed by system and protocol; NaN where nothing was measured.

    Args:
        dataset: "voc", "ade20k", "cityscapes", "demo_context" or "demo_scale".
        folder: by default `results_folder()`. Used in {doc}`07_evaluation`.

    Raises:
        DataError: if the file is damaged.
    """
    rows = _read(dataset, folder or results_folder())
    return rows.assign(**_numbers(rows))


def table(folder: str | os.PathLike[str] | None = None, names: Iterable[str] | None = None) -> pd.DataFrame:
    """Return a row per system, ready to be shown: text, "not measured" where that is so.

    Args:
        folder: of the result files; by default `results_folder()`.
        names: systems to show; by default the 24 published ones.

    Returns:
        Indexed by system; columns: data set, backbone, stride, and mIoU in percent as published and as
        measured, with the difference, at one scale and at several scales with flip. A dash stands for what
        was never published. Shown in {doc}`07_evaluation`.

    Raises:
        DataError: if a result file is damaged.
    """
    wanted = [job for job in jobs(names) if names is not None or job.system.published]
    files = {name: _rows(name, folder or results_folder()) for name in {j.system.dataset for j in wanted}}
    lines: dict[str, Row] = {}
    for job in wanted:
        a, rows = job.system.architecture, files[job.system.dataset]
        row = rows.get(job.key) or _placeholder(job)
        about = {"data set": job.system.dataset, "backbone": a.backbone, "stride": str(a.output_stride)}
        prefix = "" if job.protocol == "single" else f"{job.protocol} "
        scores = {f"{prefix}{name}": row[name] or "–" for name in ("published", "measured", "difference")}
        lines[job.system.name] = lines.get(job.system.name, about) | scores
    return pd.DataFrame.from_dict(lines, orient="index").fillna("–").rename_axis("system")
