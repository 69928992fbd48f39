"""The errors that the package raises on purpose.

All of them are a `DMNetError`, which is a `ValueError`: code that asks for a wrong system, or reads a broken
file, can catch one class. The command line prints their message without a traceback, so a message names
the file or the value, and says what to do.
"""

from collections.abc import Iterator
from contextlib import contextmanager


class DMNetError(ValueError):
    """Something that the caller gave cannot be used; the message says what, and what to do."""


class UnknownSystemError(DMNetError):
    """There is no system of that name in `dmnet.systems`."""


class CheckpointError(DMNetError):
    """A file does not hold the weights that the model needs; the model was left as it was."""


class DownloadError(DMNetError):
    """A file could not be fetched, or what arrived is not the file that was asked for."""


class DataError(DMNetError):
    """An image, a label map, a list or a class file cannot be used."""


class ExportError(DMNetError):
    """A network cannot be exported, or what was exported computes something else; no file was written."""


class MissingExtraError(DMNetError, ImportError):
    """A package is not installed that only a part of dmnet needs; the message says what to install."""


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Name the extra of `pyproject.toml` that is missing where an import inside the block fails.

    ```
    with extra("train"):
        from lightning_fabric import Fabric
    ```

    Raises:
        MissingExtraError: if a module cannot be found.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "dmnet":
            raise
        raise MissingExtraError(f"{error.name} is not installed: pip install 'dmnet[{name}]'") from error
