"""A run's events for TensorBoard: written in this process, in order, and once per step also after a crash."""

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

TAGS = {  # of the log's columns
    "loss": "loss",
    "aux_loss": "loss/auxiliary",
    "lr": "learning_rate",
    "images_per_second": "images_per_second",
    "val_miou": "mIoU/val",
}


class Events:
    """An event file; a resumed run adds another to the same folder.

    `SummaryWriter` would write from a thread, behind a queue that a killed process takes with it.

    Args:
        folder: made if missing.
        iteration: steps done before. TensorBoard hides what earlier files say of later ones.
    """

    def __init__(self, folder: Path, iteration: int = 0) -> None:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import SessionLog

        folder.mkdir(parents=True, exist_ok=True)
        # Files are read in the order of their names, which start with the second they were made in.
        self._writer = EventsWriter(str(folder / "events"), f".{iteration:08d}.{os.getpid()}")
        self._add(step=iteration + 1, session_log=SessionLog(status=SessionLog.START))

    def scalars(self, row: dict[str, Any]) -> None:
        """Add a row of a run's log."""
        from tensorboardX.summary import Summary

        values = [
            Summary.Value(tag=tag, simple_value=row[name])
            for name, tag in TAGS.items()
            if row.get(name) is not None
        ]
        self._add(step=row["iteration"], summary=Summary(value=values))

    def picture(self, picture: Image.Image, iteration: int) -> None:
        """Add a sample prediction."""
        from tensorboardX.summary import image

        self._add(step=iteration, summary=image("prediction", np.asarray(picture), dataformats="HWC"))

    def flush(self) -> None:
        """Wait until all of it is on the disk."""
        self._writer.flush()

    def close(self) -> None:
        """Write what is left, and end the file."""
        self._writer.close()

    def _add(self, **fields: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        self._writer.write_event(Event(wall_time=time.time(), **fields))
