"""A run's folder, its `.safetensors` or its `.ckpt` in the place of a system's name."""

from pathlib import Path
from typing import Any

from dmnet.checkpoints import PathLike, read_weights
from dmnet.errors import CheckpointError, DMNetError
from dmnet.runs import read_json


def weights_of(path: PathLike) -> Path:
    """Return the newest weights in the folder of a run, which may still go on; a file is returned as it is.

    Used in {doc}`06_training`.

    Raises:
        CheckpointError: if the folder has none.
    """
    if not (folder := Path(path)).is_dir():
        return folder
    files = [file for name in ("last.safetensors", "last.ckpt") if (file := folder / name).is_file()]
    if not files:
        raise CheckpointError(f"{folder} is no run: it has neither last.safetensors nor last.ckpt")
    return max(files, key=lambda file: file.stat().st_mtime_ns)


def recorded(path: PathLike) -> dict[str, Any]:
    """Return the `config.json` of the run that a folder or file belongs to, or {}; see `dmnet.runs`.

    Used in {doc}`06_training`.
    """
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    try:
        config = read_json(folder / "config.json", dict)
    except (DMNetError, OSError):
        return {}
    return config if isinstance(config.get("system"), dict) else {}


def system_of(path: PathLike) -> str | None:
    """Return the name of the system that weights say they are, or None. Used in {doc}`06_training`."""
    file = weights_of(path)
    try:
        noted = read_weights(file).metadata if file.suffix == ".safetensors" else {}
    except CheckpointError:  # whoever loads it says what is wrong
        noted = {}
    return noted.get("system") or recorded(file).get("system", {}).get("name")
