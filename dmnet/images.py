"""Reading images and label maps from whatever people have: what is read or refused is decided here."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from dmnet.errors import DataError

Source = str | os.PathLike[str] | Image.Image | NDArray[Any]
LOSSY = ("JPEG", "MPO", "WEBP", "AVIF", "GIF")  # which change or renumber what is stored
LABEL_MODES = ("P", "L", "1", "I", "I;16", "I;16B", "I;16L", "I;16N")  # Pillow's modes of one value per pixel
_TOP = {"uint8": 255, "uint16": 65535, "int32": 65535, "float32": 1, "float64": 1, "float16": 1}
_REMEDY = "save red, green and blue as 8 bits (data/README.md, What is read)"


def read_image(source: Source) -> NDArray[np.uint8]:
    """Read an image as the eye sees it, uint8 RGB [H, W, 3], a copy. Shown in {doc}`05_data`.

    The EXIF orientation is applied; grey values become three equal channels; what is transparent is laid on
    white; palettes and CMYK become RGB; 16 bits become 8. Of an animation the first frame is taken.

    Args:
        source: path; PIL image; or array [H, W], [H, W, 1], [H, W, 3] (RGB) or [H, W, 4] (RGBA) of uint8, of
            uint16 in 0..65535, or of floats in 0..1.

    Raises:
        DataError: if it cannot be read to its end, or would become another picture; the message names it.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, "the array given")
    if not isinstance(source, str | os.PathLike | Image.Image):
        raise DataError(f"an image must be a path, a PIL image or a NumPy array, got {type(source).__name__}")
    name = "the image given" if isinstance(source, Image.Image) else str(source)
    with reading(name), nullcontext(source) if isinstance(source, Image.Image) else _opened(source) as image:
        decode(image, name)
        if image.getexif().get(ExifTags.Base.Orientation, 1) not in (0, 1):
            image = ImageOps.exif_transpose(image)
        return as_rgb(image, name)


