"""The check of a GPU on the CPU: every line of it runs, but for those that ask CUDA itself."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from test_street import draw_camvid

ON_CUDA_ALONE = ("torch.cuda.", 'check.add("memory"')  # what these lines begin with
IN_FAULTS = (  # and these: they run in the tests below
    'check.add("absent", f"there are no records',
    'return self.add("not run"',
    "except Exception as error:",
    "reason = ",
    "os.kill(",  # in a process of its own: its exit code is a row
    'self.add("failed"',
    'return check.add("absent", "CamVid',
    "for part in (",
    'sys.modules[f"matplotlib',
)
pytestmark = pytest.mark.slow
SECTIONS = ["golden", "training", "resume", "collective", "evaluation", "chapters", "street"]


@pytest.fixture(scope="module")
def checked(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, list[str]]:
    """The tiny check's table, and the lines that it left out."""
    folder = tmp_path_factory.mktemp("gpu")
    tool, camvid = "tools/gpu_check.py", draw_camvid(folder / "camvid", 8)
    command = ["-m", "coverage", "run", f"--data-file={folder / 'lines'}", f"--include={tool}", tool]
    command += ["--device", "cpu", "--tiny", "--camvid", str(camvid), "--output", str(folder / "gpu.csv")]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run(
        [sys.executable, *command], cwd=root, env=environment, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = [sys.executable, "-m", "coverage", "json", f"--data-file={folder / 'lines'}", "-o", "-", "-q"]
    measured = json.loads(subprocess.check_output(report, cwd=root))["files"][tool]
    lines = (root / tool).read_text().splitlines()
    return pd.read_csv(folder / "gpu.csv"), [lines[n - 1].strip() for n in measured["missing_lines"]]


def test_every_line_runs_without_a_gpu(checked: Any) -> None:
    _, missing = checked
    assert [line for line in missing if not line.startswith(ON_CUDA_ALONE + IN_FAULTS)] == []
    for line in missing:
        for name in line.partition("torch.cuda.")[2].partition("(")[:1]:  # they exist, at least
            assert not name or callable(getattr(torch.cuda, name))


def test_every_section_has_its_rows_and_nothing_is_wrong(checked: Any) -> None:
    table, _ = checked
    assert list(dict.fromkeys(table["section"])) == SECTIONS
    assert table["verdict"].isna().all()
    assert not set(table["measure"]) & {"failed", "not run", "absent"}

    def values(section: str, measure: str) -> list[float]:
        chosen = (table["section"] == section) & (table["measure"] == measure)
        return table.loc[chosen, "value"].astype(float).tolist()

    assert values("resume", "largest difference of a weight") == [0]
    assert 0 < values("golden", "error of logits in float32")[0] < 1.25e-5
    assert len(values("training", "speed")) == 14 and min(values("training", "speed")) > 0
    assert (table["card"].str.startswith("cpu")).all()


@pytest.fixture
def tool(root: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(sys, "path", [str(root / "tools"), *sys.path])
    return runpy.run_path(str(root / "tools" / "gpu_check.py"))


def check(tool: dict[str, Any], folder: Path, **other: Any) -> Any:
    facts = {"device": torch.device("cpu"), "tiny": True, "output": folder / "gpu.csv", "deadline": 1e12}
    return tool["Check"](**facts | {"home": folder, "camvid": folder, "facts": {}} | other)


def rows(folder: Path) -> list[tuple[str, str]]:
    return [tuple(map(str, row)) for row in pd.read_csv(folder / "gpu.csv")[["measure", "value"]].to_numpy()]


def test_what_fails_is_a_row_and_the_rest_goes_on(tool: dict[str, Any], tmp_path: Path) -> None:
    one = check(tool, tmp_path)

    def out_of_memory(one: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")

    one.run("training", "large", out_of_memory)
    one.run("training", "small", lambda one: one.add("speed", 3.0, "images/s"))
    one.run("golden", "a", lambda one: one.add("error", 0.2, limit=0.1))
    one.run("golden", "b", lambda one: one.add("error", float("nan"), limit=0.1))
    assert rows(tmp_path)[:2] == [("failed", "OutOfMemoryError: CUDA out of memory."), ("speed", "3.0")]
    assert [row["verdict"] for row in one.rows] == ["wrong", "", "wrong", "wrong"]


def test_without_time_nothing_is_begun(tool: dict[str, Any], tmp_path: Path) -> None:
    check(tool, tmp_path, deadline=0.0).run("golden", "all", tool["golden"])
    assert rows(tmp_path) == [("not run", "no time was left")]


def test_what_is_absent_is_said(
    tool: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(tool["golden"].__globals__, "REFERENCE", tool["ROOT"] / "tests" / "cli")
    for section in ("golden", "street"):
        check(tool, tmp_path).run(section, "all", tool[section])
        assert rows(tmp_path)[0][0] == "absent"


def test_a_machine_without_matplotlib_will_do(root: Path) -> None:
    code = (
        "import importlib.util as u, runpy, sys\n"
        "find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'matplotlib' else find(name, *a)\n"
        "sys.path.insert(0, 'tools')\n"
        "runpy.run_path('tools/gpu_check.py')\n"
        "print(type(sys.modules['matplotlib.axes']).__name__, 'dmnet.training' in sys.modules)\n"
    )
    done = subprocess.check_output([sys.executable, "-c", code], cwd=root, text=True)
    assert done.split() == ["MagicMock", "True"]
