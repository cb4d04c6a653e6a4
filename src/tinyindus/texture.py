"""Random textures: coarse random grids, smoothly interpolated over the pixels."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tinyindus.shapes import Array


def _weights(pixels: int, cells: int) -> NDArray[np.float32]:
    """Return the weights (pixels, cells + 3) of uniform cubic B-splines."""
    place = (np.arange(pixels) + 0.5) * (cells / pixels)
    cell = np.minimum(place.astype(np.int64), cells - 1)
    t = place - cell
    basis = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1)
    weights = np.zeros((pixels, cells + 3), np.float32)
    np.put_along_axis(weights, cell[:, None] + np.arange(4), (basis / 6).astype(np.float32), axis=1)
    return weights


def clouds(rng: Generator, shape: tuple[int, int], cells: tuple[int, int]) -> Array:
    """Return smooth noise of size `shape`, about unit variance and `cells` grid cells (rows, columns)."""
    grid = rng.standard_normal((cells[0] + 3, cells[1] + 3), dtype=np.float32)
    spread: Array = _weights(shape[0], cells[0]) @ grid @ _weights(shape[1], cells[1]).T
    return spread * np.float32(
        2.1
    )  # the spline averages independent grid values to a standard deviation of 1 / 2.1
