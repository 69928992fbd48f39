"""The errors that the package raises on purpose.

All of them are a `DMNetError`, which is a `ValueError`: code that asks for a wrong system, or reads a broken
file, can catch one class. The command line prints their message without a traceback, so a message names
the file or the value, and says what to do.
"""


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
