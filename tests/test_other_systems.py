"""Where macOS and Windows take another way through the package: what is lacking there is taken away here.

CONTRIBUTING lists the places; `.github/workflows/systems.yml` runs all tests there.
"""

import ast
import os
import pickle
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dmnet import datasets, sampling, worlds
from dmnet.datasets.base import Checked
from dmnet.prepare.folders import new_folder
from dmnet.systems import Recipe
from dmnet.training import stop_request
from dmnet.transforms import TrainingTransform
from dmnet.worlds import demo

ROOT = Path(__file__).resolve().parents[1]


def test_a_folder_is_made_whole_where_the_disk_cannot_be_told_to_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sync", raising=False)  # as on Windows
    with new_folder(tmp_path / "new") as temporary:
        (temporary / "a").write_bytes(b"1")
        assert not (tmp_path / "new").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
def test_scenes_are_the_same_where_processes_cannot_be_forked(
    system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "_ALONE", 1)
    monkeypatch.setattr(sys, "platform", system)
    started = []
    pool = demo.ProcessPoolExecutor
    monkeypatch.setattr(demo, "ProcessPoolExecutor", lambda *a, **k: started.append(1) or pool(*a, **k))
    dataset = worlds.DemoDataset("demo_scale", "train", size=2, seed=3)
    scenes = [dataset.scene(index) for index in range(2)]
    images, masks = (np.zeros_like([getattr(scene, part) for scene in scenes]) for part in ("image", "mask"))
    demo._draw_all(dataset, images, masks)
    for index, scene in enumerate(scenes):
        assert np.array_equal(images[index], scene.image) and np.array_equal(masks[index], scene.mask)
    assert len(started) == (system == "linux" and hasattr(os, "fork"))


def test_a_loading_process_without_alarms_ignores_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    set_to: dict[int, Any] = {}
    monkeypatch.setattr(sampling.signal, "signal", lambda number, handler: set_to.update({number: handler}))
    monkeypatch.delattr(signal, "alarm", raising=False)  # as on Windows
    sampling.leave_to_parent()
    assert set_to == {signal.SIGINT: signal.SIG_IGN}


def test_signals_that_windows_lacks_are_not_asked_for() -> None:
    known = {signal.SIGINT, signal.SIGTERM}  # which every system has
    handlers = {number: signal.getsignal(number) for number in signal.Signals}
    with stop_request():
        changed = {number for number in signal.Signals if signal.getsignal(number) != handlers[number]}
    assert changed == known


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_loading_processes_are_given_can_be_sent_to_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Elsewhere they are not forked but started anew, and get data set, order and settings as a pickle."""
    splits = [worlds.DemoDataset("demo_scale", "train", size=4, seed=5)]
    root = worlds.write_layout(splits, tmp_path / "data", "voc")
    sent: list[Any] = []

    class Loader(torch.utils.data.DataLoader):
        def __init__(self, dataset: Any, **options: Any) -> None:
            sent.append((dataset, options["worker_init_fn"], options.get("collate_fn")))
            super().__init__(dataset, **options | {"num_workers": 0})

    monkeypatch.setattr(sampling, "DataLoader", Loader)
    for data in (splits[0], datasets.load("folder", root)):
        samples = sampling.TrainingSamples(data, TrainingTransform(Recipe(crop=(32, 32))), 2, 0)
        batches = sampling.training_batches(samples, 0, 1, 0)
        images, labels, names = next(batches)
        batches.close()
        dataset, init, collate = pickle.loads(pickle.dumps(sent[-1]))
        assert init is sampling.leave_to_parent
        again = collate([dataset[number] for number in range(2)])
        assert torch.equal(again[0], images) and torch.equal(again[1], labels) and again[2] == names
        image, mask, name = pickle.loads(pickle.dumps(Checked(data)))[1]
        assert np.array_equal(image, data[1][0]) and np.array_equal(mask, data[1][1]) and name == data[1][2]


def test_text_is_read_and_written_in_an_encoding_that_is_named() -> None:
    """Windows has another one by default. What is ASCII by its making is read and written the same in all."""
    ascii_alone = {"dmnet/runs.py: write_text", "dmnet/playground/site.py: write_text"}  # numbers, JSON
    ascii_alone |= {"dmnet/playground/site.py: read_text"}
    found = set()
    for file in (ROOT / "dmnet").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            name = (
                getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""
            )
            if name in ("read_text", "write_text"):
                named = len(node.args) > (name == "write_text")
            elif name == "open" and isinstance(node.func, ast.Name):
                named = any("b" in str(getattr(one, "value", "")) for one in node.args[1:2])
            else:
                continue
            if not (named or any(one.arg == "encoding" for one in node.keywords)):
                found.add(f"{file.relative_to(ROOT).as_posix()}: {name}")
    assert found == ascii_alone
