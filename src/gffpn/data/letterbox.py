"""Letterbox that fits an image of any size to the network's input: geometry and pixels."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

GREY = 114
"""Value of the padding pixels: the one used by the YOLO family, near the mean of natural images."""


class Letterbox(NamedTuple):
    """Fit of an image to the network's input: aspect ratio kept, top left, grey to the right and below.

    The image is placed at the top left so that the scale alone converts a box back to native pixels. The
    aspect ratio is kept to whole pixels, so each axis has a scale of its own.
    """

    scale: tuple[float, float]
    """Network pixels per native pixel along x and y; above 1 for an image smaller than the input."""
    height: int
    width: int
    """Height and width of the image in network pixels; the rest of the input is padding."""

    @classmethod
    def fit(cls, native_size: tuple[int, int], image_size: tuple[int, int]) -> Self:
        """Return the fit of an image of `native_size` to `image_size`, both (height, width)."""
        wanted = min(image_size[0] / native_size[0], image_size[1] / native_size[1])
        height, width = (max(1, round(side * wanted)) for side in native_size)
        return cls((width / native_size[1], height / native_size[0]), height, width)

    def to_network(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Convert boxes (M, 4) from native to network pixels."""
        return (boxes * np.array(self.scale * 2)).astype(np.float32)

    def resize(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resize a native image (H, W, 3) to (3, height, width), bilinearly and without padding."""
        resized = Image.fromarray(pixels).resize((self.width, self.height), Image.Resampling.BILINEAR)
        return np.asarray(resized).transpose(2, 0, 1)

    def covered(self, canvas: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a letterboxed image (3, H, W) without its padding, as a view (3, height, width)."""
        return canvas[:, : self.height, : self.width]


def letterboxed(pixels: NDArray[np.uint8], image_size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize an RGB image (H, W, 3) for the network and pad it with `GREY` to (3, *image_size)."""
    fit = Letterbox.fit((pixels.shape[0], pixels.shape[1]), image_size)
    canvas = np.full((3, *image_size), GREY, np.uint8)
    fit.covered(canvas)[:] = fit.resize(pixels)
    return canvas
