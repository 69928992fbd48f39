"""The front end: the playground as one JavaScript module, and each live figure as another.

An anywidget's module runs from a `blob:` address, where relative imports lead nowhere. So a module of
`frontend/` stands after those that it imports. Left out are their imports, their `export` words, all
comments, a third of all bytes, and indents. Names at the top of two modules must therefore differ.
"""

import re
from functools import cache
from pathlib import Path

from dmnet.plots import KINDS, SCALES

FRONTEND = Path(__file__).with_name("frontend")
FIGURES = (
    "digits", "votes", "why", "field", "score", "build", "plan", "filters", "holes", "window", "training",
)  # fmt: skip
IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+)\.js";\n', re.M)
EXPORT = re.compile(r"^export (?!default)", re.M)
NOTES = re.compile(r"(?ms)/\*.*?\*/\s*|^\s+|(?<=[;{},])\n|(?<=[:,>~]) | (?=[{>~])|;(?=\s+})|\b0(?=\.\d)")
TYPES = re.compile(r"(?ms)^ */\*\*.*?\*/ *\n|/\*\*.*?\*/ ?| +// [^\n]*$|^// [^\n]*\n|(?<=\n ) +|\n(?=\n)")


@cache
def script(name: str = "main") -> str:
    """Return a module: "main", the playground, or one of `FIGURES`, for anywidget. Used in {doc}`welcome`."""
    parts: dict[str, str] = {}

    def add(module: str) -> None:
        source = (FRONTEND / f"{module}.js").read_text(encoding="utf8")
        for other in IMPORT.findall(source):
            if other not in parts:
                add(other)
        parts[module] = TYPES.sub("", EXPORT.sub("", IMPORT.sub("", source)))

    add(name)
    return "\n".join(parts.values())


@cache
def style(name: str = "playground") -> str:
    """Return the style sheet of the playground, or of the figures: "live". Used in {doc}`welcome`."""
    colours = {f"scale-{k}": colour for k, colour in SCALES.items()} | KINDS
    palette = "".join(f"  --{what}: {colour};\n" for what, colour in colours.items())
    sheets = ((FRONTEND / f"{sheet}.css").read_text(encoding="utf8") for sheet in ("base", name))
    return f".dmnet-app {{\n{palette}}}\n{NOTES.sub('', ''.join(sheets))}"
