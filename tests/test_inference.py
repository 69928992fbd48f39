"""Prediction by every protocol, whatever the image; evaluation by any number of processes."""

import os
import socket
import subprocess
import sys
import textwrap
from dataclasses import replace
from itertools import product
from typing import Any
from unittest.mock import Mock, patch

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from dmnet import datasets, inference, systems, zoo
from dmnet.analysis.boundaries import Trimap
from dmnet.errors import DataError, DMNetError
from dmnet.inference import evaluate, fuse, predict, predict_batch
from dmnet.metrics import ConfusionMatrix
from dmnet.model import Output, build_model, evaluating, from_system
from dmnet.systems import Architecture, Evaluation
from dmnet.transforms import evaluation_image


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build_model("demo_context", num_classes=5)


@pytest.fixture(scope="module")
def scenes():
    """A trained network, scenes that it knows some of, and what one process counts on them."""
    model = zoo.load_pretrained("demo_context")
    data = datasets.load("demo_context", split="test", size=7)
    trimap = Trimap(7)
    matrix = evaluate(model, data, metrics=[trimap])
    assert 0.5 < matrix.miou() < 1
    return model, data, matrix, trimap


def image_of(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (7, 9), (64, 64), (61, 131)])
def test_labels_have_the_size_of_the_image(model, size):
    labels = predict(model, image_of(*size))
    assert labels.shape == size and labels.dtype == np.uint8 and labels.max() < 5


def test_predict_is_the_published_sequence_of_steps():
    torch.manual_seed(1)
    system = replace(systems.get("demo_context"), evaluation=Evaluation(resize=(96, 48)))
    model = from_system(system).eval()
    image = image_of(90, 70)
    with torch.no_grad():
        logits = model(evaluation_image(system, image)[None]).logits
    wanted = F.interpolate(logits, (90, 70), mode="bilinear").argmax(1)[0]
    assert (predict(model, image) == wanted.numpy()).mean() > 0.999


class Patches(nn.Module):
    """A quick network whose logits depend on where a window ends: one convolution with stride 8."""

    system = None

    def __init__(self, corners: bool) -> None:
        super().__init__()
        self.architecture = Architecture(num_classes=6, align_corners=corners)
        self.convolution = nn.Conv2d(3, 6, 11, stride=8, padding=5)

    def forward(self, images: torch.Tensor) -> Output:
        return Output(self.logits(images), None)

    def logits(self, images: torch.Tensor, scale_gates: object = None) -> torch.Tensor:
        return self.convolution(images)


def plain(model: Any, image: np.ndarray, protocol: Evaluation) -> torch.Tensor:
    """The public implementations' way: everything at full size, windows padded, added up and divided.

    Returns logits, or probabilities, [K, H, W].
    """
    corners, parts = model.architecture.align_corners, []
    for scale, flip in product(protocol.scales, (False, True) if protocol.flip else (False,)):
        long, short = protocol.resize
        resized = Evaluation(resize=(int(long * scale), int(short * scale)))
        images = evaluation_image(replace(systems.get("demo_scale"), evaluation=resized), image)[None]
        images = images.flip(3) if flip else images
        if protocol.window:
            logits = slide(model, images, protocol.window, protocol.window_stride)
        else:
            logits = model(images).logits
            if protocol.upsampling == "two-step":
                logits = F.interpolate(logits, images.shape[2:], mode="bilinear", align_corners=corners)
        logits = F.interpolate(logits, image.shape[:2], mode="bilinear", align_corners=corners)
        if protocol.average == "softmax":
            logits = logits.softmax(1)
        parts.append(logits.flip(3) if flip else logits)
    return torch.stack(parts).mean(0)[0]


