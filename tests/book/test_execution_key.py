"""A notebook is executed when something that it depends on has changed, and only then."""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "extensions"))
execution_key = importlib.import_module("execution_key")


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A repository with one file of every kind that counts, and some that don't."""
    for name in ("dmnet/a.py", "dmnet/datasets/b.py", "dmnet/playground/c.js", "constraints.txt", "README.md",
                 "data/weights/d.safetensors", "data/results/e.csv", "data/published/f.csv", "data/VOC/g.png",
                 "dmnet/__pycache__/a.pyc", "tests/h.py", "book/i.ipynb"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.mark.parametrize(
    "name", ["dmnet/a.py", "dmnet/datasets/b.py", "dmnet/playground/c.js", "constraints.txt",
             "data/weights/d.safetensors", "data/results/e.csv", "data/published/f.csv"]
)  # fmt: skip
def test_the_key_changes_with_every_source(sources: Path, name: str) -> None:
    before = execution_key.digest(sources)
    (sources / name).write_text("changed")
    changed = execution_key.digest(sources)
    (sources / name).rename((sources / name).with_stem("renamed"))
    renamed = execution_key.digest(sources)
    assert len({before, changed, renamed}) == 3


@pytest.mark.parametrize("name", ["README.md", "data/VOC/g.png", "dmnet/__pycache__/a.pyc", "tests/h.py"])
def test_the_key_does_not_change_with_anything_else(sources: Path, name: str) -> None:
    before = execution_key.digest(sources)
    (sources / name).write_text("changed")
    assert execution_key.digest(sources) == before


def test_the_key_changes_with_a_library(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = execution_key.digest(sources)
    monkeypatch.setattr(execution_key, "version", lambda name: f"{name} of tomorrow")
    assert execution_key.digest(sources) != before


def test_the_cache_changes_with_the_data_sets_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, config = SimpleNamespace(outdir=tmp_path / "html"), SimpleNamespace()
    monkeypatch.setenv("DMNET_DATA", str(tmp_path))
    execution_key.choose_cache(app, config)
    before = config.nb_execution_cache_path
    (tmp_path / "CamVid/trainannot").mkdir(parents=True)
    execution_key.choose_cache(app, config)
    assert config.nb_execution_cache_path == f"{before}-camvid"


NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "id": "title", "metadata": {}, "source": "# A page\n\nFormula $a^2$."},
        {
            "cell_type": "code",
            "id": "run",
            "metadata": {},
            "execution_count": None,
            "outputs": [],
            "source": (
                "import sys; sys.path.insert(0, '..')\n"
                "with open('../runs.txt', 'a') as log:\n    print('run', file=log)\n"
                "from dmnet import VALUE\nassert VALUE > 0\nprint(f'value={VALUE}')"
            ),
        },
    ],
    "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}


@pytest.fixture
def small_book(tmp_path: Path) -> Path:
    """A repository with our settings, few extensions, one page and a package of one line."""
    for name in (
        "constraints.txt", "book/references.bib", "book/times.csv",
        "book/extensions/execution_key.py", "book/extensions/repository.py",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    config = (ROOT / "_config.yml").read_text()
    config = re.sub(r"^    (?!execution_key|repository)\w+: book/extensions\n", "", config, flags=re.M)
    config = re.sub(r"^(logo:|  favicon:|    html_(static_path|(css|js)_files):).*\n", "", config, flags=re.M)
    (tmp_path / "_config.yml").write_text(config)
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: book/page\n")
    (tmp_path / "book" / "page.ipynb").write_text(json.dumps(NOTEBOOK))
    (tmp_path / "dmnet").mkdir()
    return tmp_path


def build(book: Path, value: int | None = None) -> tuple[bool, int, str]:
    """Build; return whether it succeeded, how often the notebook has run in all, and the page's text."""
    if value is not None:
        (book / "dmnet" / "__init__.py").write_text(f"VALUE = {value}\n")
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", ".", "-W", "-n", "--keep-going"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run(command, cwd=book, capture_output=True, text=True, timeout=300, env=environment)
    runs = (book / "runs.txt").read_text().count("run")
    text = (book / "_build/html/book/page.html").read_text()
    return run.returncode == 0, runs, text


@pytest.mark.slow
def test_a_notebook_runs_again_when_the_code_has_changed_and_until_it_succeeds(small_book: Path) -> None:
    ok, runs, text = build(small_book, value=1)
    assert (ok, runs) == (True, 1)
    assert "value=1" in text
    assert build(small_book)[:2] == (True, 1)  # nothing has changed
    assert build(small_book, value=-1)[:2] == (False, 2)
    assert build(small_book)[:2] == (False, 3)  # not forgotten because the page was read before
    ok, runs, text = build(small_book, value=2)
    assert (ok, runs) == (True, 4)
    assert "value=2" in text
    assert "value=1" not in text
    assert len(list((small_book / "_build" / ".jupyter_cache").iterdir())) == 2


MEETING = """
import pathlib, time
with open('../runs.txt', 'a') as log:
    print('run', file=log)
pathlib.Path('{mine}').touch()
begun = time.time()
while not pathlib.Path('{other}').exists():
    assert time.time() - begun < 60, 'alone'
    time.sleep(0.1)
"""


@pytest.mark.slow
def test_two_notebooks_are_executed_at_once(small_book: Path) -> None:
    """Each waits until the other runs: one after the other, the first would fail and run a second time."""
    for name, mine, other in (("page", "one", "two"), ("second", "two", "one")):
        notebook = json.loads(json.dumps(NOTEBOOK))
        notebook["cells"][1]["source"] = MEETING.format(mine=mine, other=other)
        (small_book / "book" / f"{name}.ipynb").write_text(json.dumps(notebook))
    (small_book / "_toc.yml").write_text("format: jb-book\nroot: book/page\nchapters:\n- file: book/second\n")
    assert build(small_book, value=1)[:2] == (True, 2)
