"""What runs on GitHub: actions by their commits, and no more rights than needed."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = sorted(FOLDER.glob("*.yml"))


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job.get("steps", [])]


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_actions_are_pinned_and_rights_few(file: Path) -> None:
    text = file.read_text()
    workflow = yaml.safe_load(text)
    uses = re.findall(r"uses: (.+)", text)
    pinned = r"actions/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+"
    assert uses and [one for one in uses if not re.fullmatch(pinned, one)] == []
    assert workflow["permissions"] == {"contents": "read"}
    more = {name: job["permissions"] for name, job in workflow["jobs"].items() if "permissions" in job}
    assert more in ({}, {"deploy": {"pages": "write", "id-token": "write"}})
    for step in steps(workflow):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False
        assert "${{ github.event" not in step.get("run", "")  # anybody may write a title or a branch's name


def test_one_action_has_one_version() -> None:
    uses = {use for file in WORKFLOWS for use in re.findall(r"uses: (.+)", file.read_text())}
    assert len(uses) == len({use.partition("@")[0] for use in uses})


def test_known_faults_are_looked_for_every_week() -> None:
    workflow = yaml.safe_load((FOLDER / "audit.yml").read_text())
    assert workflow[True]["schedule"] == [{"cron": "17 5 * * 1"}]  # YAML reads "on" as true
    run = " ".join(step.get("run", "") for step in steps(workflow))
    assert "pip-audit" in run and "npm audit" in run


def test_what_takes_long_is_run_every_week() -> None:
    """With the book, without which the tests of its pages are skipped, and the whole of what is marked."""
    workflow = yaml.safe_load((FOLDER / "long.yml").read_text())
    assert workflow[True]["schedule"] == [{"cron": "17 3 * * 0"}]
    assert [step["run"] for step in steps(workflow) if "run" in step] == ["make test-long"]
    recipe = subprocess.run(["make", "-n", "test-long"], cwd=ROOT, capture_output=True, text=True, check=True)
    wanted = ["jupyter-book build .", "tools/find_browser.py", "pytest -n logical -m long", "tools/fuzz.py"]
    places = [recipe.stdout.find(one) for one in wanted]
    assert -1 not in places and places == sorted(places), recipe.stdout


def test_the_package_is_tested_on_all_that_it_promises() -> None:
    """Every Python of the classifiers, oldest and newest PyTorch, three systems, every folder of tests."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    job = yaml.safe_load((FOLDER / "systems.yml").read_text())["jobs"]["package"]
    entries = job["strategy"]["matrix"]["include"]
    promised = [one.rpartition(" ")[2] for one in project["classifiers"] if re.search(r":: 3\.\d+$", one)]
    linux = {one["python"]: one["versions"] for one in entries if one["system"].startswith("ubuntu")}
    assert list(linux) == promised
    oldest = dict(re.findall(r"'(\w+)==([\d.]+)\.\*'", linux[promised[0]]))
    required = dict(
        re.match(r"(\w+)>=([\d.]+)", one).groups() for one in project["dependencies"] if "torch" in one
    )
    assert oldest == required and "" in linux.values()  # "" is the newest of everything
    assert {one["system"].partition("-")[0] for one in entries} == {"ubuntu", "macos", "windows"}
    (tests,) = [step["run"] for step in job["steps"] if "pytest" in step.get("run", "")]
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")}
    assert folders - {"book", "playground", "repository"} == set(re.findall(r"tests/(\w+)(?= |$)", tests))
    (chapter,) = [step["run"] for step in job["steps"] if "nbconvert" in step.get("run", "")]
    assert (ROOT / chapter.split()[-1]).is_file()
