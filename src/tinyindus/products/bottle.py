"""Medicinal glass bottles in front of a backlight, seen from slightly above."""

import numpy as np
from numpy.random import Generator

from tinyindus import shapes
from tinyindus.fields import Fields, Pose
from tinyindus.light import Material
from tinyindus.lookalikes import scatter_dust
from tinyindus.parts import Assembly, Draws, Part, Site
from tinyindus.products.bottle_lookalikes import BottleLookalikes
from tinyindus.products.vial import Vial, glass
from tinyindus.texture import clouds

TINTS = (
    (0.16, 0.05, 0.09),
    (0.10, 0.06, 0.06),
    (0.22, 0.10, 0.05),
    (0.50, 1.20, 3.40),
)
"""Clear glass (with green, grey and bluish edges) and amber glass."""


class Bottles:
    """A picture of 1 to 3 bottles of one kind."""

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
            fields = glass(window, pose, self.vial)
            self.assembly.parts.append(Part(window, pose, material, fields))
        scatter_dust(self.assembly, draws)
        BottleLookalikes(self.assembly, self.vial).add(draws)

    def _table(self, ground: Fields, draws: Draws, floor: float, unit: float) -> None:
        """Draw the edge of the table that the bottles stand on, and their soft shadow on it."""
        _, y = draws.window.centres()
        edge = floor - draws.nuisance.uniform(0.0, 0.5) * unit
        dark = float(draws.nuisance.uniform(0.15, 0.55))
        below = shapes.soft(np.float32(edge) - y, 6 * draws.px)
        ground.density += dark * below
        ground.density += 0.05 * below * clouds(draws.nuisance, draws.window.shape, (40, 12))
        ground.density += 0.35 * shapes.ridge(
            y - np.float32(floor + 0.2 * self.vial.tilt * unit), 0.12 * unit
        )

    def site(self, name: str, rng: Generator) -> Site:
        """Draw a random site on one of the bottles."""
        return self.vial.site(name, self.assembly, rng)
