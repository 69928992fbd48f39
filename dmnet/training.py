"""Training: one loop, on one device or on many.

What it promises: the same seed gives the same weights on the same machine, however many processes load the
images; and a run that was killed and resumed ends with the weights of one that was not, bit for bit on a CPU.
Several training processes, and a batch that is computed in parts, follow one process with the whole batch as
closely as rounding and batch normalisation let them: the loss is the mean over all labelled pixels of the
whole batch.
"""

import difflib
import math
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, fields, replace
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor, nn

from dmnet import checkpoints, systems
from dmnet.doctor import quick_check
from dmnet.errors import DMNetError, DownloadError
from dmnet.files import atomic_write, interactive
from dmnet.files import progress as progress_bar
from dmnet.inference import evaluate, predict
from dmnet.interrupts import Stopped, StopRequest, stop_request
from dmnet.losses import draw_shift, labelled, on_grid, segmentation_loss
from dmnet.metrics import ConfusionMatrix
from dmnet.model import DMNet, Output, from_system
from dmnet.optimisation import (
    iterations_per_epoch,
    learning_rate,
    make_optimizer,
    set_learning_rate,
    total_iterations,
)
from dmnet.parallel import (
    Engine,
    Precision,
    align,
    gathered,
    launched,
    make_fabric,
    share,
    synchronise,
    total,
)
from dmnet.parallel import pick_device as pick_device
from dmnet.plots import overlay
from dmnet.provenance import environment
from dmnet.runs import Row, Run, configuration
from dmnet.sampling import DROPOUT, Batch, TrainingSamples, stream_seed, training_batches
from dmnet.systems import Architecture, Evaluation, Recipe, System
from dmnet.transforms import training_transform

if TYPE_CHECKING:
    from lightning_fabric import Fabric

EVALUATION = "evaluation."  # before the name of a setting: `flip` is the recipe's, `evaluation.flip` is not


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
    devices: int = 1,
    nodes: int = 1,
    precision: Precision = "32-true",
    accumulate: int = 1,
    compile: bool = False,
    workers: int = 0,
    evaluate_every: int | None = None,
    checkpoint_every: int = 200,
    resume: bool = False,
    stop_after: int | None = None,
    progress: bool = True,
    options: dict[str, Any] | None = None,
    **overrides: Any,
) -> TrainingResult:
    """Train a system as its recipe says.

    With a `run_dir`, the first Ctrl-C or SIGTERM finishes the step and saves; the second stops at once.

    Args:
        system: a `System` or the name of one; its number of classes becomes the data set's.
        train_set: see `dmnet.datasets.load`.
        val_set: scored at the end, and every `evaluate_every` iterations.
        run_dir: folder for the log, checkpoints and weights (see `dmnet.runs`); None writes nothing. Several
            machines need one that all of them see.
        seed: of the weights, the order of the images, their augmentation and dropout.
        device: "cpu", "cuda", ... or "auto", which takes a GPU if there is one.
        devices: processes per machine, each with a device and its part of every batch.
        nodes: machines. Started by `torchrun` or SLURM's `srun`, both numbers are known: leave them out.
        precision: "32-true", "bf16-mixed" or, on a GPU, "16-mixed".
        accumulate: parts that each process computes its images in, to need less memory.
        compile: let `torch.compile` translate the network first.
        workers: processes that load images; 0 loads them in this one. The result is the same.
        evaluate_every: iterations between evaluations on `val_set`.
        checkpoint_every: iterations between checkpoints.
        resume: go on where `run_dir` was left.
        stop_after: stop when so many iterations are done, as if interrupted there; `resume` goes on.
        progress: a progress bar where somebody is looking, elsewhere about ten lines in all.
        options: what else the run's `config.json` is to remember.
        **overrides: fields of the system, e.g. `iterations=200, filter_sizes=(3,)`; see `resolve`.

    Raises:
        DMNetError: if `run_dir` holds another run, an override is unknown, the devices or the precision
            cannot be had, or the loss is no longer a number.
        DataError: if a data set is empty, or labels do not fit the classes.
        DownloadError: if the ImageNet weights that the recipe starts from cannot be had.
        Stopped: after a Ctrl-C or SIGTERM; a `KeyboardInterrupt`.
    """
    system = resolve(system, train_set, **overrides)
    where: dict[str, Any] = {"device": device, "devices": devices, "nodes": nodes}
    engine = Engine(**where, precision=precision, accumulate=accumulate, compile=compile)
    fabric = make_fabric(engine)
    share(system.recipe.batch_size, fabric.world_size, accumulate)
    first, gpu = fabric.global_rank == 0, fabric.device.type == "cuda"
    if first:
        quick_check(train_set, val_set, progress=progress)
    config = configuration(system, train_set, val_set, seed)
    run = Run(
        run_dir,
        config,
        resume,
        options={"options": options},
        environment=asdict(engine) | environment(fabric.device, fabric.world_size),
        writes=first,
    )
    with (
        run,
        torch.random.fork_rng([fabric.device] if gpu else []),  # the caller's random state stays as it is
        stop_request(run_dir is not None, aloud=first) as request,
        launched(fabric),
    ):
        _require_one_run(fabric, config, run.state)
        torch.manual_seed(seed)
        trainer = Trainer(system, len(train_set), fabric, engine, run.state, seed, request)
        stop = trainer.iterations if stop_after is None else min(stop_after, trainer.iterations)
        size, place = system.recipe.batch_size, (fabric.global_rank, fabric.world_size)
        samples = TrainingSamples(train_set, training_transform(system.recipe), size, seed)
        with closing(training_batches(samples, trainer.iteration, stop, workers, gpu, *place)) as batches:
            for row in _shown(map(trainer.step, batches), trainer, progress and first):
                done = trainer.iteration
                if val_set is not None and (done == trainer.iterations or _every(evaluate_every, done)):
                    row["val_miou"] = _validate(trainer, val_set, run, workers)
                run.log(row)
                if done == stop or trainer.stopped or _every(checkpoint_every, done):
                    run.save_state(trainer.state())
                if trainer.stopped and done < stop:
                    fabric.barrier()  # a launcher may end all processes when the first of them ends
                    raise Stopped(f"stopped after iteration {done}, and saved", request.number)
        return _finish(trainer, val_set, run, workers)


