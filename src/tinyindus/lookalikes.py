"""Harmless look-alikes of the defects: patterns of marks, each given away by its surroundings.

A pattern is a rule of place: a seam that runs the bottle's full length, a regular row, a lattice. At match 0
its marks have a form of their own, or it is a bare line. At match 1 each mark is drawn as the defect that
it imitates, at a place where that defect may sit, and a line is broken around its marks: a crop of the mark
alone shows what a crop of the defect shows.
"""

from enum import IntEnum

import numpy as np
from numpy.random import Generator

from tinyindus import shapes
from tinyindus.classes import CLASS_NAMES, LENS_BLEED
from tinyindus.fields import Window
from tinyindus.looks import Look, blend, draw_look
from tinyindus.marks import NOMINAL, SHAPE_DRAWS, Mark
from tinyindus.parts import Assembly, Draws, Imitation
from tinyindus.shapes import Array

GROUND_UNIT = 3.0
"""A mark of the same depth shows this much more in the ground than in glass, which bends light but little."""


class Pattern(IntEnum):
    """Each pattern has a generator of its own. Values are part of the data: append, never renumber."""

    MATCH = 0
    DUST = 1
    SEAM = 2
    ROW = 3
    RING = 4
    BAND = 5
    EDGE = 6
    PRINT = 7
    GLINT = 8
    TRAY = 9
    LAMP = 10
    FOLD = 11
    GRIP = 12


def mix(own: float, defect: float, match: float) -> float:
    """A look-alike's own value on its way to a defect's."""
    return (1.0 - match) * own + match * defect


def plain(
    primitive: str, x: float, y: float, side: float, turn: float, strength: float, rng: Generator
) -> Mark:
    """A mark of a look-alike's own form; `side` in picture pixels."""
    return Mark(primitive, x, y, side, turn, NOMINAL * strength, rng.random(SHAPE_DRAWS))


def tick(x: float, y: float, side: float, turn: float) -> Mark:
    """A straight stroke, one of a printed or moulded row; `side` in picture pixels."""
    return Mark("scratch", x, y, side, turn, NOMINAL, np.full(SHAPE_DRAWS, 0.5))


def occurs(draws: Draws, rng: Generator, share: float) -> bool:
    """Whether a pattern that occurs in `share` of the pictures at density 1 is in this one."""
    return bool(rng.random() < share * draws.dials.lookalike_density)


def number(draws: Draws, rng: Generator, mean: float) -> int:
    """How many there are of a pattern of which there are `mean` in a picture at density 1."""
    mean *= draws.dials.lookalike_density
    u, count, share = float(rng.random()), 0, float(np.exp(-mean))
    while u > share and count < 99:  # Poisson by inversion: one draw, so that no other shifts
        u -= share
        count += 1
        share *= mean / count
    return count


def look_of(name: str, draws: Draws, rng: Generator) -> Look:
    """The look of one more defect of class `name`."""
    return draw_look(CLASS_NAMES.index(name), draws.imitated, draws.px, rng)


def spacing(mark: Mark, way: float) -> float:
    """Pixels between neighbours of a row along `way` (radians): clear of, and in view of, each other."""
    return 1.45 * (mark.extent(way) + LENS_BLEED) + 2.0


def press(
    assembly: Assembly,
    part: int | None,
    own: Mark | None,
    defect: Mark,
    match: float,
    imitation: Imitation,
) -> None:
    """Apply one mark of a pattern to a part, or to the ground."""
    for mark in blend(own, defect, match):
        assembly.press(part, mark, imitation, mix(1.0, GROUND_UNIT, match))


def broken(line: Array, window: Window, marks: list[Mark], match: float) -> Array:
    """A line's strength (h, w) over `window`, in place: taken away around its marks as far as they match."""
    for mark in marks if match else []:
        radius = 0.5 * mark.extent() + 0.25 * mark.side + 2.0
        edge = max(1.5, 0.25 * radius)
        if not (window.left - radius < mark.x < window.right + radius):
            continue
        if not (window.top - radius < mark.y < window.bottom + radius):
            continue
        around = Window.around(mark.x, mark.y, radius + edge, radius + edge, window)
        x, y = around.centres()
        gap = shapes.soft(np.hypot(x - np.float32(mark.x), y - np.float32(mark.y)) - radius, edge)
        line[around.slices(window)] *= 1.0 - match * gap
    return line


def scatter_dust(assembly: Assembly, draws: Draws, against: str | None = None) -> None:
    """Grains and fibres on the tray. With `against`, they imitate that class, but for those under a part."""
    own, imitating = draws.lookalike(Pattern.DUST)
    height, width = draws.window.shape
    for _ in range(number(draws, own, 5.0)):
        u, v, size, turn, strength = (float(q) for q in own.random(5))
        x, y, side = u * width, v * height, (4 + 9 * size) * draws.px
        grain = plain("fibre", x, y, side, np.pi * turn, 0.3 + 0.7 * strength, own)
        covered = any(
            np.hypot(x - p.pose.x, y - p.pose.y) < 1.2 * p.pose.unit + 2 * side for p in assembly.parts
        )
        if against is None:
            assembly.press(None, grain, None, 1.0)
            continue
        look = look_of(against, draws, imitating)
        if covered:
            assembly.press(None, grain, None, 1.0)
        else:
            press(assembly, None, grain, look.at(x, y, 0.0), draws.match, Imitation(against, "off"))
