"""Sphinx extension: puts the playground on the pages that have a place for it.

The place is an element with `data-dmnet-playground`: the output of a cell that shows a
`dmnet.playground.Playground`. The page gets the front end and its style sheet; inside `<noscript>`, pictures
of the answers. The files are written by `dmnet.playground.site`, once for each state of their sources and of
the photographs that are at hand. A live figure's place, `data-dmnet-live`, has its still picture already;
what it loads later becomes a file.
"""

import hashlib
import re
import shutil
from pathlib import Path
from typing import Any

from docutils import nodes
from PIL import Image
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging

from execution_key import digest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ["data/weights/*.safetensors", "dmnet/*.py", "dmnet/analysis/inside.py"]
SOURCES += [f"dmnet/{wing}/*.py" for wing in ("datasets", "playground", "worlds")]
PLACE = 'data-dmnet-playground="'
LIVE = 'data-dmnet-live="'
LATER = re.compile(r'data-later="(\w+)">(.*?)</script>', re.DOTALL)
EAGER_PICTURE = re.compile(r'<img (?![^>]*\bloading=)(?=[^>]*\bsrc="([^"]+)")')
# Browsers run no module from the disk, though scripts run: the page shows what it has for where none does.
FROM_DISK = """<script>{
    const still = document.currentScript.previousElementSibling;
    if (location.protocol === "file:") still.outerHTML = still.textContent;
}</script>"""
HIDDEN = "<style>[data-dmnet-playground] { display: none; }</style>"
VIEW = "application/vnd.jupyter.widget-view+json"
LOGGER = logging.getLogger(__name__)


def write_files(app: Sphinx, config: Config) -> None:
    """Write the playground's files where they are missing, and let Sphinx copy them to the static files."""
    from dmnet.playground import site

    folder = Path(app.outdir).parent / ".playground"
    photographs = sum(scene.world == "street" for scene in site.scenes().values())
    current = folder / f"{digest(ROOT, SOURCES)}-{photographs}" / "playground"
    if not (current / "catalogue.json").is_file():
        LOGGER.info("drawing the playground's scenes")
        shutil.rmtree(folder, ignore_errors=True)
        site.write_site(current)
    site.write_front_end(current)
    config.html_static_path.append(str(current.parent))  # type: ignore[attr-defined]
    app.playground_folder = current  # type: ignore[attr-defined]


def add_playground(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Add script, style and pictures to a page with a place for the playground or for a live figure."""
    body = context.get("body", "")
    if LIVE in body:
        app.add_js_file("playground/live.js", type="module")
        app.add_css_file("playground/live.css")
        context["body"] = body = LATER.sub(lambda found: put_aside(app, context, *found.groups()), body)
    if PLACE not in body:
        return
    from dmnet.playground import site

    address = context["pathto"]("_static/playground/", resource=True)
    still = site.still_html(app.playground_folder, address)  # type: ignore[attr-defined]
    start = body.rindex("<", 0, body.index(PLACE))
    body = f"{body[:start]}<noscript>{HIDDEN}{still}</noscript>{FROM_DISK}{body[start:]}"
    context["body"] = EAGER_PICTURE.sub(lambda tag: lazy(app, tag[1]), body)
    app.add_js_file("playground/playground.js", type="module")
    app.add_css_file("playground/playground.css")


def put_aside(app: Sphinx, context: dict[str, Any], name: str, text: str) -> str:
    """Write what a live figure loads later to a file; return the script's end, with the file's address."""
    file = Path(app.outdir, "_static", "playground", f"live-{name}.json")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf8")
    version = hashlib.sha256(text.encode()).hexdigest()[:8]  # no browser keeps an older one
    address = context["pathto"](f"_static/playground/{file.name}", resource=True)
    return f'data-file="{address}?v={version}"></script>'


def lazy(app: Sphinx, address: str) -> str:
    """Return the start of a picture's tag: it loads when it comes near, and its place is kept until then."""
    name = address.rpartition("/")[2]
    file = next((path for path, one in app.builder.images.items() if one == name), None)
    if file is None or not file.endswith(".png"):
        return '<img loading="lazy" '
    with Image.open(Path(app.srcdir, file)) as picture:
        width, height = picture.size
    return f'<img loading="lazy" width="{width}" height="{height}" '


def drop_unused_mathjax(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Drop MathJax, 260 kB, from a page with a playground and without a formula, so that it is quick."""
    body = context.get("body", "")
    if PLACE in body and 'class="math' not in body:
        files = context.get("script_files", [])
        context["script_files"] = [file for file in files if "mathjax" not in filename(file)]


def drop_unused_widgets(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Drop Jupyter's widget scripts, a megabyte, from a page that draws no widget with them.

    MyST-NB adds them to every page whose notebook has made a widget; the playground is drawn without them.
    """
    if VIEW not in context.get("body", ""):
        context["script_files"] = [file for file in context.get("script_files", []) if not is_widgets(file)]


def is_widgets(file: Any) -> bool:
    """Return whether an entry of a page's scripts serves Jupyter widgets."""
    kind = getattr(file, "attributes", {}).get("type", "")
    return "widget-state" in kind or "widgets/" in filename(file) or "widgets_config" in filename(file)


def filename(file: Any) -> str:
    """Return the address of an entry of a page's scripts; "" for one that stands in the page."""
    return str(getattr(file, "filename", file) or "")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("config-inited", write_files)
    app.connect("html-page-context", add_playground, priority=400)
    app.connect("html-page-context", drop_unused_widgets, priority=950)
    app.connect("html-page-context", drop_unused_mathjax, priority=950)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
