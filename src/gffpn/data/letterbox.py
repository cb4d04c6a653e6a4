"""The letterbox, which fits an image of any size to the network's input: geometry and pixels."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

GREY = 114
"""Value of the pixels that no image covers: the YOLO family's, near the mean of natural images."""


class Letterbox(NamedTuple):
    """Fit of an image to the network's input: aspect kept, at the top left, grey to the right and below.

    The image lies at the top left so that the scale alone takes a box back to native pixels.
    """

    scale: float
    """Network pixels per native pixel; above 1 for an image that is smaller than the input."""
    height: int
    width: int
    """Network pixels that the image covers; the rest is padding."""

    @classmethod
    def fit(cls, native_size: tuple[int, int], image_size: tuple[int, int]) -> Self:
        """Fit an image of `native_size` to `image_size`, both (height, width)."""
        scale = min(image_size[0] / native_size[0], image_size[1] / native_size[1])
        height, width = (max(1, round(side * scale)) for side in native_size)
        return cls(scale, height, width)

    def to_network(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Convert boxes (M, 4) from native to network pixels."""
        return np.asarray(boxes * np.float32(self.scale))

    def resize(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resize a native image (H, W, 3) to (3, height, width), bilinearly and without padding."""
        resized = Image.fromarray(pixels).resize((self.width, self.height), Image.Resampling.BILINEAR)
        return np.asarray(resized).transpose(2, 0, 1)

    def covered(self, canvas: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the part (3, height, width) of a letterboxed image that the image covers, as a view."""
        return canvas[:, : self.height, : self.width]


def letterboxed(pixels: NDArray[np.uint8], image_size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return an RGB image (H, W, 3) as the network takes it: (3, *image_size), padded with `GREY`."""
    fit = Letterbox.fit((pixels.shape[0], pixels.shape[1]), image_size)
    canvas = np.full((3, *image_size), GREY, np.uint8)
    fit.covered(canvas)[:] = fit.resize(pixels)
    return canvas
