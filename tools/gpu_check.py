"""Prove and measure on one GPU what the CPUs of the tests cannot show: data/results/gpu_<card>.csv.

    python tools/gpu_check.py                        # all of it: at most nine minutes on a card like the H100
    python tools/gpu_check.py --device cpu --tiny    # the same lines on any computer, in less than a minute

Needed is what `pip install .` brings, but for matplotlib, and Lightning; no network. Images are drawn. What
fails, is absent or finds no time is a row of the table, and the rest goes on; a row is in the file when it is
known. Ends with 1 if a row says that something is wrong.
"""

import argparse
import faulthandler
import importlib.util
import json
import multiprocessing
import os
import re
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

ROOT = Path(__file__).resolve().parents[1]
RESULTS, REFERENCE = ROOT / "data" / "results", ROOT / "tests" / "reference"
sys.path[:0] = [str(ROOT), str(REFERENCE)]

if (
    importlib.util.find_spec("matplotlib") is None
):  # nothing is drawn here, and machines for computing lack it
    for part in ("", ".axes", ".colors", ".figure", ".patches", ".pyplot"):
        sys.modules[f"matplotlib{part}"] = MagicMock()

import fill_weights
import numpy as np
import pandas as pd
import torch
from input_speed import draw_scene
from PIL import Image
from torch import distributed, nn

import dmnet
from dmnet import datasets, runs, systems
from dmnet.datasets.published import PUBLISHED
from dmnet.files import atomic_write
from dmnet.losses import labelled, segmentation_loss
from dmnet.model import Output, from_system
from dmnet.systems import System
from dmnet.training import make_optimizer, train
from dmnet.zoo.weight_names import translate

