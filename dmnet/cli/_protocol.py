"""The options that say how a network is used on an image: `--protocol` and its single settings."""

import re
from typing import TYPE_CHECKING, Annotated

import typer

from dmnet import systems
from dmnet.errors import DMNetError

if TYPE_CHECKING:
    from dmnet.model import DMNet
    from dmnet.systems import Evaluation

Protocol = Annotated[
    str | None, typer.Option(help=f"{', '.join(systems.PROTOCOLS)}. Default: published, the system's own.")
]
Window = Annotated[str | None, typer.Option(metavar="HxW", help="Slide a window of that many pixels.")]
Stride = Annotated[str | None, typer.Option(metavar="HxW", help="Of the window. Default: two thirds.")]
Scales = Annotated[str | None, typer.Option(metavar="A,B,...", help="Average over these scales.")]
Flip = Annotated[bool | None, typer.Option("--flip/--no-flip", help="Average with the mirrored image.")]


def chosen(
    model: "DMNet",
    protocol: str | None,
    window: str | None,
    stride: str | None,
    scales: str | None,
    flip: bool | None,
) -> "Evaluation | None":
    """Return the protocol that the options ask for; None is the system's own."""
    if (protocol, window, stride, scales, flip) == (None,) * 5:
        return None
    if model.system is None:
        raise DMNetError("the weight file does not say which system it belongs to, so it has no protocols")
    return systems.protocol(
        model.system,
        protocol or "published",
        window=pair("--window", window),
        stride=pair("--stride", stride),
        scales=None if scales is None else _numbers("--scales", scales),
        flip=flip,
    )


def pair(option: str, text: str | None) -> tuple[int, int] | None:
    """Read "512x1024": height and width; one number is both."""
    if text is None:
        return None
    if not (match := re.fullmatch(r"(\d+)(?:x(\d+))?", text)):
        raise DMNetError(f"{option} wants HEIGHTxWIDTH in pixels, e.g. 512x1024, got {text!r}")
    return int(match[1]), int(match[2] or match[1])


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise DMNetError(f"{option} wants numbers with commas between them, got {text!r}") from None
