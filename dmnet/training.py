"""Training: one loop, plain PyTorch.

What it promises: the same seed gives the same weights on the same machine, however many processes load the
images; and a run that was killed and resumed ends with the weights of one that was not, bit for bit on a CPU.
"""

import difflib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from dmnet import checkpoints, systems
from dmnet.errors import DataError, DMNetError, DownloadError
from dmnet.files import atomic_write
from dmnet.inference import evaluate, overlay, predict
from dmnet.losses import Loss, segmentation_loss
from dmnet.metrics import ConfusionMatrix
from dmnet.model import DMNet, Output, from_system
from dmnet.optimisation import (
    iterations_per_epoch,
    learning_rate,
    make_optimizer,
    set_learning_rate,
    total_iterations,
)
from dmnet.progress import progress as progress_bar
from dmnet.progress import watched
from dmnet.runs import Row, Run, configuration
from dmnet.sampling import Batch, TrainingSamples, check_sample, training_batches
from dmnet.systems import Architecture, Recipe, System
from dmnet.transforms import training_transform


@dataclass(frozen=True)
class TrainingResult:
    """What `train` returns."""

    model: DMNet  # in evaluation mode, on the device that it was trained on
    history: pd.DataFrame  # a row per iteration: lr, loss, ...; see `dmnet.runs.COLUMNS`
    matrix: ConfusionMatrix | None  # of the validation set at the end; None without one, or if stopped before


def train(
    system: System | str,
    train_set: Any,
    val_set: Any = None,
    run_dir: str | PathLike[str] | None = None,
    *,
    seed: int = 0,
    device: str = "auto",
    workers: int = 0,
    evaluate_every: int | None = None,
    checkpoint_every: int = 200,
    resume: bool = False,
    stop_after: int | None = None,
    progress: bool = True,
    **overrides: Any,
) -> TrainingResult:
    """Train a system as its recipe says.

    Args:
        system: a `System` or the name of one; its number of classes becomes the data set's.
        train_set: see `dmnet.datasets.load`.
        val_set: scored at the end, and every `evaluate_every` iterations.
        run_dir: folder for the log, checkpoints and weights (see `dmnet.runs`); None writes nothing.
        seed: of the weights, the order of the images, their augmentation and dropout.
        device: "cpu", "cuda", ... or "auto", which takes a GPU if there is one.
        workers: processes that load images; 0 loads them in this one. The result is the same.
        evaluate_every: iterations between evaluations on `val_set`.
        checkpoint_every: iterations between checkpoints.
        resume: go on where `run_dir` was left.
        stop_after: stop when so many iterations are done, as if interrupted there; `resume` goes on.
        progress: a progress bar where somebody is looking, elsewhere about ten lines in all.
        **overrides: fields of `Recipe` and `Architecture`, e.g. `iterations=200, filter_sizes=(3,)`.

    Raises:
        DMNetError: if `run_dir` holds another run, an override is unknown, or the loss is no longer a number.
        DataError: if a data set is empty, or labels do not fit the classes.
        DownloadError: if the ImageNet weights that the recipe starts from cannot be had.
    """
    system = resolve(system, train_set, **overrides)
    check_data(train_set, val_set)
    target = pick_device(device)
    with (
        Run(run_dir, configuration(system, train_set, val_set, seed), resume) as run,
        torch.random.fork_rng(),  # the caller's random state stays as it is
    ):
        torch.manual_seed(seed)
        trainer = Trainer(system, len(train_set), target, run.state)
        stop = trainer.iterations if stop_after is None else min(stop_after, trainer.iterations)
        samples = TrainingSamples(
            train_set, training_transform(system.recipe), system.recipe.batch_size, seed
        )
        batches = training_batches(samples, trainer.iteration, stop, workers, target.type == "cuda")
        for row in _shown(map(trainer.step, batches), trainer, progress):
            done = trainer.iteration
            if val_set is not None and (done == trainer.iterations or _every(evaluate_every, done)):
                row["val_miou"] = _validate(trainer, val_set, run)
            run.log(row)
            if done == stop or _every(checkpoint_every, done):
                run.save_state(trainer.state())
        return _finish(trainer, val_set, run)


