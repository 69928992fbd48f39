"""Ctrl-C and SIGTERM: the step is finished, everything is saved, and a second time means now."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch
from safetensors.torch import load_file
from test_training import assert_same_weights
from typer.testing import CliRunner

from dmnet import worlds
from dmnet.cli import application
from dmnet.training import Stopped, stop_request

ENDS = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: SystemExit}


@pytest.fixture(autouse=True)
def in_the_foreground():
    """A program that a shell has started in the background ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", ENDS)
def test_the_first_is_noted_and_the_second_stops(number, capsys):
    before = signal.getsignal(number)
    with pytest.raises(ENDS[number]), stop_request() as signals:
        assert not signals
        signal.raise_signal(number)
        assert signals == [number]
        assert "a second signal stops at once" in capsys.readouterr().err
        signal.raise_signal(number)
    assert signal.getsignal(number) == before


def test_without_a_run_to_save_nothing_changes():
    with pytest.raises(KeyboardInterrupt), stop_request(active=False):
        signal.raise_signal(signal.SIGINT)


def test_a_thread_cannot_receive_signals_and_trains_all_the_same():
    seen = []

    def work():
        with stop_request() as signals:
            seen.append(signals)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [[]]


def test_the_exit_code_is_the_shells():
    assert (Stopped("", signal.SIGTERM).exit_code, Stopped("", signal.SIGINT).exit_code) == (143, 130)
    assert issubclass(Stopped, KeyboardInterrupt)


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
def test_a_run_that_a_cluster_stops_goes_on_by_its_folder_alone(tmp_path):
    """The signal goes to all processes, those that load images too; the folder knows data and settings."""
    splits = [
        worlds.DemoDataset("demo_scale", split, size=size, seed=7)
        for split, size in (("train", 6), ("val", 2))
    ]
    world = worlds.write_layout(splits, tmp_path / "world")
    options = ["--data", str(world), "--batch-size", "2", "--seed", "3", "--set", "filter_sizes=(1,3)"]
    options += ["--iterations", "60", "--workers", "2", "--set", "dropout=0.5"]
    command = [sys.executable, "-m", "dmnet", "train", "demo_scale", "--run", str(tmp_path / "run"), *options]
    start = {"start_new_session": True, "stdout": subprocess.PIPE, "text": True}
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}  # sums are rounded as in this process
    with subprocess.Popen(command, env=os.environ | threads, **start) as process:
        log, end = tmp_path / "run" / "log.csv", time.monotonic() + 60
        while not log.exists() or log.read_text().count("\n") < 5:
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGTERM)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 143
    done = len(log.read_text().splitlines()) - 1
    assert f"Stopped after iteration {done}, and saved. Go on with: dmnet train --resume" in said
    assert 0 < done < 60
    result = CliRunner().invoke(application(), ["train", "--resume", str(tmp_path / "run"), "--workers", "0"])
    assert result.exit_code == 0, result.output
    whole = ["train", "demo_scale", "--run", str(tmp_path / "whole"), *options, "--workers", "0"]
    assert CliRunner().invoke(application(), whole).exit_code == 0
    one, other = (load_file(tmp_path / name / "last.safetensors") for name in ("run", "whole"))
    assert_same_weights(one, other)
