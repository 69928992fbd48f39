"""Photographs in the book: their cells run with CamVid and without, with all tables, with some, with none."""

import ast
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import street
import torch
from matplotlib import pyplot as plt

from dmnet.classes import CAMVID

ROOT = Path(__file__).resolve().parents[2]
CHAPTER = "10_street"
FOUR = ("06_experiment", "07_evaluation", "08_scales", "09_ablation")
SHOWN = [name for name in FOUR if name != "09_ablation"]  # whose section shows a photograph
MEMORY = "street-ex-9"  # a process of its own, which the build runs


def cells(name: str) -> dict[str, str]:
    """Return the code cells of a chapter by their ids, without lines that only IPython knows."""
    notebook = json.loads((ROOT / "book" / f"{name}.ipynb").read_text(encoding="utf8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return {
        one["id"]: "".join(line for line in one["source"] if not line.strip().startswith("%")) for one in code
    }


def imports(name: str) -> str:
    """Return the imports of a chapter at the top of its cells."""
    trees = [ast.parse(source) for source in cells(name).values()]
    lines = [
        ast.unparse(node)
        for tree in trees
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    return "\n".join(["import dmnet", *lines])


@pytest.fixture
def run(
    closed_figures: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., str]]:
    """Execute cells as a kernel would, and return what they print and display; CamVid isn't found."""
    monkeypatch.setenv("DMNET_DATA", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.chdir(ROOT / "book")

    def run(sources: dict[str, str], namespace: dict[str, Any]) -> str:
        namespace |= {"display": print}
        for name, source in sources.items():
            exec(compile(source, name, "exec"), namespace)
        return capsys.readouterr().out

    yield run
    torch.set_grad_enabled(True)  # which the chapter switches off


@pytest.fixture
def at_hand(photos: Path, monkeypatch: pytest.MonkeyPatch, run: Any) -> None:
    """CamVid is found, in VOC's layout."""
    monkeypatch.setenv("DMNET_DATA", str(photos / "camvid_train_voc_layout"))


def test_the_chapter_without_camvid(run: Callable[..., str]) -> None:
    namespace: dict[str, Any] = {}
    said = run({name: one for name, one in cells(CHAPTER).items() if name != MEMORY}, namespace)
    assert "CamVid is not here; `dmnet data prepare camvid` fetches it." in said
    assert "No streets here" in said and namespace["streets"] == []
    assert len(plt.get_fignums()) >= 3  # the pagoda, its filters, its responses


def test_the_chapter_with_camvid(at_hand: None, run: Callable[..., str]) -> None:
    namespace: dict[str, Any] = {}
    said = run({name: one for name, one in cells(CHAPTER).items() if "-ex-" not in name}, namespace)
    assert "Profile: photographs" in said and "among the 367 photographs" in said
    assert len(namespace["streets"]) == 3 and len(namespace["tiles"]) == 12
    assert {"street 1", "street 3"} <= set(namespace["filled"])
    assert "a street's filters" in namespace["renamed"]


def photograph_cells(name: str) -> dict[str, str]:
    """Return the cells of a section on photographs, with what they need of the cells before."""
    sources = {one: source for one, source in cells(name).items() if one.startswith("photographs-")}
    assert sources
    return {"imports": imports(name)} | sources


def before(name: str) -> dict[str, Any]:
    """Return what the cells before a section have left, as far as it is used."""
    return {"SIZES": ["1×1", "3×3", "5×5", "7×7"]} if name == "08_scales" else {}


@pytest.mark.parametrize("name", SHOWN)
def test_a_section_without_camvid(name: str, run: Callable[..., str]) -> None:
    run(photograph_cells(name), before(name))
    assert plt.get_fignums()


@pytest.mark.parametrize("name", SHOWN)
def test_a_section_with_camvid(name: str, at_hand: None, run: Callable[..., str]) -> None:
    namespace = before(name)
    run(photograph_cells(name), namespace)
    shown = [one for one in namespace.values() if isinstance(one, np.ndarray)]
    assert any(one.shape == (360, 480, 3) for one in shown)  # a street, not the pagoda


def rows(variants: dict[str, dict[str, Any]], seeds: Sequence[int], ways: Sequence[str]) -> pd.DataFrame:
    """Return a table as the tool writes it, with scores that are drawn by lot."""
    generator, table = np.random.default_rng(0), []
    for variant, changes in variants.items():
        sizes = changes.get("filter_sizes", (1, 3, 5, 7))
        architecture = type("", (), {"filter_sizes": sizes, "filters": changes.get("filters", "dynamic")})
        settings = street.settings(type("", (), {"architecture": architecture}))
        for how in ways:
            for seed in seeds:
                for number, (gates, lent) in enumerate(settings):
                    iou = generator.uniform(20, 90, 11).round(2)
                    row = {"variant": variant, "seed": seed, "held out": how, "gates": gates, "lent": lent}
                    row |= {"iterations": changes.get("iterations", 900), "seconds": 600.0, "threads": 1}
                    row |= {"miou": iou.mean()} | {
                        f"iou {c}": v for c, v in zip(CAMVID.names, iou, strict=True)
                    }
                    if number == 0:
                        row |= {"miou slide": iou.mean(), "miou ms+flip": iou.mean()}
                        row |= {f"blur {k}": 0.8 for k in sizes}
                    table.append(row)
    return pd.DataFrame(table)


def write_results(folder: Path, seeds: Sequence[int], ways: Sequence[str]) -> None:
    """Write the four tables as far as these seeds and ways of holding out have been measured."""
    both = {"a third of street": {"iterations": 3333}, "street_quick": {}}
    rows(both, seeds, ways).to_csv(folder / "street_seeds.csv", index=False)
    half = dict([next(iter(street.TRIALS.items()))])
    trials = [rows(street.TRIALS, seeds[:1], ("stretch",)), rows(half, seeds[1:], ("stretch",))]
    pd.concat(trials).to_csv(folder / "street_trials.csv", index=False)
    rows(street.ABLATION, seeds, ("stretch",)).to_csv(folder / "street_ablation.csv", index=False)
    counts = np.eye(11, dtype=int) * 90 + 1
    matrix = pd.DataFrame(counts, columns=CAMVID.names)
    known = {"variant": "street_quick", "seed": 0, "held out": ways[0], "true": CAMVID.names}
    matrix.assign(**known).to_csv(folder / "street_confusion.csv", index=False)


def table_cells(name: str) -> dict[str, str]:
    """Return the cells that read the tables, and those that need what they read."""
    wanted = {
        "confusion",
        "measured",
        "retrained",
        "runs",
        "seeds",
        "span",
        "street_scores",
        "trials",
        "whole",
        "without",
    }
    found = {}
    for one, source in cells(name).items():
        nodes = list(ast.walk(ast.parse(source)))
        known = {node.id for node in nodes if isinstance(node, ast.Name)}
        known |= {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
        if known & wanted and "-ex-" not in one and (name == CHAPTER or one.startswith("photographs-")):
            found[one] = source
    return found


@pytest.mark.parametrize("name", [CHAPTER, *(name for name in FOUR if name != "08_scales")])
@pytest.mark.parametrize("seeds", [(), (0,), (0, 1, 2)], ids=["none", "one seed", "all"])
def test_tables_that_lack_rows_are_said_to(
    name: str, seeds: Sequence[int], run: Callable[..., str], tmp_path: Path
) -> None:
    if seeds:
        write_results(tmp_path, seeds, ("sixth", "stretch") if len(seeds) > 1 else ("sixth",))

    def shipped(*parts: str) -> Path:
        return tmp_path / parts[-1] if parts[0] == "results" else ROOT.joinpath("data", *parts)

    namespace = before(name) | {"names": CAMVID.names, "spoken": [*CAMVID.names]}
    namespace |= {"SIZES": ["1×1", "3×3", "5×5", "7×7"], "COLOURS": ["C0", "C1", "C2", "C3"]}
    exec(imports(name), namespace)
    namespace["shipped"] = shipped
    sources = {
        one: text.replace("from dmnet.files import shipped", "") for one, text in table_cells(name).items()
    }
    said = run(sources, namespace)
    if len(seeds) == 3:
        assert "measured yet" not in said and "trains the others" not in said
    elif not seeds:
        assert "not measured yet" in said or "`python tools/street.py seeds`" in said
    elif name == CHAPTER:
        assert "2 of 12 networks measured" in said and "9 of 27 networks" in said


@pytest.mark.parametrize("count", [1, 5])
def test_trials_that_are_not_measured_are_named(count: int, run: Callable[..., str], tmp_path: Path) -> None:
    names = list(street.TRIALS)
    some = {name: street.TRIALS[name] for name in names[:count]}
    rows(some, (0,), ("stretch",)).to_csv(tmp_path / "street_trials.csv", index=False)
    sources = {
        one: text
        for one, text in cells(CHAPTER).items()
        if "PLANNED" in text or "CHANGED" in text or "len(plain)" in text
    }
    namespace: dict[str, Any] = {}
    exec(imports(CHAPTER), namespace)
    namespace["shipped"] = lambda *parts: tmp_path / parts[-1]
    said = run(sources, namespace)
    table = namespace["table"]
    assert sorted(table.index) == sorted(names) and set(table.index[:count]) == set(some)
    assert f"{count} of 13 networks measured" in said
    assert said.count("not measured yet") == len(names) - count + 1  # and how far apart seeds are
    assert "nan" not in said.lower()


def test_the_chapter_knows_how_many_networks_the_tool_trains() -> None:
    namespace: dict[str, Any] = {}
    source = next(one for one in cells(CHAPTER).values() if "PLANNED" in one)
    tree = ast.parse(source)
    known = [node for node in tree.body if isinstance(node, ast.Assign)]
    exec(compile(ast.Module(known, []), CHAPTER, "exec"), namespace)
    seeds = len(street.SEEDS)
    assert namespace["PLANNED"] == {
        "seeds": 2 * 2 * seeds,
        "trials": len(street.TRIALS) + seeds - 1,
        "ablation": seeds * len(street.ABLATION),
    }