def slide(model: Any, images: torch.Tensor, window: Any, stride: Any) -> torch.Tensor:
    """mmsegmentation 0.x, `slide_inference`, before the logits are resized."""
    height, width = images.shape[2:]
    added, count = torch.zeros(1, 6, height, width), torch.zeros(1, 1, height, width)
    for row in range(max(height - window[0] + stride[0] - 1, 0) // stride[0] + 1):
        for column in range(max(width - window[1] + stride[1] - 1, 0) // stride[1] + 1):
            bottom, right = (
                min(row * stride[0] + window[0], height),
                min(column * stride[1] + window[1], width),
            )
            top, left = max(bottom - window[0], 0), max(right - window[1], 0)
            part = images[:, :, top:bottom, left:right]
            corners = model.architecture.align_corners
            logits = F.interpolate(model(part).logits, part.shape[2:], mode="bilinear", align_corners=corners)
            added += F.pad(logits, (left, width - right, top, height - bottom))
            count[:, :, top:bottom, left:right] += 1
    return added / count


protocols = st.builds(
    Evaluation,
    resize=st.tuples(st.integers(30, 90), st.integers(30, 90)),
    scales=st.sampled_from([(1.0,), (0.5, 1.0), (0.75, 1.6)]),
    flip=st.booleans(),
    average=st.sampled_from(["logits", "softmax"]),
    upsampling=st.sampled_from(["direct", "two-step"]),
)


@given(
    protocol=protocols,
    window=st.none() | st.tuples(st.integers(20, 70), st.integers(20, 70)),
    shrink=st.integers(0, 15),
    size=st.tuples(st.integers(20, 90), st.integers(20, 90)),
    corners=st.booleans(),
)
def test_every_protocol_is_the_plain_computation(protocol, window, shrink, size, corners):
    torch.manual_seed(size[0])
    model, image = Patches(corners), image_of(*size)
    if window is not None:
        stride = (window[0] - shrink, window[1] - shrink)
        protocol = replace(protocol, window=window, window_stride=stride)
    with torch.no_grad(), patch.object(inference, "fuse", wraps=fuse) as fused:
        wanted = plain(model, image, protocol)
        labels = predict(model, image, protocol=protocol)
    (views, average), _ = fused.call_args
    full = torch.stack([rows @ logits[0] @ columns.T for logits, rows, columns in views])
    full = full.softmax(1) if average == "softmax" else full
    torch.testing.assert_close(full.mean(0), wanted, atol=1e-5, rtol=1e-5)
    assert (labels == wanted.argmax(0).numpy()).mean() >= 0.9999


def test_a_network_whose_filters_depend_on_the_crop_answers_differently_in_windows(scenes):
    model, data, *_ = scenes
    image, whole = data[0][0], predict(model, data[0][0])
    one_window = Evaluation(resize=None, window=(128, 200), window_stride=(128, 200))
    np.testing.assert_array_equal(predict(model, image, protocol=one_window), whole)
    windows = replace(one_window, window=(96, 96), window_stride=(64, 64))
    assert (predict(model, image, protocol=windows) != whole).mean() > 0.01


def test_the_systems_own_protocol_is_the_default(scenes):
    trained, data, *_ = scenes
    own = Evaluation(resize=None, window=(64, 64), window_stride=(64, 64), flip=True)
    model = build_model("demo_context")
    model.load_state_dict(trained.state_dict())
    model.system, image = replace(model.system, evaluation=own), data[0][0]
    np.testing.assert_array_equal(predict(model, image), predict(model, image, protocol=own))
    for other in (replace(own, flip=False), replace(own, window_stride=(32, 32)), Evaluation()):
        assert (predict(model, image) != predict(model, image, protocol=other)).any()
    slid = systems.get("mmseg_r50_d8_cityscapes_769x769_80k").evaluation
    assert slid.window == (769, 769) and slid.average == "softmax" and slid.upsampling == "two-step"


def test_batches_change_at_most_the_rounding(model):
    protocol = Evaluation(resize=None, window=(32, 40), window_stride=(20, 30), flip=True)
    images = [image_of(70, 80), image_of(70, 80)[::-1], image_of(70, 80)[:, ::-1]]
    alone = [predict(model, image, protocol=protocol) for image in images]
    together = predict_batch(model, images, protocol=protocol)
    assert (np.stack(alone) == together).mean() >= 0.9999


def test_a_gpu_computes_images_of_one_size_at_once_and_a_cpu_one_by_one(model, monkeypatch):
    class Sizes(Ramp):
        def __len__(self):
            return 6

        def __getitem__(self, index):
            image = image_of((20, 20, 20, 24, 20, 20)[index], 30)
            return image, image[..., 0] % 5, ""

    calls = Mock(side_effect=lambda model, images, *_: np.stack(images)[..., 0] % 5)
    monkeypatch.setattr(inference, "predict_batch", calls)
    for device, wanted in (("cpu", [1] * 6), ("cuda", [2, 1, 1, 2])):
        calls.reset_mock()
        parameter = Mock(device=Mock(type=device))
        with patch.object(model, "parameters", lambda found=parameter: iter([found])):
            evaluate(model, Sizes(model), batch_size=2)
        assert [len(call.args[1]) for call in calls.call_args_list] == wanted


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGBA", "P", "CMYK", "I;16"])
def test_every_kind_of_picture_is_predicted(model, mode, tmp_path):
    picture = Image.fromarray(image_of(20, 31))
    if mode == "I;16":
        picture = Image.fromarray(image_of(20, 31)[..., 0].astype(np.uint16) << 8)
    else:
        picture = picture.convert(mode)
    path = tmp_path / ("picture.jpg" if mode == "CMYK" else "picture.png")
    picture.save(path)
    assert predict(model, path).shape == (20, 31)


def test_exif_rotation_is_applied(model, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    Image.fromarray(image_of(20, 31)).save(tmp_path / "turned.jpg", exif=exif)
    assert predict(model, tmp_path / "turned.jpg").shape == (31, 20)


def test_a_file_that_is_no_picture_is_named(model, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"broken\.jpg"):
        predict(model, tmp_path / "broken.jpg")


def test_modes_are_restored_even_after_an_error(model):
    model.train()
    model.backbone.eval()  # a frozen part
    modes = [module.training for module in model.modules()]
    statistics = model.head.norm if hasattr(model.head, "norm") else model.head.scales[0].norm
    before = statistics.running_mean.clone()
    predict(model, image_of(16, 16))
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(statistics.running_mean, before)
    with pytest.raises(RuntimeError), evaluating(model):
        assert not model.head.training
        raise RuntimeError
    assert [module.training for module in model.modules()] == modes


def test_gates_reach_the_network(model):
    seen = []
    with model.head.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[1])):
        predict(model, image_of(40, 40), [1, 0, 1, 1])
    assert seen == [[1, 0, 1, 1]]


def test_prediction_does_without_the_auxiliary_head():
    small = {"backbone": "tiny_resnet", "channels": 8, "aux_channels": 8, "fusion_channels": 8}
    model = build_model("ssseg_r50_d8_voc", **small)  # predicts at its published size, whatever the image
    with patch.object(model.auxiliary, "forward", side_effect=AssertionError("computed in vain")):
        predict(model, image_of(16, 16))
    images = torch.rand(1, 3, 33, 33)
    assert torch.equal(model.eval().logits(images, [1, 0, 1, 0.5]), model(images, [1, 0, 1, 0.5]).logits)


def test_half_precision_multiplies_in_it_and_all_but_agrees(scenes):
    model, data, matrix, _ = scenes
    seen = []
    with model.backbone.register_forward_hook(lambda *call: seen.append(call[2].stage4.dtype)):
        halved = evaluate(model, data, precision="bf16")
        labels = predict(model, data[0][0], precision="bf16")
    assert set(seen) == {torch.bfloat16} and (labels == predict(model, data[0][0])).mean() > 0.97
    assert abs(halved.miou() - matrix.miou()) < 0.02 and (halved.counts != matrix.counts).any()
    with pytest.raises(DMNetError, match="precision on cpu is one of fp32, bf16, not 'fp16'"):
        predict(model, data[0][0], precision="fp16")


class Ramp:
    """Two images of different sizes, labelled as the model does, but for a column of 255 and one error."""

    classes = ("a", "b", "c", "d", "e")

    def __init__(self, model, wrong=None):
        self.model, self.wrong = model, wrong

    def __len__(self):
        return 2

    def __getitem__(self, index):
        image = image_of(20 + index, 30)
        mask = predict(self.model, image)
        mask[:, 0] = 255
        if self.wrong is not None:
            mask[3, 3] = self.wrong
        return image, mask, f"ramp{index}"


def test_evaluation_counts_every_labelled_pixel(model):
    matrix = evaluate(model, Ramp(model))
    assert matrix.counts.sum() == (20 + 21) * 29
    assert matrix.pixel_accuracy() == matrix.miou() == 1


def test_evaluation_names_the_image_with_a_wrong_label(model):
    with pytest.raises(DataError, match="ramp0: the mask has the label 9, but there are 5 classes"):
        evaluate(model, Ramp(model, wrong=9))
    other = build_model("demo_context")
    with pytest.raises(DataError, match="the model knows 7 classes, the data set has 5"):
        evaluate(other, Ramp(model))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_models_of_other_precision_predict(kind):
    torch.manual_seed(0)
    model = build_model("demo_scale").eval()
    wanted = predict(model, image_of(48, 64))
    labels = predict(model.to(kind), image_of(48, 64))
    assert labels.shape == (48, 64) and (labels == wanted).mean() > 0.9


def test_more_classes_than_a_label_map_holds_are_refused():
    with pytest.raises(DMNetError, match="at most 255 classes and void, the logits have 256"):
        predict(build_model("demo_scale", num_classes=256), image_of(8, 8))


def test_a_data_set_of_other_classes_is_told():
    model, data = build_model("demo_scale"), Ramp(build_model("demo_scale"))
    data.classes = tuple(f"{name} (translated)" for name in systems.get("demo_scale").classes)
    with pytest.warns(UserWarning, match="ruby on warm side.*compared by number alone"):
        evaluate(model, data)


def test_classes_in_another_order_are_not_scored_by_number():
    model, data = build_model("demo_scale"), Ramp(build_model("demo_scale"))
    learned = systems.get("demo_scale").classes
    turned = (*learned[1:], learned[0])  # none has its number
    renamed = (*learned[:5], learned[6], "new")
    for classes in (learned[::-1], turned, renamed, systems.get("demo_context").classes):
        data.classes = tuple(classes)
        with pytest.raises(
            DataError, match=r"a number means another class in each.*Classes in another order"
        ):
            evaluate(model, data)


def test_one_new_name_among_the_old_ones_is_told_alone():
    model, data = build_model("demo_scale"), Ramp(build_model("demo_scale"))
    data.classes = (*systems.get("demo_scale").classes[:-1], "new")
    with pytest.warns(UserWarning, match=r"ring, the data set has.*, new: labels are compared"):
        evaluate(model, data)


@pytest.mark.filterwarnings("error")
def test_other_classes_than_the_systems_and_no_system_are_nothing_to_warn_of(model):
    evaluate(model, Ramp(model))  # five, and demo_context has more
    model.system = None
    assert evaluate(model, Ramp(model)).counts.sum() > 0


def test_gates_and_protocol_are_those_of_predict(scenes):
    model = scenes[0]
    few = datasets.load("demo_context", split="test", size=2)
    as_it_is = evaluate(model, few).counts
    ways: list[dict[str, Any]] = [{"scale_gates": [0, 0, 0, 0]}]
    ways += [{"protocol": systems.protocol(model.system, "ms+flip")}]
    for way in ways:
        matrix = ConfusionMatrix(len(few.classes))
        for image, mask, _ in few:
            matrix.update(predict(model, image, **way), mask)
        np.testing.assert_array_equal(evaluate(model, few, **way).counts, matrix.counts)
        assert (matrix.counts != as_it_is).any()


# Any number of processes


@pytest.mark.parametrize(
    "options", [{"batch_size": 4}, {"workers": 2}, {"batch_size": 3, "workers": 1}], ids=str
)
def test_counts_are_the_same_however_they_are_made(scenes, options):
    model, data, matrix, trimap = scenes
    again = Trimap(7)
    np.testing.assert_array_equal(evaluate(model, data, metrics=[again], **options).counts, matrix.counts)
    for ours, wanted in zip(again.arrays, trimap.arrays, strict=True):
        np.testing.assert_array_equal(ours, wanted)


LAUNCHED = """
    import sys, numpy as np, torch
    from dmnet import datasets, zoo
    from dmnet.analysis.boundaries import Trimap
    from dmnet.inference import evaluate

    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")
    model = zoo.load_pretrained("demo_context")
    data = datasets.load("demo_context", split="test", size=7)
    trimap = Trimap(7)
    trimap.update(np.zeros((9, 9), int), np.zeros((9, 9), int))  # counted before
    matrix = evaluate(model, data, metrics=[trimap])
    np.savez(sys.argv[1] + f"/{torch.distributed.get_rank()}.npz", matrix.counts, *trimap.arrays)
    torch.distributed.destroy_process_group()
"""


def test_launched_processes_share_the_work_and_all_know_the_sum(scenes, tmp_path):
    _, _, matrix, trimap = scenes
    (tmp_path / "script.py").write_text(textwrap.dedent(LAUNCHED))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "WORLD_SIZE": "2",
                                "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}  # fmt: skip
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path)]
    launched = [subprocess.Popen(command, env=environment | {"RANK": rank}) for rank in "01"]
    assert [process.wait(120) for process in launched] == [0, 0]
    before = Trimap(7)
    before.update(np.zeros((9, 9), int), np.zeros((9, 9), int))
    for rank in "01":
        with np.load(tmp_path / f"{rank}.npz") as saved:
            counts, *arrays = saved.values()
        np.testing.assert_array_equal(counts, matrix.counts)
        for ours, *parts in zip(arrays, before.arrays, trimap.arrays, strict=True):
            np.testing.assert_array_equal(ours, sum(parts))


def test_a_workers_error_names_the_file_alone(model):
    class Broken(Ramp):
        def __getitem__(self, index):
            raise DataError("photo.jpg is damaged")

    for workers in (0, 1):
        with pytest.raises(DataError, match=r"^photo\.jpg is damaged$"):
            evaluate(model, Broken(model), workers=workers)
