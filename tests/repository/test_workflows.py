"""What runs on GitHub: actions by their commits, and no more rights than needed."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).resolve().parents[2] / ".github" / "workflows"
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
