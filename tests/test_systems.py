"""The 24 published systems and our own, as data."""

import dataclasses

import pytest
import torch

from dmnet import systems
from dmnet.errors import UnknownSystemError
from dmnet.model import build_model

PUBLISHED = [s for s in systems.SYSTEMS.values() if s.published]


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


@pytest.mark.parametrize(
    "system", [s for s in systems.SYSTEMS.values() if not s.published], ids=lambda s: s.name
)
def test_own_systems_say_where_they_depart(system: systems.System) -> None:
    assert len(system.departures) > 80
