"""Where a network is trained: on one device or on many, in full or in mixed precision.

The work is Lightning Fabric's, imported when it is first needed. It starts the processes, or finds those that
`torchrun` or SLURM's `srun` started; each has one device and draws its own part of every batch.
"""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from dmnet.errors import DMNetError
from dmnet.systems import CHECKED, Count, checked_dataclass, plain_errors

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]

STARTER = "DMNET_STARTER"  # environment variable: number of the process that has started this one
FAREWELL_SECONDS = 5.0  # from a broken connection to the end of the process that broke it, at most


@plain_errors
@checked_dataclass(frozen=True, kw_only=True, config=CHECKED)
class Engine:
    """How the steps of a recipe are computed. What is learned depends on it by rounding, save for batch norm.

    Batch normalisation takes its statistics over what is computed at once: with several GPUs over all of them
    (SyncBN), on CPUs over each process's own images, and with `accumulate` over each part by itself.
    """

    device: str = "auto"  # "cpu", "cuda", "cuda:1", ...; "auto" is a GPU if there is one
    devices: Count = 1  # processes per machine, each with one device
    nodes: Count = 1  # machines
    precision: Precision = "32-true"
    accumulate: Count = 1  # parts that each process computes its images in, one after the other
    compile: bool = False  # torch.compile


def pick_device(device: str) -> torch.device:
    """Return the device of that name; "auto" is a GPU if there is one."""
    name = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise DMNetError(f"the device {name!r} cannot be used here: {str(error).splitlines()[0]}") from error
    return torch.device(name)


def make_fabric(engine: Engine) -> "Fabric":
    """Return Fabric as `engine` asks for it; `launch` on it starts the other processes, if there are any.

    Raises:
        DMNetError: if this machine has no such devices, or cannot compute on them in that precision.
    """
    from lightning_fabric import Fabric
    from lightning_fabric.strategies import DDPStrategy

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces every start
    devices, nodes = _processes(engine)
    several = devices * nodes > 1
    device = _kind(engine.device) if several else pick_device(engine.device)
    if several and device.index is not None:
        raise DMNetError(f"{engine.device!r} is one device; for several say {device.type!r}")
    if engine.precision == "16-mixed" and device.type == "cpu":
        raise DMNetError("16-mixed needs a GPU; a CPU computes in 32-true or bf16-mixed")
    try:
        fabric = Fabric(
            accelerator=device.type,
            devices=devices if device.index is None else [device.index],
            num_nodes=nodes,
            precision=engine.precision,
            strategy=DDPStrategy() if several else "auto",
        )
    except (RuntimeError, ValueError) as error:  # no such GPUs; a notebook cannot start processes
        raise DMNetError(f"training cannot start on {devices} x {device.type}: {error}") from error
    if several and "LOCAL_RANK" not in os.environ and not _can_start_again():
        raise DMNetError("several processes have to run the same script each: put this into a file")
    return fabric


def _kind(device: str) -> torch.device:
    """Return the device without touching it: each process is to use its own alone."""
    try:
        return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    except RuntimeError as error:
        raise DMNetError(f"there is no device {device!r}: {str(error).splitlines()[0]}") from error


def _processes(engine: Engine) -> tuple[int, int]:
    """Return processes per machine, and machines: as torchrun or srun has started them, else as asked for."""
    from lightning_fabric.plugins.environments import SLURMEnvironment

    asked = engine.devices, engine.nodes
    if torch.distributed.is_available() and torch.distributed.is_torchelastic_launched():
        here = int(os.environ["LOCAL_WORLD_SIZE"])
        started = here, int(os.environ["WORLD_SIZE"]) // here
    elif SLURMEnvironment.detect():
        started = int(os.environ.get("SLURM_NTASKS_PER_NODE", 1)), int(os.environ.get("SLURM_NNODES", 1))
    else:
        return asked
    if asked not in ((1, 1), started):
        raise DMNetError(
            f"devices and nodes are {asked}, but {started} have been started; leave devices and nodes out"
        )
    return started


