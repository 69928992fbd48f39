"""`dmnet train`."""

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dmnet import systems
from dmnet.cli._shared import Data, Device, SystemName, app, console, load_data, print_scores
from dmnet.errors import DMNetError

if TYPE_CHECKING:
    from dmnet.training import TrainingResult


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
            load_data(source, split),
            None if val_split == "none" else load_data(source, val_split),
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
        print_scores(result.matrix, result.model.system.classes)
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
