"""Weights of classes, learning curves and confusion matrices, drawn without pyplot."""

from functools import partial
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dmnet.analysis.training import balanced_weights, draw_run, show_confusion, show_curves
from dmnet.classes import ADE20K
from dmnet.metrics import ConfusionMatrix


@pytest.fixture(autouse=True)
def no_figure_of_pyplot():
    before = plt.get_fignums()
    yield
    assert plt.get_fignums() == before


def test_balanced_weights_are_the_inverse_of_the_shares():
    weights = np.array(balanced_weights([600, 300, 0, 100]))
    np.testing.assert_allclose(weights, [1000 / (4 * 600), 1000 / (4 * 300), 1, 1000 / (4 * 100)], rtol=1e-3)
    assert balanced_weights(np.array([0, 0])) == (1.0, 1.0)


@pytest.mark.parametrize("count", [1, 3, 20, 21, 150])
def test_a_confusion_matrix_is_readable(count):
    names = ADE20K.names[:count]
    counts = np.ones((count, count), np.int64) + 8 * np.eye(count, dtype=np.int64)
    counts[-1] = 0
    figure = show_confusion(counts, names)
    figure.draw_without_rendering()
    (axis,) = figure.axes
    labels = axis.get_yticklabels()
    assert [label.get_text() for label in labels] == [f"{n}  {name}" for n, name in enumerate(names)]
    boxes = [label.get_window_extent() for label in labels]
    assert all(one.y0 >= other.y1 for one, other in pairwise(boxes))  # none over another
    page = figure.bbox.padded(1)
    for box in (*boxes, axis.xaxis.label.get_window_extent()):
        assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1
    shares = np.ma.filled(axis.images[0].get_array(), np.nan)
    np.testing.assert_allclose(shares[:-1].sum(axis=1), 1)
    assert np.isnan(shares[-1]).all()
    assert len(axis.texts) == (count * (count - 1) if count <= 20 else 0)


@pytest.mark.parametrize("rows", [1, 30])
def test_curves_show_what_there_is(rows):
    index = pd.RangeIndex(1, rows + 1, name="iteration")
    history = pd.DataFrame({"loss": 2.0, "lr": 0.1, "val_miou": np.nan}, index=index)
    labels = [axis.get_ylabel() for axis in show_curves(history).axes]
    assert labels == ["loss", "learning rate"]
    history.loc[rows, "val_miou"] = 0.5
    axis = show_curves(history).axes[-1]
    assert axis.get_ylabel() == "mIoU on validation images"
    (line,) = axis.lines
    assert line.get_marker() == "." and line.get_xydata().tolist() == [[rows, 0.5]]  # a point is seen


def test_a_run_is_drawn_and_drawn_again(tmp_path):
    watch = partial(draw_run, tmp_path, ("sky", "sea"))
    history = pd.DataFrame({"loss": [1.0], "lr": [0.1], "val_miou": [np.nan]}, index=[1])
    watch(history, None)
    assert [file.name for file in tmp_path.iterdir()] == ["curves.png"]
    watch(history, ConfusionMatrix(2))
    assert {file.name for file in tmp_path.iterdir()} == {"curves.png", "confusion.png"}
    with Image.open(tmp_path / "confusion.png") as picture:
        assert picture.format == "PNG" and picture.width > 400
