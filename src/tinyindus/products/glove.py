"""A disposable medical glove that lies flat on a belt."""

import numpy as np
from numpy.random import Generator

from tinyindus import shapes
from tinyindus.fields import Fields, Pose
from tinyindus.light import Material
from tinyindus.lookalikes import (
    Pattern,
    broken,
    look_of,
    mix,
    number,
    occurs,
    plain,
    press,
    scatter_dust,
    spacing,
)
from tinyindus.parts import Assembly, Draws, Imitation, Part, Site
from tinyindus.shapes import Array
from tinyindus.texture import clouds

COLOURS = ((0.42, 0.62, 0.86), (0.93, 0.91, 0.84), (0.60, 0.55, 0.82), (0.90, 0.92, 0.95), (0.45, 0.72, 0.66))
FINGERS = (
    # root x, root y, angle from straight up, length, root radius, tip radius; unit: half the palm's width
    (-0.74, -0.80, -0.22, 1.15, 0.235, 0.185),
    (-0.27, -0.98, -0.07, 1.55, 0.255, 0.195),
    (0.24, -0.98, 0.07, 1.68, 0.260, 0.200),
    (0.72, -0.86, 0.20, 1.45, 0.255, 0.190),
    (0.72, 0.45, 0.80, 1.35, 0.320, 0.215),
)
CUFF = 1.95


