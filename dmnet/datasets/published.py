"""What is known of a published data set beforehand: where it lies, how it is labelled, how large it is."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dmnet.classes import ClassList
from dmnet.datasets.encoding import Encoding
from dmnet.datasets.lists import NAMES, Classes, labels_of, read_classes
from dmnet.errors import DataError
from dmnet.files import data_dir


@dataclass(frozen=True)
class Published:
    """A published data set.

    Attributes:
        name: what `dmnet.datasets.load` knows it as.
        title: its name in sentences.
        places: folders below the data folder that its archives unpack to.
        inside: folders of which it has at least one.
        classes: its classes.
        encoding: how its masks store them.
        sizes: number of examples of each split that counts are published for.
        archives: what to fetch by hand.
    """

    name: str
    title: str
    places: tuple[str, ...]
    inside: tuple[str, ...]
    classes: ClassList
    encoding: Encoding
    sizes: Mapping[str, int]
    archives: str

    def is_at(self, folder: Path) -> bool:
        """Return whether the folder itself is laid out as this data set."""
        return any((folder / one).is_dir() for one in self.inside)

    def find(self, root: str | os.PathLike[str] | None = None) -> Path | None:
        """Return the data set's folder: `root` (by default the data folder) or one of its places below it."""
        return next((folder for folder in self._candidates(root) if self.is_at(folder)), None)

    def folder(self, root: str | os.PathLike[str] | None = None) -> Path:
        """Return the data set's folder as `find` does.

        Raises:
            DataError: if it isn't there; the message says where it was looked for and what to fetch.
        """
        if folder := self.find(root):
            return folder
        looked = ", ".join(str(folder) for folder in self._candidates(root))
        raise DataError(
            f"{self.title} was not found: no {' or '.join(self.inside)} in {looked}. Give its folder as root "
            f"or see `dmnet data prepare {self.name}`; by hand: unpack {self.archives}"
        )

    def names(self, folder: Path, classes: Classes | None = None) -> Classes:
        """Return the classes that are given, else those of a `classes.txt` in the folder, else the published.

        A folder that `dmnet.worlds.write_layout` made has a `classes.txt`.
        """
        if classes is not None:
            return classes
        return read_classes(folder / NAMES) if (folder / NAMES).is_file() else self.classes

    def labels(self, folder: Path, classes: Classes | None = None) -> tuple[ClassList, Encoding]:
        """Return the classes, as `names` does, and how they are stored."""
        return labels_of(self.names(folder, classes), self.encoding)

    def size(self, split: str, classes: Classes) -> int | None:
        """Return the published number of examples; None if it isn't known, or the classes are others."""
        return self.sizes.get(split) if classes is self.classes else None

    def _candidates(self, root: str | os.PathLike[str] | None) -> list[Path]:
        folder = data_dir() if root is None else Path(root).expanduser()
        return [folder, *(folder / place for place in self.places)]
