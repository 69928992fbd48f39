"""TensorBoard's events: in the file, and once per step after a crash."""

import struct
from pathlib import Path

import numpy as np
from PIL import Image
from tensorboardX.proto.event_pb2 import Event, SessionLog

from dmnet.tensorboard import Events


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


def row(iteration: int, loss: float) -> dict[str, float | None]:
    return {"iteration": iteration, "loss": loss, "lr": 0.5, "images_per_second": 3.0, "aux_loss": None}


def test_a_resumed_run_shows_every_step_once(tmp_path):
    first = Events(tmp_path)
    for iteration in range(1, 8):
        first.scalars(row(iteration, 1.0))
    first.flush()  # killed at 7, the checkpoint is that of iteration 4
    second = Events(tmp_path, 4)
    for iteration in range(5, 11):
        second.scalars(row(iteration, 2.0))
    second.close()
    first.close()
    assert len(list(tmp_path.iterdir())) == 2
    values = shown(tmp_path)
    assert [values["loss", step] for step in range(1, 11)] == [[1.0]] * 4 + [[2.0]] * 6
    assert values["learning_rate", 3] == [0.5] and ("loss/auxiliary", 3) not in values


def test_what_is_flushed_is_there(tmp_path):
    log = Events(tmp_path)
    log.scalars(row(1, 1.5))
    log.flush()
    assert shown(tmp_path)["loss", 1] == [1.5]
    log.close()


def test_a_prediction_is_kept_as_a_picture(tmp_path):
    log = Events(tmp_path)
    log.picture(Image.fromarray(np.zeros((6, 9, 3), np.uint8)), 12)
    log.close()
    (event,) = (event for event in events(tmp_path) if event.summary.value)
    (value,) = event.summary.value
    assert (event.step, value.tag) == (12, "prediction")
    assert (value.image.height, value.image.width) == (6, 9)
