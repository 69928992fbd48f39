"""`dmnet evaluate | submit`: scores of one system or of all, and predictions for evaluation servers."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from dmnet import systems
from dmnet.cli._shared import (
    FAILED,
    Data,
    DataRoot,
    Device,
    Flip,
    Protocol,
    Scales,
    Stride,
    SystemOrFile,
    Weights,
    Window,
    app,
    chosen,
    console,
    load_data,
    load_model,
    print_scores,
    print_table,
    say,
)  # fmt: skip
from dmnet.errors import DMNetError
from dmnet.files import atomic_write


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
    batch_size: Annotated[int, typer.Option(min=1, help="Images that a GPU computes at once.")] = 1,
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
    speed: dict[str, Any] = {"batch_size": batch_size, "workers": workers, "progress": True}
    given = (split, weights, protocol, window, stride, scales, flip, boundaries or None, sizes or None)
    if every:
        if system is not None or given != (None,) * len(given):
            raise DMNetError("--all scores every system by its published protocol: leave the rest out")
        if "WORLD_SIZE" in os.environ:
            raise DMNetError("--all scores one system after the other: start it without torchrun")
        return _evaluate_all(data, data_root, output, parts=parts, device=device, **speed)
    if system is None:
        raise DMNetError("name a system (`dmnet systems` lists them) or a weight file, or ask for --all")
    from dmnet import inference
    from dmnet.analysis.boundaries import BoundaryIoU, Trimap
    from dmnet.analysis.object_sizes import ObjectSizes

    with _process_group(device) as place:
        model = load_model(system, weights, place)
        if data is None and model.system is None:
            raise DMNetError("the weight file does not say which data set it belongs to: give --data")
        dataset = load_data(data or (model.system.dataset if model.system else ""), split or "val", data_root)
        how, classes = chosen(model, protocol, window, stride, scales, flip), dataset.classes
        more = [Trimap(len(classes)), BoundaryIoU(len(classes))] if boundaries else []
        more += [ObjectSizes(len(classes))] if sizes else []
        start = time.perf_counter()
        matrix = inference.evaluate(model, dataset, protocol=how, metrics=more, **speed)
        seconds = time.perf_counter() - start
        print_scores(matrix, classes)
        for metric in more:
            frame = metric.table(classes) if isinstance(metric, BoundaryIoU) else metric.table()
            print_table([str(frame.index.name), *map(str, frame.columns)], frame.itertuples())
        console.print(f"{len(dataset) / seconds:.2f} images/s")
        if output is not None and not console.quiet:
            with atomic_write(output) as temporary:
                matrix.table(classes).to_csv(temporary, float_format="%.4f")
            say(f"Written: {output}")


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


def _evaluate_all(data: str | None, root: Path | None, output: Path | None, **options: Any) -> None:
    from dmnet.benchmark import scores

    names = [job.system.name for job in scores.jobs() if data in (None, job.system.dataset)]
    names = list(dict.fromkeys(names))
    if not names:
        raise DMNetError(f"no trained system belongs to the data set {data!r}")
    failed = scores.score_all(root, names, output, report=say, **options)
    frame = scores.table(output, [name for name in names if systems.get(name).published])
    columns = ("published", "measured", "difference")
    rows = [  # a line for each protocol: 80 characters hold no more
        (name, prefix or "single", *(row[prefix + column] for column in columns))
        for name, row in frame.iterrows()
        for prefix in ("", "ms+flip ")
        if row.get(f"{prefix}published", "–") != "–"
    ]
    if rows:
        print_table(("system", "protocol", *columns), rows)
    if failed:
        console.print(f"{len(failed)} could not be scored; the reasons stand above.")
        raise typer.Exit(FAILED)


@app.command()
def submit(
    system: SystemOrFile,
    output: Annotated[Path, typer.Option(help="Folder for the label maps and the archive.")],
    data: Annotated[
        str | None, typer.Option(help="voc, ade20k or cityscapes. Default: the system's own.")
    ] = None,
    data_root: DataRoot = None,
    split: Annotated[str, typer.Option(help="What to predict.")] = "test",
    weights: Weights = None,
    protocol: Protocol = None,
    window: Window = None,
    stride: Stride = None,
    scales: Scales = None,
    flip: Flip = None,
    device: Device = "auto",
) -> None:
    """Predict a test set and pack it for the evaluation server of VOC, ADE20K or Cityscapes."""
    from dmnet import datasets
    from dmnet.benchmark import submissions
    from dmnet.datasets.files import FileDataset

    model = load_model(system, weights, device)
    name = data or (model.system.dataset if model.system else "")
    if name not in submissions.FORMATS:
        known = ", ".join(submissions.FORMATS)
        raise DMNetError(f"there is no server for {name or 'this weight file'}; --data may be {known}")
    dataset = cast(FileDataset, datasets.load(name, data_root, split, labelled=False))
    how = chosen(model, protocol, window, stride, scales, flip)
    archive = submissions.write_submission(model, dataset, output, protocol=how, progress=True)
    say(f"{len(dataset)} label maps, packed: {archive}")
