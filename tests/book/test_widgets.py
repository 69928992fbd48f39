"""Jupyter widgets in a page of the book: alive in a browser, without a kernel and without another host."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from browser import Tab

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / ".venv" / "static"

LINKED = r"""
import ipywidgets as w
a, b = w.IntSlider(value=3, description=r"\(k^2\)"), w.IntText(value=3)
link, play = w.jslink((a, "value"), (b, "value")), w.Play(value=3)
w.VBox([a, b, play, w.Button(icon="check", description="ok")])
"""
OWN = r"""
import anywidget, traitlets
class Counter(anywidget.AnyWidget):
    _esm = '''export default { render({ model, el }) {
      el.innerHTML = `<button class="counter">${model.get("count")}</button>`;
      el.firstChild.onclick = () => { el.firstChild.textContent = Number(el.firstChild.textContent) + 1; };
    } };'''
    count = traitlets.Int(41).tag(sync=True)
Counter()
"""


def notebook() -> dict:
    def cell(kind: str, name: str, source: str) -> dict:
        code = {"execution_count": None, "outputs": []} if kind == "code" else {}
        return {"cell_type": kind, "id": name, "metadata": {}, "source": source, **code}

    cells = [
        cell("markdown", "title", "# A page\n\nFormula $a^2$."),
        cell("code", "linked", LINKED.strip()),
        cell("code", "own", OWN.strip()),
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A book of one page with our settings; it lies below a sub-path, as on most hosts."""
    if not (STATIC / "widgets").is_dir():
        pytest.skip("needs the JavaScript that `make setup` fetches")
    book = tmp_path_factory.mktemp("book")
    settings = yaml.safe_load((ROOT / "_config.yml").read_text())
    settings["sphinx"]["local_extensions"] = dict.fromkeys(
        ("offline", "light", "repository"), "book/extensions"
    )
    (book / "_config.yml").write_text(yaml.safe_dump(settings))
    for name in ("book/extensions", "book/assets"):
        shutil.copytree(ROOT / name, book / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "book/references.bib", book / "book")
    for name in ("widgets", "mathjax"):
        shutil.copytree(STATIC / name, book / ".venv" / "static" / name)
    (book / "_toc.yml").write_text("format: jb-book\nroot: book/page\n")
    (book / "book" / "page.ipynb").write_text(json.dumps(notebook()))
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", ".", "-W", "-n", "--keep-going"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run(command, cwd=book, capture_output=True, text=True, timeout=300, env=environment)
    assert run.returncode == 0, [
        line for line in run.stderr.splitlines() if "WARNING" in line or "Error" in line
    ]
    served = tmp_path_factory.mktemp("served")
    (served / "below").mkdir()
    (book / "_build" / "html").rename(served / "below" / "book")
    return served


@pytest.mark.slow
def test_widgets_are_alive_without_a_kernel(site: Path, visit: Callable[..., Tab]) -> None:
    tab = visit("below/book/book/page.html", site)
    tab.settle()
    assert tab.faults == []
    assert tab.dead_widgets() == []
    assert tab.broken_formulas() == []
    page = tab.page
    assert page.evaluate("window.dmnetStatic") == f"{tab.site.address}/below/book/_static/"

    number = page.locator(".widget-text input[type=number]")  # jslink: from the slider to the number
    handle = page.locator(".widget-slider [role=slider], .widget-slider .noUi-handle").first
    assert number.input_value() == "3"
    handle.focus()
    page.keyboard.press("ArrowRight")
    assert number.input_value() == "4"

    page.locator(".widget-slider mjx-container").wait_for()  # the label's formula, through MathJax 3
    assert page.locator(".widget-button i.fa-check, .widget-button svg").count() >= 1
    page.locator(".widget-play button").first.click()  # its icons are the widget's own to change
    page.wait_for_function("document.querySelector('.widget-play input, .widget-play button') !== null")

    button = page.locator("button.counter")
    assert button.text_content() == "41"
    button.click()
    assert button.text_content() == "42"
    assert tab.faults == []
