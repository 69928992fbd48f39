"""Sphinx extension: the package's docstrings are written as they are read in an editor, in Markdown's manner.

The API reference is made by autodoc, which expects reStructuredText: `code`, $math$ and fenced code are
translated.
"""

import re

from sphinx.application import Sphinx

CODE_OR_MATH = re.compile(r"(?<![`\w:])`([^`\n]+)`(?!`)|(?<![$\\\w])\$([^$\n]+)\$(?![\w$])")


def inline(line: str) -> str:
    """Translate `code` and $math$ in one line of a docstring."""
    return CODE_OR_MATH.sub(lambda match: f"``{match[1]}``" if match[1] else f":math:`{match[2]}`", line)


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
    lines[:] = translate(lines)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("autodoc-process-docstring", process, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
