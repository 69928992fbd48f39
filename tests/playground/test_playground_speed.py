"""What was measured in a browser, `data/results/playground_speed.csv`, reaches the goals that it names."""

from pathlib import Path

import pandas as pd
from browser import live_figures

ROOT = Path(__file__).resolve().parents[2]


def test_every_goal_is_reached() -> None:
    table = pd.read_csv(ROOT / "data" / "results" / "playground_speed.csv")
    goals = table.dropna(subset="goal")
    assert (goals["value"] <= goals["goal"]).all(), goals[goals["value"] > goals["goal"]]
    assert {"photograph answered and redrawn, median", "slow phone: live"} < set(goals["what"])


def test_every_live_figure_was_measured() -> None:
    table = pd.read_csv(ROOT / "data" / "results" / "playground_speed.csv")
    measured = set(table["what"].str.extract(r"^figure (\w+):", expand=False).dropna())
    assert measured == {name for names in live_figures().values() for name in names}
