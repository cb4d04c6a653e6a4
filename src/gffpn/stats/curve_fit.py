"""Maximum likelihood for a logistic curve between a floor and a ceiling, over objects of weighted images.

Objects whose sides differ by less than 6 % are fitted as one side. All replicates of the images are fitted
at once, by Fisher scoring with Levenberg-Marquardt damping inside bounds: 200 replicates take 0.1 s.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import special

from gffpn.metrics.matching import Floats, Ints
from gffpn.stats.assignment import Flags
from gffpn.stats.hits import Hits

SMALLEST_SIDE = 1.0
"""Network pixels; smaller objects are fitted as if they had this side."""
STEEPEST = 20.0
"""The largest slope: from 10 to 90 % of the way within a factor of 1.25 in the side."""
MARGIN = 1.0
"""The middle may lie by a factor of e outside the sides that there are."""
_STEPS_PER_E = 16
_STARTS = (0.1, 0.3, 0.5, 0.7, 0.9)  # share of the objects below the middle that a fit starts from
_LEAST = 1e-9
_ROUNDS = 100
_CONVERGED = 1e-5


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


class _Terms(NamedTuple):
    """Mean negative log likelihood of an object (B,), gradient (B, 3) and expected curvature (B, 3, 3)."""

    loss: Floats
    gradient: Floats
    curvature: Floats


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


def fitted(log_side: Floats, hits: Floats, objects: Floats, floor: float) -> Floats:
    """Return ceiling, log middle and slope (3,) of the best of several starts; counts are (Q,)."""
    share = np.cumsum(objects) / objects.sum()
    middles = log_side[np.searchsorted(share, _STARTS)]
    ceiling = max(float(hits.sum() / objects.sum()), floor)
    starts = np.array([[ceiling, middle, 4.0] for middle in middles])
    many = (len(starts), 1)
    found, loss = _minimised(
        log_side, np.tile(hits, many), np.tile(objects, many), np.full(len(starts), floor), starts
    )
    return found[loss.argmin()]


def refitted(log_side: Floats, hits: Floats, objects: Floats, floor: Floats, start: Floats) -> Floats:
    """Return the parameters (B, 3) of replicates, whose counts are (B, Q), from one start (3,).

    A replicate without objects keeps the start.
    """
    return _minimised(log_side, hits, objects, floor, np.tile(start, (len(hits), 1)))[0]


def _minimised(
    log_side: Floats, hits: Floats, objects: Floats, floor: Floats, start: Floats
) -> tuple[Floats, Floats]:
    """Return the parameters (B, 3) of least loss from the starts (B, 3), and the losses (B,)."""
    low = np.column_stack([floor, np.full_like(floor, log_side[0] - MARGIN), np.zeros_like(floor)])
    high = np.broadcast_to([1.0, log_side[-1] + MARGIN, STEEPEST], low.shape)
    at = np.clip(start, low, high)
    now, damping = _terms(at, log_side, hits, objects, floor), np.full(len(at), 1e-2)
    for _ in range(_ROUNDS):
        step = _step(now, damping, ((at <= low) & (now.gradient > 0)) | ((at >= high) & (now.gradient < 0)))
        trial = np.clip(at + step, low, high)
        then = _terms(trial, log_side, hits, objects, floor)
        better = then.loss <= now.loss
        moved = np.abs(np.where(better[:, None], trial - at, step))
        at = np.where(better[:, None], trial, at)
        now = _Terms(
            np.where(better, then.loss, now.loss),
            np.where(better[:, None], then.gradient, now.gradient),
            np.where(better[:, None, None], then.curvature, now.curvature),
        )
        damping = np.clip(np.where(better, damping / 4, damping * 8), 1e-9, 1e9)
        if moved.max() < _CONVERGED:
            break
    return at, now.loss


def _step(terms: _Terms, damping: Floats, blocked: Flags) -> Floats:
    """Return the damped step (B, 3); parameters that would leave their bounds are `blocked` (B, 3)."""
    free = ~blocked
    diagonal = np.einsum("bii->bi", terms.curvature)
    curvature = terms.curvature * free[:, :, None] * free[:, None, :]
    np.einsum("bii->bi", curvature)[:] = np.where(free, diagonal * (1 + damping[:, None]) + _LEAST, 1.0)
    step = np.linalg.solve(curvature, (-terms.gradient * free)[:, :, None])[:, :, 0]
    return step.astype(np.float64, copy=False)


def _terms(at: Floats, log_side: Floats, hits: Floats, objects: Floats, floor: Floats) -> _Terms:
    ceiling, log_middle, slope = at.T[:, :, None]
    apart, rise = log_side - log_middle, ceiling - floor[:, None]
    way = special.expit(slope * apart)
    p = np.clip(floor[:, None] + rise * way, _LEAST, 1 - _LEAST)
    total = np.maximum(objects.sum(axis=1), 1.0)
    loss = -(hits * np.log(p) + (objects - hits) * np.log1p(-p)).sum(axis=1) / total
    information = objects / (p * (1 - p)) / total[:, None]
    by_p = information * p - hits / (p * (1 - p)) / total[:, None]
    bend = rise * way * (1 - way)
    slopes = np.stack([way, -slope * bend, bend * apart], axis=1)
    return _Terms(
        loss,
        np.einsum("biq,bq->bi", slopes, by_p),
        np.matmul(slopes * information[:, None], slopes.transpose(0, 2, 1)),
    )
