"""The tool that measures speed: its other filters are the same filter, its table what it measured."""

import re
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor

import dmnet
from dmnet.dynamic import dynamic_depthwise_conv

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
import speed


@pytest.mark.parametrize("way", [speed.by_unfolding, speed.by_taps, speed.by_fourier])
@pytest.mark.parametrize("k", [1, 3, 5, 7])
def test_every_way_is_the_dynamic_convolution(way: Callable[[Tensor, Tensor], Tensor], k: int) -> None:
    torch.manual_seed(k)
    features, filters = torch.randn(2, 3, 9, 12), torch.randn(2, 3, k, k)
    torch.testing.assert_close(
        way(features, filters), dynamic_depthwise_conv(features, filters), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("halves", [True, False])  # with and without bfloat16
def test_groups_that_are_measured_again_are_replaced(
    halves: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(speed, "SYSTEM", "demo_scale")
    monkeypatch.setattr(speed, "PREDICTED", (1, 3, 32, 32))
    monkeypatch.setattr(speed, "TRAINED", (2, 3, 32, 32))
    monkeypatch.setattr(speed, "Peer", lambda mode: (_ for _ in ()).throw(ImportError("no ssseg")))
    monkeypatch.setattr(torch, "compile", lambda work: work)
    monkeypatch.setattr(speed, "can_halve", lambda: halves)
    file = tmp_path / "speed.csv"
    for groups in (["predict", "train"], ["train"]):
        monkeypatch.setattr(
            sys, "argv", ["speed.py", "--pairs", "2", "--output", str(file), "--only", *groups]
        )
        speed.main()
    table = pd.read_csv(file)
    other = table.assign(instructions="of another processor")
    pd.concat([table, other]).to_csv(file, index=False)
    speed.main()
    again = pd.read_csv(file)
    assert again.groupby("instructions").size().to_dict() == {
        speed.instructions(): len(table),
        "of another processor": len(table),  # what only another machine can measure again is kept
    }
    sizes = {"predict": 4, "train": 1} if halves else {"predict": 3}
    assert table.groupby("group").size().to_dict() == sizes
    assert "sssegmentation cannot be imported" in capsys.readouterr().out
    assert (table["least"] <= table["times"]).all() and (table["times"] <= table["greatest"]).all()
    exact = table[(table["group"] == "predict") & (table["contender"] != "bfloat16")]
    assert (exact["difference"] < 1e-4).all()  # the same numbers, or the comparison would be worth nothing
    halved = table[(table["group"] == "predict") & (table["contender"] == "bfloat16")]
    assert (halved["difference"].between(1e-4, 0.2)).all()


@pytest.mark.slow
def test_other_runtimes_compute_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if find_spec("openvino") is None:
        pytest.skip("there is no OpenVINO for this system, or no [fast]")
    monkeypatch.setattr(speed, "RUNTIMES", {"demo_scale": (32, 48)})
    small = dmnet.build_model("demo_scale", filter_sizes=(3,)).eval()  # soon exported
    monkeypatch.setattr(dmnet, "load_pretrained", lambda _: small)
    monkeypatch.setattr(torch, "compile", lambda work: work)
    file = tmp_path / "speed.csv"
    arguments = ["--pairs", "1", "--output", str(file), "--only", "runtimes"]
    monkeypatch.setattr(sys, "argv", ["speed.py", *arguments])
    speed.main()
    table = pd.read_csv(file).set_index("contender")
    exact = {"ONNX Runtime", "OpenVINO", "torch.compile"}
    assert set(table.index) - {"OpenVINO, bfloat16"} == exact
    # The processor has none, or it is kept to AVX2 here.
    refusal = "OpenVINO, bfloat16: not measured: (precision on this|OpenVINO cannot compute this)"
    refused = re.search(refusal, capsys.readouterr().out) is not None
    assert refused is ("OpenVINO, bfloat16" not in table.index)
    assert set(table["size"]) == {"demo_scale, 32 x 48"} and set(table["reference"]) == {"PyTorch"}
    assert (table.loc[sorted(exact), "difference"] < 1e-4).all()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux keeps who has started a process")
def test_the_memory_of_who_starts_the_process_is_not_counted() -> None:
    held = bytearray(b"x" * 2**30)
    folder = str(Path(speed.__file__).parent)
    code = f"import sys; sys.path.insert(0, {folder!r}); import speed; print(speed.peak_memory.memory())"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert speed.peak_memory.memory() > 1024 > float(run.stdout)
    del held
