"""Reading of image files as RGB arrays, and detection of their unusual properties."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import IMAGELENGTH, IMAGEWIDTH, TiffImageFile

from gffpn.data.index import DataError
from gffpn.data.readers.faults import Kind

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})

LIMIT = 1 << 30
"""Most pixels of an image, about 33,000 x 33,000: beyond, decoding one takes gigabytes of memory."""
# Pillow refuses over 179 million pixels as a possible attack, but scans and line cameras exceed that
Image.MAX_IMAGE_PIXELS = None

_TURNED = range(2, 9)
_SWAPS_SIDES = frozenset({5, 6, 7, 8})
_PIL_FAULTS = (OSError, SyntaxError, ValueError, TypeError, LookupError, NotImplementedError, struct.error)


class Look(NamedTuple):
    """Size and unusual properties of an image file."""

    height: int
    width: int
    """Height and width of the upright image, as `read_image` returns it."""
    unusual: tuple[tuple[str, str], ...]
    """(`Kind`, what was found) for each property that makes `read_image` lose or change something."""


def look(path: Path) -> Look:
    """Decode a file once to check that it is complete, and return its size and unusual properties.

    8-bit grey, RGB, and opaque images with an alpha channel are not unusual. Raises DataError, naming the
    file, if `read_image` could not read it.
    """
    with opened(path) as image:
        height, width = _upright_size(image)
        unusual = [*_turned(image), *_coloured(image), *_layered(image)]
        if isinstance(image, JpegImageFile):
            image.draft(image.mode, (1, 1))  # reads the whole file, but decodes it at an eighth of each side
        image.load()
        if image.mode.startswith(("I", "F")):
            grey = _grey(image)
            unusual.append((Kind.DEEP_IMAGE, f"grey values {grey.min()} to {grey.max()} of 65535"))
        return Look(height, width, (*unusual, *_transparent(image)))


def _turned(image: Image.Image) -> Iterator[tuple[str, str]]:
    orientation = _orientation(image)
    if orientation in _TURNED:
        width, height = image.size
        yield Kind.ROTATED_IMAGE, f"EXIF orientation {orientation}, stored as {height} x {width} (H x W)"


def _coloured(image: Image.Image) -> Iterator[tuple[str, str]]:
    # a 16-bit RGB file has the mode RGB, so only the tile reveals it; `look` reports grey, with its values
    if ";16" in str(getattr(image, "tile", "")) and not image.mode.startswith("I"):
        yield Kind.DEEP_IMAGE, f"16 bits per channel, {image.mode}"
    if image.mode in ("P", "PA"):
        yield Kind.PALETTE_IMAGE, f"mode {image.mode}"
    elif image.mode == "CMYK":
        yield Kind.CMYK_IMAGE, "mode CMYK"
    elif not image.mode.startswith(("1", "L", "RGB", "I", "F")) or image.mode == "LAB":
        yield Kind.OTHER_COLOURS, f"mode {image.mode}"


def _layered(image: Image.Image) -> Iterator[tuple[str, str]]:
    # in a camera's JPEG, the first frame is the image and a second one may be a preview
    frames = 1 if isinstance(image, JpegImageFile) else getattr(image, "n_frames", 1)
    if frames > 1:
        yield Kind.SEVERAL_FRAMES, f"{frames} frames"


def _transparent(image: Image.Image) -> Iterator[tuple[str, str]]:
    if image.mode in ("RGBA", "LA", "RGBa", "La"):
        lowest = np.asarray(image.getchannel(image.getbands()[-1])).min()
        if lowest < 255:
            yield Kind.TRANSPARENT_IMAGE, f"mode {image.mode}, alpha down to {lowest} of 255"
    elif image.mode != "P" and "transparency" in image.info:
        yield Kind.TRANSPARENT_IMAGE, f"mode {image.mode} with a transparent colour"


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an image as an RGB array (H, W, 3), rotated upright according to its EXIF orientation.

    Grey, palette and CMYK images are converted, and transparency is dropped. 16-bit values are scaled by the
    full range (65535 becomes 255), never by the range of one image, so that equal greys stay equal.

    Raises DataError, naming the file, if it is not an image, is truncated or has another bit depth.
    """
    with opened(path) as image:
        return upright_rgb(image)


def upright_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Return an open image as `read_image` returns a file. Raises ValueError for another bit depth."""
    orientation = _orientation(image)
    image.load()
    # Pillow rotates a TIFF while loading it
    if orientation in _TURNED and not isinstance(image, TiffImageFile):
        exif = image.info.pop("exif", None)  # would be rewritten, which fails if other tags are broken
        try:
            return _rgb(ImageOps.exif_transpose(image))
        finally:
            if exif is not None:  # the image may be a caller's
                image.info["exif"] = exif
    return _rgb(image)


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """Open an image file; an error while it is read becomes a DataError that names the file."""
    try:
        with Image.open(path) as image:
            if image.width * image.height > LIMIT:
                found = f"{image.height} x {image.width} pixels (H x W)"
                raise ValueError(f"{found}, expected at most {LIMIT:,} in all: cut it into tiles")
            yield image
    except UnidentifiedImageError as error:
        raise DataError(f"{path}: not readable as an image: no known image format") from error
    except _PIL_FAULTS as error:
        raise DataError(f"{path}: not readable as an image: {error}") from error


def _upright_size(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    if isinstance(image, TiffImageFile):  # Pillow versions differ in whether `size` is already rotated
        width, height = image.tag_v2[IMAGEWIDTH], image.tag_v2[IMAGELENGTH]
    return (width, height) if _orientation(image) in _SWAPS_SIDES else (height, width)


def _orientation(image: Image.Image) -> int:
    # the base class's method, because PngImageFile.getexif would decode the whole image
    value = Image.Image.getexif(image).get(ExifTags.Base.Orientation)
    return value if isinstance(value, int) else 1


def _grey(image: Image.Image) -> NDArray[np.int64]:
    """Return the values of a grey image with more than 8 bits; raise ValueError for more than 16."""
    if image.mode == "F":
        raise ValueError("floating point pixels, expected 8 or 16 bits")
    grey = np.asarray(image).astype(np.int64)
    if grey.min() < 0 or grey.max() > 65535:
        raise ValueError(f"grey values {grey.min()} to {grey.max()}, expected 8 or 16 bits")
    return grey


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith(("I", "F")):
        grey = ((_grey(image) + 128) // 257).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode == "P":  # converting a transparent palette to RGB in one step makes Pillow warn
        image = image.convert("RGBA")
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))
