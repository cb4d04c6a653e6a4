"""Probability of detection against the side of an object, with the sides from which on 50 and 90 % are found.

A logistic curve from 0 to 1 is the wrong model: a detector misses some large objects for ever, and hits some
by chance. So p(side) = floor + (ceiling - floor) logistic(slope (log side - log middle)), with the floor from
hits by chance (hits.py) and the rest by maximum likelihood over the objects (curve_fit.py).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from gffpn.metrics.matching import Floats, Ints
from gffpn.stats.bands import Band, Curves, band
from gffpn.stats.curve_fit import SMALLEST_SIDE, cells, fitted, refitted
from gffpn.stats.hits import Hits, chance_rate


@dataclass(frozen=True)
class DetectionCurve:
    """The fitted curve of one run."""

    floor: float
    ceiling: float
    middle: float
    """Network pixels: the side half-way from floor to ceiling."""
    slope: float
    """Per factor e of the side."""

    def __call__(self, sides: Floats) -> Floats:
        """Return the probability of detection at each side in network pixels."""
        return _probability(np.log(sides), self.floor, self.ceiling, math.log(self.middle), self.slope)


@dataclass(frozen=True)
class RunCurve:
    """The curve of one run at G sides, also in B replicates of the images."""

    curve: DetectionCurve
    points: Floats
    """(G,)"""
    replicates: Floats
    """(B, G)"""


@dataclass(frozen=True)
class ArmCurve:
    """The curve of an arm, the mean of its runs' curves, and what is read off it, in network pixels."""

    sides: Floats
    """(G,)"""
    band: Band
    """Between 0 and 1."""
    floor: float
    ceiling: float
    a50: float | None
    a90: float | None
    """The side from which on 90 % are found; None if the ceiling is lower, or no object is so large."""
    a90_95: float | None
    """The side from which on the lower end of the band is at 90 %; None if it is nowhere."""


def side_grid(hits: Hits, points: int = 40) -> Floats:
    """Return sides (G,) at equal ratios, from the smallest object to the largest.

    Raises ValueError without objects.
    """
    sides = np.maximum(_known(hits).side, SMALLEST_SIDE)
    return np.geomspace(sides.min(), sides.max(), points)


def fit_curve(hits: Hits) -> DetectionCurve:
    """Return the curve of one run. Raises ValueError without objects."""
    counted, ones = cells(_known(hits)), np.ones((1, hits.images))
    floor = float(chance_rate(hits, ones)[0])
    found, objects = counted.drawn(ones)
    ceiling, log_middle, slope = map(float, fitted(counted.log_side, found[0], objects[0], floor))
    return DetectionCurve(floor, ceiling, math.exp(log_middle), slope)


def run_curve(hits: Hits, weights: Ints, sides: Floats) -> RunCurve:
    """Return the curve of one run at `sides` (G,), refitted in each replicate.

    `weights` (B, N) says how often each image counts. Raises ValueError without objects.
    """
    curve, counted = fit_curve(hits), cells(hits)
    start = np.array([curve.ceiling, math.log(curve.middle), curve.slope])
    floors = chance_rate(hits, weights)
    refits = refitted(counted.log_side, *counted.drawn(weights), floors, start)
    ceiling, log_middle, slope = refits.T[:, :, None]
    return RunCurve(
        curve, curve(sides), _probability(np.log(sides), floors[:, None], ceiling, log_middle, slope)
    )


def arm_curve(runs: Sequence[RunCurve], sides: Floats, *, images: int, level: float = 0.95) -> ArmCurve:
    """Return the curve of an arm from its runs, which were drawn with the same weights.

    `images` is the number of images, or of groups of images, that were drawn.
    """
    found = band(curves(runs), images=images, level=level)
    ends = {end: np.clip(getattr(found, end), 0.0, 1.0) for end in ("lower", "upper", "low", "high")}
    found = replace(found, **ends)
    return ArmCurve(
        sides=sides,
        band=found,
        floor=float(np.mean([run.curve.floor for run in runs])),
        ceiling=float(found.value[-1]),
        a50=reach(sides, found.value, 0.5),
        a90=reach(sides, found.value, 0.9),
        a90_95=reach(sides, found.lower, 0.9),
    )


def curves(runs: Sequence[RunCurve]) -> Curves:
    """Return the runs of an arm as `bands.band` takes them, for one arm or the difference of two."""
    return Curves(np.stack([run.points for run in runs]), np.stack([run.replicates for run in runs]))


def reach(sides: Floats, values: Floats, level: float) -> float | None:
    """Return the side from which on `values` (G,) are at or above `level`, None if the last one is not.

    It is interpolated over the logarithm of the side. If all values are, it is the first side: the true one
    may be smaller.
    """
    below = np.flatnonzero(values < level)
    if not below.size:
        return float(sides[0])
    last = int(below[-1])
    if last == len(sides) - 1:
        return None
    ends = values[[last, last + 1]]
    return float(np.exp(np.interp(level, ends, np.log(sides[[last, last + 1]]))))


def _probability(
    log_sides: Floats,
    floor: Floats | float,
    ceiling: Floats | float,
    log_middle: Floats | float,
    slope: Floats | float,
) -> Floats:
    return floor + (ceiling - floor) * special.expit(slope * (log_sides - log_middle))


def _known(hits: Hits) -> Hits:
    if not len(hits.side):
        raise ValueError("probability of detection: got no objects, expected at least one")
    return hits
