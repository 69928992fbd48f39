"""The networks that the build exports: made once, again when their sources change, never half."""

import gzip
import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "book" / "extensions"))
models = importlib.import_module("models")


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path, list[str]]:
    """A folder and a stamp; the commands that would write models are recorded, and write a few bytes."""
    commands: list[str] = []

    class Done:
        returncode, stderr = 0, ""

    def run(command: list[str], **_: object) -> Done:
        commands.append(command[4])
        Path(command[5]).parent.mkdir(exist_ok=True)
        Path(command[5]).write_text("model")
        return Done()

    monkeypatch.setattr(models.subprocess, "run", run)
    monkeypatch.setattr(models, "digest", lambda root: "first state")
    return tmp_path / "playground", tmp_path / "stamp", commands


def test_they_are_made_once(made: tuple[Path, Path, list[str]]) -> None:
    folder, stamp, commands = made
    models.export(folder, stamp)
    models.export(folder, stamp)
    assert sorted(commands) == sorted(models.SYSTEMS)
    names = [f"{name}.onnx.gz" for name in models.SYSTEMS]
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    assert gzip.decompress((folder / names[0]).read_bytes()) == b"model"


def test_they_are_made_again_when_something_changes(
    made: tuple[Path, Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, stamp, commands = made
    models.export(folder, stamp)
    monkeypatch.setattr(models, "digest", lambda root: "second state")
    models.export(folder, stamp)
    (folder / "demo_scale.onnx.gz").unlink()
    models.export(folder, stamp)
    assert sorted(commands) == sorted(models.SYSTEMS * 3)


def test_they_lie_beside_the_pages_and_never_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which may be another clone's."""
    asked: list[Path] = []
    monkeypatch.setattr(models, "STATIC", tmp_path)
    monkeypatch.setattr(models, "export", lambda *places: asked.extend(places))
    app, config = SimpleNamespace(outdir=tmp_path / "_build/html"), SimpleNamespace(html_static_path=[])
    models.make_models(app, config)
    (served,) = map(Path, config.html_static_path)
    assert (
        asked[0] == served / "playground" and asked[1].parent == served.parent == tmp_path / "_build/.models"
    )


def test_one_that_fails_ends_the_build_and_is_tried_again(
    made: tuple[Path, Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, stamp, commands = made
    models.export(folder, stamp)

    class Failed:
        returncode, stderr = 2, "Error: it differs from PyTorch"

    with monkeypatch.context() as failing:
        failing.setattr(models, "digest", lambda root: "second state")
        failing.setattr(models.subprocess, "run", lambda command, **_: Failed())
        with pytest.raises(models.ExtensionError, match=r"demo_scale cannot be exported: .* differs"):
            models.export(folder, stamp)
    models.export(folder, stamp)
    assert sorted(commands) == sorted(models.SYSTEMS * 2)
