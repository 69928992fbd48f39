"""Our own systems and the 24 published ones as data; what settings may be; protocols derived from them."""

import dataclasses
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from dmnet import systems, zoo
from dmnet.errors import DMNetError, UnknownSystemError
from dmnet.model import build_model
from dmnet.systems import MS_SCALES, Architecture, Evaluation, Recipe, protocol

PUBLISHED = list(zoo.PUBLISHED.values())


def test_there_are_24_published_systems() -> None:
    assert len(PUBLISHED) == 24
    assert sum(s.published.source == "ssseg" for s in PUBLISHED) == 12


@pytest.mark.parametrize("name", systems.names())
def test_every_system_builds(name: str) -> None:
    system = systems.get(name)
    with torch.device("meta"):
        model = build_model(name)
        output = model(torch.zeros(1, 3, 64, 64))
    assert model.system == system
    assert output.logits.shape[1] == system.architecture.num_classes
    assert (output.aux_logits is None) == (system.architecture.aux_channels is None)


@pytest.mark.parametrize("system", PUBLISHED, ids=lambda s: s.name)
def test_published_systems_follow_their_protocol(system: systems.System) -> None:
    a, r, e = system.architecture, system.recipe, system.evaluation
    assert (
        len(system.classes) == a.num_classes == {"voc": 21, "ade20k": 150, "cityscapes": 19}[system.dataset]
    )
    assert a.aux_channels == {"ssseg": 512, "mmseg": 256}[system.published.source]
    assert (r.epochs is None) != (r.iterations is None)
    assert (e.window == (769, 769)) == ("769x769" in system.name) == a.align_corners
    assert system.published.model_url.startswith("https://")
    if system.published.source == "mmseg":
        assert int(system.published.sha256_prefix, 16) >= 0 and len(system.published.sha256_prefix) == 8


def test_one_row_of_each_source_in_full() -> None:
    ssseg = systems.get("ssseg_r101_d16_cityscapes")
    assert (ssseg.architecture.backbone, ssseg.architecture.output_stride) == ("resnet101", 16)
    assert (ssseg.recipe.epochs, ssseg.recipe.batch_size, ssseg.recipe.crop) == (220, 8, (512, 1024))
    assert (ssseg.published.miou, ssseg.published.miou_ms_flip) == (78.09, None)
    mmseg = systems.get("mmseg_r50_d8_cityscapes_769x769_80k")
    assert (mmseg.recipe.iterations, mmseg.recipe.crop) == (80_000, (769, 769))
    assert (mmseg.evaluation.window, mmseg.evaluation.window_stride) == ((769, 769), (513, 513))
    assert mmseg.recipe.resize == mmseg.evaluation.resize == (2049, 1025)
    assert (mmseg.published.miou, mmseg.published.miou_ms_flip) == (79.22, 80.55)
    assert mmseg.published.sha256_prefix == "6060840e"


def test_a_system_cannot_be_changed_by_accident() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        systems.get("demo_scale").architecture.channels = 1


@pytest.mark.parametrize(
    ("wrong", "right"), [("ssseg_r50_d8_cocostuff", "ssseg_r50_d8_voc"), ("demo_scales", "demo_scale")]
)
def test_a_wrong_name_gets_the_nearest(wrong: str, right: str) -> None:
    with pytest.raises(UnknownSystemError, match=right):
        systems.get(wrong)


def test_a_hopeless_name_gets_the_list() -> None:
    with pytest.raises(UnknownSystemError, match="dmnet systems"):
        systems.get("0")


@pytest.mark.parametrize("system", systems.zoo().OWN.values(), ids=lambda s: s.name)
def test_own_systems_say_where_they_depart(system: systems.System) -> None:
    assert len(system.departures) > 80


