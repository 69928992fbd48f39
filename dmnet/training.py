"""Training: one loop, plain PyTorch.

What it promises: the same seed gives the same weights on the same machine, however many processes load the
images, and a run that was killed and resumed ends with the weights, bit for bit on the CPU, of one that was not.
"""

import difflib
import math
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from tqdm import tqdm

from dmnet import systems
from dmnet.errors import DataError, DMNetError, DownloadError
from dmnet.files import atomic_write
from dmnet.inference import evaluate, overlay, predict
from dmnet.losses import Loss, segmentation_loss
from dmnet.metrics import ConfusionMatrix
from dmnet.model import DMNet, from_system
from dmnet.runs import Run, configuration
from dmnet.sampling import Batch, TrainingSamples, check_sample, iterations_per_epoch, training_loader
from dmnet.systems import Architecture, Recipe, System
from dmnet.transforms import training_transform


@dataclass(frozen=True)
class TrainingResult:
    """What `train` returns."""

    model: DMNet  # in evaluation mode
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
        workers: processes that load images beside this one; 0 loads them here. Without influence on the result.
        evaluate_every: iterations between evaluations on `val_set`.
        checkpoint_every: iterations between checkpoints.
        resume: go on where `run_dir` was left.
        stop_after: stop when so many iterations are done, as if interrupted there; `resume` goes on.
        progress: a progress bar on a terminal, elsewhere about ten lines in all.
        **overrides: fields of `Recipe` and `Architecture` to change, e.g. `iterations=200, filter_sizes=(3,)`.

    Raises:
        DMNetError: if `run_dir` holds another run, an override is unknown, or the loss is no longer a number.
        DataError: if a data set is empty, or labels do not fit the classes.
        DownloadError: if the ImageNet weights that the recipe starts from cannot be had.
    """
    system = resolve(system, train_set, **overrides)
    check_data(train_set, val_set)
    with (
        Run(run_dir, configuration(system, train_set, val_set, seed), resume) as run,
        torch.random.fork_rng(),  # the caller's random state stays as it is
    ):
        torch.manual_seed(seed)
        trainer = Trainer(system, len(train_set), pick_device(device), fresh=run.state is None)
        if run.state is not None:
            trainer.load_state(run.state)
        stop = min(trainer.iterations, stop_after or trainer.iterations)
        samples = TrainingSamples(
            train_set, training_transform(system.recipe), system.recipe.batch_size, seed
        )
        loader = training_loader(samples, trainer.iteration, stop, workers, trainer.device.type == "cuda")
        for batch in _with_progress(loader, trainer, run, progress):
            row = trainer.step(batch)
            done = trainer.iteration
            if val_set is not None and (
                done == trainer.iterations or done % (evaluate_every or done + 1) == 0
            ):
                row["val_miou"] = _validate(trainer, val_set, run)
            run.log(row)
            if done % checkpoint_every == 0 or done == stop:
                run.save_state(trainer.state())
        return _finish(trainer, val_set, run)


class Trainer:
    """What changes during training, and one step of it.

    Args:
        system: fully resolved; see `resolve`.
        images: length of the training set, which makes epochs into iterations.
        device: where the network lives.
        fresh: fetch the pretrained backbone if the recipe wants one; needless before `load_state`.
    """

    def __init__(self, system: System, images: int, device: torch.device, fresh: bool = True) -> None:
        self.system, self.device = system, device
        self.iterations = total_iterations(system.recipe, images)
        self.per_epoch = iterations_per_epoch(images, system.recipe.batch_size)
        self.iteration = 0  # how many are done
        self.best = -1.0  # mIoU so far
        self.seconds = 0.0  # spent in training, evaluation not counted
        self.matrix: ConfusionMatrix | None = None  # of the last evaluation, if nothing was learned since
        model = from_system(system)
        if fresh and system.recipe.pretrained:
            _load_imagenet(model)
        # On a CPU, convolutions with channels last are several times faster.
        layout = torch.channels_last if device.type == "cpu" else torch.contiguous_format
        self.model = model.to(device).to(memory_format=layout).train()
        self.layout = layout
        self.optimizer = make_optimizer(self.model, system.recipe)

    def step(self, batch: Batch) -> dict[str, Any]:
        """Learn from one batch; return a row for the log.

        Raises:
            DMNetError: if the loss is not a finite number; the weights are then those before the step.
        """
        began = time.perf_counter()
        images, labels, names = batch
        rate = learning_rate(self.system.recipe, self.iteration, self.iterations)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        output = self.model(images.to(self.device, memory_format=self.layout, non_blocking=True))
        labels = labels.to(self.device, non_blocking=True)
        loss = segmentation_loss(output, labels, self.system.recipe, self.system.architecture.align_corners)
        self._check(loss, names)
        self.optimizer.zero_grad(set_to_none=True)
        loss.total.backward()
        self.optimizer.step()
        self.iteration += 1
        self.matrix = None
        elapsed = time.perf_counter() - began
        self.seconds += elapsed
        return {
            "iteration": self.iteration,
            "epoch": self.iteration / self.per_epoch,
            "lr": rate,
            "loss": loss.total.item(),
            "aux_loss": None if loss.aux is None else loss.aux.item(),
            "seconds": self.seconds,
            "images_per_second": len(names) / elapsed,
            "val_miou": None,
        }

    def _check(self, loss: Loss, names: list[str]) -> None:
        value = loss.total.item()
        if not math.isfinite(value):
            raise DMNetError(
                f"the loss became {value} at iteration {self.iteration + 1} (images {', '.join(names)}). A smaller "
                "learning rate or a longer warm-up usually helps (learning_rate=..., warmup=...)."
            )

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

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to where `state` was taken."""
        self.iteration, self.best, self.seconds = state["iteration"], state["best"], state["seconds"]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])
        if len(state["random_cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(state["random_cuda"])


# What the recipe means -----------------------------------------------------------------------------------


def total_iterations(recipe: Recipe, images: int) -> int:
    """Return the number of steps: the recipe's iterations, or its epochs of full batches."""
    if recipe.iterations is not None:
        return recipe.iterations
    if recipe.epochs is None:
        raise DMNetError("the recipe says neither iterations nor epochs")
    return recipe.epochs * iterations_per_epoch(images, recipe.batch_size)


def learning_rate(recipe: Recipe, iteration: int, iterations: int) -> float:
    r"""Return the learning rate of one step.

    With $t$ = `iteration`, $T$ = `iterations`, $\eta_0$ = `learning_rate`, $\eta_T$ = `final_learning_rate`:
    poly, $(\eta_0 - \eta_T)(1 - t/T)^{0.9} + \eta_T$; cosine, $(\eta_0 - \eta_T)(1 + \cos(\pi t/T))/2 + \eta_T$. During
    warm-up of $w$ steps, $(t + 1)/w$ of that.

    Args:
        recipe: names the schedule and its numbers.
        iteration: steps done before, from 0.
        iterations: steps in all.
    """
    left = 1 - iteration / iterations
    share = left**recipe.power if recipe.schedule == "poly" else (1 - math.cos(math.pi * left)) / 2
    rate = (recipe.learning_rate - recipe.final_learning_rate) * share + recipe.final_learning_rate
    return rate * min((iteration + 1) / recipe.warmup, 1) if recipe.warmup else rate


def make_optimizer(model: DMNet, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the optimizer over all parameters; every one of them decays."""
    parameters = model.parameters()
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            parameters, recipe.learning_rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay
        )
    betas = (recipe.momentum, 0.99)
    return torch.optim.AdamW(parameters, recipe.learning_rate, betas=betas, weight_decay=recipe.weight_decay)


def resolve(system: System | str, train_set: Any, **overrides: Any) -> System:
    """Return the system as it will be trained: overrides put in, classes those of the data.

    Args:
        system: a `System` or the name of one.
        train_set: has `classes`.
        **overrides: fields of `Recipe` or `Architecture`. `iterations` puts `epochs` out of force, and the reverse.

    Raises:
        DMNetError: if an override is no such field.
    """
    system = systems.get(system) if isinstance(system, str) else system
    recipe_fields = {field.name for field in fields(Recipe)}
    architecture_fields = {field.name for field in fields(Architecture)}
    for name in overrides:
        if name not in recipe_fields | architecture_fields:
            near = difflib.get_close_matches(name, recipe_fields | architecture_fields, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise DMNetError(f"there is no setting called {name!r}.{hint}")
    recipe = {name: value for name, value in overrides.items() if name in recipe_fields}
    for given, other in (("iterations", "epochs"), ("epochs", "iterations")):
        if recipe.get(given) is not None:
            recipe.setdefault(other, None)
    architecture = {name: value for name, value in overrides.items() if name in architecture_fields}
    classes = tuple(train_set.classes)
    architecture.setdefault("num_classes", len(classes))
    return replace(
        system,
        classes=classes,
        recipe=replace(system.recipe, **recipe),
        architecture=replace(system.architecture, **architecture),
    )


def pick_device(device: str) -> torch.device:
    """Return the device of that name; "auto" is a GPU if there is one."""
    name = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    try:
        picked = torch.device(name)
        torch.empty(0, device=picked)
    except (RuntimeError, AssertionError) as error:
        raise DMNetError(f"the device {name!r} cannot be used here: {str(error).splitlines()[0]}") from error
    return picked


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
            raise DataError(
                f"the {name} set has the classes {dataset.classes}, the training set {train_set.classes}"
            )
        for index in np.linspace(0, len(dataset) - 1, min(len(dataset), 4), dtype=int):
            check_sample(*dataset[int(index)], len(dataset.classes))


# During training -----------------------------------------------------------------------------------------


def _with_progress(loader: Iterable[Batch], trainer: Trainer, run: Run, progress: bool) -> Iterator[Batch]:
    """Yield the batches, and show how it goes: a bar on a terminal, about ten lines elsewhere."""
    terminal = sys.stderr.isatty()
    every = max(trainer.iterations // 10, 1)
    with tqdm(
        total=trainer.iterations, initial=trainer.iteration, unit="it", disable=not (progress and terminal)
    ) as bar:
        for batch in loader:
            yield batch
            row = run.rows[-1]
            bar.set_postfix_str(
                f"loss {row['loss']:.3f}, {row['images_per_second']:.0f} images/s", refresh=False
            )
            bar.update()
            if progress and not terminal and trainer.iteration % every == 0:
                print(_line(row, trainer), flush=True)


def _line(row: dict[str, Any], trainer: Trainer) -> str:
    left = trainer.seconds / trainer.iteration * (trainer.iterations - trainer.iteration)
    score = "" if row["val_miou"] is None else f"  mIoU {row['val_miou']:.1%}"
    return (
        f"iteration {trainer.iteration}/{trainer.iterations}  loss {row['loss']:.3f}  "
        f"{row['images_per_second']:.0f} images/s  {left:.0f} s left{score}"
    )


def _validate(trainer: Trainer, val_set: Any, run: Run) -> float:
    """Score the network; keep it if it is the best so far, and paint one prediction."""
    trainer.matrix = evaluate(trainer.model, val_set)
    miou = trainer.matrix.miou()
    improved = miou > trainer.best
    trainer.best = max(miou, trainer.best)
    if run.folder is not None:
        if improved:
            _save_weights(trainer, run, "best")
        with atomic_write(run.folder / "predictions" / f"{trainer.iteration:06d}.png") as temporary:
            _sample_picture(trainer.model, val_set).save(temporary)
    return miou


def _sample_picture(model: DMNet, dataset: Any) -> Image.Image:
    """Return the first image, its labels and its prediction side by side."""
    image, mask, _ = dataset[0]
    panels = [image, *(np.asarray(overlay(image, m, dataset.palette)) for m in (mask, predict(model, image)))]
    return Image.fromarray(np.concatenate(panels, axis=1))


def _finish(trainer: Trainer, val_set: Any, run: Run) -> TrainingResult:
    complete = trainer.iteration == trainer.iterations
    if complete and val_set is not None and trainer.matrix is None:
        trainer.matrix = evaluate(trainer.model, val_set)  # a run that was complete before
    if run.folder is not None:
        _save_weights(trainer, run, "last")
        if trainer.matrix is not None:
            with atomic_write(run.folder / "classes.csv") as temporary:
                trainer.matrix.table(trainer.system.classes).to_csv(temporary, float_format="%.4f")
    trainer.model.eval()
    return TrainingResult(trainer.model, run.history(), trainer.matrix)


def _save_weights(trainer: Trainer, run: Run, name: str) -> None:
    from dmnet import checkpoints

    assert run.folder is not None
    checkpoints.save_weights(
        trainer.model,
        run.folder / f"{name}.safetensors",
        iteration=str(trainer.iteration),
        miou=f"{trainer.best:.6f}",
    )


def _load_imagenet(model: DMNet) -> None:
    from dmnet import checkpoints

    try:
        checkpoints.load_imagenet(model)
    except DownloadError as error:
        raise DownloadError(
            f"{error} The recipe starts from ImageNet weights; to start from random ones, which needs far more "
            "training, say pretrained=False (--no-pretrained)."
        ) from error
