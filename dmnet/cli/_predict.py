"""`dmnet predict` and `dmnet download`."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dmnet import systems
from dmnet.cli._protocol import Flip, Protocol, Scales, Stride, Window, chosen
from dmnet.cli._shared import (
    FAILED,
    Device,
    SystemName,
    SystemOrFile,
    Weights,
    app,
    complain,
    console,
    load_model,
)
from dmnet.errors import DataError
from dmnet.files import atomic_write

if TYPE_CHECKING:
    from dmnet.model import DMNet
    from dmnet.systems import Evaluation


@app.command()
def predict(
    system: SystemOrFile,
    images: Annotated[list[Path], typer.Argument(help="Pictures of any size.")],
    output: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("predictions"),
    weights: Weights = None,
    protocol: Protocol = None,
    window: Window = None,
    stride: Stride = None,
    scales: Scales = None,
    flip: Flip = None,
    device: Device = "auto",
) -> None:
    """Segment pictures: for each a label map (palette PNG) and an overlay with a legend."""
    name, count = Counter(path.stem for path in images).most_common(1)[0]
    if count > 1:
        raise DataError(f"two pictures are called {name}; predict them into folders of their own")
    model = load_model(system, weights, device)
    how = chosen(model, protocol, window, stride, scales, flip)
    failed = 0
    for path in images:
        try:
            _predict_one(model, path, output, how)
        except DataError as error:  # one bad picture must not cost the others
            complain(error)
            failed += 1
    if failed:
        raise typer.Exit(FAILED)


def _predict_one(model: "DMNet", path: Path, output: Path, protocol: "Evaluation | None") -> None:
    from dmnet import inference, plots
    from dmnet.classes import label_image
    from dmnet.images import read_image

    image = read_image(path)
    labels = inference.predict(model, image, protocol=protocol)
    names, palette = plots.class_list(model)
    pictures = {
        output / f"{path.stem}_labels.png": label_image(labels, palette),
        output / f"{path.stem}_overlay.png": plots.overlay(image, labels, palette, legend=names),
    }
    for target, picture in pictures.items():
        with atomic_write(target) as temporary:
            picture.save(temporary)
        console.print(f"{path} -> {target}", soft_wrap=True)


@app.command()
def download(name: SystemName) -> None:
    """Fetch, verify and convert a system's published weights."""
    from dmnet import zoo

    zoo.load_pretrained(systems.get(name).name)
    console.print(f"{name} is ready.")
