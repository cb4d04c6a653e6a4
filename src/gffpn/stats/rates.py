"""Rates of counts over images, of an arm's runs and in replicates of the images, as bands.py takes them."""

from collections.abc import Sequence

import numpy as np

from gffpn.metrics.matching import Floats, Ints
from gffpn.stats.assignment import Flags
from gffpn.stats.bands import Curves
from gffpn.stats.error_counts import ErrorCounts
from gffpn.stats.error_types import ErrorType
from gffpn.stats.hits import BinHits
from gffpn.stats.operating import ImageCalls

Counts = Ints | Flags


def hit_rates(runs: Sequence[BinHits], weights: Ints) -> Curves:
    """Return the share of objects that are hit in each size bin; NaN in a bin without objects.

    `weights` (B, N) says how often each image counts.
    """
    return _rates([(run.hits, run.objects) for run in runs], weights)


def error_rates(runs: Sequence[ErrorCounts], weights: Ints) -> Curves:
    """Return errors by type and size bin, G = 6 x bins with the bins of one type together.

    Missed objects are a share of the objects in the bin, NaN without any; other errors are counts per image.
    """
    pairs = []
    for run in runs:
        per = np.ones_like(run.errors)
        per[:, ErrorType.MISSED] = run.objects
        pairs.append((run.errors.reshape(len(per), -1), per.reshape(len(per), -1)))
    return _rates(pairs, weights)


def image_rates(runs: Sequence[ImageCalls], weights: Ints) -> Curves:
    """Return the rates of escapes, images with a missed object, and overkill; NaN without such images."""
    return _rates(
        [
            (
                np.stack([run.defective & ~run.called, run.incomplete, run.clean & run.called], axis=1),
                np.stack([run.defective, run.defective, run.clean], axis=1),
            )
            for run in runs
        ],
        weights,
    )


def _rates(runs: Sequence[tuple[Counts, Counts]], weights: Ints) -> Curves:
    """Return sums of counts (N, G) over sums of others (N, G)."""
    points, replicates = [], []
    drawn = weights.astype(np.float64)
    for counts, per in runs:
        point = _ratio(counts.sum(axis=0, dtype=np.float64), per.sum(axis=0, dtype=np.float64))
        values = _ratio(drawn @ counts, drawn @ per)
        points.append(point)
        # a replicate without such images or objects repeats the point
        replicates.append(np.where(np.isnan(values), point, values))
    return Curves(np.stack(points), np.stack(replicates))


def _ratio(counts: Floats, per: Floats) -> Floats:
    return np.divide(counts, per, out=np.full_like(counts, np.nan), where=per > 0)
