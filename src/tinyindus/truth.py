"""Measured ground truth: the change that a defect or a look-alike makes in the picture behind the lens."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinyindus import camera
from tinyindus.fields import Window
from tinyindus.parts import Imitation
from tinyindus.shapes import Array

THRESHOLD = 2.0
"""Smallest difference that counts as visible, grey levels."""
SMALLEST_BOX = 3
"""Smallest side of a box, pixels."""

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Truth:
    """One visible defect."""

    label: int
    """Position in `classes.CLASSES`."""
    number: int
    """Number of the defect in its scene; the same in all twins."""
    box: Box
    """xyxy, whole pixels."""
    area: int
    """Number of pixels that differ by more than the threshold."""
    side: float
    """sqrt(width * height) of the box, pixels."""
    visibility: float
    """d': norm over pixels and channels of the difference divided by the noise's standard deviation."""
    mask: NDArray[np.bool_]
    """Array of the box's shape, True for the pixels that differ by more than the threshold."""


@dataclass(frozen=True)
class Lookalike:
    """One visible look-alike. A line with marks on it counts as one, and so does each of its marks."""

    against: str
    """Name of the defect class that the look-alike could be mistaken for."""
    context: str
    """The surroundings that show it is harmless, in one word (`parts.Imitation`)."""
    form: str
    """mark: drawn with a defect's primitive; line: the line that marks lie on."""
    box: Box
    """xyxy, whole pixels, measured like a defect's box."""


def add_and_measure(
    lens: Array, changed: Window, change: Array, sigma: float, noise: float, label: int, number: int
) -> Truth | None:
    """Blur a defect's change, add it to the picture behind the lens in place, and measure it.

    Returns None, and adds nothing, if the change is not visible.
    """
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
    """Blur a change that the picture behind the lens already contains, and measure it (None: not visible)."""
    window, difference = _through_lens(lens, changed, change, sigma)
    view = lens[(slice(None), *window.slices())]
    extent = _extent(window, camera.grey(view) - camera.grey(view - difference))
    return None if extent is None else Lookalike(*imitation, box=extent[0])


def _through_lens(lens: Array, changed: Window, change: Array, sigma: float) -> tuple[Window, Array]:
    """Return the window that a blurred change reaches, and the blurred change there (3, h, w)."""
    window = changed.widened(camera.reach(sigma), Window(0, 0, *lens.shape[1:]))
    padded = np.zeros((3, *window.shape), np.float32)
    padded[(slice(None), *changed.slices(window))] = change
    return window, camera.blur(padded, sigma)


def _extent(window: Window, shown: Array) -> tuple[Box, NDArray[np.bool_]] | None:
    """Return the box around a visible change in grey levels (3, h, w), and the mask in the box."""
    mask = np.abs(shown).max(axis=0) > THRESHOLD
    if not mask.any():
        return None
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, bottom = _widen(int(rows[0]), int(rows[-1]) + 1, mask.shape[0])
    left, right = _widen(int(columns[0]), int(columns[-1]) + 1, mask.shape[1])
    box = (window.left + left, window.top + top, window.left + right, window.top + bottom)
    return box, mask[top:bottom, left:right].copy()


def _widen(low: int, high: int, size: int) -> tuple[int, int]:
    """Widen an interval to at least `SMALLEST_BOX`, inside 0 to `size`."""
    missing = max(0, SMALLEST_BOX - (high - low))
    low = max(0, min(low - missing // 2, size - SMALLEST_BOX))
    return low, min(size, max(high, low + SMALLEST_BOX))