def read_mask(source: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Read a label map, uint8 [H, W]: palette indices or grey values, the classes. Shown in {doc}`05_data`.

    The file has 8 bits, or 1 or 16 with values of at most 255. A DataError if it cannot be read, was saved
    with loss, or holds colours or larger values. No EXIF orientation is applied: label maps are drawn, not
    photographed, to the size of the upright image.
    """
    image = open_mask(source)
    if image.mode not in LABEL_MODES:
        why = f"{source} holds colours (mode {image.mode}), not labels"
        raise DataError(f"{why}; give each its class's number, saved as PNG (`dmnet data convert` does it)")
    labels = np.array(image)
    if labels.min(initial=0) < 0 or labels.max(initial=0) > 255:
        raise DataError(f"{source} holds values from {labels.min()} to {labels.max()}; labels are 0 to 255")
    return labels.astype(np.uint8, copy=False)


def open_mask(path: str | os.PathLike[str], lossy: bool = False) -> Image.Image:
    """Return a mask's file, decoded; `lossy` formats are refused unless wanted. Used in {doc}`05_data`."""
    with reading(path), _opened(path) as image:
        size = image.size
        with suppress(EOFError):
            image.seek(1)
            if image.size == size:  # else it is the same, smaller
                raise DataError(f"{path} has several pages; save each mask as a PNG of one label map")
        image.seek(0)
        decode(image, path)
    if image.format in LOSSY and not lossy:
        raise DataError(f"{path} is a {image.format} file, which changes labels; save masks as PNG")
    return image


@contextmanager
def reading(name: object) -> Iterator[None]:
    """Make a DataError of what a decoder raises in the block, but for MemoryError. Used in {doc}`05_data`."""
    try:
        yield
    except DataError:
        raise
    except MemoryError as error:
        raise MemoryError(f"{name} needs more memory than there is; cut it into tiles") from error
    except Image.DecompressionBombError as error:
        limit = f"it has more than {2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6} million pixels"
        raise DataError(f"{name} is too large: {limit}; cut it into tiles, or make it smaller") from error
    except Exception as error:  # Pillow raises any kind for a damaged file
        cause = str(error).partition(" <")[0] if error.args else type(error).__name__  # without addresses
        reason = f"is damaged, cut off or no image that Pillow reads: {cause}"
        raise DataError(f"{name} {reason}; save it anew as PNG, or leave it out") from error


def _opened(path: str | os.PathLike[str]) -> Image.Image:
    if not os.path.isfile(path):  # False, not an error, for names that no file can have
        raise DataError(f"{path} is a folder" if os.path.isdir(path) else f"there is no file {path}")
    return Image.open(path)


def decode(image: Image.Image, name: object) -> Image.Image:
    """Decode an opened image to its end; a DataError if it is not what was stored. Used in {doc}`05_data`."""
    deep = ";16" in str(getattr(image, "tile", [])[:1]) and not image.mode.startswith("I")
    image.load()
    image.getexif()  # is kept
    tags, bands = getattr(image, "tag_v2", {}), len(image.getbands())  # of a TIFF file
    inside = str(image.info.get("compression")).removeprefix("tiff_").upper()
    image.format = inside if inside in LOSSY else image.format  # a TIFF file can hold a JPEG
    if tags.get(277, bands) != bands:
        raise DataError(f"{name} has {tags[277]} bands, of which Pillow reads {bands}; {_REMEDY}")
    if len(tags.get(273, "*")) * tags.get(278, image.height) < image.height:
        raise DataError(f"{name} holds fewer rows than it says; save it anew as PNG, or leave it out")
    if tags.get(262) == 0 and image.mode[0] in "IF":
        raise DataError(f"{name} counts from white (0) to black, which Pillow overlooks; {_REMEDY}")
    if deep:
        _check_depth(257 * int(np.max(image.getextrema()[:3])), name)
    return image


def as_rgb(image: Image.Image, name: object) -> NDArray[np.uint8]:
    """Return a decoded image of any mode as RGB, uint8 [H, W, 3], a copy. Used in {doc}`05_data`."""
    if image.mode[0] in "IF":
        return _from_array(np.asarray(image), name)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        clear, *between, solid = image.getchannel("A").histogram()
        if sum(between) > (clear + solid) / 3 or not any((*between, solid)):
            seen = f"{clear} pixels are clear, {sum(between)} in between, {solid} solid"
            raise DataError(f"{name}: the fourth channel is no transparency ({seen}); {_REMEDY}")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image if image.mode == "RGB" else image.convert("RGB")  # which copies RGB, too
    packed = np.frombuffer(image.tobytes("raw", "RGBX"), np.uint8)  # as Pillow holds it: quicker than RGB
    return cv2.cvtColor(packed.reshape(image.height, image.width, 4), cv2.COLOR_RGBA2RGB)


def _check_depth(high: int, name: object) -> None:
    if high < 2**14:
        raise DataError(f"{name} has 16 bits, but at most {high}, as of 12: it would be black; {_REMEDY}")


def _from_array(array: NDArray[Any], name: object) -> NDArray[np.uint8]:
    """Return an array of any supported shape and type as uint8 RGB [H, W, 3]."""
    shape = array.shape if array.ndim != 2 else (*array.shape, 1)
    if len(shape) != 3 or shape[2] not in (1, 3, 4) or 0 in shape:
        remedy = "array.transpose(1, 2, 0) moves the channels last"
        raise DataError(f"{name} has shape {array.shape}, not [H, W], [H, W, 3] or [H, W, 4]: {remedy}")
    top = _TOP.get(array.dtype.name, 0)
    if top != 255:
        low, high = array.min(), array.max()
        if not (top and low >= 0 and high <= top):  # also where one of them is NaN
            wanted = "uint8, uint16 or float in 0..1: divide by 255, or convert it by .astype('uint8')"
            raise DataError(f"{name} holds {array.dtype} values from {low} to {high}, not {wanted}")
        if top == 65535:
            _check_depth(int(high), name)
        array = (array.astype(np.float64) * (255 / top) + 0.5).astype(np.uint8)
    return as_rgb(Image.fromarray(array.reshape(shape[:2] if shape[2] == 1 else shape)), name)
