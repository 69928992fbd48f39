"""The command line: `dmnet systems | train | evaluate | predict | submit | download | export | data`.

Each command reads its arguments, calls one function of the package and says what came of it. PyTorch takes
seconds to import, so commands import what they need when they run: `dmnet --help` answers at once.
"""

from dmnet.cli import _systems, _train, _evaluate, _predict, _submit, _export, _data, _check  # noqa: F401, I001 -- in the order of --help
from dmnet.cli._shared import app as app
