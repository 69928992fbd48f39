"""Ways to score a system besides the published one: whole image, sliding window, multi-scale + flip.

Each is an `Evaluation`, so whatever takes the system's own takes these: `dmnet.evaluate(model, dataset,
protocol=choose(model.system, "slide"))`.
"""

from dataclasses import replace
from typing import Literal, get_args

from dmnet.errors import DMNetError
from dmnet.systems import Evaluation, System

Name = Literal["published", "whole", "slide", "ms+flip"]
NAMES: tuple[Name, ...] = get_args(Name)
MS_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)  # of the published "ms+flip" scores [mmsegmentation]
STRIDE = 2 / 3  # of the window, as mmsegmentation slides: 341 of 512 pixels, 513 of 769


def choose(
    system: System,
    name: str = "published",
    *,
    window: tuple[int, int] | None = None,
    stride: tuple[int, int] | None = None,
    scales: tuple[float, ...] | None = None,
    flip: bool | None = None,
) -> Evaluation:
    """Return one of the protocols for a system, with single settings changed.

    Args:
        system: whose resize limits, window and way of averaging are the starting point.
        name: "published", the system's own; "whole", the whole image at one scale; "slide", windows at one
            scale, of the size that the system was trained on unless it has its own; "ms+flip", six scales
            and their mirror images.
        window: height and width of the window, in pixels.
        stride: of the window, down and across; by default two thirds of it.
        scales: factors on the resize limits.
        flip: whether the mirrored image is predicted too.

    Raises:
        DMNetError: if there is no such protocol, a stride has no window, or a setting cannot be used.
    """
    protocol = _named(system, name)
    if window is not None:
        protocol = _sliding(protocol, window)
    if stride is not None:
        if protocol.window is None:
            raise DMNetError(f"a stride of {stride} needs a window: give the window too")
        protocol = replace(protocol, window_stride=stride)
    if scales is not None:
        protocol = replace(protocol, scales=scales)
    return protocol if flip is None else replace(protocol, flip=flip)


def _named(system: System, name: str) -> Evaluation:
    own = system.evaluation
    if name == "published":
        return own
    if name == "ms+flip":
        return replace(own, scales=MS_SCALES, flip=True)
    if name not in NAMES:
        raise DMNetError(f"there is no protocol {name!r}; there are {', '.join(NAMES)}")
    once = replace(own, scales=(1.0,), flip=False)
    if name == "whole":
        return replace(once, window=None, window_stride=None)
    if once.window is not None:
        return once
    if system.recipe.crop is None:
        raise DMNetError(f"{system.name} was trained on whole images: give the window to slide")
    return _sliding(once, system.recipe.crop)


def _sliding(protocol: Evaluation, window: tuple[int, int]) -> Evaluation:
    height, width = window
    stride = (max(round(STRIDE * height), 1), max(round(STRIDE * width), 1))
    return replace(protocol, window=window, window_stride=stride)
