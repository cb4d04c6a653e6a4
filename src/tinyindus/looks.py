"""The looks of defects, independent of their place, and of look-alikes that match them to a given degree.

The same code draws the looks of defects and look-alikes, from the same distributions. At match 1, therefore,
a single mark cannot be distinguished from a defect without looking at its surroundings.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.special import ndtri

from tinyindus.classes import CLASSES, LENS_BLEED, SIDE_SPREAD
from tinyindus.dials import Dials
from tinyindus.marks import NOMINAL, SHAPE_DRAWS, Mark


@dataclass(frozen=True)
class Look:
    """A mark without a place."""

    primitive: str
    side: float
    """sqrt(width * height) of the outline's box, picture pixels."""
    turn: float
    """Direction relative to that of the site, radians."""
    strength: float
    shape: NDArray[np.float64]

    def at(self, x: float, y: float, turn: float) -> Mark:
        """Return the mark at a point of the picture where the site's direction is `turn` (radians)."""
        return Mark(self.primitive, x, y, self.side, turn + self.turn, self.strength, self.shape)


def draw_look(label: int, dials: Dials, px: float, rng: Generator) -> Look:
    """Draw the look of a defect of class `label`; `px` is picture pixels per pixel at an image size of 640.

    The draws are the same for all dials, as side and contrast are applied afterwards.
    """
    kind = CLASSES[label]
    u, wander, which, direction = (float(q) for q in rng.random(4))
    shape = rng.random(SHAPE_DRAWS)
    form = kind.form(which)
    if dials.side_range is None:
        side = kind.side * float(np.exp(SIDE_SPREAD * ndtri(min(max(u, 1e-3), 1 - 1e-3))))
    else:
        low, high = dials.side_range
        side = low * (high / low) ** u
    side *= dials.side_scale
    strength = NOMINAL * dials.contrast * (0.75 + 0.5 * wander)
    if dials.size_mode == "energy":
        strength *= kind.side / side
    outline = max((side - kind.bleed) * px - LENS_BLEED, 0.45 * side * px)
    turn = float(np.pi * (form.turn + form.spread * (direction - 0.5)))
    return Look(form.primitive, outline, turn, strength, shape)


def blend(own: Mark | None, defect: Mark, match: float) -> list[Mark]:
    """Blend a look-alike's own mark (None: it has none) with a defect's, at the place of `own`.

    Two marks of the same primitive are interpolated; of different primitives, one fades out as the other
    fades in.
    """
    if match == 0.0:
        return [] if own is None else [own]
    if own is None or match == 1.0:
        return [replace(defect, strength=match * defect.strength)]
    if own.primitive != defect.primitive:
        return [
            replace(own, strength=(1 - match) * own.strength),
            replace(defect, strength=match * defect.strength),
        ]
    half_turns = (defect.turn - own.turn) / np.pi
    return [
        Mark(
            primitive=own.primitive,
            x=own.x,
            y=own.y,
            side=float(own.side ** (1 - match) * defect.side**match),
            turn=own.turn + match * float(np.pi * (half_turns - np.round(half_turns))),
            strength=(1 - match) * own.strength + match * defect.strength,
            shape=(1 - match) * own.shape + match * defect.shape,
        )
    ]
