"""Sphinx extension: what stands at the head of a chapter, and what a page says of itself to others.

Below a chapter's title: how long it takes to read, how long its cells run, and the ways to the chapters
around it. Reading goes at 150 words a minute, with a minute for each figure and each displayed formula.
Running was measured: `book/times.csv`, which `tools/chapters.py --write` reads from the cache of a
build.

In every page's head: `description`, its first sentences, and the picture and title that are shown where
somebody shares a link. A picture needs a whole address, which the book knows only where `html_baseurl`
is set.
"""

import csv
import html
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

TIMES = Path(__file__).resolve().parents[1] / "times.csv"
PICTURE = "share.png"  # of book/assets, drawn by tools/overview.py
WORDS_A_MINUTE = 150
LONGEST = 200  # letters of a description: what a search engine shows at most


def running_times(path: Path = TIMES) -> dict[str, float]:
    """Return the seconds that each chapter's cells ran, measured on two cores."""
    with path.open(encoding="utf8", newline="") as file:
        return {row["chapter"]: float(row["seconds"]) for row in csv.DictReader(file)}


def reading_minutes(document: nodes.document) -> int:
    """Return how long a page takes to read, in steps of five minutes."""
    words = sum(len(node.astext().split()) for node in document.findall(is_prose))
    pauses = sum(
        1 for node in document.findall(lambda node: isinstance(node, nodes.figure | nodes.math_block))
    )
    return max(5, 5 * round((words / WORDS_A_MINUTE + pauses) / 5))


def is_prose(node: nodes.Node) -> bool:
    """Whether a node is read word by word; what cells print is not."""
    if not isinstance(node, nodes.paragraph | nodes.title | nodes.caption):
        return False
    while node := node.parent:
        if node.get("nb_element") == "cell_code_output":
            return False
    return True


def in_words(seconds: float) -> str:
    """Return a running time as one would say it."""
    if seconds <= 55:
        return "less than a minute"
    minutes = math.ceil(seconds / 60 - 0.1)
    return "about a minute" if minutes == 1 else f"about {minutes} minutes"


def head(app: Sphinx, page: str, context: dict[str, Any], document: nodes.document) -> str:
    """Return what stands below a chapter's title, as HTML."""
    facts = [f"{reading_minutes(document)} minutes to read"]
    seconds = running_times().get(page.rpartition("/")[2])
    if seconds:
        facts.append(f"its cells run in {in_words(seconds)} on two cores")
    ways = []
    for name, sign in (("prev", "← {}"), ("next", "{} →")):
        if way := context.get(name):
            title = html.escape(re.sub(r"<[^>]+>", "", html.unescape(way["title"])))
            ways.append(f'<a href="{way["link"]}" rel="{name}">{sign.format(title)}</a>')
    parts = [
        f"<p>{' · '.join(facts)}</p>",
        f'<nav aria-label="Chapters around this one">{" ".join(ways)}</nav>',
    ]
    if any(True for _ in document.findall(lambda node: isinstance(node, nodes.math | nodes.math_block))):
        parts.append(
            "<noscript><p>Without JavaScript, formulas stand as they are written in TeX.</p></noscript>"
        )
    return f'<div class="chapter-head">{"".join(parts)}</div>'


def sentences(document: nodes.document) -> Iterator[str]:
    """Yield the sentences of a page's paragraphs, without citations."""
    for paragraph in document.findall(nodes.paragraph):
        words = " ".join(re.sub(r" *\[[\w+]+\]", "", paragraph.astext()).split())
        words = re.sub(r"(?<!\.)\.\.$", ".", words)  # of "et al.", at the end of a sentence
        apart = isinstance(paragraph.parent, nodes.entry | nodes.citation)
        if not words.startswith(("Builds ", "Uses ")) and not apart:
            yield from map(str.strip, re.findall(r"[^.?!]+(?:[.?!]+(?!\s|$)[^.?!]*)*[.?!:]*", words))


def description(document: nodes.document | None) -> str:
    """Return the first sentences of a page, as many as fit; "" where there is no page."""
    text = ""
    for sentence in sentences(document) if document is not None else ():
        if text and (len(text) > LONGEST / 2 or len(text) + len(sentence) >= LONGEST):
            break
        text = f"{text} {sentence}".strip()
    text = text.rstrip(";:")
    return text if len(text) <= LONGEST else text[: LONGEST - 1].rpartition(" ")[0] + "…"


def metatags(app: Sphinx, page: str, context: dict[str, Any], document: nodes.document | None) -> str:
    """Return the elements that describe a page to others."""
    said = description(document) or app.config.html_title
    base = app.config.html_baseurl
    picture = f"{base.rstrip('/')}/_static/{PICTURE}" if base else context["pathto"](f"_static/{PICTURE}", 1)
    title = re.sub(r"<[^>]+>", "", context.get("title") or app.config.html_title)
    tags = {
        ("name", "description"): said,
        ("property", "og:type"): "website",
        ("property", "og:site_name"): app.config.html_title,
        ("property", "og:title"): html.unescape(title),
        ("property", "og:description"): said,
        ("property", "og:image"): picture,
        (
            "property",
            "og:image:alt",
        ): "Four nested squares, of 1, 3, 5 and 7 cells, beside the title of the book",
        ("name", "twitter:card"): "summary_large_image",
    }
    return "\n".join(
        f'<meta {kind}="{name}" content="{html.escape(text)}">' for (kind, name), text in tags.items()
    )


def describe(
    app: Sphinx, page: str, template: str, context: dict[str, Any], document: nodes.document | None
) -> None:
    """Give a page its description, and a chapter its head."""
    if app.builder.format != "html":
        return
    context["metatags"] = context.get("metatags", "") + metatags(app, page, context, document)
    if document is not None and Path(app.env.doc2path(page)).suffix == ".ipynb":
        context["body"] = context["body"].replace("</h1>", "</h1>\n" + head(app, page, context, document), 1)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("html-page-context", describe)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
