"""Predictions for the evaluation servers: written, packed, read back by other code."""

import io
import json
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from dmnet import datasets, inference, systems, worlds
from dmnet.benchmark import submissions
from dmnet.benchmark.submissions import write_submission
from dmnet.errors import DataError
from dmnet.inference import evaluate
from dmnet.metrics import ConfusionMatrix
from dmnet.model import build_model
from dmnet.zoo import load_pretrained

# Written the other way round than the package does it: the label of a stored value.
LABELS = {
    "voc": {value: value for value in range(7)},
    "ade20k": {value: value - 1 for value in range(1, 8)},
    "cityscapes": {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6},  # cityscapesScripts, labels.py
}
MASKS = {
    "voc": "SegmentationClass/{}.png",
    "ade20k": "annotations/validation/{}.png",
    "cityscapes": "gtFine/val/*/{}_gtFine_labelIds.png",
}
MEMBERS = {
    "voc": "results/VOC2012/Segmentation/comp6_test_cls/{}.png",
    "ade20k": "{}.png",
    "cityscapes": "{}_labelIds.png",
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("world")
    drawn = worlds.DemoDataset("demo_scale", "val", size=3, seed=77)
    for layout in LABELS:
        worlds.write_layout(drawn, root / layout, layout=layout)
    return root


@pytest.fixture(scope="module")
def model():
    return load_pretrained("demo_scale")


@pytest.fixture(params=LABELS)
def layout(request):
    return request.param


def load(world, layout, **options):
    return datasets.load(layout, world / layout, "val", **options)


def members(archive):
    """The files of an archive: name -> content."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as packed:
            assert packed.testzip() is None
            return {name: packed.read(name) for name in packed.namelist()}
    with tarfile.open(archive, "r:gz") as packed:
        assert all(member.isfile() for member in packed)
        return {member.name: packed.extractfile(member).read() for member in packed}


def test_read_back_and_scored_it_is_the_same_matrix(world, layout, model, tmp_path):
    dataset = load(world, layout)
    archive = write_submission(model, load(world, layout, labelled=False), tmp_path / "out")
    found = members(archive)
    assert list(found) == [MEMBERS[layout].format(name) for name in dataset.ids]
    matrix = ConfusionMatrix(7)
    to_label = np.full(256, 255, np.uint8)
    to_label[list(LABELS[layout])] = list(LABELS[layout].values())
    for name in dataset.ids:
        (mask_file,) = (world / layout).glob(MASKS[layout].format(name))
        predicted = Image.open(io.BytesIO(found[MEMBERS[layout].format(name)]))
        true = np.array(Image.open(mask_file))
        assert predicted.size == true.shape[::-1]
        assert predicted.mode == ("P" if layout == "voc" else "L")
        assert np.isin(np.array(predicted), list(LABELS[layout])).all()
        matrix.update(to_label[np.array(predicted)], to_label[true])
    np.testing.assert_array_equal(matrix.counts, evaluate(model, dataset).counts)
    assert len(np.unique(np.nonzero(matrix.counts)[1])) > 3  # it predicts several classes


def test_vocs_label_maps_have_vocs_colours(world, model, tmp_path):
    archive = write_submission(model, load(world, "voc"), tmp_path)
    content = next(iter(members(archive).values()))
    palette = np.array(Image.open(io.BytesIO(content)).getpalette()).reshape(-1, 3)
    assert palette[[0, 1, 2, 15]].tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [192, 128, 128]]


def test_interrupted_it_goes_on(world, layout, model, tmp_path, monkeypatch):
    dataset = load(world, layout)
    unbroken = members(write_submission(model, dataset, tmp_path / "unbroken"))
    calls = []

    def interrupted(*args, **named):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return inference.predict(*args, **named)

    monkeypatch.setattr(submissions, "predict", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_submission(model, dataset, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.zip")) + list((tmp_path / "out").glob("*.tgz"))
    archive = write_submission(model, dataset, tmp_path / "out")
    assert len(calls) == 4  # the third again
    assert members(archive) == unbroken


def test_predictions_of_two_networks_are_not_mixed(world, model, tmp_path):
    dataset = load(world, "voc")
    write_submission(model, dataset, tmp_path)
    torch.manual_seed(1)
    with pytest.raises(DataError, match="predictions of something else"):
        write_submission(build_model("demo_scale"), dataset, tmp_path)
    protocol = systems.Evaluation(resize=None, flip=True)
    with pytest.raises(DataError, match="predictions of something else"):
        write_submission(model, dataset, tmp_path, protocol=protocol)


def test_the_protocol_is_used_and_noted(world, model, tmp_path):
    protocol = systems.Evaluation(resize=None, flip=True)
    dataset = load(world, "ade20k")
    archive = write_submission(model, dataset, tmp_path, protocol=protocol)
    assert json.loads((tmp_path / "submission.json").read_text())["protocol"]["flip"] is True
    first = Image.open(io.BytesIO(next(iter(members(archive).values()))))
    wanted = inference.predict(model, dataset[0][0], protocol=protocol)
    np.testing.assert_array_equal(np.array(first), wanted + 1)


def test_strangers_are_left_alone(world, layout, model, tmp_path):
    dataset = load(world, layout)
    before = members(write_submission(model, dataset, tmp_path / "out"))
    (tmp_path / "out" / MEMBERS[layout].format("x")).with_name("other.png").write_bytes(b"")
    assert members(write_submission(model, dataset, tmp_path / "out")) == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(DataError, match="something else"):
        write_submission(model, dataset, tmp_path / "mine")


def test_what_has_no_server_is_refused(world, model, tmp_path):
    with pytest.raises(DataError, match="voc, ade20k, cityscapes"):
        write_submission(model, datasets.load("folder", world / "voc", "val"), tmp_path)
    with pytest.raises(DataError, match="no evaluation server"):
        write_submission(model, worlds.DemoDataset("demo_scale", "test", size=1), tmp_path)
    with pytest.raises(DataError, match="knows 5 classes, the data set has 7"):
        write_submission(build_model("demo_scale", num_classes=5), load(world, "voc"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_part_of_a_test_set_is_refused(world, model, tmp_path, monkeypatch):
    dataset = load(world, "cityscapes", labelled=False)
    dataset.split, dataset.official_size = "test", 1525
    with pytest.raises(DataError, match="3 of the 1525 images"):
        write_submission(model, dataset, tmp_path)
    assert not list(tmp_path.iterdir())
