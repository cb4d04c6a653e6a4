"""What each group of test images contributes to a figure, and how well its variance over images is known.

A figure's variance over images is that of a sum of one contribution per group. Where a few groups hold all
objects of a rare class, a few contributions are large and the variance is known as badly as if there were few
groups: a variance of G values with kurtosis k has 2 G / (k - 1) degrees of freedom, which is about G for
normal values.
"""

import numpy as np

from gffpn.metrics.matching import Floats
from gffpn.stats.draws import Counts


def influences(values: Floats, weights: Counts) -> Floats:
    """Return the influence of G groups on E figures, (E, G).

    It is the covariance of a figure's replicates `values` (E, B) with how often each of them contains each
    group, `weights` (G, B). Replicates without a figure (NaN) do not count.
    """
    drawn = weights - weights.mean(axis=1, keepdims=True)
    return np.stack([_covariances(row, drawn) for row in values])


def _covariances(row: Floats, drawn: Floats) -> Floats:
    known = ~np.isnan(row)
    if known.sum() < 2:
        return np.zeros(len(drawn))
    return drawn[:, known] @ (row[known] - row[known].mean()) / (known.sum() - 1)


def image_df(influence: Floats, replicates: int) -> float:
    """Return the degrees of freedom of a figure's variance over images, at most G - 1.

    `influence` (G,) was estimated from a number of `replicates`. Its noise, 1 / `replicates` of the variance
    for each group and normal, hides a part of the kurtosis, so this is scaled up.
    """
    groups = len(influence)
    squares = (influence - influence.mean()) ** 2
    if groups < 2 or not squares.any():
        return float(groups - 1)
    excess = float((squares**2).mean() / squares.mean() ** 2) - 3
    true = excess * (1 + groups / replicates) ** 2
    # Var(s^2) = s^4 (kurtosis - 1 + 2 / (G - 1)) / G; a sample of G values has a kurtosis of at most G
    kurtosis = 3 + min(max(true, 0.0), max(groups - 3.0, 0.0))
    return 2 * groups / (kurtosis - 1 + 2 / (groups - 1))
