"""The result of a check of the simulated data: a figure, its interval and its bound."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RESAMPLES = 400


@dataclass(frozen=True)
class Finding:
    """One line of the card; without a bound, it serves for comparison and cannot fail."""

    what: str
    value: float
    n: str
    low: float | None = None
    high: float | None = None
    """95 % interval of the value."""
    at_least: float | None = None
    at_most: float | None = None

    @property
    def holds(self) -> bool | None:
        """True if the value is within the bound; None without a bound."""
        if self.at_least is None and self.at_most is None:
            return None
        above = self.at_least is None or self.value >= self.at_least
        return bool(above and (self.at_most is None or self.value <= self.at_most))

    @property
    def bound(self) -> str:
        """The bound in words."""
        if self.at_least is not None and self.at_most is not None:
            return f"{self.at_least:g} to {self.at_most:g}"
        if self.at_least is not None:
            return f"at least {self.at_least:g}"
        return f"at most {self.at_most:g}" if self.at_most is not None else ""


def auc(scores: Floats, positive: NDArray[np.bool_], weights: Floats | None = None) -> float:
    """Return the probability that a positive scores above a negative; ties count half.

    Each sample (N,) counts as often as its weight.
    """
    weights = np.ones(len(scores)) if weights is None else weights
    _, place = np.unique(scores, return_inverse=True)
    above = np.bincount(place, weights * positive)
    below = np.bincount(place, weights * ~positive)
    wins = above * (np.cumsum(below) - 0.5 * below)
    total = above.sum() * below.sum()
    return float(wins.sum() / total) if total > 0 else float("nan")


def interval(
    figure: Callable[[Floats], float], group: Ints, *, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a figure of weighted samples.

    Samples of one group (N,) are drawn together. Each picture is a group, because its samples are correlated.
    """
    _, member = np.unique(group, return_inverse=True)
    count = int(member.max()) + 1
    rng = np.random.default_rng(0)
    drawn = [
        figure(np.bincount(rng.integers(0, count, count), minlength=count).astype(float)[member])
        for _ in range(resamples)
    ]
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def balanced(positive: NDArray[np.bool_], kind: Ints) -> Floats:
    """Return weights (N,) with the same sum for every kind, and in it for positives and negatives.

    A kind that lacks positives or negatives has weights of 0.
    """
    weights = np.zeros(len(kind))
    for k in np.unique(kind):
        sides = [(kind == k) & positive, (kind == k) & ~positive]
        if all(side.any() for side in sides):
            for side in sides:
                weights[side] = 1.0 / side.sum()
    weights *= len(kind) / max(weights.sum(), 1e-12)
    return weights
