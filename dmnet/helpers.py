"""Prediction by several processes of one machine.

A helper is a new Python with a copy of the network. It gets images through a pipe and sends labels back; the
caller reads the data set and scores. Unlike `multiprocessing`, that needs no import guard in the caller's
script, works in a notebook, and never forks a process that has threads; and only the network has to be
something that another process can load.
"""

import copy
import os
import pickle
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from queue import SimpleQueue
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dmnet.errors import DMNetError

_CODE = "from dmnet.helpers import _serve; _serve()"

Images = Sequence[NDArray[np.uint8]]
Labels = NDArray[np.uint8]


class Helpers:
    """Processes that predict, to be used in a `with` statement.

    On GPUs each helper has one of its own. On the CPU each uses as many threads as the caller
    (`torch.get_num_threads`): then the labels are the caller's own to the last bit.

    Args:
        model: on the CPU or a GPU; its class must be one that can be imported, not one of a script's own.
        count: number of helpers.
        options: what `dmnet.inference.predict_batch` is called with beside model and images.

    Raises:
        DMNetError: if there are fewer GPUs than helpers, or the model cannot be sent.
    """

    def __init__(self, model: nn.Module, count: int, options: dict[str, Any]) -> None:
        device = next(model.parameters()).device
        if device.type == "cuda" and count > torch.cuda.device_count():
            raise DMNetError(
                f"processes is {count}, but there are {torch.cuda.device_count()} GPUs, one each"
            )
        portable = model if device.type == "cpu" else copy.deepcopy(model).cpu()
        try:
            weights = pickle.dumps(portable)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise DMNetError(f"this model cannot be sent to other processes: {error}") from error
        self._pool = ThreadPoolExecutor(count)  # threads that wait for the helpers
        self._count = count
        self._helpers: list[_Helper] = []
        self._idle: SimpleQueue[_Helper] = SimpleQueue()
        for number in range(count):
            place = f"{device.type}:{number}" if device.type == "cuda" else device.type
            helper = _Helper((weights, place, torch.get_num_threads(), options))
            self._helpers.append(helper)
            self._idle.put(helper)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for helper in self._helpers:
            helper.stop()
        self._pool.shutdown(cancel_futures=True)
        for helper in self._helpers:
            helper.close()

    def map(self, batches: Iterable[Images]) -> Iterator[list[Labels]]:
        """Yield the labels of every batch, in order; at most two batches per helper are read ahead."""
        source = iter(batches)
        waiting: deque[Future[list[Labels]]] = deque()
        for batch in islice(source, 2 * self._count):
            waiting.append(self._pool.submit(self._ask, batch))
        while waiting:
            yield waiting.popleft().result()
            for batch in islice(source, 1):
                waiting.append(self._pool.submit(self._ask, batch))

    def _ask(self, images: Images) -> list[Labels]:
        helper = self._idle.get()
        try:
            return helper.ask(images)
        finally:
            self._idle.put(helper)


class _Helper:
    """The caller's end of one process."""

    def __init__(self, task: Any) -> None:
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        self._task: Any = task  # sent with the first question: all processes start at the same time
        self._process = subprocess.Popen(
            [sys.executable, "-c", _CODE],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip

    def ask(self, question: Any) -> Any:
        if self._task is not None:
            task, self._task = self._task, None
            self._exchange(task)
        return self._exchange(question)

    def _exchange(self, question: Any) -> Any:
        sent, received = self._process.stdin, self._process.stdout
        assert sent is not None and received is not None
        try:
            pickle.dump(question, sent, pickle.HIGHEST_PROTOCOL)
            sent.flush()
            answer = pickle.load(received)  # written by our own process
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            raise DMNetError(
                f"a process that predicts has ended (code {self._process.wait()}); where memory is short, "
                "use fewer processes"
            ) from error
        if isinstance(answer, Exception):
            raise answer
        return answer

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # what was still to be sent finds nobody
                if stream is not None:
                    stream.close()


def _serve() -> None:
    """Answer the caller until it hangs up: what a helper does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the caller
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing that is printed gets among the answers
    predict = None
    while True:
        try:
            question = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            if predict is None:
                predict, answer = _predictor(*question), None
            else:
                answer = predict(question)
        except DMNetError as error:
            answer = error
        except Exception as error:
            answer = DMNetError(f"a process that predicts failed: {type(error).__name__}: {error}")
        pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()


def _predictor(weights: bytes, device: str, threads: int, options: dict[str, Any]) -> Any:
    from dmnet.inference import predict_batch

    torch.set_num_threads(threads)
    model = pickle.loads(weights).to(device)
    return lambda images: predict_batch(model, images, **options)
