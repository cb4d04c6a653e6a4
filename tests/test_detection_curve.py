"""Are hits, the threshold for false calls, and the curve of detection with its band right?"""

from dataclasses import replace

import numpy as np
import pytest
from scipy import optimize, special, stats

from gffpn.metrics.matching import Floats
from gffpn.report.figures.sizes import reached_word
from gffpn.stats.bands import Curves, band
from gffpn.stats.curve_fit import MARGIN, STEEPEST, cells, fitted
from gffpn.stats.detection_curve import (
    DetectionCurve,
    RunCurve,
    arm_curve,
    curves,
    fit_curve,
    reach,
    run_curve,
    side_grid,
)
from gffpn.stats.hits import Hits, chance_rate, false_call_threshold, find_hits
from hand_predictions import Image, predictions


def call(x: float, y: float, label: int = 0, score: float = 0.9) -> list[float]:
    """Return a detection of 6 x 6 px about a point."""
    return [x - 3, y - 3, x + 3, y + 3, label, score]


def test_hits_by_hand() -> None:
    # an object of 4 x 4 px is grown to 98..106; one of 20 x 20 px is not
    small, large = [100, 100, 104, 104, 0], [200, 200, 220, 220, 0]
    made = predictions(
        Image([small, large], [call(106, 98), call(221, 210)]),
        Image([small, large], [call(106.5, 102), call(219, 201), call(210, 210)]),
        Image([small], [call(102, 102, label=1)]),
        Image([small], [call(102, 102, score=0.4)]),
    )
    hits = find_hits(made, 0.5)
    assert hits.image.tolist() == [0, 0, 1, 1, 2, 3]
    assert hits.side.tolist() == [4, 20, 4, 20, 4, 4]
    assert hits.hit.tolist() == [True, False, False, True, False, False]


def test_crowd_regions_are_neither_objects_nor_false_calls() -> None:
    made = predictions(Image(crowd=[[0, 0, 50, 50, 0]], detections=[call(20, 20), call(20, 20, label=1)]))
    assert not len(find_hits(made, 0.0).side)
    # the call of the other class is one false call in one image
    assert false_call_threshold(made, rate=1.0) == 0.0
    assert false_call_threshold(made, rate=0.5) == np.nextafter(0.9, 1)


@pytest.mark.parametrize(
    ("false", "threshold"),
    [
        ([0.9, 0.8, 0.7, 0.6], np.nextafter(0.7, 1)),
        # of three equal scores, two would be one too many
        ([0.9, 0.8, 0.8, 0.8], np.nextafter(0.8, 1)),
        ([0.9, 0.8], 0.0),
        ([], 0.0),
    ],
)
def test_the_threshold_for_false_calls_by_hand(false: list[float], threshold: float) -> None:
    # 2 false calls in 20 images; hits and a second hit on the same object do not count
    hit = Image([[0, 0, 20, 20, 0]], [call(10, 10, score=0.95), call(12, 10, score=0.95)])
    images = [Image(detections=[call(10, 10, score=score)]) for score in false]
    made = predictions(hit, *images, *[Image()] * (19 - len(false)))
    assert false_call_threshold(made) == threshold


def test_hits_by_chance_by_hand() -> None:
    here, elsewhere = [48, 48, 52, 52, 0], [200, 200, 300, 300, 0]
    made = predictions(
        Image([here]),
        # two false calls within 4 px of the object in the first image, one beyond
        Image(detections=[call(52, 53), call(54, 46), call(55, 50)]),
        # another class; a call that hits its own object
        Image([elsewhere], [call(50, 50, label=1), call(250, 250)]),
        # a box of 8 px at the middle of the large object is hit, one of its size elsewhere would be
        Image(detections=[call(253, 250), call(210, 210)]),
    )
    hits = find_hits(made, 0.5)
    assert hits.chance.tolist() == [[0, 1], [2, 3]]
    # 2 objects, each moved to 3 images
    assert chance_rate(hits, np.ones((1, 4))).tolist() == [2 / 6]
    # 3 copies of the first image's object moved to 3 images, one of the third's to 5
    assert chance_rate(hits, np.array([[3, 1, 1, 1]])).tolist() == [(3 + 1) / (9 + 5)]
    assert chance_rate(hits, np.array([[2, 0, 0, 0]])).tolist() == [0]


