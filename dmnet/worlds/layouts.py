"""Write any data set to disk as one of the real ones lies there.

- "voc": `JPEGImages/<id>.jpg`, `SegmentationClass/<id>.png` and a list of ids;
- "ade20k": `images/training/<id>.jpg`, `annotations/training/<id>.png`;
- "cityscapes": `leftImg8bit/train/<city>/<id>_leftImg8bit.png`,
  `gtFine/train/<city>/<id>_gtFine_labelIds.png`;
- "camvid": `train/<id>.png`, `trainannot/<id>.png`.

A `classes.txt` beside them has the names: the readers then know these classes instead of the published ones.
"""

import os
import secrets
import shutil
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image as PILImage

from dmnet.classes import label_image
from dmnet.datasets.base import Dataset, Image
from dmnet.datasets.files import LISTS, NAMES, repeated
from dmnet.datasets.published import PUBLISHED
from dmnet.errors import DataError
from dmnet.files import naming, progress
from dmnet.images import read_image


def write_layout(
    datasets: Dataset | Sequence[Dataset], root: str | os.PathLike[str], layout: str = "voc"
) -> Path:
    """Write data sets to disk as the readers of a published one expect them.

    All layouts hold the same pixels: each picture is compressed to a JPEG, and where a layout wants a PNG,
    as Cityscapes does, that holds what the JPEG decodes to. The folder appears when it is complete:
    everything is written beside it first, then renamed. Shown in {doc}`05_data`.

    Args:
        datasets: one split, or several with the same classes.
        root: folder to make; it must not exist, or be empty.
        layout: "voc", "ade20k", "cityscapes" or "camvid".

    Returns:
        The folder; `load(layout, folder, split)` reads it.

    Raises:
        DataError: if there is no such layout or it stores fewer classes, the folder holds something, or the
            splits don't go together.
    """
    splits = datasets if isinstance(datasets, Sequence) else [datasets]
    if layout not in PUBLISHED:
        raise DataError(f"there is no layout {layout!r}; there are {', '.join(PUBLISHED)}")
    _check_splits(splits, layout)
    root = Path(root).expanduser()
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise DataError(f"{root} exists already and is kept as it is; give a folder that is new or empty")
    root.parent.mkdir(parents=True, exist_ok=True)
    temporary = root.with_name(f".{root.name}.{secrets.token_hex(4)}.tmp")
    try:
        with naming(root):
            _write_folder(splits, temporary, layout)
            if root.exists():
                root.rmdir()
            temporary.rename(root)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return root


def _check_splits(splits: Sequence[Dataset], layout: str) -> None:
    """Raise a DataError unless the splits can share a folder of that layout."""
    if not splits:
        raise DataError("there is no data set to write")
    if found := repeated([dataset.split for dataset in splits]):
        raise DataError(f"the split {found[0]} is given twice; write each into a folder of its own")
    if any(dataset.classes != splits[0].classes for dataset in splits):
        raise DataError("the data sets have different classes; write each into a folder of its own")
    if found := repeated([name for dataset in splits for name in dataset.ids]):
        raise DataError(f"the splits share the ids {', '.join(found)}; files would overwrite each other")
    count, room = len(splits[0].classes), len(PUBLISHED[layout].encoding.stored)
    if count > room:
        raise DataError(f"the layout of {layout} stores {room} classes at most, not {count}; take 'voc'")


def _write_folder(splits: Sequence[Dataset], root: Path, layout: str) -> None:
    """Write images, masks, class names and, for VOC, the lists of the splits below `root`."""
    to = PUBLISHED[layout]
    files = {root / NAMES: splits[0].classes}
    if layout == "voc":
        files |= {root / LISTS / f"{dataset.split}.txt": dataset.ids for dataset in splits}
    for file, lines in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    for dataset in splits:
        images, masks = to.folders_of(root, dataset.split)
        for image, mask, name in progress(dataset, desc=f"writing {dataset.split}"):
            # In Cityscapes a file's name starts with its city's.
            city = name.split("_")[0] if "_" in name else dataset.split
            place = f"{city}/{name}" if layout == "cityscapes" else name
            image_file = images / f"{place}{to.endings[0] or '.jpg'}"
            mask_file = masks / f"{place}{to.endings[1] or '.png'}"
            for file in (image_file, mask_file):
                file.parent.mkdir(parents=True, exist_ok=True)
            _write_image(image, image_file)
            stored = to.encoding.encode(mask)
            # VOC's have colours for people, the others are grey.
            picture = label_image(stored, dataset.palette) if layout == "voc" else PILImage.fromarray(stored)
            picture.save(mask_file)


def _write_image(image: Image, file: Path) -> None:
    """Write a JPEG, or a PNG of what that JPEG decodes to."""
    compressed = BytesIO()
    PILImage.fromarray(image).save(compressed, "JPEG", quality=95, subsampling=0)
    if file.suffix == ".jpg":
        file.write_bytes(compressed.getvalue())
    else:
        PILImage.fromarray(read_image(PILImage.open(compressed))).save(file)
