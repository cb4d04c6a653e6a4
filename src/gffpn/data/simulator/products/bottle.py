"""Medicinal glass bottles, standing before a backlight, seen slightly from above."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from gffpn.data.simulator import shapes
from gffpn.data.simulator.fields import Fields, Pose, Window
from gffpn.data.simulator.light import Material
from gffpn.data.simulator.lookalikes import (
    Pattern,
    broken,
    look_of,
    mix,
    occurs,
    press,
    scatter_dust,
    spacing,
    tick,
)
from gffpn.data.simulator.looks import Look
from gffpn.data.simulator.marks import Mark
from gffpn.data.simulator.parts import Assembly, Draws, Imitation, Part, Site
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
        near = _near(window, pose, centre, radius * vial.tilt + 3 * width).slices(window)
        ring = shapes.ellipse(x[near], y[near] - centre, radius, radius * vial.tilt)
        thickness[near] += depth * shapes.ridge(ring, width)
    cover = shapes.coverage(np.maximum(side, ends), 1 / pose.unit)
    return Fields(cover, thickness, z * edge, np.zeros_like(z), np.zeros_like(z))


def _near(window: Window, pose: Pose, centre: float, reach: float) -> Window:
    """The pixels of a bottle within `reach` of an axial place."""
    return pose.window(1.12, centre - reach, centre + reach, window)


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
        self.assembly = Assembly.empty(draws)
        ground = self.assembly.ground
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
        scatter_dust(self.assembly, draws)
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
        self._seams(draws)
        self._graduations(draws)
        self._rings(draws)
        self._band(draws)

    def _seams(self, draws: Draws) -> None:
        """Mould seam: along the axis over the full length, at one angle of the surface."""
        own, imitating = draws.lookalike(Pattern.SEAM)
        there = occurs(draws, own, 0.55)
        for k, part in enumerate(self.assembly.parts):
            place, strength = mix(-0.9, 0.9, float(own.random())), mix(0.5, 1.0, float(own.random()))
            u, v, w = (float(q) for q in imitating.random(3))
            spots = [self._spot("xjf", u, v), self._spot("xsf", u, w), self._spot("xsf", u, (w + 0.5) % 1.0)]
            looks = [look_of(name, draws, imitating) for name in ("xjf", "xsf", "xsf")]
            if not there:
                continue
            place = mix(place, spots[0][0] / self.vial.radius(spots[0][1]), draws.match)
            at = [part.pose.image(place * self.vial.radius(y), y) for _, y, _ in spots]
            marks = [look.at(*xy, part.pose.turn) for look, xy in zip(looks, at, strict=True)]
            self._seam(k, place, strength, marks, draws.match)
            for against, mark in zip(("xjf", "xsf", "xsf"), marks, strict=True):
                press(self.assembly, k, None, mark, draws.match, Imitation(against, "seam"))

    def _seam(self, k: int, place: float, strength: float, marks: list[Mark], match: float) -> None:
        part = self.assembly.parts[k]
        x, y = part.pose.local(part.window)
        line = shapes.ridge(x - self.vial.radii(self.vial.outer, self.vial.at(y)) * np.float32(place), 0.014)
        line *= y < self.vial.height
        broken(line, part.window, marks, match)
        with self.assembly.editing(k, part.window, Imitation("xjf", "seam", "line")) as fields:
            fields.thickness += 0.016 * strength * line
            fields.height += 0.016 * strength * line
            fields.density += 0.22 * strength * line

    def _graduations(self, draws: Draws) -> None:
        """Graduation marks: a regular row up the body, every fifth one longer."""
        own, imitating = draws.lookalike(Pattern.ROW)
        there = occurs(draws, own, 0.45)
        look = look_of("xsf", draws, imitating)
        first, last = self.vial.shoulder_to + 0.35, self.vial.height - 0.35
        for k, part in enumerate(self.assembly.parts):
            x, pitch = mix(-0.55, 0.1, float(own.random())), mix(0.16, 0.3, float(own.random()))
            sx, sy, _ = self._spot("xsf", *imitating.random(2))
            if not there:
                continue
            pose, m = part.pose, draws.match
            tight = spacing(look.at(0.0, 0.0, pose.turn), pose.turn + 0.5 * np.pi) / pose.unit
            count = mix((last - first) / pitch, 6.0, m)
            pitch = float(pitch ** (1 - m) * tight**m)
            count = 1 + int(min(count, (last - first) / pitch))
            centred = min(max(sy - 0.5 * (count - 1) * pitch, first), last - (count - 1) * pitch)
            x, start = mix(x, sx, m), mix(first, centred, m)
            for j in range(count):
                px, py = pose.image(x, start + j * pitch)
                stroke = tick(px, py, 0.14 * (1.5 if j % 5 == 0 else 1.0) * pose.unit, pose.turn)
                mark = look.at(px, py, pose.turn)
                press(self.assembly, k, stroke, mark, m, Imitation("xsf", "row"))

    def _rings(self, draws: Draws) -> None:
        """Refraction rings of the bottom, concentric; matched, knurled: a row of marks across one of them."""
        own, imitating = draws.lookalike(Pattern.RING)
        count = 1 + int(3 * own.random()) if occurs(draws, own, 0.7) else 0
        look = look_of("xdf", draws, imitating)
        for k, part in enumerate(self.assembly.parts):
            angle = self._ring_angle(float(imitating.random()))
            marks = self._knurls(part, look, angle) if count else []
            for ring in range(3):
                radius, depth = 0.93 - 0.21 * (ring + mix(0.6, 1.0, float(own.random()))), float(own.random())
                if ring >= count:
                    continue
                radius = mix(radius, 0.84 - 0.21 * ring, draws.match)
                self._ring(k, radius, mix(0.02, 0.05, depth), marks, draws.match)
            for mark in marks:
                press(self.assembly, k, None, mark, draws.match, Imitation("xdf", "ring"))

    def _knurls(self, part: Part, look: Look, angle: float) -> list[Mark]:
        """A regular row of marks along the bottom ring, around the one at `angle`."""
        marks = []
        for j in range(-3, 4):
            x, y, turn = self._on_ring(angle)
            way = np.array([-np.sin(angle), self.vial.tilt * np.cos(angle)])
            middle = look.at(*part.pose.image(x, y), part.pose.turn + turn)
            step = spacing(middle, part.pose.turn + float(np.arctan2(way[1], way[0])))
            there = angle + j * step / (0.84 * part.pose.unit * float(np.hypot(*way)))
            if np.pi * 0.14 <= there <= np.pi * 0.86:
                x, y, turn = self._on_ring(there)
                marks.append(look.at(*part.pose.image(x, y), part.pose.turn + turn))
        return marks

    def _ring(self, k: int, radius: float, depth: float, marks: list[Mark], match: float) -> None:
        part = self.assembly.parts[k]
        near = _near(part.window, part.pose, self.vial.height, radius * self.vial.tilt + 0.1)
        x, y = part.pose.local(near)
        ring = shapes.ellipse(x, y - np.float32(self.vial.height), radius, radius * self.vial.tilt)
        line = broken(shapes.ridge(ring, 0.03), near, marks, match)
        with self.assembly.editing(k, near, Imitation("xdf", "ring", "line")) as fields:
            fields.thickness += depth * line

    def _band(self, draws: Draws) -> None:
        """A shadow or clear label across the silhouettes; matched, a row of stains that leaves the glass."""
        own, imitating = draws.lookalike(Pattern.BAND)
        there = occurs(draws, own, 0.45)
        turn, place, half, dark = (float(q) for q in own.random(4))
        look = look_of("xsd", draws, imitating)
        site = self.site("xsd", imitating)
        if not there:
            return
        turn, height = mix(-0.5, 0.5, turn), draws.window.shape[0]
        x, y = draws.window.centres()
        middle = np.float32(0.5 * draws.window.shape[1])
        distance = np.abs(
            (y - np.float32(mix(0.35, 0.75, place) * height)) * float(np.cos(turn))
            + (x - middle) * float(np.sin(turn))
        )
        band = shapes.soft(distance - mix(0.02, 0.07, half) * height, 0.012 * height)
        with self.assembly.editing(None, draws.window, Imitation("xsd", "band", "line")) as ground:
            ground.density += (1 - draws.match) * mix(0.06, 0.16, dark) * band
        step = spacing(look.at(0.0, 0.0, 0.0), 0.0)
        for j in range(-12, 13):
            mark = look.at(
                site.x + j * step * float(np.cos(turn)), site.y - j * step * float(np.sin(turn)), site.turn
            )
            if 0 <= mark.x < draws.window.right and 0 <= mark.y < draws.window.bottom:
                imitation = Imitation("xsd", "band" if self._on_body(mark.x, mark.y) else "off")
                press(self.assembly, None, None, mark, draws.match, imitation)

    def _on_body(self, x: float, y: float) -> bool:
        """Whether a point of the picture is where a body's defects may sit."""
        for part in self.assembly.parts:
            px, py = part.pose.own(x, y)
            if abs(px) < 0.72 and self.vial.shoulder_to + 0.1 < py < self.vial.height - 0.3:
                return True
        return False

    def _ring_angle(self, u: float) -> float:
        return float(np.pi * (0.14 + 0.72 * u))

    def _on_ring(self, angle: float) -> tuple[float, float, float]:
        """A place of the bottom ring in a bottle's own coordinates, and the direction across the ring."""
        x, y = 0.84 * float(np.cos(angle)), 0.84 * self.vial.tilt * float(np.sin(angle))
        return x, self.vial.height + y - 0.02, angle

    def _spot(self, name: str, u: float, v: float) -> tuple[float, float, float]:
        """Neck, body or bottom ring at u, v (0..1), in a bottle's own coordinates, and its direction."""
        u, v, vial = float(u), float(v), self.vial
        if name == "xjf":
            y = vial.neck_from + 0.06 + v * (vial.neck_to - vial.neck_from - 0.06)
            return (2 * u - 1) * 0.72 * vial.radius(y), y, 0.0
        if name == "xdf":
            return self._on_ring(self._ring_angle(u))
        return (2 * u - 1) * 0.70, vial.shoulder_to + 0.2 + v * (vial.height - vial.shoulder_to - 0.55), 0.0

    def site(self, name: str, rng: Generator) -> Site:
        """A place on one of the bottles."""
        k = int(rng.random() * len(self.assembly.parts))
        x, y, turn = self._spot(name, *rng.random(2))
        pose = self.assembly.parts[k].pose
        px, py = pose.image(x, y)
        return Site(k, px, py, pose.turn + turn)
