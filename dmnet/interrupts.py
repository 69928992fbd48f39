"""Ctrl-C and SIGTERM as a request: what is under way is finished and saved first."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)  # Ctrl-C; what a cluster sends before it takes a machine away
GRACE_SECONDS = 120  # that a loading process lives on after a SIGTERM, which may be meant for its parent


class Stopped(KeyboardInterrupt):
    """Training was asked to stop, and has saved all that a resumed run needs.

    Attributes:
        exit_code: for the shell: 128 and the signal's number.
    """

    def __init__(self, message: str, number: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.exit_code = 128 + number


class StopRequest:
    """Whether somebody has asked to stop, and by which signal."""

    number = 0  # of the signal; 0: nobody has


def leave_to_parent(worker: int = 0) -> None:
    """Let a loading process live through Ctrl-C and SIGTERM: its parent finishes what it does, then ends it.

    Args:
        worker: its number; see `worker_init_fn` of `torch.utils.data.DataLoader`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "alarm"):
        signal.signal(signal.SIGTERM, lambda number, frame: signal.alarm(GRACE_SECONDS))


@contextmanager
def stop_request(active: bool = True, aloud: bool = True) -> Iterator[StopRequest]:
    """Note the first Ctrl-C or SIGTERM instead of raising; a second one stops at once.

    Args:
        active: False changes nothing. Nothing is changed in a thread either: only a program's main thread
            can receive signals.
        aloud: answer the first signal with a line on the standard error.

    Yields:
        A `StopRequest` to look at now and then.

    Raises:
        KeyboardInterrupt: at the second Ctrl-C.
        SystemExit: at the second SIGTERM.
    """
    request, owner = StopRequest(), os.getpid()

    def note(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:  # a process that was forked off to load images
            leave_to_parent()
            signal.raise_signal(number)
            return
        if request.number and number == signal.SIGINT:
            raise KeyboardInterrupt
        if request.number:
            raise SystemExit(128 + number)
        request.number = number
        if aloud:
            with suppress(RuntimeError):  # the signal came while another line was being printed
                print("\nStopping after this step; a second signal stops at once.", file=sys.stderr)

    if not active or threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
