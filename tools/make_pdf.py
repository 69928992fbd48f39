"""Print the built book as one PDF: `make pdf`, or, of what is in `_build/html`, `python tools/make_pdf.py`.

The pages are joined in the order of the table of contents, without the API reference. Questions stand
where they stand; answers and solutions are moved to the end. Code that a page folds is left out: it is
in the notebooks. Headless Chromium sets the formulas and prints, twice: the first print tells on which
pages the chapters begin.
"""

import json
import re
import sys
from collections.abc import Iterator
from copy import copy
from html import escape
from pathlib import Path
from posixpath import normpath
from urllib.parse import unquote, urlsplit

import find_browser
import yaml
from bs4 import BeautifulSoup, Tag
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book" / "extensions"))
import execution_key  # noqa: E402
import pdf_edition  # noqa: E402

HTML = ROOT / "_build" / "html"
OUTPUT = ROOT / "_build" / "pdf" / pdf_edition.NAME
LEFT_OUT = re.compile(r"book/api")
DROPPED = "script, noscript, .headerlink, .chapter-head nav, .toctree-wrapper, .dmnet-playground, .no-print"
STYLE = """
@page { size: A4; margin: 18mm 18mm 20mm; }
html, body { background: #fff; font-size: 10pt; }
body { margin: 0; }
.bd-article { max-width: none; padding: 0; }
.bd-article > section, .front { break-before: page; }
.front:first-child { break-before: avoid; }
h1, h2, h3, h4 { break-after: avoid; }
h1 { font-size: 2em; } h2 { font-size: 1.5em; } h3 { font-size: 1.2em; }
p, li { orphans: 2; widows: 2; }
pre { font-size: 8pt !important; white-space: pre-wrap !important; overflow-wrap: anywhere; }
figure, .cell_input, .cell_output, tr, .sd-card, .admonition.predict { break-inside: avoid; }
thead { display: table-header-group; }
.admonition:not(.predict), .admonition > * { break-inside: auto; }
.admonition-title { break-after: avoid; }
table { font-size: 8.5pt; }
img, svg { max-width: 100%; height: auto; }
div.pst-scrollable-table-container, .table-box > div { overflow: visible; }
.title { padding-top: 60mm; text-align: center; }
.title img { width: 40mm; }
.contents ol { list-style: none; margin: 0; padding: 0; }
.contents li ol { padding-left: 1.5em; }
.contents a { color: inherit; display: flex; gap: 0.5em; text-decoration: none; }
.contents a::after { content: attr(data-page); }
.contents a > span { border-bottom: 1px dotted #999; flex: 1; margin-bottom: 0.3em; }
.contents > ol > li { break-inside: avoid; font-weight: bold; margin-top: 0.6em; }
.contents li li { font-weight: normal; }
"""
FOOTER = '<p style="font-size: 9px; width: 100%; text-align: center"><span class="pageNumber"></span></p>'


