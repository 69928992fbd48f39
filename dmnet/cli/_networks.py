"""`dmnet systems | download | predict | export | evaluate | submit`: what is done with trained networks."""

import os
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from rich.pretty import pprint
from typer import Argument, Exit, Option

from dmnet import systems
from dmnet.cli import _shared as shared
from dmnet.cli._shared import FAILED, app, console, print_table, say
from dmnet.errors import DataError, DMNetError
from dmnet.files import atomic_write, progress

VIDEOS = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm")


@app.command("systems")
def list_systems(
    name: Annotated[str | None, Argument(help="Show everything about this one.")] = None,
) -> None:
    """List what can be built, or show all settings of one system."""
    if name is None:
        line = "{:<38} {:<12} {:>6}  {:>5}  {}".format
        console.print(line("system", "backbone", "stride", "mIoU", "weights"))
        for system in map(systems.get, systems.names()):
            a, published = system.architecture, system.published
            score = f"{published.miou:.2f}" if published else ""
            weights = "here" if system.weights else "download" if published else "none"
            say(line(system.name, a.backbone, a.output_stride, score, weights))
        console.print("mIoU in percent as published, at one scale. `dmnet systems NAME` tells more.")
        return
    pprint(systems.get(name), console=console, indent_guides=False, max_length=25)


@app.command()
def download(name: Annotated[str, Argument(help="Name of a system (see `dmnet systems`).")]) -> None:
    """Fetch, verify and convert a system's published weights."""
    from dmnet import zoo

    zoo.load_pretrained(systems.get(name).name)
    console.print(f"{name} is ready.")


@app.command()
def predict(
    system: shared.SystemOrFile,
    images: Annotated[list[Path], Argument(help="Images of any size, folders of images, or videos.")],
    output: Annotated[Path, Option(help="Folder for the results.")] = Path("predictions"),
    weights: shared.Weights = None,
    protocol: shared.Protocol = None,
    window: shared.Window = None,
    stride: shared.Stride = None,
    scales: shared.Scales = None,
    flip: shared.Flip = None,
    precision: shared.Precision = "fp32",
    device: shared.Device = "auto",
) -> None:
    """Segment images: for each a label map (palette PNG) and an overlay with a legend."""
    from dmnet.datasets.files import list_files

    if output.is_file():
        raise DMNetError(f"{output} is a file, but --output is a folder; leave it out, or give another")
    given, folders = images, [path for path in images if path.is_dir()]
    images = [one for path in given for one in (list_files(path).values() if path in folders else [path])]
    if not images:
        raise DataError(f"there is no image in {', '.join(map(str, folders))}")
    others = [file for path in folders for file in path.glob("[!.]*.*") if file.is_file()]
    if left := sorted(str(file) for file in set(others) - set(images)):
        say(f"{len(left)} left out, not of a kind that is read: {', '.join(left[:3])}")
    stem, count = Counter(path.stem for path in images).most_common(1)[0]
    if count > 1:
        raise DataError(f"two images are called {stem}; predict them into folders of their own")
    from dmnet import inference
    from dmnet.classes import label_image
    from dmnet.images import read_image
    from dmnet.plots import class_list, overlay

    model = shared.load_model(system, weights, device)
    how: dict[str, Any] = {"precision": precision}
    how["protocol"] = shared.chosen(model, protocol, window, stride, scales, flip)
    names, palette = class_list(model)
    failed = False
    label: Callable[[Any], Any] = partial(inference.predict, model, **how)
    for path in images:
        try:
            if path.suffix.lower() in VIDEOS:
                _predict_video(path, output, label, palette)
                continue
            image = read_image(path)
            labels = label(image)
        except DataError as error:  # one bad image must not cost the others
            shared.complain(error)
            failed = True
            continue
        for kind in ("labels", "overlay"):  # labels first: painting them over the image takes more memory
            plain = kind == "labels"
            result = label_image(labels, palette) if plain else overlay(image, labels, palette, legend=names)
            target = output / f"{path.stem}_{kind}.png"
            with atomic_write(target) as temporary:
                result.save(temporary)
            say(f"{path} -> {target}")
    if failed:
        raise Exit(FAILED)


