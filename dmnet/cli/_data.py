"""`dmnet data prepare | convert | draw | check`."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dmnet.cli._shared import FAILED, DataRoot, app, console, load_data, print_table, say
from dmnet.errors import DataError
from dmnet.files import atomic_write

if TYPE_CHECKING:
    from dmnet.doctor import Report

COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}
QUICK = 24  # masks per split: what training looks at before it starts

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

    prepared = prepare(name, root, archives=archives, mirror=mirror, verify=not unverified, say=say)
    say(f"{prepared.title} in {prepared.folder}")
    rows = ((split, f"{found:,}", f"{official:,}") for split, (found, official) in prepared.counts.items())
    print_table(("split", "examples", "published"), rows)
    if any(found != official for found, official in prepared.counts.values()):
        say("These are other numbers than the published: if it is no part by intent, prepare it again.")
    for archive in prepared.archives:
        say(f"No longer needed: {archive} ({archive.stat().st_size:,} bytes)")
    place = "" if root is None else f' --data-root "{prepared.folder}"'
    say(f"Next: dmnet data check {name}{place}")


@data_app.command("convert")
def convert_data(
    source: Annotated[Path, typer.Argument(help="Folder with labels of another program; stays as it is.")],
    output: Annotated[Path, typer.Argument(help="Folder to make.")],
    kind: Annotated[
        str | None,
        typer.Option("--from", help="cvat, colours, values, roboflow, labelme, coco, yolo. Default: a guess"),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(help="For colours and values: lines `name r,g,b` or `name value`; (ignored) is void."),
    ] = None,
) -> None:
    """Make a data set of label maps from labels of another program; data/README.md describes them."""
    from dmnet.prepare.convert import convert

    made = convert(source, output, kind, table)
    say(f"{source} was {'read' if kind else 'recognised'} as {made.kind}; {output} is new:")
    rows = ((*row[:3], f"{row[3]:,}", f"{row[4]:,}") for row in made.table.itertuples(index=False))
    print_table(made.table.columns, rows)
    for note in made.notes:
        say(f"{note[0].upper()}{note[1:]}.")
    say(", ".join(f"{split}: {count} images" for split, count in made.counts.items()))
    say(f"Next: dmnet data check {shlex.quote(str(output))}")


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
    from dmnet.worlds import DemoDataset, write_layout

    drawn = [DemoDataset(name, part, size=size, seed=seed) for part in split or ["train", "val"]]
    folder = write_layout(drawn, output, layout)
    say(f"{sum(map(len, drawn))} scenes in {folder}")


@data_app.command("check")
def check_data(
    data: Annotated[str, typer.Argument(help="Name of a data set, or its folder.")],
    split: Annotated[list[str] | None, typer.Option(help="May be repeated. Default: train and val.")] = None,
    data_root: DataRoot = None,
    quick: Annotated[bool, typer.Option("--quick", help="Read a few masks of each split only.")] = False,
    pictures: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Draw examples and the classes' shares into this folder."),
    ] = None,
) -> None:
    """Look for the usual mistakes in images and masks, and say how to mend each."""
    from dmnet import doctor

    sets, missing = [], []
    for name in split or ("train", "val"):
        try:
            sets.append(load_data(data, name, data_root))
        except DataError as error:
            if split:
                raise
            missing.append(error)
    if not sets:
        raise missing[0]
    for why in missing:
        console.print(f"Not checked: {why}", style="yellow", soft_wrap=True)
    report = doctor.examine(sets, limit=QUICK if quick else None)
    frame = report.table().astype(object)
    rows = (
        [name, *("" if str(cell) == "<NA>" else cell for cell in row)] for name, *row in frame.itertuples()
    )
    print_table(["class", *frame.columns], rows)
    for finding in report.findings:
        first, *rest = str(finding).splitlines()
        console.print(f"\n{first}", style=COLOURS[finding.severity], soft_wrap=True)
        for line in rest:
            say(line)
    if coded := [finding.split for finding in report.findings if finding.code]:
        dataset = next(one for one in sets if one.split == coded[0])
        say("\nBefore the remedies' lines of Python come:")
        say("    import numpy as np")
        say("    from dmnet.datasets import load")
        say("    from dmnet.doctor import mending")
        say(f"    dataset = load({dataset.name!r}, {str(dataset.root)!r}, {dataset.split!r})  # and so on")
        say("The masks as they were are kept beside the new ones.\n")
    if pictures is not None:
        _draw(report, sets, pictures)
    counts = [f"{part.split}: {part.examined} of {part.size} examples read" for part in report.splits]
    kinds = {kind: sum(finding.severity == kind for finding in report.findings) for kind in COLOURS}
    found = ", ".join(f"{count} {kind}{'s' * (count > 1)}" for kind, count in kinds.items() if count)
    say(f"{', '.join(counts)}; {found or 'nothing wrong was found'}.")
    if report.errors:
        raise typer.Exit(FAILED)


def _draw(report: "Report", sets: list[Any], folder: Path) -> None:
    """Save a sheet of examples per split, and the classes' shares."""
    import matplotlib as mpl

    from dmnet import doctor

    figures = {}
    with mpl.rc_context({"backend": "Agg"}):
        for dataset in sets:
            try:
                figures[f"{dataset.split}.png"] = doctor.pictures(dataset)
            except DataError as error:
                console.print(f"No pictures of {dataset.split}: {error}", style="yellow", soft_wrap=True)
        if any(part.pixels.any() for part in report.splits):
            figures["class_shares.png"] = doctor.shares(report, sets[0].palette)
        for name, figure in figures.items():
            with atomic_write(folder / name) as temporary:
                figure.savefig(temporary, dpi=150)
    if figures:
        say(f"{', '.join(figures)} are in {folder}")
