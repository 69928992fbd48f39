"""The scores of all trained systems, measured here, beside the published ones: `dmnet evaluate --all`.

`scores_<data set>.csv` holds a row per system and protocol:

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

A row is written when it is finished, and not measured again unless weights, data, settings or the version of
dmnet have changed.
"""

import hashlib
import os
import platform
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, cast

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
SCORES = ["published", "measured", "difference"]
NUMBERS = ["images", *SCORES, "pixel_accuracy", "seconds"]
FACTS = ["split", *NUMBERS, "device", "dmnet", "torch", "weights", "data", "settings"]

Key = tuple[str, str]
Row = dict[str, str]


class Job(NamedTuple):
    """One row: a system and the protocol to score it by. Used in {doc}`07_evaluation`."""

    system: System
    protocol: str  # "single" or "ms+flip"
    published: float | None  # mIoU in percent
    split: str  # published scores are on "val"; our own systems are scored on "test"
    evaluation: Evaluation

    @property
    def key(self) -> Key:
        """What identifies the row."""
        return self.system.name, self.protocol


def jobs(names: Iterable[str] | None = None) -> list[Job]:
    """Return what there is to score: every system that has trained weights, by every published protocol.

    `names` are the only systems, if given. Used in {doc}`07_evaluation`.
    """
    found = []
    for system in map(systems.get, systems.names() if names is None else names):
        published = system.published
        if published:
            found.append(Job(system, "single", published.miou, "val", system.evaluation))
        elif system.weights:
            found.append(Job(system, "single", None, "test", system.evaluation))
        if published and published.miou_ms_flip is not None:
            how = systems.protocol(system, "ms+flip")
            found.append(Job(system, "ms+flip", published.miou_ms_flip, "val", how))
    return found


def score_all(
    data_root: str | os.PathLike[str] | None = None,
    names: Iterable[str] | None = None,
    output: str | os.PathLike[str] | None = None,
    *,
    device: str = "auto",
    report: Callable[[str], object] = print,
    **options: Any,
) -> dict[Key, str]:
    """Score systems, by default all with weights, by the protocols behind their published numbers.

    The result files are written into the folder `output`, by default `results` of the data folder. What fails
    - weights that cannot be had, a data set that isn't there, a GPU that is too small - leaves its row as it
    was, and the work goes on with the next; returned is why, for each. A line on every row goes to `report`,
    the `options` to `dmnet.inference.evaluate`. Used in {doc}`12_zoo`.

    Raises:
        DataError: if a result file is damaged; nothing is measured then.
    """
    folder, wanted = Path(output or data_dir() / "results"), jobs(names)
    for name in dict.fromkeys(job.system.dataset for job in wanted):
        _write(name, folder, {})  # a damaged file is noticed before work begins
    reasons: dict[Key, str] = {}
    for job in wanted:
        title, name = ", ".join(job.key), job.system.dataset
        try:
            dataset: Any = datasets.load(name, None if name.startswith("demo") else data_root, job.split)
            if tuple(dataset.classes) != job.system.classes:
                raise DataError(f"{name} {job.split} has classes of its own (classes.txt), not the published")
            if len(dataset) != (whole := getattr(dataset, "official_size", None) or len(dataset)):
                raise DataError(f"{name} {job.split} has {len(dataset)} of its {whole} images: complete it")
            same = {  # a row that agrees in these is not measured again
                "dmnet": version("dmnet"),
                "weights": zoo.published_digest(zoo.pretrained_file(job.system.name)),
                "data": data_digest(dataset),
                "settings": "; ".join(f"{field}={value}" for field, value in asdict(job.evaluation).items()),
            }
            row = _rows(name, folder)[job.key]
            if row["measured"] != NOT_MEASURED and row.items() >= same.items():
                report(f"{title}: mIoU {row['measured']} %, measured before")
                continue
            new = _placeholder(job) | same | _measure(job, dataset, device, options)
            _write(name, folder, {job.key: new})
            report(f"{title}: mIoU {new['measured']} % in {new['seconds']} s")
        except (ValueError, OSError, RuntimeError, MemoryError) as error:  # the others go on
            reason = str(error) or type(error).__name__
            told = ", for a reason told above" if reason in reasons.values() else f". {reason}"
            report(f"{title}: not scored{told}")
            reasons[job.key] = reason
    return reasons


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


