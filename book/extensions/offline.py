"""Sphinx extension: no page of the book asks another host for anything.

`make` puts MathJax and the Jupyter widgets' front end into `.venv/static`, from where they are served with
the book. Without that folder (a build without `make`) Sphinx's own address of MathJax stays, so the formulas
need the network, and widgets are not drawn.
"""

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging

STATIC = Path(__file__).resolve().parents[2] / ".venv" / "static"
MATHJAX = "mathjax/tex-mml-chtml.js"
# What a page with a widget loads, in this order.
WIDGETS: dict[str, dict[str, str]] = {
    "widgets_config.js": {},  # book/assets: must run before the others are read
    "widgets/require.js": {"defer": "defer"},
    # Any other widget would be looked for here: a file that is missing, not a request to another host.
    "widgets/embed-amd.js": {"defer": "defer", "data-jupyter-widgets-cdn": "no-such-widget/"},
}
LOGGER = logging.getLogger(__name__)


def serve_our_own(app: Sphinx, config: Config) -> None:
    """Add the fetched JavaScript to the book's static files."""
    if not (STATIC / MATHJAX).is_file():
        LOGGER.info("JavaScript is not installed by `make setup`: formulas will need the network")
        return
    config.html_static_path.append(str(STATIC))  # type: ignore[attr-defined]
    config.mathjax_path = MATHJAX  # type: ignore[attr-defined]
    config.nb_ipywidgets_js = WIDGETS  # type: ignore[attr-defined]


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
