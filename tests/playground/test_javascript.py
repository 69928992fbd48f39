"""Our own JavaScript where it computes: Node's test runner runs the modules in `javascript/`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted((ROOT / "tests" / "playground" / "javascript").glob("*.test.mjs"))


def node() -> str:
    """Return Node: that of the environment, where `make` had to install one, else the machine's."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which("node", path=places)
    if found is None:
        pytest.skip("needs Node, which `make setup` finds or installs")
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name.removesuffix(".test.mjs"))
def test_unit_tests_pass(module: Path) -> None:
    run = subprocess.run(
        [node(), "--test", "--test-reporter=tap", str(module)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "\n# fail 0\n" in run.stdout
    assert "\n# pass 0\n" not in run.stdout
