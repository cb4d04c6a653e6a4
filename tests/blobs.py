"""A network without weights that finds bright rectangles, for tests of everything around a network."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gffpn.deploy.detections import Detections

BRIGHT = 200
CLASSES = ("dent", "scratch")


class Blobs:
    """Network that finds each bright rectangle exactly: red ones are dents, others scratches.

    Its score is the rectangle's brightness, so that tests can choose it.
    """

    classes = CLASSES
    operating_threshold: float | None = None
    max_detections = 300
    digest = "blobs"
    precision = "32-true"

    def __init__(self, image_size: tuple[int, int] = (32, 32)) -> None:
        self.image_size = image_size
        self.batches: list[int] = []

    def __call__(self, images: NDArray[np.uint8]) -> list[Detections]:
        self.batches.append(len(images))
        return [self._found(image) for image in images]

    def raw(self, images: NDArray[np.uint8]) -> None:
        assert images.shape[1:] == (3, *self.image_size)

    def skip_below(self, score: float) -> None:
        pass

    def return_up_to(self, detections: int) -> None:
        pass

    def _found(self, image: NDArray[np.uint8]) -> Detections:
        assert image.shape == (3, *self.image_size)
        areas, _ = ndimage.label(image[0] >= BRIGHT)
        spans = ndimage.find_objects(areas)
        boxes = [(x.start, y.start, x.stop, y.stop) for y, x in spans]
        middles = [image[:, (y1 + y2) // 2, (x1 + x2) // 2] for x1, y1, x2, y2 in boxes]
        found = Detections(
            np.array(boxes, np.float32).reshape(-1, 4),
            np.array([middle[0] / 255 for middle in middles], np.float32),
            np.array([int(middle[1] >= BRIGHT) for middle in middles], np.int64),
            CLASSES,
        )
        return found[np.argsort(-found.scores, kind="stable")]


def painted(height: int, width: int, *boxes: tuple[int, int, int, int, int]) -> NDArray[np.uint8]:
    """Return a dark image with a red rectangle for each (x1, y1, x2, y2, brightness)."""
    pixels = np.zeros((height, width, 3), np.uint8)
    for x1, y1, x2, y2, bright in boxes:
        pixels[y1:y2, x1:x2, 0] = bright
    return pixels
