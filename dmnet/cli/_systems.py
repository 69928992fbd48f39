"""`dmnet systems`: what can be built."""

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Table

from dmnet import systems
from dmnet.cli._shared import app, console


@app.command("systems")
def list_systems(
    name: Annotated[str | None, typer.Argument(help="Show everything about this one.")] = None,
) -> None:
    """List what can be built, or show all settings of one system."""
    if name is None:
        _print_systems()
        return
    system = systems.get(name)
    for part in ("architecture", "recipe", "evaluation", "published"):
        if getattr(system, part) is not None:
            _print_fields(part, asdict(getattr(system, part)))
    classes = f"{len(system.classes)} classes" if system.classes else "your own, with its classes.txt"
    console.print(f"Data set: {system.dataset}, {classes}")
    if system.departures:
        console.print(f"\nWhere it departs from the published network: {system.departures}")


def _print_systems() -> None:
    table = Table(box=None)
    table.add_column("system", no_wrap=True)
    for column in ("backbone", "stride", "mIoU", "weights"):
        table.add_column(column, no_wrap=True)
    for system in systems.SYSTEMS.values():
        a, published = system.architecture, system.published
        weights = "here" if system.weights else "download" if published else "none"
        score = f"{published.miou:.2f}" if published else ""
        table.add_row(system.name, a.backbone, str(a.output_stride), score, weights)
    console.print(table)
    console.print("mIoU in percent as published, at one scale. `dmnet systems NAME` tells more.")


def _print_fields(title: str, values: dict[str, Any]) -> None:
    table = Table(title, "", box=None, show_header=True)
    for name, value in values.items():
        table.add_row(f"  {name}", str(value))
    console.print(table)
    console.print()
