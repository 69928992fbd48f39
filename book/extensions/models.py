"""Sphinx extension: the playground's networks as gzipped ONNX files, which it runs in the reader's browser.

They are made by `dmnet export` when the book is built, from the committed weights, and again when something
changes that a notebook's result depends on. They lie beside the built pages, and Sphinx copies them there.
"""

import gzip
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError
from sphinx.util import logging

from execution_key import AT_ONCE, digest

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / ".venv" / "static"
SYSTEMS = ("demo_scale", "demo_context", "street")
LOGGER = logging.getLogger(__name__)


def make_models(app: Sphinx, config: Config) -> None:
    """Write what is missing or out of date, where `make setup` has made the folder of served files."""
    if STATIC.is_dir():
        folder = Path(app.outdir).parent / ".models"
        export(folder / "static" / "playground", folder / "made_from.txt")
        config.html_static_path.append(str(folder / "static"))  # type: ignore[attr-defined]


def export(folder: Path, stamp: Path) -> None:
    """Export the systems into `folder`, unless it holds those that `stamp` speaks of.

    Raises:
        ExtensionError: if a system cannot be exported; the message is that of the command.
    """
    files = [folder / f"{name}.onnx.gz" for name in SYSTEMS]
    wanted = digest(ROOT)
    if all(path.is_file() for path in files) and stamp.is_file() and stamp.read_text() == wanted:
        return
    stamp.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with ThreadPoolExecutor(AT_ONCE) as pool:  # each in a process of its own
        list(pool.map(export_one, SYSTEMS, files))
    stamp.write_text(wanted)


def export_one(name: str, path: Path) -> None:
    """Export one system; see `export`."""
    LOGGER.info("exporting %s for the playground", name)
    plain = path.with_suffix("")
    command = [sys.executable, "-m", "dmnet", "export", name, str(plain), "--inner"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if run.returncode != 0:
        raise ExtensionError(f"{name} cannot be exported: {run.stderr.strip()}")
    path.write_bytes(gzip.compress(plain.read_bytes(), mtime=0))
    plain.unlink()


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("config-inited", make_models)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
