"""Reading pictures and label maps from whatever people have."""

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from dmnet.errors import DataError

Source = str | os.PathLike[str] | Image.Image | NDArray[Any]
_DEPTH = 65535  # the largest value of a 16-bit picture
_LOSSY = ("JPEG", "WEBP", "AVIF")
_LABEL_MODES = ("P", "L", "1", "I", "I;16", "I;16B", "I;16L", "I;16N")
_PROBLEMS = (  # of broken files
    OSError,
    RuntimeError,  # AVIF's
    SyntaxError,
    ValueError,
    Image.DecompressionBombError,
)


class Orientation(NamedTuple):
    """What a photograph's EXIF data say about how it is held.

    Attributes:
        turned: whether the pixels must be turned or mirrored to stand upright.
        stored: width and height of the stored pixels, before turning.
    """

    turned: bool
    stored: tuple[int, int]


def read_image(source: Source) -> NDArray[np.uint8]:
    """Read a picture as the eye sees it.

    The EXIF orientation is applied; grey values become three equal channels; what is transparent is laid on
    white; palettes and CMYK become RGB; 16 bits become 8. Of an animation the first frame is taken.

    Args:
        source: path; PIL image; or array [H, W], [H, W, 1], [H, W, 3] (RGB) or [H, W, 4] (RGBA) of uint8, of
            uint16 in 0..65535, or of floats in 0..1.

    Returns:
        uint8 RGB [H, W, 3], a copy.

    Raises:
        DataError: if the file cannot be read to its end, or the array is no picture; the message names it.
    """
    if isinstance(source, Image.Image):
        return _upright_rgb(source, "the image given")
    if isinstance(source, str | os.PathLike):
        with _opened(Path(source)) as image:
            return _upright_rgb(image, str(source))
    if isinstance(source, np.ndarray):
        return _from_array(source)
    raise DataError(f"an image must be a path, a PIL image or a NumPy array, got {type(source).__name__}")


def read_mask(source: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Read a label map: the class of a pixel is the palette index or the grey value, never the colour.

    An EXIF orientation is not applied: label maps are drawn, not photographed, and one that was made for the
    upright photograph has its size. `orientation` tells
    whether a photograph is concerned.

    Args:
        source: path of an 8-bit palette or grey file; 16-bit grey and 1-bit files are taken if their values
            are at most 255.

    Returns:
        uint8 [H, W].

    Raises:
        DataError: if the file cannot be read, was saved with loss, or holds colours or larger values.
    """
    with _opened(Path(source)) as image:
        if image.format in _LOSSY:
            raise DataError(
                f"{source} is a {image.format} file; its compression changes labels, save masks as PNG"
            )
        if image.mode not in _LABEL_MODES:
            raise DataError(
                f"{source} holds colours (mode {image.mode}), not labels; give every colour its class number "
                "and save it as an 8-bit PNG, e.g. with Image.fromarray(labels.astype('uint8')).save(file)"
            )
        labels = np.asarray(_loaded(image, str(source)))
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high > 255:
        raise DataError(f"{source} holds values from {low} to {high}; labels are 0..255, 255 being void")
    return labels.astype(np.uint8)


def orientation(source: str | os.PathLike[str]) -> Orientation:
    """Return what a photograph's EXIF data say about its orientation; only the file's head is read.

    Raises:
        DataError: if the file cannot be opened.
    """
    with _opened(Path(source)) as image:
        return Orientation(image.getexif().get(ExifTags.Base.Orientation, 1) not in (0, 1), image.size)


def _opened(path: Path) -> Image.Image:
    """Open a file; a DataError says what is wrong with it."""
    if not os.path.exists(path):  # False, not an error, for names that no file can have
        raise DataError(f"there is no file {path}")
    if path.is_dir():
        raise DataError(f"{path} is a folder; give the path of a picture")
    try:
        return Image.open(path)
    except UnidentifiedImageError:
        raise DataError(
            f"{path} is not a picture in a format that Pillow reads, or its head is damaged"
        ) from None
    except _PROBLEMS as error:
        raise DataError(f"{path} cannot be opened, it may be damaged or cut off: {error}") from error


def _loaded(image: Image.Image, name: str) -> Image.Image:
    """Decode all pixels, so that a damaged file is found here."""
    try:
        image.load()
    except _PROBLEMS as error:
        raise DataError(f"{name} is damaged or cut off, fetch it again: {error}") from error
    return image


def _upright_rgb(image: Image.Image, name: str) -> NDArray[np.uint8]:
    """Return an image of any mode as an upright RGB array."""
    image = _loaded(image, name)
    if image.getexif().get(ExifTags.Base.Orientation, 1) not in (0, 1):
        image = ImageOps.exif_transpose(image)
    if image.mode == "F" or image.mode.startswith("I"):
        return _from_array(np.asarray(image), name)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))  # `convert` copies RGB, too


def _from_array(array: NDArray[Any], name: str = "the array given") -> NDArray[np.uint8]:
    """Return an array of any supported shape and type as uint8 RGB [H, W, 3]."""
    shape = f"{name} has shape {array.shape}"
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        hint = "; move the channels last with array.transpose(1, 2, 0)" if _channels_first(array) else ""
        raise DataError(f"{shape}; a picture is [H, W], [H, W, 3] or [H, W, 4]{hint}")
    array = _to_bytes(array, name)
    if array.shape[2] == 4:
        return _upright_rgb(Image.fromarray(array), name)
    return np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array.copy()


def _channels_first(array: NDArray[Any]) -> bool:
    return array.ndim == 3 and array.shape[0] in (1, 3, 4)


def _to_bytes(array: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Scale values to 0..255 by their type, after checking that they fit it."""
    if array.dtype == np.uint8:
        return array
    if not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)):
        raise DataError(f"{name} holds {array.dtype}; a picture is uint8, uint16 or float in 0..1")
    whole = np.issubdtype(array.dtype, np.integer)
    if (
        array.dtype.itemsize == 1 or array.dtype == np.int64
    ):  # int8, or an array that somebody's sums have widened
        raise DataError(
            f"{name} holds {array.dtype}; convert it with .astype('uint8') if its values are 0..255"
        )
    low, high, top = array.min(), array.max(), _DEPTH if whole else 1
    if not (low >= 0 and high <= top):  # also where one of them is NaN
        remedy = "give 16-bit values" if whole else "divide by 255 if they are 0..255"
        raise DataError(f"{name} holds {array.dtype} values from {low} to {high}, not 0..{top}; {remedy}")
    return (array.astype(np.float64) * (255 / top) + 0.5).astype(np.uint8)