def _can_start_again() -> bool:
    """Tell whether what runs here can be run once more: not `python -c` or what is piped in."""
    from lightning_fabric.plugins.environments import SLURMEnvironment

    if SLURMEnvironment.detect() or hasattr(sys, "ps1"):  # not by us; a notebook, of which Fabric tells
        return True
    return sys.modules["__main__"].__spec__ is not None or Path(sys.argv[0]).is_file()


@contextmanager
def launched(fabric: "Fabric") -> Iterator[None]:
    """Start the other processes, unless torchrun or srun has; leave none behind.

    Where one fails, the others wait for it: on GPUs for half an hour, with the GPUs' memory in use. torchrun
    and srun end them. A process that Fabric has started ends with its starter, however that ended.

    Raises:
        DMNetError: if a process that was started here has failed; it has told why itself.
    """
    starter, over = int(os.environ.get(STARTER, 0)), threading.Event()
    if starter:
        threading.Thread(target=_end_with, args=(starter, over), daemon=True).start()
    else:
        os.environ[STARTER] = str(os.getpid())
    try:
        fabric.launch()
    finally:
        if not starter:
            del os.environ[STARTER]
    started = getattr(fabric.strategy.launcher, "procs", [])
    try:
        yield
    except RuntimeError as error:  # perhaps a broken connection
        others = started.copy()
        started.clear()  # Fabric watches these, and would kill this process before it has said why
        if starter and _soon(lambda: os.getppid() != starter):
            raise SystemExit(1) from error
        if others and _soon(lambda: any(process.poll() for process in others)):
            raise DMNetError("another training process has failed, for the reason told above") from error
        raise
    except KeyboardInterrupt:
        started.clear()  # as above
        raise
    finally:
        over.set()


def _end_with(starter: int, over: threading.Event) -> None:
    """End this process as soon as the one that has started it is gone, until it is `over`."""
    while not over.wait(1.0):
        if os.getppid() != starter:
            os._exit(1)


def _soon(condition: Callable[[], bool]) -> bool:
    """Tell whether a condition holds within a few seconds."""
    end = time.monotonic() + FAREWELL_SECONDS
    while not (holds := condition()) and time.monotonic() < end:
        time.sleep(0.1)
    return holds


def share(batch_size: int, processes: int, parts: int) -> int:
    """Return how many images a process computes at once.

    Raises:
        DMNetError: if the batch cannot be divided evenly.
    """
    if batch_size % (processes * parts):
        raise DMNetError(
            f"a batch of {batch_size} images cannot be divided evenly among {processes} processes in {parts} "
            f"parts each; batch_size must be a multiple of {processes * parts}"
        )
    return batch_size // (processes * parts)


def synchronise(model: nn.Module, fabric: "Fabric") -> None:
    """Let batch normalisation see the images of all GPUs; CPUs have no such layer."""
    if fabric.world_size > 1 and fabric.device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(model)  # replaces the layers in their place


def align(model: nn.Module, fabric: "Fabric") -> None:
    """Give all processes the statistics of the first: on CPUs each has gathered them over its own images."""
    if fabric.world_size > 1:
        for statistics in model.buffers():
            torch.distributed.broadcast(statistics, 0)


def total(fabric: "Fabric", tensor: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes, in its place; Fabric's own has a barrier more."""
    if fabric.world_size > 1:
        torch.distributed.all_reduce(tensor)
    return tensor


def is_first() -> bool:
    """Tell whether this is the first of the training processes, which speaks and writes for all."""
    running = torch.distributed.is_available() and torch.distributed.is_initialized()
    return not running or torch.distributed.get_rank() == 0


def gathered(fabric: "Fabric", value: Any) -> list[Any]:
    """Return the value of each process, in their order."""
    values = [value] * fabric.world_size
    if fabric.world_size > 1:
        torch.distributed.all_gather_object(values, value)
    return values
