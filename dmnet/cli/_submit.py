"""`dmnet submit`."""

from pathlib import Path
from typing import Annotated, cast

import typer

from dmnet.cli._protocol import Flip, Protocol, Scales, Stride, Window, chosen
from dmnet.cli._shared import DataRoot, Device, SystemOrFile, Weights, app, console, load_model
from dmnet.errors import DMNetError


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

    model = load_model(system, weights, device)
    name = data or (model.system.dataset if model.system else "")
    if name not in submissions.FORMATS:
        known = ", ".join(submissions.FORMATS)
        raise DMNetError(f"there is no server for {name or 'this weight file'}; --data may be {known}")
    dataset = cast(datasets.FileDataset, datasets.load(name, data_root, split, labelled=False))
    how = chosen(model, protocol, window, stride, scales, flip)
    archive = submissions.write_submission(model, dataset, output, protocol=how, progress=True)
    console.print(f"{len(dataset)} label maps, packed: {archive}", soft_wrap=True)
