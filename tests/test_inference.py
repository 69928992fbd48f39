"""Prediction at the original size, whatever the image; evaluation; pictures."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from dmnet import fusion, systems
from dmnet.datasets.classes import DEMO_SCALE, VOID_COLOUR, label_image
from dmnet.errors import DataError, DMNetError
from dmnet.inference import (
    class_list,
    evaluate,
    evaluating,
    labels_at,
    overlay,
    predict,
    predict_logits,
)
from dmnet.model import build_model, from_system
from dmnet.systems import Evaluation
from dmnet.transforms import evaluation_image


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build_model("demo_context", num_classes=5)


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


@pytest.mark.parametrize("corners", [False, True])
def test_bands_change_nothing(monkeypatch, corners):
    logits = torch.randn(4, 9, 6)
    whole = labels_at(logits, (75, 33), corners)
    monkeypatch.setattr(fusion, "BAND_VALUES", 4 * 33 * 7)  # seven rows at a time
    np.testing.assert_array_equal(labels_at(logits, (75, 33), corners), whole)
    wanted = F.interpolate(logits[None], (75, 33), mode="bilinear", align_corners=corners)[0].argmax(0)
    assert (whole == wanted.numpy()).mean() > 0.999


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


def test_one_image_is_a_batch_of_one(model):
    images = torch.randn(2, 3, 40, 48)
    batch = predict_logits(model, images)
    assert batch.shape == (2, 5, 5, 6) and not batch.requires_grad
    torch.testing.assert_close(predict_logits(model, images[1]), batch[1], atol=1e-5, rtol=1e-4)


def test_gates_reach_the_network(model):
    image = torch.randn(3, 40, 40)
    full = predict_logits(model, image)
    assert torch.equal(predict_logits(model, image, [1, 1, 1, 1]), full)
    assert not torch.allclose(predict_logits(model, image, [1, 0, 1, 1]), full)


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
    with pytest.raises(DataError, match="image ramp0: a true label is 9, but there are 5 classes"):
        evaluate(model, Ramp(model, wrong=9))
    other = build_model("demo_context")
    with pytest.raises(DataError, match="the model knows 7 classes, the data set has 5"):
        evaluate(other, Ramp(model))


# Pictures


def test_overlay_mixes_colours_and_paints_void_and_borders():
    labels = np.array([[0, 0, 1, 1], [0, 0, 1, 255]], np.uint8)
    palette = np.array([[0, 0, 0], [0, 200, 0]], np.uint8)
    image = np.full((2, 4, 3), 100, np.uint8)
    plain = np.asarray(overlay(image, labels, palette, alpha=0.5, boundaries=False))
    np.testing.assert_array_equal(plain[0, 0], [50, 50, 50])
    np.testing.assert_array_equal(plain[0, 3], [50, 150, 50])
    np.testing.assert_array_equal(plain[1, 3], (np.array(VOID_COLOUR) + 100) // 2)
    lined = np.asarray(overlay(image, labels, palette))
    np.testing.assert_array_equal((lined == 255).all(-1), [[0, 1, 0, 1], [0, 1, 1, 0]])
    with pytest.raises(DataError, match="its labels are"):
        overlay(image, labels[:1], palette)


def test_a_legend_lists_what_occurs():
    labels = np.zeros((40, 60), np.uint8)
    labels[:5] = 2
    picture = overlay(np.zeros((40, 60, 3), np.uint8), labels, legend=["sky", "sea", "land"])
    line = 12
    assert picture.height == 40 + 2 * line + line // 2 and picture.width >= 60


def test_label_image_keeps_labels_and_colours(tmp_path):
    labels = np.array([[0, 1, 255]], np.uint8)
    label_image(labels, DEMO_SCALE.palette).save(tmp_path / "labels.png")
    read = Image.open(tmp_path / "labels.png")
    np.testing.assert_array_equal(np.asarray(read), labels)
    colours = np.asarray(read.convert("RGB"))[0]
    np.testing.assert_array_equal(colours, [*DEMO_SCALE.palette[:2], VOID_COLOUR])


def test_class_names_and_colours_are_those_of_the_data_set():
    names, palette = class_list(build_model("demo_scale"))
    assert names == DEMO_SCALE.names and palette is DEMO_SCALE.palette
    names, palette = class_list(from_system(replace(systems.get("small_r18"), classes=())))
    assert names[0] == "class 0" and len(names) == len(palette) == 21


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_models_of_other_precision_predict(kind):
    torch.manual_seed(0)
    model = build_model("demo_scale").eval()
    wanted = predict(model, image_of(48, 64))
    labels = predict(model.to(kind), image_of(48, 64))
    assert labels.shape == (48, 64) and (labels == wanted).mean() > 0.9


def test_more_classes_than_a_label_map_holds_are_refused():
    assert labels_at(torch.eye(255)[:, None], (1, 255)).tolist() == [list(range(255))]
    with pytest.raises(DMNetError, match="at most 255 classes and void, the logits have 256"):
        predict(build_model("demo_scale", num_classes=256), image_of(8, 8))


def test_a_data_set_of_other_classes_is_told():
    model, data = build_model("demo_scale"), Ramp(build_model("demo_scale"))
    data.classes = systems.get("demo_context").classes
    with pytest.warns(UserWarning, match="ruby on warm side.*compared by number alone"):
        evaluate(model, data)
