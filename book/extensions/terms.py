"""Sphinx extension: directive `term-index`, an index of the glossary's terms.

Per term the section that introduces it, which is the first to emphasise it, or else the one that uses it
most; and others that use it often. It is made from the pages themselves whenever the book is written.
"""

import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode

GLOSSARY = "book/notation"
MOST = 4  # other sections that are listed


class term_index(nodes.General, nodes.Element):
    """The place of the index, until all pages have been read."""


class TermIndex(SphinxDirective):
    """The index of the glossary's terms."""

    def run(self) -> list[nodes.Node]:
        """Return its place."""
        return [term_index()]


def chapters(env: Any) -> list[str]:
    """Return the chapters' pages in their order."""
    relations = env.collect_relations()
    order, page = [], env.config.root_doc
    while page and page not in order:
        order.append(page)
        page = relations.get(page, (None, None, None))[2]
    return [name for name in order if env.doc2path(name).endswith(".ipynb")]


def own_texts(section: nodes.section) -> Iterator[tuple[str, set[str]]]:
    """Yield the paragraphs of a section without its subsections, each with the words that it emphasises."""
    for node in section.findall(nodes.paragraph):
        around = node.parent
        while not isinstance(around, nodes.section):
            around = around.parent
        if around is section:
            strong = node.findall(lambda part: isinstance(part, nodes.emphasis | nodes.strong))
            yield node.astext(), {part.astext().lower() for part in strong}


def uses(env: Any, words: list[re.Pattern[str]]) -> list[list[tuple[str, str, bool, int]]]:
    """Return for each term (page, section, whether emphasised, how often), in the order of the book."""
    found: list[list[tuple[str, str, bool, int]]] = [[] for _ in words]
    for page in chapters(env):
        numbers = env.toc_secnumbers.get(page, {})
        for section in env.get_doctree(page).findall(nodes.section):
            anchor = section["ids"][0]
            if numbers and f"#{anchor}" not in numbers and not isinstance(section.parent, nodes.document):
                continue  # an exercise's
            texts = list(own_texts(section))
            whole = "\n".join(text for text, _ in texts)
            strong = {one for _, marked in texts for one in marked}
            for place, word in enumerate(words):
                if count := len(word.findall(whole)):
                    marked = any(word.fullmatch(one) for one in strong)
                    found[place].append((page, anchor, marked, count))
    return found


def pattern(term: str) -> re.Pattern[str]:
    """Return what finds a term in a text, in one number or several; of a list of names any."""
    names = "|".join(re.escape(one) for one in term.split(", "))
    return re.compile(rf"\b(?:{names})(?:s|es)?\b", re.IGNORECASE)


def link(app: Sphinx, page: str, target: str, anchor: str) -> nodes.Node:
    """Return a link to a section, by its number, with its title to be read out."""
    tops = [section["ids"][0] for section in app.env.get_doctree(target).findall(nodes.section)][:1]
    numbers = app.env.toc_secnumbers.get(target, {})
    number = numbers.get("" if anchor in tops else f"#{anchor}", ())
    name = ".".join(map(str, number)) or app.env.titles[target].astext().partition(":")[0]
    return make_refnode(app.builder, page, target, anchor, nodes.Text(name))


def resolve(app: Sphinx, document: nodes.document, page: str) -> None:
    """Put the index in its place."""
    for place in list(document.findall(term_index)):
        terms = list(app.env.get_doctree(GLOSSARY).findall(nodes.term))
        names = [term.astext() for term in terms]
        found = uses(app.env, [pattern(name) for name in names])
        index = nodes.definition_list(classes=["term-index"])
        for term, name, sections in zip(terms, names, found, strict=True):
            if not sections:
                continue
            first = next((one for one in sections if one[2]), max(sections, key=lambda one: one[3]))
            often = sorted(sections, key=lambda one: -one[3])
            others = [one for one in sections if one in often[: MOST + 1] and one is not first][:MOST]
            line = nodes.paragraph()
            line += nodes.strong("", "", link(app, page, *first[:2]))
            for other in others:
                line += [nodes.Text(", "), link(app, page, *other[:2])]
            title = nodes.term(
                "", "", make_refnode(app.builder, page, GLOSSARY, term["ids"][0], nodes.Text(name))
            )
            index += nodes.definition_list_item("", title, nodes.definition("", line))
        place.replace_self(index)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.add_node(term_index)
    app.add_directive("term-index", TermIndex)
    app.connect("doctree-resolved", resolve)
    app.connect("env-updated", lambda app, env: ["book/terms"] if "book/terms" in env.found_docs else [])
    return {"parallel_read_safe": True, "parallel_write_safe": True}
