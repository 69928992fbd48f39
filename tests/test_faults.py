"""What happens when the machine fails: a disk or data that cannot be written, processes that are killed.

Full disks, kills and two writers are tested beside what they happen to: `test_files`, `test_checkpoints`,
`test_training`, `test_resume`, `test_interrupts`.
"""

import multiprocessing
import os
import signal
import sys
from pathlib import Path

import pytest
import torch
from test_training import SMALL, Blocks

import dmnet
from dmnet import datasets, worlds
from dmnet.checkpoints import save_weights
from dmnet.errors import CheckpointError, DMNetError
from dmnet.inference import evaluate
from dmnet.model import build_model
from dmnet.sampling import worker_advice
from dmnet.training import train

CLOSED = Path("/sys/dmnet")  # nobody makes a folder there, not even root
closed = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's /sys")


def everything(folder: Path) -> dict[Path, tuple[int, bytes]]:
    """Every file below a folder, when it was changed, and what it holds."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


@closed
def test_a_run_where_nothing_can_be_written_ends_at_once_and_names_the_folder() -> None:
    with pytest.raises(OSError, match="/sys/dmnet"):
        train("demo_scale", Blocks(), None, CLOSED / "run", **SMALL)


@closed
def test_weights_where_nothing_can_be_written_are_named() -> None:
    with pytest.raises(OSError, match="/sys/dmnet"):
        save_weights(build_model("demo_scale"), CLOSED / "weights.safetensors")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_data_that_are_read_only_are_enough_and_stay_as_they_are(tmp_path: Path) -> None:
    splits = [worlds.DemoDataset("demo_scale", split, size=4, seed=5) for split in ("train", "val")]
    folder = worlds.write_layout(splits, tmp_path / "data", "voc")
    before = everything(folder)
    paths = [folder, *folder.rglob("*")]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        sets = (datasets.load("folder", folder, split) for split in ("train", "val"))
        result = train("demo_scale", *sets, tmp_path / "run", **SMALL | {"crop": (32, 32)})
        dmnet.predict(result.model, folder / "JPEGImages" / f"{splits[0].ids[0]}.jpg")
    finally:
        for path in paths:
            path.chmod(0o755)
    assert everything(folder) == before


class Deadly(Blocks):
    """Kills the process that loads the image with that number."""

    def __getitem__(self, index: int) -> object:
        if index == 7 and multiprocessing.parent_process() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is a thing of POSIX")
@pytest.mark.parametrize("what", ["train", "evaluate"])
def test_a_killed_loading_process_ends_with_advice(what: str, tmp_path: Path) -> None:
    # the parent reads: killed; or, in the middle of a batch: reset by peer
    gone = r"loads images is gone \(.*(worker|reset by peer).*\).*fewer than 2 \(workers, --workers\)"
    with pytest.raises(DMNetError, match=gone):
        if what == "train":
            train("demo_scale", Deadly(), None, tmp_path, workers=2, **SMALL)
        else:
            evaluate(build_model("demo_scale", num_classes=3), Deadly(), workers=2)
    assert multiprocessing.active_children() == []


def test_a_loading_process_that_is_killed_while_it_hands_over_a_batch_ends_with_advice() -> None:
    gone = ConnectionResetError(104, "Connection reset by peer")
    with (
        pytest.raises(DMNetError, match=r"loads images is gone .*reset by peer.* fewer than 2"),
        worker_advice(2),
    ):
        raise gone
    with pytest.raises(ConnectionResetError), worker_advice(0):  # which is another connection
        raise gone


class Interrupting(Blocks):
    """A Ctrl-C comes while an image is being loaded."""

    def __getitem__(self, index: int) -> object:
        if index == 7:
            raise KeyboardInterrupt
        return super().__getitem__(index)


Interrupting.__name__ = "Blocks"  # a run remembers the kind of its data


def test_ctrl_c_while_an_image_is_loaded_leaves_a_run_to_resume(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train("demo_scale", Interrupting(), None, tmp_path, checkpoint_every=1, **SMALL)
    left = sorted(path.name for path in tmp_path.rglob("*") if ".tmp" in path.name)
    assert left == []
    resumed = train("demo_scale", Blocks(), None, tmp_path, resume=True, **SMALL).model
    whole = train("demo_scale", Blocks(), None, **SMALL).model
    for one, other in zip(resumed.state_dict().values(), whole.state_dict().values(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("change", [{"model": {}}, {"model": 1}, {"optimizer": []}, {"random": [(1, 2)]}])
def test_a_checkpoint_that_is_sound_and_of_another_network_is_refused(change: dict, tmp_path: Path) -> None:
    once = SMALL | {"iterations": 1}
    train("demo_scale", Blocks(), None, tmp_path, **once)
    path = tmp_path / "last.ckpt"
    torch.save(torch.load(path, weights_only=True) | change, path)
    with pytest.raises(
        CheckpointError, match=r"last\.ckpt cannot be resumed: it is not of this run, or damaged"
    ):
        train("demo_scale", Blocks(), None, tmp_path, resume=True, **once)
