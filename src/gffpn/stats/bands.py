"""Bands around a curve, or around the difference of two, that hold at all of its points together.

The curves belong to runs that differ in their seed and are evaluated on the same images. With R(x) the
correlation of the estimate's errors between the points, and z the value that the largest of them exceeds in
5 % of all cases, the band has the confidence per point that |N(0, 1)| < z has; there, it takes Student's t,
because there are few seeds. The variance is that of STATISTICS: images (from the replicates) plus
seeds, from which the part that depends on both is subtracted because the replicates hold it already.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from gffpn.metrics.matching import Floats

_DRAWS = 20_000


@dataclass(frozen=True)
class Curves:
    """The curves of an arm's S runs at G points, also in B replicates of the images, equal for all runs."""

    points: Floats
    """(S, G)"""
    replicates: Floats
    """(S, B, G)"""


@dataclass(frozen=True)
class Band:
    """A curve over G points with its uncertainty."""

    value: Floats
    """(G,) mean over the seeds, or the difference of the means of two arms; NaN where a run has no value."""
    error: Floats
    """(G,) standard error."""
    lower: Floats
    upper: Floats
    """(G,) the ends of the simultaneous band."""
    low: Floats
    high: Floats
    """(G,) the ends of the intervals of single points, which are narrower."""
    seeds: bool
    """False if an arm has one seed: the band is about these weights, not about others."""


def band(arm: Curves, other: Curves | None = None, *, images: int, level: float = 0.95) -> Band:
    """Return the mean curve of an arm, or its difference to that of `other`, with its band.

    `images` is the number of images, or of groups of images, that were drawn in the replicates.
    """
    arms, signs = ([arm], [1.0]) if other is None else ([arm, other], [1.0, -1.0])
    pairs = list(zip(signs, arms, strict=True))
    value: Floats = np.sum([sign * one.points.mean(axis=0) for sign, one in pairs], axis=0)
    drawn: Floats = np.sum([sign * one.replicates.mean(axis=0) for sign, one in pairs], axis=0)
    covariance = _covariance(drawn)
    least = max(images - 1, 1)
    own = covariance.diagonal() ** 2 / least
    seeds = all(len(one.points) > 1 for one in arms)
    if seeds:
        between, total, freedom = _seed_parts(arms)
        covariance = covariance + between
        own = own + total**2 / freedom
        least = min(least, freedom)
    variance = covariance.diagonal()
    # at least those of the least known part, because the part of the seeds may be subtracted to 0
    degrees = np.maximum(np.divide(variance**2, own, out=np.ones_like(own), where=own > 0), least)
    error = np.sqrt(variance)
    tail = stats.norm.sf(_largest(covariance, error, level))
    wide, narrow = (error * stats.t.isf(one, degrees) for one in (tail, (1 - level) / 2))
    return Band(value, error, value - wide, value + wide, value - narrow, value + narrow, seeds)


def _covariance(samples: Floats) -> Floats:
    """Return the covariance (G, G) of the columns of (B, G)."""
    centred = samples - samples.mean(axis=0)
    return centred.T @ centred / (len(samples) - 1)


def _seed_parts(arms: list[Curves]) -> tuple[Floats, Floats, int]:
    """Return the part of the seeds in the covariance (G, G), s^2 in the variance (G,), and its freedom."""
    freedom = sum(len(one.points) - 1 for one in arms)
    per_seed = sum(1 / len(one.points) for one in arms)
    apart = np.concatenate([one.points - one.points.mean(axis=0) for one in arms])
    total = apart.T @ apart / freedom * per_seed
    both = np.zeros(total.shape[1])
    for one in arms:
        crossed = one.replicates - one.replicates.mean(axis=0)
        both += crossed.var(axis=1, ddof=1).sum(axis=0) / freedom * per_seed
    whole = total.diagonal()
    left = np.divide(whole - both, whole, out=np.zeros_like(whole), where=whole > both)
    return total * np.sqrt(np.outer(left, left)), whole, freedom


def _largest(covariance: Floats, error: Floats, level: float) -> float:
    """Return the value that the largest of the standardised errors exceeds with probability 1 - level."""
    scale = np.divide(1.0, error, out=np.zeros_like(error), where=error > 0)
    # points without a value have no part in it
    values, vectors = np.linalg.eigh(np.nan_to_num(covariance) * np.outer(scale, scale))
    root = vectors * np.sqrt(np.clip(values, 0.0, None))
    draws = np.random.default_rng(0).standard_normal((_DRAWS, len(error))) @ root.T
    return float(np.quantile(np.abs(draws).max(axis=1), level))
