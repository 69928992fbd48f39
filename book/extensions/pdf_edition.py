"""Sphinx extension: the first page offers the PDF edition, where `make pdf` has printed one of this text.

`make pdf` builds the book, prints it, and builds again. An edition that was printed of another text is
not offered.
"""

import shutil
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from execution_key import digest

ROOT = Path(__file__).resolve().parents[2]
TEXT = ["book/*.ipynb", "book/*.md", "book/references.bib", "_toc.yml"]
NAME = "dynamic_multi_scale_filters.pdf"
OFFER = (
    '<p class="pdf-edition no-print"><a href="{address}" download>This book as a PDF</a> ({size:.0f} MB)</p>'
)


def printed(folder: Path, root: Path = ROOT) -> Path | None:
    """Return the edition in a folder, if it was printed of the text that stands there now."""
    pdf, stamp = folder / NAME, folder / "made_from.txt"
    if pdf.is_file() and stamp.is_file() and stamp.read_text() == digest(root, TEXT):
        return pdf
    return None


def folder_of(app: Sphinx) -> Path:
    """Return where the edition lies."""
    return Path(app.outdir).parent / "pdf"


def offer(
    app: Sphinx, page: str, template: str, context: dict[str, Any], document: nodes.document | None
) -> None:
    """Put a link below the first page's title."""
    pdf = printed(folder_of(app)) if page == app.config.root_doc else None
    if pdf and "</h1>" in context.get("body", ""):
        line = OFFER.format(address=context["pathto"](NAME, 1), size=max(1, pdf.stat().st_size / 1e6))
        context["body"] = context["body"].replace("</h1>", f"</h1>\n{line}", 1)


def copy(app: Sphinx, exception: Exception | None) -> None:
    """Put the edition beside the pages; none stays there that is not offered."""
    if app.builder.format == "html":
        (Path(app.outdir) / NAME).unlink(missing_ok=True)
        if pdf := printed(folder_of(app)):
            shutil.copy(pdf, app.outdir)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("env-updated", lambda app, env: [app.config.root_doc])
    app.connect("html-page-context", offer, priority=600)
    app.connect("build-finished", copy)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