def listed_pages() -> list[str]:
    """Return the pages that are printed, in their order, e.g. "book/welcome"."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf8"))
    names = re.findall(r"book/[\w/]+", json.dumps(toc))
    return [name for name in names if not LEFT_OUT.match(name)]


def anchor(page: str, fragment: str = "") -> str:
    """Return the id that a place of a page has in the joined book."""
    return "--".join(filter(None, [page.rpartition("/")[2], fragment]))


class Joined:
    """The pages of a built book, in one document."""

    def __init__(self, html: Path, pages: list[str]):
        self.html, self.pages = html, pages
        self.contents: list[
            tuple[str, str, list[tuple[str, str]]]
        ] = []  # id, title, [(id, title) of sections]
        self.answers: list[
            tuple[str, str, list[Tag]]
        ] = []  # id and title of a chapter, what is moved to the end
        self.loaded: dict[str, None] = {}  # addresses of style sheets, and of the script that sets formulas
        self.settings = ""  # of that script
        self.logo = ""
        self.sections = [self.chapter(page) for page in pages]

    def chapter(self, page: str) -> Tag:
        """Return a page's text, ready to stand beside the others."""
        soup = BeautifulSoup((self.html / f"{page}.html").read_text(encoding="utf8"), "html.parser")
        article = soup.select_one("article")
        if article is None:
            sys.exit(f"{self.html / page}.html has no article: build the book anew (make clean book)")
        self.note_what_is_loaded(soup, page)
        for tag in article.select(DROPPED):
            tag.decompose()
        open_folds(article)
        for tag in article.find_all(True):
            self.readdress(tag, page)
        chapter = article.section
        assert chapter is not None, page
        chapter.insert(0, soup.new_tag("a", id=anchor(page)))
        title = chapter.h1.get_text(" ", strip=True)
        inner = [
            (str(one["id"]), one.h2.get_text(" ", strip=True))
            for one in chapter.select("section[id]:has(> h2)")
        ]
        self.contents.append((anchor(page), title, inner))
        self.move_answers(soup, chapter, anchor(page), title)
        return chapter

    def readdress(self, tag: Tag, page: str) -> None:
        """Give a tag's id and addresses the form that they need in the joined document."""
        tag.attrs.pop("loading", None)
        if tag.get("id") == "exercise-content":  # of every exercise
            del tag["id"]
        if tag.get("id"):
            tag["id"] = anchor(page, str(tag["id"]))
        for name in ("href", "xlink:href", "src"):
            address = str(tag.get(name, ""))
            parts = urlsplit(address)
            if not address or parts.scheme or parts.netloc:
                continue
            target = normpath(f"{page}/../{unquote(parts.path)}") if parts.path else f"{page}.html"
            if name == "src" or tag.name == "image":
                tag[name] = (self.html / target).as_uri()
            elif target.removesuffix(".html") in self.pages:
                tag[name] = f"#{anchor(target.removesuffix('.html'), parts.fragment)}"
            else:
                del tag[name]
        for name, value in tag.attrs.items():
            if "url(#" in str(value):  # of a drawing
                tag[name] = re.sub(
                    r"url\(#([^)]+)\)", lambda found: f"url(#{anchor(page, found[1])})", str(value)
                )

    def move_answers(self, soup: BeautifulSoup, chapter: Tag, name: str, title: str) -> None:
        """Take answers and solutions out of a chapter; a link stays in their place."""
        moved = []
        for number, tag in enumerate(chapter.select("details.sd-dropdown, div.solution"), 1):
            if tag.name == "details" and tag.summary.get_text(strip=True) != "Answer":
                continue
            target = f"{name}--answer-{number}"
            link = soup.new_tag("a", href=f"#{target}")
            link.string = (
                "The answer is at the end." if tag.name == "details" else "A solution is at the end."
            )
            place = soup.new_tag("p", id=f"{target}-place")
            place.append(link)
            tag.replace_with(place)
            if tag.name == "details":
                question = place.find_previous("div", class_="predict")
                box = soup.new_tag("div", attrs={"class": "admonition"})
                head = soup.new_tag("p", attrs={"class": "admonition-title"})
                back = soup.new_tag("a", href=f"#{target}-place")
                if question:  # the choices stand there
                    for choices in (question := copy(question)).select("ol"):
                        choices.decompose()
                asked = (
                    question.get_text(" ", strip=True).removeprefix("Predict").strip()
                    if question
                    else "Answer"
                )
                back.string = asked if len(asked) < 120 else asked[:118].rpartition(" ")[0] + " …"
                head.append(back)
                tag.summary.decompose()
                box.extend([head, *list(tag.contents)])
                tag = box
            # Within the title: before it, the page could end between them, and the box begin empty.
            tag.p.insert(0, soup.new_tag("a", id=target))
            moved.append(tag)
        if moved:
            self.answers.append((name, title, moved))

    def note_what_is_loaded(self, soup: BeautifulSoup, page: str) -> None:
        """Remember what a page needs around its text."""
        for tag in soup.select("link[rel=stylesheet], script[src*=mathjax], .navbar-brand img"):
            path = urlsplit(str(tag.get("href") or tag["src"])).path
            address = (self.html / normpath(f"{page}/../{unquote(path)}")).as_uri()
            if tag.name == "img":
                self.logo = address
            else:
                self.loaded[address] = None
        for script in soup.select("head script"):
            if script.text.lstrip().startswith("window.MathJax"):
                self.settings = script.text

    def write(self, path: Path, numbers: dict[str, int]) -> None:
        """Write the joined document, with the pages' numbers in its table of contents."""
        config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf8"))
        title, rights = escape(config["title"]), escape(config["copyright"])
        head = [f'<link rel="stylesheet" href="{one}">' for one in self.loaded if one.endswith(".css")]
        head += [f"<style>{STYLE}</style><script>{self.settings}</script>"]
        head += [f'<script defer src="{one}"></script>' for one in self.loaded if one.endswith(".js")]
        picture = f'<img alt="" src="{self.logo}">' if self.logo else ""
        front = f'<div class="front title">{picture}<h1>{title}</h1><p>{rights}</p></div>'
        contents = (
            f'<div class="front contents"><h1>Contents</h1><ol>{"".join(self.entries(numbers))}</ol></div>'
        )
        body = "".join([front, contents, *map(str, self.sections), *self.back_matter()])
        path.write_text(
            f'<!doctype html><html lang="en" data-theme="light"><head><meta charset="utf-8">'
            f"<title>{title}</title>"
            f'{"".join(head)}</head><body><main class="bd-content"><article class="bd-article">{body}'
            "</article></main></body></html>",
            encoding="utf8",
        )

    def entries(self, numbers: dict[str, int]) -> Iterator[str]:
        """Yield the lines of the table of contents."""
        back = [("answers", "Answers and solutions", [])] if self.answers else []
        for name, title, inner in [*self.contents, *back]:
            lines = "".join(f"<li>{entry(*one, numbers)}</li>" for one in inner)
            yield f"<li>{entry(name, title, numbers)}<ol>{lines}</ol></li>"

    def back_matter(self) -> Iterator[str]:
        """Yield answers and solutions, by chapter."""
        if self.answers:
            yield '<section><a id="answers"></a><h1>Answers and solutions</h1>'
            for name, title, moved in self.answers:
                yield f'<h2><a href="#{name}">{escape(title)}</a></h2>' + "".join(map(str, moved))
            yield "</section>"


