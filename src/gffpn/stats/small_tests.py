"""How far two networks differ by luck on a small test set: small sets are drawn from a large one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np

from gffpn.metrics.matching import Floats
from gffpn.runs.predictions import Predictions
from gffpn.stats.draws import Counts
from gffpn.stats.reweighted import mean_precision, reweighted_precision

LARGER = 5
"""Least ratio of the objects of the large set to those of a small one, so that small sets differ."""


@dataclass(frozen=True)
class Luck:
    """Differences between two runs on small test sets."""

    pair: tuple[str, str]
    """Names of the two arms; equal for two runs of one arm that differ in their seed."""
    differences: Floats
    """(R,) of mAP50, as shares, over pairs of runs and small sets; of two runs of one arm in both orders."""
    whole: float
    """Mean difference on the large set."""

    def beyond(self, size: float) -> float:
        """Return the share of the differences that are at least `size` away from that of the large set."""
        return float(np.mean(np.abs(self.differences - self.whole) >= size))


def small_sets(predictions: Predictions, objects: int, count: int) -> Counts:
    """Return which images `count` small test sets contain, (N, count), each with about `objects` objects.

    A set takes whole groups of images in a random order, without repetition, until it has that many objects
    or comes nearer to them without the next group, but at least one group with objects. Raises ValueError if
    the test set is less than `LARGER` times as large.
    """
    found = predictions.evaluated
    of_image = np.bincount(found.objects.image[~found.crowd], minlength=len(predictions.names))
    if objects < 1 or of_image.sum() < LARGER * objects:
        raise ValueError(
            f"--objects: got {objects}, expected 1 to a fifth of the test set's {of_image.sum()} objects"
        )
    _, group = np.unique(np.asarray(predictions.groups, dtype=np.str_), return_inverse=True)
    of_group = np.bincount(group, weights=of_image)
    generator = np.random.default_rng(0)
    chosen = np.zeros((len(of_group), count), dtype=np.int32)
    for number in range(count):
        order = generator.permutation(len(of_group))
        so_far = np.cumsum(of_group[order])
        last = int(np.searchsorted(so_far, objects))
        before = so_far[last - 1] if last else 0
        nearer = so_far[last] - objects <= objects - before
        taken = last + 1 if nearer or before == 0 else last
        chosen[order[:taken], number] = 1
    return chosen[group]


def figures_on(predictions: Predictions, sets: Counts, *, max_detections: int) -> tuple[Floats, float]:
    """Return mAP50 on each small set (count,), and on all images."""
    matches = predictions.matches(max_detections=max_detections)
    weights = np.concatenate([np.ones_like(sets[:, :1]), sets], axis=1)
    figures = mean_precision(reweighted_precision(matches, weights, ious=slice(0, 1)))
    return figures[1:], float(figures[0])


def luck(runs: Mapping[str, Sequence[tuple[Floats, float]]], pairs: Sequence[tuple[str, str]]) -> list[Luck]:
    """Return the differences within each arm, and those of each pair of arms.

    `runs` are the figures of each arm's runs, as `figures_on` returns them for equal sets. An arm with one
    run has no differences within.
    """
    within = [((name, name), list(permutations(of_arm, 2))) for name, of_arm in runs.items()]
    between = [((a, b), list(product(runs[a], runs[b]))) for a, b in pairs]
    return [
        Luck(
            names,
            np.concatenate([one[0] - other[0] for one, other in found]),
            0.0 if names[0] == names[1] else float(np.mean([one[1] - other[1] for one, other in found])),
        )
        for names, found in (*within, *between)
        if found
    ]
