"""What the first cell of every chapter does: choose device and profile, set the figures' style."""

import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch

from dmnet.datasets.published import PUBLISHED

FIGURES: dict[str, Any] = {
    "figure.dpi": 120,
    "figure.constrained_layout.use": True,
    "savefig.facecolor": "white",  # a figure is a sheet of paper, also on a dark page
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "image.interpolation": "nearest",  # a pixel is a pixel
}


@dataclass(frozen=True)
class Profile:
    """What a chapter finds on this machine. Used in {doc}`welcome`."""

    name: str  # "full" with a GPU and a real data set; "photographs" with CamVid alone; else "demo"
    device: str  # "cuda" or "cpu"
    roots: dict[str, Path]  # folder of each real data set that was found


def setup(seed: int = 0) -> Profile:
    """Seed PyTorch, style the figures, return and print what is found here. Used in {doc}`welcome`."""
    torch.manual_seed(seed)
    mpl.rcParams.update(FIGURES)  # type: ignore[arg-type]
    if "google.colab" in sys.modules:  # which loads the code of widgets only when told to [Colab, "Widgets"]
        import_module("google.colab.output").enable_custom_widget_manager()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    roots = {name: root for name, published in PUBLISHED.items() if (root := published.find())}
    missing = ["no GPU"] * (device != "cuda") + ["no real data set in data/"] * (not roots)
    name = "photographs" if missing and "camvid" in roots else "demo" if missing else "full"
    profile = Profile(name, device, roots)
    threads = torch.get_num_threads()
    cpu = f"the CPU ({threads} thread{'s' * (threads > 1)})"
    print(f"PyTorch {torch.__version__} on {torch.cuda.get_device_name() if device == 'cuda' else cpu}.")
    on = {"demo": "on drawn pictures", "photographs": "on drawn pictures and CamVid's photographs"}
    pictures = f"{name}, {on[name]} ({', '.join(missing)})" if missing else "full"
    found = f" Data found: {', '.join(roots)}." if roots else ""
    print(f"Profile: {pictures}.{found}")
    return profile
