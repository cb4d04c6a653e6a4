"""Planning: how many more seeds or test images a comparison would need to find a difference."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from gffpn.stats.estimate import Estimate
from gffpn.stats.verdicts import detectable

MOST_SEEDS = 30
"""More seeds per arm than this are not proposed."""
ENDLESS = 1_000_000
"""Seeds per arm that leave the variance from images alone."""
MANY_SEEDS = 12
"""Seeds per arm for which a number of test images is proposed."""


@dataclass(frozen=True)
class Parts:
    """The variance of one arm's figure by its causes, each for one seed and the present test images."""

    images: float
    """Of the difference of two arms, from images alone."""
    interaction: float
    """Of one arm's figure, from what a seed does on single images."""
    seeds: float
    """Of one arm's figure, from seeds alone."""
    image_df: float
    """Degrees of freedom of the variance from images, which grow with their number."""
    arms: float
    """Arms over which the variance between seeds is pooled, or as many as two unequal ones are worth."""

    @classmethod
    def of(cls, one: Estimate) -> "Parts":
        """Return the parts of an estimate, the mean of both arms' where each has its own."""
        interaction = sum(part.interaction for part in one.spreads) / 2
        crossed = sum(part.interaction / n for part, n in zip(one.spreads, one.seeds, strict=True))
        return cls(
            images=max(0.0, one.image_variance - crossed),
            interaction=interaction,
            seeds=sum(part.own for part in one.spreads) / 2,
            image_df=one.image_df,
            arms=_arms(one),
        )

    def detectable(self, seeds: int, images: float = 1.0, *, alpha: float) -> float:
        """Return the detectable difference with `seeds` per arm and `images` times the test images."""
        from_images = (self.images + 2 * self.interaction / seeds) / images
        from_seeds = 2 * self.seeds / seeds
        mean_square = 2 * (self.seeds + self.interaction / images) / seeds
        df_images, df_seeds = self.image_df * images, self.arms * (seeds - 1)
        uncertain = from_images**2 / df_images + mean_square**2 / df_seeds
        variance = from_images + from_seeds
        df = max(variance**2 / uncertain, min(df_images, df_seeds)) if uncertain else math.inf
        return detectable(variance, df, alpha)


@dataclass(frozen=True)
class Need:
    """What a comparison needs to find a difference as large as its margin with a probability of 80 %."""

    seeds: int | None
    """Seeds per arm in all; None if `MOST_SEEDS` are not enough on these test images."""
    images: float | None
    """Multiple of the test images, with `MANY_SEEDS`; None if seeds are enough, or if it is over 100."""
    many_seeds: bool = False
    """True if seeds are enough, but more than `MOST_SEEDS`."""


def need(one: Estimate, *, margin: float, alpha: float) -> Need:
    """Return the smallest number of seeds per arm that finds a true difference of `margin`.

    If no number of seeds does, because of the variance from images, return the number of test images that
    do with `MANY_SEEDS` seeds. Planned is for the margin, never for the observed difference. `alpha` is the
    level of this contrast in its family.
    """
    parts = Parts.of(one)
    for seeds in range(2, MOST_SEEDS + 1):
        if parts.detectable(seeds, alpha=alpha) <= margin:
            return Need(seeds, None)
    if parts.detectable(ENDLESS, alpha=alpha) <= margin:
        return Need(None, None, many_seeds=True)
    for images in _multiples():
        if parts.detectable(MANY_SEEDS, images, alpha=alpha) <= margin:
            return Need(None, images)
    return Need(None, None)


def _multiples() -> Iterable[float]:
    """Yield 1.1, 1.2, ... rising by a tenth each, up to 100."""
    multiple = 1.1
    while multiple <= 100:
        yield multiple
        multiple *= 1.1


def _arms(one: Estimate) -> float:
    if one.pooled:
        return max(one.spreads[0].df / max(min(one.seeds) - 1, 1), 1.0)
    a, b = (part.seeds for part in one.spreads)
    return (a + b) ** 2 / (a**2 + b**2) if a + b else 2.0
