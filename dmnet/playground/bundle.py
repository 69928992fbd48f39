"""The front end as one JavaScript module.

An anywidget's module runs from a `blob:` address, where relative imports lead nowhere. So the modules in
`frontend/` are put one after the other. Left out are their imports of each other, their `export` words, and
the comments with the types, a third of all bytes. Names at the top of two modules must therefore differ.
"""

import re
from functools import cache
from pathlib import Path

FRONTEND = Path(__file__).with_name("frontend")
# Every module stands after those that it imports.
MODULES = (
    *("numbers", "safetensors", "paint", "edits", "address", "pictures", "engines", "compose"),
    *("elements", "editor", "scales", "results", "matters", "tour", "view", "own", "playground", "main"),
)
IMPORT = re.compile(r'^import \{[^}]*\} from "\./\w+\.js";\n', re.M)
EXPORT = re.compile(r"^export (?!default)", re.M)
TYPES = re.compile(r"^[ \t]*/\*\*.*?\*/[ \t]*\n|/\*\*.*?\*/ ?", re.M | re.S)


@cache
def script() -> str:
    """Return the JavaScript module; its default export is what anywidget expects. Used in {doc}`welcome`."""
    parts = []
    for name in MODULES:
        source = (FRONTEND / f"{name}.js").read_text(encoding="utf8")
        parts.append(TYPES.sub("", EXPORT.sub("", IMPORT.sub("", source))))
    return "\n".join(parts)


@cache
def style() -> str:
    """Return the style sheet. Used in {doc}`welcome`."""
    return (FRONTEND / "playground.css").read_text(encoding="utf8")
