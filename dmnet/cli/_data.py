"""`dmnet data prepare | draw`; `check` is in `_check`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from dmnet.cli._shared import app, console
from dmnet.worlds import DemoDataset, write_layout

data_app = typer.Typer(help="Fetch, draw or check data sets.", no_args_is_help=True)
app.add_typer(data_app, name="data")


@data_app.command("prepare")
def prepare_data(
    name: Annotated[str, typer.Argument(help="voc (with trainaug), ade20k or cityscapes.")],
    root: Annotated[Path | None, typer.Option(help="Where it goes. Default: the data folder.")] = None,
    archives: Annotated[
        Path | None,
        typer.Option(
            help="Folder with archives you have, and for those to fetch. Default: archives in the root."
        ),
    ] = None,
    mirror: Annotated[
        str | None, typer.Option("--from", metavar="URL", help="Fetch archives from this address instead.")
    ] = None,
    unverified: Annotated[bool, typer.Option(help="Take archives that a mirror packed anew.")] = False,
) -> None:
    """Fetch, check and unpack a published data set; repeat it after an interruption."""
    from dmnet.prepare import prepare

    def say(text: str) -> None:
        console.print(text, soft_wrap=True)  # paths are not to be broken

    prepared = prepare(name, root, archives=archives, mirror=mirror, verify=not unverified, say=say)
    table = Table("split", box=None)
    for column in ("examples", "published"):
        table.add_column(column, justify="right")
    for split, (found, official) in prepared.counts.items():
        table.add_row(split, f"{found:,}", f"{official:,}")
    say(f"{prepared.title} in {prepared.folder}")
    console.print(table)
    if any(found != official for found, official in prepared.counts.values()):
        say("These are other numbers than the published: if it is no part by intent, prepare it again.")
    for archive in prepared.archives:
        say(f"No longer needed: {archive} ({archive.stat().st_size:,} bytes)")
    place = "" if root is None else f' --data-root "{prepared.folder}"'
    say(f"Next: dmnet data check {name}{place}")


@data_app.command("draw")
def draw_data(
    name: Annotated[str, typer.Argument(help="demo_context or demo_scale.")],
    output: Annotated[Path, typer.Option(help="Folder to make.")],
    split: Annotated[list[str] | None, typer.Option(help="May be repeated. Default: train and val.")] = None,
    size: Annotated[int | None, typer.Option(min=1, help="Scenes per split.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another data set.")] = 0,
    layout: Annotated[str, typer.Option(help="As which data set lies: voc, ade20k or cityscapes.")] = "voc",
) -> None:
    """Draw a demo data set and write it as a real one lies on disk; `--data FOLDER` reads it."""
    drawn = [DemoDataset(name, part, size=size, seed=seed) for part in split or ["train", "val"]]
    folder = write_layout(drawn, output, layout)
    console.print(f"{sum(map(len, drawn))} scenes in {folder}", soft_wrap=True)
