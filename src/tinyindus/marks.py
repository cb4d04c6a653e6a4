"""A mark: one primitive (`primitives.py`) at one place, of a defect or of a look-alike.

A mark's geometry is in pixels around its anchor. Its depth is given by slopes, so that its contrast does not
depend on its side. `shape` holds uniform draws from which a primitive computes its outline: the same draws
give the same outline at every side, only scaled.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinyindus.fields import Window

SHAPE_DRAWS = 16

NOMINAL = 0.65
"""Nominal strength of a defect at contrast 1."""

LINES = frozenset({"crack", "scratch", "tear", "fibre"})
"""Primitives whose outline is a line in the direction `turn`."""


@dataclass(frozen=True)
class Mark:
    """One primitive at one place."""

    primitive: str
    x: float
    y: float
    """(x, y) is the anchor, in pixels of the picture."""
    side: float
    """sqrt(width * height) of the outline's box, pixels."""
    turn: float
    """Direction in the picture, radians."""
    strength: float
    """0 leaves the fields unchanged; 1 is a gross defect."""
    shape: NDArray[np.float64]
    """(SHAPE_DRAWS,) uniform draws."""

    def extent(self, way: float | None = None) -> float:
        """Return the outline's length in pixels along the direction `way` (radians; None: the longest)."""
        if self.primitive not in LINES:
            return self.side * (1.25 if self.primitive == "bubble" else 1.0)
        across = np.abs([np.cos(self.turn), np.sin(self.turn)])
        across = np.maximum(across, across.max() / 3)
        long = self.side / float(np.sqrt(across.prod()))
        return long if way is None else long * max(abs(float(np.cos(self.turn - way))), 1 / 3)

    def window(self, bounds: Window) -> Window:
        """Return the pixels that the mark may change, plus a margin."""
        half = 0.5 * self.extent() + (0.35 if self.primitive in LINES else 0.6) * self.side + 4.0
        return Window.around(self.x, self.y, half, half, bounds)
