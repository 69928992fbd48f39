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
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from dmnet.checkpoints import weights_digest
from dmnet.classes import label_image
from dmnet.datasets.files import FileDataset
from dmnet.errors import DataError
from dmnet.files import atomic_write, progress
from dmnet.images import read_image
from dmnet.inference import predict
from dmnet.model import DMNet
from dmnet.systems import Evaluation


class Format(NamedTuple):
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
    model: DMNet, dataset: FileDataset, output: str | os.PathLike[str], *, protocol: Evaluation | None = None
) -> Path:
    """Predict every image of a split, unless its label map is there, and pack them for the server.

    Args:
        model: with as many classes as the data set.
        dataset: "voc", "ade20k" or "cityscapes" of `dmnet.datasets.load`, by custom with `split="test"` and
            `labelled=False`.
        output: folder for the label maps and the archive, whose path is returned.
        protocol: how to predict; by default the system's own. Used in {doc}`07_evaluation`.

    Raises:
        DataError: if the data set has no such server, is not the complete test set, or has other classes than
            the model; if the folder holds something else; or if an image cannot be read.
    """
    name = getattr(dataset, "name", "")
    if name not in FORMATS:
        raise DataError(f"{name or dataset!r} has no evaluation server; these have: {', '.join(FORMATS)}")
    if (known := model.architecture.num_classes) != len(dataset.classes):
        raise DataError(f"the model knows {known} classes, the data set has {len(dataset.classes)}")
    if dataset.split == "test" and dataset.official_size not in (None, len(dataset)):
        part = f"{len(dataset)} of the {dataset.official_size} images of the test set"
        raise DataError(f"{dataset.source} has {part}: complete it, the server refuses a part")
    style, folder = FORMATS[name], Path(output)
    _claim(folder, model, dataset, protocol)
    files = {one: folder / style.folder / f"{one}{style.ending}" for one in dataset.ids}
    for one, file in progress(files.items(), desc="predict", unit="image"):
        if not file.exists():  # what is there is complete
            image = read_image(dataset.image_file(one))
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
        "weights": weights_digest(model.state_dict()),
        "protocol": asdict(used) if used else None,
    }
    text = json.dumps(content, indent=1) + "\n"
    note = folder / "submission.json"  # no part of the archive
    if note.exists():
        if note.read_text(encoding="utf-8") != text:
            raise DataError(f"{folder} holds predictions of something else, see {note}; choose another")
    elif folder.exists() and any(not path.name.startswith(".") for path in folder.iterdir()):
        raise DataError(f"{folder} holds something else; choose another folder")
    else:
        with atomic_write(note) as temporary:
            temporary.write_text(text, encoding="utf-8")
