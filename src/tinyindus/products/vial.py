"""The shape of a medicinal glass bottle and the places of its defects."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from tinyindus import shapes
from tinyindus.fields import Fields, Pose, Window
from tinyindus.parts import Assembly, Site
from tinyindus.shapes import Array

TABLE_STEP = 1 / 512
ABOVE = 0.5
HEEL = 0.12
"""Height of the rounded edge between the body and the bottom."""
FLOOR = 0.5
"""Share of the cavity's depth that is lost where the line of sight meets the floor."""


class Vial:
    """A bottle's shape: outer and inner radius along its axis.

    The unit is the radius of the body; the origin is at the mouth.
    """

    def __init__(self, rng: Generator) -> None:
        self.height = float(rng.uniform(2.7, 3.7))
        self.tilt = float(rng.uniform(0.12, 0.24))
        self.lip = float(rng.uniform(0.60, 0.70))
        self.neck = self.lip * float(rng.uniform(0.74, 0.82))
        self.neck_from, self.neck_to = 0.30, float(rng.uniform(0.62, 0.78))
        self.shoulder_to = self.neck_to + float(rng.uniform(0.35, 0.60))
        self.wall = float(rng.uniform(0.07, 0.11))
        a = np.arange(-ABOVE, self.height + ABOVE, TABLE_STEP)
        bore = self.neck + (1.0 - self.neck) * _rounded(a, self.neck_to, self.shoulder_to + 0.08)
        self.outer = (bore + (self.lip - self.neck) * (1.0 - _rise(a, 0.21, 0.35))).astype(np.float32)
        self.inner = (bore - self.wall).astype(np.float32)

    def at(self, y: Array) -> tuple[NDArray[np.int32], Array]:
        """Return the rows of the radius tables at axial places y, and the weights of the next rows."""
        place = np.clip((y + ABOVE) * (1 / TABLE_STEP), 0.0, len(self.outer) - 2)
        row = place.astype(np.int32)
        return row, place - row.astype(np.float32)

    def radii(self, table: Array, at: tuple[NDArray[np.int32], Array]) -> Array:
        """Interpolate a table of radii at the rows and weights of `at`."""
        low = table[at[0]]
        return low + at[1] * (table[1:][at[0]] - low)

    def radius(self, y: float) -> float:
        """Return the outer radius at one axial place."""
        return float(self.radii(self.outer, self.at(np.array([y], np.float32)))[0])

    def ring_angle(self, u: float) -> float:
        """Return the angle (radians) at `u` (0 to 1) along the visible part of the bottom ring."""
        return float(np.pi * (0.14 + 0.72 * u))

    def on_ring(self, angle: float) -> tuple[float, float, float]:
        """Return a place x, y on the bottom ring, in bottle coordinates, and the direction across it."""
        x, y = 0.84 * float(np.cos(angle)), 0.84 * self.tilt * float(np.sin(angle))
        return x, self.height + y - 0.02, angle

    def spot(self, name: str, u: float, v: float) -> tuple[float, float, float]:
        """Return the place x, y at u, v (0 to 1) in the region of a class's defects, and its direction.

        The region is the neck, the body or the bottom ring; coordinates are the bottle's own.
        """
        u, v = float(u), float(v)
        if name == "xjf":
            y = self.neck_from + 0.06 + v * (self.neck_to - self.neck_from - 0.06)
            return (2 * u - 1) * 0.72 * self.radius(y), y, 0.0
        if name == "xdf":
            return self.on_ring(self.ring_angle(u))
        return (2 * u - 1) * 0.70, self.shoulder_to + 0.2 + v * (self.height - self.shoulder_to - 0.55), 0.0

    def site(self, name: str, assembly: Assembly, rng: Generator) -> Site:
        """Draw a random site on one of the bottles."""
        k = int(rng.random() * len(assembly.parts))
        x, y, turn = self.spot(name, *rng.random(2))
        pose = assembly.parts[k].pose
        return Site(k, *pose.image(x, y), pose.turn + turn)


def _rise(a: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Return a step from 0 at `low` to 1 at `high` without a kink."""
    t = np.clip((a - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def _rounded(a: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Return a step from 0 at `low` to 1 at `high` with a small fillet below and a wide bend above."""
    t = np.clip((a - low) / (high - low), 0.0, 1.0)
    step: NDArray[np.float64] = gaussian_filter1d(np.sin(0.5 * np.pi * t), 0.055 / TABLE_STEP)
    return step


def glass(window: Window, pose: Pose, vial: Vial) -> Fields:
    """Return the fields of an unmarked bottle: cover, thickness and height."""
    x, y = pose.local(window)
    at = vial.at(y)
    outer, inner = vial.radii(vial.outer, at), vial.radii(vial.inner, at)
    xx = x * x
    z = np.sqrt(np.maximum(outer * outer - xx, 0.0))
    hollow = shapes.half_chord(inner * inner - xx, 1 / pose.unit)
    top = -(y + vial.tilt * np.sqrt(np.maximum(vial.lip**2 - xx, 0.0)))
    bottom = y - (vial.height - HEEL) - (vial.tilt + HEEL) * z
    edge = shapes.rounding(np.maximum(top, bottom), 0.10)
    foot = near(window, pose, vial.height, vial.tilt + 0.4).slices(window)
    seen = shapes.soft((y[foot] - vial.height + 0.16) / (vial.tilt * hollow[foot] + 0.04), 1.0)
    hollow[foot] *= 1.0 - FLOOR + FLOOR * seen
    thickness = 2.0 * np.maximum(z - hollow, 0.0) * edge
    for centre, radius, depth, width in (
        (0.0, vial.lip * 0.97, 0.055, 0.030),
        (0.0, vial.neck - vial.wall, 0.050, 0.026),
        (0.27, vial.lip * 0.97, 0.040, 0.030),
        (vial.height - 0.13, 0.90, 0.020, 0.045),
        (vial.height, 0.80, 0.035, 0.045),
    ):
        around = near(window, pose, centre, radius * vial.tilt + 3 * width).slices(window)
        ring = shapes.ellipse(x[around], y[around] - centre, radius, radius * vial.tilt)
        thickness[around] += depth * shapes.ridge(ring, width)
    cover = shapes.coverage(_outline(window, pose, vial, x, y, outer), 1 / pose.unit)
    return Fields(cover, thickness, z * edge, np.zeros_like(z), np.zeros_like(z))


def _outline(window: Window, pose: Pose, vial: Vial, x: Array, y: Array, outer: Array) -> Array:
    """Return the distance to the silhouette: the profile, closed by half an ellipse at each end."""
    sdf = np.abs(x) - outer
    for centre, way, radius, rise, reach in (
        (0.0, -1.0, vial.lip, vial.lip * vial.tilt, vial.tilt + 0.3),
        (vial.height - HEEL, 1.0, 1.0, vial.tilt + HEEL, vial.tilt + 0.5),
    ):
        end = near(window, pose, centre, reach).slices(window)
        beyond = y[end] - centre
        cap = shapes.ellipse(x[end], beyond, radius, rise)
        sdf[end] = np.where(beyond * way > 0.0, cap, sdf[end])
    return sdf


def near(window: Window, pose: Pose, centre: float, reach: float) -> Window:
    """Return the pixels of a bottle within `reach` of the axial place `centre`."""
    return pose.window(1.12, centre - reach, centre + reach, window)
