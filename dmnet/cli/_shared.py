"""What the commands share: the application, its errors and options, how data and models are found, tables."""

import re
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from typer.core import TyperGroup

from dmnet import systems
from dmnet.errors import DataError, DMNetError

if TYPE_CHECKING:
    from dmnet.model import DMNet
    from dmnet.systems import Evaluation

FAILED = 2  # exit code

console = Console(highlight=False, markup=False, emoji=False)  # names of classes and files are no markup


def say(text: str) -> None:
    """Print a line that may hold a path, which is not to be broken."""
    console.print(text, soft_wrap=True)


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

# Options and arguments of several commands -----------------------------------------------------------------

SystemOrFile = Annotated[str, typer.Argument(help="Name of a system, or a .safetensors file of our own.")]
Data = Annotated[
    str | None,
    typer.Option(help="Name of a data set, or a folder of images and masks. Default: the system's own."),
]
DataRoot = Annotated[
    Path | None,
    typer.Option("--data-root", help="Where a data set that is named lies. Default: the data folder."),
]
Weights = Annotated[Path | None, typer.Option(help="Checkpoint to load instead of the system's own.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ... or auto.")]
Protocol = Annotated[
    str | None, typer.Option(help=f"{', '.join(systems.PROTOCOLS)}. Default: published, the system's own.")
]
Window = Annotated[str | None, typer.Option(metavar="HxW", help="Slide a window of that many pixels.")]
Stride = Annotated[str | None, typer.Option(metavar="HxW", help="Of the window. Default: two thirds.")]
Scales = Annotated[str | None, typer.Option(metavar="A,B,...", help="Average over these scales.")]
Flip = Annotated[bool | None, typer.Option("--flip/--no-flip", help="Average with the mirrored image.")]


def pair(option: str, text: str | None) -> tuple[int, int] | None:
    """Read "512x1024": height and width; one number is both."""
    if text is None:
        return None
    if not (match := re.fullmatch(r"(\d+)(?:x(\d+))?", text)):
        raise DMNetError(f"{option} wants HEIGHTxWIDTH in pixels, e.g. 512x1024, got {text!r}")
    return int(match[1]), int(match[2] or match[1])


def chosen(
    model: "DMNet",
    protocol: str | None,
    window: str | None,
    stride: str | None,
    scales: str | None,
    flip: bool | None,
) -> "Evaluation | None":
    """Return the protocol that the options ask for; None is the system's own."""
    if (protocol, window, stride, scales, flip) == (None,) * 5:
        return None
    if model.system is None:
        raise DMNetError("the weight file does not say which system it belongs to, so it has no protocols")
    try:
        factors = None if scales is None else tuple(float(part) for part in scales.split(","))
    except ValueError:
        raise DMNetError(f"--scales wants numbers with commas between them, got {scales!r}") from None
    size, step = pair("--window", window), pair("--stride", stride)
    return systems.protocol(
        model.system, protocol or "published", window=size, stride=step, scales=factors, flip=flip
    )


def load_data(data: str, split: str, root: Path | None = None) -> Any:
    """Return the data set of that name, which lies in `root`, or that folder, as its contents show."""
    from dmnet import datasets

    if data == "folder" and root is None:
        raise DataError("this system has no data set of its own: give your folder, --data FOLDER")
    if data in datasets.names():
        return datasets.load(data, root, split)
    if not Path(data).is_dir():
        raise DataError(f"{data} is neither a folder nor a data set; there are {', '.join(datasets.names())}")
    if root is not None:
        raise DataError(f"--data {data} is a folder: leave out --data-root {root}, or name a data set")
    return datasets.load(datasets.layout_of(data), data, split)


def load_model(system: str, weights: Path | None, device: str) -> "DMNet":
    """Return a trained model on a device."""
    from dmnet import zoo
    from dmnet.model import build_model, pick_device

    target = pick_device(device)
    if weights is None:
        return zoo.load_pretrained(system).to(target)
    model = build_model(system)
    zoo.load_checkpoint(model, weights)
    return model.to(target)


# Tables ----------------------------------------------------------------------------------------------------


def print_table(columns: Iterable[str], rows: Iterable[Iterable[Any]], align: str = "right") -> None:
    """Print rows under their columns; numbers that are no integers get two decimals."""
    first, *others = columns
    table = Table(box=None, pad_edge=False, collapse_padding=True)
    table.add_column(first, no_wrap=True)
    for column in others:
        table.add_column(column, justify="right" if align == "right" else "left", no_wrap=align == "right")
    for row in rows:
        table.add_row(*(f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row))
    console.print(table)


def print_scores(matrix: Any, classes: tuple[str, ...]) -> None:
    """Print the scores of every class, those of the whole set, and why a class has 0 or NaN."""
    frame = matrix.table(classes)
    columns = ["IoU", "accuracy", "precision"]
    rows = (
        [name, *("<0.01" if 0 < value < 0.005 else value for value in values)]  # "0.00" is nothing at all
        for name, *values in frame[columns].itertuples()
    )
    print_table(["class", *(f"{column} %" for column in columns)], rows)
    console.print(f"mIoU {matrix.miou():.2%}, pixel accuracy {matrix.pixel_accuracy():.2%}")
    reasons = {name: why for name, why in frame["why"].items() if why}
    if reasons:
        console.print("Why an IoU is 0 or NaN:")
    for name, why in reasons.items():
        say(f"  {name}: {why}")
