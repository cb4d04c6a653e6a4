"""Are intervals, verdicts and plans those of the textbook, and of statsmodels where it has them?"""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestIndPower
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW, ttost_ind

from gffpn.metrics.matching import Floats
from gffpn.stats.estimate import Estimate, Sample, Spread, estimate, spread
from gffpn.stats.planning import Parts, need
from gffpn.stats.verdicts import detectable, holm, verdicts

GROUPS = 101


def sample(points: Floats, values: Floats, groups: int = GROUPS) -> Sample:
    """Return figures whose variance over images has `groups` - 1 degrees of freedom."""
    return Sample(points, values, np.zeros((len(points), groups)))


def certain(*points: float, groups: int = GROUPS) -> Sample:
    """Return figures that do not depend on the images."""
    return sample(np.array(points), np.tile(np.array(points)[:, None], 8), groups)


def made(delta: float, variance: float, *, df: int = 10) -> Estimate:
    """Return a difference whose variance comes from seeds alone, with `df` degrees of freedom."""
    shared = Spread(variance, 0.0, df)
    return Estimate(delta, 0.0, (shared, shared), (2, 2), GROUPS, GROUPS - 1, 0.5)


def crossed(rng: np.random.Generator, seeds: int, *, count: int = 1000) -> Sample:
    """Return figures with a variance of 4 between seeds, 1 between images, and 2 of both together."""
    figures = rng.normal(0, 2, seeds)
    images = rng.normal(0, 1, count) + rng.normal(0, math.sqrt(2), (seeds, count))
    return sample(figures + rng.normal(0, math.sqrt(2), seeds), figures[:, None] + images, 10_000)


def test_variances_by_hand() -> None:
    one = sample(np.array([1.0, 2.0, 6.0]), np.array([[0.0, 3.0], [2.0, 3.0], [4.0, 3.0]]), 5)
    found = spread([one])
    # means 2 and 3: rows less the means are (-2, 0), (0, 0), (2, 0): variances 2, 0, 2, times 5 / 4, by 2
    assert found == Spread(seeds=7.0, interaction=2.5, df=2)
    assert found.own == 4.5
    other = sample(np.array([3.0, 5.0]), np.array([[1.0, 1.0], [1.0, 2.0]]), 5)
    # rows less the means: (0, -1/2), (0, 1/2): variances 1/8 each, times 5 / 4, by 1
    assert spread([other]) == Spread(2.0, 0.3125, 1)
    pooled = spread([one, other])
    assert tuple(pooled) == pytest.approx(((14 + 2) / 3, (5.0 + 0.3125) / 3, 3))
    assert spread([one, other, certain(9.0)]) == pooled

    found_difference = estimate(one, other, arms=[one, other])
    # means of the replicates: (2, 3) and (1, 1.5): differences 1 and 1.5, variance 1/8
    assert found_difference.delta == -1.0
    assert found_difference.image_variance == pytest.approx(0.125 * 5 / 4)
    assert found_difference.seed_variance == pytest.approx(pooled.own * (1 / 3 + 1 / 2))
    assert found_difference.variance == pytest.approx(0.15625 + pooled.own * 5 / 6)


def test_satterthwaite_by_hand() -> None:
    shared = Spread(6.0, 2.0, 4)
    one = Estimate(0.0, 3.0, (shared, shared), (3, 2), GROUPS, GROUPS - 1, 0.5)
    # 3 + (6 - 2) (1/3 + 1/2); the mean square between seeds has 6 x 5/6 = 5
    assert one.variance == pytest.approx(3 + 10 / 3)
    assert one.df == pytest.approx((19 / 3) ** 2 / (9 / 100 + 25 / 4))
    apart = Estimate(0.0, 3.0, (Spread(6.0, 2.0, 2), Spread(40.0, 0.0, 1)), (3, 2), GROUPS, GROUPS - 1, 0.5)
    assert apart.variance == pytest.approx(3 + 4 / 3 + 20)
    assert apart.df == pytest.approx((73 / 3) ** 2 / (9 / 100 + 4 / 2 + 400 / 1))
    nothing = Spread(0.0, 0.0, 4)
    assert Estimate(0.0, 0.0, (nothing, nothing), (3, 3), GROUPS, GROUPS - 1, 0.5).df == math.inf
    # an interaction above the mean square: no variance of seeds, and no fewer degrees than the least part has
    small = Spread(6.0, 8.0, 4)
    assert Estimate(0.0, 1.0, (small, small), (2, 2), GROUPS, GROUPS - 1, 0.5).seed_variance == 0
    assert Estimate(0.0, 1.0, (small, small), (2, 2), GROUPS, GROUPS - 1, 0.5).df == 4


