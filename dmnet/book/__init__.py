"""What the first cell of every chapter does: choose device and profile, set the figures' style."""

import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch

from dmnet.datasets.published import PUBLISHED
from dmnet.plots import KINDS, SCALES

# An ink of its own, which the page's replaces; what lies on a picture is black or white.
INK, INKED = "#232629", ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
CYCLE = [SCALES[7], *KINDS.values(), SCALES[5], SCALES[1], SCALES[3]]
FIGURES: dict[str, Any] = {
    "figure.dpi": 120,
    "figure.constrained_layout.use": True,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "the book",  # two builds are equal
    "axes.facecolor": "none",
    "savefig.facecolor": "white",  # a sheet of paper, which the page takes away
    **dict.fromkeys(INKED, INK),
    "axes.prop_cycle": f"cycler('color', {CYCLE})",
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "image.interpolation": "none",  # a pixel is a pixel
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
    if "IPython" in sys.modules and (shell := sys.modules["IPython"].get_ipython()):
        inline = import_module("matplotlib_inline.config").InlineBackend.instance(parent=shell)
        inline.print_figure_kwargs = {"bbox_inches": None, "metadata": {"Date": None}}
        inline.figure_formats = {"svg"}
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
