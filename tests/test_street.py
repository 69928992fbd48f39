"""`street`: how photographs are held out, the tool that trains it, and the weights that are shipped."""

import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import street
import torch
from PIL import Image
from safetensors import safe_open

import dmnet
from dmnet import datasets, systems
from dmnet.classes import CAMVID
from dmnet.inference import evaluate
from dmnet.systems import Evaluation
from dmnet.training import resolve

# As in CamVid: three drives, a photograph each second, 367 in all.
IDS = [
    f"{drive}_{30 * n:05d}"
    for drive, n in (("0001TP", 62), ("0006R0", 101), ("0016E5", 204))
    for n in range(n)
]


def test_a_stretch_is_the_last_fifth_of_every_drive() -> None:
    held = street.held_out(IDS, "stretch")
    assert Counter(one.partition("_")[0] for one in held) == {"0001TP": 13, "0006R0": 21, "0016E5": 41}
    for drive in ("0001TP", "0006R0", "0016E5"):
        of_drive = [one for one in IDS if one.startswith(drive)]
        assert [one for one in held if one.startswith(drive)] == of_drive[-len(of_drive) // 5 :]


def test_every_sixth_is_the_usual_division(photos: Path) -> None:
    assert street.held_out(IDS, "sixth") == IDS[::6] and street.held_out(IDS, "none") == []
    folder = photos / "camvid_train_voc_layout"
    dataset = street.training_part(folder)
    assert len(dataset) == 367
    assert street.held_out(dataset.ids, "sixth") == list(datasets.load("camvid", folder, "val").ids)


@pytest.mark.parametrize("variants", [street.TRIALS, street.ABLATION])
def test_every_variant_can_be_built_and_has_as_many_numbers(variants: dict) -> None:
    sizes = {}
    for name, changes in variants.items():
        system = resolve(street.QUICK, type("Set", (), {"classes": CAMVID.names}), **changes)
        with torch.device("meta"):
            model = dmnet.model.from_system(system)
        sizes[name] = sum(p.numel() for p in model.parameters())
        assert street.settings(model)[0] == tuple(one * len(system.architecture.filter_sizes) for one in "10")
    if variants is street.ABLATION:
        assert sizes["dynamic 1"] == sizes["dynamic 7"] == pytest.approx(sizes["dynamic 1,3,5,7"], rel=0.01)


def test_class_weights_are_those_of_the_systems_own_classes() -> None:
    ours = type("Set", (), {"classes": CAMVID.names})
    assert resolve("street", ours).recipe.class_weights == systems.get("street").recipe.class_weights
    theirs = type("Set", (), {"classes": ("leaf", "soil")})
    assert resolve("street", theirs).recipe.class_weights == ()
    assert resolve("street", theirs, class_weights=(1.0, 2.0)).recipe.class_weights == (1.0, 2.0)


def draw_camvid(folder: Path, count: int) -> Path:
    """Write `count` photographs in VOC's layout: a road below, sky above, a car between, and void."""
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (folder / name).mkdir(parents=True)
    (folder / "classes.txt").write_text("\n".join(CAMVID.names) + "\n")
    generator = np.random.default_rng(0)
    for name in IDS[:: len(IDS) // count][:count]:
        mask = np.full((36, 48), 3, np.uint8)
        mask[:12], mask[12:20, 8:30], mask[30:, 40:] = 0, 8, 255
        pixels = CAMVID.palette[np.minimum(mask, 10)] // 2 + generator.integers(0, 90, (36, 48, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "JPEGImages" / f"{name}.jpg")
        Image.fromarray(mask).save(folder / "SegmentationClass" / f"{name}.png")
    names = [path.stem for path in sorted((folder / "JPEGImages").iterdir())]
    lists = folder / "ImageSets" / "Segmentation"
    (lists / "train.txt").write_text("\n".join(names[1:]) + "\n")
    (lists / "val.txt").write_text(names[0] + "\n")
    return folder


@pytest.fixture
def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve small photographs, and systems that learn them in two and three steps; rows go to `tmp_path`."""
    for name, iterations in (("QUICK", 2), ("STREET", 3)):
        system = getattr(street, name)
        small = {"iterations": iterations, "batch_size": 2, "resize": (48, 36), "crop": (24, 24)}
        recipe, evaluation = replace(system.recipe, **small), Evaluation(resize=(48, 36))
        monkeypatch.setattr(street, name, replace(system, recipe=recipe, evaluation=evaluation))
    monkeypatch.setattr(street, "LENGTH", 2)
    monkeypatch.setattr(street, "PHOTOGRAPHS", 12)
    monkeypatch.setattr(street, "RESULTS", tmp_path)
    monkeypatch.setattr(street, "RUNS", tmp_path / "runs")
    return draw_camvid(tmp_path / "data", 12)


def test_rows_are_written_once_and_runs_go_on(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["street.py", "ablation", "--data", str(drawn), "--variants", "dynamic 1,3,5,7", "no filters"]
    for seeds in (["0"], ["0", "1"]):
        monkeypatch.setattr(sys, "argv", [*command, "--seeds", *seeds])
        street.main()
        table = pd.read_csv(tmp_path / "street_ablation.csv", dtype={"gates": str, "lent": str})
        assert len(table) == 12 * len(seeds)  # six settings of the gates, five loans, and no filters
        assert table[table.variant == "no filters"].gates.isna().all()
        assert set(table.gates.dropna()) == {"1111", "0111", "1011", "1101", "1110", "0000"}
        assert set(table.lent.dropna()) == {"0000", "1000", "0100", "0010", "0001", "1111"}
        assert table["blur 7"].between(0, 1).sum() == len(seeds) and (table["blur 1"].dropna() == 1).all()
        assert (table.iterations == 2).all() and table.miou.between(0, 100).all()
        assert table["iou road"].notna().all() and (table["iou fence"].fillna(0) == 0).all()


def test_seeds_have_other_protocols_and_a_confusion_matrix(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["street.py", "seeds", "--data", str(drawn), "--seeds", "4"]
    monkeypatch.setattr(sys, "argv", command)
    street.main()
    table = pd.read_csv(tmp_path / "street_seeds.csv", dtype={"gates": str, "lent": str})
    assert list(table["held out"].unique()) == ["sixth", "stretch"]
    lengths = table.groupby("variant").iterations.unique().map(list).to_dict()
    assert lengths == {"a third of street": [1], "street_quick": [2]}
    itself = (table.gates == "1111") & (table.lent == "0000")
    assert (table[["miou slide", "miou ms+flip"]].notna().all(axis=1) == itself).all()
    confusion = pd.read_csv(tmp_path / "street_confusion.csv")
    assert list(confusion.true) == 4 * list(CAMVID.names)
    assert confusion[confusion["held out"] == "sixth"].loc[3, list(CAMVID.names)].sum() > 0  # road
    # street_quick on stretches is the ablation's first variant: taken over, not trained again
    monkeypatch.setattr(street, "run", lambda *_, **__: pytest.fail("it is trained again"))
    again = ["street.py", "ablation", "--data", str(drawn), "--seeds", "4", "--variants", "dynamic 1,3,5,7"]
    monkeypatch.setattr(sys, "argv", again)
    street.main()
    wanted = table[(table.variant == "street_quick") & (table["held out"] == "stretch")]
    assert street.quick_of(table).miou.tolist() == wanted.miou.tolist() and len(wanted) == 11


def test_shipped_weights_are_half_precision_small_and_of_the_whole_recipe() -> None:
    path = street.WEIGHTS / "street.safetensors"
    assert path.stat().st_size <= 4_000_000
    with safe_open(path, "pt") as file:
        kinds = {file.get_tensor(name).dtype for name in file.keys()}  # noqa: SIM118  no mapping
    assert kinds == {torch.float16, torch.int64}
    assert {p.dtype for p in dmnet.load_pretrained("street").parameters()} == {torch.float32}
    log = pd.read_csv(street.WEIGHTS / "street.csv")
    assert list(log["iteration"]) == list(range(1, street.STREET.recipe.iterations + 1))
    record = json.loads((street.WEIGHTS / "street.json").read_text())
    assert record["images"] == street.PHOTOGRAPHS


def test_shipped_weights_read_the_photographs_that_they_learned_from(photos: Path) -> None:
    """Not a score: that they are the weights, and that these are the photographs, is all that it says."""
    dataset = street.training_part(photos / "camvid_train_voc_layout")
    record = json.loads((street.WEIGHTS / "street.json").read_text())
    assert street.digest(dataset) == record["pixels_sha256"]
    few = street.Photographs(dataset, dataset.ids[::60])
    assert evaluate(dmnet.load_pretrained("street"), few).miou() > 0.6


def test_the_card_says_what_was_measured(root: Path) -> None:
    card = (root / "data" / "weights" / "street.md").read_text()
    table = pd.read_csv(root / "data" / "results" / "street_seeds.csv", dtype={"gates": str, "lent": str})
    itself = table[(table["gates"] == "1111") & (table["lent"] == "0000")]
    lines = [line for line in card.splitlines() if line.startswith("| `")]
    groups = itself.groupby(["variant", "held out"], sort=False)
    assert len(lines) == len(groups)
    for line, ((variant, _), runs) in zip(lines, groups, strict=True):
        low, high = (f"{runs['miou'].agg(end):.1f}" for end in ("min", "max"))
        score = f"{low} to {high}" if len(runs) > 1 else low
        assert line.startswith(f"| `{variant}`") and line.endswith(f"| {len(runs)} | {score} |")


def test_the_chapters_say_what_switches_cost(root: Path) -> None:
    """ "A few points at most" for one scale, and more for all four than for the four one by one, added up."""
    table = pd.read_csv(root / "data" / "results" / "street_seeds.csv", dtype={"gates": str, "lent": str})
    table = table[table["lent"] == "0000"]
    scores = table.pivot_table(index=["variant", "held out", "seed"], columns="gates", values="miou")
    lost = scores[["0111", "1011", "1101", "1110"]].rsub(scores["1111"], axis=0)
    assert len(lost) >= 9 and 2 < lost.max(axis=None) < 5 and lost.median(axis=None) < 1
    every = (scores["1111"] - scores["0000"]).dropna()
    assert len(every) >= 3 and (every > lost.sum(axis=1)[every.index]).all()


def test_the_chapter_says_what_dynamic_filters_bring(root: Path) -> None:
    """Static ones and a 1x1 fusion "better in each seed, by less than a point"; without, "in some seeds"."""
    table = pd.read_csv(root / "data" / "results" / "street_ablation.csv", dtype={"gates": str, "lent": str})
    table = table[~table["gates"].str.contains("0") & ~table["lent"].str.contains("1")]
    scores = table.pivot_table(index="seed", columns="variant", values="miou")
    assert scores.shape == (3, len(street.ABLATION)) and scores.notna().all(axis=None)
    for fusion in ("", "1x1 fusion, "):
        over = scores.rsub(scores[f"{fusion}dynamic 1,3,5,7"], axis=0)
        assert over[f"{fusion}static 1,3,5,7"].between(-1, 0, inclusive="neither").all()
        without = over[f"{fusion}no filters"]
        assert without.min() < 0 < without.max() and abs(without.mean()) < 0.3
    assert (scores["dynamic 1,3,5,7"] - scores["no filters"]).abs().max() < 0.5
    for kind in ("dynamic 1,3,5,7", "static 1,3,5,7"):
        larger = scores[kind] - scores[f"1x1 fusion, {kind}"]
        assert larger.between(-1, 0, inclusive="neither").all()