def test_variances_of_a_crossed_model_are_found() -> None:
    rng = np.random.default_rng(0)
    arms = [crossed(rng, 300) for _ in range(2)]
    found = estimate(*arms, arms=arms)
    assert found.spreads[0].seeds == pytest.approx(4 + 2, rel=0.1)
    assert found.spreads[0].interaction == pytest.approx(2, rel=0.01)
    assert found.spreads[0].own == pytest.approx(4, rel=0.15)
    # images are the same in both arms only if they share their draws; here they do not
    assert found.image_variance == pytest.approx(2 * (1 + 2 / 300), rel=0.1)


@pytest.mark.parametrize("b", [(0.5, 0.7, 0.55), (0.5, 0.7, 0.61, 0.66), (0.5, 0.5001, 0.5002)])
def test_without_images_it_is_the_t_test_of_statsmodels(b: tuple[float, ...]) -> None:
    a = (0.62, 0.8, 0.71)
    pair = [certain(*a), certain(*b)]
    found = estimate(*pair, arms=pair)
    means = CompareMeans(DescrStatsW(a), DescrStatsW(b))
    usevar = "pooled" if found.pooled else "unequal"
    assert found.pooled == (b[1] == 0.7)
    assert found.interval() == pytest.approx(means.tconfint_diff(usevar=usevar))
    assert found.interval(0.8) == pytest.approx(means.tconfint_diff(alpha=0.2, usevar=usevar))
    assert found.p == pytest.approx(means.ttest_ind(usevar=usevar)[1])
    for margin in (0.05, 0.2, 0.4):
        p = ttost_ind(a, b, -margin, margin, usevar=usevar)[0]
        (verdict,) = verdicts([found], margin=margin)
        assert (-margin < verdict.equivalence[0] and verdict.equivalence[1] < margin) == (p < 0.05)
        assert verdict.word == ("cannot tell" if p >= 0.05 else "same") or found.p < 0.05


def test_a_family_is_equivalent_at_the_level_divided_by_its_size() -> None:
    a, b = (0.62, 0.64, 0.66), (0.625, 0.645, 0.66)
    pair = [certain(*a), certain(*b)]
    found = estimate(*pair, arms=pair)
    for margin in np.linspace(0.01, 0.2, 39):
        p = ttost_ind(a, b, -margin, margin)[0]
        words = {one.word for one in verdicts([found] * 3, margin=margin)}
        assert words == {"same" if p < 0.05 / 3 else "cannot tell"}


def test_holm_is_that_of_statsmodels() -> None:
    rng = np.random.default_rng(0)
    for size in (1, 2, 6, 20):
        p = rng.random(size) ** 3
        np.testing.assert_allclose(holm(list(p)), multipletests(p, method="holm")[1])
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.02, 0.02]) == pytest.approx([0.04, 0.04])
    assert holm([]) == []


def test_verdicts_by_hand() -> None:
    # variance of the difference: that of both arms' means of two seeds, so v / 2 + v / 2
    sd = 0.004
    half = stats.t.isf(0.025, 10) * sd
    family = {
        "better": made(half * 1.01, sd**2),
        "worse": made(-half * 1.01, sd**2),
        "cannot tell": made(half * 0.99, sd**2),
        "same": made(0.0, sd**2),
    }
    assert stats.t.isf(0.05, 10) * sd < 0.01 < half * 0.99 + stats.t.isf(0.05, 10) * sd
    for word, one in family.items():
        (verdict,) = verdicts([one])
        assert (verdict.word, verdict.small) == (word, False)
    # certain, and certainly smaller than the margin
    (small,) = verdicts([made(0.002, 1e-8)])
    assert (small.word, small.small) == ("better", True)
    # in a family of two, the first would need p < 0.025
    assert [one.word for one in verdicts([family["better"], family["cannot tell"]])] == ["cannot tell"] * 2
    assert [one.word for one in verdicts([family["better"], family["worse"]])] == ["cannot tell"] * 2
    assert [one.word for one in verdicts([family["better"], made(0.1, sd**2)])] == ["better", "better"]
    assert verdicts([]) == []


def test_claims_of_equality_count_the_interaction_twice() -> None:
    shared = Spread(2e-4, 1e-4, 8)
    one = Estimate(0.0, 2e-4, (shared, shared), (5, 5), GROUPS, GROUPS - 1, 0.5)
    assert one.variance == pytest.approx(2e-4 + 1e-4 * 2 / 5)
    assert one.cautious.variance == pytest.approx(2e-4 + 2e-4 * 2 / 5)
    assert one.cautious.pooled
    (verdict,) = verdicts([one])
    assert verdict.equivalence == one.cautious.interval(0.9)
    low, high = one.interval(0.9)
    between = (high + verdict.equivalence[1]) / 2
    assert -between < low < high < between
    assert verdicts([one], margin=between)[0].word == "cannot tell"
    assert verdicts([one], margin=1.01 * verdict.equivalence[1])[0].word == "same"
    apart = Estimate(0.0, 1e-4, (shared, Spread(4e-4, 1e-4, 4)), (5, 5), GROUPS, GROUPS - 1, 0.5)
    assert apart.cautious.variance == pytest.approx(1e-4 + 6e-4 / 5)


