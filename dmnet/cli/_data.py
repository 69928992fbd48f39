"""`dmnet data draw | check`."""

from pathlib import Path
from typing import Annotated

import typer

from dmnet import datasets
from dmnet.cli._shared import app, console, load_data

data_app = typer.Typer(help="Draw or check data sets.", no_args_is_help=True)
app.add_typer(data_app, name="data")


@data_app.command("draw")
def draw_data(
    name: Annotated[str, typer.Argument(help="demo_context or demo_scale.")],
    output: Annotated[Path, typer.Option(help="Folder to make.")],
    split: Annotated[list[str] | None, typer.Option(help="May be repeated. Default: train and val.")] = None,
    size: Annotated[int | None, typer.Option(min=1, help="Scenes per split.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another data set.")] = 0,
) -> None:
    """Draw a demo data set and write it in VOC's folder layout."""
    drawn = [datasets.DemoDataset(name, part, size=size, seed=seed) for part in split or ["train", "val"]]
    folder = datasets.write_voc_layout(drawn, output)
    console.print(f"{sum(map(len, drawn))} scenes in {folder}")


@data_app.command("check")
def check_data(
    data: Annotated[str, typer.Argument(help="Name of a data set, or a folder in VOC's layout.")],
    split: Annotated[str, typer.Option(help="What to check.")] = "train",
) -> None:
    """Read every picture and mask, and list all that is wrong."""
    dataset = load_data(data, split)
    if isinstance(dataset, datasets.FileDataset):
        dataset.check()
    console.print(f"{len(dataset)} examples of {len(dataset.classes)} classes: all can be read.")
