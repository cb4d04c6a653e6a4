"""What a defect looks like, wherever it sits; and how far a look-alike's mark comes to look like it.

Defects and look-alikes draw their looks here, by the same code and from the same distributions: at match 1 a
single mark cannot be distinguished from a defect, and its surroundings must be looked at.
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
    """Of the outline, picture pixels."""
    turn: float
    """Radians, from the direction of its place."""
    strength: float
    shape: NDArray[np.float64]

    def at(self, x: float, y: float, turn: float) -> Mark:
        """The mark at a point of the picture whose direction is `turn`."""
        return Mark(self.primitive, x, y, self.side, turn + self.turn, self.strength, self.shape)


def draw_look(label: int, dials: Dials, px: float, rng: Generator) -> Look:
    """The look of a defect of class `label`; `px` is picture pixels per pixel at an image size of 640.

    Always the same draws, whatever the dials: side and contrast enter after them.
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
    """A look-alike's own mark (None: it has none) on its way to a defect's, at the place of `own`.

    Of one primitive, they melt into each other; of two, one fades out while the other fades in.
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