def test_no_variance_no_group_no_second_seed() -> None:
    equal = certain(0.5, 0.5)
    (verdict,) = verdicts([estimate(equal, equal, arms=[equal])])
    assert (verdict.word, verdict.p) == ("same", 1.0)
    (verdict,) = verdicts([estimate(certain(0.6, 0.6), equal, arms=[equal])])
    assert (verdict.word, verdict.p) == ("better", 0.0)
    for one in (certain(0.5, 0.7, groups=1), certain(0.5)):
        found = estimate(one, one, arms=[one])
        assert math.isnan(found.variance)
        assert math.isnan(found.interval()[0])
        assert [verdict.word for verdict in verdicts([found])] == ["cannot tell"]


def test_replicates_without_objects_do_not_count() -> None:
    rng = np.random.default_rng(0)
    one, other = (sample(rng.random(3), rng.random((3, 50))) for _ in range(2))
    gaps = np.zeros((3, 20)) + math.nan
    longer = [sample(short.points, np.hstack([short.values, gaps])) for short in (one, other)]
    assert estimate(*longer, arms=longer) == estimate(one, other, arms=[one, other])


def test_probability_of_superiority_by_hand() -> None:
    one = sample(np.array([0.5, 0.7]), np.array([[0.5, 0.6], [0.7, 0.2]]))
    other = sample(np.array([0.6, 0.6]), np.array([[0.6, 0.6], [0.4, 0.6]]))
    # first replicate: 0.5 and 0.7 against 0.6 and 0.4: 3 of 4; second: 0.6 and 0.2 against 0.6: 1/2 and 0
    assert estimate(one, other, arms=[one, other]).superiority == (3 + 0.5 + 0.5) / 8


@pytest.mark.parametrize("seeds", [3, 5, 12])
def test_detectable_difference_is_that_of_statsmodels(seeds: int) -> None:
    df = 2 * (seeds - 1)
    found = detectable(2 / seeds, df, 0.05)
    power = TTestIndPower().power(found, seeds, 0.05)
    assert power == pytest.approx(0.8, abs=0.02)


def test_a_plan_for_the_present_size_is_the_present_table() -> None:
    rng = np.random.default_rng(1)
    arms: list[Sample] = []
    images = rng.normal(0, 0.01, 4000)
    for _ in range(3):
        noise = rng.normal(0, 0.006, (4, 4000)) + rng.normal(0, 0.01, 4000) + images
        points: Floats = rng.normal(0.5, 0.02, 4)
        arms.append(sample(points, points[:, None] + noise))
    one = estimate(arms[0], arms[1], arms=arms)
    parts = Parts.of(one)
    assert parts.arms == 3
    (verdict, *_) = verdicts([one] * 2)
    assert parts.detectable(4, alpha=0.025) == pytest.approx(verdict.detectable)
    # each arm with a variance of its own
    apart = [arms[0], sample(arms[1].points, arms[1].values), certain(0.5, 0.5001, 0.5, 0.5)]
    one = estimate(apart[0], apart[1], arms=apart)
    assert not one.pooled
    assert Parts.of(one).detectable(4, alpha=0.05) == pytest.approx(detectable(one.variance, one.df, 0.05))


def test_needs_by_hand() -> None:
    # without images, n seeds detect (t(0.975) + t(0.8)) sqrt(2 v / n) with 2 (n - 1) degrees
    def seeds_for(variance: float, margin: float) -> int:
        for seeds in range(2, 31):
            df = 2 * (seeds - 1)
            if (stats.t.isf(0.025, df) + stats.t.ppf(0.8, df)) * math.sqrt(2 * variance / seeds) <= margin:
                return seeds
        raise AssertionError

    pair = [certain(0.50, 0.52), certain(0.51, 0.53)]
    one = estimate(*pair, arms=pair)
    for margin in (0.012, 0.02, 0.05):
        wanted = seeds_for(0.0002, margin)
        assert 2 < wanted < 30
        found = need(one, margin=margin, alpha=0.05)
        assert (found.seeds, found.images) == (wanted, None)
    found = need(one, margin=0.001, alpha=0.05)
    assert (found.seeds, found.images, found.many_seeds) == (None, None, True)
    # from images alone: the variance falls as their number rises
    shared = Spread(0.0, 0.0, 4)
    one = Estimate(0.0, 0.02**2, (shared, shared), (3, 3), 1001, 1000, 0.5)
    found = need(one, margin=0.02, alpha=0.05)
    assert found.seeds is None
    assert found.images is not None
    assert (1.96 + 0.8416) ** 2 <= found.images <= (1.96 + 0.8416) ** 2 * 1.11
    assert need(one, margin=0.0001, alpha=0.05) == need(one, margin=0.00001, alpha=0.05)
    assert need(one, margin=0.0001, alpha=0.05).images is None
