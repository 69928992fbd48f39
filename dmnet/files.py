"""Where files live, how they are written so that a crash loses nothing, and progress bars."""

import os
import secrets
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tqdm import tqdm

_PACKAGE = Path(__file__).resolve().parent


def _clone() -> Path | None:
    """Return the root of the clone that the package runs from, or None if it runs from a wheel."""
    root = _PACKAGE.parent
    return root if (root / "pyproject.toml").is_file() and (root / "data").is_dir() else None


def data_dir() -> Path:
    """Return the folder that downloads, drawn data sets and converted weights are kept in.

    The first that applies: the environment variable `DMNET_HOME`; `data/` of the clone that the package runs
    from; `dmnet` in the user's cache, `$XDG_CACHE_HOME` or `~/.cache`. Used in {doc}`05_data`.
    """
    if home := os.environ.get("DMNET_HOME"):
        return Path(home).expanduser()
    if clone := _clone():
        return clone / "data"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "dmnet"


def shipped(*parts: str) -> Path:
    """Return the path of a file that comes with the project, e.g. `shipped("weights", "demo.safetensors")`.

    In a clone it lies below `data/`, in an installed wheel below `dmnet/_data/`. Used in {doc}`06_training`.
    """
    return (clone / "data" if (clone := _clone()) else _PACKAGE / "_data").joinpath(*parts)


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a file completely, or not at all. Used in {doc}`06_training`.

    The block writes to the temporary path that it is given, in the same folder and with the same suffix
    (libraries choose a format by it). When it succeeds, the file is flushed to the disk and takes the place
    of `path` in one step; when it raises (a full disk, Ctrl-C), the file is removed and `path` is what it was
    before. A killed process leaves `path` alone too, and a hidden temporary file beside it. Missing folders
    are made, a symbolic link is followed.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.stem[:80]}.{secrets.token_hex(4)}.tmp{target.suffix}")
    try:
        with naming(target):
            yield temporary
            if not temporary.exists():
                raise FileNotFoundError(f"nothing was written to {temporary}, so {target} was left as it was")
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())  # a rename must not reach the disk before the content
            os.replace(temporary, target)
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Add the path to a system error ("No space left") that has none. Used in {doc}`06_training`."""
    try:
        yield
    except OSError as error:
        if error.errno and error.filename is None:
            error.filename = str(path)
        raise


def interactive() -> bool:
    """Tell whether somebody is looking: a terminal, or a notebook that is no page. Used in {doc}`05_data`."""
    return not os.environ.get("DMNET_QUIET") and (sys.stderr.isatty() or "ipykernel" in sys.modules)


def progress(iterable: Iterable[Any] | None = None, **options: Any) -> tqdm:
    """Return a text bar of tqdm, drawn only where somebody is looking. Used in {doc}`06_training`."""
    options = {"disable": not interactive(), "leave": False, "dynamic_ncols": True} | options
    return tqdm(iterable, **options)
