"""Anybody's labelled pictures in the folder layout of PASCAL VOC.

root/JPEGImages/<id>.jpg
root/SegmentationClass/<id>.png             8-bit palette or grey: the value is the class, 255 is void
root/ImageSets/Segmentation/<split>.txt     one id a line
root/classes.txt                            one name a line, in the order of the labels
"""

import os
from pathlib import Path

from dmnet.datasets.files import SUFFIXES, FileDataset
from dmnet.datasets.lists import NAMES, Classes, own_labels, read_ids
from dmnet.errors import DataError

IMAGES, MASKS, LISTS = "JPEGImages", "SegmentationClass", "ImageSets/Segmentation"


class FolderDataset(FileDataset):
    """Labelled pictures in VOC's layout; see `FileDataset` for what it offers.

    Args:
        root: the folder, laid out as above.
        split: name of the list, without ".txt".
        classes: names, with or without colours; by default those of `classes.txt`.
        zero_is_void: the value 0 is no class: the first name is that of 1.
        labelled: False reads pictures alone, and needs no masks.
        masks: folder below `root` that the masks lie in.
        name: "folder", or "voc" if it is that data set.
        official_size: see `FileDataset`.

    Raises:
        DataError: if the folder, the class list or the split's list is missing, empty or contradictory.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str = "train",
        *,
        classes: Classes | None = None,
        zero_is_void: bool = False,
        labelled: bool = True,
        masks: str = MASKS,
        name: str = "folder",
        official_size: int | None = None,
    ) -> None:
        root = Path(root).expanduser()
        if not root.is_dir():
            raise DataError(f"there is no folder {root}; give the folder that holds {IMAGES} and {MASKS}")
        for folder in (IMAGES, masks) if labelled else (IMAGES,):
            if not (root / folder).is_dir():
                raise DataError(f"{root} has no folder {folder}; the layout is {IMAGES}, {MASKS}, {LISTS}")
        labels = own_labels(root / NAMES, classes, zero_is_void=zero_is_void)
        source = root / LISTS / f"{split}.txt"
        there = sorted(other.stem for other in source.parent.glob("*.txt"))
        ids = read_ids(
            source,
            f"this data set has {', '.join(there)}" if there else "write the ids into it, one a line",
        )
        super().__init__(
            name, root, split, ids, labels, source=source, labelled=labelled, official_size=official_size
        )
        self._masks = masks

    def image_file(self, name: str) -> Path:
        """Return the file of the picture with that id."""
        folder = self.root / IMAGES
        for suffix in SUFFIXES:
            if (file := folder / f"{name}{suffix}").is_file():
                return file
        raise DataError(
            f"there is no picture {folder / name}.jpg, which {self.source} asks for{_hint(folder, name)}"
        )

    def mask_file(self, name: str) -> Path:
        """Return the file of the mask with that id."""
        folder = self.root / self._masks
        if not (file := folder / f"{name}.png").is_file():
            raise DataError(f"there is no mask {file}, which {self.source} asks for{_hint(folder, name)}")
        return file


def _hint(folder: Path, name: str) -> str:
    """Say what is probably wrong when a listed file is missing."""
    if (folder / name).is_file():
        return "; list ids without the file's suffix"
    if " " in name:
        return "; the list must hold one id a line and nothing else"
    return "; add the file or take its id off the list"
