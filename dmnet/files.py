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
    from; `dmnet` in the user's cache, `$XDG_CACHE_HOME` or `~/.cache`. The folder need not exist yet:
    `atomic_write` makes it. Used in {doc}`02_data`.
    """
    if home := os.environ.get("DMNET_HOME"):
        return Path(home).expanduser()
    if clone := _clone():
        return clone / "data"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "dmnet"


def shipped(*parts: str) -> Path:
    """Return the path of a file that comes with the project, e.g. `shipped("weights", "demo.safetensors")`.

    In a clone it lies below `data/`, in an installed wheel below `dmnet/_data/`. Nothing is checked:
    the caller knows what a missing file means. Used in {doc}`06_training`.
    """
    clone = _clone()
    return (clone / "data" if clone else _PACKAGE / "_data").joinpath(*parts)


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a file completely, or not at all.

    ```
    with atomic_write("weights.safetensors") as temporary:
        save_file(tensors, temporary)
    ```

    The temporary file lies in the same folder and ends in the same suffix (libraries choose a format by it).
    When the block succeeds, it is flushed to the disk and takes the place of `path` in one step; when the
    block raises (a full disk, Ctrl-C), it is removed and `path` is what it was before. A killed process
    leaves `path` alone too, and a hidden temporary file beside it. Used in {doc}`06_training`.

    Args:
        path: file to write; missing folders are made. A symbolic link is followed.

    Yields:
        The path that the block must write to.

    Raises:
        FileNotFoundError: if the block ends without having written the file.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.stem[:80]}.{secrets.token_hex(4)}.tmp{target.suffix}")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode  # the usual one; some libraries write what only the owner can read
        temporary.unlink()
        yield temporary
        if not temporary.exists():
            raise FileNotFoundError(f"nothing was written to {temporary}, so {target} was left as it was")
        temporary.chmod(mode & 0o777)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())  # a rename must not reach the disk before the content
        os.replace(temporary, target)
    except BaseException as error:
        add_filename(error, target)
        with suppress(OSError):
            temporary.unlink()
        raise
    with suppress(OSError):  # the new name, too, where the system can: Windows cannot open a folder
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def add_filename(error: BaseException, path: Path) -> None:
    """Add the path to a system error that has none ("No space left"). Used in {doc}`06_training`."""
    if isinstance(error, OSError) and error.errno and error.filename is None:
        error.filename = str(path)


def interactive() -> bool:
    """Tell whether somebody is looking: a terminal, or a notebook that is no page. Used in {doc}`02_data`."""
    return not os.environ.get("DMNET_QUIET") and (sys.stderr.isatty() or "ipykernel" in sys.modules)


def progress(iterable: Iterable[Any] | None = None, **options: Any) -> tqdm:
    """Return a tqdm bar that is drawn only where somebody is looking. Used in {doc}`06_training`.

    The plain text bar, in notebooks too: a widget would be dead in the rendered book. `options` are tqdm's.
    """
    options = {"disable": not interactive(), "leave": False, "dynamic_ncols": True} | options
    return tqdm(iterable, **options)
