"""Sphinx extension: the figures of the cells stand in their pages as SVG, in the page's own colours.

Matplotlib writes a figure as SVG (`dmnet.book.setup`). Here the sheet behind it is taken away, names and
numbers become text in the page's font, and the colours of `COLOURS` become CSS variables, which the style
sheet of the book sets for light and dark pages and for print. Every `id` gets the number of its figure, for a
page may hold twenty. Pictures inside stay pictures: small ones in place, others in files of their own. So do
the still pictures of live figures, which are seen in print and without JavaScript.
"""

import base64
import hashlib
import io
import itertools
import re
import xml.etree.ElementTree as ET
from html import escape, unescape
from pathlib import Path
from typing import Any

from docutils import nodes
from PIL import Image
from sphinx.application import Sphinx

SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
PIXELS = 1.5  # on the page for a point of the drawing, about
# What `dmnet.book` and `dmnet.plots` draw with, and the variable that says it in the page.
COLOURS = {
    "#232629": "ink", "#4c4c4c": "faint", "#4d4d4d": "faint", "#444444": "faint",
    "#808080": "grey", "#999999": "grey",
    "#cccccc": "line", "#e5e5e5": "line", "#e6e6e6": "line", "#ebebeb": "line", "#f0f0f0": "band",
    "#e69f00": "orange", "#56b4e9": "sky", "#cc79a7": "pink", "#0072b2": "blue",
    "#d55e00": "red", "#009e73": "green",
}  # fmt: skip
LONG = re.compile(r"\d+\.\d{3,}")
HEX = re.compile("|".join(COLOURS))
PHOTOGRAPH = 4096  # colours from which on a picture is packed with loss
IN_PLACE = 6000  # bytes up to which it stands in the page
STILL = re.compile(r'<img src="data:image/svg\+xml;base64,([^"]*)" alt="([^"]*)">')


class drawing(nodes.General, nodes.Element):
    """A figure as SVG, with its words for those who don't see it."""


def coloured(text: str) -> str:
    """Replace the known colours of a `style` or an attribute."""
    return HEX.sub(lambda found: f"var(--figure-{COLOURS[found[0]]})", text)


def packed(address: str) -> bytes:
    """Return the picture of a `data:` address as WebP."""
    picture = Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
    if picture.mode == "RGBA" and picture.getextrema()[3] == (255, 255):
        picture = picture.convert("RGB")
    rich = picture.getcolors(PHOTOGRAPH) is None
    kept: dict[str, Any] = {"quality": 88} if rich else {"lossless": True, "quality": 80}
    picture.save(file := io.BytesIO(), "webp", method=6, exact=True, **kept)
    return file.getvalue()


def inline(text: str, number: int, images: Path | None = None, address: str = "") -> str:
    """Return matplotlib's SVG as an element of a page, its ids beginning with `figure-<number>-`."""
    root = ET.fromstring(text)
    parents = {child: parent for parent in root.iter() for child in parent}
    for one in list(root.iter()):
        useless = one.tag == SVG + "metadata" or one.tag == SVG + "style"
        if useless or (one.get("id") == "patch_1" and parents[one].get("id") == "figure_1"):
            parents[one].remove(one)
    wanted = set(re.findall(r"(?:url\(|href=\")#([\w-]+)", text))
    for one in root.iter():
        one.tag = one.tag.removeprefix(SVG)
        if (target := one.attrib.pop(LINK, "")) and one.tag == "image":
            place_picture(one, target, images, address)
        elif target:
            one.set("href", f"#figure-{number}-{target[1:]}")
        name = one.attrib.pop("id", "")
        if name in wanted:
            one.set("id", f"figure-{number}-{name}")
        for key in {"style", "fill", "stroke", "clip-path"} & one.attrib.keys():
            value = coloured(re.sub(r"font-family: [^;]*;? ?", "", one.attrib[key]))
            one.set(key, value.replace("url(#", f"url(#figure-{number}-"))
        if one.get("transform", "").startswith(("rotate(-0 ", "rotate(0 ")):
            del one.attrib["transform"]
        for key in {"d", "x", "y"} & one.attrib.keys():
            one.set(key, LONG.sub(lambda found: f"{float(found[0]):.2f}", one.attrib[key]))
        one.text, one.tail = ((part or "").strip() for part in (one.text, one.tail))
    for group in root.iter("g"):
        styles = {one.get("style") for one in group}
        if (
            len(group) > 1
            and len(styles) == 1
            and all(one.tag == "use" for one in group)
            and styles != {None}
        ):
            group.set("style", group[0].attrib["style"])
            for one in group:
                del one.attrib["style"]
    for group in reversed(list(root.iter("g"))):  # what matplotlib only named
        if not group.attrib:
            at = list(parents[group]).index(group)
            parents[group][at : at + 1] = list(group)
    width = float(root.attrib.pop("width").removesuffix("pt"))
    del root.attrib["height"], root.attrib["version"]
    root.set("xmlns", "http://www.w3.org/2000/svg")
    root.set("class", "drawing")
    root.set("style", f"--points: {width:.1f}")  # its width: the style sheet makes pixels of it
    root.set("role", "img")
    return ET.tostring(root, encoding="unicode")


def place_picture(image: ET.Element, source: str, images: Path | None, address: str) -> None:
    """Give an `<image>` a smaller file; one that is shown smaller than it is may be smoothed."""
    data = packed(source)
    if images and len(data) > IN_PLACE:
        name = f"{hashlib.sha256(data).hexdigest()[:20]}.webp"
        images.mkdir(parents=True, exist_ok=True)
        (images / name).write_bytes(data)
        image.set("href", f"{address}/{name}")
    else:
        image.set("href", f"data:image/webp;base64,{base64.b64encode(data).decode()}")
    scale = re.match(r"matrix\(([\d.]+)", image.get("transform", ""))
    if scale and float(scale[1]) * PIXELS < 1:
        image.attrib.pop("style", None)


def put_in_place(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Replace the pages' images that are SVG files of cells, and those that stand in the HTML of a cell."""
    if app.builder.format != "html":
        return
    numbers = itertools.count(1)
    images = Path(app.outdir, app.builder.imagedir)
    address = "../" * page.count("/") + str(app.builder.imagedir)

    def drawn(text: str, alt: str) -> str:
        element = inline(text, next(numbers), images, address)
        return element.replace("<svg ", f'<svg aria-label="{escape(alt)}" ', 1)

    def still(found: re.Match[str]) -> str:
        return boxed(drawn(base64.b64decode(found[1]).decode(), unescape(found[2])))

    for raw in list(doctree.findall(nodes.raw)):
        if "data-dmnet-live" in (text := raw.astext()):
            raw.replace_self(nodes.raw(raw.rawsource, STILL.sub(still, text), **raw.attributes))
    for image in list(doctree.findall(nodes.image)):
        file = Path(app.srcdir, image["uri"])
        if file.suffix != ".svg" or "jupyter_execute" not in file.parts:
            continue
        html = drawn(file.read_text(encoding="utf8"), image.get("alt", ""))
        image.replace_self(drawing(image.rawsource, html=boxed(html)))


def boxed(element: str) -> str:
    """Return the element in the box in which it scrolls on a telephone."""
    return f'<div class="drawing-box">{element}</div>'


def write(translator: Any, node: drawing) -> None:
    """Write the element."""
    translator.body.append(node["html"])
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.add_node(drawing, html=(write, None))
    app.add_js_file("enlarge.js", loading_method="defer")
    app.connect("doctree-resolved", put_in_place, priority=900)  # others look for images
    return {"parallel_read_safe": True, "parallel_write_safe": True}
