"""What chapters repeat in prose of the committed measurements is so; for others a cell has an assert."""

import json

from test_alts import BOOK, every_gate_open, measured

from dmnet.model import build_model


def says(chapter: str, words: str) -> bool:
    cells = json.loads((BOOK / f"{chapter}.ipynb").read_text("utf8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    return words in " ".join(" ".join(texts).split())


def signed(points: float) -> str:
    return f"{points:+.1f}".replace("-", "−")


def test_what_each_ingredient_serves() -> None:
    runs = every_gate_open(measured("demo_scale"))
    runs = runs.assign(
        rubies=runs.filter(like="iou ruby").mean(axis=1), jades=runs.filter(like="iou jade").mean(axis=1)
    )
    mean = runs.groupby("variant")[["rubies", "jades", "miou"]].mean()
    over_static, over_seven = (
        mean.loc["dynamic 1,3,5,7"] - mean.loc[rival] for rival in ("static 1,3,5,7", "dynamic 7")
    )
    rubies, jades, both = map(signed, over_static)
    assert says("06_experiment", f"serve the rubies ({rubies}) and not the jades ({jades})")
    assert says("06_experiment", f"four dynamic scales lie {both[1:]} points above four static ones")
    rubies, jades, _ = map(signed, over_seven)
    assert says("06_experiment", f"serve the jades ({jades}) and hardly the rubies ({rubies})")


def test_how_far_static_filters_come_with_time() -> None:
    runs = every_gate_open(measured("demo_context"))
    runs = runs[runs["iterations"] == 1400].set_index(["variant", "seed"])["miou"]
    found = sorted(score for score in runs["static 1,3,5,7"] if score > 80)
    assert says("06_experiment", "two networks of three reach {:.0f} and {:.0f} %".format(*found))
    behind = (runs["dynamic 1,3,5,7"] - runs["static 1,3,5,7"]).nsmallest(2)
    assert says("09_ablation", "are {:.1f} and {:.0f} points behind".format(*behind))


def test_how_many_parameters_the_two_have() -> None:
    static, dynamic = (
        sum(p.numel() for p in build_model("demo_context", filters=kind).parameters())
        for kind in ("static", "dynamic")
    )
    words = f"the static one has {static:,} parameters, the dynamic one {dynamic:,}"
    assert says("06_experiment", words)
