"""PASCAL VOC's training set "trainaug": its own masks, and those of the Semantic Boundaries Dataset.

Hariharan et al., Semantic Contours from Inverse Detectors, ICCV 2011, labelled 11,355 images of VOC as MATLAB
files `cls/<id>.mat`, whose splits are not VOC's. What all train on is everything that is not in VOC's own
validation set: SBD train + SBD val + VOC train - VOC val, 10,582 images with the published lists. Where VOC
has a mask of an image it is taken; SBD's have no void border.
"""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from dmnet.classes import VOC, label_image
from dmnet.datasets.base import Mask
from dmnet.datasets.files import IMAGES, LISTS, MASKS, read_list
from dmnet.datasets.published import AUGMENTED
from dmnet.errors import DataError
from dmnet.files import atomic_write, progress

LIST = f"{LISTS}/trainaug.txt"


def read_sbd_mask(file: str | os.PathLike[str]) -> Mask:
    """Return the labels [H, W], uint8 in 0..20, of a file `cls/<id>.mat`.

    Raises:
        DataError: if the file is missing, damaged, or holds something else.
    """
    from scipy.io import loadmat

    try:
        with open(file, "rb") as opened:
            labels = loadmat(opened, variable_names=["GTcls"])["GTcls"]["Segmentation"][0, 0]
    except Exception as error:  # a damaged file can raise anything
        raise DataError(
            f"{file} cannot be read as a mask of the SBD, GTcls.Segmentation in a MATLAB file "
            f"({type(error).__name__}: {error}). Unpack benchmark.tgz again."
        ) from error
    if not (isinstance(labels, np.ndarray) and labels.dtype == np.uint8 and labels.ndim == 2 and labels.size):
        found = f"{labels.dtype} {labels.shape}" if isinstance(labels, np.ndarray) else type(labels).__name__
        raise DataError(f"{file} holds {found} as GTcls.Segmentation; a mask is uint8 [H, W]")
    if labels.max() >= len(VOC):
        raise DataError(f"{file} holds the label {labels.max()}; the SBD's are 0..{len(VOC) - 1}")
    return labels


def trainaug_ids(voc: Path, sbd: Path) -> tuple[str, ...]:
    """Return the ids of trainaug, sorted: SBD train + SBD val + VOC train - VOC val.

    Args:
        voc: `VOCdevkit/VOC2012`.
        sbd: `benchmark_RELEASE/dataset`; only its two lists are read.

    Raises:
        DataError: if a list is missing, empty, or holds what is no id.
    """
    own, theirs = "unpack VOCtrainval_11-May-2012.tar again", "unpack benchmark.tgz again"
    train, val = (_ids(voc / LISTS / f"{split}.txt", own) for split in ("train", "val"))
    more = _ids(sbd / "train.txt", theirs) | _ids(sbd / "val.txt", theirs)
    return tuple(sorted((more | train) - val))


def is_augmented(voc: Path) -> bool:
    """Tell whether the list of trainaug is there, and a mask for each of its images."""
    if not (voc / LIST).is_file():
        return False
    return not _missing(
        voc / AUGMENTED, read_list(voc / LIST, "remove it, `dmnet data prepare voc` makes it")
    )


def augment(voc: Path, sbd: Path, check: Callable[[Path], object] | None = None) -> None:
    """Make trainaug: its masks as PNGs in `SegmentationClassAug`, then its list.

    The folder of masks appears when it is complete; a folder that is there already is kept.

    Args:
        voc: `VOCdevkit/VOC2012`.
        sbd: `benchmark_RELEASE/dataset`, of which `cls`, `train.txt` and `val.txt` are needed.
        check: called with the complete folder of masks before it gets its name.

    Raises:
        DataError: if a list, a mask or an image is missing or damaged, or what is there contradicts it.
    """
    ids = trainaug_ids(voc, sbd)
    _require_no_other_list(voc / LIST, ids)
    folder = voc / AUGMENTED
    if not folder.exists():
        _write_folder(voc, sbd, ids, folder, check)
    elif missing := _missing(folder, ids):
        raise DataError(
            f"{folder} exists already, but lacks {len(missing)} of the {len(ids)} masks of trainaug, e.g. "
            f"{missing[0]}.png; move it away and it is made anew"
        )
    with atomic_write(voc / LIST) as temporary:
        temporary.write_text("\n".join(ids) + "\n", encoding="utf-8")


def _ids(file: Path, remedy: str) -> set[str]:
    """Read a list whose ids will be names of files: a stranger's must not be a path."""
    ids = set(read_list(file, remedy))
    if odd := [name for name in sorted(ids) if not re.fullmatch(r"[A-Za-z0-9_-]+", name)]:
        raise DataError(f"{file} lists {odd[0]!r}, which is no id of an image; {remedy}")
    return ids


def _missing(folder: Path, ids: tuple[str, ...]) -> list[str]:
    there = {entry.name for entry in os.scandir(folder)} if folder.is_dir() else set()
    return [name for name in ids if f"{name}.png" not in there]


def _require_no_other_list(file: Path, ids: tuple[str, ...]) -> None:
    if file.is_file() and set(found := read_list(file, "remove it and it is made anew")) != set(ids):
        raise DataError(
            f"{file} has {len(found)} ids, not the {len(ids)} of SBD train + SBD val + VOC train - VOC val; "
            "move it away and it is made anew"
        )


def _write_folder(
    voc: Path, sbd: Path, ids: tuple[str, ...], folder: Path, check: Callable[[Path], object] | None
) -> None:
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)  # what a killed process left
    temporary.mkdir()
    try:
        for name in progress(ids, desc="masks of trainaug"):
            _write_mask(voc, sbd, name, temporary / f"{name}.png")
        if check is not None:
            check(temporary)
        if hasattr(os, "sync"):
            os.sync()  # the final name must not reach the disk before the bytes
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _write_mask(voc: Path, sbd: Path, name: str, target: Path) -> None:
    """Write one mask: VOC's own where there is one, else the SBD's."""
    picture = voc / IMAGES / f"{name}.jpg"
    if not picture.is_file():
        raise DataError(f"there is no picture {picture} of trainaug; unpack VOC's archive again")
    own = voc / MASKS / f"{name}.png"
    if own.is_file():
        shutil.copyfile(own, target)
        return
    labels = read_sbd_mask(file := sbd / "cls" / f"{name}.mat")
    with Image.open(picture) as image:
        if image.size != labels.shape[::-1]:
            raise DataError(
                f"{file} is {labels.shape[1]}x{labels.shape[0]} pixels (width x height), but its image "
                f"{picture} is {image.width}x{image.height}; unpack both archives again"
            )
    label_image(labels, VOC.palette).save(target)
