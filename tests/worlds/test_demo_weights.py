"""The weights that come with the project score what their record says, on scenes drawn anew."""

import json

import pytest

import dmnet
from dmnet import datasets
from dmnet.files import shipped
from dmnet.inference import evaluate

NAMES = ["demo_scale", "demo_context"]


@pytest.mark.parametrize("name", NAMES)
def test_the_recorded_miou_is_measured_again(name: str) -> None:
    record = json.loads(shipped("weights", f"{name}.json").read_text())
    scenes = datasets.load(name, split=record["split"])
    assert (scenes.revision, len(scenes)) == (record["data_revision"], record["images"])
    matrix = evaluate(dmnet.load_pretrained(name), scenes)
    # Another processor rounds differently, and a few of five million pixels change their class.
    assert matrix.miou() == pytest.approx(record["miou"], abs=5e-4)
    assert dict(zip(scenes.classes, matrix.iou(), strict=True)) == pytest.approx(record["iou"], abs=2e-3)


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_small(name: str) -> None:
    assert shipped("weights", f"{name}.safetensors").stat().st_size <= 1_000_000


@pytest.mark.parametrize("name", NAMES)
def test_the_record_names_the_command_and_the_log_is_complete(name: str) -> None:
    record = json.loads(shipped("weights", f"{name}.json").read_text())
    assert record["command"] == f"python tools/demo_weights.py {name} --seed {record['seed']}"
    log = shipped("weights", f"{name}.csv").read_text().splitlines()
    assert len(log) == 1 + dmnet.systems.get(name).recipe.iterations


def test_each_question_has_a_scale_of_its_own() -> None:
    """Without k = 7 the rubies' question is lost, without k = 3 the jades', and never the other one."""
    model, scenes = dmnet.load_pretrained("demo_scale"), datasets.load("demo_scale", split="test", size=60)
    names = scenes.classes
    ruby, jade = ([i for i, name in enumerate(names) if stone in name] for stone in ("ruby", "jade"))

    def score(gates: list[int]) -> tuple[float, float]:
        iou = evaluate(model, scenes, scale_gates=gates).iou()
        return iou[ruby].mean(), iou[jade].mean()

    full, no3, no7 = score([1, 1, 1, 1]), score([1, 0, 1, 1]), score([1, 1, 1, 0])
    assert full[0] - no7[0] > 0.25 and full[1] - no7[1] < 0.05
    assert full[1] - no3[1] > 0.25 and full[0] - no3[0] < 0.05
