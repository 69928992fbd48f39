"""How much memory a process has had at most; for the tools that measure it."""

import sys
from pathlib import Path


def memory() -> float:
    """Return the most megabytes that this process has had, 0 on Windows.

    Linux's `ru_maxrss` also counts who has started the process, so its own file is read.
    """
    if sys.platform == "win32":
        return 0.0
    if (status := Path("/proc/self/status")).exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 2**10
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