class Trainer:
    """What changes during training, and one step of it.

    Args:
        system: fully resolved; see `resolve`.
        images: length of the training set, which makes epochs into iterations.
        fabric: launched; it knows the device and the other processes.
        engine: what `fabric` was made from.
        state: of an earlier trainer, to go on from there.
        seed: of the dropout in all processes but the first, which goes on with the global random state.
        request: when to stop, for this process; see `stopped`.

    Attributes:
        iteration: how many are done, of `iterations`.
        stopped: whether any process has been asked to stop: all of them know at the same iteration.
        model: the network itself, to evaluate and to save.
        network: the same as Fabric runs it.
        matrix: of an evaluation after the last step, or None.
    """

    def __init__(
        self,
        system: System,
        images: int,
        fabric: "Fabric",
        engine: Engine,
        state: dict[str, Any] | None = None,
        seed: int = 0,
        request: StopRequest | None = None,
    ) -> None:
        self.system, self.fabric, self.request = system, fabric, request or StopRequest()
        self.share = share(system.recipe.batch_size, fabric.world_size, engine.accumulate)
        self.iterations = total_iterations(system.recipe, images)
        self.per_epoch = iterations_per_epoch(images, system.recipe.batch_size)
        self.iteration = 0
        self.best = -1.0  # mIoU so far
        self.seconds = 0.0  # spent in training, evaluation not counted
        self.stopped = False
        self.matrix: ConfusionMatrix | None = None
        self.model = self._build(state is None)
        self.optimizer = make_optimizer(self.model, system.recipe)
        if fabric.global_rank:  # dropout differs between the processes, the start does not
            torch.manual_seed(stream_seed(DROPOUT, seed, fabric.global_rank))
        if state is not None:
            self._load(state)
        network: Any = torch.compile(self.model) if engine.compile else self.model
        self.network, self._stepper = fabric.setup(network, self.optimizer)
        self.clock = time.perf_counter()  # when the last step ended

    def _build(self, fresh: bool) -> DMNet:
        """Return the network in training mode, on its device; a fresh one has its start weights."""
        recipe = self.system.recipe
        model = from_system(self.system)
        if recipe.pretrained and fresh and self.fabric.global_rank == 0:  # the others are sent its weights
            _load_imagenet(model)
        # Channels last: several times faster on a CPU, and what a GPU's tensor cores want.
        model = model.to(self.fabric.device).to(memory_format=torch.channels_last).train()
        synchronise(model, self.fabric)
        if recipe.freeze_bn:
            for module in model.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return model

    def step(self, batch: Batch) -> Row:
        """Learn from one batch; return a row for the log.

        Args:
            batch: of several processes, this one's part of it.

        Raises:
            DMNetError: if the loss is not a finite number; the weights are those before the step.
        """
        images, labels, names = batch
        rate = learning_rate(self.system.recipe, self.iteration, self.iterations)
        set_learning_rate(self.optimizer, rate)
        self._stepper.zero_grad()
        images = images.to(self.fabric.device, memory_format=torch.channels_last, non_blocking=True)
        loss, aux = self._accumulate(images, labels.to(self.fabric.device, non_blocking=True))
        self._require_finite(loss, names)
        self._stepper.step()  # with "16-mixed", the scaler leaves out a step whose gradients overflowed
        self.iteration += 1
        self.matrix = None
        return self._row(loss, aux, rate)

    def _accumulate(self, images: Tensor, labels: Tensor) -> tuple[float, float | None]:
        """Add up the gradients of the whole batch; return its loss and its auxiliary loss."""
        recipe, corners = self.system.recipe, self.system.architecture.align_corners
        parts = list(zip(images.split(self.share), labels.split(self.share), strict=True))
        values = []
        for number, (some_images, some_labels) in enumerate(parts, start=1):
            with self.fabric.no_backward_sync(self.network, enabled=number < len(parts)):
                output = self._forward(some_images)
                if number == 1:
                    shift, weight = self._agree(labels)
                loss = segmentation_loss(output, some_labels, recipe, corners, shift, weight)
                self.fabric.backward(loss.total)
            values.append(torch.stack([part.detach() for part in loss if part is not None]))
        value = (
            torch.stack(values).sum(0) / self.fabric.world_size
        )  # DDP takes the mean of the gradients, too
        stop = value.new_tensor([bool(self.request.number)])
        # A GPU has to be waited for, so everything is read at once.
        stopped, loss_value, _, *aux = total(self.fabric, torch.cat([stop, value])).tolist()
        self.stopped = stopped > 0
        return loss_value, aux[0] if aux else None

    def _agree(self, labels: Tensor) -> tuple[tuple[int, int], Tensor]:
        """Return what all parts of a batch share: the grid's shift, and the weight of their labelled pixels.

        The weight is that of the whole batch, divided by the number of processes.
        """
        recipe, processes = self.system.recipe, self.fabric.world_size
        shift = draw_shift(labels, recipe.label_stride)
        if processes > 1 and recipe.label_stride > 1:
            shift = self.fabric.broadcast(shift)
        weight = labelled(on_grid(labels, shift, recipe.label_stride), recipe.background_weight)
        return shift, total(self.fabric, weight.float()) / processes

    def _forward(self, images: Tensor) -> Output:
        try:
            return self.network(images)
        except ValueError as error:  # PyTorch's message shows a shape inside the network
            if "more than 1 value per channel" not in str(error):
                raise
            raise DMNetError(
                f"a batch of shape {list(images.shape)} leaves batch normalisation one value per channel; "
                "train with two images or more at a time, or with larger crops (batch_size, crop)"
            ) from error

    def _require_finite(self, loss: float, names: list[str]) -> None:
        """Raise, in all processes alike, if the loss of the whole batch is not a finite number."""
        if not math.isfinite(loss):
            everything = [name for part in gathered(self.fabric, names) for name in part]
            raise DMNetError(
                f"the loss became {loss} at iteration {self.iteration + 1} (images {', '.join(everything)}). "
                "A smaller learning rate or a longer warm-up usually helps (learning_rate, warmup)."
            )

    def _row(self, loss: float, aux: float | None, rate: float) -> Row:
        elapsed = time.perf_counter() - self.clock  # includes the wait for the images
        self.seconds += elapsed
        self.clock += elapsed
        return {
            "iteration": self.iteration,
            "epoch": self.iteration / self.per_epoch,
            "lr": rate,
            "loss": loss,
            "aux_loss": aux,
            "seconds": self.seconds,
            "images_per_second": self.system.recipe.batch_size / elapsed,
            "val_miou": None,
        }

    def score(self, dataset: Any, workers: int = 0) -> ConfusionMatrix:
        """Return the scores of the network on a data set, of which each process takes a part.

        Args:
            dataset: see `dmnet.inference.evaluate`.
            workers: processes that read its images ahead, for each of the training processes.
        """
        align(self.model, self.fabric)
        return evaluate(self.model, dataset, workers=workers)

    def state(self) -> dict[str, Any]:
        """Return all that a resumed run needs, as tensors and plain values. All processes call it."""
        gpu = self.fabric.device.type == "cuda"
        random = (torch.get_rng_state(), torch.cuda.get_rng_state(self.fabric.device) if gpu else None)
        return {
            "iteration": self.iteration,
            "best": self.best,
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "precision": self.fabric.strategy.precision.state_dict(),  # the gradient scaler of "16-mixed"
            "random": gathered(self.fabric, random),
        }

    def _load(self, state: dict[str, Any]) -> None:
        self.iteration, self.best, self.seconds = state["iteration"], state["best"], state["seconds"]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if state["precision"]:
            self.fabric.strategy.precision.load_state_dict(state["precision"])
        if self.fabric.global_rank < len(state["random"]):
            cpu, gpu = state["random"][self.fabric.global_rank]
            torch.set_rng_state(cpu)
            if gpu is not None and self.fabric.device.type == "cuda":
                torch.cuda.set_rng_state(gpu, self.fabric.device)


