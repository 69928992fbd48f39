"""Predictions in the form that the evaluation servers of the real data sets take.

| | file of an image | values | archive |
| --- | --- | --- | --- |
| PASCAL VOC 2012 | `results/VOC2012/Segmentation/comp6_test_cls/<id>.png` | 0..20, palette | `results.tgz` |
| ADE20K | `<id>.png` | 1..150 | `ade20k.zip` |
| Cityscapes | `<id>_labelIds.png` | label ids: 7, 8, 11, ..., 33 | `cityscapes.zip` |

Every label map has the size of its image. Sources: VOC2012 Development Kit, sections 5.2 and 5.3 ("comp6" is
the competition for networks that saw more than VOC's own images, such as ImageNet's and SBD's; "comp5" is for
the others); Development Kit for the MIT Scene Parsing Benchmark, "Submission format" (a zip file; files named
as the images); cityscapesScripts, `evalPixelLevelSemanticLabeling.py` (a prediction is found in any folder as
`<city>_<sequence>_<frame>*.png`; it holds "the regular ID", not the train ID).
"""

import gzip
import hashlib
import io
import json
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dmnet.classes import label_image
from dmnet.datasets.files import FileDataset
from dmnet.errors import DataError
from dmnet.files import atomic_write
from dmnet.files import progress as progress_bar
from dmnet.images import read_image, read_mask
from dmnet.inference import predict
from dmnet.model import DMNet
from dmnet.provenance import weights_digest
from dmnet.systems import Evaluation

NOTE = "submission.json"  # what the predictions in a folder were made with; not part of the archive


@dataclass(frozen=True)
class Format:
    """What a server wants.

    Attributes:
        folder: where the files lie in the archive.
        ending: what follows the id in a file's name.
        palette: whether the values are indices into VOC's colours; otherwise they are grey values.
        archive: name of the archive; its suffix says the kind.
        test_size: height and width of all test images, where they are alike.
    """

    folder: str
    ending: str
    palette: bool
    archive: str
    test_size: tuple[int, int] | None = None


FORMATS = {
    "voc": Format("results/VOC2012/Segmentation/comp6_test_cls", ".png", palette=True, archive="results.tgz"),
    "ade20k": Format("", ".png", palette=False, archive="ade20k.zip"),
    "cityscapes": Format(
        "", "_labelIds.png", palette=False, archive="cityscapes.zip", test_size=(1024, 2048)
    ),
}


def write_submission(
    model: DMNet,
    dataset: FileDataset,
    output: str | os.PathLike[str],
    *,
    protocol: Evaluation | None = None,
    progress: bool = False,
) -> Path:
    """Predict every picture of a split, check the label maps and pack them for the server.

    Interrupted work goes on where it was left: label maps that are there and in order stay.

    Args:
        model: with as many classes as the data set.
        dataset: "voc", "ade20k" or "cityscapes" of `dmnet.datasets.load`, by custom with `split="test"` and
            `labelled=False`.
        output: folder for the label maps and the archive.
        protocol: how to predict; by default the system's own.
        progress: show a progress bar, if somebody is looking.

    Returns:
        The archive.

    Raises:
        DataError: if the data set has no such server, is not the complete test set, or has other classes than
            the model; if the folder holds something else; or if a picture cannot be read.
    """
    style, folder = _format(dataset, model), Path(output)
    _claim(folder, _made_with(model, dataset, protocol))
    files = {name: folder / style.folder / f"{name}{style.ending}" for name in dataset.ids}
    _refuse_strangers(folder / style.folder, files.values(), folder / style.archive)
    shown: dict[str, bool] = {} if progress else {"disable": True}
    for name, file in progress_bar(files.items(), desc="predict", unit="image", **shown):
        image = read_image(dataset.image_file(name))
        size = image.shape[0], image.shape[1]
        _check_size(style, dataset, name, size)
        if not _is_right(file, dataset, size):
            _write_labels(file, style, predict(model, image, protocol=protocol), dataset)
            if not _is_right(file, dataset, size):
                raise DataError(f"{file} was written, but cannot be read back as it should be")
    return _pack(folder / style.archive, folder, list(files.values()))


# Before --------------------------------------------------------------------------------------------------


