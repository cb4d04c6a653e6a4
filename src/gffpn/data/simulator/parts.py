"""What a product hands to the scene: its ground, its parts, and where each defect may sit."""

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.random import Generator

from gffpn.data.simulator.dials import Dials
from gffpn.data.simulator.fields import Fields, Pose, Window
from gffpn.data.simulator.light import Light, Material
from gffpn.data.simulator.marks import NOMINAL, SHAPE_DRAWS, Mark, apply


@dataclass
class Part:
    """One piece of a product in its window."""

    window: Window
    pose: Pose
    material: Material
    fields: Fields


class Site(NamedTuple):
    """A place for a defect."""

    part: int
    x: float
    y: float
    """Pixels of the picture."""
    turn: float
    """Radians on the picture."""
    primitive: str


@dataclass(frozen=True)
class Draws:
    """What a product is built from: the picture's size, its light, and one generator a cause."""

    window: Window
    light: Light
    dials: Dials
    product: Generator
    nuisance: Generator
    lookalike: Generator

    @property
    def px(self) -> float:
        """Picture pixels per pixel at an image size of 640."""
        return min(self.window.shape) / 640

    def occurs(self, share: float) -> bool:
        """Whether a look-alike that occurs in `share` of the pictures at density 1 is in this one."""
        return bool(self.lookalike.random() < share * self.dials.lookalike_density)

    def mark(self, primitive: str, x: float, y: float, side: float, turn: float, strength: float) -> Mark:
        """A look-alike mark at a place of the picture; `side` in pixels at 640."""
        shape = self.lookalike.random(SHAPE_DRAWS)
        return Mark(primitive, x, y, side * self.px, turn, NOMINAL * strength, shape)

    def tick(self, x: float, y: float, side: float, turn: float) -> Mark:
        """A straight stroke, one of a printed or moulded row."""
        return Mark("scratch", x, y, side * self.px, turn, NOMINAL, np.full(SHAPE_DRAWS, 0.5))


@dataclass
class Assembly:
    """A product in its tray, before light."""

    ground: Fields
    ground_colour: tuple[float, float, float]
    parts: list[Part] = field(default_factory=list)


class Product(Protocol):
    """One of the four products, posed for one picture."""

    assembly: Assembly

    def site(self, name: str, rng: Generator) -> Site:
        """A place for a defect of class `name`; always the same number of draws for a class."""
        ...


def put(part: Part, mark: Mark) -> None:
    """Apply a look-alike to a part."""
    window = mark.window(part.window)
    apply(part.fields.view(window.slices(part.window)), window, mark, part.pose.unit)


def put_on_ground(ground: Fields, bounds: Window, mark: Mark) -> None:
    """Apply a look-alike to the tray, whose unit is one pixel."""
    window = mark.window(bounds)
    apply(ground.view(window.slices()), window, mark, 1.0)


def scatter_dust(ground: Fields, draws: Draws) -> None:
    """Grains and fibres on the tray."""
    height, width = draws.window.shape
    for _ in range(draws.lookalike.poisson(5.0 * draws.dials.lookalike_density)):
        x, y = draws.lookalike.uniform(0, width), draws.lookalike.uniform(0, height)
        side = float(draws.lookalike.uniform(4, 13))
        turn, strength = draws.lookalike.uniform(0, 3.14), draws.lookalike.uniform(0.3, 1.0)
        put_on_ground(ground, draws.window, draws.mark("fibre", x, y, side, turn, strength))