# Before training -----------------------------------------------------------------------------------------


def resolve(system: System | str, train_set: Any, **overrides: Any) -> System:
    """Return the system as it will be trained: overrides put in, classes those of the data.

    Args:
        system: a `System` or the name of one.
        train_set: has `classes`.
        **overrides: fields of `Recipe` or `Architecture`, or "evaluation." and a field of `Evaluation`.
            `iterations` puts `epochs` out of force, and the other way round; `resize` holds for the
            evaluation too.

    Raises:
        UnknownSystemError: if there is no such system.
        DMNetError: if an override is no such field, or its value cannot be used.
    """
    system = systems.get(system) if isinstance(system, str) else system
    recipe, architecture, evaluation = _sorted(overrides)
    for given, other in (("iterations", "epochs"), ("epochs", "iterations")):
        if recipe.get(given) is not None:
            recipe.setdefault(other, None)
    if "resize" in recipe:
        evaluation.setdefault("resize", recipe["resize"])
    classes = tuple(train_set.classes)
    if (count := architecture.get("num_classes", len(classes))) != len(classes):
        raise DMNetError(f"num_classes is {count}, but the data set has {len(classes)}: leave it out")
    return replace(
        system,
        classes=classes,
        recipe=replace(system.recipe, **recipe),
        architecture=replace(system.architecture, **{"num_classes": len(classes)} | architecture),
        evaluation=replace(system.evaluation, **evaluation),
    )


