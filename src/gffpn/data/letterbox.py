"""The letterbox: how an image of any size fits the network's input, geometry and pixels."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

GREY = 114
"""Value of pixels that no image covers; the usual one of the YOLO family, near the mean of natural images."""


class Letterbox(NamedTuple):
    """How an image fits the network's input: its aspect kept, at the top left, grey to the right and below.

    At the top left so that a box goes back to native pixels with the scale alone.
    """

    scale: float
    """Network pixels a native pixel; above 1 for an image that is smaller than the input."""
    height: int
    width: int
    """Network pixels that the image covers; the rest is padding."""

    @classmethod
    def fit(cls, native_size: tuple[int, int], image_size: tuple[int, int]) -> Self:
        """Both sizes (height, width)."""
        scale = min(image_size[0] / native_size[0], image_size[1] / native_size[1])
        height, width = (max(1, round(side * scale)) for side in native_size)
        return cls(scale, height, width)

    def to_network(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Boxes (M, 4) from native to network pixels."""
        return np.asarray(boxes * np.float32(self.scale))

    def resize(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The image alone, (H, W, 3) native to (3, height, width), bilinear."""
        resized = Image.fromarray(pixels).resize((self.width, self.height), Image.Resampling.BILINEAR)
        return np.asarray(resized).transpose(2, 0, 1)


def letterboxed(pixels: NDArray[np.uint8], image_size: tuple[int, int]) -> NDArray[np.uint8]:
    """An RGB image (H, W, 3) as the network takes it: (3, *image_size), padded with `GREY`."""
    fit = Letterbox.fit((pixels.shape[0], pixels.shape[1]), image_size)
    canvas = np.full((3, *image_size), GREY, np.uint8)
    canvas[:, : fit.height, : fit.width] = fit.resize(pixels)
    return canvas
