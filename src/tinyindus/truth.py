"""Ground truth by measurement: what a defect, or a look-alike, changes in the picture behind the lens."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinyindus import camera
from tinyindus.fields import Window
from tinyindus.parts import Imitation
from tinyindus.shapes import Array

THRESHOLD = 2.0
"""Grey levels."""
SMALLEST_BOX = 3
"""Pixels a side."""

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Truth:
    """One visible defect."""

    label: int
    """Position in `classes.CLASSES`."""
    number: int
    """Of the defect in its scene; twins agree in it."""
    box: Box
    """xyxy, whole pixels."""
    area: int
    """Pixels that differ by more than the threshold."""
    side: float
    """sqrt(width * height) of the box, pixels."""
    visibility: float
    """d': norm over pixels and channels of the difference over the noise's standard deviation."""
    mask: NDArray[np.bool_]
    """Of the box's shape: the pixels that differ by more than the threshold."""


@dataclass(frozen=True)
class Lookalike:
    """One visible look-alike. A line that carries marks is one, and so is each of the marks."""

    against: str
    """Name of the defect class that it might be taken for."""
    context: str
    """What gives it away, in one word (`parts.Imitation`)."""
    form: str
    """mark: of a defect's primitive; line: what marks are strung on."""
    box: Box
    """xyxy, whole pixels, measured as a defect's box is."""


def add_and_measure(
    lens: Array, changed: Window, change: Array, sigma: float, noise: float, label: int, number: int
) -> Truth | None:
    """Blur a change, add it to the picture behind the lens in place, and measure it."""
    window, difference = _through_lens(lens, changed, change, sigma)
    view = lens[(slice(None), *window.slices())]
    levels = camera.grey(view)
    shown = camera.grey(view + difference) - levels
    extent = _extent(window, shown)
    if extent is None:
        return None
    box, mask = extent
    view += difference
    spread = camera.noise_sigma(levels, max(noise, 1e-3))
    return Truth(
        label=label,
        number=number,
        box=box,
        area=int(mask.sum()),
        side=float(np.sqrt(mask.size)),
        visibility=float(np.sqrt(np.square(shown / spread).sum())),
        mask=mask,
    )


def measure_lookalike(
    lens: Array, changed: Window, change: Array, sigma: float, imitation: Imitation
) -> Lookalike | None:
    """Blur a change that the picture behind the lens holds already, and measure it."""
    window, difference = _through_lens(lens, changed, change, sigma)
    view = lens[(slice(None), *window.slices())]
    extent = _extent(window, camera.grey(view) - camera.grey(view - difference))
    return None if extent is None else Lookalike(*imitation, box=extent[0])


def _through_lens(lens: Array, changed: Window, change: Array, sigma: float) -> tuple[Window, Array]:
    """The window that a blurred change reaches, and the change there (3, h, w)."""
    window = changed.widened(camera.reach(sigma), Window(0, 0, *lens.shape[1:]))
    padded = np.zeros((3, *window.shape), np.float32)
    padded[(slice(None), *changed.slices(window))] = change
    return window, camera.blur(padded, sigma)


def _extent(window: Window, shown: Array) -> tuple[Box, NDArray[np.bool_]] | None:
    """The box that bounds a visible change in grey levels (3, h, w), and the mask in it."""
    mask = np.abs(shown).max(axis=0) > THRESHOLD
    if not mask.any():
        return None
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, bottom = _widen(int(rows[0]), int(rows[-1]) + 1, mask.shape[0])
    left, right = _widen(int(columns[0]), int(columns[-1]) + 1, mask.shape[1])
    box = (window.left + left, window.top + top, window.left + right, window.top + bottom)
    return box, mask[top:bottom, left:right].copy()


def _widen(low: int, high: int, size: int) -> tuple[int, int]:
    """Widen an interval to the smallest box's side, inside 0..size."""
    missing = max(0, SMALLEST_BOX - (high - low))
    low = max(0, min(low - missing // 2, size - SMALLEST_BOX))
    return low, min(size, max(high, low + SMALLEST_BOX))
