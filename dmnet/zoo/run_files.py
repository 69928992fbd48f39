"""A run's folder, its `.safetensors` or its `.ckpt` in the place of a system's name."""

from pathlib import Path
from typing import Any

from dmnet import systems
from dmnet.checkpoints import PathLike
from dmnet.errors import CheckpointError, DMNetError
from dmnet.runs import read_json


def weights_of(path: PathLike) -> Path:
    """Return the newest weights in a run's folder; a file is returned as it is. Used in {doc}`06_training`.

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
    """Return a run's `config.json`, by its folder or a file of it, or {}. Used in {doc}`06_training`."""
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    try:
        config = {} if str(path) in systems.names() else read_json(folder / "config.json", dict)
    except (DMNetError, OSError):
        return {}
    return config if isinstance(config.get("system"), dict) else {}
