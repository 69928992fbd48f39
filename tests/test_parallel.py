"""Several processes, parts of a batch, precisions: they follow one process with the whole batch."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from test_training import SMALL, Blocks, assert_same_weights, weights
from torch import nn

from dmnet import training, worlds
from dmnet.errors import DataError as DataError
from dmnet.errors import DMNetError
from dmnet.training import _synchronise, make_fabric, train

# SGD: AdamW divides by the size of the gradient, and with it makes rounding errors large.
SAME = SMALL | {"optimizer": "sgd", "learning_rate": 0.01, "batch_size": 4, "dropout": 0.0, "freeze_bn": True}


class Uneven(Blocks):
    """Half of the images are hardly labelled: a mean of means would not be the mean."""

    def __getitem__(self, index: int):
        image, mask, name = super().__getitem__(index)
        if index % 2:
            mask[2:] = 255
        return image, mask, name


def close(one, other):
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=1e-5, msg=name)


# Parts of a batch


@pytest.mark.parametrize("changes", [{}, {"label_stride": 1, "class_weights": (0.4, 2.0)}])
@pytest.mark.parametrize("parts", [2, 4])
def test_a_batch_in_parts_follows_the_whole_batch(parts, changes):
    options = SAME | {"label_stride": 4} | changes
    whole = train("demo_scale", Uneven(), **options)
    divided = train("demo_scale", Uneven(), accumulate=parts, **options)
    close(weights(divided.model), weights(whole.model))
    for column in ("loss", "aux_loss"):
        np.testing.assert_allclose(divided.history[column], whole.history[column], rtol=1e-5)


def test_frozen_batch_norm_keeps_its_statistics_and_learns_its_weights():
    result = train("demo_scale", Blocks(), **SAME)
    norms = [module for module in result.model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert all(not norm.running_mean.any() and (norm.running_var == 1).all() for norm in norms)
    assert any((norm.weight != 1).any() for norm in norms)


# Two processes, started by torchrun

TOGETHER = """
    import json, os, signal, sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[1])
    import test_parallel as t
    t.torch.set_num_threads(1)
    folder, rank = Path(sys.argv[2]), int(os.environ["RANK"])
    t.train("demo_scale", t.Uneven(), t.Blocks(5), folder / "same", evaluate_every=4, **t.SAME)
    random = t.SMALL | {"batch_size": 4}
    t.train("demo_scale", t.Blocks(), None, folder / "whole", **random)

    class Asked(t.Blocks):
        asked = rank == 0

        def __getitem__(self, index):  # somebody asks the second process alone to stop, once
            log = folder / "parts" / "log.csv"
            if not self.asked and log.exists() and log.read_text().count("\\n") > 3:
                self.asked = True
                os.kill(os.getpid(), signal.SIGTERM)
            return super().__getitem__(index)

    Asked.__name__, said = "Blocks", []
    try:
        t.train("demo_scale", Asked(), None, folder / "parts", **random)
    except t.training.Stopped as error:
        said.append(str(error))
    t.train("demo_scale", t.Blocks(), None, folder / "parts", resume=True, **random)
    try:
        t.train("demo_scale", t.Blocks(), None, folder / "nan", **(t.SAME | {"learning_rate": 1e30}))
    except t.DMNetError as error:
        said.append(str(error))
    # The second needs not see the run's folder: the first tells it where to go on.
    place = folder / ("whole" if rank == 0 else "elsewhere")
    again = t.train("demo_scale", t.Blocks(), None, place, resume=True, **random)
    t.assert_same_weights(t.weights(again.model), t.load_file(folder / "whole" / "last.safetensors"))
    assert rank == 0 or not place.exists()
    (folder / f"said{rank}.json").write_text(json.dumps(said))