def test_the_side_from_which_on_a_share_is_found() -> None:
    sides = np.array([1.0, 2.0, 4.0, 8.0])
    assert reach(sides, np.array([0.1, 0.5, 0.9, 0.95]), 0.7) == pytest.approx(2 * 2**0.5)
    assert reach(sides, np.array([0.1, 0.95, 0.5, 0.95]), 0.95) == pytest.approx(8.0)
    assert reach(sides, np.array([0.1, 0.5, 0.8, 0.89]), 0.9) is None
    assert reach(sides, np.array([0.9, 0.95, 0.97, 0.98]), 0.9) == 1.0


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([0.1, 0.5, 0.8, 0.89], "over 8.0"),
        ([0.9, 0.95, 0.97, 0.98], "under 1.0"),
        ([0.95, 0.8, 0.85, 0.9], "8.0"),
        ([0.89, 0.91, 0.97, 0.98], "1.4"),
    ],
)
def test_a_side_beyond_those_of_the_curve_is_called_so(values: list[float], said: str) -> None:
    sides = np.array([1.0, 2.0, 4.0, 8.0])
    assert reached_word(reach(sides, np.array(values), 0.9), sides) == said


TRUTH = DetectionCurve(floor=0.0, ceiling=0.93, middle=12.0, slope=3.0)


def objects_of(seed: int, images: int, each: int) -> Hits:
    """Return objects of 3 to 100 px, equally many in each octave, none of them hit."""
    rng = np.random.default_rng(seed)
    count = images * each
    side = np.exp(rng.uniform(np.log(3), np.log(100), count))
    image = np.repeat(np.arange(images), each)
    return Hits(images, image, side, np.zeros(count, np.bool_), np.zeros((0, 2), np.int64))


def test_the_curve_of_many_objects_is_recovered() -> None:
    truth = DetectionCurve(floor=0.1, ceiling=0.85, middle=12.0, slope=3.0)
    rng, none = np.random.default_rng(0), objects_of(0, images=50, each=400)
    # each of 20,000 objects moved to 49 images, every tenth time to a false call
    first = rng.integers(0, 50, 98_000)
    chance = np.stack([first, (first + rng.integers(1, 50, len(first))) % 50], axis=1)
    hit = rng.random(len(none.side)) < truth(none.side)
    found = fit_curve(replace(none, hit=hit, chance=chance))
    assert found.floor == pytest.approx(0.1)
    # three standard errors
    assert found.ceiling == pytest.approx(0.85, abs=0.016)
    assert found.middle == pytest.approx(12.0, rel=0.04)
    assert found.slope == pytest.approx(3.0, abs=0.3)


def test_a_detector_that_finds_everything_or_nothing_has_a_curve() -> None:
    none = objects_of(1, images=20, each=5)
    sides = side_grid(none)
    assert (sides[0], sides[-1]) == (pytest.approx(none.side.min()), pytest.approx(none.side.max()))
    np.testing.assert_allclose(fit_curve(none)(sides), 0.0, atol=0.01)
    everything = replace(none, hit=np.ones_like(none.hit))
    np.testing.assert_allclose(fit_curve(everything)(sides), 1.0, atol=0.01)
    # a sharp step at 10 px
    step = fit_curve(replace(none, hit=none.side > 10))
    assert step.ceiling == pytest.approx(1.0)
    assert step.middle == pytest.approx(10, rel=0.1)
    with pytest.raises(ValueError, match="no objects"):
        side_grid(objects_of(1, images=20, each=0))


@pytest.mark.parametrize("seed", range(5))
def test_no_other_curve_is_more_likely(seed: int) -> None:
    none, rng = objects_of(seed, images=20, each=3), np.random.default_rng(seed)
    ceiling, middle, slope = rng.uniform([0.3, 5, 1], [1, 40, 8])
    truth = DetectionCurve(0.0, ceiling, middle, slope)
    counted = cells(replace(none, hit=rng.random(len(none.side)) < truth(none.side)))
    found, objects = counted.hits.sum(axis=0), counted.objects.sum(axis=0)

    def loss(x: Floats) -> float:
        p = np.clip(x[0] * special.expit(x[2] * (counted.log_side - x[1])), 1e-9, 1 - 1e-9)
        return -float(found @ np.log(p) + (objects - found) @ np.log(1 - p))

    ends = [(0, 1), (counted.log_side[0] - MARGIN, counted.log_side[-1] + MARGIN), (0, STEEPEST)]
    starts = [(0.8, start, 3.0) for start in np.quantile(counted.log_side, [0.1, 0.3, 0.5, 0.7])]
    best = min(optimize.minimize(loss, start, method="L-BFGS-B", bounds=ends).fun for start in starts)
    assert loss(fitted(counted.log_side, found, objects, 0.0)) <= best + 1e-4


