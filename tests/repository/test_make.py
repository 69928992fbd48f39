"""What `make` and the builder of packages do in a folder of their own: a linked environment, the sdist."""

import functools
import importlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
environment = importlib.import_module("environment")

Make = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def clone(root: Path, tmp_path: Path) -> Path:
    """What `make setup` reads, beside another clone, whose environment it is linked to."""
    folder, target = tmp_path / "clone", tmp_path / "other" / ".venv"
    for name in ("Makefile", "tools/tidy_notebooks.py", *environment.REQUIREMENTS):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, folder / name)
    (target / "bin").mkdir(parents=True)
    for name, line in {"python": f'exec "{sys.executable}" "$@"', "ruff": 'echo "path: $PYTHONPATH"'}.items():
        program = target / "bin" / name
        program.write_text(f"#!/bin/sh\n{line}\n")
        program.chmod(0o755)
    (folder / ".venv").symlink_to(target)
    return folder


def called(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Call make as from a shell, also where the tests themselves were started by make."""
    command = ["make", f"PYTHON={sys.executable}", *words]
    clean = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("MAKE", "MFLAGS", "PYTHONPATH"))
    }
    return subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True)


@pytest.fixture
def make(clone: Path) -> Make:
    return functools.partial(called, clone)


def stamp(clone: Path, **changes: str) -> None:
    """Note in the environment behind the link that it was made from what the clone asks for."""
    target = (clone / ".venv").resolve()
    made_from = {"place": str(target.parent), "python": "3.11.4", "requirements": environment.digest()}
    (target / "stamp.json").write_text(json.dumps(made_from | changes))


def content(folder: Path) -> dict[str, tuple[int, str]]:
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {str(file): (file.stat().st_mtime_ns, file.read_text()) for file in files}


@pytest.mark.parametrize("changes", [{"requirements": "others"}, {"place": "/elsewhere"}, None])
def test_a_linked_environment_that_does_not_fit_is_left_alone(
    clone: Path, make: Make, changes: dict[str, str] | None
) -> None:
    target = (clone / ".venv").resolve()
    if changes is not None:
        stamp(clone, **changes)
    before = content(target)
    done = make("setup")
    assert done.returncode != 0
    assert f".venv is a link to {target}, which was not made from" in done.stderr
    assert content(target) == before and (clone / ".venv").is_symlink()
    remedy = done.stderr.split("own: ")[1].splitlines()[0]
    assert remedy == "rm .venv && make setup"
    subprocess.run(remedy.replace("make setup", "true"), shell=True, cwd=clone, check=True)
    assert content(target) == before and not (clone / ".venv").exists()


def test_a_link_to_nothing_is_told(clone: Path, make: Make) -> None:
    shutil.rmtree((clone / ".venv").resolve())
    done = make("setup")
    assert done.returncode != 0 and "which is not there" in done.stderr
    assert (clone / ".venv").is_symlink()


def test_a_linked_environment_that_fits_is_used_with_the_package_of_this_folder(
    clone: Path, make: Make
) -> None:
    target = (clone / ".venv").resolve()
    stamp(clone)
    before = content(target)
    (clone / "book").mkdir()
    done = make("format")
    assert done.returncode == 0, done.stderr
    assert f".venv is a link: {target} is used as it is." in done.stdout
    assert f"path: {clone}\n" in done.stdout
    assert content(target) == before
    assert make("distclean").returncode == 0
    assert content(target) == before and not (clone / ".venv").exists()


def test_the_last_line_of_make_book_says_how_to_bring_it_alive(root: Path) -> None:
    recipe = called(root, "-n", "book", "PORT=8123")
    last = recipe.stdout.splitlines()[-1]
    assert "make serve" in last and "http://127.0.0.1:8123" in last


@pytest.mark.slow
def test_the_sdist_is_the_repository(root: Path, tmp_path: Path) -> None:
    """Its tests find what they ask for: `tools/`, the book's extensions, what `make` reads."""
    pytest.importorskip("hatchling")
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(listed, cwd=root, capture_output=True, text=True)
    if listing.returncode != 0:
        pytest.skip("not a git clone: there is no list of what is committed")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)]
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        shipped = {name.partition("/")[2] for name in archive.getnames()}
        archive.extractall(tmp_path, filter="data")
    tracked = {name for name in listing.stdout.split("\0") if (root / name).is_file()}
    assert {name.split("/")[0] for name in tracked - shipped} == {".gitattributes", ".github"}
    assert shipped - tracked == {"PKG-INFO"}
    (folder,) = tmp_path.glob("dmnet-*/")
    tests = ["tests/book/test_models.py", "tests/repository/test_repository.py"]
    tests += ["tests/test_dynamic.py::test_a_single_tap_is_a_gate_per_channel"]  # asks for the package
    # It parses every file again, and the files are the same.
    tests += ["--deselect", "tests/repository/test_repository.py::test_the_tests_import_what_is_declared"]
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    environ = os.environ | {"PYTHONPATH": str(folder)}
    done = subprocess.run(run, cwd=folder, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
