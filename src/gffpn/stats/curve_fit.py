"""Maximum likelihood for a logistic curve between a floor and a ceiling, over objects of weighted images.

Objects whose sides differ by less than 3 % are fitted as one side, which makes hundreds of replicates cheap.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import optimize, special

from gffpn.metrics.matching import Floats, Ints
from gffpn.stats.hits import Hits

SMALLEST_SIDE = 1.0
"""Network pixels; smaller objects are fitted as if they had this side."""
_STEPS_PER_E = 32
_STEEPEST = 20.0  # from 10 to 90 % of the way within a factor of 1.25 in the side
_MARGIN = 1.0  # the middle may lie by a factor of e outside the sides that there are
_STARTS = (0.1, 0.3, 0.5, 0.7, 0.9)  # share of the objects below the middle that a fit starts from
_LEAST = 1e-9


class Parameters(NamedTuple):
    """The fitted parameters of p = floor + (ceiling - floor) logistic(slope (log side - log_middle))."""

    ceiling: float
    log_middle: float
    slope: float


@dataclass(frozen=True)
class Cells:
    """Objects and hits of N images, counted at Q sides."""

    log_side: Floats
    """(Q,) mean over the objects of each cell."""
    hits: Ints
    """(N, Q)"""
    objects: Ints
    """(N, Q)"""

    def drawn(self, weights: Floats | Ints) -> tuple[Floats, Floats]:
        """Return hits and objects (B, Q) where `weights` (B, N) says how often each image counts."""
        counts = weights.astype(np.float64)
        return counts @ self.hits, counts @ self.objects


def cells(hits: Hits) -> Cells:
    """Return the objects in cells of equal width in log side."""
    logs = np.log(np.maximum(hits.side, SMALLEST_SIDE))
    _, cell = np.unique(np.round(logs * _STEPS_PER_E), return_inverse=True)
    count = int(cell.max(initial=-1)) + 1
    found, objects = np.zeros((2, hits.images, count), np.int64)
    np.add.at(found, (hits.image, cell), hits.hit)
    np.add.at(objects, (hits.image, cell), 1)
    mean = np.bincount(cell, logs, count) / np.bincount(cell, minlength=count)
    return Cells(mean, found, objects)


def first_fit(log_side: Floats, hits: Floats, objects: Floats, floor: float) -> Parameters:
    """Return the best fit from several starts; `hits` and `objects` are (Q,)."""
    share = np.cumsum(objects) / objects.sum()
    middles = [log_side[np.searchsorted(share, start)] for start in _STARTS]
    ceiling = max(float(hits.sum() / objects.sum()), floor)
    fits = [
        _minimised(log_side, hits, objects, floor, Parameters(ceiling, float(middle), 4.0))
        for middle in middles
    ]
    return min(fits, key=lambda one: one[1])[0]


def refit(log_side: Floats, hits: Floats, objects: Floats, floor: float, start: Parameters) -> Parameters:
    """Return the fit from one start, which is near the solution; without objects, the start."""
    return _minimised(log_side, hits, objects, floor, start)[0] if objects.any() else start


def _minimised(
    log_side: Floats, hits: Floats, objects: Floats, floor: float, start: Parameters
) -> tuple[Parameters, float]:
    bounds = [
        (floor, 1.0),
        (log_side[0] - _MARGIN, log_side[-1] + _MARGIN),
        (0.0, _STEEPEST),
    ]
    result = optimize.minimize(
        _loss, start, (log_side, hits, objects, floor), "L-BFGS-B", jac=True, bounds=bounds
    )
    return Parameters(*map(float, result.x)), float(result.fun)


def _loss(
    values: Floats, log_side: Floats, hits: Floats, objects: Floats, floor: float
) -> tuple[float, Floats]:
    """Return the mean negative log likelihood of an object, and its gradient (3,)."""
    ceiling, log_middle, slope = values
    apart = log_side - log_middle
    way = special.expit(slope * apart)
    p = np.clip(floor + (ceiling - floor) * way, _LEAST, 1 - _LEAST)
    missed, total = objects - hits, objects.sum()
    loss = -(hits @ np.log(p) + missed @ np.log1p(-p)) / total
    by_p = (missed / (1 - p) - hits / p) / total
    bend = by_p * (ceiling - floor) * way * (1 - way)
    return float(loss), np.array([by_p @ way, -slope * bend.sum(), bend @ apart])
