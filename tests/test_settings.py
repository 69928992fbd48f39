"""Settings that cannot work are refused when they are made, by name."""

from dataclasses import replace

import numpy as np
import pytest

from dmnet.errors import DMNetError
from dmnet.model import build_model
from dmnet.systems import Architecture, Evaluation, Recipe

WRONG = [
    (Architecture, "filters", "Dynamic", "'dynamic' or 'static'"),
    (Architecture, "stem", "v1c", "'deep' or 'plain'"),
    (Architecture, "filter_sizes", 3, r"several numbers, e.g. \(3,\)"),
    (Architecture, "filter_sizes", (1, 0), "at least 1"),
    (Architecture, "num_classes", 0, "at least 1"),
    (Architecture, "channels", "many", "whole number"),
    (Architecture, "aux_channels", 0, "at least 1"),
    (Architecture, "aux_channels", True, "whole number or None"),
    (Architecture, "fusion_kernel", 2, "odd"),
    (Architecture, "dropout", 2, "at most 1"),
    (Recipe, "optimizer", "SGD", "'sgd' or 'adamw'"),
    (Recipe, "schedule", "linear", "'poly' or 'cosine'"),
    (Recipe, "iterations", 1.5, "whole number or None"),
    (Recipe, "iterations", 0, "at least 1"),
    (Recipe, "batch_size", 0, "at least 1"),
    (Recipe, "label_stride", 0, "at least 1"),
    (Recipe, "warmup", -1, "at least 0"),
    (Recipe, "crop", 256, r"2 numbers, e.g. \(256, 256\) or None"),
    (Recipe, "crop", (256,), "2 numbers"),
    (Recipe, "resize", (0, 0), "at least 1"),
    (Recipe, "learning_rate", "abc", "a number"),
    (Recipe, "learning_rate", float("nan"), "a number"),
    (Recipe, "flip", 7, "at most 1"),
    (Recipe, "pretrained", "no", "True or False"),
    (Evaluation, "resize", 512, "2 numbers"),
    (Evaluation, "flip", "no", "True or False"),
    (Evaluation, "scales", (), "one factor above 0"),
    (Evaluation, "scales", (1.0, 0), "one factor above 0"),
    (Evaluation, "scales", 1.5, "several numbers"),
    (Evaluation, "average", "mean", "'logits' or 'softmax'"),
    (Evaluation, "upsampling", "nearest", "'direct' or 'two-step'"),
]


@pytest.mark.parametrize(("kind", "name", "value", "words"), WRONG, ids=lambda v: str(v)[:20])
def test_wrong_settings_are_refused_by_name(kind, name, value, words):
    with pytest.raises(DMNetError, match=f"^{name} must be .*{words}"):
        kind(**{name: value})
    with pytest.raises(DMNetError, match=f"^{name} must be "):
        replace(kind(), **{name: value})


def test_numbers_of_numpy_and_lists_will_do():
    assert build_model("demo_scale", num_classes=np.int64(3), filter_sizes=[2, 5], dropout=0)
    assert Recipe(learning_rate=1, crop=[64, 64], warmup=0, flip=1).flip == 1


def test_windows_that_leave_gaps_are_refused():
    with pytest.raises(DMNetError, match=r"window_stride must be at most the window.*\(64, 65\)"):
        Evaluation(window=(64, 64), window_stride=(64, 65))
    for alone in ({"window": (64, 64)}, {"window_stride": (64, 64)}):
        with pytest.raises(DMNetError, match="belong together"):
            Evaluation(**alone)
    assert Evaluation(window=(64, 64), window_stride=(64, 64)).scales == (1.0,)
