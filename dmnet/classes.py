"""Class names and colours of the data sets.

The class of a pixel is a number; names and colours are for people. The colours are those that each data set's
own tools and publications use, so that pictures can be compared; the two demo worlds use a palette that
readers with any kind of colour vision can tell apart [Okabe and Ito, Color Universal Design, 2008].
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

VOID_COLOUR = (224, 224, 192)  # VOC's own colour of the label 255


def voc_palette(count: int) -> NDArray[np.uint8]:
    """Return the colours that PASCAL VOC gives to the labels 0 .. count - 1.

    The three lowest bits of a label go to the highest bits of red, green and blue, the next three bits to the
    second highest, and so on [PASCAL VOC development kit, VOClabelcolormap].

    Args:
        count: number of labels, 1 to 256.

    Returns:
        uint8 [count, 3], RGB.

    Raises:
        ValueError: if `count` is out of range.
    """
    if not 1 <= count <= 256:
        raise ValueError(f"the colour map has 256 colours, asked for {count}")
    label = np.arange(count)
    palette = np.zeros((count, 3), np.uint8)
    for level in range(3):
        for channel in range(3):
            bit = label >> (3 * level + channel) & 1
            palette[:, channel] |= (bit << (7 - level)).astype(np.uint8)
    return palette


def colour_table(palette: ArrayLike | None = None) -> NDArray[np.uint8]:
    """Return a colour for each of the labels 0 .. 255, for painting label maps and for palette PNGs.

    Args:
        palette: uint8 [K, 3] for the first K labels; the others, and all without it, get VOC's.

    Returns:
        uint8 [256, 3], RGB; the label 255 has VOC's colour of void.
    """
    colours = voc_palette(256)
    if palette is not None:
        given = np.asarray(palette, np.uint8)
        colours[: len(given)] = given
    colours[255] = VOID_COLOUR
    return colours


def label_image(labels: ArrayLike, palette: ArrayLike | None = None) -> Image.Image:
    """Return labels [H, W] as a palette picture: its values are the labels, its colours are for people.

    Args:
        labels: integers in 0..255.
        palette: as for `colour_table`.
    """
    picture = Image.fromarray(np.asarray(labels).astype(np.uint8))
    picture.putpalette(colour_table(palette).tobytes())
    return picture


@dataclass(frozen=True, eq=False)
class ClassList:
    """Names of the classes, in the order of their labels, and a colour for each.

    Attributes:
        names: one name per class.
        palette: uint8 [len(names), 3], RGB; not writable.
    """

    names: tuple[str, ...]
    palette: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.palette.shape != (len(self.names), 3):
            raise ValueError(f"{len(self.names)} names need as many colours, got {self.palette.shape}")
        self.palette.setflags(write=False)

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "name rrggbb; name rrggbb; ..." (colours in hexadecimal)."""
        pairs = [entry.strip().rsplit(" ", 1) for entry in text.split(";")]
        colours = [list(bytes.fromhex(colour)) for _, colour in pairs]
        return cls(tuple(name for name, _ in pairs), np.array(colours, np.uint8))

    @classmethod
    def with_voc_colours(cls, names: tuple[str, ...]) -> Self:
        """Give the colours of PASCAL VOC to any names."""
        return cls(names, voc_palette(len(names)))


VOC = ClassList.with_voc_colours(
    (
        "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
        "dining table", "dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train",
        "tv monitor",
    )
)  # fmt: skip

CITYSCAPES = ClassList.parse(
    """
    road 804080; sidewalk f423e8; building 464646; wall 66669c; fence be9999; pole 999999;
    traffic light faaa1e; traffic sign dcdc00; vegetation 6b8e23; terrain 98fb98; sky 4682b4; person dc143c;
    rider ff0000; car 00008e; truck 000046; bus 003c64; train 005064; motorcycle 0000e6; bicycle 770b20
    """
)

