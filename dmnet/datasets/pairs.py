"""Pictures in one folder, masks in another, paired by name: ADE20K, Cityscapes, and anybody's own.

One's own pictures lie in one of two ways. Which pictures are which split, folders say:

    root/images/train/a.jpg    root/masks/train/a.png
    root/images/val/b.jpg      root/masks/val/b.png

or the lists root/train.txt and root/val.txt (one id a line: `a`), or, where there are none, chance says it:

    root/images/a.jpg          root/masks/a.png
    root/images/b.jpg          root/masks/b.png

`root/classes.txt` has one name a line, the first for the value 0; the name "(ignored)" makes a value void.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from dmnet.classes import ClassList
from dmnet.datasets.encoding import Encoding
from dmnet.datasets.files import FileDataset, folders_in, listed
from dmnet.datasets.lists import NAMES, Classes, own_labels, read_ids
from dmnet.errors import DataError

IMAGES = ("images", "img_dir")  # the first that exists is taken
MASKS = ("masks", "labels", "annotations", "ann_dir")
ENDINGS = ("", "_mask", "_label", "_labels", "_gt")  # what a mask's name may have after the picture's


class PairsDataset(FileDataset):
    """Labelled pictures in two folders; see `FileDataset` for what it offers.

    Args:
        name: what `dmnet.datasets.load` knows the kind as.
        root: the folder that everything lies in.
        split: name of the split.
        folders: of the pictures and of the masks; without the second there are no labels.
        labels: the classes and how they are stored.
        endings: what follows the id in the names of pictures and masks; by default any picture's suffix,
            after one of `ENDINGS` in the names of masks.
        ids: the examples; by default all pictures.
        source: the list that names them; by default the folder of the pictures.
        official_size: see `FileDataset`.

    Raises:
        DataError: if a folder is missing, the first is empty, or two files have the same id.
    """

    def __init__(
        self,
        name: str,
        root: Path,
        split: str,
        folders: tuple[Path, Path | None],
        labels: tuple[ClassList, Encoding],
        *,
        endings: tuple[str | None, str | None] = (None, None),
        ids: Sequence[str] | None = None,
        source: Path | None = None,
        official_size: int | None = None,
    ) -> None:
        images, self._mask_folder = folders
        self._images = listed(images, endings[0])
        if not self._images:
            raise DataError(f"there is no picture in {images}")
        self._masks = _masks(self._mask_folder, endings[1]) if self._mask_folder else {}
        super().__init__(
            name,
            root,
            split,
            tuple(self._images) if ids is None else ids,
            labels,
            source=source or images,
            labelled=self._mask_folder is not None,
            official_size=official_size,
        )

    def image_file(self, name: str) -> Path:
        """Return the file of the picture with that id."""
        if name not in self._images:
            raise DataError(
                f"there is no picture {name}, which {self.source} asks for; a list has ids, one a line, "
                "without folder and suffix"
            )
        return self._images[name]

    def mask_file(self, name: str) -> Path:
        """Return the file of the mask with that id."""
        for ending in ENDINGS:
            if file := self._masks.get(name + ending):
                return file
        raise DataError(
            f"there is no mask of {self.image_file(name)} in {self._mask_folder}; a mask is called as its "
            f"picture: {name}.png"
        )

    def unpaired_masks(self) -> list[Path]:
        """Return the files of masks that belong to no picture."""
        names = {*self._images, *self.ids}  # what a list asks for is missing, not superfluous
        paired = {name + ending for name in names for ending in ENDINGS}
        return [file for name, file in self._masks.items() if name not in paired]


def load_pairs(
    root: str | os.PathLike[str],
    split: str = "train",
    *,
    images: str | os.PathLike[str] | None = None,
    masks: str | os.PathLike[str] | None = None,
    classes: Classes | None = None,
    zero_is_void: bool = False,
    labelled: bool = True,
    val_share: float = 0.2,
    seed: int = 0,
) -> PairsDataset:
    """Return a split of one's own pictures, laid out as described above.

    Without folders or lists for the splits, "val" is a part drawn by lot, always the same, "train" is the
    rest, and "all" is both. Write lists where pictures resemble each other: the frames of a film belong to
    one split.

    Args:
        root: the folder that everything lies in.
        split: "train", "val" or another that has a folder or a list.
        images: folder of the pictures, from `root`; by default the first of `images`, `img_dir`.
        masks: folder of the masks, from `root`; by default the first of `masks`, `labels`, `annotations`,
            `ann_dir`.
        classes: names, with or without colours; by default those of `classes.txt`.
        zero_is_void: the value 0 is no class: the first name is that of 1.
        labelled: False reads pictures alone, and needs no masks.
        val_share: how much of the pictures a lot gives to "val".
        seed: another lot.

    Raises:
        DataError: if a folder, the class list or the split is missing, empty or contradictory.
    """
    root = Path(root).expanduser()
    folders = [_folder(root, images, IMAGES)]
    if labelled:
        folders.append(_folder(root, masks, MASKS))
    labels = own_labels(root / NAMES, classes, zero_is_void=zero_is_void)
    ids: Sequence[str] | None = None
    source: Path | None = None
    if splits := folders_in(folders[0]):
        if split not in splits:
            raise DataError(f"{folders[0]} has no split {split!r}; it has {', '.join(splits)}")
        folders = [folder / split for folder in folders]
    else:
        ids, source = _choose(root, split, list(listed(folders[0])), val_share, seed)
    pictures, mask_folder = folders[0], folders[1] if labelled else None
    return PairsDataset("pairs", root, split, (pictures, mask_folder), labels, ids=ids, source=source)


def is_pairs(root: Path) -> bool:
    """Return whether a folder has the usual folders of pictures and of masks."""
    return all(any((root / folder).is_dir() for folder in usual) for usual in (IMAGES, MASKS))


def _masks(folder: Path, ending: str | None) -> dict[str, Path]:
    """Return the masks by id."""
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder} of masks; labelled=False reads pictures alone")
    return listed(folder, ending)


def _folder(root: Path, given: str | os.PathLike[str] | None, usual: tuple[str, ...]) -> Path:
    """Return a folder below `root`: the one given, or the first of the usual ones that exists."""
    for folder in [given] if given is not None else usual:
        if (root / folder).is_dir():
            return root / folder
    if given is not None:
        raise DataError(f"there is no folder {root / given}")
    raise DataError(
        f"{root} has no folder {' or '.join(usual)}; the layout is {IMAGES[0]}, {MASKS[0]} and {NAMES}"
    )


def _choose(
    root: Path, split: str, ids: Sequence[str], share: float, seed: int
) -> tuple[Sequence[str], Path | None]:
    """Return the ids of a split and the list that names them; without any lists they are drawn by lot."""
    lists = sorted(file.stem for file in root.glob("*.txt") if file.name != NAMES)
    if split in lists or (split != "all" and {"train", "val"} & set(lists)):
        source = root / f"{split}.txt"
        return read_ids(source, f"this data set has {', '.join(lists)}"), source
    if split == "all":
        return ids, None
    if split not in ("train", "val"):
        raise DataError(f"{root} has no split {split!r}; write its ids into {root / split}.txt, one a line")
    if not 0 < share < 1 or len(ids) < 2:
        raise DataError(
            f"val_share={share} of {len(ids)} pictures in {root} is no split; give a share between 0 and 1 "
            "or write lists"
        )
    return divide(ids, share, seed)[split == "val"], None


def divide(ids: Sequence[str], share: float, seed: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Divide ids by lot: the rest, and `share` of them; each part has at least one.

    An id draws its own number, so ids that come later move few from one part to the other.
    """
    order = sorted(ids, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())
    held = set(order[: min(max(round(share * len(ids)), 1), len(ids) - 1)])
    return tuple(name for name in ids if name not in held), tuple(name for name in ids if name in held)
