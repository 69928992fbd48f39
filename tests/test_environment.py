"""What `make` does with `.venv`: made once, updated when the requirements change, never left half-built."""

import importlib
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
environment = importlib.import_module("environment")


@pytest.fixture
def steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A repository with requirements and no environment; the steps are recorded, and not done."""
    (tmp_path / "tools").mkdir()
    for name in environment.REQUIREMENTS:
        (tmp_path / name).write_text(f"{name}, first version")
    venv = tmp_path / ".venv"
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "VENV", venv)
    monkeypatch.setattr(environment, "STAMP", venv / "stamp.json")
    monkeypatch.setattr(environment, "run", lambda *command, cwd=None: None)
    done: list[str] = []

    def record(name: str) -> None:
        venv.mkdir(exist_ok=True)
        done.append(name)

    for name in ("make_venv", "install_packages", "install_javascript"):
        monkeypatch.setattr(environment, name, lambda name=name: record(name))
    return done


EVERYTHING = ["make_venv", "install_packages", "install_javascript"]


def test_it_is_made_once(steps: list[str]) -> None:
    environment.main()
    assert steps == EVERYTHING
    environment.main()
    assert steps == EVERYTHING


@pytest.mark.parametrize("name", environment.REQUIREMENTS)
def test_changed_requirements_bring_it_up_to_date(steps: list[str], name: str) -> None:
    environment.main()
    (environment.ROOT / name).write_text("second version")
    environment.main()
    assert steps == [*EVERYTHING, "install_packages", "install_javascript"]


def test_a_half_built_one_is_made_anew(steps: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as failing:
        failing.setattr(environment, "install_javascript", lambda: sys.exit("no network"))
        with pytest.raises(SystemExit):
            environment.main()
    assert not environment.STAMP.exists()
    environment.main()
    assert steps == ["make_venv", "install_packages", *EVERYTHING]


def test_an_interrupted_update_is_made_anew(steps: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    environment.main()
    (environment.ROOT / "constraints.txt").write_text("second version")
    with monkeypatch.context() as failing:
        failing.setattr(environment, "install_packages", lambda: sys.exit("no network"))
        with pytest.raises(SystemExit):
            environment.main()
    steps.clear()
    environment.main()
    assert steps == EVERYTHING


@pytest.mark.parametrize(("key", "value"), [("place", "/elsewhere"), ("python", "3.11.0")])
def test_one_of_another_place_or_python_is_made_anew(steps: list[str], key: str, value: str) -> None:
    environment.main()
    stamp = json.loads(environment.STAMP.read_text())
    environment.STAMP.write_text(json.dumps(stamp | {key: value}))
    steps.clear()
    environment.main()
    assert steps == EVERYTHING


def test_an_unreadable_stamp_counts_as_none(steps: list[str]) -> None:
    environment.main()
    environment.STAMP.write_text("{")
    steps.clear()
    environment.main()
    assert steps == EVERYTHING


def test_a_python_without_pip_gets_a_clear_message(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(environment, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(environment, "succeeds", lambda *command: False)
    with pytest.raises(SystemExit, match=r"sudo apt install python3\.\d+-venv"):
        environment.make_venv()


def test_where_we_are_root_the_missing_package_is_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    commands: list[str] = []

    def succeeds(*command: object) -> bool:
        commands.append(" ".join(map(str, command)))
        return command[0] == "apt-get"

    monkeypatch.setattr(environment, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(environment, "succeeds", succeeds)
    monkeypatch.setattr(
        environment, "run", lambda *command, **_: commands.append(" ".join(map(str, command)))
    )
    monkeypatch.setattr(environment.os, "geteuid", lambda: 0, raising=False)
    environment.make_venv()
    version = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    assert commands[-2].endswith(f"install -y {version}")
    assert commands[-1].endswith(f"-m venv {tmp_path / '.venv'}")
