"""Harmless look-alikes of the defects: patterns of marks that their surroundings identify as harmless.

A pattern is a rule of placement, such as a seam along the full length of a bottle, a regular row or a
lattice. At match 0, its marks have their own form, or it is just a line. At match 1, each mark is drawn like
the defect that it imitates, at a place where that defect may occur, and a line is interrupted around its
marks, so that a crop of the mark alone looks like a crop of the defect.
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
"""Factor by which the same depth shows more in the ground than in glass, which deflects little light."""


class Pattern(IntEnum):
    """The patterns, each with its own generators. The values determine the data: append, never renumber."""

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
    """Interpolate from a look-alike's own value (match 0) to a defect's (match 1)."""
    return (1.0 - match) * own + match * defect


def plain(
    primitive: str, x: float, y: float, side: float, turn: float, strength: float, rng: Generator
) -> Mark:
    """Return a mark of a look-alike's own form; `side` is in picture pixels."""
    return Mark(primitive, x, y, side, turn, NOMINAL * strength, rng.random(SHAPE_DRAWS))


def tick(x: float, y: float, side: float, turn: float) -> Mark:
    """Return a straight stroke of a printed or moulded row; `side` is in picture pixels."""
    return Mark("scratch", x, y, side, turn, NOMINAL, np.full(SHAPE_DRAWS, 0.5))


def occurs(draws: Draws, rng: Generator, share: float) -> bool:
    """Decide at random whether a picture has a pattern that `share` of the pictures have at density 1."""
    return bool(rng.random() < share * draws.dials.lookalike_density)


def number(draws: Draws, rng: Generator, mean: float) -> int:
    """Draw how often a pattern occurs in a picture, given its `mean` number per picture at density 1."""
    mean *= draws.dials.lookalike_density
    u, count, share = float(rng.random()), 0, float(np.exp(-mean))
    while u > share and count < 99:  # Poisson by inversion: one draw, so that no other draw shifts
        u -= share
        count += 1
        share *= mean / count
    return count


def look_of(name: str, draws: Draws, rng: Generator) -> Look:
    """Draw the look of a defect of class `name`."""
    return draw_look(CLASS_NAMES.index(name), draws.imitated, draws.px, rng)


def spacing(mark: Mark, way: float) -> float:
    """Return the spacing of a row along `way` (radians), in pixels: neighbours are separate but in view."""
    return 1.45 * (mark.extent(way) + LENS_BLEED) + 2.0


def press(
    assembly: Assembly,
    part: int | None,
    own: Mark | None,
    defect: Mark,
    match: float,
    imitation: Imitation,
) -> None:
    """Apply one mark of a pattern to a part, or to the ground if `part` is None."""
    for mark in blend(own, defect, match):
        assembly.press(part, mark, imitation, mix(1.0, GROUND_UNIT, match))


def broken(line: Array, window: Window, marks: list[Mark], match: float) -> Array:
    """Interrupt a line around its marks to the degree `match`, in place; `line` (h, w) is its strength."""
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
    """Scatter grains and fibres on the tray.

    With `against`, they imitate that class, except for those covered by a part.
    """
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
