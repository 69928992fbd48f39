"""The command line: `dmnet systems | download | predict | export | evaluate | submit | train | data`.

Each command reads its arguments, calls one function of the package and says what came of it. PyTorch takes
seconds to import, so commands import what they need when they run: `dmnet --help` answers at once.
"""

import sys
from importlib import import_module
from typing import Any

from dmnet.errors import MissingExtraError, extra


def application() -> Any:
    """Return the application with all its commands, in the order of --help."""
    with extra("cli"):
        for name in ("networks", "train", "data"):
            import_module(f"dmnet.cli._{name}")
        from dmnet.cli._shared import app
    return app


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    try:
        application()(arguments, prog_name="dmnet")
    except MissingExtraError as error:
        sys.exit(f"Error: {error}")