def test_a_replicate_is_the_fit_to_repeated_images() -> None:
    none = objects_of(2, images=30, each=20)
    rng = np.random.default_rng(2)
    hits = replace(none, hit=rng.random(len(none.side)) < TRUTH(none.side))
    weights = rng.multinomial(30, np.full(30, 1 / 30), 3)
    weights[2] = 0
    sides = side_grid(hits)
    found = run_curve(hits, weights, sides)
    for drawn, values in zip(weights[:2], found.replicates, strict=False):
        again = np.repeat(np.arange(len(hits.side)), drawn[hits.image])
        repeated = replace(hits, image=hits.image[again], side=hits.side[again], hit=hits.hit[again])
        np.testing.assert_allclose(values, fit_curve(repeated)(sides), atol=2e-3)
    # a replicate without objects says nothing new
    np.testing.assert_allclose(found.replicates[2], found.points)


def test_an_arm_whose_ceiling_is_low_has_no_side_of_90_percent() -> None:
    sides = np.geomspace(4, 64, 40)
    made = []
    for ceiling in (0.7, 0.8):
        curve = DetectionCurve(0.0, ceiling, 12.0, 4.0)
        made.append(RunCurve(curve, curve(sides), np.stack([curve(sides) * x for x in (0.99, 1.01)])))
    arm = arm_curve(made, sides, images=100)
    assert arm.ceiling == pytest.approx(0.75, abs=1e-3)
    assert (arm.a90, arm.a90_95) == (None, None)
    # 0.75 s = 0.5: log odds of 2 / 3 over a slope of 4
    assert arm.a50 == pytest.approx(12 * np.exp(np.log(2) / 4), rel=1e-3)
    assert arm.band.seeds
    # 0.75 and over 10 standard errors of 0.05, from little more than one degree of freedom, is above 1
    assert arm.band.upper.max() == 1.0
    assert not arm_curve(made[:1], sides, images=100).band.seeds


def test_the_ceiling_of_a_flat_curve_is_what_is_found() -> None:
    """At a slope of 0, the curve is half-way between its floor and the ceiling of the fit."""
    sides = np.geomspace(4, 64, 40)
    curve = DetectionCurve(0.0, 0.6, 12.0, 0.0)
    run = RunCurve(curve, curve(sides), np.stack([curve(sides)] * 2))
    assert arm_curve([run], sides, images=100).ceiling == pytest.approx(0.3)


def noise(seed: int, *shape: int) -> Floats:
    """Return samples (..., B, G) whose columns have variance 1, mean 0 and no correlation."""
    values = np.random.default_rng(seed).standard_normal(shape)
    centred = values - values.mean(axis=-2, keepdims=True)
    covariance = np.atleast_2d(np.cov(centred.reshape(-1, shape[-1]), rowvar=False))
    root = np.linalg.cholesky(np.linalg.inv(covariance))
    return centred @ root


def test_one_point_has_its_interval() -> None:
    # variance 0.01 of the images, one run: Student's t of 24 degrees of freedom
    found = band(Curves(np.array([[0.5]]), 0.5 + 0.1 * noise(0, 1, 400, 1)), images=25)
    wide = 0.1 * stats.t.isf(0.025, 24)
    assert found.error[0] == pytest.approx(0.1, rel=1e-2)
    assert (found.low[0], found.high[0]) == (
        pytest.approx(0.5 - wide, abs=2e-3),
        pytest.approx(0.5 + wide, abs=2e-3),
    )
    # of a single point, the band is the interval, up to the simulation of its width
    assert found.upper[0] == pytest.approx(found.high[0], abs=3e-3)
    assert not found.seeds


def test_a_band_over_independent_points_is_wider_by_sidak() -> None:
    found = band(Curves(np.full((1, 10), 0.5), 0.1 * noise(1, 1, 4000, 10)), images=10**6)
    expected = stats.norm.isf((1 - 0.95**0.1) / 2)
    assert ((found.upper - 0.5) / found.error).mean() == pytest.approx(expected, rel=0.01)
    # ten times the same point is one point
    same = band(Curves(np.full((1, 10), 0.5), np.repeat(noise(1, 1, 4000, 1), 10, axis=2)), images=10**6)
    assert ((same.upper - 0.5) / same.error).mean() == pytest.approx(stats.norm.isf(0.025), rel=0.01)


