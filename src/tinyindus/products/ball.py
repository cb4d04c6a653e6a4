"""Glass balls in the wells of a tray."""

from dataclasses import replace

import numpy as np
from numpy.random import Generator

from tinyindus import shapes
from tinyindus.fields import Fields, Pose, Window
from tinyindus.light import Material
from tinyindus.lookalikes import Pattern, look_of, occurs, plain, press, scatter_dust, spacing
from tinyindus.marks import Mark
from tinyindus.parts import Assembly, Draws, Imitation, Part, Site
from tinyindus.shapes import Array
from tinyindus.texture import clouds

TINTS = (
    (0.020, 0.008, 0.012),
    (0.030, 0.020, 0.010),
    (0.16, 0.05, 0.12),
    (0.20, 0.10, 0.03),
    (0.06, 0.11, 0.24),
)


def _glass(x: Array, y: Array, px: float) -> Fields:
    r2 = x * x + y * y
    z = np.sqrt(np.maximum(1.0 - r2, 0.0))
    cover = shapes.coverage(np.sqrt(r2) - 1.0, px)
    return Fields(cover, 2.0 * z, z.copy(), np.zeros_like(z), np.zeros_like(z))


def _lattice(count: int, width: int, height: int) -> tuple[list[tuple[float, float]], float]:
    """Return at least `count` places of a staggered lattice over the picture, and its pitch in pixels."""
    pitch = float(np.sqrt(width * height / count))
    while True:
        rows, columns = int(height / (0.9 * pitch)), int(width / pitch - 0.25)
        if rows * columns >= count:
            break
        pitch *= 0.98
    top, left = (height - (rows - 1) * 0.9 * pitch) / 2, (width - (columns - 0.5) * pitch) / 2
    places = [
        (left + (c + 0.5 * (r % 2)) * pitch, top + r * 0.9 * pitch)
        for r in range(rows)
        for c in range(columns)
    ]
    return places, pitch


