"""PASCAL VOC 2012, 21 classes, from the folder that the official archive unpacks to."""

import os
from pathlib import Path

from dmnet.datasets.classes import VOC
from dmnet.datasets.folder import IMAGES, LISTS, MASKS, FolderDataset
from dmnet.errors import DataError
from dmnet.files import data_dir

_AUGMENTED = f"{MASKS}Aug"  # where the masks of "trainaug" lie by custom: VOC's own and the SBD's together


def load_voc(root: str | os.PathLike[str] | None = None, split: str = "train") -> FolderDataset:
    """Return a split of PASCAL VOC 2012.

    Args:
        root: `VOCdevkit/VOC2012`, `VOCdevkit`, or the folder that holds it; by default the data folder.
        split: "train" (1,464 images), "val" (1,449), "trainval", or "trainaug" (10,582), whose masks are in
            `SegmentationClassAug` and whose list is not part of the official archive.

    Raises:
        DataError: if the data set, the list or the masks of the split are not there.
    """
    folder = _find(Path(root).expanduser() if root is not None else data_dir())
    if split == "trainaug" and not (folder / _AUGMENTED).is_dir():
        raise DataError(
            "trainaug needs the masks of VOC and of the Semantic Boundaries Dataset, as label PNGs, in "
            f"{folder / _AUGMENTED}; use split='train' without them"
        )
    return FolderDataset(folder, split, classes=VOC, masks=_AUGMENTED if split == "trainaug" else MASKS)


def _find(root: Path) -> Path:
    """Return the folder that holds the pictures: `root`, or where the archive puts it below `root`."""
    places = (root, root / "VOC2012", root / "VOCdevkit" / "VOC2012")
    for place in places:
        if (place / IMAGES).is_dir():
            return place
    looked = ", ".join(str(place) for place in places)
    raise DataError(
        f"PASCAL VOC 2012 was not found: no {IMAGES} in {looked}. Unpack VOCtrainval_11-May-2012.tar and "
        f"give the folder that holds VOCdevkit; it needs {IMAGES}, {MASKS} and {LISTS}"
    )
