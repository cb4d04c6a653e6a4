"""The difference between two arms: its size, its variance over seeds and test images, and its intervals.

Seeds and images are crossed: every trained network sees the same test images. So the variance of a difference
of means has a part from images, estimated by drawing the images again, and a part from seeds. The mean square
between seeds holds the interaction of seeds and images a second time, so this is subtracted.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy import special

from gffpn.metrics.matching import Floats
from gffpn.stats.influence import image_df

UNEQUAL = 9.0
"""Ratio of the arms' largest variance to their smallest above which each arm has its own."""


class Seed(NamedTuple):
    """One figure of one run: on the test images and on their re-weightings."""

    point: float
    values: Floats
    """(B,); NaN where a replicate has no object."""
    influence: Floats
    """(G,) of each independent group of test images, as in `influences`."""


class Sample(NamedTuple):
    """One figure of an arm, for each of its seeds."""

    points: Floats
    """(S,)"""
    values: Floats
    """(S, B)"""
    influence: Floats
    """(S, G)"""

    @classmethod
    def of(cls, seeds: Sequence[Seed]) -> "Sample":
        """Return the figures of an arm's runs on the same test images."""
        return cls(
            np.array([one.point for one in seeds]),
            np.stack([one.values for one in seeds]),
            np.stack([one.influence for one in seeds]),
        )

    @property
    def groups(self) -> int:
        """Number of independent groups of test images."""
        return self.influence.shape[1]

    def minus(self, other: "Sample") -> "Sample":
        """Return the difference to another figure of the same runs, run by run."""
        return Sample(*(one - two for one, two in zip(self, other, strict=True)))


class Spread(NamedTuple):
    """Variance between seeds."""

    seeds: float
    """Mean square between the seeds' figures; it holds the interaction as well."""
    interaction: float
    """Variance over images of what is specific to a seed."""
    df: int
    """Degrees of freedom: seeds minus one, summed over the arms."""

    @property
    def own(self) -> float:
        """Variance of the seeds' expected figures."""
        return float(np.maximum(0.0, self.seeds - self.interaction))  # NaN stays NaN


def spread(samples: Sequence[Sample]) -> Spread:
    """Return the variance between seeds, pooled over arms; those with one seed do not count."""
    degrees = [len(sample.points) - 1 for sample in samples]
    df = sum(degrees)
    if not df:
        return Spread(math.nan, math.nan, 0)
    between = sum(((one.points - one.points.mean()) ** 2).sum() for one in samples)
    within = sum(
        _variance(row, one.groups)
        for one, n in zip(samples, degrees, strict=True)
        if n
        for row in one.values - one.values.mean(axis=0)
    )
    return Spread(float(between) / df, within / df, df)


def _variance(values: Floats, groups: int) -> float:
    """Return the variance over replicates (B,); drawing G of G groups gives (G - 1) / G of it."""
    known = values[~np.isnan(values)]
    if groups < 2 or len(known) < 2:
        return math.nan
    return float(known.var(ddof=1)) * groups / (groups - 1)


