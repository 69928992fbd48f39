"""The command line: `dmnet systems | train | evaluate | predict | download | data`.

Each command reads its arguments, calls one function of the package and says what came of it. PyTorch takes
seconds to import, so commands import what they need when they run: `dmnet --help` answers at once.
"""

import ast
import sys
from collections import Counter
from dataclasses import asdict
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from typer.core import TyperGroup

from dmnet import datasets, systems
from dmnet.errors import DataError, DMNetError
from dmnet.files import atomic_write

if TYPE_CHECKING:
    from dmnet.model import DMNet
    from dmnet.training import TrainingResult

FAILED = 2  # exit code

console = Console(highlight=False)


def _complain(error: Exception) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"Error: {error}", style="red", markup=False)


class Commands(TyperGroup):
    """Commands whose expected errors are one red line, not a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        for stream in (sys.stdout, sys.stderr):  # a name that cannot be printed must not end the work
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        try:
            return super().invoke(ctx)
        except (DMNetError, OSError) as error:
            _complain(error)
            raise typer.Exit(FAILED) from None


app = typer.Typer(
    cls=Commands,
    help="Semantic segmentation with dynamic multi-scale filters.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Draw or check data sets.", no_args_is_help=True)
app.add_typer(data_app, name="data")

SystemName = Annotated[str, typer.Argument(help="Name of a system (see `dmnet systems`).")]
SystemOrFile = Annotated[str, typer.Argument(help="Name of a system, or a .safetensors file of our own.")]
Data = Annotated[
    str | None,
    typer.Option(help="Name of a data set, or a folder in VOC's layout. Default: the system's own."),
]
Weights = Annotated[Path | None, typer.Option(help="Checkpoint to load instead of the system's own.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ... or auto.")]


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


@app.command()
def train(
    system: SystemName,
    run: Annotated[Path, typer.Option(help="Folder for log, checkpoints and weights.")],
    data: Data = None,
    split: Annotated[str, typer.Option(help="What to train on.")] = "train",
    val_split: Annotated[str, typer.Option(help="What to score on; `none` for nothing.")] = "val",
    iterations: Annotated[int | None, typer.Option(min=1, help="Steps in all.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Images per step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(min=0, help="At the start.")] = None,
    crop: Annotated[int | None, typer.Option(min=1, help="Side of the square crop, pixels.")] = None,
    no_pretrained: Annotated[
        bool, typer.Option("--no-pretrained", help="Start from random weights.")
    ] = False,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any field of `dmnet systems NAME`."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of weights, order and augmentation.")] = 0,
    evaluate_every: Annotated[int | None, typer.Option(min=1, help="Steps between scores.")] = None,
    checkpoint_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 200,
    workers: Annotated[int, typer.Option(min=0, help="Processes that load images.")] = 0,
    device: Device = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the run was left.")] = False,
) -> None:
    """Train a system; `--resume` goes on after a crash as if nothing had happened."""
    from dmnet import training

    source = data or systems.get(system).dataset
    given = {"iterations": iterations, "batch_size": batch_size, "learning_rate": learning_rate}
    overrides: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    overrides |= {} if crop is None else {"crop": (crop, crop)}
    overrides |= {"pretrained": False} if no_pretrained else {}
    overrides |= dict(_setting(text) for text in setting or [])
    try:
        result = training.train(
            system,
            _load(source, split),
            None if val_split == "none" else _load(source, val_split),
            run,
            seed=seed,
            device=device,
            workers=workers,
            evaluate_every=evaluate_every,
            checkpoint_every=checkpoint_every,
            resume=resume,
            **overrides,
        )
    except KeyboardInterrupt:
        if (run / "last.ckpt").exists():
            console.print("Interrupted. The same command with --resume goes on from the last checkpoint.")
        raise
    _print_result(result, run)


def _print_result(result: "TrainingResult", run: Path) -> None:
    assert result.model.system is not None
    if result.matrix is not None:
        _print_scores(result.matrix, result.model.system.classes)
    console.print(f"Weights: {run / 'last.safetensors'}")


def _setting(text: str) -> tuple[str, Any]:
    """Read "name=value"; a value that is no Python literal is a word."""
    name, equals, value = text.partition("=")
    if not equals:
        raise DMNetError(f"--set wants NAME=VALUE, got {text!r}")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


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

    model = _model(system, weights, device)
    assert model.system is not None
    dataset = _load(data or model.system.dataset, split)
    matrix = inference.evaluate(model, dataset, progress=True)
    _print_scores(matrix, dataset.classes)
    if output is not None:
        with atomic_write(output) as temporary:
            matrix.table(dataset.classes).to_csv(temporary, float_format="%.4f")
        console.print(f"Written: {output}")


def _print_scores(matrix: Any, classes: tuple[str, ...]) -> None:
    table = Table("class", box=None)
    for column in ("IoU %", "accuracy %", "precision %"):
        table.add_column(column, justify="right")
    for name, row in matrix.table(classes).iterrows():
        table.add_row(str(name), *(f"{row[c]:.2f}" for c in ("IoU", "accuracy", "precision")))
    console.print(table)
    console.print(f"mIoU {matrix.miou():.2%}, pixel accuracy {matrix.pixel_accuracy():.2%}")


@app.command()
def predict(
    system: SystemOrFile,
    images: Annotated[list[Path], typer.Argument(help="Pictures of any size.")],
    output: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("predictions"),
    weights: Weights = None,
    device: Device = "auto",
) -> None:
    """Segment pictures: for each a label map (palette PNG) and an overlay with a legend."""
    name, count = Counter(path.stem for path in images).most_common(1)[0]
    if count > 1:
        raise DataError(f"two pictures are called {name}; predict them into folders of their own")
    model = _model(system, weights, device)
    failed = 0
    for path in images:
        try:
            _predict_one(model, path, output)
        except DataError as error:  # one bad picture must not cost the others
            _complain(error)
            failed += 1
    if failed:
        raise typer.Exit(FAILED)


def _predict_one(model: "DMNet", path: Path, output: Path) -> None:
    from dmnet import inference
    from dmnet.datasets.classes import label_image
    from dmnet.images import read_image

    image = read_image(path)
    labels = inference.predict(model, image)
    names, palette = inference.class_list(model)
    pictures = {
        output / f"{path.stem}_labels.png": label_image(labels, palette),
        output / f"{path.stem}_overlay.png": inference.overlay(image, labels, palette, legend=names),
    }
    for target, picture in pictures.items():
        with atomic_write(target) as temporary:
            picture.save(temporary)
        console.print(f"{path} -> {target}", soft_wrap=True, markup=False)


@app.command()
def download(name: SystemName) -> None:
    """Fetch, verify and convert a system's published weights."""
    from dmnet import checkpoints

    checkpoints.load_pretrained(systems.get(name).name)
    console.print(f"{name} is ready.")


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
    dataset = _load(data, split)
    if isinstance(dataset, datasets.FolderDataset):
        dataset.check()
    console.print(f"{len(dataset)} examples of {len(dataset.classes)} classes: all can be read.")


def _load(data: str, split: str) -> Any:
    """Return the data set of that name, or that folder."""
    if data == "folder":
        raise DataError("this system has no data set of its own: give your folder, --data FOLDER")
    if data in datasets.names():
        return datasets.load(data, split=split)
    if Path(data).is_dir():
        return datasets.load("folder", data, split)
    raise DataError(f"{data} is neither a folder nor a data set; there are {', '.join(datasets.names())}")


def _model(system: str, weights: Path | None, device: str) -> "DMNet":
    """Return a trained model on a device."""
    from dmnet import checkpoints
    from dmnet.model import build_model
    from dmnet.training import pick_device

    target = pick_device(device)
    if weights is None:
        return checkpoints.load_pretrained(system).to(target)
    model = build_model(system)
    checkpoints.load_checkpoint(model, weights)
    return model.to(target)
