"""Crops of pictures, all of one size, as input of a classifier."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Box = tuple[int, int, int, int]

PAPER_GREY = 128


def window(pixels: Pixels, left: int, top: int, width: int, height: int) -> Pixels:
    """Crop a rectangle from an (H, W, 3) picture; what lies outside the picture becomes grey."""
    out = np.full((height, width, 3), PAPER_GREY, np.uint8)
    x1, y1 = max(left, 0), max(top, 0)
    x2, y2 = min(left + width, pixels.shape[1]), min(top + height, pixels.shape[0])
    if x2 > x1 and y2 > y1:
        out[y1 - top : y2 - top, x1 - left : x2 - left] = pixels[y1:y2, x1:x2]
    return out


def square(pixels: Pixels, box: Box, side: int) -> Pixels:
    """Crop `side` x `side` pixels around the centre of a box, at the picture's own resolution."""
    return window(pixels, (box[0] + box[2] - side) // 2, (box[1] + box[3] - side) // 2, side, side)


def tight(pixels: Pixels, box: Box, out: int) -> Pixels:
    """Crop a box and stretch it to out x out, which hides its size and its shape."""
    inside = window(pixels, box[0], box[1], box[2] - box[0], box[3] - box[1])
    return _resized(inside, out)


def around(pixels: Pixels, box: Box, factor: float, out: int) -> Pixels:
    """Crop a square `factor` times as wide as the longer side of a box and resize it to out x out."""
    side = max(3, round(factor * max(box[2] - box[0], box[3] - box[1])))
    return _resized(square(pixels, box, side), out)


def thumbnail(pixels: Pixels, out: int) -> Pixels:
    """Shrink the whole picture to out x out; each pixel is the mean of the area that it covers."""
    return np.asarray(Image.fromarray(pixels).resize((out, out), Image.Resampling.BOX))


def _resized(pixels: Pixels, out: int) -> Pixels:
    return np.asarray(Image.fromarray(pixels).resize((out, out), Image.Resampling.BILINEAR))