# 150 classes of the MIT scene parsing benchmark; label 0 of its files, "other", is not among them.
ADE20K = ClassList.parse(
    """
    wall 787878; building b47878; sky 06e6e6; floor 503232; tree 04c803; ceiling 787850; road 8c8c8c;
    bed cc05ff; windowpane e6e6e6; grass 04fa07; cabinet e005ff; sidewalk ebff07; person 96053d;
    earth 787846; door 08ff33; table ff0652; mountain 8fff8c; plant ccff04; curtain ff3307; chair cc4603;
    car 0066c8; water 3de6fa; painting ff0633; sofa 0b66ff; shelf ff0747; house ff09e0; sea 0907e6;
    mirror dcdcdc; rug ff095c; field 7009ff; armchair 08ffd6; seat 07ffe0; fence ffb806; desk 0aff47;
    rock ff290a; wardrobe 07ffff; lamp e0ff08; bathtub 6608ff; railing ff3d06; cushion ffc207; base ff7a08;
    box 00ff14; column ff0829; signboard ff0599; chest of drawers 0633ff; counter eb0cff; sand a09614;
    sink 00a3ff; skyscraper 8c8c8c; fireplace fa0a0f; refrigerator 14ff00; grandstand 1fff00; path ff1f00;
    stairs ffe000; runway 99ff00; case 0000ff; pool table ff4700; pillow 00ebff; screen door 00adff;
    stairway 1f00ff; river 0bc8c8; bridge ff5200; bookcase 00fff5; blind 003dff; coffee table 00ff70;
    toilet 00ff85; flower ff0000; book ffa300; hill ff6600; bench c2ff00; countertop 008fff; stove 33ff00;
    palm 0052ff; kitchen island 00ff29; computer 00ffad; swivel chair 0a00ff; boat adff00; bar 00ff99;
    arcade machine ff5c00; hovel ff00ff; bus ff00f5; towel ff0066; light ffad00; truck ff0014; tower ffb8b8;
    chandelier 001fff; awning 00ff3d; streetlight 0047ff; booth ff00cc; television receiver 00ffc2;
    airplane 00ff52; dirt track 000aff; apparel 0070ff; pole 3300ff; land 00c2ff; bannister 007aff;
    escalator 00ffa3; ottoman ff9900; bottle 00ff0a; buffet ff7000; poster 8fff00; stage 5200ff; van a3ff00;
    ship ffeb00; fountain 08b8aa; conveyer belt 8500ff; canopy 00ff5c; washer b800ff; plaything ff001f;
    swimming pool 00b8ff; stool 00d6ff; barrel ff0070; basket 5cff00; waterfall 00e0ff; tent 70e0ff;
    bag 46b8a0; minibike a300ff; cradle 9900ff; oven 47ff00; ball ff00a3; food ffcc00; step ff008f;
    tank 00ffeb; trade name 85ff00; microwave ff00eb; pot f500ff; animal ff007a; bicycle fff500; lake 0abed4;
    dishwasher d6ff00; screen 00ccff; blanket 1400ff; sculpture ffff00; hood 0099ff; sconce 0029ff;
    vase 00ffcc; traffic light 2900ff; tray 29ff00; ashcan ad00ff; fan 00f5ff; pier 4700ff;
    crt screen 7a00ff; plate 00ffb8; monitor 005cff; bulletin board b8ff00; shower 0085ff; radiator ffd600;
    glass 19c2c2; clock 66ff00; flag 5c00ff
    """
)

DEMO_CONTEXT = ClassList.parse(
    """
    background 5b6470; ruby on warm d55e00; ruby on cool cc79a7; jade on warm f0e442; jade on cool 009e73;
    ring 56b4e9; frame 0072b2
    """
)

DEMO_SCALE = ClassList.parse(
    """
    background 5b6470; ruby on warm side d55e00; ruby on cool side cc79a7; jade on light block f0e442;
    jade on dark block 009e73; cross 56b4e9; ring 0072b2
    """
)

KNOWN = (VOC, ADE20K, CITYSCAPES, DEMO_CONTEXT, DEMO_SCALE)  # any names that are theirs get their colours
