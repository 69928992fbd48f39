"""TensorBoard's events: in the file, and once per step after a crash."""

import struct
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event, SessionLog

from dmnet import runs

FACTS = runs.environment(torch.device("cpu")) | dict.fromkeys(("precision", "accumulate", "compile"))


def events(folder: Path) -> list[Event]:
    """Read event files in the order that TensorBoard reads them."""
    found = []
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])  # then 4 bytes of checksum, the event, 4 bytes
            found.append(Event.FromString(data[12 : 12 + length]))
            data = data[16 + length :]
    return found


def shown(folder: Path) -> dict[tuple[str, int], list[float]]:
    """Return the scalars as TensorBoard shows them: a new session drops what is from its step on."""
    values: dict[tuple[str, int], list[float]] = {}
    for event in events(folder):
        if event.session_log.status == SessionLog.START:
            values = {key: value for key, value in values.items() if key[1] < event.step}
        for value in event.summary.value:
            if value.HasField("simple_value"):
                values.setdefault((value.tag, event.step), []).append(value.simple_value)
    return values


def opened(folder: Path, resume: bool = False):
    return runs.open_run(folder, {"seed": 0}, resume, None, FACTS)


def row(iteration: int, loss: float) -> dict[str, float | None]:
    return {"iteration": iteration, "loss": loss, "lr": 0.5, "images_per_second": 3.0, "aux_loss": None}


def test_a_resumed_run_shows_every_step_once(tmp_path):
    with opened(tmp_path) as first:
        for iteration in range(1, 8):  # killed at 7, the checkpoint is that of iteration 4
            first.log(row(iteration, 1.0))
            if iteration == 4:
                first.save_state(dict.fromkeys(runs.STATE, 0) | {"iteration": 4})
    time.sleep(1)  # files are read in the order of the seconds that they were made in
    with opened(tmp_path, resume=True) as second:
        assert [row["iteration"] for row in second.rows] == [1, 2, 3, 4]
        for iteration in range(5, 11):
            second.log(row(iteration, 2.0))
    assert len(list((tmp_path / "tensorboard").iterdir())) == 2
    values = shown(tmp_path / "tensorboard")
    assert [values["loss", step] for step in range(1, 11)] == [[1.0]] * 4 + [[2.0]] * 6
    assert values["learning_rate", 3] == [0.5] and ("loss/auxiliary", 3) not in values


def test_what_happened_before_a_checkpoint_is_in_the_file(tmp_path):
    with opened(tmp_path) as run:
        run.log(row(1, 1.5))
        run.save_state({})
        assert shown(tmp_path / "tensorboard")["loss", 1] == [1.5]


def test_a_prediction_is_kept_as_an_image(tmp_path):
    with opened(tmp_path) as run:
        run.add_image(Image.fromarray(np.zeros((6, 9, 3), np.uint8)), 12)
    (event,) = (event for event in events(tmp_path / "tensorboard") if event.summary.value)
    (value,) = event.summary.value
    assert (event.step, value.tag) == (12, "prediction")
    assert (value.image.height, value.image.width) == (6, 9)
    assert (tmp_path / "predictions" / "000012.png").exists()


def test_without_tensorboard_a_run_goes_on(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with opened(tmp_path) as run:
        run.log(row(1, 1.5))
    assert not (tmp_path / "tensorboard").exists() and len(run.history()) == 1