@dataclass(frozen=True)
class Estimate:
    """A difference A - B of an endpoint, with everything that its interval and its planning need."""

    delta: float
    image_variance: float
    """Of the difference of the seeds' means, by drawing the images again."""
    spreads: tuple[Spread, Spread]
    """Of A and of B; the same object twice if it is pooled."""
    seeds: tuple[int, int]
    groups: int
    image_df: float
    """Degrees of freedom of the variance from images."""
    superiority: float
    """Probability that a run of A has a higher figure than a run of B, over seeds and images."""

    @property
    def pooled(self) -> bool:
        """True if both arms share the variance between seeds."""
        return self.spreads[0] is self.spreads[1]

    @property
    def seed_variance(self) -> float:
        """Variance of the difference that comes from seeds alone."""
        return sum(part.own / count for part, count in zip(self.spreads, self.seeds, strict=True))

    @property
    def variance(self) -> float:
        """Variance of the difference."""
        return self.image_variance + self.seed_variance

    @property
    def cautious(self) -> "Estimate":
        """The same difference with the interaction counted twice, from images and from seeds.

        Its intervals are wider. Claims that two arms are equal use it: with 60 images and classes of a few
        objects they would err in up to 10 % of the cases at a nominal 5 % (docs/statistics.md).
        """
        a, b = (part._replace(interaction=0.0) for part in self.spreads)
        return replace(self, spreads=(a, a) if self.pooled else (a, b))

    @property
    def df(self) -> float:
        """Degrees of freedom by Satterthwaite's rule, at least those of the least known part."""
        parts = [(self.image_variance, self.image_df)]
        if self.pooled:
            shared = self.spreads[0]
            parts.append((shared.seeds * sum(1 / count for count in self.seeds), shared.df))
        else:
            own = zip(self.spreads, self.seeds, strict=True)
            parts += [(part.seeds / count, part.df) for part, count in own]
        if not all(df for _, df in parts):
            return math.nan
        uncertain = sum(value**2 / df for value, df in parts)
        return max(self.variance**2 / uncertain, min(df for _, df in parts)) if uncertain else math.inf

    @property
    def p(self) -> float:
        """Two-sided p value of no difference."""
        return 2 * self.tail(abs(self.delta))

    def tail(self, distance: float) -> float:
        """Return the probability that the estimate exceeds the true difference by `distance` or more."""
        if not self.variance:
            return 0.5 if distance == 0 else float(distance < 0)
        return float(special.stdtr(self.df, -distance / math.sqrt(self.variance)))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the two-sided confidence interval of the difference."""
        half = float(special.stdtrit(self.df, (1 + level) / 2)) * math.sqrt(self.variance)
        return self.delta - half, self.delta + half


class Family:
    """The arms of an experiment that were tested on the same images, over which variances are pooled."""

    def __init__(self, arms: Sequence[Sample]) -> None:
        """Take all samples of the experiment."""
        self._shared = spread(arms)
        variances = [spread([one]).seeds for one in arms if len(one.points) > 1]
        self._unequal = bool(variances) and max(variances) > UNEQUAL * min(variances)

    def difference(self, a: Sample, b: Sample) -> Estimate:
        """Return the difference A - B of two of the arms."""
        spreads = (self._shared, self._shared)
        if self._unequal and min(len(a.points), len(b.points)) > 1:
            spreads = (spread([a]), spread([b]))
        difference = a.values.mean(axis=0) - b.values.mean(axis=0)
        return Estimate(
            delta=float(a.points.mean() - b.points.mean()),
            image_variance=_variance(difference, a.groups),
            spreads=spreads,
            seeds=(len(a.points), len(b.points)),
            groups=a.groups,
            image_df=image_df(a.influence.mean(axis=0) - b.influence.mean(axis=0), len(difference)),
            superiority=_superiority(a.values, b.values),
        )

    def mean(self, a: Sample) -> Estimate:
        """Return the mean of one of the arms, as its difference to zero."""
        own = spread([a]) if self._unequal and len(a.points) > 1 else self._shared
        return Estimate(
            delta=float(a.points.mean()),
            image_variance=_variance(a.values.mean(axis=0), a.groups),
            spreads=(own, Spread(0.0, 0.0, own.df)),
            seeds=(len(a.points), len(a.points)),
            groups=a.groups,
            image_df=image_df(a.influence.mean(axis=0), a.values.shape[1]),
            superiority=float(np.mean(a.values > 0)),
        )


def estimate(a: Sample, b: Sample, *, arms: Sequence[Sample]) -> Estimate:
    """Return the difference A - B; variances are pooled over `arms`, all samples of the experiment."""
    return Family(arms).difference(a, b)


def _superiority(a: Floats, b: Floats) -> float:
    higher = a[:, None] - b[None]
    known = higher[~np.isnan(higher)]
    return float(((known > 0) + 0.5 * (known == 0)).mean()) if known.size else math.nan
