"""The protocols that are derived from a system's own."""

from dataclasses import replace

import pytest

from dmnet import protocols, systems
from dmnet.errors import DMNetError
from dmnet.protocols import MS_SCALES, choose

VOC = systems.get("ssseg_r50_d8_voc")
SLIDING = systems.get("mmseg_r50_d8_cityscapes_769x769_40k")


@pytest.mark.parametrize("name", systems.names())
def test_published_is_the_systems_own(name):
    assert choose(systems.get(name)) == systems.get(name).evaluation


def test_slide_takes_the_size_of_training_and_two_thirds_of_it():
    sliding = choose(VOC, "slide")
    assert (sliding.window, sliding.window_stride) == ((512, 512), (341, 341))
    assert choose(SLIDING, "slide") == SLIDING.evaluation
    assert SLIDING.evaluation.window_stride == (513, 513)


def test_whole_drops_the_window_and_nothing_else():
    assert choose(SLIDING, "whole") == replace(SLIDING.evaluation, window=None, window_stride=None)


def test_whole_and_slide_are_at_one_scale():
    several = replace(SLIDING, evaluation=choose(SLIDING, "ms+flip"))
    assert choose(several, "slide") == choose(SLIDING, "slide")
    assert choose(several, "whole") == choose(SLIDING, "whole")


def test_ms_flip_is_the_systems_own_at_six_scales():
    assert choose(SLIDING, "ms+flip") == replace(SLIDING.evaluation, scales=MS_SCALES, flip=True)
    assert MS_SCALES == (0.5, 0.75, 1, 1.25, 1.5, 1.75)


def test_published_ms_flip_scores_average_probabilities():
    with_scores = [s for s in systems.SYSTEMS.values() if s.published and s.published.miou_ms_flip]
    assert len(with_scores) == 12
    assert {choose(system, "ms+flip").average for system in with_scores} == {"softmax"}
    assert choose(VOC, "ms+flip").average == "logits"


def test_single_settings():
    assert choose(VOC, scales=(0.5, 2.0), flip=True).scales == (0.5, 2.0)
    assert not choose(VOC, "ms+flip", flip=False).flip
    own = choose(SLIDING, window=(300, 600))
    assert (own.window, own.window_stride) == ((300, 600), (200, 400))
    assert choose(SLIDING, stride=(100, 200)).window_stride == (100, 200)
    assert choose(VOC, window=(1, 1)).window_stride == (1, 1)


@pytest.mark.parametrize(
    ("arguments", "settings", "words"),
    [
        (("twice",), {}, "no protocol 'twice'"),
        ((), {"stride": (9, 9)}, "needs a window"),
        ((), {"scales": (0.0,)}, "scales"),
        ((), {"window": (0, 5)}, "window"),
    ],
)
def test_what_cannot_be_used_is_refused(arguments, settings, words):
    with pytest.raises(DMNetError, match=words):
        choose(VOC, *arguments, **settings)


def test_a_system_trained_on_whole_images_has_no_window():
    with pytest.raises(DMNetError, match="give the window"):
        choose(systems.get("demo_scale"), "slide")
    assert choose(systems.get("demo_scale"), "whole", window=(96, 96)).window == (96, 96)
    assert set(protocols.NAMES) == {"published", "whole", "slide", "ms+flip"}
