"""Sphinx extension: all notebooks and the package's wheel in one zip, behind every page's download button.

Whoever unpacks it needs no clone and no network but pip's: the first cell of a notebook installs the wheel
that lies beside it. Two builds of one commit write the same bytes. A page's own notebook the theme offers.
"""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError

ROOT = Path(__file__).resolve().parents[2]
NAME = "dmnet-notebooks"
DATE = (2020, 2, 2, 0, 0, 0)  # the one that hatchling gives the files of a wheel
README = """The notebooks of "Dynamic Multi-Scale Filters", and the package that they import.

    pip install jupyterlab
    jupyter lab welcome.ipynb

Run the first cell of a notebook: it installs {wheel}, which lies beside it, and what that
requires. Python 3.11.4 or newer. Code: Apache-2.0; text and figures: CC BY 4.0.
"""


def make_zip(app: Sphinx, config: Config) -> None:
    """Write the zip into a folder of static files; a book without a package has none."""
    if not (ROOT / "pyproject.toml").is_file():
        return
    folder = Path(app.outdir).parent / ".downloads"
    folder.mkdir(parents=True, exist_ok=True)
    write_zip(folder / f"{NAME}.zip")
    config.html_static_path.append(str(folder))  # type: ignore[attr-defined]


def write_zip(target: Path) -> None:
    """Build the wheel, and put it into a zip with the notebooks.

    Raises:
        ExtensionError: if the wheel cannot be built; the message is hatchling's.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if run.returncode != 0:
            raise ExtensionError(f"the wheel cannot be built: {run.stderr.strip()}")
        (wheel,) = Path(folder).glob("*.whl")
        content = {path.name: path.read_bytes() for path in [*ROOT.glob("book/*.ipynb"), wheel]}
        content["README.txt"] = README.format(wheel=wheel.name).encode()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(content):
            entry = zipfile.ZipInfo(f"{NAME}/{name}", DATE)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content[name], zipfile.ZIP_DEFLATED)


def add_button(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Put the zip into the list that the download button opens."""
    for group in context.get("header_buttons", []):
        if group.get("label") == "download-buttons":
            url = context["pathto"](f"_static/{NAME}.zip", resource=True)
            tooltip = "Download all notebooks, with the package"
            button = {"type": "link", "text": "all .ipynb", "tooltip": tooltip, "icon": "fas fa-file-archive"}
            group["buttons"].append({**button, "url": url, "label": "download-zip-button"})


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("config-inited", make_zip)
    app.connect("html-page-context", add_button, priority=510)  # after the theme's own, 501
    return {"parallel_read_safe": True, "parallel_write_safe": True}
