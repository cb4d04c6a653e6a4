"""Image files as RGB arrays, with the size that their header promises."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IMAGELENGTH, IMAGEWIDTH, TiffImageFile

from gffpn.data.index import DataError

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPS_SIDES = frozenset({5, 6, 7, 8})
_PIL_FAULTS = (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError)


def image_size(path: Path) -> tuple[int, int]:
    """Height and width as `read_image` gives them, from the header alone: no pixel is decoded.

    Raises DataError, naming the file, for what is no image.
    """
    with _opened(path) as image:
        width, height = image.size
        if isinstance(image, TiffImageFile):  # Pillow versions differ in whether its size is turned already
            width, height = image.tag_v2[IMAGEWIDTH], image.tag_v2[IMAGELENGTH]
        return (width, height) if _orientation(image) in _SWAPS_SIDES else (height, width)


def read_image(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) RGB, upright by its EXIF orientation.

    Grey, palette and CMYK images are converted and transparency is dropped. 16 bit grey is scaled by the
    full range (65535 becomes 255), never by what one image holds, so that equal greys stay equal.
    Raises DataError, naming the file, for what is no image, is cut short or has another depth.
    """
    with _opened(path) as image:
        orientation = _orientation(image)
        image.load()
        # Pillow turns a TIFF itself while loading
        if orientation in _UPRIGHT and not isinstance(image, TiffImageFile):
            return _rgb(image.transpose(_UPRIGHT[orientation]))
        return _rgb(image)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as image:
            yield image
    except _PIL_FAULTS as error:
        raise DataError(f"{path}: not readable as an image: {error}") from error


def _orientation(image: Image.Image) -> int:
    # the base class's reading: PngImageFile.getexif would decode the whole image
    value = Image.Image.getexif(image).get(ExifTags.Base.Orientation)
    return value if isinstance(value, int) else 1


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode == "I" or image.mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.int64)
        if grey.min() < 0 or grey.max() > 65535:
            raise ValueError(f"grey values {grey.min()} to {grey.max()}, expected 8 or 16 bits")
        return np.repeat(((grey + 128) // 257).astype(np.uint8)[:, :, None], 3, axis=2)
    if image.mode == "F":
        raise ValueError("floating point pixels, expected 8 or 16 bits")
    if image.mode == "P":  # Pillow warns of a transparent palette that goes to RGB in one step
        image = image.convert("RGBA")
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))
