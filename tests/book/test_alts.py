"""What the alternative texts of figures say of the committed measurements is so.

The texts of other figures say nothing that was measured, or the figure's own cell asserts it.
"""

import json
from pathlib import Path

import pandas as pd

from dmnet.files import shipped

BOOK = Path(__file__).resolve().parents[2] / "book"


def alt(chapter: str, figure: str) -> str:
    """The text, in one line."""
    for cell in json.loads((BOOK / f"{chapter}.ipynb").read_text("utf8"))["cells"]:
        about = cell["metadata"].get("mystnb", {})
        if about.get("figure", {}).get("name") == figure:
            return " ".join(about["image"]["alt"].split())
    raise AssertionError(f"{chapter} has no figure {figure}")


def measured(experiment: str) -> pd.DataFrame:
    path = shipped("results", f"{experiment}.csv")
    return pd.read_csv(path, dtype={"gates": str}, keep_default_na=False)


def every_gate_open(runs: pd.DataFrame) -> pd.DataFrame:
    return runs[~runs["gates"].str.contains("0")]


def test_seeds_of_quilts() -> None:
    text = alt("06_experiment", "fig-context-seeds")
    runs = every_gate_open(measured("demo_context"))
    assert "Five bands" in text and runs["variant"].nunique() == 5
    dynamic = runs["variant"].str.startswith("dynamic")
    assert "between about 50 and 60, but for some of the longest training" in text
    others = runs[~dynamic]
    assert others.loc[others["iterations"] < 1400, "miou"].between(49.5, 60).all()
    assert (others.loc[others["iterations"] == 1400, "miou"] > 60).any()
    assert "Nearly all dots of the dynamic variants lie between 85 and 96, a few lie far left" in text
    scores = runs.loc[dynamic, "miou"]
    assert scores.between(85, 96).mean() > 0.85 and scores[~scores.between(85, 96)].between(50, 60).all()
    assert "four dynamic scales have none there" in text
    assert runs.loc[runs["variant"] == "dynamic 1,3,5,7", "miou"].between(85, 96).all()


def test_seeds_of_coins() -> None:
    text = alt("06_experiment", "fig-scale-seeds")
    miou = every_gate_open(measured("demo_scale")).groupby("variant")["miou"]
    worst, best = miou.min(), miou.max()
    assert "Ten bands of dots over mIoU, from about 75 to 96" in text and len(worst) == 10
    assert worst.min() > 75 and best.max() < 96
    assert "several scales lie furthest right, k = 7 next" in text
    several = [name for name in worst.index if "," in name and not name.startswith("3x3")]
    rest = worst.index.difference(several).drop(["3x3 fusion, dynamic 1,3,5,7", "3x3 fusion, dynamic 7"])
    assert worst[several].min() > best[rest].max() and best[rest].idxmax() == "dynamic 7"
    assert "k = 1 alone and no filters lie furthest left" in text
    assert set(best[rest].nsmallest(2).index) == {"dynamic 1", "no filters"}
    assert "One dot of k = 5 lies far left of the four others" in text
    first, second, *_ = sorted(miou.get_group("dynamic 5"))
    assert second - first > 5
    assert "two bands with 3×3 fusion lie furthest right" in text
    assert worst.filter(like="3x3").min() > best[several].max()


def test_what_is_lost_without_a_scale() -> None:
    text = alt("06_experiment", "fig-one-scale-off")
    runs = measured("demo_scale")
    iou = runs[runs["variant"] == "dynamic 1,3,5,7"].groupby("gates").mean(numeric_only=True)
    iou = iou.filter(like="iou ").rename(columns=lambda name: name.removeprefix("iou "))
    lost = (iou.loc["1111"] - iou.loc[["0111", "1011", "1101", "1110"]]).T.set_axis([1, 3, 5, 7], axis=1)
    ruby, jade = lost.filter(like="ruby", axis=0), lost.filter(like="jade", axis=0)
    engraved = lost.loc[["cross", "ring"]]
    assert "Dark cells: the two ruby classes under k = 7; the two jade classes" in text
    assert min(ruby[7].min(), jade[3].min()) > 40 and max(ruby[3].max(), jade[7].max()) < 10
    assert "paler the two engraved ones, under k = 3" in text
    assert engraved[3].between(10, 20).all()
    assert "The columns of k = 1 and k = 5 are pale throughout" in text
    assert lost[[1, 5]].max(axis=None) < 10


def test_every_figure_has_a_text() -> None:
    for file in sorted(BOOK.glob("*.ipynb")):
        for cell in json.loads(file.read_text("utf8"))["cells"]:
            about = cell["metadata"].get("mystnb", {})
            if cell["cell_type"] == "code" and "figure" in about:
                told = about.get("image", {}).get("alt", "") or "LiveFigure(" in "".join(cell["source"])
                assert told, (file.name, about["figure"])
