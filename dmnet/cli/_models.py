"""`dmnet systems | download | predict | export`: what can be built, and what is done with one network."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from dmnet import systems
from dmnet.cli._shared import (
    FAILED,
    Device,
    Flip,
    Protocol,
    Scales,
    Stride,
    SystemOrFile,
    Weights,
    Window,
    app,
    chosen,
    complain,
    console,
    load_model,
    pair,
    print_table,
    say,
)  # fmt: skip
from dmnet.errors import DataError
from dmnet.files import atomic_write


@app.command("systems")
def list_systems(
    name: Annotated[str | None, typer.Argument(help="Show everything about this one.")] = None,
) -> None:
    """List what can be built, or show all settings of one system."""
    if name is None:
        rows = []
        for system in map(systems.get, systems.names()):
            a, published = system.architecture, system.published
            score = f"{published.miou:.2f}" if published else ""
            weights = "here" if system.weights else "download" if published else "none"
            rows.append((system.name, a.backbone, a.output_stride, score, weights))
        print_table(("system", "backbone", "stride", "mIoU", "weights"), rows)
        console.print("mIoU in percent as published, at one scale. `dmnet systems NAME` tells more.")
        return
    system = systems.get(name)
    for part in ("architecture", "recipe", "evaluation", "published"):
        if (settings := getattr(system, part)) is not None:
            print_table(
                (part, ""), ((f"  {key}", str(value)) for key, value in asdict(settings).items()), "left"
            )
            console.print()
    classes = f"{len(system.classes)} classes" if system.classes else "your own, with its classes.txt"
    console.print(f"Data set: {system.dataset}, {classes}")
    if system.departures:
        console.print(f"\nWhere it departs from the published network: {system.departures}")


@app.command()
def download(
    name: Annotated[str, typer.Argument(help="Name of a system (see `dmnet systems`).")],
) -> None:
    """Fetch, verify and convert a system's published weights."""
    from dmnet import zoo

    zoo.load_pretrained(systems.get(name).name)
    console.print(f"{name} is ready.")


@app.command()
def predict(
    system: SystemOrFile,
    images: Annotated[list[Path], typer.Argument(help="Images of any size.")],
    output: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("predictions"),
    weights: Weights = None,
    protocol: Protocol = None,
    window: Window = None,
    stride: Stride = None,
    scales: Scales = None,
    flip: Flip = None,
    device: Device = "auto",
) -> None:
    """Segment images: for each a label map (palette PNG) and an overlay with a legend."""
    stem, count = Counter(path.stem for path in images).most_common(1)[0]
    if count > 1:
        raise DataError(f"two images are called {stem}; predict them into folders of their own")
    from dmnet import inference
    from dmnet.classes import label_image
    from dmnet.images import read_image
    from dmnet.plots import class_list, overlay

    model = load_model(system, weights, device)
    how = chosen(model, protocol, window, stride, scales, flip)
    names, palette = class_list(model)
    failed = False
    for path in images:
        try:
            image = read_image(path)
            labels = inference.predict(model, image, protocol=how)
        except DataError as error:  # one bad image must not cost the others
            complain(error)
            failed = True
            continue
        results = {
            output / f"{path.stem}_labels.png": label_image(labels, palette),
            output / f"{path.stem}_overlay.png": overlay(image, labels, palette, legend=names),
        }
        for target, result in results.items():
            with atomic_write(target) as temporary:
                result.save(temporary)
            say(f"{path} -> {target}")
    if failed:
        raise typer.Exit(FAILED)


@app.command()
def export(
    system: SystemOrFile,
    output: Annotated[Path, typer.Argument(help="File to write, by custom *.onnx.")],
    weights: Weights = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="HxW", help="Fix the image's size, for runtimes that ask for it. Default: any."),
    ] = None,
    inner: Annotated[
        bool, typer.Option("--inner", help="Also filters and responses, and inputs for other filters.")
    ] = False,
) -> None:
    """Write a system as ONNX, for runtimes other than PyTorch; compared with PyTorch before it is kept."""
    from dmnet import export as onnx_export

    done = onnx_export.export(
        load_model(system, weights, "cpu"), output, size=pair("--size", size), inner=inner
    )
    taken = "images of any size" if done.size is None else f"images of {done.size[0]} x {done.size[1]} pixels"
    say(f"{done.path}: {done.bytes / 1e6:.2f} MB, {taken}, within {done.difference:.0e} of PyTorch")