def _predict_video(path: Path, output: Path, label: Callable[[Any], Any], palette: Any) -> None:
    """Write a label map per frame, and the video with the labels painted over it."""
    import cv2
    import numpy as np

    from dmnet.classes import label_image
    from dmnet.plots import overlay

    video, target = cv2.VideoCapture(str(path)), output / f"{path.stem}_overlay.mp4"
    there, frame = video.read()
    if not there:
        raise DataError(f"{path} is missing, or OpenCV cannot decode it; try: ffmpeg -i {path} new.mp4")
    total, rate, done = int(video.get(cv2.CAP_PROP_FRAME_COUNT)), video.get(cv2.CAP_PROP_FPS) or 25, 0
    with atomic_write(target) as temporary, progress(total=total, desc=path.name, unit="frame") as bar:
        form = cv2.VideoWriter.fourcc(*"mp4v")
        writer = cv2.VideoWriter(str(temporary), form, rate, frame.shape[1::-1])
        if not writer.isOpened():
            raise DataError(f"OpenCV writes no {target} here; give frames: ffmpeg -i {path} frame%05d.png")
        while there:
            image = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            labels, done = label(image), done + 1
            with atomic_write(output / path.stem / f"{done:06d}_labels.png") as file:
                label_image(labels, palette).save(file)
            writer.write(cv2.cvtColor(np.asarray(overlay(image, labels, palette)), cv2.COLOR_RGB2BGR))
            bar.update()
            there, frame = video.read()
        writer.release()
    say(f"{path} -> {target}, and {done} of {max(done, total)} frames' labels in {output / path.stem}")


@app.command()
def export(
    system: shared.SystemOrFile,
    output: Annotated[Path, Argument(help="File to write, by custom *.onnx.")],
    weights: shared.Weights = None,
    size: Annotated[str | None, Option(metavar="HxW", help="Fix the image's size. Default: any.")] = None,
    inner: Annotated[
        bool, Option("--inner", help="Also filters and responses; takes, and wants, other filters.")
    ] = False,
) -> None:
    """Write a system as ONNX, for runtimes other than PyTorch; compared with PyTorch before it is kept.

    The file needs one input, the image; scale_gates may be given too and are ones by default. With --inner it
    needs all its inputs.
    """
    from dmnet import export as onnx_export

    model = shared.load_model(system, weights, "cpu")
    done = onnx_export.export(model, output, size=shared.pair("--size", size), inner=inner)
    taken = "images of any size" if done.size is None else f"images of {done.size[0]} x {done.size[1]} pixels"
    say(f"{done.path}: {done.bytes / 1e6:.2f} MB, {taken}, within {done.difference:.0e} of PyTorch")


