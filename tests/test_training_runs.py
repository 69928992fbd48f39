"""The runs that the figure of training shows besides the chapter's own are what the tool makes."""

import sys
from pathlib import Path

import numpy as np
import pytest

from dmnet import datasets, systems
from dmnet.files import shipped

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
import training_runs as tool


@pytest.mark.slow
def test_the_committed_runs_begin_as_the_tool_does() -> None:
    kept = np.load(shipped("results", "training_runs.npz"))
    seed = int(kept["seed"][-1])
    found = tool.follow(seed, looks=1)
    steps = len(found["loss"])
    assert steps == systems.get(tool.NAME).recipe.iterations // tool.LOOKS
    # Another processor rounds otherwise, and what is rounded grows with the steps.
    np.testing.assert_allclose(found["loss"][:10], kept["loss"][-1, :10], rtol=0.01)
    np.testing.assert_allclose(found["loss"], kept["loss"][-1, :steps], rtol=0.2)
    assert found["counts"].sum() == kept["counts"][-1, 0].sum()  # the same images, void left out
    for part in ("counts", "said", "filters"):
        assert found[part].shape[1:] == kept[part].shape[2:]


def test_the_committed_runs_are_whole() -> None:
    kept = np.load(shipped("results", "training_runs.npz"))
    looks, scenes = tool.LOOKS, datasets.load(tool.NAME, split="val", size=8)
    assert tuple(kept["seed"]) == tool.SEEDS
    assert kept["loss"].shape == (len(tool.SEEDS), systems.get(tool.NAME).recipe.iterations)
    assert kept["counts"].shape == (len(tool.SEEDS), looks, 7, 7)
    assert kept["said"].shape == (len(tool.SEEDS), looks, 2, 64, 64)
    assert kept["filters"].shape == (len(tool.SEEDS), looks, 2, 7, 7)
    quilts = [{int(label) % 2 for label in np.unique(scenes[i][1]) if 0 < label < 5} for i in tool.SCENES]
    assert quilts == [{1}, {0}]  # pieces on a warm quilt have odd labels
