"""Measure how fast the network is: beside the public code, in bfloat16, by other runtimes and other filters.

    python tools/speed.py                  # data/results/speed.csv
    python tools/speed.py --only dynamic   # some of: predict, runtimes, train, memory, dynamic

A row is a contender beside a reference. In one process they take turns; `times` is the median over the pairs
of (seconds of the reference) / (seconds of the contender), so above 1 the contender is faster, with the least
and the greatest. `difference` is the largest difference of their results, in standard deviations of the
reference's. Rows of the groups measured replace those that the file has of them for this kind of processor.

The public code is `sssegmentation` 1.7.0, which declares none of its needs; ours loads its weights by name:

    `pip install --no-deps sssegmentation==1.7.0 timm==0.9.16 dill`

Where it cannot be imported its rows are not measured, and a line says so.
"""

import argparse
import copy
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import peak_memory
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import dmnet
from dmnet import export, systems
from dmnet.dynamic import dynamic_depthwise_conv
from dmnet.errors import DMNetError
from dmnet.files import atomic_write
from dmnet.losses import segmentation_loss

ROOT = Path(__file__).resolve().parents[1]
OUTPUT = ROOT / "data" / "results" / "speed.csv"
SYSTEM, PAIRS = "ssseg_r50_d8_voc", 7
PREDICTED, TRAINED = (1, 3, 512, 512), (2, 3, 256, 256)
RUNTIMES = {"street": (360, 480), SYSTEM: (512, 512)}  # height and width of the image that each gets
Work = Callable[[], Tensor]


# What is measured ----------------------------------------------------------------------------------------


class Peer:
    """The public code's network, in training or in evaluation, called as its own scripts call it."""

    def __init__(self, mode: str) -> None:
        from ssseg.modules.models.segmentors.dmnet import DMNet
        from ssseg.modules.utils import SSSegInputStructure

        cross_entropy = {"type": "CrossEntropyLoss", "ignore_index": 255, "reduction": "mean"}
        backbone = {"type": "ResNet", "depth": 50, "structure_type": "resnet50conv3x3stem", "outstride": 8}
        head = {"in_channels": 2048, "feats_channels": 512, "filter_sizes": [1, 3, 5, 7], "is_fusion": False}
        configuration = {
            "num_classes": 21,
            "align_corners": False,
            "norm_cfg": {"type": "BatchNorm2d"},
            "act_cfg": {"type": "ReLU", "inplace": True},
            "backbone": backbone
            | {"pretrained": False, "use_conv3x3_stem": True, "selected_indices": (2, 3)},
            "head": head | {"dropout": 0.1},
            "auxiliary": {"in_channels": 1024, "out_channels": 512, "dropout": 0.1},
            "losses": {
                "loss_aux": cross_entropy | {"scale_factor": 0.4},
                "loss_cls": cross_entropy | {"scale_factor": 1.0},
            },
        }
        self.mode, self.wrap = mode, SSSegInputStructure
        self.network: nn.Module = DMNet(configuration, mode).train(mode == "TRAIN")

    def logits(self, images: Tensor) -> Tensor:
        """Return logits at the output stride."""
        answer: Tensor = self.network(self.wrap(images=images, mode=self.mode)).seg_logits
        return answer

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of both heads."""
        answer: Tensor = self.network(self.wrap(images=images, mode=self.mode, seg_targets=labels)).loss
        return answer


def twins(mode: str) -> tuple[dmnet.DMNet, Peer | None]:
    """Return our network, with random weights, and the public code's with the same, if there is one."""
    torch.manual_seed(0)
    ours = dmnet.build_model(SYSTEM).train(mode == "TRAIN")
    try:
        peer = Peer(mode)
    except ImportError as error:
        print(f"sssegmentation cannot be imported, so its rows are not measured: {error}")
        return ours, None
    state = {"model": peer.network.state_dict()}
    file = OUTPUT.with_suffix(".pth.partial")
    try:
        torch.save(state, file)
        dmnet.load_checkpoint(ours, file)
    finally:
        file.unlink(missing_ok=True)
    return ours, peer


def step(network: nn.Module, loss: Work) -> Work:
    """Return a step of training: forward, backward, and the optimizer's."""
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9, weight_decay=5e-4)

    def take() -> Tensor:
        optimizer.zero_grad()
        total = loss()
        total.backward()
        optimizer.step()
        return total.detach()

    return take


def can_halve() -> bool:
    """Say whether oneDNN multiplies in bfloat16 here: elsewhere PyTorch takes minutes."""
    if not (can := torch.ops.mkldnn._is_mkldnn_bf16_supported()):
        print("bfloat16: not measured: it needs a processor with AVX-512")
    return bool(can)


def halved(work: Work) -> Work:
    """Return the work in bfloat16, as `dmnet.predict(..., precision="bf16")` does it."""

    def take() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return work()

    return take