def entry(name: str, title: str, numbers: dict[str, int]) -> str:
    """Return a line of the table of contents."""
    return f'<a href="#{name}" data-page="{numbers.get(name, "")}">{escape(title)}<span></span></a>'


def open_folds(article: Tag) -> None:
    """Leave out code that is folded; show what else is."""
    for fold in article.select("details:not(.sd-dropdown)"):
        for code in fold.select(".cell_input"):
            code.decompose()
        if fold.summary:
            fold.summary.decompose()
        fold.unwrap()
    for fold in article.select("details.sd-dropdown"):
        fold["open"] = ""
    for cell in article.select("div.cell"):
        if not cell.get_text(strip=True) and not cell.select_one("img, svg"):
            cell.decompose()
    for solution in article.select("div.solution.dropdown"):
        solution["class"] = [one for one in solution["class"] if one != "dropdown"]


def page_numbers(pdf: bytes) -> dict[str, int]:
    """Return on which page each place is that a link leads to, as Chromium writes it into the file."""
    pages: list[bytes] = []
    objects = dict(re.findall(rb"(?m)^(\d+) 0 obj\s*(<<.*?)(?=^endobj)", pdf, flags=re.S))
    root = re.search(rb"/Pages (\d+) 0 R", pdf)

    def walk(number: bytes) -> None:
        kids = re.search(rb"/Kids \[(.*?)\]", objects[number], flags=re.S)
        if kids is None:
            pages.append(number)
        for kid in re.findall(rb"(\d+) 0 R", kids[1]) if kids else []:
            walk(kid)

    if root:
        walk(root[1])
    found = re.findall(rb"/([^\s/\[\]()<>]+)\s*\[(\d+) 0 R\s*/XYZ|\(([^()]+)\)\s*\[(\d+) 0 R\s*/XYZ", pdf)
    names = {(one or two).decode(): pages.index(page or other) + 1 for one, page, two, other in found}
    return {
        re.sub(r"#([0-9A-Fa-f]{2})", lambda code: chr(int(code[1], 16)), name): n for name, n in names.items()
    }


def main() -> None:
    if not (HTML / "index.html").is_file():
        sys.exit("The book is not built: make book")
    browser = find_browser.find()
    if browser is None:
        sys.exit(f"Printing {find_browser.ADVICE}.")
    joined = Joined(HTML, listed_pages())
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    source, numbers = OUTPUT.with_suffix(".html"), {}
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        page = chromium.new_page()
        page.set_default_timeout(0)
        for _ in range(2):
            joined.write(source, numbers)
            page.goto(source.as_uri(), wait_until="load")
            page.evaluate("window.MathJax?.startup.promise")
            pdf = page.pdf(
                prefer_css_page_size=True, print_background=True, display_header_footer=True, outline=True,
                header_template="<span></span>", footer_template=FOOTER, tagged=True,
            )  # fmt: skip
            numbers = page_numbers(pdf)
        chromium.close()
    missing = [name for name, *_ in joined.contents if name not in numbers]
    if missing:
        sys.exit(
            f"The print does not say on which page these begin: {', '.join(missing)}. Try another Chromium."
        )
    OUTPUT.write_bytes(pdf)
    made_from = execution_key.digest(ROOT, pdf_edition.TEXT)
    OUTPUT.with_name("made_from.txt").write_text(made_from)
    sheets = len(re.findall(rb"/Type /Page\b", pdf))
    print(f"{OUTPUT}: {sheets} pages, {len(pdf) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
