"""Processes that predict for another: the same labels, and what happens when one of them cannot go on."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from torch import nn

from dmnet.errors import DMNetError
from dmnet.helpers import Helpers
from dmnet.inference import predict_batch
from dmnet.model import build_model


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build_model("demo_scale")


def batches(count: int) -> list[list[np.ndarray]]:
    random = np.random.default_rng(0)
    return [[random.integers(0, 256, (20 + n, 30, 3), np.uint8)] * (1 + n % 2) for n in range(count)]


def test_labels_come_in_order_from_few_batches_ahead(model):
    read = []

    def source():
        for batch in batches(12):
            read.append(batch)
            yield batch

    with Helpers(model, 2, {"scale_gates": [1, 0, 1, 1]}) as helpers:
        for number, labels in enumerate(helpers.map(source())):
            assert len(read) <= number + 4
            wanted = predict_batch(model, read[number], [1, 0, 1, 1])
            np.testing.assert_array_equal(np.stack(labels), np.stack(wanted))
        assert number == 11
        helpers._helpers[0]._process.kill()
        helpers._helpers[1]._process.kill()
        with pytest.raises(DMNetError, match=r"has ended .code -9.*fewer processes"):
            list(helpers.map(batches(1)))


def test_an_error_in_a_helper_is_the_callers(model):
    with (
        pytest.raises(DMNetError, match=r"scale_gates needs 4 numbers"),
        Helpers(model, 1, {"scale_gates": [1]}) as helpers,
    ):
        list(helpers.map(batches(1)))


class Local(nn.Module):
    """Holds a function that has no name."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.hook = lambda: None


def test_a_model_that_cannot_be_sent_is_refused():
    with pytest.raises(DMNetError, match="cannot be sent to other processes"):
        Helpers(Local(), 1, {})


SCRIPT = """
    import numpy as np, torch, dmnet
    from dmnet.inference import predict

    torch.set_num_threads(1)
    model = dmnet.build_model("demo_scale")

    class Mine:  # of the script's own: no other process can load it
        classes = tuple("abcdefg")
        def __len__(self): return 5
        def __getitem__(self, index):
            image = np.random.default_rng(index).integers(0, 256, (24, 32, 3), np.uint8)
            return image, predict(model, image), str(index)

    print("printed", flush=True)
    print(dmnet.evaluate(model, Mine(), processes=2).miou())
"""


@pytest.mark.slow
def test_a_script_needs_no_import_guard(tmp_path):
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stdout.split() == ["printed", "1.0"], done.stderr
