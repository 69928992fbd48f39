"""`dmnet export`."""

from pathlib import Path
from typing import Annotated

import typer

from dmnet.cli._protocol import pair
from dmnet.cli._shared import SystemOrFile, Weights, app, console, load_model


@app.command()
def export(
    system: SystemOrFile,
    output: Annotated[Path, typer.Argument(help="File to write, by custom *.onnx.")],
    weights: Weights = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="HxW", help="Fix the image's size, for runtimes that ask for it. Default: any."),
    ] = None,
    inner: Annotated[
        bool, typer.Option("--inner", help="Also filters and responses, and inputs for other filters.")
    ] = False,
) -> None:
    """Write a system as ONNX, for runtimes other than PyTorch; compared with PyTorch before it is kept."""
    from dmnet import export as onnx_export

    model = load_model(system, weights, "cpu")
    done = onnx_export.export(model, output, size=pair("--size", size), inner=inner)
    taken = "images of any size" if done.size is None else f"images of {done.size[0]} x {done.size[1]} pixels"
    console.print(
        f"{done.path}: {done.bytes / 1e6:.2f} MB, {taken}, within {done.difference:.0e} of PyTorch",
        soft_wrap=True,
    )
