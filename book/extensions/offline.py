"""Sphinx extension: no page of the book asks another host for anything.

`make` puts MathJax into `.venv/static`, from where it is served with the book. Without that folder (a build
without `make`) Sphinx's own address of MathJax stays, and the formulas need the network.
"""

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging

STATIC = Path(__file__).resolve().parents[2] / ".venv" / "static"
MATHJAX = "mathjax/tex-mml-chtml.js"
LOGGER = logging.getLogger(__name__)


def serve_our_own(app: Sphinx, config: Config) -> None:
    """Add the fetched JavaScript to the book's static files."""
    if not (STATIC / MATHJAX).is_file():
        LOGGER.info("MathJax is not installed by `make setup`: formulas will need the network")
        return
    config.html_static_path.append(str(STATIC))  # type: ignore[attr-defined]
    config.mathjax_path = MATHJAX  # type: ignore[attr-defined]


def drop_thebe(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Drop sphinx-thebe's scripts: Jupyter Book adds them, twice, although nothing here runs in a kernel."""
    context["script_files"] = [file for file in context.get("script_files", []) if not is_thebe(file)]


def is_thebe(file: Any) -> bool:
    """Return whether an entry of a page's scripts belongs to sphinx-thebe."""
    text = f"{getattr(file, 'filename', file)} {getattr(file, 'attributes', {}).get('body', '')}"
    return "THEBE_JS_URL" in text or "sphinx-thebe" in text


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("config-inited", serve_our_own)
    app.connect("html-page-context", drop_thebe, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
