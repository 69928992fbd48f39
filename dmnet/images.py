"""Reading images and label maps from whatever people have."""

import os
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from dmnet.errors import DataError

Source = str | os.PathLike[str] | Image.Image | NDArray[Any]
LOSSY = ("JPEG", "MPO", "WEBP", "AVIF")  # formats whose compression changes labels
LABEL_MODES = ("P", "L", "1", "I", "I;16", "I;16B", "I;16L", "I;16N")  # Pillow's modes of one value per pixel
# What Pillow raises for a damaged file; a RuntimeError for AVIF.
BROKEN = (OSError, RuntimeError, SyntaxError, ValueError, Image.DecompressionBombError)
_TOP = {"uint8": 255, "uint16": 65535, "int32": 65535, "float32": 1, "float64": 1, "float16": 1}


def read_image(source: Source) -> NDArray[np.uint8]:
    """Read an image as the eye sees it, uint8 RGB [H, W, 3], a copy. Shown in {doc}`02_data`.

    The EXIF orientation is applied; grey values become three equal channels; what is transparent is laid on
    white; palettes and CMYK become RGB; 16 bits become 8. Of an animation the first frame is taken.

    Args:
        source: path; PIL image; or array [H, W], [H, W, 1], [H, W, 3] (RGB) or [H, W, 4] (RGBA) of uint8, of
            uint16 in 0..65535, or of floats in 0..1.

    Raises:
        DataError: if the file cannot be read to its end, or the array is no image; the message names it.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, "the array given")
    if isinstance(source, Image.Image):
        return _upright_rgb(source, "the image given")
    if isinstance(source, str | os.PathLike):
        return _upright_rgb(_decoded(source), str(source))
    raise DataError(f"an image must be a path, a PIL image or a NumPy array, got {type(source).__name__}")


def read_mask(source: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Read a label map: the class of a pixel is the palette index or the grey value. Shown in {doc}`02_data`.

    No EXIF orientation is applied: label maps are drawn, not photographed, to the size of the upright image.

    Args:
        source: path of an 8-bit palette or grey file, or of one of 1 or 16 bits whose values are at most 255.

    Returns:
        uint8 [H, W].

    Raises:
        DataError: if the file cannot be read, was saved with loss, or holds colours or larger values.
    """
    image = _decoded(source)
    if image.format in LOSSY:
        kind = f"{image.format} file, which changes labels to compress"
        raise DataError(f"{source} is a {kind}; save masks as PNG")
    if image.mode not in LABEL_MODES:
        raise DataError(
            f"{source} holds colours (mode {image.mode}), not labels; give every colour its class's number, "
            "saved as PNG: Image.fromarray(labels.astype('uint8')).save('mask.png')"
        )
    labels = np.array(image)
    if labels.dtype != np.uint8 and (labels.min() < 0 or labels.max() > 255):
        held = f"values from {labels.min()} to {labels.max()}"
        raise DataError(f"{source} holds {held}; labels are 0..255, 255 being void")
    return labels.astype(np.uint8, copy=False)


def _decoded(path: str | os.PathLike[str]) -> Image.Image:
    """Open a file and decode it to its end; a DataError says what is wrong with it."""
    if not os.path.isfile(path):  # False, not an error, for names that no file can have
        raise DataError(f"{path} is a folder" if os.path.isdir(path) else f"there is no file {path}")
    try:
        with Image.open(path) as image:
            image.load()
            image.getexif()  # is kept
    except BROKEN as error:
        raise DataError(f"{path} is damaged, cut off or no image that Pillow reads: {error}") from error
    return image


def _upright_rgb(image: Image.Image, name: str) -> NDArray[np.uint8]:
    """Return an image of any mode, perhaps not read yet, as an upright RGB array."""
    try:
        if image.getexif().get(ExifTags.Base.Orientation, 1) not in (0, 1):
            image = ImageOps.exif_transpose(image)
        if image.mode == "F" or image.mode.startswith("I"):
            return _from_array(np.asarray(image), name)
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image if image.mode == "RGB" else image.convert("RGB")  # which copies RGB, too
        packed = np.frombuffer(image.tobytes("raw", "RGBX"), np.uint8)  # as Pillow holds it: quicker than RGB
        return cv2.cvtColor(packed.reshape(image.height, image.width, 4), cv2.COLOR_RGBA2RGB)
    except OSError as error:
        raise DataError(f"{name} is damaged or cut off: {error}") from error


def _from_array(array: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Return an array of any supported shape and type as uint8 RGB [H, W, 3]."""
    shape = array.shape if array.ndim != 2 else (*array.shape, 1)
    if len(shape) != 3 or shape[2] not in (1, 3, 4) or 0 in shape:
        raise DataError(
            f"{name} has shape {array.shape}; an image is [H, W], [H, W, 3] or [H, W, 4]: "
            "array.transpose(1, 2, 0) moves the channels last"
        )
    top = _TOP.get(array.dtype.name, 0)
    if top != 255:
        low, high = array.min(), array.max()
        if not (top and low >= 0 and high <= top):  # also where one of them is NaN
            raise DataError(
                f"{name} holds {array.dtype} values from {low} to {high}; an image is uint8, uint16 or float "
                "in 0..1: divide by 255, or convert it by .astype('uint8')"
            )
        array = (array.astype(np.float64) * (255 / top) + 0.5).astype(np.uint8)
    array = array.reshape(shape)
    if shape[2] == 4:
        return _upright_rgb(Image.fromarray(array), name)
    return np.repeat(array, 3, axis=2) if shape[2] == 1 else array.copy()
