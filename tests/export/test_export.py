"""ONNX: every system exports, runs in ONNX Runtime and gives PyTorch's numbers; what does not is refused."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnxscript import opset20
from test_model import GOLDENS, REFERENCE, fill, filled_model
from torch import nn
from typer.testing import CliRunner

import dmnet
from dmnet import backbone, export, model, systems, zoo
from dmnet.checkpoints import weights_digest
from dmnet.cli import application
from dmnet.errors import DMNetError
from dmnet.inference import labels_at
from dmnet.model import build_model
from dmnet.transforms import evaluation_image
from dmnet.worlds.demo import WORLDS

PUBLISHED = list(zoo.PUBLISHED)
DEMOS = ["demo_scale", "demo_context"]


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run(path: Path, **inputs: torch.Tensor | np.ndarray) -> dict[str, np.ndarray]:
    """Run a file in ONNX Runtime; what isn't given of gates and other filters does nothing."""
    here = session(path)
    shapes = {one.name: one.shape for one in here.get_inputs()}
    arrays = {name: np.asarray(value, np.float32) for name, value in inputs.items()}
    for name, shape in shapes.items():
        if name not in arrays:
            arrays[name] = (np.ones if name == "scale_gates" else np.zeros)(shape, np.float32)
    names = [one.name for one in here.get_outputs()]
    return dict(zip(names, here.run(names, arrays), strict=True))


def read_metadata(path: Path) -> dict[str, Any]:
    return {entry.key: json.loads(entry.value) for entry in onnx.load(path).metadata_props}


