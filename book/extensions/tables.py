"""Sphinx extension: tables to be read, those of pandas and those written in a chapter.

A table scrolls in a box of its own, which the keyboard reaches. Of a pandas table the second row of the head,
which is empty but for the index's name, is joined with the first; a missing value is a dash, 65432 is 65,432,
and numbers stand on the right, under their head. `book/assets/reading.js` says where a box holds more than it
shows.
"""

import re
from collections import Counter

from bs4 import BeautifulSoup, Tag
from docutils import nodes
from sphinx.application import Sphinx

MISSING = {"NaN", "<NA>", "NaT", "None"}
LONG = re.compile(r"([+\-−]?)(\d{5,})(\.\d+)?")
NUMBER = re.compile(r"[+\-−]?\d[\d.,]*( ?[%×]| ± .*)?")
DASH = "–"


def mend(html: str) -> str:
    """Return a cell's HTML with its tables tidied, each in a box."""
    soup = BeautifulSoup(html, "html.parser")
    for table in soup.select("table.dataframe"):
        tidy(table)
    for style in soup.select("style[scoped]"):
        style.decompose()
    for table in soup.select("table"):
        labels = [cell.get_text(" ", strip=True) for cell in table.select("thead th")]
        table.wrap(soup.new_tag("div", attrs={"class": "table-box"}))
        table.wrap(soup.new_tag("div", attrs=attributes(labels)))
    return str(soup)


def tidy(table: Tag) -> None:
    """Tidy a table that pandas wrote."""
    for name in ("border", "tabindex"):
        table.attrs.pop(name, None)
    join_head(table)
    body = [row.find_all(["th", "td"]) for row in table.select("tbody tr")]
    for cell in table.select("tbody td, tbody th, thead th"):
        if cell.string is not None:
            cell.string = legible(cell.string.strip())
    for cell in table.select("thead th"):
        cell.attrs.pop("halign", None)
        if not cell.get_text(strip=True):
            cell.name = "td"  # a head without words is none
        else:
            cell["scope"] = "col"
    for cell in table.select("tbody th"):
        cell["scope"] = "row"
    for row in table.select("tr[style]"):
        del row["style"]
    columns = max((sum(cell.name == "td" for cell in row) for row in body), default=0)
    heads = [row.find_all(["th", "td"]) for row in table.select("thead tr")]
    for place in range(1, columns + 1):  # from the right: the index has as many columns as it likes
        texts = [row[-place].get_text(strip=True) for row in body if len(row) >= place]
        words = [text for text in texts if text not in ("", DASH)]
        if words and all(NUMBER.fullmatch(text) for text in words):
            cells = [row[-place] for row in body if len(row) >= place]
            if heads and len(heads[-1]) >= place:
                cells.append(heads[-1][-place])
            for cell in cells:
                cell["class"] = "number"


def join_head(table: Tag) -> None:
    """Put the index's name, for which pandas makes a row, into the row above it."""
    rows = table.select("thead tr")
    if len(rows) < 2:
        return
    above, last = (row.find_all("th") for row in rows[-2:])
    words = [cell.get_text(strip=True) for cell in last]
    named = max((place for place, word in enumerate(words, 1) if word), default=0)
    indexed = table.select_one("tbody tr")
    levels = len(indexed.find_all("th")) if indexed else 0
    if named > levels or len(above) != len(last):
        return
    for cell, word in zip(above[:levels], words, strict=False):
        cell.string = word or cell.get_text(strip=True)
    rows[-1].decompose()


def legible(text: str) -> str:
    """Return a value as it is printed: a dash for none, long numbers in groups of three."""
    if text in MISSING:
        return DASH
    match = LONG.fullmatch(text)
    return f"{match[1]}{int(match[2]):,}{match[3] or ''}" if match else text


def attributes(labels: list[str]) -> dict[str, str]:
    """Return what makes a box of a table reachable, and says what it is."""
    words = [label for label, _ in Counter(filter(None, labels)).items()]
    name = f"Table: {', '.join(words)}" if words else "Table"
    return {"tabindex": "0", "role": "region", "aria-label": name}


def resolve(app: Sphinx, document: nodes.document, page: str) -> None:
    """Mend the tables of a page that becomes HTML."""
    if app.builder.format != "html":
        return
    for raw in list(document.findall(nodes.raw)):
        if "html" in raw.get("format", "") and "<table" in raw.astext():
            raw.replace_self(nodes.raw("", mend(raw.astext()), format="html"))
    for table in list(document.findall(nodes.table)):
        heads = [entry.astext() for head in table.findall(nodes.thead) for entry in head.findall(nodes.entry)]
        opening = BeautifulSoup("", "html.parser").new_tag("div", attrs=attributes(heads))
        start = f'<div class="table-box">{opening}'.removesuffix("</div>")
        end = nodes.raw("", "</div></div>", format="html")
        table.replace_self([nodes.raw("", start, format="html"), table, end])


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("doctree-resolved", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
