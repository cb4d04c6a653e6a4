"""Rates of errors over images, of an arm's runs and in replicates of the images, as bands.py takes them."""

from collections.abc import Sequence

import numpy as np

from gffpn.metrics.matching import Floats, Ints
from gffpn.stats.bands import Curves
from gffpn.stats.error_counts import ErrorCounts
from gffpn.stats.error_types import ErrorType


def error_rates(runs: Sequence[ErrorCounts], weights: Ints) -> Curves:
    """Return errors by type and size bin, G = 6 x bins with the bins of one type together.

    Missed objects are a share of the objects in the bin, NaN without any; other errors are counts per image.
    `weights` (B, N) says how often each image counts.
    """
    points, replicates = [], []
    drawn = weights.astype(np.float64)
    for run in runs:
        per = np.ones_like(run.errors)
        per[:, ErrorType.MISSED] = run.objects
        counts, of = (one.reshape(len(one), -1).astype(np.float64) for one in (run.errors, per))
        point, values = _ratio(counts.sum(axis=0), of.sum(axis=0)), _ratio(drawn @ counts, drawn @ of)
        points.append(point)
        # a replicate without such objects repeats the point
        replicates.append(np.where(np.isnan(values), point, values))
    return Curves(np.stack(points), np.stack(replicates))


def _ratio(counts: Floats, per: Floats) -> Floats:
    return np.divide(counts, per, out=np.full_like(counts, np.nan), where=per > 0)
