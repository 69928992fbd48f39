"""Train `street` on CamVid's 367 training photographs, and all that the book says about it.

    python tools/street.py trials        # data/results/street_trials.csv: what helps, and by how much
    python tools/street.py ablation      # data/results/street_ablation.csv: the scales, three seeds each
    python tools/street.py seeds         # data/results/street_seeds.csv: a third of the length, three seeds
    python tools/street.py weights       # data/weights/street.*: the long run, on all 367 photographs

A row is one trained network, scored on photographs that it was not trained on. Two ways to hold them out:
"sixth", every sixth in the order of names, which are neighbours in time of those beside them and so flatter;
"stretch", the last fifth of each of the three drives. Rows that a file already holds are not computed again
(the ablation takes those of `street_quick` from street_seeds.csv), and what was interrupted goes on: runs lie
in `runs/street`.

The photographs are found as `dmnet.datasets.load` finds them; --data names another folder.
"""

import argparse
import hashlib
import json
import platform
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

import dmnet
from dmnet import checkpoints, datasets, systems, transforms
from dmnet.datasets.base import Example
from dmnet.datasets.files import FileDataset
from dmnet.errors import DataError
from dmnet.files import atomic_write
from dmnet.inference import evaluate, labels_at
from dmnet.metrics import ConfusionMatrix
from dmnet.systems import System
from dmnet.training import train

ROOT = Path(__file__).resolve().parents[1]
RESULTS, WEIGHTS, RUNS = ROOT / "data" / "results", ROOT / "data" / "weights", ROOT / "runs" / "street"
PHOTOGRAPHS = 367
SEEDS = (0, 1, 2)
STREET, QUICK = systems.get("street"), systems.get("street_quick")
LENGTH = QUICK.recipe.iterations or 0

# Each changes one thing of half a street_quick, at the same number of pixels seen; that has all seeds.
HALF = LENGTH // 2
TRIALS: dict[str, dict[str, Any]] = {
    "half of street_quick": {},
    "no class weights": {"class_weights": ()},
    "learning rate 0.001": {"learning_rate": 1e-3},
    "learning rate 0.005": {"learning_rate": 5e-3},
    "SGD, learning rate 0.05": {"optimizer": "sgd", "learning_rate": 0.05, "weight_decay": 5e-4},
    "batches of 4": {"batch_size": 4, "iterations": 2 * HALF},
    "scales 0.5 to 2": {"scale_range": (0.5, 2.0)},
    "whole pictures": {"crop": (360, 480), "batch_size": 4, "iterations": round(HALF * 8 / 9)},
    "auxiliary head": {"aux_channels": 64},
    "output stride 16": {"output_stride": 16},
    "no colour changes": {"photometric": False},
}
# One scale alone gets all 128 channels: as many parameters as the four scales of 32 together.
SCALES: dict[str, dict[str, Any]] = {
    "dynamic 1,3,5,7": {},
    "static 1,3,5,7": {"filters": "static"},
    "dynamic 1": {"filter_sizes": (1,), "channels": 128},
    "dynamic 3": {"filter_sizes": (3,), "channels": 128},
    "dynamic 7": {"filter_sizes": (7,), "channels": 128},
    "no filters": {"filter_sizes": ()},
}
ABLATION = SCALES | {
    f"1x1 fusion, {name}": changes | {"fusion_kernel": 1}
    for name, changes in SCALES.items()
    if name in ("dynamic 1,3,5,7", "static 1,3,5,7", "no filters")
}


class Photographs:
    """Some examples of a data set, read once and kept."""

    ignore_index = datasets.IGNORE

    def __init__(self, dataset: Any, ids: Sequence[str]) -> None:
        self.classes, self.palette, self.split = dataset.classes, dataset.palette, "some"
        self.ids = tuple(ids)
        self.examples = [dataset[dataset.ids.index(one)] for one in ids]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Example:
        return self.examples[index]


def training_part(folder: Path | None) -> FileDataset:
    """Return the 367 photographs of CamVid's training part, by name, wherever they lie."""
    dataset = datasets.load("camvid", folder, "train")
    files = dataset.files
    if len(files) < PHOTOGRAPHS:  # a copy that is itself divided into train and val
        files = files | datasets.load("camvid", folder, "val").files
    if len(files) != PHOTOGRAPHS:
        raise DataError(f"{dataset.root} has {len(files)} training images, CamVid has {PHOTOGRAPHS}")
    return replace(dataset, files=dict(sorted(files.items())), official_size=None)


