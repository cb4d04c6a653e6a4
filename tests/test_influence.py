"""Does the variance over images know how well it is known itself?"""

import math

import numpy as np
import pytest

from gffpn.stats.draws import draws, group_draws
from gffpn.stats.influence import image_df, influences

ENDLESS = 10**12


def test_influences_of_a_mean_are_its_deviations() -> None:
    rng = np.random.default_rng(0)
    figures = np.array([0.0, 1.0, 5.0, -2.0])
    weights = draws(["a", "b", "c", "d"], 40_000)
    sums = figures @ weights / 4
    found = influences(np.stack([sums, np.full_like(sums, 0.5)]), weights)
    # each group is drawn 4 times in the mean, so often as a Poisson number, given their sum
    np.testing.assert_allclose(found[0], (figures - 1.0) / 4, atol=0.02)
    np.testing.assert_allclose(found[1], 0.0, atol=1e-12)
    assert (found[0] ** 2).sum() == pytest.approx(sums.var(), rel=0.02)
    # replicates without a figure do not count
    gaps = np.where(rng.random(40_000) < 0.1, math.nan, sums)
    np.testing.assert_allclose(influences(gaps[None], weights)[0], (figures - 1.0) / 4, atol=0.03)
    assert not influences(np.full((1, 40_000), math.nan), weights).any()


def test_images_of_one_group_are_drawn_together() -> None:
    groups = ["b", "a", "b", "c"]
    weights = draws(groups, 5)
    np.testing.assert_array_equal(group_draws(groups, weights), weights[[1, 0, 3]])
    assert (group_draws(groups, weights).sum(axis=0) == 3).all()


def test_degrees_of_freedom_by_hand() -> None:
    # kurtosis 1 and 0 variance: never more than those of normal values
    assert image_df(np.array([1.0, -1.0] * 5), ENDLESS) == pytest.approx(9)
    assert image_df(np.zeros(10), ENDLESS) == 9
    assert image_df(np.zeros(1), ENDLESS) == 0
    assert image_df(np.array([1.0, -1.0]), 2000) == pytest.approx(1)
    assert image_df(np.array([3.0, -1.0, -2.0]), 2000) == pytest.approx(2)
    # one group of ten holds everything: squares 81 and 1, mean 9; fourth powers 6561 and 1, mean 657
    alone = np.array([9.0] + 9 * [-1.0])
    assert image_df(alone, ENDLESS) == pytest.approx(20 / (657 / 81 - 1 + 2 / 9))
    assert image_df(3 * alone + 1, ENDLESS) == pytest.approx(image_df(alone, ENDLESS))
    # noise hides kurtosis: with as many replicates as groups, three quarters of the excess
    excess = 3 + min(4 * (657 / 81 - 3), 10 - 3) - 1
    assert image_df(alone, 10) == pytest.approx(20 / (excess + 2 / 9))


@pytest.mark.parametrize("shape", [0.5, 2.0])
def test_degrees_of_freedom_are_those_of_a_variance(shape: float) -> None:
    """A variance with nu degrees of freedom has a relative variance of 2 / nu."""
    rng = np.random.default_rng(1)
    samples = rng.gamma(shape, size=(20_000, 200))
    relative = samples.var(axis=1, ddof=1).var() / shape**2
    # the kurtosis of few values is too low, so that of many is taken, for 200 groups
    many = rng.gamma(shape, size=1_000_000)
    kurtosis = 2 * len(many) / image_df(many, ENDLESS) + 1
    assert kurtosis == pytest.approx(3 + 6 / shape, rel=0.1)
    assert 2 * 200 / (kurtosis - 1) == pytest.approx(2 / relative, rel=0.1)


@pytest.mark.parametrize("count", [300, 2000])
def test_noise_of_few_replicates_is_allowed_for(count: int) -> None:
    rng = np.random.default_rng(2)
    found = []
    for repeat in range(20):
        figures = rng.gamma(0.5, size=150)
        weights = draws([f"{repeat} {at}" for at in range(150)], count)
        own = image_df(influences((figures @ weights)[None], weights)[0], count)
        found.append(own / image_df(figures, ENDLESS))
    assert np.median(found) == pytest.approx(1, abs=0.15)
