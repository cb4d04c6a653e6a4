"""Medicinal glass bottles, standing before a backlight, seen slightly from above."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from gffpn.data.simulator import shapes
from gffpn.data.simulator.fields import Fields, Pose, Window
from gffpn.data.simulator.light import Material
from gffpn.data.simulator.parts import Assembly, Draws, Part, Site, put, scatter_dust
from gffpn.data.simulator.shapes import Array
from gffpn.data.simulator.texture import clouds

TINTS = (
    (0.16, 0.05, 0.09),
    (0.10, 0.06, 0.06),
    (0.22, 0.10, 0.05),
    (0.50, 1.20, 3.40),
)
"""Clear (green, grey, bluish edges) and amber glass."""
TABLE_STEP = 1 / 512
ABOVE = 0.5


class Vial:
    """The bottle's shape: outer and inner radius along its axis; unit: body radius, origin: mouth."""

    def __init__(self, rng: Generator) -> None:
        self.height = float(rng.uniform(2.7, 3.7))
        self.tilt = float(rng.uniform(0.12, 0.24))
        self.lip = float(rng.uniform(0.60, 0.70))
        self.neck = self.lip * float(rng.uniform(0.74, 0.82))
        self.neck_from, self.neck_to = 0.30, float(rng.uniform(0.62, 0.78))
        self.shoulder_to = self.neck_to + float(rng.uniform(0.35, 0.60))
        self.wall = float(rng.uniform(0.07, 0.11))
        a = np.arange(-ABOVE, self.height + ABOVE, TABLE_STEP)
        knots = [0.0, 0.27, 0.30, self.neck_to, 0.5 * (self.neck_to + self.shoulder_to), self.shoulder_to]
        radii = [self.lip, self.lip, self.neck, self.neck, 0.5 * (self.neck + 1.0) + 0.12, 1.0]
        heel = self.height - 0.10
        outer = np.interp(a, [*knots, heel, self.height], [*radii, 1.0, 0.93])
        inner = np.where(a < 0.27, self.neck, outer) - self.wall
        floor = self.height - 0.16
        inner = np.where(a > floor, inner * np.sqrt(np.clip(1 - ((a - floor) / 0.10) ** 2, 0.0, 1.0)), inner)
        self.outer = self._smooth(outer)
        self.inner = self._smooth(inner)

    def _smooth(self, radius: NDArray[np.float64]) -> Array:
        smoothed: Array = gaussian_filter1d(radius, 0.022 / TABLE_STEP).astype(np.float32)
        return smoothed

    def at(self, y: Array) -> tuple[NDArray[np.int32], Array]:
        """Rows of the tables for axial places y, and the shares of the rows that follow."""
        place = np.clip((y + ABOVE) * (1 / TABLE_STEP), 0.0, len(self.outer) - 2)
        row = place.astype(np.int32)
        return row, place - row.astype(np.float32)

    def radii(self, table: Array, at: tuple[NDArray[np.int32], Array]) -> Array:
        """Interpolate a table of radii."""
        low = table[at[0]]
        return low + at[1] * (table[1:][at[0]] - low)

    def radius(self, y: float) -> float:
        """Outer radius at one axial place."""
        return float(self.radii(self.outer, self.at(np.array([y], np.float32)))[0])


