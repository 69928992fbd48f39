"""Train the variants of the two demo systems that the book compares, and record how they score.

    python tools/experiments.py demo_scale            # data/results/demo_scale.csv
    python tools/experiments.py demo_context

A row is one evaluation of one trained network on 300 fresh scenes (the split "test", on which nothing was
tuned). Rows that the file already holds are not computed again, so the command can be interrupted.
"""

import argparse
import os
import platform
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

import dmnet
from dmnet import datasets, systems
from dmnet.files import atomic_write
from dmnet.inference import evaluate
from dmnet.systems import System
from dmnet.training import train

RESULTS = Path(__file__).resolve().parents[1] / "data" / "results"

# One scale alone gets all 64 channels: as many parameters as the four scales of 16 together.
SCALE_VARIANTS: dict[str, dict[str, Any]] = {
    "dynamic 1,3,5,7": {},
    "dynamic 1": {"filter_sizes": (1,), "channels": 64},
    "dynamic 3": {"filter_sizes": (3,), "channels": 64},
    "dynamic 5": {"filter_sizes": (5,), "channels": 64},
    "dynamic 7": {"filter_sizes": (7,), "channels": 64},
    "dynamic 3,7": {"filter_sizes": (3, 7), "channels": 32},
    "static 1,3,5,7": {"filters": "static"},
    "no filters": {"filter_sizes": ()},
    "3x3 fusion, dynamic 1,3,5,7": {"fusion_kernel": 3},
    "3x3 fusion, dynamic 7": {"fusion_kernel": 3, "filter_sizes": (7,), "channels": 64},
}
CONTEXT_VARIANTS: dict[str, dict[str, Any]] = {
    "dynamic 1,3,5,7": {},
    "static 1,3,5,7": {"filters": "static"},
    "no filters": {"filter_sizes": ()},
    "dynamic 1": {"filter_sizes": (1,), "channels": 64},
    "dynamic 7": {"filter_sizes": (7,), "channels": 64},
}
EXPERIMENTS = {"demo_scale": SCALE_VARIANTS, "demo_context": CONTEXT_VARIANTS}


def gate_settings(system: System) -> list[tuple[int, ...]]:
    """Return all gates open, then each scale of the four switched off alone."""
    count = len(system.architecture.filter_sizes)
    settings = [(1,) * count]
    if count == 4:
        settings += [tuple(int(scale != off) for scale in range(count)) for off in range(count)]
    return settings


def run(system: System, seed: int, iterations: int | None) -> list[dict[str, Any]]:
    """Train one network and return its rows."""
    train_set = datasets.load(system.dataset, split="train")
    test_set = datasets.load(system.dataset, split="test")
    overrides = {} if iterations is None else {"iterations": iterations}
    start = time.perf_counter()
    result = train(system, train_set, seed=seed, progress=False, **overrides)
    seconds = time.perf_counter() - start
    rows = []
    for gates in gate_settings(system):
        matrix = evaluate(result.model, test_set, scale_gates=gates if gates else None)
        iou = dict(zip(test_set.classes, (100 * matrix.iou()).tolist(), strict=True))
        rows.append(
            {
                "gates": "".join(map(str, gates)),
                "parameters": sum(p.numel() for p in result.model.parameters()),
                "iterations": len(result.history),
                "seconds": round(seconds, 1),
                "miou": round(100 * matrix.miou(), 2),
                **{f"iou {name}": round(value, 2) for name, value in iou.items()},
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("system", choices=EXPERIMENTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--variants", nargs="+", help="default: all")
    parser.add_argument("--iterations", type=int, nargs="+", help="default: as the recipe says")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    file = RESULTS / f"{arguments.system}.csv"
    table = (
        pd.read_csv(file, dtype={"gates": str}, keep_default_na=False) if file.exists() else pd.DataFrame()
    )
    base = systems.get(arguments.system)
    revision = datasets.load(base.dataset, split="test").revision
    for iterations in arguments.iterations or [base.recipe.iterations]:
        for seed in arguments.seeds:
            for name in arguments.variants or EXPERIMENTS[arguments.system]:
                key = {"variant": name, "seed": seed, "revision": revision}
                wanted = key | {"iterations": iterations}
                if len(table) and (table[list(wanted)] == pd.Series(wanted)).all(axis=1).any():
                    continue
                variant = replace(
                    base, architecture=replace(base.architecture, **EXPERIMENTS[base.name][name])
                )
                rows = run(variant, seed, iterations)
                made_by = {
                    "version": dmnet.__version__,
                    "torch": torch.__version__,
                    "machine": platform.machine(),
                }
                table = pd.concat(
                    [table, pd.DataFrame([key | row | made_by for row in rows])], ignore_index=True
                )
                with atomic_write(file) as temporary:
                    table.to_csv(temporary, index=False)
                print(
                    f"{name}, seed {seed}, {iterations} iterations: mIoU {rows[0]['miou']:.1f} %", flush=True
                )


if __name__ == "__main__":
    main()