def assert_close(found: np.ndarray, expected: torch.Tensor, relative: float = 1e-4) -> None:
    assert found.shape == tuple(expected.shape)
    assert np.abs(found - expected.numpy()).max() <= relative * expected.abs().max().item()


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both demo systems as the playground loads them."""
    folder = tmp_path_factory.mktemp("demos")
    for name in DEMOS:
        export.export(dmnet.load_pretrained(name), folder / f"{name}.onnx", inner=True)
    return {name: folder / f"{name}.onnx" for name in DEMOS}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo system as one exports it for other runtimes."""
    path = tmp_path_factory.mktemp("plain") / "plain.onnx"
    return export.export(dmnet.load_pretrained("demo_scale"), path).path


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every ResNet an eighth as wide, its stages of a first block and one of those after it."""

    def build(name: str, stem: str, output_stride: int) -> backbone.ResNet:
        block, _ = backbone.RESNETS[name]
        return backbone.ResNet(block, (2, 2, 2, 2), stem, output_stride, widths=8)

    monkeypatch.setattr(model, "build_backbone", build)


def one_of_each() -> list[str]:
    """One system per architecture; those that differ in depth or in classes alone are of one kind."""
    kinds = {}
    for name in PUBLISHED:
        architecture = systems.get(name).architecture
        kinds.setdefault(dataclasses.replace(architecture, num_classes=2, backbone="resnet50"), name)
    return list(kinds.values())


@pytest.mark.few(1)
@pytest.mark.parametrize("name", one_of_each())
@pytest.mark.usefixtures("narrow")
def test_every_kind_of_published_system_exports_and_runs(name: str, tmp_path: Path) -> None:
    network = build_model(name, channels=16, fusion_channels=16).eval()
    done = export.export(network, tmp_path / "system.onnx")
    assert done.difference <= 1e-4
    image, gates = torch.randn(1, 3, 70, 51), torch.tensor([0.5, 0.0, 1.0, 2.0])  # no size that export checks
    with torch.inference_mode():
        expected = network(image, gates).logits
    assert_close(run(done.path, image=image, scale_gates=gates)["logits"], expected)
    assert read_metadata(done.path)["classes"] == list(systems.get(name).classes)


@pytest.mark.parametrize("gates", [None, [1.0, 0.0, 0.5, 2.0]])
def test_the_image_alone_gives_the_labels_of_predict(gates: list[float] | None, plain: Path) -> None:
    network, image = dmnet.load_pretrained("demo_scale"), WORLDS["demo_scale"].scene(0, "test", 26).image
    here = session(plain)
    assert [one.name for one in here.get_inputs()] == ["image"]
    inputs = {"image": evaluation_image("demo_scale", image)[None].numpy()}
    if gates is not None:
        inputs["scale_gates"] = np.array(gates, np.float32)
    logits = torch.from_numpy(here.run(["logits"], inputs)[0][0])
    np.testing.assert_array_equal(labels_at(logits, image.shape[:2]), dmnet.predict(network, image, gates))


IN_A_PAGE = """
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
const [runtime, plain] = process.argv.slice(2);
const ort = await import(`${runtime}/ort.wasm.bundle.min.mjs`);
ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmBinary = gunzipSync(readFileSync(`${runtime}/ort-wasm-simd-threaded.wasm.gz`)).buffer;
ort.env.logLevel = "error";
const session = await ort.InferenceSession.create(new Uint8Array(readFileSync(plain)));
const image = () => new ort.Tensor("float32", new Float32Array(3 * 16 * 16).fill(0.5), [1, 3, 16, 16]);
console.log(JSON.stringify([...(await session.run({ image: image() })).logits.data]));
const scale_gates = new ort.Tensor("float32", new Float32Array(4), [4]);
await session.run({ image: image(), scale_gates }).catch((error) => console.log(error.message));
"""


def test_a_page_gives_the_image_and_can_give_no_more(plain: Path, root: Path, tmp_path: Path) -> None:
    """Why `inner` files, which the playground steers, want all their inputs."""
    node = shutil.which("node", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    runtime = root / ".venv" / "static" / "onnxruntime"
    if node is None or not runtime.is_dir():
        pytest.skip("needs Node and ONNX Runtime for pages: `make setup`")
    (tmp_path / "page.mjs").write_text(IN_A_PAGE)
    command = [node, str(tmp_path / "page.mjs"), str(runtime), str(plain)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    found, refusal = done.stdout.splitlines()
    with torch.inference_mode():
        expected = dmnet.load_pretrained("demo_scale").eval()(torch.full((1, 3, 16, 16), 0.5)).logits
    assert_close(np.reshape(json.loads(found), expected.shape), expected)
    assert refusal == "invalid input 'scale_gates'"


IN_PLAIN_JAVASCRIPT = """
import { readFileSync } from "node:fs";
const [script, file, inputs] = process.argv.slice(2);
const { Network } = await import(script);
const bytes = readFileSync(file);
const network = new Network(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
for (const given of JSON.parse(readFileSync(inputs))) {
  const values = Object.fromEntries(Object.entries(given).map(([name, { data, dims }]) =>
    [name, { data: Float32Array.from(data), dims }]));
  const outputs = Object.entries(network.run(values));
  console.log(JSON.stringify(outputs.map(([name, { data, dims }]) => [name, dims, [...data]])));
}
"""


def in_plain_javascript(root: Path, folder: Path, file: Path, inputs: list[dict[str, np.ndarray]]) -> Any:
    """Run a file in the playground's `onnx.js`; return all outputs, or what it complains of."""
    node = shutil.which("node", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if node is None:
        pytest.skip("needs Node: `make setup`")
    (folder / "run.mjs").write_text(IN_PLAIN_JAVASCRIPT)
    given = [{n: {"data": a.ravel().tolist(), "dims": a.shape} for n, a in one.items()} for one in inputs]
    (folder / "inputs.json").write_text(json.dumps(given))
    script = root / "dmnet" / "playground" / "frontend" / "onnx.js"
    command = [node, str(folder / "run.mjs"), str(script), str(file), str(folder / "inputs.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        return done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return [{name: np.reshape(data, dims) for name, dims, data in answer} for answer in answers]


@pytest.mark.parametrize("name", DEMOS)
def test_plain_javascript_gives_the_same(
    name: str, demos: dict[str, Path], root: Path, tmp_path: Path
) -> None:
    """What answers in the playground until the runtime is there: every output, odd sizes, lent filters."""
    shapes = {one.name: one.shape for one in session(demos[name]).get_inputs()}
    random = np.random.default_rng(0)
    inputs = []
    for size in ((128, 128), (65, 97), (17, 30)):
        shapes["image"] = [1, 3, *size]
        inputs.append({one: random.random(shape, np.float32) for one, shape in shapes.items()})
    found = in_plain_javascript(root, tmp_path, demos[name], inputs)
    for given, outputs in zip(inputs, found, strict=True):
        expected = run(demos[name], **given)
        assert list(outputs) == list(expected)
        for output, values in expected.items():
            assert_close(outputs[output], torch.from_numpy(values))


def test_plain_javascript_refuses_what_it_cannot(root: Path, tmp_path: Path) -> None:
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    node = onnx.helper.make_node("Sigmoid", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "graph", [value], [])
    onnx.save(onnx.helper.make_model(graph), tmp_path / "sigmoid.onnx")
    complaint = in_plain_javascript(root, tmp_path, tmp_path / "sigmoid.onnx", [])
    assert "there is no operation Sigmoid" in complaint


# Every time, PyTorch's answers are held to the recorded ones (test_model), and a narrow file's to PyTorch's.
@pytest.mark.long
@pytest.mark.parametrize("name", ["ssseg_r50_d8_voc", "ssseg_r101_d8_ade20k"])
def test_the_exported_network_matches_the_public_implementation(name: str, tmp_path: Path) -> None:
    """In full width and depth, against outputs recorded from ssseg itself."""
    golden = np.load(REFERENCE / f"golden_{GOLDENS[name]}.npz")
    batch, _, height, width, seed = golden["input"].tolist()
    done = export.export(filled_model(name), tmp_path / "system.onnx")
    images = fill.golden_input(batch, height, width, seed)
    for image, expected in zip(images, golden["logits"], strict=True):
        found = run(done.path, image=image[None])["logits"][0]
        assert np.abs(found - expected).max() / expected.std() <= 1e-4


@pytest.mark.parametrize("name", DEMOS)
def test_demo_systems_are_small(name: str, demos: dict[str, Path]) -> None:
    assert demos[name].stat().st_size <= 1_000_000


@pytest.mark.parametrize("name", DEMOS)
@pytest.mark.parametrize("size", [(160, 160), (97, 131), (40, 9), (1, 1)])
def test_the_inside_of_a_demo_system(name: str, size: tuple[int, int], demos: dict[str, Path]) -> None:
    network, image = dmnet.load_pretrained(name), torch.randn(1, 3, *size)
    gates = torch.tensor([1.0, 0.0, 0.5, 2.0])
    found = run(demos[name], image=image, scale_gates=gates)
    with torch.inference_mode():
        assert_close(found["logits"], network(image, gates).logits)
        features = network.backbone(image).stage4
        for scale in network.head.scales:
            assert_close(found[f"filters_{scale.filter_size}"], scale.filters(features)[0])
            assert_close(found[f"responses_{scale.filter_size}"], scale(features)[0])


def test_other_filters_take_the_place_of_an_images_own(demos: dict[str, Path]) -> None:
    """Fed the filters of image B, image A answers as PyTorch does with them; half way is their mean."""
    network = dmnet.load_pretrained("demo_context")
    a, b = torch.randn(2, 1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    b = b + 1  # not just other noise: another light
    own, others = run(demos["demo_context"], image=a), run(demos["demo_context"], image=b)
    given = {f"other_{name}": array for name, array in others.items() if name.startswith("filters_")}
    swapped = run(demos["demo_context"], image=a, other_weight=[0, 1, 0.5, 1], **given)
    np.testing.assert_array_equal(swapped["filters_1"], own["filters_1"])
    np.testing.assert_array_equal(swapped["filters_7"], others["filters_7"])
    np.testing.assert_allclose(swapped["filters_5"], (own["filters_5"] + others["filters_5"]) / 2, atol=1e-6)
    replaced = [torch.from_numpy(swapped[f"filters_{k}"])[None] for k in (1, 3, 5, 7)]
    with torch.inference_mode():
        features = network.backbone(a).stage4
        assert_close(
            swapped["logits"], network.head.logits(features, network.head.responses(features, replaced))
        )
    assert np.abs(swapped["logits"] - own["logits"]).max() > 0.1


def test_an_image_of_fixed_size(tmp_path: Path, demos: dict[str, Path]) -> None:
    network, free = dmnet.load_pretrained("demo_scale"), demos["demo_scale"]
    done = export.export(network, tmp_path / "fixed.onnx", size=(61, 50), inner=True)
    assert done.size == (61, 50)
    assert len(onnx.load(done.path).graph.node) < len(
        onnx.load(free).graph.node
    )  # its pooling matrices are constants
    assert [one.shape for one in session(done.path).get_inputs()][:2] == [[1, 3, 61, 50], [4]]
    assert [one.shape for one in session(free).get_inputs()][:2] == [[1, 3, "height", "width"], [4]]
    assert read_metadata(done.path)["image_size"] == [61, 50]
    with pytest.raises(onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument):
        run(done.path, image=torch.zeros(1, 3, 64, 64))


@pytest.mark.few(1)
@pytest.mark.parametrize("filters", ["static", "dynamic"])
def test_other_filter_sizes_and_static_filters(filters: str, tmp_path: Path) -> None:
    network = build_model("demo_scale", filters=filters, filter_sizes=(2, 4, 9))
    assert export.export(network, tmp_path / "x.onnx", inner=True).difference <= 1e-4
    names = [one.name for one in session(tmp_path / "x.onnx").get_outputs()]
    assert names == ["logits", *(f"{what}_{k}" for what in ("filters", "responses") for k in (2, 4, 9))]


def test_the_plain_stem_and_basic_blocks(tmp_path: Path) -> None:
    assert export.export(build_model("small_r18", channels=8), tmp_path / "x.onnx").difference <= 1e-4


def test_what_the_file_says_of_itself(demos: dict[str, Path]) -> None:
    network, facts = dmnet.load_pretrained("demo_scale"), read_metadata(demos["demo_scale"])
    assert facts["system"] == facts["dataset"] == "demo_scale"
    assert facts["classes"] == list(systems.get("demo_scale").classes)
    assert facts["architecture"]["filter_sizes"] == facts["filter_sizes"] == [1, 3, 5, 7]
    assert facts["mean"] == pytest.approx([123.675, 116.28, 103.53])
    assert facts["std"] == pytest.approx([58.395, 57.12, 57.375])
    assert (facts["channel_order"], facts["image_size"]) == ("RGB", None)
    assert facts["dmnet_version"] == dmnet.__version__
    proto = onnx.load(demos["demo_scale"])
    assert facts["opset"] == proto.opset_import[0].version == 20
    assert facts["weights_sha256"] == weights_digest(network.state_dict())
    with torch.no_grad():
        network.head.classify.bias[0] += 1e-6
    assert facts["weights_sha256"] != weights_digest(network.state_dict())


def test_no_file_tells_where_it_was_made(demos: dict[str, Path], root: Path) -> None:
    for path in demos.values():
        content = path.read_bytes()
        assert str(root).encode() not in content and b".py" not in content


def quick() -> model.DMNet:
    """A network of one scale: its graph is small, and for one size of image it is soon written."""
    return build_model("demo_scale", filter_sizes=(3,))


def test_equal_weights_make_equal_files(tmp_path: Path) -> None:
    weights = quick().state_dict()
    for name in ("one", "other"):
        network = quick()
        network.load_state_dict(weights)
        export.export(network, tmp_path / name, size=(40, 40), inner=True)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_the_model_stays_as_it_was(tmp_path: Path) -> None:
    network = quick().train().to(torch.bfloat16)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    export.export(network, tmp_path / "x.onnx", size=(40, 40))
    assert network.training and network.backbone.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert "scales" not in vars(network.head)
    assert network.head.classify.weight.dtype == torch.bfloat16


def test_a_file_that_differs_from_pytorch_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_text("an older file")
    pooling = export.adaptive_pooling

    def shifted(x: Any, bins: Sequence[int]) -> Any:
        return opset20.Add(pooling(x, bins), 1e-2)

    with (
        mock.patch.object(export, "adaptive_pooling", shifted),
        pytest.raises(DMNetError, match=r"differs from PyTorch: logits by .* 64 x 64; allowed are 1e-04"),
    ):
        export.export(quick(), tmp_path / "x.onnx", size=(64, 64), inner=True)
    assert [path.name for path in tmp_path.iterdir()] == ["x.onnx"]
    assert (tmp_path / "x.onnx").read_text() == "an older file"


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    network = quick()
    nn.init.constant_(network.head.classify.bias, float("nan"))
    with pytest.raises(DMNetError, match=r"logits by nan .* Are the model's weights finite"):
        export.export(network, tmp_path / "x.onnx", size=(40, 40))
    assert list(tmp_path.iterdir()) == []


class Choosy(nn.Module):
    """Computes another thing for another image, which no graph can."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.mean() > 0 else -x


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    network = quick()
    network.head.fuse[2] = Choosy()
    with pytest.raises(DMNetError, match="PyTorch cannot write the network as ONNX"):
        export.export(network, tmp_path / "x.onnx", size=(40, 40))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [(0, 5), (-1, 8)])
def test_a_size_without_pixels_is_refused(size: tuple[int, int], tmp_path: Path) -> None:
    with pytest.raises(DMNetError, match="at least 1, got"):
        export.export(build_model("demo_scale"), tmp_path / "x.onnx", size=size)


@pytest.mark.parametrize(
    ("lacking", "call", "name"),
    [
        ("onnx", "export.export(build_model('demo_scale'), 'x.onnx')", "export"),
        ("openvino", "export.fast(build_model('demo_scale'))", "fast"),
    ],
)
def test_where_a_part_is_missing_the_message_says_what_to_install(lacking: str, call: str, name: str) -> None:
    code = (
        f"import sys; sys.modules['{lacking}'] = sys.modules['onnxruntime'] = None\n"
        "from dmnet import export; from dmnet.model import build_model\n"
        f"try: {call}\n"
        "except ValueError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"{lacking} is not installed: pip install 'dmnet[{name}]'" in done.stdout


def test_the_help_says_what_a_file_needs() -> None:
    words = " ".join(CliRunner().invoke(application(), ["export", "--help"]).stdout.split())
    assert "needs one input, the image" in words and "ones by default" in words


def test_the_command(tmp_path: Path) -> None:
    target = tmp_path / "demo.onnx"
    command = ["export", "demo_scale", str(target), "--size", "96x64", "--inner"]
    done = CliRunner().invoke(application(), command)
    assert done.exit_code == 0, done.output
    assert "images of 96 x 64 pixels" in done.stdout and "of PyTorch" in done.stdout
    assert read_metadata(target)["image_size"] == [96, 64]
    done = CliRunner().invoke(application(), ["export", "demo_scale", str(target), "--size", "big"])
    assert (done.exit_code, "HEIGHTxWIDTH" in done.stderr) == (2, True)
    assert read_metadata(target)["image_size"] == [96, 64]  # the older file is intact
