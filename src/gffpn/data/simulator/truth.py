"""Ground truth by measurement: what a defect changes in the picture behind the lens."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gffpn.data.simulator import camera
from gffpn.data.simulator.fields import Window
from gffpn.data.simulator.shapes import Array

THRESHOLD = 2.0
"""Grey levels."""
SMALLEST_BOX = 3
"""Pixels a side."""


@dataclass(frozen=True)
class Truth:
    """One visible defect."""

    label: int
    """Position in `classes.CLASSES`."""
    box: tuple[int, int, int, int]
    """xyxy, whole pixels."""
    area: int
    """Pixels that differ by more than the threshold."""
    side: float
    """sqrt(width * height) of the box, pixels."""
    visibility: float
    """d': norm over pixels and channels of the difference over the noise's standard deviation."""
    mask: NDArray[np.bool_]
    """Of the box's shape: the pixels that differ by more than the threshold."""


def add_and_measure(
    lens: Array, changed: Window, change: Array, sigma: float, noise: float, label: int
) -> Truth | None:
    """Blur a change, add it to the picture behind the lens in place, and measure it."""
    pad = camera.reach(sigma)
    height, width = lens.shape[1:]
    window = Window(
        max(changed.top - pad, 0),
        max(changed.left - pad, 0),
        min(changed.bottom + pad, height),
        min(changed.right + pad, width),
    )
    padded = np.zeros((3, *window.shape), np.float32)
    padded[(slice(None), *changed.slices(window))] = change
    difference = camera.blur(padded, sigma)
    view = lens[(slice(None), *window.slices())]
    truth = _truth(label, window, view, difference, noise)
    if truth is not None:
        view += difference
    return truth


def _truth(label: int, window: Window, without: Array, difference: Array, noise: float) -> Truth | None:
    """Measure one defect: `without` and `difference` are (3, h, w) radiance after the lens over `window`."""
    levels = camera.grey(without)
    change = camera.grey(without + difference) - levels
    mask = np.abs(change).max(axis=0) > THRESHOLD
    if not mask.any():
        return None
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, bottom = _widen(int(rows[0]), int(rows[-1]) + 1, mask.shape[0])
    left, right = _widen(int(columns[0]), int(columns[-1]) + 1, mask.shape[1])
    sigma = camera.noise_sigma(levels, max(noise, 1e-3))
    return Truth(
        label=label,
        box=(window.left + left, window.top + top, window.left + right, window.top + bottom),
        area=int(mask.sum()),
        side=float(np.sqrt((right - left) * (bottom - top))),
        visibility=float(np.sqrt(np.square(change / sigma).sum())),
        mask=mask[top:bottom, left:right].copy(),
    )


def _widen(low: int, high: int, size: int) -> tuple[int, int]:
    """Widen an interval to the smallest box's side, inside 0..size."""
    missing = max(0, SMALLEST_BOX - (high - low))
    low = max(0, min(low - missing // 2, size - SMALLEST_BOX))
    return low, min(size, max(high, low + SMALLEST_BOX))
