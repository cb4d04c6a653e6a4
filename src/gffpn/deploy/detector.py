"""A detector for images of any size, as users call it in their own code: `gffpn.load(...)`."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gffpn.choice import choose, several
from gffpn.data.letterbox import Letterbox, letterboxed
from gffpn.data.readers.images import read_image, upright_rgb
from gffpn.deploy.detections import Detections
from gffpn.deploy.network import Network, open_network
from gffpn.deploy.slices import Slicing, Window, merged

UNKNOWN_THRESHOLD = 0.25
"""Score threshold of a detector that has no operating point."""
VIEWS = 16
"""Views that the network receives at a time, unless a caller chooses another number."""
Pixels = NDArray[np.uint8]


class View(NamedTuple):
    """Part of an image, fitted to the network's input."""

    window: Window
    fit: Letterbox
    canvas: Pixels
    """(3, H, W)"""


class ImageDetector:
    """Detector for images of any size: `detector(image)` returns `Detections` in pixels of that image.

    Detections score at least `threshold`, by default that of the run's operating point (the best F1 on val).
    `only` names the classes that are reported. At most `max_detections` are returned per image; by default,
    as many as in the run's test for one input. With `slicing`, a large image is also searched in slices.

    Raises ValueError for values outside their range, for an unknown class, and for more detections than an
    ONNX file returns.
    """

    def __init__(
        self,
        network: Network,
        *,
        threshold: float | None = None,
        only: Sequence[str] | None = None,
        max_detections: int | None = None,
        slicing: Slicing | None = None,
    ) -> None:
        if threshold is not None and not 0 <= threshold <= 1:
            raise ValueError(f"--conf: got {threshold}, expected 0 to 1")
        if max_detections is not None and max_detections < 1:
            raise ValueError(f"--max-det: got {max_detections}, expected 1 or more")
        self.network = network
        self.classes = network.classes
        self.threshold, self.threshold_origin = _threshold(threshold, network.operating_threshold)
        if max_detections is not None and slicing is None:  # each slice has detections of its own
            network.return_up_to(max_detections)
        self.max_detections = max_detections or network.max_detections
        self.slicing = slicing
        positions = {name: position for position, name in enumerate(self.classes)}
        chosen = {choose("--classes", name, positions) for name in (self.classes if only is None else only)}
        self._reported = np.array(sorted(chosen), np.int64)
        self.reported = [self.classes[position] for position in sorted(chosen)]
        network.skip_below(slicing.lowest(self.threshold) if slicing else self.threshold)

    def __call__(self, image: "Pixels | Image.Image | str | Path") -> Detections:
        """Return the detections in one image, best first.

        An array is RGB (H, W, 3), uint8; grey (H, W), also uint16, and RGBA are converted as in training. A
        path is read as in training: upright by its EXIF orientation. Raises ValueError for any other image.
        """
        pixels = as_rgb(image)
        views = self.views(pixels)
        return self.assembled(pixels.shape[:2], views, in_batches(self.network, views, VIEWS))

    def views(self, pixels: Pixels) -> list[View]:
        """Return the views of an RGB image (H, W, 3), ready for the network."""
        height, width = pixels.shape[:2]
        size = self.network.image_size
        whole = [Window(0, 0, width, height)]
        windows = whole if self.slicing is None else self.slicing.windows(height, width, size)
        return [
            View(
                window,
                Letterbox.fit((window.y2 - window.y1, window.x2 - window.x1), size),
                letterboxed(pixels[window.y1 : window.y2, window.x1 : window.x2], size),
            )
            for window in windows
        ]

    def native(self, size: tuple[int, ...], views: Sequence[View], found: Sequence[Detections]) -> Detections:
        """Return all detections of an image of `size` (height, width), given those in each of its views."""
        parts = [(view.window, _moved(one, view)) for view, one in zip(views, found, strict=True)]
        return merged(parts, (size[0], size[1]), self.slicing.merge if self.slicing else "nms")

    def assembled(
        self, size: tuple[int, ...], views: Sequence[View], found: Sequence[Detections]
    ) -> Detections:
        """Return the detections that are reported for an image, given those in each of its views."""
        everything = self.native(size, views, found).within(size[0], size[1])
        reported = (everything.scores >= np.float32(self.threshold)) & np.isin(
            everything.labels, self._reported
        )
        return everything[reported][: self.max_detections]


def _threshold(asked: float | None, operating: float | None) -> tuple[float, str]:
    if asked is not None:
        return asked, "as given"
    if operating is not None:
        return operating, "the run's operating point"
    return UNKNOWN_THRESHOLD, "the default, because the run has no operating point"


def _moved(found: Detections, view: View) -> Detections:
    """Convert boxes from pixels of the network's input to native pixels of the whole image."""
    offset = np.array([view.window.x1, view.window.y1] * 2)
    boxes = (found.boxes / np.array(view.fit.scale * 2) + offset).astype(np.float32)
    return Detections(boxes, found.scores, found.labels, found.classes)


def in_batches(network: Network, views: Sequence[View], batch: int) -> list[Detections]:
    """Return the detections in each view, in pixels of the network's input; `batch` views at a time."""
    parts = [views[first : first + batch] for first in range(0, len(views), batch)]
    return [one for part in parts for one in network(np.stack([view.canvas for view in part]))]


def as_rgb(image: "Pixels | Image.Image | str | Path") -> Pixels:
    """Return an image as an RGB array (H, W, 3). Raises ValueError if it is not one."""
    if isinstance(image, str | Path):
        return read_image(Path(image))
    if isinstance(image, Image.Image):
        return upright_rgb(image)
    array = np.asarray(image)
    if array.ndim == 3 and array.shape[2] == 3 and array.dtype == np.uint8 and array.size:
        return array
    grey = array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array
    deep = grey.ndim == 2 and grey.dtype == np.uint16
    if not grey.size or not (deep or (grey.dtype == np.uint8 and (grey.ndim == 2 or grey.shape[2:] == (4,)))):
        raise ValueError(
            f"image: got an array of shape {array.shape} and type {array.dtype}, expected uint8 (H, W, 3), "
            "(H, W, 4) or (H, W), or uint16 (H, W)"
        )
    return upright_rgb(Image.fromarray(grey))


def load_detector(
    path: str | Path,
    *,
    threshold: float | None = None,
    classes: Sequence[str] | None = None,
    max_detections: int | None = None,
    slicing: Slicing | None = None,
    device: str = "auto",
    half: bool = False,
    allowed: Sequence[str] = (),
) -> ImageDetector:
    """Return the detector of a finished run's folder or of an ONNX file; see `ImageDetector`.

    `half` computes in bf16 if the device multiplies it in hardware: faster, with slightly other scores.
    `allowed` names packages whose classes the run's configuration may construct.
    """
    only = None if classes is None else several("classes", classes)
    network = open_network(Path(path), device, allowed=several("allowed", allowed), half=half)
    return ImageDetector(
        network, threshold=threshold, only=only, max_detections=max_detections, slicing=slicing
    )
