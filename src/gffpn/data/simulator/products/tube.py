"""Medicinal glass tubes, side by side in a rack, their mouths in view."""

import numpy as np
from numpy.random import Generator

from gffpn.data.simulator import shapes
from gffpn.data.simulator.fields import Fields, Pose, Window
from gffpn.data.simulator.light import Material
from gffpn.data.simulator.parts import Assembly, Draws, Part, Site, put, put_on_ground, scatter_dust
from gffpn.data.simulator.texture import clouds

TINTS = ((0.14, 0.05, 0.08), (0.09, 0.06, 0.05), (0.30, 0.75, 2.2))


def _glass(window: Window, pose: Pose, wall: float, tilt: float, length: float) -> Fields:
    """Cover, thickness and height of a straight tube; unit: its radius, origin: the mouth, y along it."""
    x, y = pose.local(window)
    px = 1 / pose.unit
    xx = x * x
    z = np.sqrt(np.maximum(1.0 - xx, 0.0))
    inner = 1.0 - wall
    hollow = np.sqrt(np.maximum(inner * inner - xx, 0.0))
    ends = np.maximum(-(y + tilt * z), y - length - tilt * z)
    edge = shapes.rounding(ends, 0.09)
    thickness = 2.0 * (z - hollow) * edge
    for centre, radius, depth, width in (
        (0.0, 0.985, 0.07, 0.035),
        (0.0, inner, 0.07, 0.035),
        (length, inner, 0.05, 0.04),
    ):
        reach = radius * tilt + 3 * width
        near = pose.window(1.06, centre - reach, centre + reach, window).slices(window)
        ring = shapes.ellipse(x[near], y[near] - centre, radius, radius * tilt)
        thickness[near] += depth * shapes.ridge(ring, width)
    cover = shapes.coverage(np.maximum(np.abs(x) - 1.0, ends), px)
    albedo = np.zeros_like(z)
    mouth = pose.window(1.06, -tilt - 0.05, tilt + 0.05, window).slices(window)
    outer = shapes.coverage(shapes.ellipse(x[mouth], y[mouth], 1.0, tilt), px)
    opening = shapes.coverage(shapes.ellipse(x[mouth], y[mouth], inner, inner * tilt), px)
    albedo[mouth] += 0.16 * np.maximum(outer - opening, 0.0)
    return Fields(cover, thickness, z * edge, np.zeros_like(z), albedo)


