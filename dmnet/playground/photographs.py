"""The playground's photographs: six of CamVid where it is at hand, else the one that scikit-learn brings.

They are no part of the project: what is made of them lies beside the built pages alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from dmnet import systems
from dmnet.datasets.base import Example
from dmnet.datasets.published import load_published
from dmnet.errors import DataError
from dmnet.images import read_image
from dmnet.transforms import fitted_size, resize_image, resize_mask
from dmnet.worlds.drawing import VOID, Scene

CAMVID = "CamVid, Brostow et al. 2009", "http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid/"
PAGODA = (  # OpenCV, matplotlib, torchvision and scikit-image bring no other of houses or streets
    "scikit-learn’s china.jpg, by danielbuechele, CC BY 2.0, made smaller",
    "https://www.flickr.com/photos/danielbuechele/6061409035/",
)


@dataclass(frozen=True)
class Photograph:
    """A photograph, which the network `street` labels. Used in {doc}`welcome`."""

    id: str
    title: str
    credit: tuple[str, str]  # whose it is, and where that is said
    read: Callable[[], Example]
    world = "street"
    layers = None

    @property
    def file(self) -> str:
        """Where it lies in the folder; see `dmnet.playground.scenes.pack`."""
        return f"street/{self.id}.safetensors.gz"

    def draw(self) -> Scene:
        """Return it at the size at which the network sees it; the labels are 255 where none are known."""
        image, mask, _ = self.read()
        size = image.shape[:2]
        size = fitted_size(size, systems.get(self.world).evaluation.resize or size)
        return Scene(resize_image(image, size), resize_mask(mask, size), {}, ())


def photographs() -> list[Photograph]:
    """Return six photographs of CamVid, else the pagoda, or none without either. Used in {doc}`welcome`."""
    try:
        camvid = load_published("camvid", split="val")
    except DataError:
        file = Path(getattr(find_spec("sklearn"), "origin", None) or "").parent / "datasets/images/china.jpg"
        pagoda = Photograph("street-china", "A pagoda", PAGODA, partial(_unlabelled, file))
        return [pagoda] if file.is_file() else []
    places = [len(camvid) * i // 6 for i in range(6)]  # along the drive
    return [
        Photograph(f"street-{i}", f"Street {i}", CAMVID, partial(camvid.__getitem__, place))
        for i, place in enumerate(places, 1)
    ]


def _unlabelled(file: Path) -> Example:
    image = read_image(file)
    return image, np.full(image.shape[:2], VOID, np.uint8), file.name
