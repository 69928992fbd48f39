"""How much memory was needed at most."""

import sys
from pathlib import Path

import torch


def peak_memory(device: torch.device | str = "cpu") -> int | None:
    """Return the most memory that was in use at once since the start of the process, in bytes.

    Args:
        device: a GPU, for the tensors on it (`torch.cuda.reset_peak_memory_stats` starts anew); or the CPU,
            for all that the process held in memory, Python and PyTorch themselves among it.

    Returns:
        Bytes; None where the system doesn't tell.
    """
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:  # Linux; its getrusage counts what the starting process had in memory, too
        status = Path("/proc/self/status").read_text()
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])
    except (OSError, IndexError):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