def test_systems_are_listed_without_pytorch():
    code = """
import sys
from dmnet import systems
assert "dmnet.zoo" not in sys.modules
assert len(systems.names()) == 29
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


# Settings -------------------------------------------------------------------------------------------------

WRONG = [
    (Architecture, "filters", "Dynamic", "'dynamic' or 'static'"),
    (Architecture, "stem", "v1c", "'deep' or 'plain'"),
    (Architecture, "filter_sizes", 3, r"a valid tuple"),
    (Architecture, "filter_sizes", (1, 0), "greater than or equal to 1"),
    (Architecture, "num_classes", 0, "greater than or equal to 1"),
    (Architecture, "channels", "many", "a valid integer"),
    (Architecture, "aux_channels", 0, "greater than or equal to 1"),
    (Architecture, "aux_channels", True, "a valid integer"),
    (Architecture, "fusion_kernel", 2, "odd"),
    (Architecture, "dropout", 2, "less than or equal to 1"),
    (Recipe, "optimizer", "SGD", "'sgd' or 'adamw'"),
    (Recipe, "schedule", "linear", "'poly' or 'cosine'"),
    (Recipe, "iterations", 1.5, "a valid integer"),
    (Recipe, "iterations", 0, "greater than or equal to 1"),
    (Recipe, "batch_size", 0, "greater than or equal to 1"),
    (Recipe, "label_stride", 0, "greater than or equal to 1"),
    (Recipe, "warmup", -1, "greater than or equal to 0"),
    (Recipe, "crop", 256, r"a valid tuple"),
    (Recipe, "crop", (256,), "a tuple of another length"),
    (Recipe, "resize", (0, 0), "greater than or equal to 1"),
    (Recipe, "learning_rate", "abc", "a valid number"),
    (Recipe, "learning_rate", float("nan"), "a finite number"),
    (Recipe, "flip", 7, "less than or equal to 1"),
    (Recipe, "pretrained", "no", "a valid boolean"),
    (Evaluation, "resize", 512, "a valid tuple"),
    (Evaluation, "flip", "no", "a valid boolean"),
    (Evaluation, "scales", (), r"a tuple of another length"),
    (Evaluation, "scales", (1.0, 0), "greater than 0"),
    (Evaluation, "scales", 1.5, "a valid tuple"),
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


def test_unknown_settings_are_refused():
    with pytest.raises(TypeError, match="Recipe has no field 'colour'"):
        Recipe(colour=1)


# Protocols ------------------------------------------------------------------------------------------------

VOC = systems.get("ssseg_r50_d8_voc")
SLIDING = systems.get("mmseg_r50_d8_cityscapes_769x769_40k")


@pytest.mark.parametrize("name", systems.names())
def test_published_is_the_systems_own(name):
    assert protocol(systems.get(name)) == systems.get(name).evaluation


def test_slide_takes_the_size_of_training_and_two_thirds_of_it():
    sliding = protocol(VOC, "slide")
    assert (sliding.window, sliding.window_stride) == ((512, 512), (341, 341))
    assert protocol(SLIDING, "slide") == SLIDING.evaluation
    assert SLIDING.evaluation.window_stride == (513, 513)


def test_whole_drops_the_window_and_nothing_else():
    assert protocol(SLIDING, "whole") == replace(SLIDING.evaluation, window=None, window_stride=None)


def test_whole_and_slide_are_at_one_scale():
    several = replace(SLIDING, evaluation=protocol(SLIDING, "ms+flip"))
    assert protocol(several, "slide") == protocol(SLIDING, "slide")
    assert protocol(several, "whole") == protocol(SLIDING, "whole")


def test_ms_flip_is_the_systems_own_at_six_scales():
    assert protocol(SLIDING, "ms+flip") == replace(SLIDING.evaluation, scales=MS_SCALES, flip=True)
    assert MS_SCALES == (0.5, 0.75, 1, 1.25, 1.5, 1.75)


def test_published_ms_flip_scores_average_probabilities():
    with_scores = [s for s in PUBLISHED if s.published.miou_ms_flip]
    assert len(with_scores) == 12
    assert {protocol(system, "ms+flip").average for system in with_scores} == {"softmax"}
    assert protocol(VOC, "ms+flip").average == "logits"


def test_single_settings():
    assert protocol(VOC, scales=(0.5, 2.0), flip=True).scales == (0.5, 2.0)
    assert not protocol(VOC, "ms+flip", flip=False).flip
    own = protocol(SLIDING, window=(300, 600))
    assert (own.window, own.window_stride) == ((300, 600), (200, 400))
    assert protocol(SLIDING, stride=(100, 200)).window_stride == (100, 200)
    assert protocol(VOC, window=(1, 1)).window_stride == (1, 1)


@pytest.mark.parametrize(
    ("arguments", "settings", "words"),
    [
        (("twice",), {}, "no protocol 'twice'"),
        ((), {"stride": (9, 9)}, "belong together"),
        ((), {"scales": (0.0,)}, "scales"),
        ((), {"window": (0, 5)}, "window"),
    ],
)
def test_what_cannot_be_used_is_refused(arguments, settings, words):
    with pytest.raises(DMNetError, match=words):
        protocol(VOC, *arguments, **settings)


def test_a_system_trained_on_whole_images_has_no_window():
    with pytest.raises(DMNetError, match="give the window"):
        protocol(systems.get("demo_scale"), "slide")
    assert protocol(systems.get("demo_scale"), "whole", window=(96, 96)).window == (96, 96)
    assert set(systems.PROTOCOLS) == {"published", "whole", "slide", "ms+flip"}
