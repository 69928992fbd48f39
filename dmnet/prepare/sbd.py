"""PASCAL VOC's training set "trainaug": its own masks, and those of the Semantic Boundaries Dataset.

Hariharan et al., Semantic Contours from Inverse Detectors, ICCV 2011, labelled 11,355 images of VOC as MATLAB
files `cls/<id>.mat`, whose splits are not VOC's. What all train on is everything that is not in VOC's own
validation set: SBD train + SBD val + VOC train - VOC val, 10,582 images with the published lists. Where VOC
has a mask of an image it is taken; SBD's have no void border.
"""

import os
import re
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from dmnet.classes import VOC, label_image
from dmnet.datasets.base import Mask
from dmnet.datasets.files import read_list
from dmnet.errors import DataError, extra
from dmnet.files import atomic_write, progress
from dmnet.prepare.folders import new_folder

with extra("prepare"):
    from scipy.io import loadmat

MASKS, LISTS = "SegmentationClassAug", "ImageSets/Segmentation"
LIST = f"{LISTS}/trainaug.txt"


def read_sbd_mask(file: str | os.PathLike[str]) -> Mask:
    """Return the labels [H, W], uint8 in 0..20, of a file `cls/<id>.mat`. Used in {doc}`05_data`.

    Raises:
        DataError: if the file is missing, damaged, or holds something else.
    """
    try:
        with open(file, "rb") as opened:
            labels = loadmat(opened, variable_names=["GTcls"])["GTcls"]["Segmentation"][0, 0]
        if labels.dtype != np.uint8 or labels.ndim != 2 or labels.max() >= len(VOC):
            raise ValueError(f"it is {labels.dtype} {labels.shape}, not uint8 [H, W] in 0..20")
    except Exception as error:  # a damaged file can raise anything
        raise DataError(f"{file} is no mask of the SBD: {type(error).__name__}: {error}") from error
    return labels


def trainaug_ids(voc: Path, sbd: Path) -> tuple[str, ...]:
    """Return the ids of trainaug, sorted: SBD train + SBD val + VOC train - VOC val. Shown in {doc}`05_data`.

    Args:
        voc: `VOCdevkit/VOC2012`.
        sbd: `benchmark_RELEASE/dataset`; only its two lists are read.

    Raises:
        DataError: if a list is missing, empty, or holds what is no id.
    """
    train, val = (_ids(voc / LISTS / f"{split}.txt") for split in ("train", "val"))
    more = _ids(sbd / "train.txt") | _ids(sbd / "val.txt")
    return tuple(sorted((more | train) - val))


def _ids(file: Path) -> set[str]:
    """Read a list whose ids will be names of files: a stranger's must not be a path."""
    ids = read_list(file, "unpack its archive again")
    for name in ids:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
            raise DataError(f"{file} lists {name!r}, which is no id of an image; unpack its archive again")
    return set(ids)


def augment(voc: Path, sbd: Path) -> None:
    """Make trainaug: its masks as PNGs in `SegmentationClassAug`, then its list. Used in {doc}`05_data`.

    The folder of masks appears when it is complete; a folder or a list that is there already is kept.

    The arguments are those of `trainaug_ids`; of SBD the folder `cls` is read, too.

    Raises:
        DataError: if a list, a mask or an image is missing or damaged.
    """
    ids = trainaug_ids(voc, sbd)
    if not (voc / MASKS).exists():
        with new_folder(voc / MASKS) as folder:
            for name in progress(ids, desc="masks of trainaug"):
                _write_mask(voc, sbd, name, folder / f"{name}.png")
    if not (voc / LIST).exists():
        with atomic_write(voc / LIST) as listed:
            listed.write_text("\n".join(ids) + "\n", encoding="utf-8")


def _write_mask(voc: Path, sbd: Path, name: str, target: Path) -> None:
    """Write one mask: VOC's own where there is one, else the SBD's."""
    image_file, own = voc / "JPEGImages" / f"{name}.jpg", voc / "SegmentationClass" / f"{name}.png"
    if not image_file.is_file():
        raise DataError(f"there is no image {image_file} of trainaug; unpack VOC's archive again")
    if own.is_file():
        shutil.copyfile(own, target)
        return
    labels = read_sbd_mask(file := sbd / "cls" / f"{name}.mat")
    with Image.open(image_file) as image:
        size = image.height, image.width
    if labels.shape != size:
        raise DataError(f"{file} is {labels.shape} (height, width), its image {image_file} {size}")
    label_image(labels, VOC.palette).save(target)