def _glass(window: Window, pose: Pose, vial: Vial) -> Fields:
    """Cover, thickness and height of an unmarked bottle."""
    x, y = pose.local(window)
    at = vial.at(y)
    outer, inner = vial.radii(vial.outer, at), vial.radii(vial.inner, at)
    xx = x * x
    z = np.sqrt(np.maximum(outer * outer - xx, 0.0))
    hollow = np.sqrt(np.maximum(inner * inner - xx, 0.0))
    top = -(y + vial.tilt * np.sqrt(np.maximum(vial.lip**2 - xx, 0.0)))
    bottom = y - vial.height - vial.tilt * np.sqrt(np.maximum(0.93**2 - xx, 0.0))
    ends = np.maximum(top, bottom)
    side = np.abs(x) - outer
    edge = shapes.rounding(ends, 0.07)
    thickness = 2.0 * (z - hollow) * edge
    for centre, radius, depth, width in (
        (0.0, vial.lip * 0.97, 0.055, 0.030),
        (0.0, vial.neck - vial.wall, 0.050, 0.026),
        (0.27, vial.lip * 0.97, 0.040, 0.030),
        (vial.height - 0.13, 0.90, 0.030, 0.045),
        (vial.height, 0.80, 0.035, 0.045),
    ):
        near = _near_ring(window, pose, centre, radius * vial.tilt + 3 * width)
        ring = shapes.ellipse(x[near], y[near] - centre, radius, radius * vial.tilt)
        thickness[near] += depth * shapes.ridge(ring, width)
    cover = shapes.coverage(np.maximum(side, ends), 1 / pose.unit)
    return Fields(cover, thickness, z * edge, np.zeros_like(z), np.zeros_like(z))


def _near_ring(window: Window, pose: Pose, centre: float, reach: float) -> tuple[slice, slice]:
    return pose.window(1.12, centre - reach, centre + reach, window).slices(window)


