"""What the commands share: the application, its errors and options, how data and models are found, tables."""

import re
import shlex
import sys
import warnings
from functools import partial
from io import TextIOWrapper
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich.console import Console
from typer import Argument, Exit, Option, Typer
from typer.core import TyperGroup

from dmnet import datasets, systems
from dmnet.errors import DataError, DMNetError

if TYPE_CHECKING:
    from dmnet.model import DMNet
    from dmnet.systems import Evaluation

FAILED = 2  # exit code

console = Console(highlight=False, markup=False, emoji=False)  # names of classes and files are no markup
say = partial(console.print, soft_wrap=True)  # lines that may hold a path, which is not to be broken


def complain(error: Exception) -> None:
    """Print an error, one red line, to the standard error."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"Error: {error}", style="red", markup=False)


def warning_text(message: Any, category: type[Warning], filename: str, lineno: int, line: Any = None) -> str:
    """Return what the package warns of as it is, without the line of code that it was told to."""
    if category is not UserWarning:  # of a library: for programmers
        return f"{filename}:{lineno}: {category.__name__}: {message}\n"
    text = str(message)
    return f"{text}\n" if text.startswith("warning ") else f"warning: {text}\n"


class Commands(TyperGroup):
    """Commands whose expected errors are one red line, not a traceback; warnings are text, too."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        for stream in (sys.stdout, sys.stderr):  # a name that cannot be printed must not end the work
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        usual, warnings.formatwarning = warnings.formatwarning, warning_text
        try:
            return super().invoke(ctx)
        except (DMNetError, OSError) as error:
            complain(error)
            raise Exit(FAILED) from None
        finally:
            warnings.formatwarning = usual


app = Typer(
    cls=Commands,
    help="Semantic segmentation with dynamic multi-scale filters.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

SYSTEM = "Name of a system, a run's folder, or a weight file of our own."
SystemOrFile = Annotated[str, Argument(help=SYSTEM)]
Data = Annotated[str | None, Option(help="Name of a data set, or its folder. Default: the system's own.")]
DataRoot = Annotated[Path | None, Option(help="Where the named data set lies. Default: the data folder.")]
Weights = Annotated[Path | None, Option(help="Checkpoint to load instead of the system's own.")]
Device = Annotated[str, Option(help="cpu, cuda, cuda:1, ... or auto.")]
Protocol = Annotated[str | None, Option(help=f"{', '.join(systems.PROTOCOLS)}. Default: published.")]
Window = Annotated[str | None, Option(metavar="HxW", help="Slide a window of that many pixels.")]
Stride = Annotated[str | None, Option(metavar="HxW", help="Of the window. Default: two thirds.")]
Scales = Annotated[str | None, Option(metavar="A,B,...", help="Average over these scales.")]
Precision = Annotated[str, Option(help="fp32, bf16 or, on a GPU, fp16: in what convolutions multiply.")]
Flip = Annotated[bool | None, Option("--flip/--no-flip", help="Average with the mirrored image.")]


def pair(option: str, text: str | None) -> tuple[int, int] | None:
    """Read "512x1024": height and width; one number is both."""
    if text is None:
        return None
    if not (match := re.fullmatch(r"(\d+)(?:x(\d+))?", text)):
        raise DMNetError(f"{option} wants HEIGHTxWIDTH in pixels, e.g. 512x1024, got {text!r}")
    return int(match[1]), int(match[2] or match[1])


def chosen(model: "DMNet", protocol: str | None, *options: Any) -> "Evaluation | None":
    """Return the protocol that window, stride, scales and flip ask for; None is the system's own."""
    if {protocol, *options} == {None}:
        return None
    if model.system is None:
        raise DMNetError("the weight file does not say which system it belongs to, so it has no protocols")
    window, stride, scales, flip = options
    try:
        factors = None if scales is None else tuple(map(float, scales.split(",")))
    except ValueError:
        raise DMNetError(f"--scales wants numbers with commas between them, got {scales!r}") from None
    size, step = pair("--window", window), pair("--stride", stride)
    return systems.protocol(
        model.system, protocol or "published", window=size, stride=step, scales=factors, flip=flip
    )


def load_data(data: str, split: str, root: Path | str | None = None) -> Any:
    """Return the data set of that name, which lies in `root`, or that folder, as its contents show."""
    if data in datasets.NAMES and root is None and Path(data).is_dir():
        warnings.warn(f"{data} is the name of a data set here; the folder is ./{data}", stacklevel=2)
    if data == "folder" and root is None:
        raise DataError("this system has no data set of its own: give your folder, --data FOLDER")
    if data in datasets.NAMES:
        return datasets.load(data, root, split)
    if not Path(data).is_dir():
        raise DataError(f"{data} is no folder here, nor one of {', '.join(datasets.NAMES)}: --data FOLDER")
    if root is not None:
        raise DataError(f"--data {data} is a folder: leave out --data-root {root}, or name a data set")
    return datasets.load(datasets.layout_of(data), data, split)


def load_model(system: str, weights: Path | None, device: str) -> "DMNet":
    """Return a trained model on a device, as its weights describe it if they name this very system."""
    from dmnet import zoo
    from dmnet.model import pick_device

    target = pick_device(device)
    if system in systems.names() and (Path(system) / "config.json").is_file():
        warnings.warn(f"{system} is the name of a system here; the run is ./{system}", stacklevel=2)
    return zoo.load_pretrained(system, weights).to(target)


def command(*words: Any) -> str:
    """Return a command ready to be pasted; a path that is called as a system or data set begins with ./."""
    names = (*systems.names(), *datasets.NAMES)
    texts = [f"./{word}" if isinstance(word, Path) and str(word) in names else str(word) for word in words]
    return shlex.join(["dmnet", *texts])


def say_next(*words: Any) -> None:
    """Print the command that usually comes next."""
    say(f"Next: {command(*words)}")


def say_predict(dataset: Any, *words: Any) -> None:
    """Print how to predict the images of a data set, unless it is drawn."""
    if hasattr(dataset, "image_file"):
        say_next("predict", *words, dataset.image_file(dataset.ids[0]).parent)


def unused(folder: Path) -> Path:
    """Return the folder, or where there is one, the first of folder-2, folder-3, ... that there is not."""
    names = (folder.with_name(f"{folder.name}-{number}") for number in count(2))
    return next(path for path in chain([folder], names) if not path.exists())


def print_table(frame: Any) -> None:
    """Print a pandas table; numbers that are no integers get two decimals, unless little would be nothing."""
    frame = frame.rename_axis(index=None, columns=frame.index.name)  # its name stands above the index, then
    say(frame.to_string(float_format=lambda value: "<0.01" if 0 < value < 0.005 else f"{value:.2f}"))


def print_scores(matrix: Any, classes: tuple[str, ...]) -> None:
    """Print the scores of every class, those of the whole set, and why a class has 0 or NaN."""
    frame = matrix.table(classes)
    print_table(frame[["IoU", "accuracy", "precision"]].add_suffix(" %"))
    console.print(f"mIoU {matrix.miou():.2%}, pixel accuracy {matrix.pixel_accuracy():.2%}")
    if reasons := [f"  {name}: {why}" for name, why in frame["why"].items() if why]:
        say("\n".join(["Why an IoU is 0 or NaN:", *reasons]))