def _sorted(overrides: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what is to be changed in the recipe, in the architecture and in the evaluation."""
    parts = [(Recipe, ""), (Architecture, ""), (Evaluation, EVALUATION)]
    places = [{prefix + field.name: field.name for field in fields(kind)} for kind, prefix in parts]
    known = {name for place in places for name in place}
    for name in sorted(overrides.keys() - known):
        near = [full for full in (EVALUATION + name,) if full in known]
        near = near or difflib.get_close_matches(name, known, n=1)
        raise DMNetError(f"there is no setting {name!r}." + (f" Did you mean {near[0]!r}?" if near else ""))
    return [{place[name]: value for name, value in overrides.items() if name in place} for place in places]


def _load_imagenet(model: DMNet) -> None:
    try:
        systems.zoo().load_imagenet(model)
    except DownloadError as error:
        raise DownloadError(
            f"{error} The recipe starts from these ImageNet weights. To start from random ones, which takes "
            "far longer to train, say pretrained=False (--no-pretrained)."
        ) from error


def _require_one_run(fabric: "Fabric", config: dict[str, Any], state: dict[str, Any] | None) -> None:
    """Raise, in all processes alike, if they have not found the same: machines may see different files."""
    found = gathered(fabric, (config, 0 if state is None else state["iteration"]))
    if len(set(starts := [start for _, start in found])) > 1:
        raise DMNetError(
            f"the processes would go on from the iterations {starts}: the run's folder must be one that all "
            "machines see"
        )
    if any(other != config for other, _ in found):
        raise DMNetError("the processes have found different data; it must be the same on all machines")


# During training, and after ------------------------------------------------------------------------------


def _every(interval: int | None, done: int) -> bool:
    return bool(interval) and done % (interval or 1) == 0


def _shown(rows: Iterator[Row], trainer: Trainer, progress: bool) -> Iterator[Row]:
    """Pass the rows on, and show how it goes."""
    hidden = not (progress and interactive())
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


def _validate(trainer: Trainer, val_set: Any, run: Run, workers: int) -> float:
    """Score the network; keep it if it is the best so far, and paint one prediction."""
    trainer.matrix = trainer.score(val_set, workers)
    miou = trainer.matrix.miou()
    improved = miou > trainer.best
    trainer.best = max(miou, trainer.best)
    if improved:
        _save_weights(trainer, run, "best")
    if run.folder is not None:
        run.add_picture(_sample_picture(trainer.model, val_set), trainer.iteration)
    trainer.clock = time.perf_counter()
    return miou


def _sample_picture(model: DMNet, dataset: Any) -> Image.Image:
    """Return the first image, its labels and its prediction side by side."""
    image, mask, _ = dataset[0]
    labels = (mask, predict(model, image))
    panels = [image, *(np.asarray(overlay(image, label, dataset.palette)) for label in labels)]
    return Image.fromarray(np.concatenate(panels, axis=1))


def _finish(trainer: Trainer, val_set: Any, run: Run, workers: int) -> TrainingResult:
    """Write the weights and the scores; return the result."""
    if trainer.matrix is None and val_set is not None and trainer.iteration == trainer.iterations:
        trainer.matrix = trainer.score(val_set, workers)  # a run that had been completed before
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
