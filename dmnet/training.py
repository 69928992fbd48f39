"""Training: one loop, on one device or on many.

The same seed gives the same weights on the same machine, however many processes load the images; and a run
that was killed and resumed ends with the weights of one that was not, bit for bit on a CPU. Several ranks and
micro-batches follow one process but for rounding and batch normalisation: the loss is the mean over all
labelled pixels of the whole batch.
"""

import logging
import math
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from os import PathLike
from types import FrameType
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import nn

from dmnet import checkpoints, runs, systems
from dmnet.errors import CheckpointError, DataError, DMNetError, extra
from dmnet.files import atomic_write, interactive
from dmnet.files import progress as progress_bar
from dmnet.inference import evaluate, predict
from dmnet.losses import draw_shift, labelled, on_grid, segmentation_loss
from dmnet.metrics import ConfusionMatrix
from dmnet.model import DMNet, from_system, pick_device
from dmnet.plots import overlay
from dmnet.runs import Run
from dmnet.sampling import DROPOUT, TrainingSamples, stream_seed, training_batches, worker_advice
from dmnet.systems import Recipe, System
from dmnet.transforms import TrainingTransform

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
COUNTERS = ("iteration", "seconds", "best", "worse")  # seconds without evaluation; mIoU, evaluations since


@dataclass(frozen=True)
class TrainingResult:
    """What `train` returns. Shown in {doc}`06_training`."""

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
    precision: Precision = "32-true",
    accumulate: int = 1,
    compile: bool = False,
    workers: int = 0,
    evaluate_every: int | None = None,
    patience: int | None = None,
    checkpoint_every: int = 200,
    resume: bool = False,
    init: str | PathLike[str] | None = None,
    watch: Callable[[pd.DataFrame, ConfusionMatrix | None], None] | None = None,
    stop_after: int | None = None,
    progress: bool = True,
    options: dict[str, Any] | None = None,
    **overrides: Any,
) -> TrainingResult:
    """Train a system as its recipe says; the loop is built by hand in {doc}`06_training`.

    `torchrun` and SLURM's `srun` start several ranks, each of which computes its part of every batch. With a
    `run_dir`, the first Ctrl-C or SIGTERM finishes the step and saves; the second stops at once.

    Args:
        system: a `System` or the name of one; its number of classes becomes the data set's.
        train_set: see `dmnet.datasets.load`.
        val_set: scored at the end, and every `evaluate_every` iterations.
        run_dir: folder for the log, checkpoints and weights (see `dmnet.runs`); None writes nothing.
        seed: of the weights, the order of the images, their augmentation and dropout.
        device: "cpu", "cuda", ... or "auto", which takes a GPU if there is one.
        precision: "32-true", "bf16-mixed" or, on a GPU, "16-mixed".
        accumulate: micro-batches per step, to need less memory; batch normalisation sees one at a time.
        compile: let `torch.compile` translate the network first.
        workers: processes that load images; 0 loads them in this one. The result is the same.
        evaluate_every: iterations between evaluations on `val_set`.
        patience: stop after so many evaluations without a better mIoU; `best.safetensors` has the best.
        checkpoint_every: iterations between checkpoints.
        resume: go on where `run_dir` was left; where the learning rate is constant also to more `iterations`.
        init: file, run or system whose weights to start from; a warning names a classifier that is left out.
        watch: called after evaluations and checkpoints with history and matrix, see `TrainingResult`.
        stop_after: stop when so many iterations are done, as if interrupted there; `resume` goes on.
        progress: a progress bar where somebody is looking, elsewhere a line at least every minute.
        options: what else the run's `config.json` is to remember.
        **overrides: fields of the system, e.g. `iterations=200, filter_sizes=(3,)`; see `resolve`.

    Raises:
        DMNetError: if `run_dir` holds another run, a setting cannot be used, or the loss is not finite.
        DataError: if a data set is empty, or labels do not fit the classes.
        DownloadError: if the ImageNet weights that the recipe starts from cannot be had.
        Stopped: after a Ctrl-C or SIGTERM; a `KeyboardInterrupt`.
    """
    system = resolve(system, train_set, **overrides)
    for name, dataset in (("training", train_set), ("validation", val_set)):
        if dataset is not None and not len(dataset):
            raise DataError(f"the {name} set is empty")
        if dataset is not None and tuple(dataset.classes) != system.classes:
            raise DataError(f"the {name} set's classes are {dataset.classes}, not {system.classes}")
    recipe, corners = system.recipe, system.architecture.align_corners
    iterations = total_iterations(recipe, len(train_set))
    stop = iterations if stop_after is None else min(stop_after, iterations)
    fabric: Any = make_fabric(device, precision)
    rank, world_size, gpu = fabric.global_rank, fabric.world_size, fabric.device.type == "cuda"
    micro_batch, rest = divmod(recipe.batch_size, world_size * max(accumulate, 1))
    if rest or accumulate < 1:
        parts = f"{world_size} ranks with {accumulate} micro-batches each (batch_size, accumulate)"
        raise DMNetError(f"a batch of {recipe.batch_size} images cannot be divided evenly among {parts}")
    if patience is not None and (patience < 1 or val_set is None or evaluate_every is None):
        raise DMNetError("patience counts evaluations: set evaluate_every (--evaluate-every) and a val_set")
    limit = patience or math.inf
    config = runs.configuration(system, train_set, val_set, seed)
    facts = runs.environment(fabric.device, world_size)
    facts |= {"precision": precision, "accumulate": accumulate, "compile": compile, "init": init}
    with (
        runs.open_run(run_dir if rank == 0 else None, config, resume, options, facts) as run,
        stop_request(run_dir is not None, aloud=rank == 0) as signals,
        torch.random.fork_rng([fabric.device] if gpu else []),  # the caller's random state stays as it is
    ):
        fabric.launch()
        if fabric.broadcast(config) != config:
            raise DMNetError("the ranks have found different data; it must be the same on all machines")
        torch.manual_seed(seed)
        trainer = Trainer(system, fabric, run, seed, compile, init)
        stop = stop if trainer.worse < limit else trainer.iteration
        samples = TrainingSamples(train_set, TrainingTransform(recipe), recipe.batch_size, seed)
        batches = training_batches(samples, trainer.iteration, stop, workers, gpu, rank, world_size)
        progress, hidden = progress and rank == 0, not (progress and rank == 0 and interactive())
        bar = progress_bar(total=iterations, initial=trainer.iteration, disable=hidden)
        matrix, early = None, trainer.iteration + 3  # when one can tell how long it will take
        told = clock = time.perf_counter()
        with worker_advice(workers), closing(batches), bar:
            for images, labels, names in batches:  # of each batch this rank's part
                rate = learning_rate(recipe, trainer.iteration, iterations)
                for group in trainer.optimizer.param_groups:
                    group["lr"] = rate
                trainer.optimizer.zero_grad()
                images = images.to(fabric.device, memory_format=torch.channels_last, non_blocking=True)
                labels = labels.to(fabric.device, non_blocking=True)

                # Every micro-batch is divided by the same number: the ranks' mean, as gradients are a mean.
                shift = draw_shift(labels, recipe.label_stride)
                if recipe.label_stride > 1:
                    shift = fabric.broadcast(shift)
                pixels = labelled(on_grid(labels, shift, recipe.label_stride), recipe.class_weights)
                pixels, losses = fabric.all_reduce(pixels.float()), []
                for start in range(0, len(images), micro_batch):
                    part = slice(start, start + micro_batch)
                    unsynced = fabric.no_backward_sync(trainer.network, enabled=part.stop < len(images))
                    with memory_advice(images[part], recipe.batch_size // world_size), unsynced:
                        output = trainer.network(images[part])
                        loss = segmentation_loss(output, labels[part], recipe, corners, shift, pixels)
                        fabric.backward(loss.total)
                    losses.append(torch.stack([term.detach() for term in loss if term is not None]))
                value, _, *aux = fabric.all_reduce(torch.stack(losses).sum(0)).tolist()
                if not math.isfinite(value):
                    every = ", ".join(name for some in _all_gather(fabric, names) for name in some)
                    when = f"at iteration {trainer.iteration + 1} (images {every})"
                    remedy = "A smaller learning_rate or a longer warmup usually helps"
                    raise DMNetError(f"the loss became {value} {when}. {remedy}.")
                trainer.optimizer.step()  # "16-mixed" leaves out a step whose gradients overflowed

                trainer.iteration = done = trainer.iteration + 1
                elapsed = time.perf_counter() - clock  # includes the wait for the images
                trainer.seconds += elapsed
                epoch = done / max(len(train_set) // recipe.batch_size, 1)  # of full batches
                row = {"iteration": done, "epoch": epoch, "lr": rate, "loss": value}
                row |= {"aux_loss": aux[0] if aux else None, "seconds": trainer.seconds}
                row |= {"images_per_second": recipe.batch_size / elapsed}
                matrix = None
                if val_set is not None and (done == iterations or done % (evaluate_every or iterations) == 0):
                    matrix = trainer.validate(val_set, workers)
                    row["val_miou"] = matrix.miou()
                    stop = stop if trainer.worse < limit else done
                run.log(row)
                bar.set_postfix_str(f"loss {value:.3f}", refresh=False)
                bar.update()
                left, due = trainer.seconds / done * (iterations - done), clock + 2 * elapsed >= told + 60
                if progress and ((done == early and left >= 60) or (hidden and (due or done == iterations))):
                    told, until = clock + elapsed, f"{bar.format_interval(left)} left"
                    until += "; less with --quick" if done == early and left > 3600 else ""
                    with bar.external_write_mode():  # the bar, if there is one, stands below
                        print(f"iteration {done}/{iterations}  loss {value:.3f}  {until}", flush=True)
                stopped = fabric.all_reduce(float(len(signals))) > 0  # all ranks stop at the same iteration
                if saved := done == stop or stopped or done % checkpoint_every == 0:
                    run.save_state(trainer.state())
                if watch is not None and rank == 0 and (saved or matrix is not None):
                    watch(run.history(), matrix)
                if stopped and done < stop:
                    fabric.barrier()  # torchrun may end all ranks when the first of them ends
                    raise Stopped(f"stopped after iteration {done}, and saved", *signals[:1])
                if done == stop:
                    break
                clock = time.perf_counter()
        tired = trainer.worse >= limit and trainer.iteration < iterations
        if tired and progress:
            best = f"no mIoU above {trainer.best:.2%} in {trainer.worse} evaluations"
            print(f"stopped at iteration {trainer.iteration}/{iterations}: {best}")
        if matrix is None and val_set is not None and (tired or trainer.iteration == iterations):
            matrix = trainer.validate(val_set, workers)  # a run that had been completed before
        trainer.save_weights("last", matrix)
        if run.folder is not None and matrix is not None:
            with atomic_write(run.folder / "classes.csv") as temporary:
                matrix.table(system.classes).to_csv(temporary, float_format="%.4f")
        return TrainingResult(trainer.model.eval(), run.history(), matrix)


class Trainer:
    """What changes during training: network, optimizer, counters. Used in {doc}`06_training`.

    `fabric` knows device and ranks, the first rank's `run` where to go on; `seed` is for the others' dropout.
    """

    def __init__(self, system: System, fabric: Any, run: Run, seed: int, compile: bool, init: Any) -> None:
        self.fabric, self.run = fabric, run
        self.iteration, self.seconds, self.best, self.worse = 0, 0.0, -1.0, 0
        self.model = from_system(system)
        state = fabric.broadcast(run.state)
        if state is None and fabric.global_rank == 0:  # the other ranks are sent its weights
            if init is not None and (left := systems.zoo().load_initial(self.model, init)):
                warnings.warn(f"starts from {init}, but for {checkpoints.listed(left)}", stacklevel=3)
            elif init is None and system.recipe.pretrained:
                systems.zoo().load_imagenet(self.model)
        # Channels last: several times faster on a CPU, and what a GPU's tensor cores want.
        self.model.to(fabric.device).to(memory_format=torch.channels_last).train()
        _synchronise(self.model, fabric)
        for module in self.model.modules():
            if system.recipe.freeze_bn and isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        optimizer = make_optimizer(self.model, system.recipe)
        if fabric.global_rank:  # dropout differs between the ranks, the start does not
            torch.manual_seed(stream_seed(DROPOUT, seed, fabric.global_rank))
        if state is not None:
            try:
                self.iteration, self.seconds, self.best, self.worse = (state[name] for name in COUNTERS)
                self.model.load_state_dict(state["model"])
                optimizer.load_state_dict(state["optimizer"])
                if state["precision"]:
                    fabric.strategy.precision.load_state_dict(state["precision"])
                if fabric.global_rank < len(state["random"]):
                    cpu, gpu = state["random"][fabric.global_rank]
                    torch.set_rng_state(cpu)
                    if gpu is not None and fabric.device.type == "cuda":
                        torch.cuda.set_rng_state(gpu, fabric.device)
            except Exception as error:  # what a checkpoint holds can be anything
                remedy = "it is not of this run, or damaged; delete it to start over"
                raise CheckpointError(f"{run.folder}/last.ckpt cannot be resumed: {remedy}") from error
        network = torch.compile(self.model) if compile else self.model
        self.network, self.optimizer = fabric.setup(network, optimizer)

    def state(self) -> dict[str, Any]:
        """Return all that a resumed run needs, as tensors and plain values. All ranks call it."""
        gpu = torch.cuda.get_rng_state(self.fabric.device) if self.fabric.device.type == "cuda" else None
        return {name: getattr(self, name) for name in COUNTERS} | {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "precision": self.fabric.strategy.precision.state_dict(),  # the gradient scaler of "16-mixed"
            "random": _all_gather(self.fabric, (torch.get_rng_state(), gpu)),
        }

    def validate(self, dataset: Any, workers: int) -> ConfusionMatrix:
        """Return the scores; keep the best weights, and a prediction as an image. All ranks call it."""
        if self.fabric.world_size > 1:  # on CPUs each rank has batch norm's statistics of its own images
            for statistics in self.model.buffers():
                torch.distributed.broadcast(statistics, 0)
        matrix = evaluate(self.model, dataset, workers=workers)
        self.worse += 1
        if matrix.miou() > self.best:
            self.best, self.worse = matrix.miou(), 0
            self.save_weights("best", matrix)
        if self.run.folder is not None:
            image, mask, _ = dataset[0]
            painted = (overlay(image, one, dataset.palette) for one in (mask, predict(self.model, image)))
            self.run.add_image(Image.fromarray(np.hstack([image, *map(np.asarray, painted)])), self.iteration)
        return matrix

    def save_weights(self, name: str, matrix: ConfusionMatrix | None) -> None:
        """Write the weights into the run's folder, with what is known of them."""
        if self.run.folder is not None:
            notes = {"iteration": self.iteration} | ({} if matrix is None else {"miou": matrix.miou()})
            checkpoints.save_weights(self.model, self.run.folder / f"{name}.safetensors", **notes)


def resolve(system: System | str, train_set: Any, **overrides: Any) -> System:
    """Return the system as it will be trained, with the data's classes. Used in {doc}`06_training`.

    The `overrides` are fields of `Recipe` or `Architecture`, or "evaluation." and a field of `Evaluation`.
    `iterations` puts `epochs` out of force, and the other way round; `resize` holds for the evaluation too,
    `crop` where that slides a window. A DMNetError if there is no such system or field, or a value cannot
    be used.
    """
    system = systems.get(system) if isinstance(system, str) else system
    classes = tuple(train_set.classes)
    given = overrides.setdefault("num_classes", len(classes))
    if given != len(classes):
        raise DMNetError(f"num_classes is {given}, but the data set has {len(classes)}: leave it out")
    for one, other in (("iterations", "epochs"), ("epochs", "iterations")):
        if overrides.get(one) is not None:
            overrides.setdefault(other, None)
    if classes != system.classes:  # class weights are those of the system's own classes
        overrides.setdefault("class_weights", ())
    if "resize" in overrides:
        overrides.setdefault("evaluation.resize", overrides["resize"])
    if overrides.get("crop") and system.evaluation.window:
        system = replace(system, evaluation=systems.protocol(system, window=overrides["crop"]))
    parts: dict[str, Any] = {}  # of the system, changed
    known: list[str] = []  # all settings
    for part, prefix in (("recipe", ""), ("architecture", ""), ("evaluation", "evaluation.")):
        names = {prefix + one.name: one.name for one in fields(getattr(system, part))}
        changes = {names[name]: value for name, value in overrides.items() if name in names}
        parts[part] = replace(getattr(system, part), **changes)
        known += names
    for name in overrides.keys() - known:
        near = [one for one in known if one == f"evaluation.{name}"] or get_close_matches(name, known, 1)
        raise DMNetError(f"there is no setting {name!r}." + (f" Did you mean {near[0]!r}?" if near else ""))
    weights = parts["recipe"].class_weights
    every = (*weights, *[1.0] * (len(classes) - len(weights)))
    if len(every) > len(classes) or min(every) < 0 or not any(every):
        each = f"not all 0, at most one for each of {checkpoints.listed(classes, 20)}"
        raise DMNetError(f"class_weights are numbers from 0 on, {each}; got {weights}")
    return replace(system, classes=classes, **parts)


def total_iterations(recipe: Recipe, images: int) -> int:
    """Return the recipe's iterations, or those of its epochs of full batches. Used in {doc}`06_training`."""
    if recipe.iterations is not None:
        return recipe.iterations
    if recipe.epochs is None:
        raise DMNetError("the recipe says neither iterations nor epochs: set one of them")
    return recipe.epochs * max(images // recipe.batch_size, 1)


def learning_rate(recipe: Recipe, iteration: int, iterations: int) -> float:
    r"""Return the learning rate of one step. Derived in {doc}`06_training`.

    With $t$ = `iteration`, the steps done before, $T$ = `iterations`, the steps in all, $\eta_0$ =
    `recipe.learning_rate` and $\eta_T$ = `recipe.final_learning_rate`:

    - poly: $(\eta_0 - \eta_T)\,(1 - t/T)^{0.9} + \eta_T$, where 0.9 is `recipe.power`;
    - cosine: $(\eta_0 - \eta_T)\,(1 + \cos(\pi t/T))/2 + \eta_T$;
    - in the first $w$ = `recipe.warmup` steps, $(t + 1)/w$ of that.
    """
    left = 1 - iteration / iterations
    share = left**recipe.power if recipe.schedule == "poly" else (1 - math.cos(math.pi * left)) / 2
    rate = (recipe.learning_rate - recipe.final_learning_rate) * share + recipe.final_learning_rate
    return rate * min((iteration + 1) / recipe.warmup, 1) if recipe.warmup else rate


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the optimizer; every parameter decays, as in both public codes. Used in {doc}`06_training`."""
    rate, decay = recipe.learning_rate, recipe.weight_decay
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), rate, momentum=recipe.momentum, weight_decay=decay)
    return torch.optim.AdamW(model.parameters(), rate, betas=(recipe.momentum, 0.99), weight_decay=decay)


def make_fabric(device: str = "auto", precision: Precision = "32-true") -> Any:
    """Return Lightning's Fabric: alone, or one of `torchrun`'s or `srun`'s. Used in {doc}`06_training`."""
    with extra("train"):
        from lightning_fabric import Fabric
        from lightning_fabric.plugins.environments import SLURMEnvironment

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces every start
    variables, ranks, nodes = os.environ, 1, 1  # ranks on each node, a machine
    if "TORCHELASTIC_RUN_ID" in variables:  # torchrun
        ranks = int(variables["LOCAL_WORLD_SIZE"])
        nodes = int(variables["WORLD_SIZE"]) // ranks
    elif SLURMEnvironment.detect():
        ranks, nodes = (int(variables.get(f"SLURM_{n}", 1)) for n in ("NTASKS_PER_NODE", "NNODES"))
    several, which = ranks * nodes > 1, None
    if not several:
        device, which = (place := pick_device(device)).type, place.index
    elif device == "auto":  # not touched here: each rank is to use its own alone
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if precision == "16-mixed" and device == "cpu":
        raise DMNetError("16-mixed needs a GPU; a CPU computes in 32-true or bf16-mixed")
    chosen: Any = {"devices": ranks if which is None else [which], "strategy": "ddp" if several else "auto"}
    try:
        return Fabric(accelerator=device, num_nodes=nodes, precision=precision, **chosen)
    except (RuntimeError, ValueError) as error:
        raise DMNetError(f"training cannot start on {device} in {precision}: {error}") from error


def _synchronise(model: nn.Module, fabric: Any) -> None:
    if fabric.world_size > 1 and fabric.device.type == "cuda":  # there is no such layer for CPUs
        nn.SyncBatchNorm.convert_sync_batchnorm(model)  # in place: each sees the images of all GPUs


def _all_gather(fabric: Any, value: Any) -> list[Any]:
    values = [value] * fabric.world_size
    if fabric.world_size > 1:
        torch.distributed.all_gather_object(values, value)
    return values


@contextmanager
def memory_advice(images: torch.Tensor, batch: int) -> Iterator[None]:
    """Say which batch to try where the memory does not suffice for this one, part of a rank's `batch`.

    A DMNetError in place of PyTorch's error, of a GPU or a CPU. Used in {doc}`06_training`.
    """
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "allocate memory" not in str(error):
            raise
        count, _, height, width = images.shape
        fewer = next((n for n in range(count // 2, 0, -1) if batch % n == 0), None)
        parts = f"accumulate={batch // fewer} (--accumulate), {fewer} at once" if fewer else "a smaller crop"
        needed = f"{images.device} has not enough memory for {count} images of {height} x {width} at once"
        raise DMNetError(f"{needed}: try {parts}, or the precision bf16-mixed") from error


class Stopped(KeyboardInterrupt):
    """Training was asked to stop, and has saved all that a resumed run needs. Used in {doc}`06_training`."""

    def __init__(self, message: str, number: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.exit_code = 128 + number  # what a shell would say


@contextmanager
def stop_request(active: bool = True, aloud: bool = True) -> Iterator[list[int]]:
    """Note the first Ctrl-C or SIGTERM, raise at the second; yield the numbers of the signals so far.

    Nothing changes if not `active`, or in a thread; a line answers if `aloud`. Used in {doc}`06_training`.
    """
    signals: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        signals.append(number)
        if len(signals) > 1:
            raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)
        if aloud:
            with suppress(RuntimeError):  # the signal came while another line was being printed
                print("\nStopping after this step; a second signal stops at once.", file=sys.stderr)

    active = active and threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGINT, signal.SIGTERM) if active else ()
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