def _format(dataset: Any, model: DMNet) -> Format:
    """Return the format for a data set, after checking that set and model suit it."""
    name = getattr(dataset, "name", "")
    if not isinstance(dataset, FileDataset) or name not in FORMATS:
        raise DataError(f"{name or dataset!r} has no evaluation server; these have: {', '.join(FORMATS)}")
    known, wanted = model.architecture.num_classes, len(dataset.classes)
    if known != wanted:
        raise DataError(f"the model knows {known} classes, the data set has {wanted}")
    if dataset.split == "test" and dataset.official_size not in (None, len(dataset)):
        raise DataError(
            f"{dataset.source} has {len(dataset)} of the {dataset.official_size} pictures of the test set: "
            "the server refuses a part; complete the data set"
        )
    return FORMATS[name]


def _check_size(style: Format, dataset: FileDataset, name: str, size: tuple[int, int]) -> None:
    """Raise a DataError if a picture of a published test set has another size than published."""
    official = dataset.split == "test" and dataset.official_size is not None
    if official and style.test_size not in (None, size):
        height, width = style.test_size
        raise DataError(
            f"{dataset.image_file(name)} is {size[1]}x{size[0]} pixels (width x height); the server takes "
            f"only {width}x{height}: use the pictures as they were published"
        )


def _made_with(model: DMNet, dataset: FileDataset, protocol: Evaluation | None) -> dict[str, Any]:
    """Return what decides the predictions: with the same, a folder can be gone on with."""
    used = protocol or (model.system.evaluation if model.system else None)
    content = {
        "dataset": dataset.name,
        "split": dataset.split,
        "ids": hashlib.sha256("\n".join(dataset.ids).encode()).hexdigest()[:16],
        "system": model.system.name if model.system else None,
        "weights": weights_digest(model),
        "protocol": asdict(used) if used else None,
    }
    return json.loads(json.dumps(content))  # tuples become lists, as in the file


def _claim(folder: Path, made_with: dict[str, Any]) -> None:
    """Note what the folder's predictions are made with; refuse a folder with others."""
    note = folder / NOTE
    if note.exists():
        try:
            there = json.loads(note.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataError(f"{note} is damaged ({error}); choose another folder") from error
        if there != made_with:
            other = " and ".join(name for name, value in made_with.items() if there.get(name) != value)
            raise DataError(f"{folder} holds predictions of another {other}; choose another folder")
        return
    if folder.exists() and any(not path.name.startswith(".") for path in folder.iterdir()):
        raise DataError(f"{folder} holds something else; choose another folder")
    with atomic_write(note) as temporary:
        temporary.write_text(json.dumps(made_with, indent=1) + "\n", encoding="utf-8")


def _refuse_strangers(folder: Path, files: Iterable[Path], archive: Path) -> None:
    """Raise a DataError if the folder holds files that are no predictions of this set."""
    expected = {*files, archive, archive.with_name(NOTE)}
    there = sorted(folder.iterdir()) if folder.is_dir() else []
    for path in there:
        if path not in expected and not path.name.startswith("."):  # what a killed process left is hidden
            raise DataError(f"{path} is no prediction of this set; choose another folder, or remove it")


# Label maps ----------------------------------------------------------------------------------------------


def _write_labels(file: Path, style: Format, labels: Any, dataset: FileDataset) -> None:
    stored = dataset.encoding.encode(labels)
    picture = label_image(stored) if style.palette else Image.fromarray(stored)
    with atomic_write(file) as temporary:
        picture.save(temporary)


def _is_right(file: Path, dataset: FileDataset, size: tuple[int, int]) -> bool:
    """Tell whether a label map is there, of the right size, and holds values of classes alone."""
    if not file.exists():
        return False
    try:
        stored = read_mask(file)
    except DataError:  # damaged: it is made anew
        return False
    return stored.shape == size and bool(np.isin(stored, dataset.encoding.stored).all())


# Archives ------------------------------------------------------------------------------------------------


def _pack(archive: Path, folder: Path, files: list[Path]) -> Path:
    """Pack files under their names below `folder`; the same files make the same archive, byte for byte."""
    names = {file.relative_to(folder).as_posix(): file for file in files}
    pack: Callable[[Path, dict[str, Path]], None] = _tar if archive.suffix == ".tgz" else _zip
    with atomic_write(archive) as temporary:
        pack(temporary, names)
    return archive


def _zip(target: Path, names: dict[str, Path]) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:  # a PNG is compressed already
        for name, file in names.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o644 << 16  # or `unzip` makes files that nobody may read
            archive.writestr(info, file.read_bytes())


def _tar(target: Path, names: dict[str, Path]) -> None:
    with (
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for name, file in names.items():
            content = file.read_bytes()
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
