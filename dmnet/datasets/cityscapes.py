"""Cityscapes with its fine masks, 19 classes.

Cordts et al., The Cityscapes Dataset for Semantic Urban Scene Understanding, CVPR 2016. The masks
`*_gtFine_labelIds.png` know 34 kinds of pixel; 19 of them are classes, the rest is ignored
[cityscapesScripts, `labels.py`].
"""

import os

from dmnet.classes import CITYSCAPES
from dmnet.datasets.encoding import CITYSCAPES_VALUES
from dmnet.datasets.lists import Classes
from dmnet.datasets.pairs import PairsDataset
from dmnet.datasets.published import Published

IMAGES, MASKS = "leftImg8bit", "gtFine"
ENDINGS = ("_leftImg8bit.png", "_gtFine_labelIds.png")  # after the id: <city>_<sequence>_<frame>
FINE = Published(
    name="cityscapes",
    title="Cityscapes",
    places=("cityscapes",),
    inside=(IMAGES,),
    classes=CITYSCAPES,
    encoding=CITYSCAPES_VALUES,
    sizes={"train": 2975, "val": 500, "test": 1525},
    archives=(
        "leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip, for which cityscapes-dataset.com wants a "
        "login, into one folder"
    ),
)


def load_cityscapes(
    root: str | os.PathLike[str] | None = None,
    split: str = "train",
    *,
    classes: Classes | None = None,
    labelled: bool = True,
) -> PairsDataset:
    """Return a split of Cityscapes.

    Args:
        root: the folder that holds `leftImg8bit` and `gtFine`, or has them in `cityscapes`; by default the
            data folder.
        split: "train" (2,975 images), "val" (500) or "test" (1,525).
        classes: see `Published.labels`.
        labelled: False for "test", whose published masks are blank: pictures alone.

    Raises:
        DataError: if the data set or a folder of the split is not there.
    """
    folder = FINE.folder(root)
    labels = FINE.labels(folder, classes)
    return PairsDataset(
        "cityscapes",
        folder,
        split,
        (folder / IMAGES / split, folder / MASKS / split if labelled else None),
        labels,
        endings=ENDINGS,
        official_size=FINE.size(split, labels[0]),
    )
