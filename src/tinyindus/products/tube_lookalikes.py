"""Look-alikes of a tube's defects: wall highlights, print dots, glints of the rim, bubbles of the tray."""

from dataclasses import dataclass, replace

import numpy as np

from tinyindus import shapes
from tinyindus.fields import Pose
from tinyindus.lookalikes import (
    Pattern,
    broken,
    look_of,
    mix,
    number,
    occurs,
    plain,
    press,
    spacing,
)
from tinyindus.parts import Assembly, Draws, Imitation
from tinyindus.products.pipe import Pipe


@dataclass(frozen=True)
class TubeLookalikes:
    """The look-alikes on or between tubes of one shape."""

    assembly: Assembly
    pipe: Pipe

    def add(self, draws: Draws, centre: Pose, pitch: float, along: float) -> None:
        """Draw all look-alikes.

        `centre` is the pose of the rack's centre, with the rotation of the tubes; `pitch` and `along` are in
        pixels.
        """
        self._edges(draws)
        self._prints(draws)
        self._glints(draws)
        self._tray(draws, centre, pitch, along)

    def _edges(self, draws: Draws) -> None:
        """Draw highlights of the inner wall: lines parallel to the edge over the full length."""
        own, imitating = draws.lookalike(Pattern.EDGE)
        there = occurs(draws, own, 0.4)
        place, lift = mix(0.5, 0.85, float(own.random())), mix(0.1, 0.3, float(own.random()))
        place = mix(place * (1 - self.pipe.wall), (2 * float(imitating.random()) - 1) * 0.62, draws.match)
        for k, part in enumerate(self.assembly.parts):
            looks = [look_of("gsf", draws, imitating) for _ in range(2)]
            along = float(imitating.random())
            if not there:
                continue
            spots = [(place, self.pipe.on_body(part, 0.0, v)[1]) for v in (along, (along + 0.5) % 1.0)]
            marks = [
                look.at(*part.pose.image(*spot), part.pose.turn)
                for look, spot in zip(looks, spots, strict=True)
            ]
            x, y = part.pose.local(part.window)
            line = shapes.ridge(x - np.float32(place), 0.022) * (y > 0.25)
            broken(line, part.window, marks, draws.match)
            with self.assembly.editing(k, part.window, Imitation("gsf", "edge", "line")) as fields:
                fields.albedo += mix(lift, 0.4, draws.match) * line
            for mark in marks:
                press(self.assembly, k, None, mark, draws.match, Imitation("gsf", "edge"))

    def _prints(self, draws: Draws) -> None:
        """Draw printed dots: a regular row that is the same on all tubes."""
        own, imitating = draws.lookalike(Pattern.PRINT)
        there = occurs(draws, own, 0.35)
        row, step, size, start = (float(q) for q in own.random(4))
        dot = plain("pit", 0.0, 0.0, mix(7, 12, size) * draws.px, 0.0, 0.9, own)
        look = look_of("gsp", draws, imitating)
        if not there:
            return
        first = self.assembly.parts[0]
        x, y = self.pipe.on_body(first, *imitating.random(2))
        tight = spacing(look.at(0.0, 0.0, 0.0), 0.0) / first.pose.unit
        step = float(mix(0.5, 0.9, step) ** (1 - draws.match) * tight**draws.match)
        row, start = mix(mix(-0.3, 0.3, row), x, draws.match), mix(mix(1.5, 4.0, start), y, draws.match)
        for k, part in enumerate(self.assembly.parts):
            for j in range(6):
                px, py = part.pose.image(row, start + j * step)
                defect = look.at(px, py, part.pose.turn)
                imitation = Imitation("gsp", "print")
                press(self.assembly, k, replace(dot, x=px, y=py), defect, draws.match, imitation)

    def _glints(self, draws: Draws) -> None:
        """Draw a glint where the end face faces the light; at match 1, a notch between its two halves."""
        own, imitating = draws.lookalike(Pattern.GLINT)
        there = occurs(draws, own, 0.6)
        way = float(np.arctan2(draws.light.y, draws.light.x))
        for k, part in enumerate(self.assembly.parts):
            look = look_of("gkf", draws, imitating)
            if not there:
                continue
            angle = way - part.pose.turn
            near = part.pose.window(1.1, -self.pipe.tilt - 0.1, self.pipe.tilt + 0.1, part.window)
            x, y = part.pose.local(near)
            gx, gy = float(np.cos(angle)) * (1 - self.pipe.wall / 2), float(np.sin(angle)) * self.pipe.tilt
            spot = shapes.ellipse(x - np.float32(gx), y - np.float32(gy), 0.14, 0.07)
            mark = look.at(*part.pose.image(*self.pipe.on_rim(angle)), part.pose.turn)
            facing = x * float(np.cos(angle)) + y * (float(np.sin(angle)) / self.pipe.tilt)
            rim = shapes.ridge(shapes.ellipse(x, y, 0.97, 0.97 * self.pipe.tilt), 0.05) * (facing > 0.6)
            with self.assembly.editing(k, near, Imitation("gkf", "glint", "line")) as fields:
                bright = (1 - draws.match) * shapes.coverage(spot, 2 / part.pose.unit)
                fields.albedo += 0.75 * (bright + draws.match * broken(rim, near, [mark], 1.0))
            press(self.assembly, k, None, mark, draws.match, Imitation("gkf", "glint"))

    def _tray(self, draws: Draws, centre: Pose, pitch: float, along: float) -> None:
        """Draw bubbles of the tray between the tubes."""
        own, imitating = draws.lookalike(Pattern.TRAY)
        for _ in range(number(draws, own, 4.0)):
            gap, place, size, strength = (float(q) for q in own.random(4))
            count = len(self.assembly.parts)
            x, y = centre.image((int(gap * (count + 1)) - count / 2) * pitch, (place - 0.5) * along)
            bubble = plain("pit", x, y, mix(7, 15, size) * draws.px, 0.0, mix(0.6, 1.2, strength), own)
            defect = look_of("gsp", draws, imitating).at(x, y, 0.0)
            press(self.assembly, None, bubble, defect, draws.match, Imitation("gsp", "off"))
