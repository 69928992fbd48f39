"""`dmnet data check`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from dmnet.cli._data import data_app
from dmnet.cli._shared import FAILED, DataRoot, console, load_data
from dmnet.errors import DataError
from dmnet.files import atomic_write

if TYPE_CHECKING:
    from dmnet.doctor import Finding, Report

_COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}
_QUICK = 24  # masks per split: what training looks at before it starts


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
    """Look for the usual mistakes in pictures and masks, and say how to mend each."""
    from dmnet import doctor

    sets = _splits(data, split, data_root)
    report = doctor.examine(sets, limit=_QUICK if quick else None)
    _print_shares(report)
    for finding in report.findings:
        _print_finding(finding)
    _print_preparation(report, sets)
    if pictures is not None:
        _draw(report, sets, pictures)
    counts = [f"{part.split}: {part.examined} of {part.size} examples read" for part in report.splits]
    kinds = {kind: sum(finding.severity == kind for finding in report.findings) for kind in _COLOURS}
    found = ", ".join(f"{count} {kind}{'s' * (count > 1)}" for kind, count in kinds.items() if count)
    console.print(f"{', '.join(counts)}; {found or 'nothing wrong was found'}.", soft_wrap=True)
    if report.errors:
        raise typer.Exit(FAILED)


def _splits(data: str, wanted: list[str] | None, root: Path | None) -> list[Any]:
    """Load the splits that are asked for; else those of train and val that there are."""
    if wanted:
        return [load_data(data, split, root) for split in wanted]
    sets, errors = [], []
    for split in ("train", "val"):
        try:
            sets.append(load_data(data, split, root))
        except DataError as error:
            errors.append(error)
    if not sets:
        raise errors[0]
    for why in errors:
        console.print(f"Not checked: {why}", style="yellow", soft_wrap=True)
    return sets


def _print_shares(report: "Report") -> None:
    frame = report.table()
    table = Table("class", box=None)
    for column in frame.columns:
        table.add_column(column, justify="right")
    for name, *cells in frame.itertuples():
        texts = [f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in cells]
        table.add_row(str(name), *(text.replace("<NA>", "") for text in texts))
    console.print(table)


def _print_finding(finding: "Finding") -> None:
    first, *rest = str(finding).splitlines()
    console.print(f"\n{first}", style=_COLOURS[finding.severity], soft_wrap=True)
    for line in rest:
        console.print(line, soft_wrap=True)


def _print_preparation(report: "Report", sets: list[Any]) -> None:
    """Say what the findings' lines of Python need before them."""
    splits = [finding.split for finding in report.findings if finding.code]
    if not splits:
        return
    dataset = next(one for one in sets if one.split == splits[0])
    lines = (
        "import numpy as np",
        "from dmnet.datasets import load, mending",
        f"dataset = load({dataset.name!r}, {str(dataset.root)!r}, {dataset.split!r})  # and so on",
    )
    console.print("\nBefore the remedies' lines of Python come:")
    for line in lines:
        console.print(f"    {line}", soft_wrap=True)
    console.print("The masks as they were are kept beside the new ones.\n")


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
        console.print(f"{', '.join(figures)} are in {folder}", soft_wrap=True)
