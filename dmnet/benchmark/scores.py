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

import csv
import hashlib
import io
import math
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from filelock import FileLock

import dmnet
from dmnet import datasets, systems, zoo
from dmnet.errors import DataError
from dmnet.files import atomic_write, data_dir, shipped
from dmnet.inference import evaluate
from dmnet.metrics import ConfusionMatrix
from dmnet.systems import Evaluation, System

NOT_MEASURED = "not measured"
KEY = ("system", "protocol")
SAME = ("dmnet", "weights", "data", "settings")  # a row that agrees in these is not measured again
FACTS = (
    *KEY, "split", "images", "published", "measured", "difference", "pixel_accuracy", "seconds", "device",
    "dmnet", "torch", "weights", "data", "settings",
)  # fmt: skip
NUMBERS = ("images", "published", "measured", "difference", "pixel_accuracy", "seconds")
FAILURES = (ValueError, OSError, RuntimeError, MemoryError)  # of one system; the others go on

Row = dict[str, str]
Key = tuple[str, str]


@dataclass(frozen=True)
class Job:
    """One row: a system and the protocol to score it by."""

    system: System
    protocol: str
    published: float | None  # mIoU in percent

    @property
    def key(self) -> Key:
        """What identifies the row."""
        return self.system.name, self.protocol

    @property
    def split(self) -> str:
        """Published scores are on "val"; the demo systems were tuned there, and are scored on "test"."""
        return "val" if self.system.published else "test"

    @property
    def evaluation(self) -> Evaluation:
        """The protocol with all its settings."""
        return systems.protocol(self.system, "published" if self.protocol == "single" else self.protocol)


def jobs(names: Iterable[str] | None = None) -> list[Job]:
    """Return what there is to score: every system that has trained weights, by every published protocol.

    Args:
        names: only these systems.

    Raises:
        UnknownSystemError: if there is no system of one of the names.
    """
    chosen = systems.SYSTEMS.values() if names is None else [systems.get(name) for name in names]
    return [job for system in chosen for job in _jobs(system)]


def _jobs(system: System) -> Iterator[Job]:
    published = system.published
    if published or system.weights:
        yield Job(system, "single", published.miou if published else None)
    if published and published.miou_ms_flip is not None:
        yield Job(system, "ms+flip", published.miou_ms_flip)


def score_all(
    data_root: str | os.PathLike[str] | None = None,
    names: Iterable[str] | None = None,
    output: str | os.PathLike[str] | None = None,
    *,
    parts: bool = False,
    device: str = "auto",
    report: Callable[[str], object] = print,
    **options: Any,
) -> dict[Key, str]:
    """Score systems by the protocols behind their published numbers and write the result files.

    What fails - weights that cannot be had, a data set that isn't there, a GPU that is too small - leaves its
    row as it was, and the work goes on with the next.

    Args:
        data_root: where the real data sets lie, see `dmnet.datasets.load`.
        names: only these systems; by default all that have trained weights.
        output: folder of the result files; by default `results` of the data folder.
        parts: score a published split of which pictures are missing, too.
        device: see `dmnet.training.pick_device`.
        report: called with a line of text for every row.
        options: passed to `dmnet.inference.evaluate`, e.g. `batch_size` and `workers`.

    Returns:
        Why, for every system and protocol that could not be scored; empty if all are.

    Raises:
        DataError: if a result file is damaged; nothing is measured then.
    """
    folder = Path(output) if output is not None else data_dir() / "results"
    wanted = jobs(names)
    files = {name: ScoreFile(folder, name) for name in dict.fromkeys(job.system.dataset for job in wanted)}
    for name, file in files.items():
        file.add_missing([job for job in wanted if job.system.dataset == name])
    bench = _Bench(data_root, parts, device, options)
    reasons: dict[Key, str] = {}
    for job in wanted:
        try:
            report(f"{_title(job)}: {bench.bring_up_to_date(job, files[job.system.dataset])}")
        except FAILURES as error:
            reason = str(error) or type(error).__name__
            told = reason in reasons.values()
            report(f"{_title(job)}: not scored{', for a reason told above' if told else f'. {reason}'}")
            reasons[job.key] = reason
    return reasons