class Bottles:
    """1 to 3 bottles of one kind."""

    def __init__(self, draws: Draws) -> None:
        height, width = draws.window.shape
        self.vial = Vial(draws.product)
        count = int(draws.product.integers(1, 4))
        tint = np.array(TINTS[int(draws.product.choice(4, p=[0.35, 0.25, 0.15, 0.25]))])
        tint = tint * draws.nuisance.uniform(0.7, 1.3)
        material = Material(
            absorption=(float(tint[0]), float(tint[1]), float(tint[2])), aperture=0.95, gloss=0.75
        )
        ground = Fields.empty(draws.window)
        self.assembly = Assembly(ground, (1.0, 1.0, 1.0))
        cell = width / count
        unit = min(0.43 * cell, 0.92 * height / (self.vial.height + 2 * self.vial.tilt))
        unit *= float(draws.nuisance.uniform(0.84, 1.0))
        floor = 0.5 * (height + self.vial.height * unit)
        floor += float(draws.nuisance.uniform(-0.6, 0.6)) * max(
            0.0, 0.46 * (height - self.vial.height * unit) - 0.2 * unit
        )
        self._table(ground, draws, floor, unit)
        room = max(0.0, cell - 2.1 * unit) / 2
        for k in range(count):
            x = (k + 0.5) * cell + draws.nuisance.uniform(-0.8, 0.8) * room
            foot = floor + draws.nuisance.uniform(-0.04, 0.04) * unit
            turn = float(draws.nuisance.uniform(-0.04, 0.04))
            pose = Pose(float(x), float(foot - self.vial.height * unit), turn, float(unit))
            window = pose.window(
                1.06, -0.06 - self.vial.tilt, self.vial.height + 1.1 * self.vial.tilt, draws.window
            )
            fields = _glass(window, pose, self.vial)
            self.assembly.parts.append(Part(window, pose, material, fields))
        scatter_dust(ground, draws)
        self._lookalikes(draws)

    def _table(self, ground: Fields, draws: Draws, floor: float, unit: float) -> None:
        """The edge of the table that the bottles stand on, and their soft shadow on it."""
        _, y = draws.window.centres()
        edge = floor - draws.nuisance.uniform(0.0, 0.5) * unit
        dark = float(draws.nuisance.uniform(0.15, 0.55))
        below = shapes.soft(np.float32(edge) - y, 6 * draws.px)
        ground.density += dark * below
        ground.density += 0.05 * below * clouds(draws.nuisance, draws.window.shape, (40, 12))
        ground.density += 0.35 * shapes.ridge(
            y - np.float32(floor + 0.2 * self.vial.tilt * unit), 0.12 * unit
        )

    def _lookalikes(self, draws: Draws) -> None:
        seam, scale, shadow = draws.occurs(0.55), draws.occurs(0.45), draws.occurs(0.45)
        rings = int(draws.lookalike.integers(1, 4)) if draws.occurs(0.7) else 0
        for part in self.assembly.parts:
            x, y = part.pose.local(part.window)
            rng = draws.lookalike
            if seam:
                self._seam(part.fields, x, y, float(rng.uniform(-0.9, 0.9)), float(rng.uniform(0.5, 1.0)))
            if scale:
                self._graduation(part, draws, float(rng.uniform(-0.55, 0.1)), float(rng.uniform(0.16, 0.3)))
            for k in range(rings):
                radius = 0.93 - 0.21 * (k + float(rng.uniform(0.6, 1.0)))
                near = _near_ring(part.window, part.pose, self.vial.height, radius * self.vial.tilt + 0.1)
                ring = shapes.ellipse(x[near], y[near] - self.vial.height, radius, radius * self.vial.tilt)
                part.fields.thickness[near] += float(rng.uniform(0.02, 0.05)) * shapes.ridge(ring, 0.03)
        if shadow:
            self._shadow(draws)

    def _seam(self, fields: Fields, x: Array, y: Array, place: float, strength: float) -> None:
        """Mould seam: along the axis over the full length, at one angle of the surface."""
        line = shapes.ridge(x - self.vial.radii(self.vial.outer, self.vial.at(y)) * np.float32(place), 0.014)
        line *= y < self.vial.height
        fields.thickness += 0.016 * strength * line
        fields.height += 0.016 * strength * line
        fields.density += 0.22 * strength * line

    def _graduation(self, part: Part, draws: Draws, x: float, pitch: float) -> None:
        """Graduation marks: a regular row up the body, every fifth one longer."""
        first, last = self.vial.shoulder_to + 0.35, self.vial.height - 0.35
        for k, y in enumerate(np.arange(first, last, pitch)):
            mx, my = part.pose.image(x, float(y))
            long = 1.5 if k % 5 == 0 else 1.0
            side = 0.14 * long * part.pose.unit / draws.px
            put(part, draws.tick(mx, my, side, part.pose.turn))

    def _shadow(self, draws: Draws) -> None:
        """A shadow or a clear label across the silhouettes: it does not stop at the glass."""
        rng = draws.lookalike
        turn, place = float(rng.uniform(-0.5, 0.5)), float(rng.uniform(0.35, 0.75))
        half, dark = float(rng.uniform(0.02, 0.07)), float(rng.uniform(0.06, 0.16))
        height = draws.window.shape[0]
        x, y = draws.window.centres()
        middle = np.float32(0.5 * draws.window.shape[1])
        distance = np.abs(
            (y - np.float32(place * height)) * float(np.cos(turn)) + (x - middle) * float(np.sin(turn))
        )
        self.assembly.ground.density += dark * shapes.soft(distance - half * height, 0.012 * height)

    def site(self, name: str, rng: Generator) -> Site:
        """Neck, body or bottom ring of one bottle."""
        k = int(rng.integers(len(self.assembly.parts)))
        u, v, turn, kind = (float(q) for q in rng.random(4))
        vial, pose = self.vial, self.assembly.parts[k].pose
        if name == "xjf":
            y = vial.neck_from + 0.06 + v * (vial.neck_to - vial.neck_from - 0.06)
            x, primitive = (2 * u - 1) * 0.72 * vial.radius(y), "crack"
        elif name == "xdf":
            angle = np.pi * (0.14 + 0.72 * u)
            x = 0.84 * float(np.cos(angle))
            y = vial.height + vial.tilt * 0.84 * float(np.sin(angle)) - 0.02
            primitive = "crack"
            turn = (angle + (turn - 0.5) * 0.8) / np.pi
        else:
            y = vial.shoulder_to + 0.2 + v * (vial.height - vial.shoulder_to - 0.55)
            x = (2 * u - 1) * 0.70
            primitive = "stain" if name == "xsd" else ("bubble" if kind < 0.3 else "scratch")
            turn = turn if primitive == "scratch" else 0.5 + 0.1 * (turn - 0.5)
        px, py = pose.image(x, y)
        return Site(k, px, py, pose.turn + np.pi * turn, primitive)
