"""`dmnet evaluate`: one system in every detail, or all systems against their published scores."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from dmnet import systems
from dmnet.cli._protocol import Flip, Protocol, Scales, Stride, Window, chosen
from dmnet.cli._shared import (
    FAILED,
    Data,
    DataRoot,
    Device,
    Weights,
    app,
    console,
    load_data,
    load_model,
    print_scores,
)
from dmnet.errors import DMNetError
from dmnet.files import atomic_write

if TYPE_CHECKING:
    import pandas as pd

    from dmnet.metrics import ConfusionMatrix
    from dmnet.model import DMNet
    from dmnet.systems import Evaluation


@app.command()
def evaluate(
    system: Annotated[
        str | None, typer.Argument(help="Name of a system, or a .safetensors file of our own.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Score all trained systems against their published numbers.")
    ] = False,
    data: Data = None,
    data_root: DataRoot = None,
    split: Annotated[str | None, typer.Option(help="What to score on. Default: val.")] = None,
    weights: Weights = None,
    protocol: Protocol = None,
    window: Window = None,
    stride: Stride = None,
    scales: Scales = None,
    flip: Flip = None,
    boundaries: Annotated[
        bool, typer.Option("--boundaries", help="Also near the boundaries of the classes.")
    ] = False,
    sizes: Annotated[bool, typer.Option("--sizes", help="Also by the size of the objects.")] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Images at once.")] = 1,
    workers: Annotated[int, typer.Option(min=0, help="Processes that load images.")] = 0,
    output: Annotated[
        Path | None, typer.Option(help="CSV file for the scores per class; with --all their folder.")
    ] = None,
    parts: Annotated[
        bool, typer.Option("--parts", help="With --all: data sets that are not complete, too.")
    ] = False,
    device: Device = "auto",
) -> None:
    """Score a system on a data set, or with --all every system on its own.

    Several processes share the images of a system: torchrun --nproc-per-node 4 -m -- dmnet evaluate SYSTEM
    """
    speed = {"batch_size": batch_size, "workers": workers}
    given = (split, weights, protocol, window, stride, scales, flip, boundaries or None, sizes or None)
    if every:
        if system is not None or given != (None,) * len(given):
            raise DMNetError("--all scores every system by its published protocol: leave the rest out")
        if "WORLD_SIZE" in os.environ:
            raise DMNetError("--all scores one system after the other: start it without torchrun")
        return _evaluate_all(data, data_root, output, parts=parts, device=device, **speed)
    if system is None:
        raise DMNetError("name a system (`dmnet systems` lists them) or a weight file, or ask for --all")
    with _process_group(device) as place:
        model = load_model(system, weights, place)
        dataset = _dataset(model, data, split, data_root)
        how = chosen(model, protocol, window, stride, scales, flip)
        _evaluate_one(model, dataset, how, boundaries, sizes, output, speed)


@contextmanager
def _process_group(device: str) -> Iterator[str]:
    """Join the processes that torchrun has started, if it has; yield the device of this one.

    Only rank 0 prints and writes.
    """
    if "WORLD_SIZE" not in os.environ:
        yield device
        return
    import torch

    if device in ("auto", "cuda") and torch.cuda.is_available():
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    torch.distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    console.quiet = torch.distributed.get_rank() > 0
    try:
        yield device
    finally:
        console.quiet = False
        torch.distributed.destroy_process_group()


def _dataset(model: "DMNet", data: str | None, split: str | None, root: Path | None) -> Any:
    if data is None and model.system is None:
        raise DMNetError("the weight file does not say which data set it belongs to: give --data")
    own = model.system.dataset if model.system else ""
    return load_data(data or own, split or "val", root)


def _evaluate_one(
    model: "DMNet",
    dataset: Any,
    protocol: "Evaluation | None",
    boundaries: bool,
    sizes: bool,
    output: Path | None,
    speed: dict[str, Any],
) -> None:
    import torch

    from dmnet import inference
    from dmnet.analysis.boundaries import BoundaryIoU, Trimap
    from dmnet.analysis.object_sizes import ObjectSizes

    count = len(dataset.classes)
    extra = [Trimap(count), BoundaryIoU(count)] if boundaries else []
    extra += [ObjectSizes(count)] if sizes else []
    start = time.perf_counter()
    matrix = inference.evaluate(model, dataset, protocol=protocol, metrics=extra, progress=True, **speed)
    seconds = time.perf_counter() - start
    print_scores(matrix, dataset.classes)
    for metric in extra:
        _print_table(metric.table(dataset.classes) if isinstance(metric, BoundaryIoU) else metric.table())
    device = next(model.parameters()).device
    peak = torch.cuda.max_memory_allocated(device) / 1e6 if device.type == "cuda" else 0
    console.print(
        f"{len(dataset) / seconds:.2f} images/s" + (f", peak memory {peak:,.0f} MB" if peak else "")
    )
    if output is not None and not console.quiet:
        _write(matrix, dataset.classes, output)


def _write(matrix: "ConfusionMatrix", classes: tuple[str, ...], output: Path) -> None:
    with atomic_write(output) as temporary:
        matrix.table(classes).to_csv(temporary, float_format="%.4f")
    console.print(f"Written: {output}", soft_wrap=True)


def _evaluate_all(data: str | None, root: Path | None, output: Path | None, **options: Any) -> None:
    from dmnet.benchmark import scores

    names = [job.system.name for job in scores.jobs() if data in (None, job.system.dataset)]
    names = list(dict.fromkeys(names))
    if not names:
        raise DMNetError(f"no trained system belongs to the data set {data!r}")
    failed = scores.score_all(root, names, output, report=_say, progress=True, **options)
    _print_comparison(scores.table(output, [name for name in names if systems.get(name).published]))
    if failed:
        console.print(f"{len(failed)} could not be scored; the reasons stand above.")
        raise typer.Exit(FAILED)


def _print_comparison(frame: "pd.DataFrame") -> None:
    """Print the published and the measured scores, a line for each: 80 characters hold no more."""
    columns = ("published", "measured", "difference")
    table = Table(box=None, pad_edge=False, collapse_padding=True)
    for title in ("system", "protocol"):
        table.add_column(title, no_wrap=True)
    for title in columns:
        table.add_column(title, justify="right", no_wrap=True)
    for name, row in frame.iterrows():
        for prefix in ("", "ms+flip "):
            if row[f"{prefix}published"] != "–":
                table.add_row(str(name), prefix or "single", *(row[prefix + column] for column in columns))
    if table.row_count:
        console.print(table)


def _say(line: str) -> None:
    console.print(line, soft_wrap=True)


def _print_table(frame: "pd.DataFrame") -> None:
    """Print any table of the package, its percentages with two decimals."""
    table = Table(box=None)
    table.add_column(str(frame.index.name), no_wrap=True)
    for column in frame.columns:
        table.add_column(str(column), justify="right")
    for name, *values in frame.itertuples():
        table.add_row(str(name), *(_cell(value) for value in values))
    console.print(table)


def _cell(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
