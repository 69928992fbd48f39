"""The chapter on speed: the tests that its table of faults names exist, and tables of speed are shown."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[2]
CELLS = json.loads((ROOT / "book" / "11_faster.ipynb").read_text(encoding="utf8"))["cells"]
ROW = re.compile(r"^\|.+\|.+\| (.+) \(`(test_\w+)`\) \|$", flags=re.M)


def source(start: str) -> str:
    """Return the one code cell that begins so."""
    (found,) = [text for cell in CELLS if (text := "".join(cell["source"])).startswith(start)]
    return found


def test_every_test_that_the_table_of_faults_names_exists() -> None:
    named = [one for cell in CELLS for one in ROW.findall("".join(cell["source"]))]
    assert len(named) > 10
    for words, file in named:
        (path,) = (ROOT / "tests").rglob(f"{file}.py")
        functions = {one.name for one in ast.walk(ast.parse(path.read_text("utf8"))) if hasattr(one, "name")}
        assert "test_" + re.sub(r"\W+", "_", words) in functions, words


def row(**values: Any) -> dict[str, Any]:
    kept = {"times": 2.0, "least": 1.5, "greatest": 3.0, "reference": "groups", "contender": "unfold"}
    return kept | {"threads": 1, "machine": "x86_64", "instructions": "AVX2"} | values


SPEED = [
    row(group="predict", reference="ours", contender="bfloat16"),
    row(group="train", contender="bfloat16", instructions="AVX512, BF16"),
    row(group="train", times=0.9, least=0.5),
    row(group="train", times=0.7, least=0.5, greatest=0.8, instructions="AVX512, BF16"),
    row(group="dynamic", size="1 x 512 x 64 x 64, k = 1", kind="forward"),
    row(group="dynamic", size="1 x 512 x 64 x 64, k = 3", kind="forward", times=1, least=0.9),
    row(group="runtimes", reference="PyTorch", size="street, 360 x 480", difference=2.3e-6),
    {"group": "memory", "kind": "step", "megabytes": 3000, "reference megabytes": 4000} | row(),
]


@pytest.mark.parametrize("there", [True, False])
def test_tables_of_speed_are_shown_or_said_to_be_missing(
    there: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if there:
        pd.DataFrame(SPEED).to_csv(tmp_path / "speed.csv", index=False)
    shown: list[Any] = []
    names = {"shipped": lambda *_: tmp_path / "speed.csv", "display": shown.append}
    exec(source("import copy").replace("from dmnet.files import shipped", ""), names)
    starts = (
        "def measured",
        "def beside",
        "rows = pd.concat([measured",
        "assert f",
        'rows = measured("runtimes")',
    )
    exec("\n".join(map(source, starts)), names)
    said = capsys.readouterr().out
    assert said.count("Not measured yet: `python tools/speed.py --only") == (0 if there else 4)
    if there:
        assert [len(table) for table in shown] == [3, 2, 1]
        speeds, ways, runtimes = (
            table.map(lambda one: one.replace("\xa0", " ").replace("\u2060", "")) for table in shown
        )
        assert speeds.to_dict("list") == {
            "AVX2": ["2.00 (1.50–3.00)", "–", "0.90 (0.50–3.00) ?"],
            "AVX512, BF16": ["–", "2.00 (1.50–3.00)", "0.70 (0.50–0.80)"],
        }
        assert speeds.index[0] == ("predict", "bfloat16 / ours") and speeds.index[2][0] == "train"
        assert ways["AVX2"]["unfold"].to_list() == ["2.00 *", "1.00"] and ways.columns.names[0] == "forward"
        assert list(runtimes["difference"]) == ["2e-06"] and runtimes.index[0][0] == "street, 360×480"
        assert "train: x86_64 with AVX2, 1 threads" in said and "x86_64 with AVX512, BF16, 1" in said
    else:
        assert shown == []


def test_what_a_product_at_k_1_would_win_is_little() -> None:
    table = pd.read_csv(ROOT / "data" / "results" / "speed.csv")
    assert table["instructions"].nunique() == 2  # "both processors"
    for _, rows in table.groupby("instructions"):
        step = rows[(rows["group"] == "train") & (rows["contender"] == "ours")]["seconds"].item()
        products = rows["size"].str.endswith(", k = 1") & (rows["kind"] == "forward and backward")
        groups = (rows["seconds"] * rows["times"])[products]  # of the reference: our way
        assert 0 < groups.max() < step / 100
