"""Medicinal glass tubes, side by side in a rack, their mouths in view."""

from dataclasses import replace

import numpy as np
from numpy.random import Generator

from gffpn.data.simulator import shapes
from gffpn.data.simulator.fields import Fields, Pose, Window
from gffpn.data.simulator.light import Material
from gffpn.data.simulator.lookalikes import (
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
from gffpn.data.simulator.parts import Assembly, Draws, Imitation, Part, Site
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
        self.assembly = Assembly.empty(draws)
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
        scatter_dust(self.assembly, draws)
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
        self._edges(draws)
        self._prints(draws)
        self._glints(draws)
        self._tray(draws, centre, pitch, along)

    def _edges(self, draws: Draws) -> None:
        """Highlight of the inner wall: parallel to the edge, over the full length."""
        own, imitating = draws.lookalike(Pattern.EDGE)
        there = occurs(draws, own, 0.5)
        place, lift = mix(0.5, 0.85, float(own.random())), mix(0.1, 0.3, float(own.random()))
        place = mix(place * (1 - self.wall), (2 * float(imitating.random()) - 1) * 0.62, draws.match)
        for k, part in enumerate(self.assembly.parts):
            looks = [look_of("gsf", draws, imitating) for _ in range(2)]
            along = float(imitating.random())
            if not there:
                continue
            spots = [(place, self._body_spot(k, 0.0, v)[1]) for v in (along, (along + 0.5) % 1.0)]
            marks = [
                look.at(*part.pose.image(*spot), part.pose.turn)
                for look, spot in zip(looks, spots, strict=True)
            ]
            x, y = part.pose.local(part.window)
            line = shapes.ridge(x - np.float32(place), 0.022) * (y > 0.25)
            broken(line, part.window, marks, draws.match)
            with self.assembly.editing(k, part.window, Imitation("gsf", "edge", "line")) as fields:
                fields.albedo += mix(lift, 0.3, draws.match) * line
            for mark in marks:
                press(self.assembly, k, None, mark, draws.match, Imitation("gsf", "edge"))

    def _prints(self, draws: Draws) -> None:
        """Print dots: a regular row, the same on all tubes."""
        own, imitating = draws.lookalike(Pattern.PRINT)
        there = occurs(draws, own, 0.35)
        row, step, size, start = (float(q) for q in own.random(4))
        dot = plain("pit", 0.0, 0.0, mix(7, 12, size) * draws.px, 0.0, 0.9, own)
        look = look_of("gsp", draws, imitating)
        if not there:
            return
        x, y = self._body_spot(0, *imitating.random(2))
        tight = spacing(look.at(0.0, 0.0, 0.0), 0.0) / self.assembly.parts[0].pose.unit
        step = float(mix(0.5, 0.9, step) ** (1 - draws.match) * tight**draws.match)
        row, start = mix(mix(-0.3, 0.3, row), x, draws.match), mix(mix(1.5, 4.0, start), y, draws.match)
        for k, part in enumerate(self.assembly.parts):
            for j in range(6):
                px, py = part.pose.image(row, start + j * step)
                defect = look.at(px, py, part.pose.turn)
                imitation = Imitation("gsp", "print")
                press(self.assembly, k, replace(dot, x=px, y=py), defect, draws.match, imitation)

    def _glints(self, draws: Draws) -> None:
        """Glint of the end face where it faces the light; matched, a notch between two halves of it."""
        own, imitating = draws.lookalike(Pattern.GLINT)
        there = occurs(draws, own, 0.6)
        way = float(np.arctan2(draws.light.y, draws.light.x))
        for k, part in enumerate(self.assembly.parts):
            look = look_of("gkf", draws, imitating)
            if not there:
                continue
            angle = way - part.pose.turn
            near = part.pose.window(1.1, -self.tilt - 0.1, self.tilt + 0.1, part.window)
            x, y = part.pose.local(near)
            gx, gy = float(np.cos(angle)) * (1 - self.wall / 2), float(np.sin(angle)) * self.tilt
            spot = shapes.ellipse(x - np.float32(gx), y - np.float32(gy), 0.14, 0.07)
            mark = look.at(*part.pose.image(*self._on_rim(angle)), part.pose.turn)
            facing = x * float(np.cos(angle)) + y * (float(np.sin(angle)) / self.tilt)
            rim = shapes.ridge(shapes.ellipse(x, y, 0.97, 0.97 * self.tilt), 0.05) * (facing > 0.6)
            with self.assembly.editing(k, near, Imitation("gkf", "glint", "line")) as fields:
                bright = (1 - draws.match) * shapes.coverage(spot, 2 / part.pose.unit)
                fields.albedo += 0.75 * (bright + draws.match * broken(rim, near, [mark], 1.0))
            press(self.assembly, k, None, mark, draws.match, Imitation("gkf", "glint"))

    def _tray(self, draws: Draws, centre: Pose, pitch: float, along: float) -> None:
        """Bubbles of the tray, between the tubes."""
        own, imitating = draws.lookalike(Pattern.TRAY)
        for _ in range(number(draws, own, 4.0)):
            gap, place, size, strength = (float(q) for q in own.random(4))
            count = len(self.assembly.parts)
            x, y = centre.image((int(gap * (count + 1)) - count / 2) * pitch, (place - 0.5) * along)
            bubble = plain("pit", x, y, mix(7, 15, size) * draws.px, 0.0, mix(0.6, 1.2, strength), own)
            defect = look_of("gsp", draws, imitating).at(x, y, 0.0)
            press(self.assembly, None, bubble, defect, draws.match, Imitation("gsp", "off"))

    def _on_rim(self, angle: float) -> tuple[float, float]:
        return 0.97 * float(np.cos(angle)), 0.97 * self.tilt * float(np.sin(angle))

    def _body_spot(self, k: int, u: float, v: float) -> tuple[float, float]:
        """The place u across and v along (0..1) the body of tube k, within the picture, in the tube's own."""
        part = self.assembly.parts[k]
        visible = min(self.length - 0.6, 0.93 * max(part.window.shape) / part.pose.unit - 0.3)
        return (2 * float(u) - 1) * 0.62, 0.8 + float(v) * max(visible - 0.8, 0.5)

    def site(self, name: str, rng: Generator) -> Site:
        """Body or rim of one tube, within the picture."""
        k = int(rng.random() * len(self.assembly.parts))
        if name == "gkf":
            x, y = self._on_rim(2 * np.pi * float(rng.random()))
        else:
            x, y = self._body_spot(k, *rng.random(2))
        pose = self.assembly.parts[k].pose
        return Site(k, *pose.image(x, y), pose.turn)