PRECISIONS = {"float32": None, "tf32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
LIMITS = {"float32": 1e-4, "tf32": 0.03, "bf16": 0.5, "fp16": 0.1}  # of a golden's error, standard deviations
STEPS: dict[str, dict[str, Any]] = {  # ways to train
    "float32": {"precision": "float32"},
    "tf32": {"precision": "tf32"},
    "bf16": {},
    "bf16, channels first": {"layout": torch.contiguous_format},
    "bf16, compiled": {"compile": "inductor"},
    "bf16, 4 micro-batches": {"accumulate": 4},
    "bf16, SyncBN of one process": {"sync": True},
}
VOC, R50 = "VOCdevkit/VOC2012", "ssseg_r50_d8_voc"
TINY = {"backbone": "tiny_resnet", "channels": 8, "fusion_channels": 8, "aux_channels": 8}


@dataclass
class Check:
    """The device, how much is to be done on it, and the table."""

    device: torch.device
    tiny: bool
    output: Path
    deadline: float  # by `time.monotonic`
    home: Path  # for drawn data and runs
    camvid: Path | None
    facts: dict[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list)
    case: dict[str, str] = field(default_factory=dict)  # what is being done

    def add(self, measure: str, value: Any, unit: str = "", limit: float | None = None) -> None:
        """Put a row into the table and the table into its file; a value above its limit is wrong."""
        wrong = measure == "failed" or (limit is not None and not value <= limit)
        row = self.case | {"measure": measure, "value": value, "unit": unit}
        self.rows.append(row | {"limit": limit, "verdict": "wrong" if wrong else ""} | self.facts)
        with atomic_write(self.output) as temporary:
            pd.DataFrame(self.rows).to_csv(temporary, index=False, lineterminator="\n")
        print(*row.values(), "WRONG" if wrong else "", flush=True)

    def run(self, section: str, case: str, work: Callable[..., None], *given: Any, **options: Any) -> None:
        """Do a piece of work, or say in a row why not."""
        self.case = {"section": section, "case": case}
        if time.monotonic() > self.deadline:
            return self.add("not run", "no time was left")
        try:
            work(self, *given, **options)
        except Exception as error:
            reason = next(iter(str(error).strip().splitlines()), "")[:300]
            self.add("failed", f"{type(error).__name__}: {reason}")

    def system(self, name: str) -> System:
        """Return a published system, or a small one; it starts from random weights: there is no network."""
        system = systems.get(name)
        recipe = replace(system.recipe, pretrained=False, iterations=None)
        if self.tiny:
            system = replace(system, architecture=replace(system.architecture, **TINY))
            system = replace(system, evaluation=replace(system.evaluation, resize=(128, 64)))
            recipe = replace(recipe, crop=(64, 64), resize=(128, 64), batch_size=4)
        return replace(system, recipe=recipe)

    def clock(self) -> float:
        """Return the time when all that was asked for is computed."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    @contextmanager
    def precision(self, name: str) -> Iterator[None]:
        """Compute in one of `PRECISIONS`; "float32" is without TF32."""
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = name != "float32"
        kind = PRECISIONS[name]
        with torch.autocast(self.device.type, kind or torch.bfloat16, enabled=kind is not None):
            yield


def draw_voc(home: Path, split: str, count: int) -> None:
    """Draw photographs and masks as VOC's lie on the disk."""
    voc, ids = home / VOC, [f"{split}_{number:04d}" for number in range(count)]
    for folder in ("JPEGImages", "SegmentationClass", "SegmentationClassAug", "ImageSets/Segmentation"):
        (voc / folder).mkdir(parents=True, exist_ok=True)
    (voc / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("\n".join(ids) + "\n")
    for number, name in enumerate(ids):
        image, mask = draw_scene("voc", number + 1000 * (split == "val"))
        Image.fromarray(image).save(voc / "JPEGImages" / f"{name}.jpg")
        for folder in ("SegmentationClass", "SegmentationClassAug"):
            Image.fromarray(mask).save(voc / folder / f"{name}.png")


def golden(check: Check) -> None:
    """Compare outputs with those that the public code gave on a CPU, from the same weights."""
    records = sorted(REFERENCE.glob("golden_*.npz"), key=lambda record: record.stat().st_size)
    for record in records[: 1 if check.tiny else None]:  # the quickest, for a CPU in half precision
        check.run("golden", record.stem.removeprefix("golden_"), golden_record, record)
    if not records:
        check.add("absent", f"there are no records in {REFERENCE.relative_to(ROOT)}")


def golden_record(check: Check, record: Path) -> None:
    name, golden = check.case["case"], np.load(record)
    source, depth, *_ = name.split("_")
    theirs = list(json.loads(next(REFERENCE.glob(f"keys_{source}_{depth}_*.json")).read_text()))
    ours = list(translate(dict.fromkeys(theirs, torch.empty(0)))[1])
    model = dmnet.build_model(next(one for one in systems.names() if one.startswith(name))).eval()
    for one, public in zip(ours, theirs, strict=True):  # weights depend on the public name
        value = fill_weights.filled_tensor(public, tuple(model.state_dict()[one].shape))
        model.state_dict()[one].copy_(torch.from_numpy(np.asarray(value)))
    batch, _, height, width, seed = golden["input"].tolist()
    images = torch.from_numpy(fill_weights.golden_input(batch, height, width, seed)).to(check.device)
    model.to(check.device)
    for precision, limit in LIMITS.items():
        with check.precision(precision), torch.inference_mode():
            output = model(images)
        for key, own in output._asdict().items():
            error = np.abs(own.float().cpu().numpy() - golden[key]).max() / golden[key].std()
            check.add(f"error of {key} in {precision}", error.item(), "standard deviations", limit)


def training(check: Check) -> None:
    """Train at the published crop and batch, each way of `STEPS`, and once as a reader does."""
    for name in (R50, "ssseg_r101_d8_voc"):
        for case, options in STEPS.items():
            check.run("training", f"{name}, {case}", step_time, name, **options)
    check.run("training", f"{R50}, bf16, train()", whole_loop)


def step_time(check: Check, name: str, **options: Any) -> None:
    """Train on one batch again and again: images a second and the most memory."""
    defaults = {"precision": "bf16", "accumulate": 1, "layout": torch.channels_last}
    how = SimpleNamespace(**dict.fromkeys(("compile", "sync")) | defaults | options)
    system = check.system(name)
    batch, size = system.recipe.batch_size, system.recipe.crop or (512, 512)
    torch.manual_seed(0)
    model: nn.Module = from_system(system).to(check.device).to(memory_format=how.layout).train()
    model = nn.SyncBatchNorm.convert_sync_batchnorm(model) if how.sync else model
    optimizer = make_optimizer(model, system.recipe)
    network = torch.compile(model, backend="eager" if check.tiny else how.compile) if how.compile else model
    images = torch.randn(batch, 3, *size, device=check.device).to(memory_format=how.layout)
    labels = torch.randint(21, (batch, *size), device=check.device)
    if check.device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    seconds, values = [], []
    for _ in range(3 if check.tiny else 12):
        start, weight, losses = check.clock(), labelled(labels), []
        for image, label in zip(images.chunk(how.accumulate), labels.chunk(how.accumulate), strict=True):
            with check.precision(how.precision):
                output = network(image)
            output = Output(*(one.float() for one in output))  # as Lightning does
            losses.append(segmentation_loss(output, label, system.recipe, weight=weight).total)
            losses[-1].backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(check.clock() - start)
        values.append(sum(loss.item() for loss in losses))
    speed = batch / float(np.median(seconds[len(seconds) // 3 :]))
    check.add("speed", round(speed, 2), "images/s")
    check.add("last loss, share of the first", round(values[-1] / values[0], 4), limit=1.5)
    if check.device.type == "cuda":
        check.add("memory", round(torch.cuda.max_memory_allocated() / 2**30, 2), "GiB")


def whole_loop(check: Check) -> None:
    count, workers = (3, 0) if check.tiny else (30, min(os.cpu_count() or 1, 12))
    system, dataset = check.system(R50), datasets.load("voc", check.home, "trainaug")
    options: dict[str, Any] = {"device": check.device.type, "precision": "bf16-mixed", "workers": workers}
    history = train(system, dataset, iterations=count, progress=False, **options).history
    speed = history["images_per_second"].iloc[count // 3 :].median()
    check.add(f"speed with {workers} workers", round(speed, 2), "images/s")


def kill(history: pd.DataFrame, matrix: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def resume(check: Check) -> None:
    """Kill a training process, resume it, and compare its weights with those of one that was not killed."""
    system, dataset = replace(check, tiny=True).system(R50), datasets.load("voc", check.home, "trainaug")
    options = {"device": check.device.type, "checkpoint_every": 8, "iterations": 12, "resume": True}
    given, options = (system, dataset, None, check.home / "killed"), options | {"progress": False}
    spawn = multiprocessing.get_context("spawn")
    process = spawn.Process(None, train, None, given, options | {"watch": kill})
    process.start()
    process.join(120)
    check.add("exit code", process.exitcode, limit=-signal.SIGKILL)
    weights = []
    for run in ("killed", "whole"):
        model = train(*given[:3], check.home / run, **options).model
        weights.append(torch.cat([one.detach().flatten() for one in model.parameters()]))
    difference = (weights[0] - weights[1]).abs().max().item()
    limit = 0 if check.device.type == "cpu" else 1e-2  # bit for bit on a CPU alone
    check.add("largest difference of a weight", difference, limit=limit)


def collective(check: Check) -> None:
    """Train and evaluate in a group of one process: NCCL, or gloo on a CPU."""
    backend, store = "nccl" if check.device.type == "cuda" else "gloo", f"file://{check.home}/rendezvous"
    system = replace(check, tiny=True).system(R50)
    distributed.init_process_group(backend, store, timedelta(seconds=60), world_size=1, rank=0)
    one = torch.ones(1, device=check.device)
    distributed.all_reduce(one)
    check.add("error of a sum over processes", abs(one.item() - 1), limit=0)
    model, images = from_system(system).to(check.device), torch.randn(2, 3, 64, 64, device=check.device)
    gradients = []
    for network in (model, nn.parallel.DistributedDataParallel(model)):
        torch.manual_seed(0)  # dropout
        model.zero_grad()
        torch.cat([part.flatten() for part in network(images)]).square().mean().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    error = (gradients[0] - gradients[1]).norm() / gradients[0].norm()
    check.add("relative error of the gradient", error.item(), limit=1e-4)
    check.add("pixels counted", dmnet.evaluate(model, datasets.load("voc", check.home, "val")).counts.sum())
    distributed.destroy_process_group()


def evaluation(check: Check) -> None:
    """Evaluate on whole images, with windows and at several scales."""
    for protocol, precision in product(("whole", "slide", "ms+flip"), ("float32", "tf32", "bf16")):
        for batch in (1, 8) if protocol == "whole" else (4,):
            case = f"{R50}, {protocol}, {precision}, batches of {batch}"
            check.run("evaluation", case, evaluation_speed, protocol, precision, batch)


def evaluation_speed(check: Check, protocol: str, precision: str, batch: int) -> None:
    system, dataset = check.system(R50), datasets.load("voc", check.home, "val")
    some = replace(dataset, files=dict(list(dataset.files.items())[: 1 if check.tiny else 16]))
    model = from_system(system).to(check.device).eval()
    model.forward = check.precision(precision)(model.forward)  # type: ignore[method-assign]
    for _ in range(2):  # the first pays for what is done once
        start = check.clock()
        dmnet.evaluate(model, some, protocol=systems.protocol(system, protocol), batch_size=batch)
        seconds = check.clock() - start
    check.add("speed", round(len(some) / seconds, 2), "images/s")


def chapters(check: Check) -> None:
    """Execute what chapters do with a GPU and VOC instead of the drawn scenes, for a few iterations."""
    short = {R50: "check", "4200": "4", "looks = 14 ": "looks = 2 ", '"workers": 4': '"workers": 0'}
    short |= {"16-mixed": "bf16-mixed"} if check.device.type == "cpu" else {}
    short |= {"range(48)": "range(4)", "> 0.005": ">= 0"}  # of a network that has learned nothing
    for name in ("06_experiment", "07_evaluation"):
        check.run("chapters", name, chapter, name, short)


def chapter(check: Check, name: str, changes: dict[str, str]) -> None:
    roots, device = {"voc": check.home / VOC}, check.device.type
    names = {"profile": SimpleNamespace(name="full", device=device, roots=roots), "dmnet": dmnet}
    start, done, load = check.clock(), 0, dmnet.load_pretrained
    systems.zoo().OWN["check"] = replace(check.system(R50), name="check")
    dmnet.load_pretrained = lambda one: dmnet.build_model(one).eval() if one == "check" else load(one)
    os.environ["DMNET_DATA"] = str(check.home)
    for number, cell in enumerate(json.loads((ROOT / "book" / f"{name}.ipynb").read_text("utf8"))["cells"]):
        code = "".join(cell["source"])
        concerned = cell["cell_type"] == "code" and re.search(r"\b(profile|on_voc|settings)\b", code)
        if concerned and not re.search(r"\bsetup\(\)|plt\.subplots\(|figures\.|if not on_voc", code):
            for old, new in changes.items():
                code = code.replace(old, new)
            exec(compile(code, f"{name}, cell {number}", "exec"), names)
            done += 1
    dmnet.load_pretrained = load
    check.add("cells not executed of two", 2 - done, limit=0)
    check.add("time", round(check.clock() - start, 1), "s")


def street(check: Check) -> None:
    """Train `street` further on CamVid's photographs for the time that is left."""
    folder = PUBLISHED["camvid"].find(check.camvid)
    if folder is None:
        return check.add("absent", "CamVid was not found: give its folder as --camvid")
    dataset, run = datasets.load("camvid", folder, "train"), ROOT / "runs" / "street_gpu"
    options: dict[str, Any] = {"init": "street", "device": check.device.type, "progress": False, "workers": 8}
    if check.tiny:
        run, options = check.home / "street", options | {"workers": 0, "crop": (64, 64), "batch_size": 2}
    trial = train("street", dataset, iterations=3 if check.tiny else 30, **options)
    possible = int((check.deadline - time.monotonic()) / trial.history["seconds"].diff().median())
    iterations = min(max(possible, 4), 4 if check.tiny else 20_000)
    history = train("street", dataset, None, run / str(iterations), iterations=iterations, **options).history
    check.add("iterations from its weights", iterations)
    check.add("speed", round(history["images_per_second"].median(), 1), "images/s")
    for which, part in (("first", history["loss"].head), ("last", history["loss"].tail)):
        check.add(f"mean loss of the {which} tenth", round(part(iterations // 10 + 1).mean(), 4))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small networks and pictures, a few steps")
    parser.add_argument("--minutes", type=float, default=9, help="the longest that it may take (default: 9)")
    parser.add_argument("--camvid", type=Path, help="folder of CamVid, where it does not lie in data/")
    parser.add_argument("--output", type=Path, help="table to write; tiny ones go to _build/")
    arguments = parser.parse_args()
    faulthandler.dump_traceback_later(60 * arguments.minutes, exit=True)  # nothing may hang
    tiny, device = arguments.tiny, torch.device(arguments.device)
    card = re.sub(r"\W+", "_", torch.cuda.get_device_name().lower()) if device.type == "cuda" else "cpu"
    output = arguments.output or (ROOT / "_build" if tiny else RESULTS) / f"gpu_{card}.csv"
    facts = {"card": card, "torch": torch.__version__, "cuda": torch.version.cuda, "dmnet": runs.commit(ROOT)}
    warnings.filterwarnings("ignore", ".* examples of (voc|camvid)")
    with tempfile.TemporaryDirectory() as home:
        deadline = time.monotonic() + 54 * arguments.minutes
        check = Check(device, tiny, output, deadline, Path(home), arguments.camvid, facts)
        draw_voc(check.home, "trainaug", 4 if tiny else 64)
        draw_voc(check.home, "val", 8 if tiny else 48)
        for section in (golden, training, resume, collective, evaluation, chapters, street):
            check.run(section.__name__, "all", section)
    wrong = sum(bool(row["verdict"]) for row in check.rows)
    print(f"{len(check.rows)} rows in {output}, of which {wrong} say that something is wrong")
    return min(wrong, 1)


if __name__ == "__main__":
    raise SystemExit(main())