def held_out(ids: Sequence[str], how: str) -> list[str]:
    """Return the ids that a network is to be scored on, not trained on: "sixth", "stretch" or "none"."""
    if how == "none":
        return []
    if how == "sixth":
        return list(ids[::6])
    drives: dict[str, list[str]] = {}
    for one in ids:  # names are <drive>_<frame>, in the order of time
        drives.setdefault(one.partition("_")[0], []).append(one)
    return [one for drive in drives.values() for one in drive[-len(drive) // 5 :]]


def run(system: System, dataset: FileDataset, how: str, seed: int, folder: Path, **options: Any) -> Any:
    """Train one network, or finish it, and return what `train` does and the photographs held out."""
    held = held_out(dataset.ids, how)
    train_set = Photographs(dataset, [one for one in dataset.ids if one not in held])
    result = train(system, train_set, None, folder, seed=seed, resume=True, checkpoint_every=100, **options)
    return result, Photographs(dataset, held) if held else None


def settings(model: dmnet.DMNet) -> list[tuple[str, str]]:
    """Return how a network is scored: which gates are open, and whose filters another photograph lends.

    "1111" and "0000" is the network itself; of several scales each is switched off alone, "0111" and so on,
    and all are, "0000"; and each filters with another photograph's filters, "1000" and so on, and all do,
    "1111".
    """
    count = len(model.architecture.filter_sizes)
    itself = ("1" * count, "0" * count)
    if count < 2:
        return [itself]
    alone = ["0" * one + "1" + "0" * (count - one - 1) for one in range(count)]
    off = [*(one.translate(str.maketrans("01", "10")) for one in alone), "0" * count]
    lent = [*alone, "1" * count] if model.architecture.filters == "dynamic" else []
    return [itself, *((gates, itself[1]) for gates in off), *((itself[0], shares) for shares in lent)]


class Scorer:
    """A network's features and filters of all held-out photographs, kept: the settings differ behind them."""

    def __init__(self, model: dmnet.DMNet, val_set: Photographs) -> None:
        self.head, self.masks = model.head, [mask for _, mask, _ in val_set.examples]
        self.sizes, self.classes = model.architecture.filter_sizes, len(val_set.classes)
        inputs = (transforms.evaluation_image(model.system, image) for image, _, _ in val_set.examples)
        with torch.inference_mode():
            self.features = [model.backbone(one[None]).stage4 for one in inputs]
            self.filters = [self.head.filters(one) for one in self.features]

    def matrix(self, gates: str, lent: str) -> ConfusionMatrix:
        """Score the network, the whole image at once, with these gates and another photograph's filters."""
        matrix, count = ConfusionMatrix(self.classes), len(self.masks)
        for number, (features, mask) in enumerate(zip(self.features, self.masks, strict=True)):
            donor = self.filters[(number + count // 2) % count]  # of another drive, mostly
            pairs = zip(self.filters[number], donor, lent, strict=True)
            filters = [another if share == "1" else own for own, another, share in pairs]
            with torch.inference_mode():
                weights = self.head.gates([int(gate) for gate in gates], features)
                logits = self.head.logits(features, self.head.responses(features, filters), weights)
            matrix.update(labels_at(logits[0], mask.shape), mask)
        return matrix

    def blur(self) -> dict[str, float]:
        """Return, for each scale, how much of its filters is their mean, a box blur: the share of squares."""
        means = {}
        for k, filters in zip(self.sizes, zip(*self.filters, strict=True), strict=True):
            shares = [g.mean((2, 3)).square().sum() / g.square().mean((2, 3)).sum() for g in filters]
            means[f"blur {k}"] = round(torch.stack(shares).mean().item(), 4)
        return means


def row_of(
    result: Any,
    val_set: Photographs,
    matrix: ConfusionMatrix,
    gates: str,
    lent: str,
    protocols: Sequence[str],
) -> dict[str, Any]:
    """Return what is known of a network: mIoU and IoU of every class; mIoU by other protocols."""
    model = result.model
    row = {
        "gates": gates,
        "lent": lent,
        "images": len(val_set),
        "parameters": sum(p.numel() for p in model.parameters()),
        "iterations": len(result.history),
        "seconds": round(float(result.history["seconds"].iloc[-1]), 1),
        "threads": torch.get_num_threads(),
        "miou": round(100 * matrix.miou(), 2),
    }
    values = zip(val_set.classes, matrix.iou().tolist(), strict=True)
    row |= {f"iou {name}": round(100 * value, 2) for name, value in values}
    for name in protocols:
        protocol = systems.protocol(model.system, name)
        row[f"miou {name}"] = round(100 * evaluate(model, val_set, protocol=protocol).miou(), 2)
    return row


def keep_confusion(wanted: dict[str, Any], matrix: ConfusionMatrix, classes: Sequence[str]) -> None:
    """Add a confusion matrix to `street_confusion.csv`: a row for each true class, pixels by prediction."""
    file = RESULTS / "street_confusion.csv"
    rows = [
        wanted | {"true": name} | dict(zip(classes, row, strict=True))
        for name, row in zip(classes, matrix.counts.tolist(), strict=True)
    ]
    before = [pd.read_csv(file)] if file.exists() else []
    with atomic_write(file) as temporary:
        pd.concat([*before, pd.DataFrame(rows)]).to_csv(temporary, index=False)


def quick_of(seeds: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `street_quick` under its name in the ablation: it is not trained twice."""
    rows = seeds[(seeds["variant"] == "street_quick") & (seeds["held out"] == "stretch")]
    return rows.filter(regex="^(?!miou )").assign(variant=next(iter(SCALES)))


def experiment(
    name: str, base: System, variants: dict[str, dict[str, Any]], arguments: argparse.Namespace
) -> None:
    """Train what the file of this experiment lacks, row by row."""
    dataset, file = training_part(arguments.data), RESULTS / f"street_{name}.csv"
    table = pd.read_csv(file, dtype={"gates": str, "lent": str}) if file.exists() else pd.DataFrame()
    protocols = ("slide", "ms+flip") if name == "seeds" else ()
    if name == "ablation" and (other := RESULTS / "street_seeds.csv").exists():
        table = pd.concat([table, quick_of(pd.read_csv(other, dtype={"gates": str, "lent": str}))])
        table = table.drop_duplicates(["variant", "seed", "held out", "gates", "lent"], ignore_index=True)
    for how in arguments.held_out:
        for seed in arguments.seeds:
            for variant in arguments.variants or variants:
                wanted = {"variant": variant, "seed": seed, "held out": how}
                if len(table) and (table[list(wanted)] == pd.Series(wanted)).all(axis=1).any():
                    continue
                folder = RUNS / name / f"{variant}, {how}, seed {seed}".replace(" ", "_")
                result, val_set = run(base, dataset, how, seed, folder, **variants[variant])
                rows, scorer = [], Scorer(result.model, val_set)
                for gates, lent in settings(result.model):
                    matrix = scorer.matrix(gates, lent)
                    others = () if rows else protocols  # of the network itself, which comes first
                    rows.append(wanted | row_of(result, val_set, matrix, gates, lent, others))
                    rows[-1] |= {"torch": torch.__version__, "machine": platform.machine()}
                    rows[-1] |= scorer.blur() if len(rows) == 1 else {}
                    if name == "seeds" and len(rows) == 1:
                        keep_confusion(wanted, matrix, val_set.classes)
                table = pd.concat([table, pd.DataFrame(rows)], ignore_index=True)
                with atomic_write(file) as temporary:
                    table.to_csv(temporary, index=False)
                print(f"{variant}, {how}, seed {seed}: mIoU {rows[0]['miou']:.1f} %", flush=True)


def digest(dataset: Any) -> str:
    """Return the SHA-256 of all pixels and labels, in the order of ids."""
    total = hashlib.sha256()
    for image, mask, name in dataset:
        total.update(f"{name} {image.shape}\0".encode() + image.tobytes() + mask.tobytes())
    return total.hexdigest()


def weights(arguments: argparse.Namespace) -> None:
    """Train `street` on all photographs and keep it as float16, with the record of how it was made."""
    dataset, seed = training_part(arguments.data), arguments.seeds[0]
    result, _ = run(STREET, dataset, "none", seed, RUNS / "weights")
    model = result.model.half()  # 2 bytes a number; it is computed in float32 as ever
    checkpoints.save_weights(model, WEIGHTS / "street.safetensors", iteration=len(result.history))
    with atomic_write(WEIGHTS / "street.csv") as temporary:
        result.history.dropna(axis=1, how="all").to_csv(temporary, float_format="%.5g")
    record = {
        "command": f"python tools/street.py weights --seeds {seed}",
        "seed": seed,
        "images": len(dataset),
        "pixels_sha256": digest(dataset),
        "seconds": round(float(result.history["seconds"].iloc[-1]), 1),
        "threads": torch.get_num_threads(),
        "dmnet": dmnet.__version__,
        "torch": torch.__version__,
        "machine": platform.machine(),
    }
    with atomic_write(WEIGHTS / "street.json") as temporary:
        temporary.write_text(json.dumps(record, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["trials", "ablation", "seeds", "weights"])
    parser.add_argument("--data", type=Path, help="folder of CamVid, where it does not lie in data/")
    parser.add_argument("--seeds", type=int, nargs="+", help="default: 0, for trials and weights, or 0 1 2")
    parser.add_argument("--variants", nargs="+", help="default: all")
    parser.add_argument("--held-out", nargs="+", choices=["sixth", "stretch"])
    parser.add_argument("--threads", type=int, help="default: as many as there are cores")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    narrowed = arguments.seeds or arguments.variants
    both = ["sixth", "stretch"] if arguments.what == "seeds" else ["stretch"]
    arguments.held_out = arguments.held_out or both
    arguments.seeds = arguments.seeds or (SEEDS if arguments.what in ("ablation", "seeds") else SEEDS[:1])
    third = {"iterations": (STREET.recipe.iterations or 0) // 3}
    if arguments.what == "weights":
        weights(arguments)
    elif arguments.what == "seeds":
        experiment(
            "seeds", STREET, {"a third of street": third, "street_quick": {"iterations": LENGTH}}, arguments
        )
    elif arguments.what == "ablation":
        experiment("ablation", QUICK, ABLATION, arguments)
    else:
        half = replace(QUICK, recipe=replace(QUICK.recipe, iterations=HALF))
        experiment("trials", half, TRIALS, arguments)
        if not narrowed:
            arguments.seeds, arguments.variants = SEEDS, list(TRIALS)[:1]  # how far apart seeds are
            experiment("trials", half, TRIALS, arguments)


if __name__ == "__main__":
    main()
