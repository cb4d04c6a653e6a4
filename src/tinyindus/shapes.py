"""Signed distances of plane shapes (negative inside) and their soft edges.

All arguments share one arbitrary unit of length, such as a part's radius or pixels.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
"""float32 throughout; typed more widely only because numpy's stubs lose the width in arithmetic."""


def coverage(sdf: Array, px: float) -> Array:
    """Return the share of a pixel of width `px` that is inside; exact for straight edges along the grid."""
    return np.clip(0.5 - sdf * (1.0 / px), 0.0, 1.0)


def soft(sdf: Array, width: float) -> Array:
    """Return a penumbra: 1 inside, 0 outside, smooth over `width` on either side and constant beyond."""
    t: Array = np.clip(0.5 - sdf * (0.5 / width), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def ridge(distance: Array, width: float) -> Array:
    """Return a Gaussian bell of height 1 along the line where `distance` is 0."""
    d = distance * (1.0 / width)
    return np.exp(-(d * d))


def rounding(sdf: Array, radius: float) -> Array:
    """Return the profile of a rounded edge: a quarter circle from 0 on the outline to 1 at depth `radius`."""
    q = np.clip(1.0 + sdf * (1.0 / radius), 0.0, 1.0)
    return np.sqrt(1.0 - q * q)


def half_chord(square: Array, width: float) -> Array:
    """Return the root of a squared half chord of a circle, which fades out over `width` where it ends.

    `square` is r^2 - x^2, in units of r. The plain root has an infinite slope on the circle, which a grid of
    pixels samples as a dashed line.
    """
    fade = 2.0 * width
    return np.sqrt(0.5 * (square + np.sqrt(square * square + fade * fade)))


def box(x: Array, y: Array, half_x: float | Array, half_y: float, corner: float = 0.0) -> Array:
    """Return the distance to a rounded rectangle at the origin; `half_x` may vary slowly over the plane."""
    dx = np.abs(x) - (half_x - corner)
    dy = np.abs(y) - (half_y - corner)
    outside = np.sqrt(np.maximum(dx, 0.0) ** 2 + np.maximum(dy, 0.0) ** 2)
    return outside + np.minimum(np.maximum(dx, dy), 0.0) - corner


def ellipse(x: Array, y: Array, half_x: float, half_y: float) -> Array:
    """Return the first-order distance to an ellipse around the origin; exact on the outline."""
    u, v = x * (1.0 / half_x), y * (1.0 / half_y)
    k = np.sqrt(u * u + v * v)
    slope = np.sqrt((u * (1.0 / half_x)) ** 2 + (v * (1.0 / half_y)) ** 2) + 1e-6
    return k * (k - 1.0) / slope


def segment(x: Array, y: Array, a: tuple[float, float], b: tuple[float, float]) -> tuple[Array, Array]:
    """Return the distance to the segment a-b, and the position (0 to 1) of the nearest point along it."""
    ex, ey = b[0] - a[0], b[1] - a[1]
    t = np.clip(((x - a[0]) * ex + (y - a[1]) * ey) * (1.0 / (ex * ex + ey * ey + 1e-12)), 0.0, 1.0)
    return np.hypot(x - a[0] - t * ex, y - a[1] - t * ey), t


def melt(a: Array, b: Array, width: float) -> Array:
    """Return the smooth union of two distances: their minimum, with the crease rounded over `width`."""
    blend = np.maximum(width - np.abs(a - b), 0.0)
    return np.minimum(a, b) - blend * blend * (0.25 / width)


def polyline(x: Array, y: Array, points: NDArray[np.float64]) -> tuple[Array, Array]:
    """Return the distance to an open line through points (n, 2), and the position of the nearest point.

    The position is the share of the line (0 to 1), by number of segments.
    """
    best = np.full(x.shape, np.inf, np.float32)
    place = np.zeros(x.shape, np.float32)
    last = len(points) - 1
    for k in range(last):
        ends = [(float(p[0]), float(p[1])) for p in points[k : k + 2]]
        distance, t = segment(x, y, ends[0], ends[1])
        nearer = distance < best
        best = np.where(nearer, distance, best)
        place = np.where(nearer, (t + k) * (1.0 / last), place)
    return best, place


def blob(x: Array, y: Array, radius: float, lobes: NDArray[np.float64]) -> Array:
    """Return the distance to a disc with a wavy outline.

    `lobes` (n, 2) holds the relative amplitude and the phase of the waves of order 2, 3, ..., n + 1 around
    the disc. Shorter waves are damped in proportion.
    """
    theta = np.arctan2(y, x)
    outline = np.full(x.shape, radius, np.float32)
    for k, (share, phase) in enumerate(lobes, start=2):
        outline += float(share * radius * 2.5 / k) * np.sin(k * theta + float(phase))
    return np.hypot(x, y) - outline
