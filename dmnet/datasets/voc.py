"""PASCAL VOC 2012, 21 classes, from the folder that the official archive unpacks to.

Everingham et al., The PASCAL Visual Object Classes Challenge: A Retrospective, IJCV 2015. The training set
that all compare with, "trainaug", has the masks of Hariharan et al., Semantic Contours from Inverse
Detectors, ICCV 2011, beside VOC's own.
"""

import os

from dmnet.classes import VOC
from dmnet.datasets.encoding import VOC_VALUES
from dmnet.datasets.folder import IMAGES, MASKS, FolderDataset
from dmnet.datasets.lists import Classes
from dmnet.datasets.published import Published
from dmnet.errors import DataError

VOC2012 = Published(
    name="voc",
    title="PASCAL VOC 2012",
    places=("VOCdevkit/VOC2012", "VOC2012"),
    inside=(IMAGES,),
    classes=VOC,
    encoding=VOC_VALUES,
    sizes={"train": 1464, "val": 1449, "trainval": 2913, "trainaug": 10582, "test": 1456},
    archives="VOCtrainval_11-May-2012.tar, which holds VOCdevkit/VOC2012",
)
AUGMENTED = f"{MASKS}Aug"  # where the masks of "trainaug" lie by custom: VOC's own and the SBD's together


def load_voc(
    root: str | os.PathLike[str] | None = None,
    split: str = "train",
    *,
    classes: Classes | None = None,
    labelled: bool = True,
) -> FolderDataset:
    """Return a split of PASCAL VOC 2012.

    Args:
        root: `VOCdevkit/VOC2012`, `VOCdevkit`, or the folder that holds it; by default the data folder.
        split: "train" (1,464 images), "val" (1,449), "trainval", "test", or "trainaug" (10,582), whose list
            and masks, in `SegmentationClassAug`, `dmnet data prepare voc` makes.
        classes: see `Published.labels`.
        labelled: False for "test", whose masks are not public: pictures alone.

    Raises:
        DataError: if the data set, the list or the masks of the split are not there.
    """
    folder = VOC2012.folder(root)
    masks = AUGMENTED if split == "trainaug" else MASKS
    if labelled and split == "trainaug" and not (folder / masks).is_dir():
        raise DataError(
            "trainaug needs the masks of VOC and of the Semantic Boundaries Dataset, as label PNGs, in "
            f"{folder / masks}; `dmnet data prepare voc` makes them, split='train' does without them"
        )
    names = VOC2012.names(folder, classes)
    size = VOC2012.size(split, names)
    return FolderDataset(
        folder, split, classes=names, labelled=labelled, masks=masks, name="voc", official_size=size
    )