def test_seeds_add_their_variance_by_hand() -> None:
    # seed means 0.4, 0.5, 0.6: s^2 = 0.01; replicates shift all seeds alike, by a variance of 0.0025
    points = np.array([[0.4], [0.5], [0.6]])
    shared = 0.05 * noise(2, 1, 500, 1)
    found = band(Curves(points, points[:, None] + shared), images=50)
    assert found.error[0] ** 2 == pytest.approx(0.0025 + 0.01 / 3, rel=0.01)
    # Satterthwaite: 49 and 2 degrees of freedom
    degrees = (0.0025 + 0.01 / 3) ** 2 / (0.0025**2 / 49 + (0.01 / 3) ** 2 / 2)
    assert (found.high[0] - 0.5) / found.error[0] == pytest.approx(stats.t.isf(0.025, degrees), rel=0.01)
    # the difference to an arm of two seeds, 0.1 and 0.3: s^2 = (0.02 + 0.02) / 3, shared images cancel
    second = np.array([[0.1], [0.3]])
    contrast = band(
        Curves(points, points[:, None] + shared), Curves(second, second[:, None] + shared), images=50
    )
    assert contrast.value[0] == pytest.approx(0.3)
    assert contrast.error[0] ** 2 == pytest.approx(0.04 / 3 * (1 / 3 + 1 / 2), rel=0.01)


def test_what_depends_on_image_and_seed_is_counted_once() -> None:
    # seeds that differ by less than their interaction with the images: the replicates hold it all
    points = np.array([[0.49], [0.51]])
    apart = 0.1 * noise(3, 2, 4000, 1)
    found = band(Curves(points, points[:, None] + apart), images=50)
    assert found.error[0] ** 2 == pytest.approx(0.01 / 2, rel=0.1)


def runs_of(seed: int, sides: Floats, *, images: int = 60, each: int = 4, seeds: int = 3) -> list[RunCurve]:
    """Return runs on the same images; hits are correlated within an object, an image and a seed."""
    rng, none = np.random.default_rng([7, seed]), objects_of(seed + 100, images, each)
    weights = rng.multinomial(images, np.full(images, 1 / images), 100)
    hard = 0.5 * rng.standard_normal(images)[none.image] + 0.5 * rng.standard_normal(len(none.side))
    runs = []
    for _ in range(seeds):
        luck = special.ndtr(hard + np.sqrt(0.5) * rng.standard_normal(len(hard)))
        curve = replace(TRUTH, middle=TRUTH.middle * np.exp(0.1 * rng.standard_normal()))
        runs.append(run_curve(replace(none, hit=luck < curve(none.side)), weights, sides))
    return runs


def coverage(repeats: int, *, images: int = 180, seeds: int = 3) -> tuple[float, float]:
    """Return how often a band holds the mean curve over seeds at all sides, and that of a difference zero.

    The difference is that of two arms which are alike.
    """
    sides = np.geomspace(4, 90, 30)
    shifts = special.ndtri((np.arange(200) + 0.5) / 200)
    truth = np.mean([replace(TRUTH, middle=12 * np.exp(0.1 * x))(sides) for x in shifts], axis=0)
    held, zero = 0, 0
    for seed in range(repeats):
        runs = runs_of(seed, sides, images=images, seeds=2 * seeds)
        arm, other = curves(runs[:seeds]), curves(runs[seeds:])
        one, difference = band(arm, images=images), band(arm, other, images=images)
        held += bool(((one.lower <= truth) & (truth <= one.upper)).all())
        zero += bool(((difference.lower <= 0) & (difference.upper >= 0)).all())
    return held / repeats, zero / repeats


@pytest.mark.slow
def test_bands_hold_the_true_curve() -> None:
    # of 120 repeats, 0.95 and 0.95; with one seed in each arm, and so without their variance, 0.67 and 0.55
    assert min(coverage(15)) >= 0.9


def test_points_that_never_vary_have_a_band_of_their_value() -> None:
    """Such as errors of class where there is one class: neither images nor seeds vary."""
    rare = np.zeros((2, 40, 2))
    rare[:, :20, 1] = np.array([[1.0], [-1.0]])  # of a seed on single images alone; both means agree
    arm = Curves(np.array([[0.0, 1.0], [0.0, 1.5]]), rare)
    found = band(arm, Curves(np.zeros((2, 2)), np.zeros((2, 40, 2))), images=40)
    assert np.isfinite([found.lower, found.upper, found.low, found.high]).all()
    assert found.lower[0] == found.upper[0] == 0
