"""Sphinx extension: a page loads what it uses.

The theme puts 1.5 MB of scripts on every page to draw a dozen icons, which its style sheet can draw too, with
a font; here the scripts go, and of the style sheet and the font those icons stay that some page shows. What
the search page needs, 42 kB, is on the search page alone: a search as you type is off. In code, every word
and sign that has no colour of its own loses the mark that says what it is, a sixth of such a page.
"""

import re
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont
from sphinx.application import Sphinx

SCRIPTS = re.compile(r'\s*<script[^>]* src="[^"]*/fontawesome\.js[^"]*"></script>')
PRELOADED = re.compile(
    r'\s*<link rel="(?:preload|preconnect)"[^>]*(?:fontawesome|fa-solid|fa-brands|fa-regular)[^>]*>'
)
SEARCH = re.compile(r'\s*<script src="[^"]*/?(?:searchtools|language_data|searchindex)\.js"></script>')
RULE = re.compile(r'((?:\.fa-[a-z0-9-]+:before,?)+)\{content:"\\([0-9a-f]+)"\}')
SOURCES = re.compile(
    r'src:(url\([^)]*/fa-[a-z0-9-]+)\.woff2\) format\("woff2"\),url\([^)]*\.ttf\) format\("truetype"\)'
)
CODE = re.compile(r'<div class="highlight"><pre>.*?</pre>', re.DOTALL)
TOKEN = re.compile(r'<span class="(\w+)">([^<]*)</span>')
PAINT = re.compile(r'html\[data-theme="(\w+)"\] \.highlight (?:\.(\w+) )?\{([^}]*)\}')
SHEET, FONTS = "styles/pydata-sphinx-theme.css", "vendor/fontawesome/webfonts"


def lighten(app: Sphinx, exception: Exception | None) -> None:
    """Take away what no page uses, after the pages were written."""
    if exception or app.builder.format != "html":
        return
    static = Path(app.outdir, "_static")
    plain = plain_tokens((static / "pygments.css").read_text(encoding="utf8"))
    for page in Path(app.outdir).rglob("*.html"):
        text = page.read_text(encoding="utf8")
        light = PRELOADED.sub("", SCRIPTS.sub("", text))
        light = light if page.name == "search.html" else SEARCH.sub("", light)
        light = CODE.sub(lambda code: without(plain, code[0]), light)
        if light != text:
            page.write_text(light, encoding="utf8")
    for file in static.glob("scripts/*"):
        if file.name.startswith("fontawesome") or file.suffix == ".map":
            file.unlink()
    lighten_icons(static, names_of_icons(Path(app.outdir)))


def plain_tokens(sheet: str) -> set[str]:
    """Return the classes of tokens that look like any text of a code block, in every theme."""
    styles = {
        (theme, token): dict(re.findall(r"([\w-]+): *([^;]+?) *(?:;|$)", style))
        for theme, token, style in PAINT.findall(sheet)
    }
    text = {theme: {"color": style["color"]} for (theme, token), style in styles.items() if not token}
    coloured = {token for (theme, token), style in styles.items() if token and style != text[theme]}
    return {token for _, token in styles} - coloured | {"w"}  # spaces


def without(tokens: set[str], code: str) -> str:
    """Return a block of code without the marks of these tokens."""
    return TOKEN.sub(lambda found: found[2] if found[1] in tokens else found[0], code)


def names_of_icons(folder: Path) -> set[str]:
    """Return the classes of icons, e.g. "fa-bars", that a page or a script of the theme names."""
    sources = [*folder.rglob("*.html"), *folder.glob("_static/scripts/*.js")]
    return {name for file in sources for name in re.findall(r"fa-[a-z0-9-]+", file.read_text("utf8"))}


def lighten_icons(static: Path, names: set[str]) -> None:
    """Leave these icons, and those that a style sheet shows by their number, in style sheet and font."""
    sheet = static / SHEET
    text = sheet.read_text(encoding="utf8")
    kept: set[int] = set()

    def rule(found: re.Match[str]) -> str:
        if names.isdisjoint(re.findall(r"fa-[a-z0-9-]+", found[1])):
            return ""
        kept.add(int(found[2], 16))
        return found[0]

    text = RULE.sub(rule, text)
    others = [
        one.read_text("utf8") for one in static.rglob("*.css") if one != sheet and "webfonts" not in one.parts
    ]
    shown = "".join([*others, text])
    kept |= {int(number, 16) for number in re.findall(r'"\\(f[0-9a-f]{3})"', shown)}
    kept |= {ord(sign) for sign in shown if "\ue000" <= sign <= "\uf8ff"}
    for file in sorted((static / FONTS).glob("*.ttf")):
        font = TTFont(file, recalcTimestamp=False)
        maker = subset.Subsetter(subset.Options(layout_features=[], name_IDs=[1, 2], notdef_outline=True))
        maker.populate(unicodes=kept & font.getBestCmap().keys())
        maker.subset(font)
        font.flavor = "woff"
        font.save(file.with_suffix(".woff"))
    for file in (static / FONTS).glob("*.*"):
        if file.suffix != ".woff":
            file.unlink()
    sheet.write_text(SOURCES.sub(r'src:\1.woff) format("woff")', text), encoding="utf8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("build-finished", lighten, priority=800)  # after the theme has written its style of code
    return {"parallel_read_safe": True, "parallel_write_safe": True}