def data_digest(dataset: Any) -> str:
    """Return 16 digits for a data set's ids, and how it was drawn. Used in {doc}`07_evaluation`."""
    drawn = [f"{name}={getattr(dataset, name)}" for name in ("revision", "seed") if hasattr(dataset, name)]
    return hashlib.sha256("\n".join([*dataset.ids, *drawn]).encode()).hexdigest()[:16]


def _placeholder(job: Job) -> Row:
    """Return the row of a job that has not been measured."""
    row = dict.fromkeys([*FACTS, *(f"iou {name}" for name in job.system.classes)], "")
    published = "" if job.published is None else f"{job.published:.2f}"
    return row | {"split": job.split, "published": published, "measured": NOT_MEASURED}


def _rows(dataset: str, folder: str | os.PathLike[str] | None) -> dict[Key, Row]:
    """Return the rows of all systems of a data set, then what else its file holds, as text as it stands."""
    rows = {job.key: _placeholder(job) for job in jobs() if job.system.dataset == dataset}
    if not rows:
        raise DataError(f"no trained system belongs to the data set {dataset!r}")
    if folder is None:
        own = data_dir() / "results"
        folder = own if any(own.glob("scores_*.csv")) else shipped("results")
    path = Path(folder) / f"scores_{dataset}.csv"
    if not path.exists():
        return rows
    try:
        there = pd.read_csv(path, dtype=str, keep_default_na=False)
        if list(there.columns) != [*KEY, *next(iter(rows.values()))]:
            raise ValueError("its columns are not those of this data set")
        _numbers(there)  # raises an error if a cell is none
        return rows | cast(dict[Key, Row], there.set_index(KEY).to_dict("index"))
    except (ValueError, OSError) as error:
        raise DataError(f"{path} is damaged: {error}. Mend it, or move it away to score anew") from error


def _numbers(rows: pd.DataFrame) -> pd.DataFrame:
    numeric = [name for name in rows.columns if name in NUMBERS or name.startswith("iou ")]
    return rows[numeric].replace({NOT_MEASURED: "nan", "": "nan"}).astype(float)


def _frame(rows: dict[Key, Row]) -> pd.DataFrame:
    return pd.DataFrame(list(rows.values()), pd.MultiIndex.from_tuples(rows, names=KEY))


def _write(dataset: str, folder: Path, new: dict[Key, Row]) -> None:
    """Put rows into a result file, in the place of those for the same systems and protocols."""
    data_dir().mkdir(parents=True, exist_ok=True)
    with FileLock(data_dir() / ".scores.lock"):  # another process may be writing another row
        rows = _rows(dataset, folder) | new
        with atomic_write(folder / f"scores_{dataset}.csv") as temporary:
            _frame(rows).to_csv(temporary, lineterminator="\n")


def read(dataset: str, folder: str | os.PathLike[str] | None = None) -> pd.DataFrame:
    """Return the scores on a data set, indexed by system and protocol; NaN where nothing was measured.

    By default this machine's or else the project's. Raises a DataError if the file is damaged. Used in
    {doc}`12_zoo`.
    """
    rows = _frame(_rows(dataset, folder))
    return rows.assign(**_numbers(rows))


def table(folder: str | os.PathLike[str] | None = None, names: Iterable[str] | None = None) -> pd.DataFrame:
    """Return a row of text per system: by default the 24 published ones. Shown in {doc}`07_evaluation`.

    Data set, backbone, stride, and mIoU in percent as published and as measured, with the difference, at one
    scale and at several scales with flip. A dash stands for what was never published. `folder` and errors are
    as for `read`.
    """
    wanted = [job for job in jobs(names) if names is not None or job.system.published]
    files = {name: _rows(name, folder) for name in {job.system.dataset for job in wanted}}
    lines: dict[str, Row] = {}
    for job in wanted:
        name, dataset, network = job.system.name, job.system.dataset, job.system.architecture
        about = {"data set": dataset, "backbone": network.backbone, "stride": str(network.output_stride)}
        prefix, row = "" if job.protocol == "single" else f"{job.protocol} ", files[dataset][job.key]
        scores = {f"{prefix}{column}": row[column] or "–" for column in SCORES}
        lines[name] = lines.get(name, about) | scores
    return pd.DataFrame.from_dict(lines, orient="index").fillna("–").rename_axis("system")
