"""Where files live, and how they are written so that a crash loses nothing."""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from platformdirs import user_cache_dir

_PACKAGE = Path(__file__).resolve().parent


def _clone() -> Path | None:
    """Return the root of the clone that the package runs from, or None if it runs from a wheel."""
    root = _PACKAGE.parent
    return root if (root / "pyproject.toml").is_file() and (root / "data").is_dir() else None


def data_dir() -> Path:
    """Return the folder that downloads, drawn data sets and converted weights are kept in.

    The first that applies: the environment variable `DMNET_HOME`; `data/` of the clone that the package
    runs from; the user's cache folder. The folder need not exist yet: `atomic_write` makes it.
    """
    if home := os.environ.get("DMNET_HOME"):
        return Path(home).expanduser()
    clone = _clone()
    return clone / "data" if clone else Path(user_cache_dir("dmnet"))


def shipped(*parts: str) -> Path:
    """Return the path of a file that comes with the project, e.g. `shipped("weights", "demo.safetensors")`.

    In a clone it lies below `data/`, in an installed wheel below `dmnet/_data/`. Nothing is checked:
    the caller knows what a missing file means.
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
    leaves `path` alone too, and a hidden temporary file beside it.

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
    mode = _usual_mode(temporary)
    try:
        yield temporary
        if not temporary.exists():
            raise FileNotFoundError(f"nothing was written to {temporary}, so {target} was left as it was")
        temporary.chmod(mode)
        _flush(temporary)
        os.replace(temporary, target)
    except BaseException as error:
        name_file(error, target)
        with suppress(OSError):
            temporary.unlink()
        raise
    _flush_folder(target.parent)


def name_file(error: BaseException, path: Path) -> None:
    """Add the path to a system error that names none: "No space left on device" doesn't say where."""
    if isinstance(error, OSError) and error.errno and error.filename is None:
        error.filename = str(path)


def _usual_mode(path: Path) -> int:
    """Return the permissions of a new file here; some libraries write files that only the owner can read."""
    path.touch()
    mode = stat.S_IMODE(path.stat().st_mode)
    path.unlink()
    return mode


def _flush(path: Path) -> None:
    """Wait until the file's content is on the disk: a rename must not arrive there before it."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Wait until the new name is on the disk, where the system can do that (Windows cannot open a folder)."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
