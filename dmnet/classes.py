"""Class names and colours of the data sets.

The class of a pixel is a number; names and colours are for people. The colours are those that each data set's
own tools and publications use, so that figures can be compared; the two demo worlds use a palette that
readers with any kind of colour vision can tell apart [Okabe and Ito, Color Universal Design, 2008].
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from dmnet.files import shipped

VOID_COLOUR = (224, 224, 192)  # VOC's own colour of the label 255


def voc_palette(count: int) -> NDArray[np.uint8]:
    """Return PASCAL VOC's colours of the labels 0 .. count - 1, uint8 RGB [count, 3].

    The three lowest bits of a label go to the highest bits of red, green and blue, the next three bits to the
    second highest, and so on [PASCAL VOC development kit, VOClabelcolormap]. Derived in {doc}`05_data`.
    """
    if not 1 <= count <= 256:
        raise ValueError(f"the colour map has 256 colours, asked for {count}")
    bits = np.arange(count)[:, None] >> np.arange(9) & 1  # [count, 9]: three for each level
    levels = bits.reshape(count, 3, 3) << np.array([7, 6, 5])[:, None]  # [count, level, channel]
    return levels.sum(axis=1).astype(np.uint8)


def colour_table(palette: ArrayLike | None = None) -> NDArray[np.uint8]:
    """Return a colour for each of the labels 0 .. 255, uint8 RGB [256, 3]. Used in {doc}`05_data`.

    The first K labels have those of `palette`, uint8 [K, 3], the others VOC's; 255 has VOC's colour of void.
    """
    colours = voc_palette(256)
    if palette is not None:
        given = np.asarray(palette, np.uint8)
        colours[: len(given)] = given
    colours[255] = VOID_COLOUR
    return colours


def label_image(labels: ArrayLike, palette: ArrayLike | None = None) -> Image.Image:
    """Return labels [H, W] in 0..255 as an image with a palette for people. Shown in {doc}`05_data`."""
    image = Image.fromarray(np.asarray(labels).astype(np.uint8))
    image.putpalette(colour_table(palette).tobytes())
    return image


@dataclass(frozen=True, eq=False)
class ClassList:
    """Names of the classes, in the order of their labels, and a colour for each. Shown in {doc}`05_data`."""

    names: tuple[str, ...]
    palette: NDArray[np.uint8]  # [len(names), 3], RGB; not writable

    def __post_init__(self) -> None:
        if self.palette.shape != (len(self.names), 3):
            raise ValueError(f"{len(self.names)} names need as many colours, got {self.palette.shape}")
        self.palette.setflags(write=False)

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "name rrggbb", one a line (colours in hexadecimal)."""
        pairs = [line.rsplit(" ", 1) for line in text.splitlines()]
        colours = [list(bytes.fromhex(colour)) for _, colour in pairs]
        return cls(tuple(name for name, _ in pairs), np.array(colours, np.uint8))


# What the files do not name is no class: VOC's 255, ADE20K's 0 ("other"), Cityscapes' other labelIds.
VOC, ADE20K, CITYSCAPES, CAMVID, DEMO_CONTEXT, DEMO_SCALE = KNOWN = tuple(
    ClassList.parse(shipped("published", f"{name}_classes.txt").read_text(encoding="utf-8"))
    for name in ("voc", "ade20k", "cityscapes", "camvid", "demo_context", "demo_scale")
)  # names of the classes, in the order of their labels: any that are one of these get its colours