def predict(pairs: int) -> Iterator[dict[str, Any]]:
    """One image of 512 x 512, R-50-D8."""
    ours, peer = twins("TEST")
    images = torch.randn(PREDICTED)

    def plain() -> Tensor:
        return ours.logits(images)

    if peer:
        yield compare("public code", lambda: peer.logits(images), "ours", plain, pairs)
    yield compare("ours", plain, "with the auxiliary head", lambda: ours(images).logits, pairs)
    if can_halve():
        yield compare("ours", plain, "bfloat16", halved(plain), pairs)
    last = copy.deepcopy(ours).to(memory_format=torch.channels_last)
    there = images.to(memory_format=torch.channels_last)
    yield compare("ours", plain, "channels_last", lambda: last.logits(there), pairs)
    compiled = torch.compile(ours.logits)
    yield compare("ours", plain, "compiled", lambda: compiled(images), pairs)


def runtimes(pairs: int) -> Iterator[dict[str, Any]]:
    """One image of a size that the runtimes do not know beforehand, float32 where nothing else is said."""
    for name, (height, width) in RUNTIMES.items():
        torch.manual_seed(0)
        trained = systems.get(name).weights
        ours = dmnet.load_pretrained(name) if trained else dmnet.build_model(name).eval()
        images = torch.randn(1, 3, height, width)
        ways = {"ONNX Runtime": in_onnx_runtime(ours, images)}
        for way, precision in (("OpenVINO", "fp32"), ("OpenVINO, bfloat16", "bf16")):
            try:
                ways[way] = partial(export.fast(ours, precision=precision).logits, images)
            except DMNetError as error:  # the processor cannot, or it is not installed
                print(f"{way}: not measured: {error}")
        ways["torch.compile"] = partial(torch.compile(ours.logits), images)
        for way, work in ways.items():
            found = compare("PyTorch", partial(ours.logits, images), way, work, pairs)
            yield found | {"size": f"{name}, {height} x {width}"}