class Balls:
    """A picture of 6 to 20 balls of one kind."""

    def __init__(self, draws: Draws) -> None:
        height, width = draws.window.shape
        count = int(draws.product.integers(6, 21))
        tint = np.array(TINTS[int(draws.product.choice(5, p=[0.4, 0.2, 0.15, 0.12, 0.13]))])
        tint = tint * draws.nuisance.uniform(0.7, 1.3)
        material = Material(
            absorption=(float(tint[0]), float(tint[1]), float(tint[2])), aperture=2.3, gloss=1.1
        )
        shade = float(draws.nuisance.uniform(0.55, 0.95))
        blue = shade * float(draws.nuisance.uniform(0.94, 1.06))
        self.assembly = Assembly.empty(draws, (shade, shade, blue))
        ground = self.assembly.ground
        ground.height += 0.05 * clouds(draws.nuisance, draws.window.shape, (60, 60))
        places, pitch = _lattice(count, width, height)
        unit = pitch * float(draws.nuisance.uniform(0.34, 0.40))
        keep = set(draws.product.permutation(len(places))[:count].tolist())
        for k, (x, y) in enumerate(places):
            self._well(draws, Pose(x, y, 0.0, unit * 1.10))
            if k not in keep:
                continue
            jitter = draws.nuisance.uniform(-0.06, 0.06, 2) * unit
            pose = Pose(
                float(x + jitter[0]),
                float(y + jitter[1]),
                0.0,
                float(unit * draws.nuisance.uniform(0.97, 1.0)),
            )
            self._shadow(draws, pose)
            window = Window.around(pose.x, pose.y, pose.unit + 2, pose.unit + 2, draws.window)
            px, py = pose.local(window)
            self.assembly.parts.append(Part(window, pose, material, _glass(px, py, 1 / pose.unit)))
        scatter_dust(self.assembly, draws, "qp")
        self._lookalikes(draws)

    def _well(self, draws: Draws, pose: Pose) -> None:
        """Draw a dished well of the tray, whose lip catches the light."""
        window = Window.around(pose.x, pose.y, 1.3 * pose.unit, 1.3 * pose.unit, draws.window)
        x, y = pose.local(window)
        lip = np.hypot(x, y) - 1.0
        view = self.assembly.ground.view(window.slices())
        view.height += 0.35 * pose.unit * 0.06 * (shapes.ridge(lip, 0.07) - 0.7 * shapes.soft(lip, 0.25))
        view.density += 0.10 * shapes.soft(lip, 0.05)

    def _shadow(self, draws: Draws, pose: Pose) -> None:
        """Draw the contact shadow of a ball and the light that it focuses behind itself."""
        window = Window.around(pose.x, pose.y, 2.0 * pose.unit, 2.0 * pose.unit, draws.window)
        x, y = pose.local(window)
        lx, ly = np.float32(draws.light.x), np.float32(draws.light.y)
        shadow = shapes.soft(np.hypot(x + 0.22 * lx, y + 0.22 * ly) - 1.0, 0.14)
        focus = shapes.ridge(np.hypot(x + 0.55 * lx, y + 0.55 * ly), 0.32)
        view = self.assembly.ground.view(window.slices())
        view.density += 0.38 * shadow - 0.62 * focus

    def _lookalikes(self, draws: Draws) -> None:
        """Draw reflections of small lamps, alike on all balls; at match 1, of a strip of lamps."""
        own, imitating = draws.lookalike(Pattern.LAMP)
        there, count = occurs(draws, own, 0.4), 1 + int(3 * own.random())
        look = look_of("qp", draws, imitating)
        middle = self._spot(imitating)
        step = spacing(look.at(0.0, 0.0, 0.0), 0.0) / self.assembly.parts[0].pose.unit
        across = float(np.arctan2(middle[1], middle[0]) + 0.5 * np.pi)
        if there and draws.match:
            for part in range(len(self.assembly.parts)):
                self._housing(part, middle, across, step, draws.match)
        for k in range(5):
            way, far, size, strength = (float(q) for q in own.random(4))
            lamp = plain("pit", 0.0, 0.0, (6 + 5 * size) * draws.px, 0.0, 0.7 + 0.5 * strength, own)
            place = (0.15 + 0.6 * far) * np.exp(2j * np.pi * way)
            strip = complex(*middle) + (k - 2) * step * np.exp(1j * across)
            at = (1 - draws.match) * place + draws.match * strip
            if not there or abs(at) > 0.92:
                continue
            # lamps of the strip that are absent at match 0 fade in as the match grows
            for part, ball in enumerate(self.assembly.parts):
                x, y = ball.pose.image(float(at.real), float(at.imag))
                self._lamp(part, replace(lamp, x=x, y=y) if k < count else None, look.at(x, y, 0.0), draws)

    def _housing(self, k: int, middle: tuple[float, float], way: float, step: float, match: float) -> None:
        """Draw the two edges of the strip that holds the lamps."""
        part = self.assembly.parts[k]
        reach = 4.0 * step * part.pose.unit
        window = Window.around(*part.pose.image(*middle), reach, reach, part.window)
        x, y = part.pose.local(window)
        x, y = x - np.float32(middle[0]), y - np.float32(middle[1])
        along, aside = x * np.cos(way) + y * np.sin(way), y * np.cos(way) - x * np.sin(way)
        line = shapes.ridge(np.abs(aside) - 0.85 * step, 0.12 * step)
        line *= shapes.soft(np.abs(along) - 2.6 * step, 0.3 * step)
        with self.assembly.editing(k, window, Imitation("qp", "lamp", "line")) as fields:
            fields.albedo += 0.12 * match * line

    def _lamp(self, part: int, own: Mark | None, defect: Mark, draws: Draws) -> None:
        press(self.assembly, part, own, defect, draws.match, Imitation("qp", "lamp"))

    def _spot(self, rng: Generator) -> tuple[float, float]:
        """Draw a random place on a ball, not at its very edge, in the ball's coordinates."""
        u, v = (float(q) for q in rng.random(2))
        far = 0.80 * float(np.sqrt(u))
        return far * float(np.cos(2 * np.pi * v)), far * float(np.sin(2 * np.pi * v))

    def site(self, name: str, rng: Generator) -> Site:
        """Draw a random site on one of the balls."""
        k = int(rng.random() * len(self.assembly.parts))
        px, py = self.assembly.parts[k].pose.image(*self._spot(rng))
        return Site(k, px, py, 0.0)
