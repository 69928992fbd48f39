"""Sphinx extension: what Sphinx writes and a screen reader stumbles over, put right in the finished page."""

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

BETTER = {
    # The entries of the bibliography are a list's, and have to say so.
    'role="doc-biblioentry"': 'role="listitem"',
    # A long signature, a line per parameter, is written as definitions without a term: it is none.
    "<dl>": '<dl role="none">',
    # The link in a solution's title begins with a space, which would be underlined.
    'Solution to<a class="reference internal" href="#': 'Solution to <a class="reference internal" href="#',
}


def put_right(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Change the roles in a page's text."""
    for written, better in BETTER.items():
        context["body"] = context.get("body", "").replace(written, better)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("html-page-context", put_right)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