"""


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """The folder that two processes have written."""
    folder = tmp_path_factory.mktemp("together")
    script = folder / "script.py"
    script.write_text(textwrap.dedent(TOGETHER))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += [str(script), os.path.dirname(__file__), str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return folder


def test_two_processes_with_half_the_batch_each_follow_one_with_all_of_it(together):
    alone = train("demo_scale", Uneven(), Blocks(5), together / "alone", evaluate_every=4, **SAME)
    close(load_file(together / "same" / "last.safetensors"), weights(alone.model))
    tables = [(together / name / "classes.csv").read_text() for name in ("same", "alone")]
    assert tables[0] == tables[1]
    (session,) = json.loads((together / "same" / "environment.json").read_text())
    assert session["world_size"] == 2


def test_two_processes_stop_together_and_go_on_exactly(together):
    """With dropout, which differs between the two: each has its own random state again."""
    said = [json.loads((together / f"said{rank}.json").read_text())[0] for rank in (0, 1)]
    assert said[0] == said[1] and said[0].startswith("stopped after iteration ")
    whole, parts = (load_file(together / name / "last.safetensors") for name in ("whole", "parts"))
    assert_same_weights(whole, parts)
    sessions = json.loads((together / "parts" / "environment.json").read_text())
    assert [session["iteration"] for session in sessions] == [0, int(said[0].split()[3].rstrip(","))]


def test_a_loss_that_is_no_number_stops_both_with_the_whole_batch(together):
    said = [json.loads((together / f"said{rank}.json").read_text())[1] for rank in (0, 1)]
    assert said[0] == said[1] and said[0].count("block") == 4


# A rank that fails ends the others

UNEQUAL = """
    import os, sys
    sys.path.insert(0, sys.argv[1])
    import test_parallel as t
    t.torch.set_num_threads(1)
    mishap, rank = sys.argv[2], int(os.environ["RANK"])

    class Odd(t.Blocks):
        asked = 0

        def __getitem__(self, index):
            self.asked += 1
            if self.asked == 5 and mishap == f"rank {rank}":
                raise t.DataError("block is damaged")
            return super().__getitem__(index)

    try:
        t.train("demo_scale", Odd(12 + rank if mishap == "data" else 12), None, sys.argv[3], **t.SMALL)
    except (t.DMNetError, t.DataError) as error:
        print(rank, error, flush=True)
        sys.exit(3)
"""


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("mishap", "words"),
    [
        ("rank 0", "0 block is damaged"),
        ("rank 1", "1 block is damaged"),
        ("data", "1 the ranks have found different data"),
    ],
)
def test_a_rank_that_fails_says_why_and_ends_the_others(tmp_path, mishap, words):
    (tmp_path / "script.py").write_text(textwrap.dedent(UNEQUAL))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += [str(tmp_path / "script.py"), os.path.dirname(__file__), mishap, str(tmp_path / "run")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env=environment
    )  # returns when all have closed what they print to
    assert done.returncode == 1 and words in done.stdout
    assert not (tmp_path / "run" / "last.safetensors").exists()


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
def test_the_command_starts_torchrun_and_ctrl_c_ends_all_ranks_after_the_step(tmp_path):
    words = ["train", "demo_scale", "--run", str(tmp_path / "run"), "--devices", "2", "--device", "cpu"]
    scenes = [worlds.DemoDataset("demo_scale", split, size=2, seed=7) for split in ("train", "val")]
    words += ["--data", str(worlds.write_layout(scenes, tmp_path / "world")), "--batch-size", "2"]
    words += ["--val-split", "none", "--iterations", "5000", "--set", "filter_sizes=(1,3)"]
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(
        [sys.executable, "-m", "dmnet", *words], start_new_session=True, **output
    ) as process:
        log, end = tmp_path / "run" / "log.csv", time.monotonic() + 120
        while not log.exists() or log.read_text().count("\n") < 5:
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    done = len(log.read_text().splitlines()) - 1
    assert f"Stopped after iteration {done}, and saved. Go on with: dmnet train --resume" in said
    state = torch.load(tmp_path / "run" / "last.ckpt")
    assert state["iteration"] == done and len(state["random"]) == 2


# Devices and precisions


def test_bfloat16_trains_and_resumes(tmp_path):
    options = SMALL | {"precision": "bf16-mixed"}
    whole = train("demo_scale", Blocks(), None, tmp_path / "whole", **options)
    train("demo_scale", Blocks(), None, tmp_path / "parts", stop_after=3, **options)
    parts = train("demo_scale", Blocks(), None, tmp_path / "parts", resume=True, **options)
    assert_same_weights(weights(parts.model), weights(whole.model))
    assert whole.history.loss.iloc[-1] < whole.history.loss.iloc[0]
    full = weights(train("demo_scale", Blocks(), **SMALL).model)
    assert not torch.equal(full["head.classify.weight"], whole.model.head.classify.weight)
    assert all(tensor.dtype != torch.bfloat16 for tensor in weights(whole.model).values())


def test_float16_leaves_out_a_step_that_overflowed_and_keeps_the_scale(tmp_path, monkeypatch):
    """On the CPU, with the GPU's plugin: the loss is scaled beyond what float16 gradients can hold."""
    from lightning_fabric.plugins.precision import MixedPrecision

    def with_scaler(device, precision):
        fabric = make_fabric(device, precision)
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40, growth_interval=1000)
        fabric.strategy.precision = fabric._precision = MixedPrecision("16-mixed", "cpu", scaler)
        return fabric

    monkeypatch.setattr(training, "make_fabric", with_scaler)
    options = SMALL | {"iterations": 4, "dropout": 0.0}
    whole = train("demo_scale", Blocks(), None, tmp_path / "whole", **options)
    assert whole.history.loss.notna().all()
    scale = torch.load(tmp_path / "whole" / "last.ckpt")["precision"]["scale"]
    assert scale == 2.0**36  # halved in each of the four steps, none of which was taken
    train("demo_scale", Blocks(), None, tmp_path / "parts", stop_after=2, **options)
    train("demo_scale", Blocks(), None, tmp_path / "parts", resume=True, **options)
    assert torch.load(tmp_path / "parts" / "last.ckpt")["precision"]["scale"] == scale


