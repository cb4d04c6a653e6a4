"""Verdicts of a family of contrasts: Holm's rule, and equivalence within a margin."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from gffpn.stats.estimate import Estimate
from gffpn.stats.question import ALPHA, MARGIN

POWER = 0.8
"""Probability with which a detectable difference is found."""
Word = Literal["better", "worse", "same", "cannot tell"]


@dataclass(frozen=True)
class Verdict:
    """Whether an arm is better than another, as one of a family of contrasts."""

    word: Word
    p: float
    """Two-sided, adjusted by Holm's rule for the family."""
    equivalence: tuple[float, float]
    """Interval of level 1 - 2 alpha / k, for k contrasts: inside the margin, the arms are the same."""
    small: bool
    """True if a difference is certain and certainly smaller than the margin."""
    detectable: float
    """Smallest true difference that the family's rule finds with a probability of 80 %."""


def verdicts(
    family: Sequence[Estimate], *, margin: float = MARGIN, alpha: float = ALPHA, declared: int = 0
) -> list[Verdict]:
    """Return a verdict for each contrast of a family, which errs with probability `alpha` in all.

    `declared` contrasts belong to the family, also those whose runs are not finished yet, so that no verdict
    changes when they are.
    """
    size = max(declared, len(family))
    adjusted = holm([*(one.p for one in family), *[1.0] * (size - len(family))])
    return [
        _verdict(one, p, contrasts=size, margin=margin, alpha=alpha)
        for one, p in zip(family, adjusted, strict=False)
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values adjusted for a family by Holm's step-down rule."""
    order = np.argsort(p_values, kind="stable")
    steps = np.asarray(p_values)[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(p) for p in adjusted]


def _verdict(one: Estimate, p: float, *, contrasts: int, margin: float, alpha: float) -> Verdict:
    low, high = equivalence = one.cautious.interval(1 - 2 * alpha / contrasts)
    same = -margin < low and high < margin
    word: Word
    if p < alpha and one.delta:
        word = "better" if one.delta > 0 else "worse"
    else:
        word = "same" if same else "cannot tell"
    return Verdict(
        word,
        p,
        equivalence,
        small=same and word in ("better", "worse"),
        detectable=detectable(one.variance, one.df, alpha / contrasts),
    )


def detectable(variance: float, df: float, alpha: float, power: float = POWER) -> float:
    """Return the true difference that a two-sided t test of level `alpha` finds with probability `power`."""
    return float(special.stdtrit(df, 1 - alpha / 2) + special.stdtrit(df, power)) * math.sqrt(variance)