class Tubes:
    """4 to 8 tubes of one kind."""

    def __init__(self, draws: Draws) -> None:
        height, width = draws.window.shape
        count = int(draws.product.integers(4, 9))
        self.wall = float(draws.product.uniform(0.10, 0.22))
        self.tilt = float(draws.product.uniform(0.16, 0.36))
        quarter = int(draws.nuisance.integers(4))
        tint = np.array(TINTS[int(draws.product.choice(3, p=[0.45, 0.35, 0.2]))]) * draws.nuisance.uniform(
            0.7, 1.3
        )
        material = Material(
            absorption=(float(tint[0]), float(tint[1]), float(tint[2])), aperture=0.9, gloss=0.8
        )
        rack = quarter * np.pi / 2 + draws.nuisance.uniform(-0.10, 0.10)
        across, along = (width, height) if quarter % 2 == 0 else (height, width)
        pitch = across * float(draws.nuisance.uniform(0.94, 1.02)) / count
        unit = 0.5 * pitch * float(draws.nuisance.uniform(0.72, 0.86))
        self.length = min(float(draws.product.uniform(0.72, 1.5)) * along, 1.6 * along) / unit
        depth = float(draws.nuisance.uniform(0.08, 0.24)) * along
        centre = Pose(width / 2, height / 2, float(rack), 1.0)
        ground = Fields.empty(draws.window)
        self.assembly = Assembly(ground, (1.0, 1.0, 1.0))
        self._rack(draws, centre, along)
        for k in range(count):
            x = (k + 0.5 - count / 2) * pitch + draws.nuisance.uniform(-0.05, 0.05) * pitch
            y = -along / 2 + depth + draws.nuisance.uniform(-0.35, 0.35) * unit
            mouth = centre.image(float(x), float(y))
            pose = Pose(*mouth, float(rack + draws.nuisance.uniform(-0.012, 0.012)), float(unit))
            self._shadow(draws, pose)
            window = self._window(pose, draws.window)
            fields = _glass(window, pose, self.wall, self.tilt, self.length)
            self.assembly.parts.append(Part(window, pose, material, fields))
        scatter_dust(ground, draws)
        self._lookalikes(draws, centre, pitch, along)

    def _window(self, pose: Pose, bounds: Window) -> Window:
        return pose.window(1.06, -self.tilt - 0.1, self.length + self.tilt + 0.1, bounds)

    def _rack(self, draws: Draws, centre: Pose, along: float) -> None:
        """Two or three bars across the tubes, and a diffuser's faint grain."""
        _, y = centre.local(draws.window)
        ground = self.assembly.ground
        bars = draws.nuisance.uniform(-0.42, 0.42, 2) * along
        half = float(draws.nuisance.uniform(0.015, 0.05)) * along
        dark = float(draws.nuisance.uniform(0.10, 0.45))
        for bar in bars:
            ground.density += dark * shapes.soft(np.abs(y - np.float32(bar)) - half, 2.5 * draws.px)
        ground.density += 0.012 * clouds(draws.nuisance, draws.window.shape, (60, 60))

    def _shadow(self, draws: Draws, pose: Pose) -> None:
        """The soft dark seat of a tube on the rack."""
        window = self._window(Pose(pose.x, pose.y, pose.turn, pose.unit * 1.25), draws.window)
        x, y = pose.local(window)
        seat = shapes.box(x, y - np.float32(self.length / 2), 1.0, self.length / 2 + self.tilt, 0.2)
        self.assembly.ground.density[window.slices()] += 0.22 * shapes.soft(seat, 0.22)

    def _lookalikes(self, draws: Draws, centre: Pose, pitch: float, along: float) -> None:
        rng = draws.lookalike
        edge, print_dots, glint = draws.occurs(0.5), draws.occurs(0.35), draws.occurs(0.6)
        place, lift = float(rng.uniform(0.5, 0.85)), float(rng.uniform(0.1, 0.3))
        row, step, size = (
            float(rng.uniform(-0.3, 0.3)),
            float(rng.uniform(0.5, 0.9)),
            float(rng.uniform(7, 12)),
        )
        starts = float(rng.uniform(1.5, 4.0))
        way = float(np.arctan2(draws.light.y, draws.light.x))
        for part in self.assembly.parts:
            x, y = part.pose.local(part.window)
            if edge:
                highlight = shapes.ridge(x - np.float32(place * (1 - self.wall)), 0.022)
                part.fields.albedo += lift * highlight * (y > 0.25)
            if print_dots:
                for k in range(6):
                    mx, my = part.pose.image(row, starts + k * step)
                    put(part, draws.mark("pit", mx, my, size, 0.0, 0.9))
            if glint:
                facing = way - part.pose.turn
                gx, gy = float(np.cos(facing)) * (1 - self.wall / 2), float(np.sin(facing)) * self.tilt
                spot = shapes.ellipse(x - np.float32(gx), y - np.float32(gy), 0.14, 0.07)
                part.fields.albedo += 0.75 * shapes.coverage(spot, 2 / part.pose.unit)
        for _ in range(rng.poisson(4.0 * draws.dials.lookalike_density)):
            gap = int(rng.integers(len(self.assembly.parts) + 1)) - len(self.assembly.parts) / 2
            bx, by = centre.image(gap * pitch, float(rng.uniform(-0.5, 0.5)) * along)
            side, strength = float(rng.uniform(7, 15)), float(rng.uniform(0.6, 1.2))
            put_on_ground(self.assembly.ground, draws.window, draws.mark("pit", bx, by, side, 0.0, strength))

    def site(self, name: str, rng: Generator) -> Site:
        """Body or rim of one tube, within the picture."""
        k = int(rng.integers(len(self.assembly.parts)))
        u, v, turn = (float(q) for q in rng.random(3))
        part = self.assembly.parts[k]
        if name == "gkf":
            angle = np.pi * 2 * u
            px, py = part.pose.image(0.97 * float(np.cos(angle)), 0.97 * self.tilt * float(np.sin(angle)))
            return Site(k, px, py, part.pose.turn, "notch")
        bottom, right = part.window.bottom - part.window.top, part.window.right - part.window.left
        visible = min(self.length - 0.6, 0.93 * max(bottom, right) / part.pose.unit - 0.3)
        x, y = (2 * u - 1) * 0.62, 0.8 + v * max(visible - 0.8, 0.5)
        px, py = part.pose.image(x, y)
        primitive = "scratch" if name == "gsf" else "pit"
        return Site(k, px, py, part.pose.turn + np.pi * turn, primitive)
