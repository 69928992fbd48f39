"""Sphinx extension: no page of the book asks another host for anything, and none may.

`make` puts MathJax and the Jupyter widgets' front end into `.venv/static`, from where they are served with
the book. Without that folder (a build without `make`) Sphinx's own address of MathJax stays, so the formulas
need the network, and widgets are not drawn.

Every page says what its browser may load and run, in a content security policy. Scripts come from the book
itself, or stand in the page and are known by their digest; any other is not run. What must stay open: styles
in the page, which theme, MathJax and figures write; WebAssembly and a worker, for the networks that run in a
page; code made of strings where Jupyter's widgets are, who check their input by functions that they write.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from html import escape, unescape
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
# "file:" is what "self" should mean to a page that is opened from the disk.
POLICY = {
    "default-src": "'self' file:",
    # Strings become code where widgets load their models, and where a browser is driven by a test.
    "script-src": "'self' file: blob: 'wasm-unsafe-eval' 'unsafe-eval'",
    "style-src": "'self' file: 'unsafe-inline'",
    "img-src": "'self' file: blob: data:",
    "font-src": "'self' file: data:",
    "connect-src": "'self' file: blob: data:",
    "worker-src": "'self' file: blob:",
    "media-src": "'self' file: blob:",
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'self' file:",
}
WRITTEN = re.compile(r'\n?<meta http-equiv="Content-Security-Policy"[^>]*>')
SCRIPT = re.compile(r"<script\b([^>]*)>(.*?)</script\s*>", re.DOTALL | re.IGNORECASE)
RUN = re.compile(r"""\btype\s*=\s*["']?(?!text/javascript|application/javascript|module|importmap)""")
HANDLER = re.compile(r"""<[a-z][^<>]*?\son[a-z]+\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
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


def allow_no_other(app: Sphinx, error: Exception | None) -> None:
    """Write the policy into every page; the search reads the others, and may meet their handlers."""
    if error is None and app.builder.format == "html":
        pages = {page: page.read_text("utf8") for page in sorted(Path(app.outdir).rglob("*.html"))}
        every = list(dict.fromkeys(one for text in pages.values() for one in handlers_of(text)))
        for page, before in pages.items():
            if "_static" not in page.relative_to(app.outdir).parts:  # where the theme leaves templates
                others = every if page.name == "search.html" else []
                if (after := with_policy(before, others)) != before:
                    page.write_text(after, "utf8")


def handlers_of(page: str) -> list[str]:
    """Return the code in the attributes of a page's elements, e.g. of `onclick`."""
    return [unescape("".join(found)) for found in HANDLER.findall(SCRIPT.sub("", page))]


def with_policy(page: str, others: Sequence[str] = ()) -> str:
    """Return a page with its content security policy at the head's start, instead of one that it has.

    `others` are handlers that it may have beside its own.
    """
    page = WRITTEN.sub("", page)
    scripts = SCRIPT.findall(page)
    run = [body for attributes, body in scripts if "src=" not in attributes and not RUN.search(attributes)]
    handlers = [*handlers_of(page), *others]
    digests = [digest(body) for body in run]
    if handlers:
        digests += ["'unsafe-hashes'", *map(digest, handlers)]
    sources = POLICY | {"script-src": " ".join([POLICY["script-src"], *dict.fromkeys(digests)])}
    policy = "; ".join(f"{name} {allowed}" for name, allowed in sources.items())
    tag = f'\n<meta http-equiv="Content-Security-Policy" content="{escape(policy, quote=False)}">'
    return re.sub("<head>", lambda found: found.group() + tag, page, count=1)


def digest(script: str) -> str:
    """Return what a policy calls a script by."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("config-inited", serve_our_own)
    app.connect("html-page-context", drop_thebe, priority=900)
    app.connect("build-finished", allow_no_other, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