@pytest.mark.parametrize(
    ("processes", "device", "synced"), [(2, "cuda", True), (1, "cuda", False), (2, "cpu", False)]
)
def test_gpus_share_the_statistics_of_batch_norm(processes, device, synced):
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.BatchNorm2d(4)))
    _synchronise(model, SimpleNamespace(world_size=processes, device=torch.device(device)))
    assert isinstance(model[1][0], nn.SyncBatchNorm) is synced


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"precision": "16-mixed", "device": "cpu"}, "16-mixed needs a GPU"),
        ({"precision": "8-mixed"}, "Precision '8-mixed' is invalid"),
        ({"accumulate": 3}, "2 images cannot be divided evenly among 1 ranks with 3 micro-batches each"),
        ({"accumulate": 0}, "with 0 micro-batches"),
    ],
)
def test_what_cannot_be_had_is_refused(settings, words, tmp_path):
    with pytest.raises(DMNetError, match=words):
        train("demo_scale", Blocks(), None, tmp_path / "run", **SMALL, **settings)
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without GPU")
def test_gpus_that_are_not_there_are_refused(monkeypatch):
    with pytest.raises(DMNetError, match="cuda"):
        make_fabric("cuda")
    for name, value in (("TORCHELASTIC_RUN_ID", "x"), ("LOCAL_WORLD_SIZE", "2"), ("WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    for device in ("cuda", "cuda:1", "abacus"):
        with pytest.raises(DMNetError, match=f"cannot start on {device}"):
            make_fabric(device)


def test_slurm_says_how_many_processes_there_are(monkeypatch):
    variables = "NTASKS=8 NTASKS_PER_NODE=4 NNODES=2 PROCID=5 LOCALID=1 NODEID=1 JOB_ID=4711 JOB_NAME=dmnet"
    for variable in variables.split():
        name, _, value = variable.partition("=")
        monkeypatch.setenv(f"SLURM_{name}", value)
    fabric = make_fabric("cpu")
    assert (fabric.world_size, fabric.global_rank, fabric.node_rank, fabric.local_rank) == (8, 5, 1, 1)


def test_the_compiled_network_trains_and_is_saved_under_its_own_names(monkeypatch, tmp_path):
    make_fabric("cpu")  # Fabric wants to see how torch.compile is called
    graphs = []

    def backend(graph, inputs):  # takes the place of the C++ compiler
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    options = SMALL | {"iterations": 2}
    result = train("demo_scale", Blocks(), None, tmp_path, compile=True, **options)
    assert graphs
    assert_same_weights(load_file(tmp_path / "last.safetensors"), weights(result.model))
    close(weights(result.model), weights(train("demo_scale", Blocks(), **options).model))
