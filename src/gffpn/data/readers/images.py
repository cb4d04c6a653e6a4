"""Image files as RGB arrays, and the unusual traits of a file."""

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

_TURNED = range(2, 9)
_SWAPS_SIDES = frozenset({5, 6, 7, 8})
_PIL_FAULTS = (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError)


class Look(NamedTuple):
    """The result of decoding a file once."""

    height: int
    width: int
    """As `read_image` gives the image, upright."""
    unusual: tuple[tuple[str, str], ...]
    """(`Kind`, what was found) of each trait that `read_image` converts, losing or changing something."""


def look(path: Path) -> Look:
    """Decode a file once to check that it is complete, and describe it.

    8 bit grey, RGB and opaque images with an alpha channel are usual. Raises DataError, naming the file, for
    what `read_image` cannot read.
    """
    with _opened(path) as image:
        height, width = _upright_size(image)
        unusual = [*_turned(image), *_coloured(image), *_layered(image)]
        if isinstance(image, JpegImageFile):
            image.draft(image.mode, (1, 1))  # reads the whole file, but transforms an eighth of each side
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
    # the mode of a 16 bit RGB file is plain RGB; grey is reported with its values
    if ";16" in str(getattr(image, "tile", "")) and not image.mode.startswith("I"):
        yield Kind.DEEP_IMAGE, f"16 bits a channel, {image.mode}"
    if image.mode in ("P", "PA"):
        yield Kind.PALETTE_IMAGE, f"mode {image.mode}"
    elif image.mode == "CMYK":
        yield Kind.CMYK_IMAGE, "mode CMYK"
    elif not image.mode.startswith(("1", "L", "RGB", "I", "F")) or image.mode == "LAB":
        yield Kind.OTHER_COLOURS, f"mode {image.mode}"


def _layered(image: Image.Image) -> Iterator[tuple[str, str]]:
    # a camera's JPEG may carry a preview as a second frame: the first one is the picture
    frames = 1 if isinstance(image, JpegImageFile) else getattr(image, "n_frames", 1)
    if frames > 1:
        yield Kind.SEVERAL_FRAMES, f"{frames} frames"


def _transparent(image: Image.Image) -> Iterator[tuple[str, str]]:
    if image.mode in ("RGBA", "LA", "RGBa", "La"):
        lowest = np.asarray(image.getchannel(image.getbands()[-1])).min()
        if lowest < 255:
            yield Kind.TRANSPARENT_IMAGE, f"mode {image.mode}, alpha down to {lowest} of 255"
    elif image.mode != "P" and "transparency" in image.info:
        yield Kind.TRANSPARENT_IMAGE, f"mode {image.mode} with a colour that counts as transparent"


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an image as (H, W, 3) RGB, upright by its EXIF orientation.

    Grey, palette and CMYK images are converted and transparency is dropped. 16 bits are scaled by the full
    range (65535 becomes 255), never by what one image holds, so that equal greys stay equal.
    Raises DataError, naming the file, for what is no image, is cut short or has another depth.
    """
    with _opened(path) as image:
        orientation = _orientation(image)
        image.load()
        # Pillow turns a TIFF while loading it
        if orientation in _TURNED and not isinstance(image, TiffImageFile):
            image.info.pop("exif", None)  # would be written again, which fails where other tags are broken
            return _rgb(ImageOps.exif_transpose(image))
        return _rgb(image)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as image:
            yield image
    except UnidentifiedImageError as error:
        raise DataError(f"{path}: not readable as an image: no known image format") from error
    except _PIL_FAULTS as error:
        raise DataError(f"{path}: not readable as an image: {error}") from error


def _upright_size(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    if isinstance(image, TiffImageFile):  # Pillow versions differ in whether its size is turned already
        width, height = image.tag_v2[IMAGEWIDTH], image.tag_v2[IMAGELENGTH]
    return (width, height) if _orientation(image) in _SWAPS_SIDES else (height, width)


def _orientation(image: Image.Image) -> int:
    # the base class's reading: PngImageFile.getexif would decode the whole image
    value = Image.Image.getexif(image).get(ExifTags.Base.Orientation)
    return value if isinstance(value, int) else 1


def _grey(image: Image.Image) -> NDArray[np.int64]:
    """Return the values of a grey image of more than 8 bits."""
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
    if image.mode == "P":  # Pillow warns of a transparent palette that goes to RGB in one step
        image = image.convert("RGBA")
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))