class Glove:
    """A picture of one glove."""

    def __init__(self, draws: Draws) -> None:
        height, width = draws.window.shape
        colour = COLOURS[int(draws.product.integers(len(COLOURS)))]
        self.mirror = 1.0 if draws.product.random() < 0.5 else -1.0
        self.spread = draws.product.uniform(-0.07, 0.07, len(FINGERS))
        self.stretch = draws.product.uniform(0.92, 1.08, len(FINGERS))
        material = Material((0.0, 0.0, 0.0), colour, gloss=0.10, clear=0.05)
        self.assembly = Assembly.empty(draws)
        ground = self.assembly.ground
        self.assembly.ground_colour = self._belt(ground, draws)
        turn = float(draws.nuisance.uniform(-0.45, 0.45) + np.pi * draws.nuisance.integers(2))
        unit = min(height, width) / 5.3 * float(draws.nuisance.uniform(0.92, 1.10))
        shift = draws.nuisance.uniform(-0.05, 0.05, 2)
        away = Pose(0.0, 0.0, turn, unit).image(0.0, 0.42)
        pose = Pose(
            float(width * (0.5 + shift[0]) + away[0]), float(height * (0.5 + shift[1]) + away[1]), turn, unit
        )
        x, y = pose.local(draws.window)
        sdf, dome = self._outline(x * self.mirror, y)
        fields = Fields.empty(draws.window)
        fields.cover += shapes.coverage(sdf, 1 / unit)
        fields.height += 0.30 * dome
        fields.albedo += 0.85 * (1.0 + 0.02 * clouds(draws.product, draws.window.shape, (9, 9)))
        self._cuff(fields, y)
        self._shadow(ground, sdf, unit, draws)
        self.assembly.parts.append(Part(draws.window, pose, material, fields))
        scatter_dust(self.assembly, draws)
        self._unevenness(fields, draws)
        self._folds(x, y, draws)
        self._grip(draws)

    def _belt(self, ground: Fields, draws: Draws) -> tuple[float, float, float]:
        """Draw a woven belt, dark or light, and return its colour."""
        shade = float(draws.nuisance.uniform(0.18, 0.80))
        x, y = draws.window.centres()
        pitch, turn = float(draws.nuisance.uniform(5, 9)) * draws.px, float(draws.nuisance.uniform(0, 1.5))
        c, s = float(np.cos(turn)) * 2 * np.pi / pitch, float(np.sin(turn)) * 2 * np.pi / pitch
        ground.density += 0.05 * np.sin(x * c + y * s) * np.sin(y * c - x * s)
        ground.density += 0.05 * clouds(draws.nuisance, draws.window.shape, (30, 30))
        return shade, shade * 1.02, shade * float(draws.nuisance.uniform(0.95, 1.15))

    def _outline(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Return the glove's signed distance and surface height (0 to 1); each finger is a separate dome."""
        palm = shapes.box(x, y - 0.25, 0.98, 1.25, 0.42)
        sleeve = shapes.box(x, y - 1.35, 0.86 + 0.05 * (y - 1.3), CUFF - 1.35, 0.04)
        sdf = shapes.melt(palm, sleeve, 0.15)
        flat = np.maximum(0.85 * shapes.rounding(palm, 0.50), 0.62 * shapes.rounding(np.abs(x) - 0.92, 0.55))
        hollow = -flat * shapes.soft(sdf, 0.02)
        for k, (rx, ry, angle, length, root, tip) in enumerate(FINGERS):
            way = angle + float(self.spread[k])
            reach = length * float(self.stretch[k])
            ends = (rx, ry), (rx + reach * float(np.sin(way)), ry - reach * float(np.cos(way)))
            distance, place = shapes.segment(x, y, *ends)
            finger = distance - (root + (tip - root) * place)
            sdf = shapes.melt(sdf, finger, 0.16)
            hollow = shapes.melt(hollow, -0.80 * shapes.rounding(finger, 0.25), 0.32)
        return sdf, -hollow

    def _cuff(self, fields: Fields, y: Array) -> None:
        """Draw the rolled bead at the end of the cuff."""
        fields.height += 0.06 * shapes.ridge(y - (CUFF - 0.05), 0.045)

    def _shadow(self, ground: Fields, sdf: Array, unit: float, draws: Draws) -> None:
        """Draw a soft shadow on the belt, on the side away from the light."""
        height, width = sdf.shape
        dx, dy = (round(0.07 * unit * way) for way in (draws.light.x, draws.light.y))
        rows = np.clip(np.arange(height) + dy, 0, height - 1)
        columns = np.clip(np.arange(width) + dx, 0, width - 1)
        ground.density += 0.7 * shapes.soft(sdf[rows[:, None], columns], 0.12)

    def _unevenness(self, fields: Fields, draws: Draws) -> None:
        """Add the broad unevenness of the skin that every glove has."""
        shape = draws.window.shape
        fields.height += 0.020 * clouds(draws.product, shape, (7, 7)) + 0.005 * clouds(
            draws.product, shape, (22, 22)
        )

    def _folds(self, x: Array, y: Array, draws: Draws) -> None:
        """Draw wrinkles: long, narrow, curved and fading out; at match 1, with a mark on each."""
        own, imitating = draws.lookalike(Pattern.FOLD)
        part = self.assembly.parts[0]
        for _ in range(number(draws, own, 6.0)):
            u, v, way, long, bend, width = (float(q) for q in own.random(6))
            sx, sy = self._spot(imitating)
            look = look_of("stf", draws, imitating)
            cx = mix(mix(-0.9, 0.9, u), sx, draws.match)
            cy = mix(mix(-2.2, 1.9, v), sy, draws.match)
            way, bend = mix(-0.7, 0.7, way), mix(-0.5, 0.5, bend)
            # a fold with a mark is long and distinct enough to be visible on both sides of the mark
            long, width = (
                mix(mix(0.4, 1.1, long), 1.0, draws.match),
                mix(mix(0.02, 0.05, width), 0.045, draws.match),
            )
            c, s = float(np.cos(way)), float(np.sin(way))
            p, q = (x - cx) * c + (y - cy) * s, (y - cy) * c - (x - cx) * s
            mark = look.at(*part.pose.image(cx, cy), part.pose.turn)
            fold = shapes.ridge(q - bend * p * p, width) * shapes.ridge(p, long * 0.6)
            broken(fold, part.window, [mark], draws.match)
            with self.assembly.editing(0, part.window, Imitation("stf", "fold", "line")) as fields:
                fields.height += (0.9 * width) * fold
            press(self.assembly, 0, None, mark, draws.match, Imitation("stf", "fold"))

    def _grip(self, draws: Draws) -> None:
        """Draw grip dots: a lattice on the palm."""
        own, imitating = draws.lookalike(Pattern.GRIP)
        there = occurs(draws, own, 0.4)
        pitch, size, strength = (float(q) for q in own.random(3))
        look, shift = look_of("stf", draws, imitating), imitating.random(2) - 0.5
        if not there:
            return
        part, m = self.assembly.parts[0], draws.match
        mark = look.at(0.0, 0.0, part.pose.turn)
        own_pitch = mix(0.18, 0.26, pitch)
        px, py = (
            own_pitch ** (1 - m) * (spacing(mark, part.pose.turn + way) / part.pose.unit) ** m
            for way in (0.0, 0.5 * np.pi)
        )
        # few enough that a lattice of small marks has no more marks than one of large marks
        columns, rows = int(min(1.41 / px, mix(7, 4, m))) + 1, int(min(1.85 / py, mix(10, 5, m))) + 1
        wide, high = (columns - 1) * px, (rows - 1) * py
        left = float(shift[0]) * m * (1.41 - wide) - 0.5 * wide
        top = float(shift[1]) * m * (1.85 - high) - 0.5 * high + 0.17
        for r in range(rows):
            for c in range(columns):
                x, y = part.pose.image(left + c * px, top + r * py)
                dot = plain("dot", x, y, mix(7, 12, size) * draws.px, 0.0, mix(0.3, 0.7, strength), own)
                press(self.assembly, 0, dot, look.at(x, y, part.pose.turn), m, Imitation("stf", "grip"))

    def _spot(self, rng: Generator) -> tuple[float, float]:
        """Draw a random place on the palm, the sleeve or a finger, in the glove's coordinates."""
        u, v, w = (float(q) for q in rng.random(3))
        if u < 0.5:
            return self.mirror * (2 * v - 1) * 0.72, -0.7 + w * 2.3
        k = min(int((u - 0.5) * 2 * len(FINGERS)), len(FINGERS) - 1)
        rx, ry, angle, length, root, _ = FINGERS[k]
        way, reach = angle + float(self.spread[k]), length * float(self.stretch[k]) * (0.2 + 0.75 * w)
        x = rx + reach * float(np.sin(way)) + (2 * v - 1) * 0.4 * root
        return self.mirror * x, ry - reach * float(np.cos(way))

    def site(self, name: str, rng: Generator) -> Site:
        """Draw a random site on the glove."""
        pose = self.assembly.parts[0].pose
        return Site(0, *pose.image(*self._spot(rng)), pose.turn)