@app.command()
def evaluate(
    system: Annotated[str | None, Argument(help=shared.SYSTEM)] = None,
    every: Annotated[bool, Option("--all", help="All trained systems, beside published scores.")] = False,
    data: shared.Data = None,
    data_root: shared.DataRoot = None,
    split: Annotated[str | None, Option(help="What to score on. Default: val.")] = None,
    weights: shared.Weights = None,
    protocol: shared.Protocol = None,
    window: shared.Window = None,
    stride: shared.Stride = None,
    scales: shared.Scales = None,
    flip: shared.Flip = None,
    boundaries: Annotated[bool, Option("--boundaries", help="Also near the classes' boundaries.")] = False,
    sizes: Annotated[bool, Option("--sizes", help="Also by the size of the objects.")] = False,
    batch_size: Annotated[int, Option(min=1, help="Images that a GPU computes at once.")] = 1,
    workers: Annotated[int, Option(min=0, help="Processes that load images.")] = 0,
    output: Annotated[Path | None, Option(help="CSV file for scores per class; with --all a folder.")] = None,
    confusion: Annotated[Path | None, Option(help="Picture of the confusion matrix to draw, *.png.")] = None,
    precision: shared.Precision = "fp32",
    device: shared.Device = "auto",
) -> None:
    """Score a system on a data set, or with --all every system on its own.

    Several processes share the images of a system: torchrun --nproc-per-node 4 -m -- dmnet evaluate SYSTEM
    """
    if confusion is not None and confusion.suffix != ".png":
        raise DMNetError(f"--confusion draws a PNG: {confusion} should end in `.png`")
    speed: dict[str, Any] = {"batch_size": batch_size, "workers": workers, "progress": True}
    if every:
        given = (system, split, weights, protocol, window, stride, scales, flip, confusion)
        if boundaries or sizes or precision != "fp32" or any(value is not None for value in given):
            raise DMNetError("--all scores every system by its published protocol: leave the rest out")
        if "WORLD_SIZE" in os.environ:
            raise DMNetError("--all scores one system after the other: start it without torchrun")
        return _evaluate_all(data, data_root, output, device=device, **speed)
    if system is None:
        raise DMNetError("name a system (`dmnet systems` lists them), a run or a file, or ask for --all")
    from dmnet import inference
    from dmnet.analysis.boundaries import BoundaryIoU, Trimap
    from dmnet.analysis.object_sizes import ObjectSizes
    from dmnet.analysis.training import show_confusion
    from dmnet.zoo.pretrained import recorded

    model = shared.load_model(system, weights, _joined(device))
    run = {} if data else recorded(weights or system).get("options") or {}  # scored where it was trained
    name = data or run.get("data") or (model.system.dataset if model.system else None)
    if name is None:
        raise DMNetError("the weight file does not say which data set it belongs to: give --data")
    usual = "val" if run.get("val_split") in (None, "none") else run["val_split"]
    dataset = shared.load_data(name, split or usual, data_root or run.get("data_root"))
    how = shared.chosen(model, protocol, window, stride, scales, flip)
    classes = dataset.classes
    more = [Trimap(len(classes)), BoundaryIoU(len(classes))] if boundaries else []
    more += [ObjectSizes(len(classes))] if sizes else []
    start = time.perf_counter()
    speed["precision"] = precision
    matrix = inference.evaluate(model, dataset, protocol=how, metrics=more, **speed)
    console.print(f"{len(dataset) / (time.perf_counter() - start):.2f} images/s")
    shared.print_scores(matrix, classes)
    for metric in more:
        print_table(metric.table(classes) if isinstance(metric, BoundaryIoU) else metric.table())
    if output is not None and not console.quiet:
        with atomic_write(output) as temporary:
            matrix.table(classes).to_csv(temporary, float_format="%.4f")
        say(f"Written: {output}")
    if confusion is not None and not console.quiet:
        with atomic_write(confusion) as temporary:
            show_confusion(matrix.counts, classes).savefig(temporary, dpi=150)
        say(f"Drawn: {confusion}")
    shared.say_predict(dataset, system, *(["--weights", weights] if weights else []))


def _joined(device: str) -> str:
    """Join the processes that torchrun has started, if any; return this one's device. Rank 0 alone prints."""
    if "WORLD_SIZE" not in os.environ:
        return device
    from dmnet.training import make_fabric

    fabric = make_fabric(device)
    fabric.launch()
    console.quiet = fabric.global_rank > 0
    return str(fabric.device)


def _evaluate_all(data: str | None, root: Path | None, output: Path | None, **options: Any) -> None:
    from dmnet.benchmark import scores

    names = {job.system.name: None for job in scores.jobs() if data in (None, job.system.dataset)}
    if not names:
        raise DMNetError(f"no trained system belongs to the data set {data!r}")
    failed = scores.score_all(root, names, output, report=say, **options)
    for dataset in dict.fromkeys(systems.get(name).dataset for name in names):
        print_table(scores.read(dataset, output)[scores.SCORES].reset_index("protocol"))
    if failed:
        console.print(f"{len(failed)} could not be scored; the reasons stand above.")
        raise Exit(FAILED)


@app.command()
def submit(
    system: shared.SystemOrFile,
    output: Annotated[Path, Option(help="Folder for the label maps and the archive.")],
    data: Annotated[str | None, Option(help="voc, ade20k or cityscapes. Default: the system's own.")] = None,
    data_root: shared.DataRoot = None,
    split: Annotated[str, Option(help="What to predict.")] = "test",
    weights: shared.Weights = None,
    protocol: shared.Protocol = None,
    window: shared.Window = None,
    stride: shared.Stride = None,
    scales: shared.Scales = None,
    flip: shared.Flip = None,
    device: shared.Device = "auto",
) -> None:
    """Predict a test set and pack it for the evaluation server of VOC, ADE20K or Cityscapes."""
    from dmnet import datasets
    from dmnet.benchmark import submissions

    model = shared.load_model(system, weights, device)
    name = data or (model.system.dataset if model.system else "")
    if name not in submissions.FORMATS:
        known = ", ".join(submissions.FORMATS)
        raise DMNetError(f"no server for {name or 'this file'}; --data may be {known}")
    dataset: Any = datasets.load(name, data_root, split, labelled=False)
    how = shared.chosen(model, protocol, window, stride, scales, flip)
    archive = submissions.write_submission(model, dataset, output, protocol=how)
    say(f"{len(dataset)} label maps, packed: {archive}")
