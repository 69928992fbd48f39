"""OpenVINO behind one function: PyTorch's answers, by every protocol; what it cannot do is refused."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnxscript import opset20

import dmnet
from dmnet import datasets, export, systems
from dmnet.errors import DMNetError
from dmnet.model import DMNet, build_model, evaluating
from dmnet.playground.photographs import photographs

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # as `fast` does
openvino = pytest.importorskip("openvino", reason="there is no OpenVINO for this system, or no [fast]")
DEMOS = ["demo_scale", pytest.param("demo_context", marks=pytest.mark.long)]  # the same, with other weights
Pair = Callable[[str], tuple[DMNet, DMNet]]
TOLERANCE = 1e-4  # of the largest logit

pytestmark = pytest.mark.slow  # an export takes its time


@pytest.fixture(scope="module")
def pair() -> Pair:
    """A small system, in training, as PyTorch computes it; and as OpenVINO does."""

    @cache
    def pair(name: str) -> tuple[DMNet, DMNet]:
        model = dmnet.load_pretrained(name).train()
        return model, export.fast(model)

    return pair


def street_photograph() -> Any:
    return photographs()[0].read()[0]


@pytest.mark.parametrize("name", [*DEMOS, "street"])
def test_the_logits_are_those_of_pytorch(name: str, pair: Pair) -> None:
    """Batches, sizes that nothing was made for, gates; and an answer stays when the next is computed."""
    plain, fast = pair(name)
    torch.manual_seed(0)
    given: list[tuple[torch.Tensor, Any]] = [
        (torch.randn(2, 3, 70, 51), None),
        (torch.randn(1, 3, 33, 128), [0.5, 0.0, 1.0, 2.0]),
    ]
    found = [fast.logits(*one) for one in given]
    with torch.inference_mode(), evaluating(plain):
        expected = [plain.logits(*one) for one in given]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape and ours.dtype == torch.float32
        assert (ours - theirs).abs().max() <= TOLERANCE * theirs.abs().max()


@pytest.mark.parametrize("name", DEMOS)
def test_the_score_is_that_of_pytorch(name: str, pair: Pair) -> None:
    scenes = datasets.load(name, split="test", size=4)
    scores = [dmnet.evaluate(model, scenes).miou() for model in pair(name)]
    assert scores[0] > 0.5 and abs(scores[0] - scores[1]) < 1e-4


@pytest.mark.parametrize("how", ["published", "ms+flip", "slide"])
def test_a_photograph_gets_the_same_labels_by_every_protocol(how: str, pair: Pair) -> None:
    protocol, image = systems.protocol(systems.get("street"), how), street_photograph()
    plain, fast = (dmnet.predict(model, image, protocol=protocol) for model in pair("street"))
    assert plain.shape == image.shape[:2] and len(np.unique(plain)) > 3
    assert (plain != fast).mean() < 1e-4


def test_the_model_stays_as_it_was(pair: Pair) -> None:
    for plain, fast in map(pair, ("demo_scale", "street")):
        assert plain.training and not fast.training
        assert "logits" in vars(fast) and "logits" not in vars(plain)
        assert fast.system == plain.system


def test_bfloat16_where_the_processor_has_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Plain:
        def get_property(self, *_: str) -> list[str]:
            return ["FP32", "INT8"]

    monkeypatch.setattr(export, "_RUNTIME", [Plain()])
    with pytest.raises(DMNetError, match="precision on this processor is one of fp32, not 'bf16'"):
        export.fast(build_model("demo_scale"), precision="bf16")


def test_a_runtime_that_refuses_the_network_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """So it does in bfloat16 where the processor has it, and ONEDNN_MAX_CPU_ISA forbids it."""

    class Refusing:
        def get_property(self, *_: str) -> list[str]:
            return ["FP32", "BF16"]

        def read_model(self, given: bytes) -> bytes:
            return given

        def compile_model(self, *_: Any) -> None:
            raise RuntimeError("object is not initialized")

    monkeypatch.setattr(export, "_RUNTIME", [Refusing()])
    monkeypatch.setattr(export, "_proto", lambda *_: onnx.ModelProto(graph={"initializer": [{}]}))
    with pytest.raises(DMNetError, match="cannot compute this network in bf16 here: object is not initial"):
        export.fast(build_model("demo_scale", filter_sizes=(1,)), precision="bf16")


def test_bfloat16_changes_few_labels() -> None:
    """In a process of its own: the tests' others keep to AVX2, which has no bfloat16."""
    code = (
        "import dmnet\n"
        "from dmnet import export\n"
        "from dmnet.playground.photographs import photographs\n"
        "plain, image = dmnet.load_pretrained('street'), photographs()[0].read()[0]\n"
        "try: half = export.fast(plain, precision='bf16')\n"
        "except ValueError as error: print(error)\n"
        "else: print((dmnet.predict(plain, image) != dmnet.predict(half, image)).mean())\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "ONEDNN_MAX_CPU_ISA"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    if "precision on this processor is one of fp32, not 'bf16'" in done.stdout:
        pytest.skip("needs a processor on which OpenVINO multiplies in bfloat16")
    assert 0 < float(done.stdout) < 0.02


def test_nothing_is_told_to_anybody(tmp_path: Path) -> None:
    """Imported as it comes, OpenVINO notes a number for this user in the home folder, and reports it."""
    code = (
        "import sys; from dmnet import export; from dmnet.model import build_model\n"
        "try: export.fast(build_model('demo_scale'), precision='fp8')\n"
        "except ValueError as error: print('openvino' in sys.modules, error)"
    )
    home = {name: str(tmp_path) for name in ("HOME", "USERPROFILE", "LOCALAPPDATA")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | home)
    assert done.stdout.startswith("True precision on this processor")
    assert [path.name for path in tmp_path.rglob("*") if "intel" in path.as_posix().lower()] == []


def test_what_is_asked_wrongly_is_refused(pair: Pair) -> None:
    _, fast = pair("demo_scale")
    with pytest.raises(DMNetError, match=r"one of fp32.*, not 'fp16'"):
        export.fast(fast, precision="fp16")  # type: ignore[arg-type]
    with pytest.raises(DMNetError, match="has set this network's precision: predict without one"):
        dmnet.predict(fast, np.zeros((64, 64, 3), np.uint8), precision="bf16")
    with pytest.raises(DMNetError, match="scale_gates needs 4 numbers"):
        dmnet.predict(fast, np.zeros((64, 64, 3), np.uint8), [1.0, 1.0])


def test_a_runtime_that_computes_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pooling = export.adaptive_pooling
    monkeypatch.setattr(export, "adaptive_pooling", lambda x, bins: opset20.Add(pooling(x, bins), 1e-2))
    with pytest.raises(DMNetError, match=r"differs from PyTorch: logits by .* 64 x 64; allowed are 1e-04"):
        export.fast(build_model("demo_scale", filter_sizes=(3,)))


@pytest.mark.skipif(os.name != "posix", reason="alternate signal stacks are a thing of POSIX")
def test_ctrl_c_is_no_crash_after_two_networks_are_gone() -> None:
    """OpenVINO sets the stack that signals are handled on, and frees it as its last runtime but one ends."""
    code = (
        "import copy, gc, signal, dmnet\n"
        "from dmnet import export\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # who runs in the background ignores it
        "small = dmnet.build_model('demo_scale', filter_sizes=(1,))\n"
        "written = export._proto(export.OpenNetwork(small.eval(), False), None)\n"
        "export._proto = lambda *_: copy.deepcopy(written)\n"  # once is enough, for two runtimes
        "networks = [export.fast(small) for _ in range(2)]\n"
        "while networks: networks.pop(0); gc.collect()\n"
        "try: signal.raise_signal(signal.SIGINT)\n"
        "except KeyboardInterrupt: print('stopped')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "stopped\n"), done.stderr