class Trainer:
    """What changes during training, and one step of it.

    Args:
        system: fully resolved; see `resolve`.
        images: length of the training set, which makes epochs into iterations.
        device: where the network lives.
        state: of an earlier trainer, to go on from there.
    """

    def __init__(
        self, system: System, images: int, device: torch.device, state: dict[str, Any] | None = None
    ) -> None:
        self.system, self.device = system, device
        self.iterations = total_iterations(system.recipe, images)
        self.per_epoch = iterations_per_epoch(images, system.recipe.batch_size)
        self.iteration = 0  # how many are done
        self.best = -1.0  # mIoU so far
        self.seconds = 0.0  # spent in training, evaluation not counted
        self.matrix: ConfusionMatrix | None = None  # of an evaluation after the last step
        # On a CPU, convolutions with channels last are several times faster.
        self.layout = torch.channels_last if device.type == "cpu" else torch.contiguous_format
        model = from_system(system)
        if system.recipe.pretrained and state is None:
            _load_imagenet(model)
        self.model = model.to(device).to(memory_format=self.layout).train()
        self.optimizer = make_optimizer(self.model, system.recipe)
        if state is not None:
            self._load(state)
        self.clock = time.perf_counter()  # when the last step ended

    def step(self, batch: Batch) -> Row:
        """Learn from one batch; return a row for the log.

        Raises:
            DMNetError: if the loss is not a finite number; the weights are those before the step.
        """
        images, labels, names = batch
        rate = learning_rate(self.system.recipe, self.iteration, self.iterations)
        set_learning_rate(self.optimizer, rate)
        output = self._forward(images.to(self.device, memory_format=self.layout, non_blocking=True))
        labels = labels.to(self.device, non_blocking=True)
        loss = segmentation_loss(output, labels, self.system.recipe, self.system.architecture.align_corners)
        value = self._finite(loss, names)
        self.optimizer.zero_grad()
        loss.total.backward()
        self.optimizer.step()
        self.iteration += 1
        self.matrix = None
        return self._row(value, loss.aux, rate, len(names))

    def _forward(self, images: Tensor) -> Output:
        try:
            return self.model(images)
        except ValueError as error:  # PyTorch's message shows a shape inside the network
            if "more than 1 value per channel" not in str(error):
                raise
            raise DMNetError(
                f"a batch of shape {list(images.shape)} leaves batch normalisation one value per channel; "
                "train with two images or more per step, or with larger crops (batch_size, crop)"
            ) from error

    def _finite(self, loss: Loss, names: list[str]) -> float:
        """Return the loss as a number; a GPU has to be waited for, so it is read once."""
        value = loss.total.item()
        if not math.isfinite(value):
            raise DMNetError(
                f"the loss became {value} at iteration {self.iteration + 1} (images {', '.join(names)}). "
                "A smaller learning rate or a longer warm-up usually helps (learning_rate, warmup)."
            )
        return value

    def _row(self, value: float, aux: Tensor | None, rate: float, images: int) -> Row:
        elapsed = time.perf_counter() - self.clock  # includes the wait for the images
        self.seconds += elapsed
        self.clock += elapsed
        return {
            "iteration": self.iteration,
            "epoch": self.iteration / self.per_epoch,
            "lr": rate,
            "loss": value,
            "aux_loss": None if aux is None else aux.item(),
            "seconds": self.seconds,
            "images_per_second": images / elapsed,
            "val_miou": None,
        }

    def state(self) -> dict[str, Any]:
        """Return all that a resumed run needs, as tensors and plain values."""
        return {
            "iteration": self.iteration,
            "best": self.best,
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state_all(),
        }

    def _load(self, state: dict[str, Any]) -> None:
        self.iteration, self.best, self.seconds = state["iteration"], state["best"], state["seconds"]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])
        if len(state["random_cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(state["random_cuda"])


# Before training -----------------------------------------------------------------------------------------


def resolve(system: System | str, train_set: Any, **overrides: Any) -> System:
    """Return the system as it will be trained: overrides put in, classes those of the data.

    Args:
        system: a `System` or the name of one.
        train_set: has `classes`.
        **overrides: fields of `Recipe` or `Architecture`. `iterations` puts `epochs` out of force, and
            the other way round; `resize` holds for the evaluation too.

    Raises:
        UnknownSystemError: if there is no such system.
        DMNetError: if an override is no such field, or its value cannot be used.
    """
    system = systems.get(system) if isinstance(system, str) else system
    recipe_fields, architecture_fields = ({field.name for field in fields(c)} for c in (Recipe, Architecture))
    for name in overrides.keys() - recipe_fields - architecture_fields:
        near = difflib.get_close_matches(name, recipe_fields | architecture_fields, n=1)
        raise DMNetError(f"there is no setting {name!r}." + (f" Did you mean {near[0]!r}?" if near else ""))
    recipe = {name: value for name, value in overrides.items() if name in recipe_fields}
    for given, other in (("iterations", "epochs"), ("epochs", "iterations")):
        if recipe.get(given) is not None:
            recipe.setdefault(other, None)
    classes = tuple(train_set.classes)
    architecture = {name: value for name, value in overrides.items() if name in architecture_fields}
    if (count := architecture.get("num_classes", len(classes))) != len(classes):
        raise DMNetError(f"num_classes is {count}, but the data set has {len(classes)}: leave it out")
    return replace(
        system,
        classes=classes,
        recipe=replace(system.recipe, **recipe),
        architecture=replace(system.architecture, **{"num_classes": len(classes)} | architecture),
        evaluation=replace(system.evaluation, resize=overrides.get("resize", system.evaluation.resize)),
    )


def pick_device(device: str) -> torch.device:
    """Return the device of that name; "auto" is a GPU if there is one."""
    name = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise DMNetError(f"the device {name!r} cannot be used here: {str(error).splitlines()[0]}") from error
    return torch.device(name)


def check_data(train_set: Any, val_set: Any = None) -> None:
    """Look at a few samples before time is spent.

    Raises:
        DataError: if a set is empty, the two sets' classes differ, or a sample's mask does not fit.
    """
    for name, dataset in (("training", train_set), ("validation", val_set)):
        if dataset is None:
            continue
        if len(dataset) == 0:
            raise DataError(f"the {name} set is empty")
        if tuple(dataset.classes) != tuple(train_set.classes):
            raise DataError(f"the {name} set's classes are {dataset.classes}, not {train_set.classes}")
        for index in np.linspace(0, len(dataset) - 1, min(len(dataset), 4), dtype=int):
            image, mask, sample = dataset[int(index)]
            check_sample(image, mask, sample, len(dataset.classes))


def _load_imagenet(model: DMNet) -> None:
    try:
        checkpoints.load_imagenet(model)
    except DownloadError as error:
        raise DownloadError(
            f"{error} The recipe starts from these ImageNet weights. To start from random ones, which takes "
            "far longer to train, say pretrained=False (--no-pretrained)."
        ) from error


# During training, and after ------------------------------------------------------------------------------


def _every(interval: int | None, done: int) -> bool:
    return bool(interval) and done % (interval or 1) == 0


def _shown(rows: Iterator[Row], trainer: Trainer, progress: bool) -> Iterator[Row]:
    """Pass the rows on, and show how it goes."""
    hidden = not (progress and watched())
    with progress_bar(total=trainer.iterations, initial=trainer.iteration, disable=hidden) as bar:
        for row in rows:
            yield row
            speed = f"{row['images_per_second']:.0f} images/s"
            bar.set_postfix_str(f"loss {row['loss']:.3f}, {speed}", refresh=False)
            bar.update()
            if progress and hidden and _every(max(trainer.iterations // 10, 1), trainer.iteration):
                print(_line(row, trainer), flush=True)


def _line(row: Row, trainer: Trainer) -> str:
    left = trainer.seconds / trainer.iteration * (trainer.iterations - trainer.iteration)
    parts = [
        f"iteration {trainer.iteration}/{trainer.iterations}",
        f"loss {row['loss']:.3f}",
        f"{trainer.iteration * trainer.system.recipe.batch_size / trainer.seconds:.0f} images/s",
        f"{left:.0f} s left",
    ]
    return "  ".join(parts + ([] if row["val_miou"] is None else [f"mIoU {row['val_miou']:.1%}"]))


def _validate(trainer: Trainer, val_set: Any, run: Run) -> float:
    """Score the network; keep it if it is the best so far, and paint one prediction."""
    trainer.matrix = evaluate(trainer.model, val_set)
    miou = trainer.matrix.miou()
    improved = miou > trainer.best
    trainer.best = max(miou, trainer.best)
    if improved:
        _save_weights(trainer, run, "best")
    if run.folder is not None:
        with atomic_write(run.folder / "predictions" / f"{trainer.iteration:06d}.png") as temporary:
            _sample_picture(trainer.model, val_set).save(temporary)
    trainer.clock = time.perf_counter()
    return miou


def _sample_picture(model: DMNet, dataset: Any) -> Image.Image:
    """Return the first image, its labels and its prediction side by side."""
    image, mask, _ = dataset[0]
    labels = (mask, predict(model, image))
    panels = [image, *(np.asarray(overlay(image, label, dataset.palette)) for label in labels)]
    return Image.fromarray(np.concatenate(panels, axis=1))


def _finish(trainer: Trainer, val_set: Any, run: Run) -> TrainingResult:
    """Write the weights and the scores; return the result."""
    if trainer.matrix is None and val_set is not None and trainer.iteration == trainer.iterations:
        trainer.matrix = evaluate(trainer.model, val_set)  # a run that had been completed before
    _save_weights(trainer, run, "last")
    if run.folder is not None and trainer.matrix is not None:
        with atomic_write(run.folder / "classes.csv") as temporary:
            trainer.matrix.table(trainer.system.classes).to_csv(temporary, float_format="%.4f")
    return TrainingResult(trainer.model.eval(), run.history(), trainer.matrix)


def _save_weights(trainer: Trainer, run: Run, name: str) -> None:
    if run.folder is None:
        return
    notes: dict[str, Any] = {"iteration": trainer.iteration}
    if trainer.matrix is not None:
        notes["miou"] = trainer.matrix.miou()
    checkpoints.save_weights(trainer.model, run.folder / f"{name}.safetensors", **notes)
