"""Roles that a screen reader can make sense of."""

import importlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "book" / "extensions"))
roles = importlib.import_module("roles")


def test_a_list_has_entries_and_a_signature_is_no_list_of_definitions() -> None:
    context = {
        "body": '<div role="list" class="citation-list"><div role="doc-biblioentry"></div></div>'
        '<dl class="py"><dt>f(<dl>\n<dd>x</dd></dl>)</dt></dl>'
    }
    roles.put_right(None, "page", "page.html", context, None)
    assert context["body"] == (
        '<div role="list" class="citation-list"><div role="listitem"></div></div>'
        '<dl class="py"><dt>f(<dl role="none">\n<dd>x</dd></dl>)</dt></dl>'
    )


def test_the_space_before_a_solution_s_exercise_is_not_underlined() -> None:
    link = '<a class="reference internal" href="#ex"> Exercise 1.1</a>'
    context = {"body": f"<p>Solution to{link}</p>"}
    roles.put_right(None, "page", "page.html", context, None)
    assert context["body"] == f"<p>Solution to {link}</p>"
