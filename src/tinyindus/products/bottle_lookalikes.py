"""Look-alikes of a bottle's defects: seams, graduations, rings, and bands across the silhouettes."""

from dataclasses import dataclass

import numpy as np

from tinyindus import shapes
from tinyindus.lookalikes import (
    Pattern,
    broken,
    look_of,
    mix,
    occurs,
    press,
    spacing,
    tick,
)
from tinyindus.marks import Mark
from tinyindus.parts import Assembly, Draws, Imitation
from tinyindus.products.vial import Vial, near


@dataclass(frozen=True)
class BottleLookalikes:
    """The look-alikes on or behind bottles of one shape."""

    assembly: Assembly
    vial: Vial

    def add(self, draws: Draws) -> None:
        """Draw all look-alikes."""
        self._seams(draws)
        self._graduations(draws)
        self._rings(draws)
        self._band(draws)

    def _seams(self, draws: Draws) -> None:
        """Draw a mould seam: a line along the axis over the full length, at one angle of the surface."""
        own, imitating = draws.lookalike(Pattern.SEAM)
        there = occurs(draws, own, 0.4)
        for k, part in enumerate(self.assembly.parts):
            place, strength = mix(-0.9, 0.9, float(own.random())), mix(0.5, 1.0, float(own.random()))
            u, v, w = (float(q) for q in imitating.random(3))
            spots = [
                self.vial.spot("xjf", u, v),
                self.vial.spot("xsf", u, w),
                self.vial.spot("xsf", u, (w + 0.5) % 1.0),
            ]
            looks = [look_of(name, draws, imitating) for name in ("xjf", "xsf", "xsf")]
            if not there:
                continue
            place = mix(place, spots[0][0] / self.vial.radius(spots[0][1]), draws.match)
            at = [part.pose.image(place * self.vial.radius(y), y) for _, y, _ in spots]
            marks = [look.at(*xy, part.pose.turn) for look, xy in zip(looks, at, strict=True)]
            self._seam(k, place, mix(strength, 1.4, draws.match), marks, draws.match)
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
        """Draw graduation marks: a regular row along the body, in which every fifth mark is longer."""
        own, imitating = draws.lookalike(Pattern.ROW)
        there = occurs(draws, own, 0.35)
        look = look_of("xsf", draws, imitating)
        first, last = self.vial.shoulder_to + 0.35, self.vial.height - 0.35
        for k, part in enumerate(self.assembly.parts):
            x, pitch = mix(-0.55, 0.1, float(own.random())), mix(0.16, 0.3, float(own.random()))
            sx, sy, _ = self.vial.spot("xsf", *imitating.random(2))
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
        """Draw concentric refraction rings of the bottom."""
        own, imitating = draws.lookalike(Pattern.RING)
        there, count = occurs(draws, own, 0.4), 1 + int(3 * own.random())
        for k, part in enumerate(self.assembly.parts):
            looks = [look_of("xdf", draws, imitating) for _ in range(2)]
            u = float(imitating.random())
            draft = [(float(own.random()), float(own.random())) for _ in range(3)]
            if not there:
                continue
            marks = []
            for look, place in zip(looks, (u, (u + 0.5) % 1.0), strict=True):
                x, y, turn = self.vial.spot("xdf", place, 0.0)
                marks.append(look.at(*part.pose.image(x, y), part.pose.turn + turn))
            for ring, (inward, depth) in enumerate(draft[:count]):
                radius = mix(0.93 - 0.21 * (ring + mix(0.6, 1.0, inward)), 0.84 - 0.21 * ring, draws.match)
                self._ring(k, radius, mix(mix(0.02, 0.05, depth), 0.06, draws.match), marks, draws.match)
            for mark in marks:
                press(self.assembly, k, None, mark, draws.match, Imitation("xdf", "ring"))

    def _ring(self, k: int, radius: float, depth: float, marks: list[Mark], match: float) -> None:
        part = self.assembly.parts[k]
        around = near(part.window, part.pose, self.vial.height, radius * self.vial.tilt + 0.1)
        x, y = part.pose.local(around)
        ring = shapes.ellipse(x, y - np.float32(self.vial.height), radius, radius * self.vial.tilt)
        line = broken(shapes.ridge(ring, 0.03), around, marks, match)
        with self.assembly.editing(k, around, Imitation("xdf", "ring", "line")) as fields:
            fields.thickness += depth * line
            fields.albedo += 0.35 * match * line**6  # thin and bright, to stay visible on the dark bottom

    def _band(self, draws: Draws) -> None:
        """Draw a shadow or clear label across the silhouettes.

        At match 1 it becomes a row of stains that extends beyond the glass.
        """
        own, imitating = draws.lookalike(Pattern.BAND)
        there = occurs(draws, own, 0.35)
        turn, place, half, dark = (float(q) for q in own.random(4))
        look = look_of("xsd", draws, imitating)
        site = self.vial.site("xsd", self.assembly, imitating)
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
        for j in range(-7, 8):
            mark = look.at(
                site.x + j * step * float(np.cos(turn)), site.y - j * step * float(np.sin(turn)), site.turn
            )
            if 0 <= mark.x < draws.window.right and 0 <= mark.y < draws.window.bottom:
                imitation = Imitation("xsd", "band" if self._on_body(mark.x, mark.y) else "off")
                press(self.assembly, None, None, mark, draws.match, imitation)

    def _on_body(self, x: float, y: float) -> bool:
        """Return True if a point of the picture is in the region of a body where defects may occur."""
        for part in self.assembly.parts:
            px, py = part.pose.own(x, y)
            if abs(px) < 0.72 and self.vial.shoulder_to + 0.1 < py < self.vial.height - 0.3:
                return True
        return False