class _Bench:
    """Measures one job after the other; a data set is opened once."""

    def __init__(self, root: Any, parts: bool, device: str, options: dict[str, Any]) -> None:
        self.root, self.parts, self.device, self.options = root, parts, device, options
        self._opened: dict[tuple[str, str], Any] = {}

    def bring_up_to_date(self, job: Job, file: "ScoreFile") -> str:
        """Measure a job unless its row is that of the same measurement; say which."""
        dataset = self._dataset(job)  # first: weights are hundreds of megabytes
        weights = zoo.published_digest(zoo.pretrained_file(job.system.name))
        same = {
            "dmnet": dmnet.__version__,
            "weights": weights,
            "data": data_digest(dataset),
            "settings": _settings(job.evaluation),
        }
        row = file.row(job.key)
        if row["measured"] != NOT_MEASURED and all(row[name] == same[name] for name in SAME):
            return f"mIoU {row['measured']} %, measured before"
        new = _placeholder(job) | same | self._measure(job, dataset)
        file.write(new)
        return f"mIoU {new['measured']} % in {new['seconds']} s"

    def _dataset(self, job: Job) -> Any:
        name, split = job.system.dataset, job.split
        if (name, split) not in self._opened:
            root = self.root if job.system.published else None
            self._opened[name, split] = _checked(datasets.load(name, root, split), job, self.parts)
        return self._opened[name, split]

    def _measure(self, job: Job, dataset: Any) -> Row:
        from dmnet.training import pick_device

        device = pick_device(self.device)
        model = zoo.load_pretrained(job.system.name).to(device)
        start = time.perf_counter()
        matrix = evaluate(model, dataset, protocol=job.evaluation, **self.options)
        seconds = time.perf_counter() - start
        made = {"seconds": f"{seconds:.1f}", "device": _device_name(device), "torch": torch.__version__}
        return made | _results(job, matrix, len(dataset))


def _checked(dataset: Any, job: Job, parts: bool) -> Any:
    """Return a data set after checking that its scores can stand beside the published ones."""
    name = f"{job.system.dataset} {job.split}"
    if tuple(dataset.classes) != job.system.classes:
        raise DataError(f"{name} has classes of its own (classes.txt), not those of {job.system.name}")
    whole = getattr(dataset, "official_size", None) or len(dataset)
    if len(dataset) != whole and not parts:
        raise DataError(
            f"{name} has {len(dataset)} of its {whole} pictures: such a score says nothing of the published "
            "one. Complete it, or ask for parts (parts=True, --parts)"
        )
    return dataset


def _results(job: Job, matrix: ConfusionMatrix, images: int) -> Row:
    """Return the columns that come out of a confusion matrix."""
    measured = round(100 * matrix.miou(), 2)
    if math.isnan(measured):
        raise DataError("not one pixel is labelled, so there is nothing to score")
    iou = zip(job.system.classes, 100 * matrix.iou(), strict=True)
    return {
        "images": str(images),
        "measured": f"{measured:.2f}",
        "difference": "" if job.published is None else f"{measured - job.published:+.2f}",
        "pixel_accuracy": f"{100 * matrix.pixel_accuracy():.2f}",
        **{f"iou {name}": "" if math.isnan(value) else f"{value:.2f}" for name, value in iou},
    }


def _placeholder(job: Job) -> Row:
    """Return the row of a job that has not been measured."""
    published = "" if job.published is None else f"{job.published:.2f}"
    known = {"system": job.system.name, "protocol": job.protocol, "split": job.split}
    empty = dict.fromkeys(_columns(job.system.classes), "")
    return empty | known | {"published": published, "measured": NOT_MEASURED}


def _columns(classes: Iterable[str]) -> list[str]:
    return [*FACTS, *(f"iou {name}" for name in classes)]


def _settings(evaluation: Evaluation) -> str:
    return "; ".join(f"{name}={value}" for name, value in asdict(evaluation).items())


def _title(job: Job) -> str:
    return f"{job.system.name}, {job.protocol}"


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = f", {torch.get_num_threads()} threads" if device.type == "cpu" else ""
    return f"{device.type} {platform.machine()}{threads}"


def data_digest(dataset: Any) -> str:
    """Return 16 hexadecimal digits that stand for the pictures of a data set: their ids, and in which order.

    For a drawn set also the revision and the seed that it was drawn with.
    """
    drawn = [f"{name}={getattr(dataset, name)}" for name in ("revision", "seed") if hasattr(dataset, name)]
    return hashlib.sha256("\n".join([*dataset.ids, *drawn]).encode()).hexdigest()[:16]


# Files ---------------------------------------------------------------------------------------------------


class ScoreFile:
    """The result file of a data set. Its cells are kept as text: what isn't touched stays as it was.

    Args:
        folder: where it lies.
        dataset: name of the data set.

    Raises:
        DataError: if there is such a file and it is damaged.
    """

    def __init__(self, folder: str | os.PathLike[str], dataset: str) -> None:
        self.path, self.dataset = Path(folder) / f"scores_{dataset}.csv", dataset
        self.rows()

    @cached_property
    def columns(self) -> list[str]:
        """The names of the columns; the classes are those of the data set."""
        of_set = [system for system in systems.SYSTEMS.values() if system.dataset == self.dataset]
        return _columns(of_set[0].classes if of_set else ())

    def rows(self) -> dict[Key, Row]:
        """Read and check the file; no rows if there is none."""
        if not self.path.exists():
            return {}
        try:
            text = self.path.read_text(encoding="utf-8")
            if not text.endswith("\n"):
                raise DataError("its end is missing")
            reader = csv.DictReader(io.StringIO(text))
            if reader.fieldnames != self.columns:
                raise DataError("its columns are not those of this data set")
            records = list(reader)
            for number, row in enumerate(records, start=2):
                _check(row, number)
        except (ValueError, OSError, csv.Error) as error:
            raise DataError(
                f"{self.path} is damaged: {error}. Mend it, or move it away: its systems are scored anew then"
            ) from error
        rows = {(row["system"], row["protocol"]): row for row in records}
        if len(rows) < len(records):
            raise DataError(f"{self.path} has two rows for one system and protocol: remove the wrong one")
        return rows

    def row(self, key: Key) -> Row:
        """Return one row."""
        return self.rows()[key]

    def write(self, *new: Row) -> None:
        """Put rows into the file, in the place of those for the same systems and protocols."""
        data_dir().mkdir(parents=True, exist_ok=True)
        with FileLock(data_dir() / ".scores.lock"):  # another process may be writing another row
            rows = self.rows() | {(row["system"], row["protocol"]): row for row in new}
            known = [job.key for job in jobs()]
            order = [key for key in known if key in rows] + [key for key in rows if key not in known]
            text = io.StringIO()
            writer = csv.DictWriter(text, self.columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows[key] for key in order)
            with atomic_write(self.path) as temporary:
                temporary.write_text(text.getvalue(), encoding="utf-8", newline="")

    def add_missing(self, wanted: Iterable[Job]) -> None:
        """Add a row that says "not measured" for every job that has none."""
        there = self.rows()
        if new := [_placeholder(job) for job in wanted if job.key not in there]:
            self.write(*new)


