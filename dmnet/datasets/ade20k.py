"""ADE20K as the scene parsing benchmark publishes it, 150 classes.

Zhou et al., Scene Parsing through ADE20K Dataset, CVPR 2017. The masks' value 0, "other", is ignored; 1..150
are the labels 0..149.
"""

import os
from pathlib import Path

from dmnet.classes import ADE20K
from dmnet.datasets.encoding import ADE20K_VALUES
from dmnet.datasets.lists import Classes
from dmnet.datasets.pairs import PairsDataset
from dmnet.datasets.published import Published
from dmnet.files import data_dir

IMAGES, MASKS = "images", "annotations"
FOLDERS = {"train": "training", "val": "validation", "test": "testing"}  # a split's folder
SCENE_PARSING = Published(
    name="ade20k",
    title="ADE20K",
    places=("ADEChallengeData2016",),
    inside=("images/training", "images/validation"),
    classes=ADE20K,
    encoding=ADE20K_VALUES,
    sizes={"train": 20210, "val": 2000},
    archives="ADEChallengeData2016.zip",
)
# The test archive unpacks to a folder of its own; seen from the root that was given.
_RELEASE = ("", "release_test", "../release_test")


def load_ade20k(
    root: str | os.PathLike[str] | None = None,
    split: str = "train",
    *,
    classes: Classes | None = None,
    labelled: bool = True,
) -> PairsDataset:
    """Return a split of ADE20K.

    Args:
        root: `ADEChallengeData2016`, or the folder that holds it; by default the data folder.
        split: "train" (20,210 images), "val" (2,000) or "test".
        classes: see `Published.labels`.
        labelled: False for "test", whose masks are not public: pictures alone, from `release_test/testing`.

    Raises:
        DataError: if the data set or a folder of the split is not there.
    """
    below = FOLDERS.get(split, split)
    release = None if labelled or split != "test" else _release_test(root)
    folder = release.parent if release else SCENE_PARSING.folder(root)
    labels = SCENE_PARSING.labels(folder, classes)
    return PairsDataset(
        "ade20k",
        folder,
        split,
        (release or folder / IMAGES / below, folder / MASKS / below if labelled else None),
        labels,
        official_size=SCENE_PARSING.size(split, labels[0]),
    )


def _release_test(root: str | os.PathLike[str] | None) -> Path | None:
    """Return the folder of the published test pictures if it is there."""
    start = data_dir() if root is None else Path(root).expanduser()
    places = (start / place / FOLDERS["test"] for place in _RELEASE)
    return next((place.resolve() for place in places if place.is_dir()), None)
