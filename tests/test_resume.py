"""A run that is killed again and again ends with the weights of one that was not, bit for bit."""

import csv
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file
from test_training import assert_same_weights

DRIVER = """
    # Imports everything once, then forks for every folder that it reads: a process to kill costs no start.
    import os, sys, time
    sys.path.insert(0, sys.argv[1])
    import torch.utils.tensorboard
    import test_training as t
    t.torch.set_num_threads(1)
    save = t.torch.save

    def slow_save(state, path):
        save(state, path)
        contents = path.read_bytes()
        with open(path, "wb") as file:
            file.write(contents[: len(contents) // 2])
            file.flush()
            time.sleep(0.1)
            file.write(contents[len(contents) // 2 :])

    t.torch.save = slow_save
    options = t.SMALL | {"checkpoint_every": 2, "evaluate_every": 3, "workers": 0}
    t.train("demo_context", t.Blocks(), **(t.SMALL | {"iterations": 1}))
    for line in sys.stdin:
        iterations, folder = line.strip().split(" ", 1)
        if not (process := os.fork()):
            options["iterations"] = int(iterations)
            t.train("demo_context", t.Blocks(), t.Blocks(2), folder, resume=True, **options)
            os._exit(0)
        print(process, flush=True)
        print(os.waitpid(process, 0)[1], flush=True)
"""


class Driver:
    """Starts training in a folder, as often as it is asked to."""

    def __init__(self) -> None:
        command = [sys.executable, "-c", textwrap.dedent(DRIVER), os.path.dirname(__file__)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def start(self, folder: Path, iterations: int) -> int:
        print(iterations, folder, file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())

    def status(self) -> int:
        return int(self.process.stdout.readline())


@pytest.fixture(scope="module")
def driver():
    driver = Driver()
    yield driver
    driver.process.stdin.close()
    driver.process.wait(timeout=30)
    driver.process.stdout.close()


def log(folder: Path) -> list[dict[str, str]]:
    path = folder / "log.csv"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return list(csv.DictReader(line for line in lines if line.endswith("\n")))


def unfinished_saves(folder: Path) -> list[Path]:
    return list(folder.glob(".last.*.tmp.ckpt"))


def wait(condition, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.001)


def wait_for_files(folder: Path, count: int) -> None:
    wait(lambda: len(list(folder.glob("*"))) >= count)


def wait_for_rows(folder: Path, count: int) -> None:
    wait(lambda: len(log(folder)) >= count)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(("kills", "iterations"), [(3, 30), pytest.param(10, 60, marks=pytest.mark.long)])
def test_killed_at_random_moments_it_ends_with_the_same_weights(driver, tmp_path, kills, iterations):
    seed = random.randrange(10**6)
    print(f"seed {seed}")  # pytest shows it when the test fails
    draw = random.Random(seed)
    moments = ["save"] * (kills // 3) + ["step"] * (kills - kills // 3)
    draw.shuffle(moments)
    folder = tmp_path / "killed"
    for kill, moment in enumerate(moments):
        process = driver.start(folder, iterations)
        wait_for_files(folder / "tensorboard", kill + 1)  # the log is cut back to the checkpoint
        begun = len(log(folder))
        wait_for_rows(folder, begun + draw.randint(1, 4))
        if moment == "save":
            wait(lambda: any(file.stat().st_size for file in unfinished_saves(folder) if file.exists()))
        else:
            time.sleep(draw.uniform(0, 0.05))
        os.kill(process, signal.SIGKILL)
        assert os.WTERMSIG(driver.status()) == signal.SIGKILL
        assert moment == "step" or unfinished_saves(folder)
        assert begun < len(log(folder)) < iterations
    for place in (folder, tmp_path / "whole"):
        driver.start(place, iterations)
        assert driver.status() == 0
    whole = tmp_path / "whole"
    for name in ("last.safetensors", "best.safetensors"):
        assert_same_weights(load_file(folder / name), load_file(whole / name))
    for one, other in zip(log(folder), log(whole), strict=True):
        assert all(one[key] == other[key] for key in ("iteration", "lr", "loss", "aux_loss", "val_miou"))
    assert len(log(folder)) == iterations
    assert not list(folder.rglob(".*.tmp.*"))
    assert len(list((folder / "tensorboard").iterdir())) == kills + 1
