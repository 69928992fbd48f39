"""Check the spelling of all that is meant to be read, and that it says one thing in one way.

`make lint` calls this. Read are the notebooks' text, captions, alt texts and comments, the Markdown
files, our Python's docstrings and comments, and the package's messages. A word is right if
pyspellchecker's dictionary has it, which is American, or `book/words.txt`; that list also says how the
book writes what the dictionary would let pass: `color* -> colour`.
"""

import ast
import fnmatch
import functools
import io
import json
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

from spellchecker import SpellChecker

ROOT = Path(__file__).resolve().parents[1]
LIST = ROOT / "book" / "words.txt"
CODE = ["dmnet", "tools", "book/extensions"]
BLANK = "¤"  # stands for what is no prose
PROSE_FENCES = r"\{(?!code|math|eval-rst|mermaid|toctree|bibliography|image)"
NO_PROSE = [
    re.compile(pattern, flags=re.M)
    for pattern in (
        rf"^ *(`{{3,}}|~{{3,}})(?!{PROSE_FENCES})[^\n`]+\n(?:.*\n)*?^ *\1[`~]* *$",  # code
        r"^ *[`:]{3,}(?:\{solution[\w-]*\}.*|\{[\w:-]+\}|)",  # a directive's ends
        r"^ *:[\w-]+:(?: +\S+)?$",  # its options
        r"^\([\w-]+\)=$",
        r"\{[\w:]+\}`[^`<]*(?:<[^`]*>)?`",  # roles
        r"(`+)[^`](?:.|\n(?!\n))*?\1(?!`)",
        r"\$\$[^$]+\$\$(?: *\([\w-]+\))?|\$[^$\n]+(?:\n[^$\n]+)?\$",
        r"\]\([^)\s]*\)|<[^>]+>|&\w+;",
        r"^ {8,}\w+: ",  # a docstring's arguments
    )
]
NO_WORDS = re.compile(
    r"\d|\w[.=:@(\[]\w|^[@#-]\w|[/\\_¤]\w|\w[/\\_]|\*\."
)  # addresses, files, names of code, numbers
NO_WORD = re.compile(r"[A-Z]{2}|[a-z][A-Z]|^.$|[²³]")
IN_PYTHON = re.compile(r"=>|document\.|<\w+ ")  # strings that are code of another language
WORD = re.compile(r"[^\W\d_]+(?:['’](?!s\b)[^\W\d_]+)*")
TWICE = re.compile(r"\b([A-Za-z]+)(?: +|\n *)\1\b")


def prose(text: str) -> str:
    """Return Markdown with everything that is not prose blanked out; the lines stay where they are."""
    for pattern in NO_PROSE:
        text = pattern.sub(lambda found: BLANK + "\n" * found[0].count("\n"), text)
    return text


def words(text: str) -> Iterator[str]:
    """Yield the words of prose; not what has digits, capitals inside or the signs of code and addresses."""
    for token in text.split():
        if not NO_WORDS.search(token):
            yield from (one.replace("’", "'") for one in WORD.findall(token) if not NO_WORD.search(one))


def of_notebook(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (place, text): Markdown cells, comments of code cells, captions and alt texts."""
    for cell in json.loads(path.read_text(encoding="utf8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            shown = cell["metadata"].get("mystnb", {})
            extra = [shown.get("figure", {}).get("caption", ""), shown.get("image", {}).get("alt", "")]
            source = "\n\n".join([*extra, *of_code(source)])
        yield f"{path.relative_to(ROOT)}, cell {cell['id']}", source


def of_code(source: str, messages: bool = True) -> list[str]:
    """Return comments and docstrings of Python code, and messages: other strings of four words and more."""
    plain = re.sub(r"^( *)[%!].*$", r"\1pass", source, flags=re.M)  # what IPython alone understands
    tokens = tokenize.generate_tokens(io.StringIO(plain).readline)
    found = [one.string.lstrip("# ") for one in tokens if one.type == tokenize.COMMENT]
    found = [one for one in found if not re.match(r"type: |noqa|fmt: |!", one)]
    nodes = list(ast.walk(ast.parse(plain)))
    if not messages:
        nodes = [node.value for node in nodes if isinstance(node, ast.Expr)]
    texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return found + [one for one in texts if len(one.split()) > 3 and not IN_PYTHON.search(one)]


def texts() -> Iterator[tuple[str, str]]:
    """Yield (place, Markdown) of everything that is checked."""
    for path in sorted(ROOT.glob("book/*.ipynb")):
        yield from of_notebook(path)
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("book/*.md"), *ROOT.glob("data/**/*.md")]):
        yield str(path.relative_to(ROOT)), path.read_text(encoding="utf8")
    for folder in CODE:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield (
                str(path.relative_to(ROOT)),
                "\n\n".join(of_code(path.read_text(encoding="utf8"), folder == "dmnet")),
            )


def read_list(path: Path = LIST) -> tuple[set[str], dict[str, str]]:
    """Return the words that the list allows, and what to write instead of which: pattern -> words."""
    allowed, instead = set(), {}
    for line in path.read_text(encoding="utf8").splitlines():
        entry = line.partition("#")[0].strip()
        if "->" in entry:
            wrong, right = (part.strip() for part in entry.split("->"))
            instead[wrong] = right
        elif entry:
            allowed.add(entry)
    return allowed, instead


class Checker:
    """What is wrong with a text, by the dictionary and a word list."""

    def __init__(self, allowed: set[str], instead: dict[str, str]):
        self.spelling = SpellChecker(language="en")
        self.allowed = allowed
        self.single = {one: right for one, right in instead.items() if " " not in one}
        self.phrases = {
            re.compile(rf"\b{re.escape(one)}\b", re.I): right for one, right in instead.items() if " " in one
        }

    def faults(self, text: str) -> Iterator[str]:
        """Yield what is wrong, in words, with the line of the text."""
        text = prose(text)
        for line in text.splitlines():
            for fault in map(self.fault, words(line)):
                if fault:
                    yield f"{fault}: {line.strip()[:90]}"
        for found in TWICE.finditer(text):
            yield f"{found[1]!r} stands twice"
        for phrase, right in self.phrases.items():
            for found in phrase.finditer(text):
                yield f"{found[0]!r}: the book writes {right!r}"

    @functools.cache  # noqa: B019 (one checker lives as long as the program)
    def fault(self, word: str) -> str:
        """Return what is wrong with one word, "" if nothing is."""
        lower = word.lower()
        if word != lower and word in self.allowed:  # a name
            return ""
        for pattern, right in self.single.items():
            if fnmatch.fnmatchcase(lower, pattern):
                return f"{word!r}: the book writes {right!r}"
        if lower in self.allowed or lower in self.spelling.word_frequency:
            return ""
        return f"{word!r} is in no list"


def main() -> None:
    checker = Checker(*read_list())
    faults = [f"{place}: {fault}" for place, text in texts() for fault in checker.faults(text)]
    if faults:
        remedy = f"Mend them; what is right after all goes into {LIST.relative_to(ROOT)}, or into backticks."
        sys.exit("\n".join([*faults, remedy]))
    print("Spelling: fine.")


if __name__ == "__main__":
    main()
