"""Medicinal glass tubes side by side in a rack, with their mouths in view."""

import numpy as np
from numpy.random import Generator

from tinyindus import shapes
from tinyindus.fields import Pose
from tinyindus.light import Material
from tinyindus.lookalikes import scatter_dust
from tinyindus.parts import Assembly, Draws, Part, Site
from tinyindus.products.pipe import Pipe, glass
from tinyindus.products.tube_lookalikes import TubeLookalikes
from tinyindus.texture import clouds

TINTS = ((0.14, 0.05, 0.08), (0.09, 0.06, 0.05), (0.30, 0.75, 2.2))


class Tubes:
    """A picture of 4 to 8 tubes of one kind."""

    def __init__(self, draws: Draws) -> None:
        height, width = draws.window.shape
        count = int(draws.product.integers(4, 9))
        wall = float(draws.product.uniform(0.10, 0.22))
        tilt = float(draws.product.uniform(0.16, 0.36))
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
        self.pipe = Pipe(wall, tilt, float(draws.product.uniform(0.72, 1.5)) * along / unit)
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
            window = self.pipe.window(pose, draws.window)
            self.assembly.parts.append(Part(window, pose, material, glass(window, pose, self.pipe)))
        scatter_dust(self.assembly, draws)
        TubeLookalikes(self.assembly, self.pipe).add(draws, centre, pitch, along)

    def _rack(self, draws: Draws, centre: Pose, along: float) -> None:
        """Draw two bars of the rack across the tubes, and the faint grain of a diffuser."""
        _, y = centre.local(draws.window)
        ground = self.assembly.ground
        bars = draws.nuisance.uniform(-0.42, 0.42, 2) * along
        half = float(draws.nuisance.uniform(0.015, 0.05)) * along
        dark = float(draws.nuisance.uniform(0.10, 0.45))
        for bar in bars:
            ground.density += dark * shapes.soft(np.abs(y - np.float32(bar)) - half, 2.5 * draws.px)
        ground.density += 0.012 * clouds(draws.nuisance, draws.window.shape, (60, 60))

    def _shadow(self, draws: Draws, pose: Pose) -> None:
        """Draw the soft dark contact area of a tube on the rack."""
        window = self.pipe.window(Pose(pose.x, pose.y, pose.turn, pose.unit * 1.25), draws.window)
        x, y = pose.local(window)
        half = 0.5 * self.pipe.length
        seat = shapes.box(x, y - np.float32(half), 1.0, half + self.pipe.tilt, 0.2)
        self.assembly.ground.density[window.slices()] += 0.22 * shapes.soft(seat, 0.22)

    def site(self, name: str, rng: Generator) -> Site:
        """Draw a random site on the body or rim of a tube, inside the picture."""
        k = int(rng.random() * len(self.assembly.parts))
        if name == "gkf":
            x, y = self.pipe.on_rim(2 * np.pi * float(rng.random()))
        else:
            x, y = self.pipe.on_body(self.assembly.parts[k], *rng.random(2))
        pose = self.assembly.parts[k].pose
        return Site(k, *pose.image(x, y), pose.turn)
