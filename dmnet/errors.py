"""The errors that the package raises on purpose.

All of them are a `DMNetError`, which is a `ValueError`. The command line prints their message without a
traceback, so a message names the file or the value, and says what to do.
"""

from collections.abc import Iterator
from contextlib import contextmanager


class DMNetError(ValueError):
    """Something that the caller gave cannot be used; the message says why. Used in {doc}`05_data`."""


class UnknownSystemError(DMNetError):
    """There is no system of that name in `dmnet.systems`. Used in {doc}`04_dmnet`."""


class CheckpointError(DMNetError):
    """A file lacks weights that the model needs; the model was left as it was. Used in {doc}`04_dmnet`."""


class DownloadError(DMNetError):
    """A file could not be fetched, or what arrived is another one. Used in {doc}`04_dmnet`."""


class DataError(DMNetError):
    """An image, a label map, a list or a class file cannot be used. Used in {doc}`05_data`."""


class MissingExtraError(DMNetError, ImportError):
    """A package that only a part of dmnet needs is not installed. Used in {doc}`welcome`."""


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Name the extra of `pyproject.toml` that an import in the block needs. Used in {doc}`06_training`."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "dmnet":
            raise
        raise MissingExtraError(f"{error.name} is not installed: pip install 'dmnet[{name}]'") from error
