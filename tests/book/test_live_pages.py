"""What a live figure loads later leaves the page, and becomes a file."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib.pyplot as plt

from dmnet.playground import LiveFigure

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "book" / "extensions"))
import playground_pages


def test_what_is_loaded_later_becomes_a_file(tmp_path: Path) -> None:
    figure = LiveFigure("training", {"now": 1}, plt.figure(), "", {"later": "</script>"})
    quiet: Any = SimpleNamespace(outdir=str(tmp_path), add_css_file=lambda name: None)
    quiet.add_js_file = lambda name, **options: None
    page = {"body": figure.html, "pathto": lambda path, resource: f"../{path}"}
    playground_pages.add_playground(quiet, "book/page", "", page, None)
    file = tmp_path / "_static" / "playground" / "live-training.json"
    assert json.loads(file.read_text()) == {"later": "</script>"}
    assert 'data-file="../_static/playground/live-training.json?v=' in page["body"]
    assert '{"now":1}</script>' in page["body"] and "later" not in page["body"].replace("data-later", "")
