"""Signed distances of plane shapes (negative inside) and their soft edges.

All arguments share one unit of length, any unit: a part's radius, or pixels.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
"""float32 throughout; the wide type only because numpy's stubs lose the width in arithmetic."""


def coverage(sdf: Array, px: float) -> Array:
    """Share of a pixel of width px that lies inside; exact for a straight edge along the grid."""
    return np.clip(0.5 - sdf * (1.0 / px), 0.0, 1.0)


def soft(sdf: Array, width: float) -> Array:
    """1 inside, 0 outside, smooth over `width` at either side and constant beyond: a penumbra."""
    t: Array = np.clip(0.5 - sdf * (0.5 / width), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def ridge(distance: Array, width: float) -> Array:
    """A bell of height 1 on the line where distance is 0."""
    d = distance * (1.0 / width)
    return np.exp(-(d * d))


def rounding(sdf: Array, radius: float) -> Array:
    """0 on the outline to 1 at depth `radius`, as a quarter circle: a rounded edge's profile."""
    q = np.clip(1.0 + sdf * (1.0 / radius), 0.0, 1.0)
    return np.sqrt(1.0 - q * q)


def box(x: Array, y: Array, half_x: float | Array, half_y: float, corner: float = 0.0) -> Array:
    """Rectangle around the origin with rounded corners; half_x may vary slowly over the plane."""
    dx = np.abs(x) - (half_x - corner)
    dy = np.abs(y) - (half_y - corner)
    outside = np.sqrt(np.maximum(dx, 0.0) ** 2 + np.maximum(dy, 0.0) ** 2)
    return outside + np.minimum(np.maximum(dx, dy), 0.0) - corner


def ellipse(x: Array, y: Array, half_x: float, half_y: float) -> Array:
    """Ellipse around the origin: first-order distance, exact on the outline."""
    u, v = x * (1.0 / half_x), y * (1.0 / half_y)
    k = np.sqrt(u * u + v * v)
    slope = np.sqrt((u * (1.0 / half_x)) ** 2 + (v * (1.0 / half_y)) ** 2) + 1e-6
    return k * (k - 1.0) / slope


def segment(x: Array, y: Array, a: tuple[float, float], b: tuple[float, float]) -> tuple[Array, Array]:
    """Distance to the segment a-b, and the place 0..1 along it of the nearest point."""
    ex, ey = b[0] - a[0], b[1] - a[1]
    t = np.clip(((x - a[0]) * ex + (y - a[1]) * ey) * (1.0 / (ex * ex + ey * ey + 1e-12)), 0.0, 1.0)
    return np.hypot(x - a[0] - t * ex, y - a[1] - t * ey), t


def melt(a: Array, b: Array, width: float) -> Array:
    """The smaller of two fields, their crease rounded over `width`: the union of two distances."""
    blend = np.maximum(width - np.abs(a - b), 0.0)
    return np.minimum(a, b) - blend * blend * (0.25 / width)


def polyline(x: Array, y: Array, points: NDArray[np.float64]) -> tuple[Array, Array]:
    """Distance to an open line through points (n, 2), and the place 0..1 along it of the nearest point."""
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
    """A disc with a wavy outline: lobes (n, 2) are share and phase of waves 2, 3, .. n + 1 around
    it, the shorter waves damped in proportion."""
    theta = np.arctan2(y, x)
    outline = np.full(x.shape, radius, np.float32)
    for k, (share, phase) in enumerate(lobes, start=2):
        outline += float(share * radius * 2.5 / k) * np.sin(k * theta + float(phase))
    return np.hypot(x, y) - outline
