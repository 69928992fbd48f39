"""What the commands share: the application, its errors and arguments, how data and models are found."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from typer.core import TyperGroup

from dmnet import datasets
from dmnet.errors import DataError, DMNetError

if TYPE_CHECKING:
    from dmnet.model import DMNet

FAILED = 2  # exit code

console = Console(highlight=False, markup=False, emoji=False)  # names of classes and files are no markup


def complain(error: Exception) -> None:
    """Print an error, one red line, to the standard error."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"Error: {error}", style="red", markup=False)


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Write what the package warns of as it is, without the line of code that it was told to."""
    usual = warnings.formatwarning

    def written(message: Any, category: type[Warning], *where: Any, **more: Any) -> str:
        if category is not UserWarning:  # of a library: for programmers
            return usual(message, category, *where, **more)
        text = str(message)
        return f"{text}\n" if text.startswith("warning ") else f"warning: {text}\n"

    warnings.formatwarning = written
    try:
        yield
    finally:
        warnings.formatwarning = usual


class Commands(TyperGroup):
    """Commands whose expected errors are one red line, not a traceback; warnings are text, too."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        for stream in (sys.stdout, sys.stderr):  # a name that cannot be printed must not end the work
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        try:
            with plain_warnings():
                return super().invoke(ctx)
        except (DMNetError, OSError) as error:
            complain(error)
            raise typer.Exit(FAILED) from None


app = typer.Typer(
    cls=Commands,
    help="Semantic segmentation with dynamic multi-scale filters.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

SystemName = Annotated[str, typer.Argument(help="Name of a system (see `dmnet systems`).")]
SystemOrFile = Annotated[str, typer.Argument(help="Name of a system, or a .safetensors file of our own.")]
Data = Annotated[
    str | None,
    typer.Option(help="Name of a data set, or a folder of pictures and masks. Default: the system's own."),
]
DataRoot = Annotated[
    Path | None,
    typer.Option("--data-root", help="Where a data set that is named lies. Default: the data folder."),
]
Weights = Annotated[Path | None, typer.Option(help="Checkpoint to load instead of the system's own.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ... or auto.")]


def load_data(data: str, split: str, root: Path | None = None) -> Any:
    """Return the data set of that name, which lies in `root`, or that folder, as its contents show."""
    if data == "folder" and root is None:
        raise DataError("this system has no data set of its own: give your folder, --data FOLDER")
    if data in datasets.names():
        return datasets.load(data, root, split)
    if Path(data).is_dir():
        if root is not None:
            raise DataError(f"--data {data} is a folder: leave out --data-root {root}, or name a data set")
        return datasets.load(datasets.layout_of(data), data, split)
    raise DataError(f"{data} is neither a folder nor a data set; there are {', '.join(datasets.names())}")


def load_model(system: str, weights: Path | None, device: str) -> "DMNet":
    """Return a trained model on a device."""
    from dmnet import zoo
    from dmnet.model import build_model
    from dmnet.training import pick_device

    target = pick_device(device)
    if weights is None:
        return zoo.load_pretrained(system).to(target)
    model = build_model(system)
    zoo.load_checkpoint(model, weights)
    return model.to(target)


def print_scores(matrix: Any, classes: tuple[str, ...]) -> None:
    """Print the scores of every class, those of the whole set, and why a class has 0 or NaN."""
    frame = matrix.table(classes)
    table = Table("class", box=None)
    for column in ("IoU %", "accuracy %", "precision %"):
        table.add_column(column, justify="right")
    for name, row in frame.iterrows():
        table.add_row(str(name), *(_percent(row[c]) for c in ("IoU", "accuracy", "precision")))
    console.print(table)
    console.print(f"mIoU {matrix.miou():.2%}, pixel accuracy {matrix.pixel_accuracy():.2%}")
    reasons = {str(name): why for name, why in frame["why"].items() if why}
    if reasons:
        console.print("Why an IoU is 0 or NaN:")
    for name, why in reasons.items():
        console.print(f"  {name}: {why}", soft_wrap=True)


def _percent(value: float) -> str:
    """Write a percentage; "0.00" is nothing at all."""
    return "<0.01" if 0 < value < 0.005 else f"{value:.2f}"
