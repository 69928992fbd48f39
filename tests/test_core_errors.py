"""What the core says of things that are not there: packages, data sets, runs; and how it shows itself."""

import json
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from test_training import SMALL, Blocks

from dmnet import datasets, runs
from dmnet.errors import DataError, DMNetError, MissingExtraError, extra
from dmnet.metrics import ConfusionMatrix
from dmnet.model import build_model
from dmnet.training import train


def test_a_missing_package_is_named_with_what_brings_it() -> None:
    with (
        pytest.raises(
            MissingExtraError, match=r"no_such_package is not installed: pip install 'dmnet\[train\]'"
        ),
        extra("train"),
    ):
        import_module("no_such_package.part")


def test_a_module_of_our_own_that_is_missing_is_a_fault_of_ours() -> None:
    with pytest.raises(ModuleNotFoundError) as raised, extra("train"):
        import dmnet.no_such_module  # noqa: F401
    assert not isinstance(raised.value, MissingExtraError)


def test_a_data_set_that_there_is_not_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(DataError, match="no data set 'coco'; there are voc, ade20k"):
        datasets.load("coco")


@pytest.mark.parametrize("given", [{"root": "."}, {"classes": ("a", "b")}])
def test_drawn_data_are_not_read(given: dict) -> None:
    with pytest.raises(DataError, match="demo_scale is drawn with its own classes, not read"):
        datasets.load("demo_scale", **given)


@pytest.mark.parametrize("content", ["{", "[]", "3", '"config"'])
def test_a_damaged_note_of_a_run_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(DMNetError, match=r"config\.json is damaged, or not that of a run"):
        runs.read_json(tmp_path / "config.json", dict)


def test_what_a_killed_process_left_half_written_is_removed(tmp_path: Path) -> None:
    train("demo_scale", Blocks(), None, tmp_path, stop_after=2, **SMALL)
    half = tmp_path / ".last.0123abcd.tmp.ckpt"
    half.write_bytes(b"half a checkpoint")
    train("demo_scale", Blocks(), None, tmp_path, resume=True, stop_after=3, **SMALL)
    assert not half.exists()
    assert [note["iteration"] for note in json.loads((tmp_path / "environment.json").read_text())] == [0, 2]


def test_a_matrix_shows_its_size_and_score() -> None:
    matrix = ConfusionMatrix(2)
    matrix.update(np.array([[0, 1], [1, 1]]), np.array([[0, 1], [1, 0]]))
    assert repr(matrix) == "ConfusionMatrix(2 classes, 4 pixels, mIoU 58.33%)"


def test_the_heads_filters_are_those_of_its_scales() -> None:
    head, features = build_model("demo_scale").eval().head, torch.randn(2, 64, 9, 11)
    found = head.filters(features)
    assert [one.shape[-2:] for one in found] == [(1, 1), (3, 3), (5, 5), (7, 7)]
    for one, scale in zip(found, head.scales, strict=True):
        assert torch.equal(one, scale.filters(features))