def _check(row: dict[Any, Any], number: int) -> None:
    """Raise a DataError unless a row is whole: measured with all that belongs to it, or not measured."""
    if None in row or None in row.values():
        raise DataError(f"line {number} has not as many cells as there are columns")
    shares = [name for name in row if name.startswith("iou ")]
    if row["measured"] == NOT_MEASURED:
        known = (*KEY, "split", "published", "measured")
        if surplus := [name for name in row if row[name] and name not in known]:
            raise DataError(f"line {number} is not measured, but has {surplus[0]} {row[surplus[0]]!r}")
        return
    optional = [*shares, *([] if row["published"] else ["published", "difference"])]
    if empty := [name for name in row if not row[name] and name not in optional]:
        raise DataError(f"line {number} has no {empty[0]}")
    for name in ("measured", "pixel_accuracy", *shares):
        if row[name] and not 0 <= float(row[name]) <= 100:
            raise DataError(f"line {number} says {name} {row[name]}, which is no percentage")
    measured, published, difference = (row[name] for name in ("measured", "published", "difference"))
    if published and abs(float(measured) - float(published) - float(difference)) > 0.011:
        raise DataError(f"line {number}: {measured} - {published} is not {difference}")


# Reading -------------------------------------------------------------------------------------------------


def results_folder() -> Path:
    """Return the folder with this machine's result files; where there are none, those of the project."""
    own = data_dir() / "results"
    return own if any(own.glob("scores_*.csv")) else shipped("results")


def read(dataset: str, folder: str | os.PathLike[str] | None = None) -> pd.DataFrame:
    """Return the result file of a data set, indexed by system and protocol; NaN where nothing was measured.

    Args:
        dataset: "voc", "ade20k", "cityscapes", "demo_context" or "demo_scale".
        folder: by default `results_folder()`.

    Raises:
        DataError: if the file is damaged.
    """
    file = ScoreFile(folder or results_folder(), dataset)
    table = pd.DataFrame(list(file.rows().values()), columns=file.columns).set_index(list(KEY))
    numeric = [name for name in table.columns if name in NUMBERS or name.startswith("iou ")]
    table[numeric] = table[numeric].replace({NOT_MEASURED: "nan", "": "nan"}).astype(float)
    return table


def table(folder: str | os.PathLike[str] | None = None, names: Iterable[str] | None = None) -> pd.DataFrame:
    """Return a row per system, ready to be shown: text, "not measured" where that is so.

    Args:
        folder: of the result files; by default `results_folder()`.
        names: systems to show; by default the 24 published ones.

    Returns:
        Indexed by system; columns: data set, backbone, stride, and mIoU in percent as published and as
        measured, with the difference, at one scale and at several scales with flip. A dash stands for what
        was never published.

    Raises:
        DataError: if a result file is damaged.
    """
    chosen = [systems.get(name) for name in names] if names is not None else _published()
    place = folder or results_folder()
    rows: dict[Key, Row] = {}
    for dataset in dict.fromkeys(system.dataset for system in chosen):
        rows |= ScoreFile(place, dataset).rows()
    lines = {system.name: _line(system, rows) for system in chosen}
    return pd.DataFrame.from_dict(lines, orient="index").rename_axis("system")


def _published() -> list[System]:
    return [system for system in systems.SYSTEMS.values() if system.published]


def _line(system: System, rows: dict[Key, Row]) -> Row:
    """Return a system's line of the table."""
    a = system.architecture
    line = {"data set": system.dataset, "backbone": a.backbone, "stride": str(a.output_stride)}
    of_protocol = {job.protocol: _placeholder(job) for job in _jobs(system)}
    for protocol, prefix in (("single", ""), ("ms+flip", "ms+flip ")):
        row = rows.get((system.name, protocol), of_protocol.get(protocol, {}))
        for name in ("published", "measured", "difference"):
            line[prefix + name] = row.get(name) or "–"
    return line
