"""What a result was made with: versions, device, commit, command, weights. Nothing that names a host."""

import hashlib
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from torch import nn

import dmnet

CLONE = Path(__file__).resolve().parent.parent


def environment(device: torch.device, processes: int = 1) -> dict[str, Any]:
    """Return the facts about this process that a record needs, ready for JSON.

    Args:
        device: that it computes on.
        processes: how many compute together.
    """
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "dmnet": dmnet.__version__,
        "commit": commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "numpy": np.__version__,
        "platform": platform.platform(),
        "device": device.type,
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "cuda": torch.version.cuda if device.type == "cuda" else None,
        "processes": processes,
        "threads": torch.get_num_threads(),
    }


def commit(folder: Path = CLONE) -> str | None:
    """Return the commit of the clone that the package runs from; "-dirty" behind it if files were changed.

    None outside a clone, or where there is no git.
    """
    if not (folder / ".git").exists():
        return None
    command = ["git", "-C", str(folder), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def weights_digest(model: nn.Module) -> str:
    """Return the SHA-256 of all parameters and buffers: names, types, shapes and bytes, sorted by name."""
    total = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        array = tensor.detach().cpu().contiguous()
        total.update(f"{name} {array.dtype} {list(array.shape)}\0".encode())
        total.update(array.reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()
