"""The published data sets: where each lies, how it is labelled, how large it is.

- PASCAL VOC 2012 [Everingham et al., The PASCAL Visual Object Classes Challenge: A Retrospective, IJCV 2015].
  The training set that all compare with, "trainaug", has the masks of the SBD beside VOC's own [Hariharan et
  al., Semantic Contours from Inverse Detectors, ICCV 2011].
- ADE20K [Zhou et al., Scene Parsing through ADE20K Dataset, CVPR 2017].
- Cityscapes, fine masks [Cordts et al., The Cityscapes Dataset for Semantic Urban Scene Understanding, CVPR
  2016].
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dmnet.classes import ADE20K, CITYSCAPES, VOC, ClassList
from dmnet.datasets import files as own
from dmnet.datasets.base import IGNORE
from dmnet.datasets.files import Classes, Encoding, FileDataset
from dmnet.errors import DataError
from dmnet.files import data_dir

AUGMENTED = f"{own.MASKS}Aug"  # where by custom VOC's masks and the SBD's lie together, for "trainaug"
ADE20K_FOLDERS = {"train": "training", "val": "validation", "test": "testing"}
CITYSCAPES_FOLDERS = ("leftImg8bit", "gtFine")
CITYSCAPES_ENDINGS = ("_leftImg8bit.png", "_gtFine_labelIds.png")  # after <city>_<sequence>_<frame>


@dataclass(frozen=True)
class PublishedSet:
    """A published data set. Shown in {doc}`02_data`."""

    name: str  # what `dmnet.datasets.load` knows it as
    title: str  # its name in sentences
    places: tuple[str, ...]  # folders below the data folder that its archives unpack to
    inside: tuple[str, ...]  # folders of which it has at least one
    classes: ClassList
    encoding: Encoding
    sizes: Mapping[str, int]  # number of examples of each split that counts are published for
    archives: str  # what to fetch by hand

    def is_at(self, folder: Path) -> bool:
        """Return whether the folder itself is laid out as this data set."""
        return any((folder / one).is_dir() for one in self.inside)

    def find(self, root: str | os.PathLike[str] | None = None) -> Path | None:
        """Return `root`, by default the data folder, or the first of its places below it where it lies."""
        start = data_dir() if root is None else Path(root).expanduser()
        return next((start / place for place in (".", *self.places) if self.is_at(start / place)), None)


PUBLISHED = {
    one.name: one
    for one in (
        PublishedSet(
            name="voc",
            title="PASCAL VOC 2012",
            places=("VOCdevkit/VOC2012", "VOC2012"),
            inside=(own.IMAGES,),
            classes=VOC,
            encoding=Encoding.plain(21),
            sizes={"train": 1464, "val": 1449, "trainval": 2913, "trainaug": 10582, "test": 1456},
            archives="VOCtrainval_11-May-2012.tar, which holds VOCdevkit/VOC2012",
        ),
        PublishedSet(
            name="ade20k",
            title="ADE20K",
            places=("ADEChallengeData2016",),
            inside=("images/training", "images/validation"),
            classes=ADE20K,
            encoding=Encoding(tuple(range(1, 151)), ignored=(0, IGNORE)),
            sizes={"train": 20210, "val": 2000},
            archives="ADEChallengeData2016.zip",
        ),
        PublishedSet(
            name="cityscapes",
            title="Cityscapes",
            places=("cityscapes",),
            inside=CITYSCAPES_FOLDERS[:1],
            classes=CITYSCAPES,
            encoding=Encoding(  # labelIds -> trainIds; 255 is -1, the licence plate
                (7, 8, 11, 12, 13, 17, *range(19, 29), 31, 32, 33),
                ignored=(0, *range(1, 7), 9, 10, 14, 15, 16, 18, 29, 30, IGNORE),
            ),
            sizes={"train": 2975, "val": 500, "test": 1525},
            archives="leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip into one folder; "
            "cityscapes-dataset.com wants a login",
        ),
    )
}


def load_published(
    name: str,
    root: str | os.PathLike[str] | None = None,
    split: str = "train",
    *,
    classes: Classes | None = None,
    labelled: bool = True,
) -> FileDataset:
    """Return a split of "voc", "ade20k" or "cityscapes"; see `PublishedSet.sizes`. Shown in {doc}`02_data`.

    `root` is its folder, e.g. `VOCdevkit/VOC2012`, or one above it, by default the data folder. The classes
    are by default those of a `classes.txt` in the folder, or the published ones. "test" has no masks:
    `labelled=False` reads images alone. `dmnet data prepare voc` makes "trainaug". A DataError if files lack.
    """
    published, release = PUBLISHED[name], None
    folder, start = published.find(root), data_dir() if root is None else Path(root).expanduser()
    if name == "ade20k" and split == "test" and not labelled:  # whose archive unpacks to a folder of its own
        places = (start / place / "testing" for place in ("", "release_test", "../release_test"))
        if release := next((place.resolve() for place in places if place.is_dir()), None):
            folder = release.parent
    if folder is None:
        looked = ", ".join(str(start / place) for place in (".", *published.places))
        raise DataError(
            f"{published.title} was not found: no {' or '.join(published.inside)} in {looked}. Give its "
            f"folder as root or see `dmnet data prepare {name}`; by hand: unpack {published.archives}"
        )
    if classes is None:
        classes = own.read_list(folder / own.NAMES) if (folder / own.NAMES).is_file() else published.classes
    size = published.sizes.get(split) if classes is published.classes else None
    if name == "voc":
        masks = AUGMENTED if split == "trainaug" else own.MASKS
        if labelled and not (folder / masks).is_dir():
            hint = "; `dmnet data prepare voc` makes it" if masks == AUGMENTED else ""
            raise DataError(f"there is no folder {folder / masks} of masks{hint}")
        dataset = own.load_files(
            folder, split, classes=classes, labelled=labelled, images=own.IMAGES, masks=masks, lists=own.LISTS
        )
        return replace(dataset, name=name, official_size=size)
    if name == "ade20k":
        below, endings = ADE20K_FOLDERS.get(split, split), ("", "")
        image_folder, mask_folder = release or folder / "images" / below, folder / "annotations" / below
    else:
        image_folder, mask_folder = (folder / one / split for one in CITYSCAPES_FOLDERS)
        endings = CITYSCAPES_ENDINGS
    files, unpaired = own.pair(image_folder, mask_folder if labelled else None, endings=endings)
    labels = own.labels_of(classes, published.encoding)
    return FileDataset(name, folder, split, files, *labels, image_folder, labelled, unpaired, size)
