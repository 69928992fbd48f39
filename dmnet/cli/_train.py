"""`dmnet train`."""

import ast
import inspect
import os
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Context, Exit, Option

from dmnet import systems
from dmnet.cli import _shared as shared
from dmnet.cli._shared import Data, DataRoot, Device, app, load_data, print_scores, say
from dmnet.errors import DMNetError

QUICK = {"iterations": 600, "batch_size": 8, "crop": (256, 256), "resize": (1024, 256)}  # of --quick
SPLITS = {"voc": "trainaug"}  # what the published recipes train on; else "train"


@app.command()
def train(
    context: Context,  # holds all of the others
    system: Annotated[str, Argument(help="Name of a system, or a run's folder, for its settings and data.")],
    run: Annotated[Path | None, Option(help="Folder for log, checkpoints and weights.")] = None,
    data: Data = None,
    data_root: DataRoot = None,
    split: Annotated[str | None, Option(help="To train on. Default: trainaug of voc, else train.")] = None,
    val_split: Annotated[str, Option(help="What to score on; `none` for nothing.")] = "val",
    iterations: Annotated[int | None, Option(min=1, help="Steps in all.")] = None,
    batch_size: Annotated[int | None, Option(min=1, help="Images per step, in all.")] = None,
    learning_rate: Annotated[float | None, Option(min=0, help="At the start.")] = None,
    crop: Annotated[int | None, Option(min=1, help="Side of the square crop, pixels.")] = None,
    class_weights: Annotated[str | None, Option(help="In the loss: W,W,... or `balanced`.")] = None,
    no_pretrained: Annotated[bool, Option("--no-pretrained", help="Start from random weights.")] = False,
    init: Annotated[str | None, Option(help="Start from the weights of a file, run or system.")] = None,
    quick: Annotated[
        bool, Option("--quick", help="For small machines: 600 steps of 8 crops of 256, images at half size.")
    ] = False,
    setting: Annotated[
        list[str] | None,
        Option("--set", metavar="NAME=VALUE", help="Any field of `dmnet systems NAME`, or evaluation.FIELD."),
    ] = None,
    seed: Annotated[int, Option(min=0, help="Of weights, order and augmentation.")] = 0,
    evaluate_every: Annotated[int | None, Option(min=1, help="Steps between scores.")] = None,
    patience: Annotated[int | None, Option(min=1, help="Scores without a better mIoU to stop after.")] = None,
    checkpoint_every: Annotated[int, Option(min=1, help="Steps between checkpoints.")] = 200,
    workers: Annotated[int, Option(min=0, help="Processes that load images, per device.")] = 0,
    device: Device = "auto",
    devices: Annotated[int, Option(min=1, help="Devices here that share the batch, by torchrun.")] = 1,
    precision: Annotated[str, Option(help="32-true, bf16-mixed or 16-mixed (GPU).")] = "32-true",
    accumulate: Annotated[int, Option(min=1, help="Micro-batches per step and device, for less memory.")] = 1,
    compile: Annotated[bool, Option("--compile", help="Use torch.compile.")] = False,
    resume: Annotated[bool, Option("--resume", help="Go on where the run was left.")] = False,
) -> None:
    """Train a system.

    `dmnet train --resume RUN` goes on after a crash as if nothing had happened. Ctrl-C and SIGTERM finish the
    step and save; a second time stops at once.

    On several machines, use SLURM's `srun` (tools/slurm_train.sh is an example), or on each of them `torchrun
    --nnodes 2 --nproc-per-node 4 --node-rank 0 --master-addr HOST -m -- dmnet train ...`, with its own number
    as the node rank. Without the `--`, torchrun takes --run for an option of its own.
    """
    asked, folder = _asked(context)
    overrides = _overrides(asked)  # before the data are looked for: mistakes are told at once
    if resume:
        _check_end(folder, overrides)
    if devices > 1 and "TORCHELASTIC_RUN_ID" not in os.environ:
        os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", "120")  # to finish the step and save
        torchrun = f"-m torch.distributed.run --standalone --nproc-per-node {devices} -m -- dmnet".split()
        os.execv(sys.executable, [sys.executable, *torchrun, *sys.argv[1:]])
    from dmnet import training
    from dmnet.analysis.training import balanced_weights, draw_run
    from dmnet.doctor import examine, quick_check

    source, val_split = asked["data"] or systems.get(asked["system"]).dataset, asked["val_split"]
    train_set = load_data(source, asked["split"] or SPLITS.get(source, "train"), asked["data_root"])
    val_set = None if val_split == "none" else load_data(source, val_split, asked["data_root"])
    first = int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", 0))) == 0
    if first:
        quick_check(train_set, val_set)
    if asked["class_weights"] == "balanced":
        report = examine(train_set)
        overrides["class_weights"] = weights = balanced_weights(report.splits[0].pixels.tolist())
        asked["class_weights"] = ",".join(map(str, weights))  # which a resumed run finds
        if first:
            shared.print_table(report.table().iloc[: len(weights), [0]].assign(weight=weights))
    known = inspect.signature(training.train).parameters  # the options have the names of its arguments
    options = {name: value for name, value in asked.items() if name in known and name != "system"}
    options |= {"resume": resume, "options": asked, "watch": partial(draw_run, folder, train_set.classes)}
    try:
        result = training.train(asked["system"], train_set, val_set, folder, **options, **overrides)
    except KeyboardInterrupt as stopped:
        if first and (folder / "last.ckpt").exists():
            said = str(stopped).capitalize() or "Interrupted"
            say(f"{said}. Go on with: {shared.command('train', '--resume', folder)}")
        if isinstance(stopped, training.Stopped):
            raise Exit(stopped.exit_code) from None
        raise
    if first:
        if result.matrix is not None:
            print_scores(result.matrix, train_set.classes)
        say(f"Weights: {folder / 'last.safetensors'}; beside it the best, curves.png and other pictures")
        say(f"Live, or beside other runs: tensorboard --logdir {str(folder)!r}")
        if val_set is not None:
            shared.say_next("evaluate", folder / "best.safetensors" if asked["patience"] else folder)
        else:
            shared.say_predict(train_set, folder)


