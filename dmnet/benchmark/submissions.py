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

import hashlib
import json
import os
import tarfile
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from dmnet.classes import label_image
from dmnet.datasets.files import FileDataset
from dmnet.errors import DataError
from dmnet.export import weights_digest
from dmnet.files import atomic_write
from dmnet.files import progress as progress_bar
from dmnet.images import read_image, read_mask
from dmnet.inference import predict
from dmnet.model import DMNet
from dmnet.systems import Evaluation

NOTE = "submission.json"  # what the predictions in a folder were made with; not part of the archive


@dataclass(frozen=True)
class Format:
    """What a server wants. Used in {doc}`07_evaluation`."""

    folder: str  # where the files lie in the archive
    ending: str  # what follows the id in a file's name
    palette: bool  # whether the values are indices into VOC's colours; otherwise they are grey values
    archive: str  # its name; the suffix says the kind


FORMATS = {
    "voc": Format("results/VOC2012/Segmentation/comp6_test_cls", ".png", True, "results.tgz"),
    "ade20k": Format("", ".png", False, "ade20k.zip"),
    "cityscapes": Format("", "_labelIds.png", False, "cityscapes.zip"),
}


def write_submission(
    model: DMNet,
    dataset: FileDataset,
    output: str | os.PathLike[str],
    *,
    protocol: Evaluation | None = None,
    progress: bool = False,
) -> Path:
    """Predict every image of a split, check the label maps and pack them for the server.

    Interrupted work goes on where it was left: label maps that are there and in order stay.

    Args:
        model: with as many classes as the data set.
        dataset: "voc", "ade20k" or "cityscapes" of `dmnet.datasets.load`, by custom with `split="test"` and
            `labelled=False`.
        output: folder for the label maps and the archive.
        protocol: how to predict; by default the system's own.
        progress: show a progress bar, if somebody is looking.

    Returns:
        The archive. Used in {doc}`07_evaluation`.

    Raises:
        DataError: if the data set has no such server, is not the complete test set, or has other classes than
            the model; if the folder holds something else; or if an image cannot be read.
    """
    name = getattr(dataset, "name", "")
    if not isinstance(dataset, FileDataset) or name not in FORMATS:
        raise DataError(f"{name or dataset!r} has no evaluation server; these have: {', '.join(FORMATS)}")
    known, wanted = model.architecture.num_classes, len(dataset.classes)
    if known != wanted:
        raise DataError(f"the model knows {known} classes, the data set has {wanted}")
    if dataset.split == "test" and dataset.official_size not in (None, len(dataset)):
        raise DataError(
            f"{dataset.source} has {len(dataset)} of the {dataset.official_size} images of the test set: "
            "the server refuses a part; complete the data set"
        )
    style, folder = FORMATS[name], Path(output)
    _claim(folder, model, dataset, protocol)
    files = {one: folder / style.folder / f"{one}{style.ending}" for one in dataset.ids}
    shown: dict[str, bool] = {} if progress else {"disable": True}
    for one, file in progress_bar(files.items(), desc="predict", unit="image", **shown):
        image = read_image(dataset.image_file(one))
        if not _is_right(file, dataset, image.shape[:2]):
            stored = dataset.encoding.encode(predict(model, image, protocol=protocol))
            with atomic_write(file) as temporary:
                (label_image(stored) if style.palette else Image.fromarray(stored)).save(temporary)
    with atomic_write(folder / style.archive) as temporary:
        if temporary.suffix == ".zip":
            with zipfile.ZipFile(temporary, "w") as zipped:  # stored: a PNG is compressed already
                for file in files.values():
                    zipped.write(file, file.relative_to(folder))
        else:
            with tarfile.open(temporary, "w:gz") as packed:
                for file in files.values():
                    packed.add(file, file.relative_to(folder))
    return folder / style.archive


def _claim(folder: Path, model: DMNet, dataset: FileDataset, protocol: Evaluation | None) -> None:
    """Note what the folder's predictions are made with; refuse a folder that holds anything else."""
    used = protocol or (model.system.evaluation if model.system else None)
    content = {
        "dataset": dataset.name,
        "split": dataset.split,
        "ids": hashlib.sha256("\n".join(dataset.ids).encode()).hexdigest()[:16],
        "weights": weights_digest(model),
        "protocol": asdict(used) if used else None,
    }
    content = json.loads(json.dumps(content))  # tuples become lists, as in the file
    note = folder / NOTE
    if note.exists():
        try:
            there = json.loads(note.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataError(f"{note} is damaged ({error}); choose another folder") from error
        if other := [name for name, value in content.items() if there.get(name) != value]:
            what = " and ".join(other)
            raise DataError(f"{folder} holds predictions of another {what}; choose another folder")
    elif folder.exists() and any(not path.name.startswith(".") for path in folder.iterdir()):
        raise DataError(f"{folder} holds something else; choose another folder")
    else:
        with atomic_write(note) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _is_right(file: Path, dataset: FileDataset, size: tuple[int, ...]) -> bool:
    """Tell whether a label map is there, of the right size, and holds values of classes alone."""
    try:
        stored = read_mask(file)
    except (DataError, FileNotFoundError):  # damaged or not there: it is made anew
        return False
    return stored.shape == size and bool(np.isin(stored, dataset.encoding.stored).all())
