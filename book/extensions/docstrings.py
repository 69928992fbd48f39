"""Sphinx extension: the package's docstrings are written as they are read in an editor, in Markdown's manner.

The API reference is made by autodoc, which expects reStructuredText: `code`, $math$, {doc}`page` and fenced
code are translated.
"""

import re
from inspect import signature
from typing import get_type_hints

from numpy.typing import ArrayLike
from sphinx.application import Sphinx
from sphinx.util.inspect import stringify_signature
from sphinx.util.typing import stringify_annotation

ANY_ARRAY = stringify_annotation(ArrayLike, "smart")
ARRAY = re.compile(r"~numpy\.ndarray\[tuple\[~typing\.Any, \.\.\.\], ~numpy\.dtype\[(~[\w.]+)\]\]")
CODE_OR_MATH = re.compile(r"(?<![`\w:])`([^`\n]+)`(?!`)|(?<![$\\\w])\$(?! )([^$\n]+)(?<! )\$(?![\w$])")


# *emphasis* and **strong** are the same in both; any other asterisk or underscore would be taken for a mark.
MARK = re.compile(r"(?<![\w*\\])(\*{1,2}\w(?:[^*\n]*\w)?\*{1,2})(?![\w*])|(\*+|\w_(?!\w)|\|)")


def inline(line: str) -> str:
    """Translate `code` and $math$ in one line of a docstring, and escape what only reStructuredText reads."""
    bullet = re.match(r" *\* ", line)
    end = bullet.end() if bullet else 0
    result = line[:end]
    for match in CODE_OR_MATH.finditer(line, end):
        code, math = match.groups()
        text = escape(line[end : match.start()])
        if text.endswith("{doc}"):
            result += f"{text.removesuffix('{doc}')}:doc:`{code}`"
        else:
            result += text + (f"``{code}``" if code else f":math:`{math}`")
        end = match.end()
    return result + escape(line[end:])


def escape(text: str) -> str:
    """Put a backslash before every mark that is not a pair around words."""
    return MARK.sub(lambda match: match[1] or re.sub(r"([*_|])", r"\\\1", match[2]), text)


def translate(lines: list[str]) -> list[str]:
    """Translate a docstring; inside fences nothing but the fences changes."""
    result: list[str] = []
    fenced = False
    for line in lines:
        if line.lstrip().startswith("```"):
            fenced = not fenced
            result += ["", line[: len(line) - len(line.lstrip())] + "::", ""] if fenced else [""]
        elif fenced:
            result.append(f"    {line}" if line else "")
        else:
            result.append(inline(line))
    return result


def process(app: Sphinx, what: str, name: str, item: object, options: object, lines: list[str]) -> None:
    """Translate a docstring in place, as autodoc asks for it; called before napoleon."""
    if lines and lines[0].startswith("Alias for field number"):  # Python's own, of a named tuple
        lines.clear()
    lines[:] = translate(lines)


def plain_types(
    app: Sphinx, what: str, name: str, item: type, options: object, written: str, returned: str | None
) -> tuple[str, str]:
    """Name the types of a signature as one reads them.

    A checked dataclass shows its fields by their types alone, as their bounds are for pydantic to read. A
    default that is made anew for every instance is "..." (Python has "<factory>"). NumPy's unions have names.
    """
    written, returned = written or "", returned or ""
    if what == "class" and hasattr(item, "__pydantic_fields__"):
        hints, found = get_type_hints(item), signature(item)
        fields = [field.replace(annotation=hints[name]) for name, field in found.parameters.items()]
        plain = found.replace(parameters=fields)
        written = stringify_signature(plain, unqualified_typehints=True, show_return_annotation=False)
    for text, short in ((ANY_ARRAY, "~numpy.typing.ArrayLike"), ("<factory>", "...")):
        written, returned = (one.replace(text, short) for one in (written, returned))
    written, returned = (ARRAY.sub(r"~numpy.typing.NDArray[\1]", one) for one in (written, returned))
    return written, returned


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("autodoc-process-docstring", process, priority=400)
    app.connect("autodoc-process-signature", plain_types)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