def in_onnx_runtime(network: dmnet.DMNet, images: Tensor) -> Work:
    """Return the work of ONNX Runtime on an exported file, which takes any size."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors only
    with TemporaryDirectory() as folder:
        file = export.export(network, Path(folder, "network.onnx")).path
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda: torch.from_numpy(session.run(["logits"], {"image": images.numpy()})[0])


def train(pairs: int) -> Iterator[dict[str, Any]]:
    """A step on two images of 256 x 256, R-50-D8."""
    ours, peer = twins("TRAIN")
    recipe, classes = systems.get(SYSTEM).recipe, ours.architecture.num_classes
    images, labels = torch.randn(TRAINED), torch.randint(0, classes, (TRAINED[0], *TRAINED[2:]))

    def loss() -> Tensor:
        return segmentation_loss(ours(images), labels, recipe).total

    plain = step(ours, loss)
    if peer:
        theirs = step(peer.network, lambda: peer.loss(images, labels))
        yield compare("public code", theirs, "ours", plain, pairs, grad=True) | {"difference": None}
    if can_halve():
        halves = step(ours, halved(loss))  # each step changes the weights: the difference would say nothing
        yield compare("ours", plain, "bfloat16", halves, pairs, grad=True) | {"difference": None}


def by_unfolding(features: Tensor, filters: Tensor) -> Tensor:
    """`dynamic_depthwise_conv` for odd k: every neighbourhood a column, times the filter."""
    b, c, h, w = features.shape
    k = filters.shape[-1]
    columns = F.unfold(features, k, padding=k // 2).view(b, c, k * k, h * w)
    return (filters.reshape(b, c, 1, k * k) @ columns).view(b, c, h, w)


def by_taps(features: Tensor, filters: Tensor) -> Tensor:
    """The same: k * k shifted copies, each times its tap."""
    k, (h, w) = filters.shape[-1], features.shape[-2:]
    padded = F.pad(features, [k // 2] * 4)
    total = torch.zeros_like(features)
    for u in range(k):
        for v in range(k):
            total = total + padded[..., u : u + h, v : v + w] * filters[..., u : u + 1, v : v + 1]
    return total


def by_fourier(features: Tensor, filters: Tensor) -> Tensor:
    """The same: a product of spectra."""
    k, (h, w) = filters.shape[-1], features.shape[-2:]
    size = (h + k - 1, w + k - 1)
    spectrum = torch.fft.rfft2(features, size) * torch.fft.rfft2(filters, size).conj()
    full = torch.fft.irfft2(spectrum, size).roll((k // 2, k // 2), (-2, -1))
    return full[..., :h, :w]


def dynamic(pairs: int) -> Iterator[dict[str, Any]]:
    """The dynamic convolution alone: 512 channels of 64 x 64, batches of 1 and 2."""
    ways = {"unfold": by_unfolding, "a loop over taps": by_taps, "Fourier": by_fourier}
    for batch in (1, 2):
        for k in (1, 3, 5, 7):
            torch.manual_seed(k)
            f, g = torch.randn(batch, 512, 64, 64), torch.randn(batch, 512, k, k)

            def forward(way: Callable[..., Tensor], f: Tensor = f, g: Tensor = g) -> Work:
                return lambda: way(f, g)

            def both(way: Callable[..., Tensor], f: Tensor = f, g: Tensor = g) -> Work:
                pair = (f.clone().requires_grad_(), g.clone().requires_grad_())

                return lambda: torch.autograd.grad(way(*pair).square().sum(), pair)[0]

            for name, way in ways.items():
                for kind, work in (("forward", forward), ("forward and backward", both)):
                    ours = work(dynamic_depthwise_conv)
                    found = compare("groups", ours, name, work(way), pairs, grad=work is both)
                    yield found | {"size": f"{batch} x 512 x 64 x 64, k = {k}", "kind": kind}


def memory(pairs: int) -> Iterator[dict[str, Any]]:
    """The most memory that a process has that does one of these, beside one that imports the same."""
    for kind in ("prediction", "step"):
        peaks = {}
        for who in ("ours", "public code"):
            threads = str(torch.get_num_threads())
            command = [sys.executable, __file__, "--child", kind, who, "--threads", threads]
            run = subprocess.run(command, capture_output=True, text=True, check=False)
            if run.returncode:
                print(f"{kind}, {who}: not measured: {run.stderr.strip().splitlines()[-1:]}")
                continue
            peaks[who] = float(run.stdout.split()[-1])
        if len(peaks) == 2:
            shown = {"kind": kind, "reference": "public code", "contender": "ours"}
            yield shown | {
                "megabytes": round(peaks["ours"]),
                "reference megabytes": round(peaks["public code"]),
            }


def child(kind: str, who: str) -> None:
    """Do it twice in this process, and print the most megabytes it had."""
    mode = "TEST" if kind == "prediction" else "TRAIN"
    torch.manual_seed(0)
    network: Peer | dmnet.DMNet = Peer(mode)
    if who == "ours":  # both have imported the same; the other network is gone before ours is built
        del network
        network = dmnet.build_model(SYSTEM).train(mode == "TRAIN")
    if kind == "prediction":
        images = torch.randn(PREDICTED)
        with torch.inference_mode():
            for _ in range(2):
                network.logits(images)
    else:
        recipe, classes = systems.get(SYSTEM).recipe, systems.get(SYSTEM).architecture.num_classes
        images, labels = torch.randn(TRAINED), torch.randint(0, classes, (TRAINED[0], *TRAINED[2:]))
        if isinstance(network, Peer):
            peer = network
            take = step(peer.network, lambda: peer.loss(images, labels))
        else:
            ours = network
            take = step(ours, lambda: segmentation_loss(ours(images), labels, recipe).total)
        for _ in range(2):
            take()
    print(peak_memory.memory())


# How it is measured --------------------------------------------------------------------------------------


def compare(
    reference: str, first: Work, contender: str, second: Work, pairs: int, grad: bool = False
) -> dict[str, Any]:
    """Let the two take turns, and return how many times as fast the contender is."""
    with torch.inference_mode(not grad):
        wanted, found = first().float(), second().float()
        ratios, seconds = [], []
        for _ in range(pairs):
            start = time.perf_counter()
            first()
            middle = time.perf_counter()
            second()
            end = time.perf_counter()
            ratios.append((middle - start) / (end - middle))
            seconds.append(end - middle)
    spread = wanted.std().item() if wanted.numel() > 1 else abs(wanted.item())
    row = {
        "reference": reference,
        "contender": contender,
        "times": round(statistics.median(ratios), 3),
        "least": round(min(ratios), 3),
        "greatest": round(max(ratios), 3),
        "pairs": pairs,
        "seconds": round(statistics.median(seconds), 4),
        "difference": float(f"{(found - wanted).abs().max().item() / spread:.1e}"),
    }
    print(
        f"{contender} beside {reference}: {row['times']} times as fast ({row['least']} to {row['greatest']})"
    )
    return row


def instructions() -> str:
    """Say what PyTorch's kernels use here at most, and which instructions for bfloat16 there are."""
    known = {"BF16": torch.cpu._is_avx512_bf16_supported(), "AMX": torch.cpu._is_amx_tile_supported()}
    return ", ".join([torch.backends.cpu.get_cpu_capability(), *(name for name in known if known[name])])


def main() -> None:
    """Measure the groups asked for, and put them into the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    groups = {work.__name__: work for work in (predict, runtimes, train, memory, dynamic)}
    parser.add_argument("--only", nargs="+", choices=[*groups], default=[*groups])
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--threads", type=int, help="default: as many as there are cores")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.child:
        return child(*arguments.child)
    table = pd.read_csv(arguments.output) if arguments.output.exists() else pd.DataFrame()
    for name in arguments.only:
        rows = pd.DataFrame(groups[name](arguments.pairs)).assign(
            group=name,
            threads=torch.get_num_threads(),
            torch=torch.__version__,
            machine=platform.machine(),
            instructions=instructions(),
        )
        kept = table.query("group != @name or instructions != @instructions()") if len(table) else table
        table = pd.concat([kept, rows], ignore_index=True)
        with atomic_write(arguments.output) as temporary:
            table.to_csv(temporary, index=False)


if __name__ == "__main__":
    main()
