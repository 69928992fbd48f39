"""Sphinx extension: the demo systems as ONNX files, which the playground runs in the reader's browser.

They are made by `dmnet export` when the book is built, from the committed weights, and again when something
changes that a notebook's result depends on. They lie beside the built pages, and Sphinx copies them there.
"""

import subprocess
import sys
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError
from sphinx.util import logging

from execution_key import digest

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / ".venv" / "static"
SYSTEMS = ("demo_scale", "demo_context")
LOGGER = logging.getLogger(__name__)


def make_models(app: Sphinx, config: Config) -> None:
    """Write what is missing or out of date, where `make setup` has made the folder of served files."""
    if STATIC.is_dir():
        folder = Path(app.outdir).parent / ".models"
        export(folder / "static" / "playground", folder / "made_from.txt")
        config.html_static_path.append(str(folder / "static"))  # type: ignore[attr-defined]


def export(folder: Path, stamp: Path) -> None:
    """Export the demo systems into `folder`, unless it holds those that `stamp` speaks of.

    Raises:
        ExtensionError: if a system cannot be exported; the message is that of the command.
    """
    files = [folder / f"{name}.onnx" for name in SYSTEMS]
    wanted = digest(ROOT)
    if all(path.is_file() for path in files) and stamp.is_file() and stamp.read_text() == wanted:
        return
    stamp.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    for name, path in zip(SYSTEMS, files, strict=True):
        LOGGER.info("exporting %s for the playground", name)
        command = [sys.executable, "-m", "dmnet", "export", name, str(path), "--inner"]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if run.returncode != 0:
            raise ExtensionError(f"{name} cannot be exported: {run.stderr.strip()}")
    stamp.write_text(wanted)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("config-inited", make_models)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
