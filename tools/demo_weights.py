"""Train the demo systems and keep their weights in `data/weights`, with the record of how they were made.

    python tools/demo_weights.py                      # both, about a minute each on one core

Beside `NAME.safetensors` stand `NAME.json`, the record (command, seed, data revision, versions, scores on the
fresh split "test"), and `NAME.csv`, the log of the training. A test scores the weights again.
"""

import argparse
import json
import platform
import shutil
import tempfile
import time
from pathlib import Path

import torch

import dmnet
from dmnet import datasets
from dmnet.files import atomic_write
from dmnet.inference import evaluate
from dmnet.training import train

WEIGHTS = Path(__file__).resolve().parents[1] / "data" / "weights"


def make(name: str, seed: int) -> None:
    """Train one system from scratch, score it and write its three files."""
    start = time.perf_counter()
    train_set, val_set = datasets.load(name, split="train"), datasets.load(name, split="val")
    with tempfile.TemporaryDirectory() as run:
        result = train(name, train_set, val_set, run, seed=seed, evaluate_every=100)
        seconds = time.perf_counter() - start
        test_set = datasets.load(name, split="test")
        matrix = evaluate(result.model, test_set)
        for file in ("last.safetensors", "log.csv"):
            with atomic_write(WEIGHTS / f"{name}{Path(file).suffix}") as temporary:
                shutil.copyfile(Path(run) / file, temporary)
    record = {
        "command": f"python tools/demo_weights.py {name} --seed {seed}",
        "seed": seed,
        "data_revision": test_set.revision,
        "split": "test",
        "images": len(test_set),
        "miou": matrix.miou(),
        "iou": dict(zip(test_set.classes, matrix.iou().tolist(), strict=True)),
        "seconds": round(seconds, 1),
        "threads": torch.get_num_threads(),
        "dmnet": dmnet.__version__,
        "torch": torch.__version__,
        "machine": platform.machine(),
    }
    with atomic_write(WEIGHTS / f"{name}.json") as temporary:
        temporary.write_text(json.dumps(record, indent=2) + "\n")
    print(f"{name}: mIoU {matrix.miou():.2%} on {len(test_set)} fresh scenes, {seconds:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("systems", nargs="*", default=["demo_scale", "demo_context"])
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # the networks are small: more threads are hardly faster, and round differently
    for name in arguments.systems:
        make(name, arguments.seed)


if __name__ == "__main__":
    main()
