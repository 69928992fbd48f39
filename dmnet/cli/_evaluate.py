"""`dmnet evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from dmnet.cli._shared import (
    Data,
    Device,
    SystemOrFile,
    Weights,
    app,
    console,
    load_data,
    load_model,
    print_scores,
)
from dmnet.files import atomic_write


@app.command()
def evaluate(
    system: SystemOrFile,
    data: Data = None,
    split: Annotated[str, typer.Option(help="What to score on.")] = "val",
    weights: Weights = None,
    output: Annotated[Path | None, typer.Option(help="CSV file for the scores per class.")] = None,
    device: Device = "auto",
) -> None:
    """Score a system on a data set: IoU per class, mIoU, pixel accuracy."""
    from dmnet import inference

    model = load_model(system, weights, device)
    assert model.system is not None
    dataset = load_data(data or model.system.dataset, split)
    matrix = inference.evaluate(model, dataset, progress=True)
    print_scores(matrix, dataset.classes)
    if output is not None:
        with atomic_write(output) as temporary:
            matrix.table(dataset.classes).to_csv(temporary, float_format="%.4f")
        console.print(f"Written: {output}")
