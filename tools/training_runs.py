"""Follow more runs of `demo_context`, for the live figure of training: the chapter itself trains seed 0.

    python tools/training_runs.py        # data/results/training_runs.npz, twenty minutes of one core

For each of the seeds: the loss of every step, and at each of 28 looks the confusion matrix of 100 validation
images, the labels of two scenes, every other pixel of every other row, and for both a 7x7 filter. Of the 16
channels it takes the one whose mean tap differs most between the two scenes at the end.
"""

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import dmnet
from dmnet import datasets, systems
from dmnet.analysis.inside import look_inside
from dmnet.files import atomic_write
from dmnet.training import train
from dmnet.transforms import evaluation_image

NAME, LOOKS, SEEDS = "demo_context", 28, (1, 2, 3, 4)
SCENES = (6, 5)  # of the validation set: on a warm quilt, on a cool one, each with pieces of both gems
RESULTS = Path(__file__).resolve().parents[1] / "data" / "results"


def follow(seed: int, looks: int = LOOKS) -> dict[str, NDArray[np.generic]]:
    """Train one network, as far as the look of this number, and return what is to be seen of it."""
    train_set, val_set = datasets.load(NAME), datasets.load(NAME, split="val", size=100)
    images = [val_set[index][0] for index in SCENES]
    counts, said, filters = [], [], []
    with tempfile.TemporaryDirectory() as run:
        for look in range(1, looks + 1):
            stop = systems.get(NAME).recipe.iterations * look // LOOKS
            options = {"run_dir": run, "resume": True, "progress": False}
            result = train(NAME, train_set, stop_after=stop, seed=seed, **options)
            counts.append(dmnet.evaluate(result.model, val_set).counts)
            said.append([dmnet.predict(result.model, image)[::2, ::2] for image in images])
            inside = (look_inside(result.model, evaluation_image(NAME, image), [1] * 4) for image in images)
            filters.append([one.filters[3].numpy() for one in inside])
    every = np.array(filters)  # [looks, 2, 16, 7, 7]
    means = every[-1].mean((2, 3))
    channel = abs(means[0] - means[1]).argmax()
    return {
        "loss": result.history["loss"].to_numpy(np.float32),
        "counts": np.array(counts, np.int32),
        "said": np.array(said, np.uint8),
        "filters": every[:, :, channel],
        "channel": channel,
    }


def main() -> None:
    runs = [follow(seed) for seed in SEEDS]
    with atomic_write(RESULTS / "training_runs.npz") as temporary:
        np.savez_compressed(
            temporary, seed=SEEDS, **{part: np.stack([run[part] for run in runs]) for part in runs[0]}
        )


if __name__ == "__main__":
    main()
