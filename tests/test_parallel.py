"""Several processes, parts of a batch, precisions: they follow one process with the whole batch."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from test_training import SMALL, Blocks, assert_same_weights, weights
from torch import nn

from dmnet import training
from dmnet.errors import DataError as DataError
from dmnet.errors import DMNetError
from dmnet.parallel import Engine, make_fabric, share, synchronise
from dmnet.training import train

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


@pytest.mark.parametrize("changes", [{}, {"label_stride": 1, "background_weight": 0.4}])
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
    for place, images in ((folder / ("whole" if rank == 0 else "elsewhere"), 12), (None, 12 + rank)):
        try:
            t.train("demo_scale", t.Blocks(images), None, place, resume=True, **random)
        except t.DMNetError as error:
            said.append(str(error))
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
    assert session["processes"] == 2 and session["devices"] == 1


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


def test_processes_that_see_different_files_are_told(together):
    said = [json.loads((together / f"said{rank}.json").read_text())[2:] for rank in (0, 1)]
    assert (
        said[0] == said[1] and "from the iterations [8, 0]" in said[0][0] and "different data" in said[0][1]
    )


# Two processes, of which the first has started the second

UNEQUAL = """
    import os, signal, sys, time
    sys.path.insert(0, sys.argv[1])
    import test_parallel as t
    t.torch.set_num_threads(1)
    from pathlib import Path
    mishap, second, sign = sys.argv[2], os.environ.get("LOCAL_RANK") == "1", Path(sys.argv[0] + ".sign")

    class Odd(t.Blocks):
        asked = 0

        def __getitem__(self, index):
            self.asked += t.torch.distributed.is_initialized()  # before, the first examines the data
            if self.asked == 5 and mishap == "second" and second:
                raise t.DataError("block is damaged")
            if self.asked == 5 and mishap == "first" and not second:
                raise t.DMNetError("the first has failed")
            if self.asked == 5 and mishap == "killed":
                if second:
                    sign.touch()
                    time.sleep(1000)
                while not sign.exists():
                    time.sleep(0.1)
                os.kill(os.getpid(), signal.SIGKILL)
            return super().__getitem__(index)

    try:
        t.train("demo_scale", Odd(), devices=2, device="cpu", **t.SMALL)
    except (t.DMNetError, t.DataError) as error:
        print(second, error, flush=True)
        sys.exit(3)
"""


def started(tmp_path, mishap):
    (tmp_path / "script.py").write_text(textwrap.dedent(UNEQUAL))
    command = [sys.executable, str(tmp_path / "script.py"), os.path.dirname(__file__), mishap]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def test_where_the_first_fails_the_second_ends_without_a_word(tmp_path):
    done = started(tmp_path, "first")  # returns when both have closed what they print to
    assert done.stdout == "False the first has failed\n" and "Traceback" not in done.stderr


def test_where_the_second_fails_the_first_says_so(tmp_path):
    done = started(tmp_path, "second")
    assert done.returncode == 3 and "Traceback" not in done.stderr
    second, first = done.stdout.splitlines()
    assert second == "True block is damaged" and first.startswith("False another training process has failed")


def test_where_the_first_is_killed_the_second_ends_though_it_is_busy(tmp_path):
    done = started(tmp_path, "killed")  # would wait for the second otherwise
    assert done.returncode == -signal.SIGKILL


def test_what_cannot_be_run_again_cannot_be_shared():
    code = "from dmnet.parallel import *; make_fabric(Engine(device='cpu', devices=2))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "put this into a file" in done.stderr


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

    def with_scaler(engine):
        fabric = make_fabric(engine)
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
    synchronise(model, SimpleNamespace(world_size=processes, device=torch.device(device)))
    assert isinstance(model[1][0], nn.SyncBatchNorm) is synced


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"precision": "16-mixed", "device": "cpu"}, "16-mixed needs a GPU"),
        ({"precision": "8-mixed"}, "precision must be '32-true' or 'bf16-mixed' or '16-mixed'"),
        ({"devices": 0}, "devices must be at least 1"),
        ({"device": "cpu:0", "devices": 2}, "'cpu:0' is one device; for several say 'cpu'"),
        ({"device": "abacus", "devices": 2}, "there is no device 'abacus'"),
        ({"accumulate": 3}, "batch of 2 images cannot be divided evenly among 1 processes in 3 parts"),
    ],
)
def test_what_cannot_be_had_is_refused(settings, words, tmp_path):
    with pytest.raises(DMNetError, match=words):
        train("demo_scale", Blocks(), None, tmp_path / "run", **SMALL, **settings)
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without GPU")
def test_gpus_that_are_not_there_are_refused():
    with pytest.raises(DMNetError, match="cuda"):
        make_fabric(Engine(device="cuda", devices=2))


def test_a_share_is_a_whole_number_of_images():
    assert share(16, 4, 2) == 2
    with pytest.raises(DMNetError, match="multiple of 12"):
        share(16, 4, 3)


def test_slurm_says_how_many_processes_there_are(monkeypatch):
    variables = "NTASKS=8 NTASKS_PER_NODE=4 NNODES=2 PROCID=5 LOCALID=1 NODEID=1 JOB_ID=4711 JOB_NAME=dmnet"
    for variable in variables.split():
        name, _, value = variable.partition("=")
        monkeypatch.setenv(f"SLURM_{name}", value)
    fabric = make_fabric(Engine(device="cpu"))
    assert (fabric.world_size, fabric.global_rank, fabric.node_rank, fabric.local_rank) == (8, 5, 1, 1)
    with pytest.raises(DMNetError, match="leave devices and nodes out"):
        make_fabric(Engine(device="cpu", devices=2))


def test_the_compiled_network_trains_and_is_saved_under_its_own_names(monkeypatch, tmp_path):
    make_fabric(Engine(device="cpu"))  # Fabric wants to see how torch.compile is called
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
