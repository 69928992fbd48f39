"""Write any data set to disk as one of the real ones lies there."""

import os
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

from PIL import Image as PILImage

from dmnet.datasets.base import Dataset
from dmnet.datasets.classes import label_image
from dmnet.datasets.folder import IMAGES, LISTS, MASKS
from dmnet.datasets.lists import repeated
from dmnet.errors import DataError
from dmnet.files import name_file
from dmnet.progress import progress


def write_voc_layout(datasets: Dataset | Sequence[Dataset], root: str | os.PathLike[str]) -> Path:
    """Write data sets to disk in the folder layout that `FolderDataset` reads.

    The folder appears when it is complete: everything is written beside it first, then renamed.

    Args:
        datasets: one split, or several with the same classes; each becomes a list of its own.
        root: folder to make; it must not exist, or be empty.

    Returns:
        The folder.

    Raises:
        DataError: if the folder holds something, or the splits don't go together.
    """
    splits = datasets if isinstance(datasets, Sequence) else [datasets]
    _check_splits(splits)
    root = Path(root).expanduser()
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise DataError(f"{root} exists already and is kept as it is; give a folder that is new or empty")
    root.parent.mkdir(parents=True, exist_ok=True)
    temporary = root.with_name(f".{root.name}.{secrets.token_hex(4)}.tmp")
    try:
        _write_folder(splits, temporary)
        if root.exists():
            root.rmdir()
        temporary.rename(root)
    except BaseException as error:
        name_file(error, root)
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return root


def _check_splits(splits: Sequence[Dataset]) -> None:
    """Raise a DataError unless the splits can share a folder."""
    if not splits:
        raise DataError("there is no data set to write")
    if found := repeated([dataset.split for dataset in splits]):
        raise DataError(f"the split {found[0]} is given twice; write each into a folder of its own")
    if any(dataset.classes != splits[0].classes for dataset in splits):
        raise DataError("the data sets have different classes; write each into a folder of its own")
    if found := repeated([name for dataset in splits for name in dataset.ids]):
        raise DataError(f"the splits share the ids {', '.join(found)}; files would overwrite each other")


def _write_folder(splits: Sequence[Dataset], root: Path) -> None:
    """Write images, masks, lists and class names below `root`."""
    for folder in (IMAGES, MASKS, LISTS):
        (root / folder).mkdir(parents=True)
    (root / "classes.txt").write_text("\n".join(splits[0].classes) + "\n", encoding="utf-8")
    for dataset in splits:
        (root / LISTS / f"{dataset.split}.txt").write_text("\n".join(dataset.ids) + "\n", encoding="utf-8")
        for index in progress(range(len(dataset)), desc=f"writing {dataset.split}"):
            image, mask, name = dataset[index]
            PILImage.fromarray(image).save(root / IMAGES / f"{name}.jpg", quality=95, subsampling=0)
            label_image(mask, dataset.palette).save(root / MASKS / f"{name}.png")
