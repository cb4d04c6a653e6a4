"""Rules that decide whether one arm is better than another: ours, its earlier form, and those of others."""

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from gffpn.metrics.matching import Floats
from gffpn.stats.estimate import Estimate, Sample, estimate

ALPHA = 0.05
_ENDS = (50 * ALPHA, 100 - 50 * ALPHA)


class Trial(NamedTuple):
    """One endpoint of a synthetic sweep."""

    arms: Sequence[Sample]
    sets: Floats | None
    """(A, B) of the first seed of each arm, with each drawn image counted once however often it was drawn."""


def ours(trial: Trial, a: int, b: int) -> Estimate:
    """Return the estimate of arm a less arm b, with variances pooled over four arms."""
    others = [arm for arm in range(len(trial.arms)) if arm not in (a, b)]
    pooled = [trial.arms[arm] for arm in (a, b, *others[:2])]
    return estimate(trial.arms[a], trial.arms[b], arms=pooled)


ESTIMATES: Mapping[str, Callable[[Estimate], Estimate]] = {
    "ours": lambda one: one,
    "ours, interaction twice": lambda one: one.cautious,
}


def _excludes_zero(values: Floats) -> bool:
    low, high = np.nanpercentile(values, _ENDS)
    return bool(low > 0 or high < 0)


def images_as_set(trial: Trial, a: int, b: int) -> bool:
    """Bootstrap the images for one run each, as a library does that makes a set of the drawn images."""
    assert trial.sets is not None
    return _excludes_zero(trial.sets[a] - trial.sets[b])


def images_of_one_run(trial: Trial, a: int, b: int) -> bool:
    """Bootstrap the images for one run each."""
    return _excludes_zero(trial.arms[a].values[0] - trial.arms[b].values[0])


def images_of_all_runs(trial: Trial, a: int, b: int) -> bool:
    """Bootstrap the images for the means over the seeds."""
    return _excludes_zero(trial.arms[a].values.mean(axis=0) - trial.arms[b].values.mean(axis=0))


def runs(trial: Trial, a: int, b: int) -> bool:
    """Bootstrap the runs of each arm."""
    rng = np.random.default_rng(0)
    means = []
    for arm in (a, b):
        points = trial.arms[arm].points
        means.append(points[rng.integers(len(points), size=(1000, len(points)))].mean(axis=1))
    return _excludes_zero(means[0] - means[1])


def welch(trial: Trial, a: int, b: int) -> bool:
    """Test the means over the seeds with Welch's t test."""
    found = stats.ttest_ind(trial.arms[a].points, trial.arms[b].points, equal_var=False)
    return bool(found.pvalue < ALPHA)


def sign_flip(trial: Trial, a: int, b: int) -> bool:
    """Test the differences of equal seeds exactly, with all signs."""
    differences = trial.arms[a].points - trial.arms[b].points
    signs: NDArray[np.int64] = np.array(list(product((-1, 1), repeat=len(differences))))
    means = np.abs(signs @ differences)
    return bool((means >= abs(differences.sum()) * (1 - 1e-12)).mean() < ALPHA)


NEEDS_SETS = "image bootstrap of one run each, drawn images as a set"
RIVALS: Mapping[str, Callable[[Trial, int, int], bool]] = {
    NEEDS_SETS: images_as_set,
    "image bootstrap of one run each": images_of_one_run,
    "image bootstrap of the means over seeds": images_of_all_runs,
    "bootstrap of the runs": runs,
    "Welch's t test of the seeds": welch,
    "exact sign flip of the seeds": sign_flip,
}
