"""Sphinx extension: directive `command-line`, lists the commands of `dmnet`, with what `--help` says of it.

autodoc would show the Python functions behind them, whose signatures are full of Typer's own objects.
"""

import re
from collections.abc import Iterator
from typing import Any

import typer
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield every command below a group, with its full name."""
    below = getattr(command, "commands", None)
    if below is None:
        yield name, command
        return
    for word, one in below.items():
        yield from commands(one, f"{name} {word}")


def described(name: str, command: Any) -> Iterator[str]:
    """Yield a command's description in Markdown, line by line; its texts are Markdown too."""
    context = command.make_context(name, [], resilient_parsing=True)
    arguments = " ".join(command.collect_usage_pieces(context)[1:]).upper()
    usage = f"{name} {re.sub('[{}]', '', arguments)}".rstrip()
    yield from (f"`{usage}`", f": {command.help}", "")
    for parameter in command.get_params(context):
        names, text = parameter.get_help_record(context)
        if names != "--help":
            yield f"  - `{names}`: {text}"
    yield ""


class CommandLine(SphinxDirective):
    """The commands, their arguments and options."""

    def run(self) -> list[nodes.Node]:
        """Return a definition list."""
        from dmnet.cli import application

        every = commands(typer.main.get_command(application()), "dmnet")
        return self.parse_text_to_nodes("\n".join(line for one in every for line in described(*one)))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.add_directive("command-line", CommandLine)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