def _asked(context: Context) -> tuple[dict[str, Any], Path]:
    """Return all options, from its record if a run stands for the system; and the folder to be written."""
    asked = {name: str(value) if isinstance(value, Path) else value for name, value in context.params.items()}
    run, resume = asked.pop("run"), asked.pop("resume")
    folder = Path(asked["system"])
    folder = folder.parent if folder.is_file() else folder
    known = asked["system"] in systems.names() or not (folder / "config.json").is_file()
    if run is not None and known:
        return asked, Path(run)
    if run is None and not resume:
        raise DMNetError("say where the run is to be written: --run FOLDER")
    from dmnet.runs import read_json

    del asked["system"]
    recorded = read_json(folder / "config.json", dict).get("options")
    if not isinstance(recorded, dict) or "system" not in recorded:
        raise DMNetError(f"{folder} was not begun by `dmnet train`: resume it from Python (resume=True)")
    # What is given again is taken, and so is what a record of an earlier version does not have.
    given = {name for name in asked if str(context.get_parameter_source(name)).endswith("COMMANDLINE")}
    taken = {name: asked[name] for name in given | (asked.keys() - recorded.keys())}
    return recorded | taken, Path(run or folder)


def _check_end(folder: Path, overrides: dict[str, Any]) -> None:
    """Refuse to go on to another end where the learning rate falls to it, and say what to do instead."""
    from dmnet.zoo.pretrained import recorded

    recipe = recorded(folder / "config.json").get("system", {}).get("recipe", {})
    wanted = overrides.get("iterations")
    falls = recipe.get("learning_rate") != recipe.get("final_learning_rate")
    if falls and wanted not in (None, recipe["iterations"]):
        again = ["train", folder, "--init", folder, "--run", shared.unused(folder), "--iterations", wanted]
        why = f"{folder} cannot be prolonged: its learning rate falls to the end it was begun with"
        raise DMNetError(f"{why}. To start a new run from its weights:\n    {shared.command(*again)}")


def _overrides(asked: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of the system that the options change."""
    names = ("iterations", "batch_size", "learning_rate")
    overrides = dict(QUICK) if asked["quick"] else {}
    overrides |= {name: asked[name] for name in names if asked[name] is not None}
    overrides |= {} if asked["crop"] is None else {"crop": (asked["crop"], asked["crop"])}
    overrides |= {"pretrained": False} if asked["no_pretrained"] else {}
    weights = asked["class_weights"]
    settings = [] if weights in (None, "balanced") else [f"class_weights={weights},"]  # also of one: a tuple
    for text in settings + (asked["setting"] or []):
        name, equals, value = text.partition("=")
        if not equals:
            raise DMNetError(f"--set wants NAME=VALUE, got {text!r}")
        try:
            overrides[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):  # no Python literal, so it is a word
            overrides[name] = value
    return overrides
