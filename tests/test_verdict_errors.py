"""Does the simulation of error rates simulate what it says, and do the rivals follow their rules?"""

import csv
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import variance_ratio, verdict_errors
from benchmarks.replicates import synthetic
from benchmarks.synthetic_sweep import SMALL, Effects, Found, Truth, draw_arm, draw_truth, matches_of
from benchmarks.verdict_cells import CELLS, true_differences
from benchmarks.verdict_rules import RIVALS, Trial, sign_flip
from gffpn.metrics.evaluated import Evaluated
from gffpn.metrics.matching import Boxes, Floats, Matches, size_ranges
from gffpn.stats.estimate import Sample
from gffpn.streams import numpy_stream


def matched_boxes(truth: Truth, found: Found) -> Matches:
    """Place objects 200 px apart, detections beside them so that IoU is as drawn, false alarms elsewhere."""
    slots = np.arange(len(truth.image)) * 200.0

    def boxes(left: NDArray[np.floating], top: float, small: NDArray[np.bool_]) -> Floats:
        side = np.where(small, 10.0, 100.0)
        return np.stack([left, np.full(len(left), top), left + side, top + side], axis=1)

    side = np.where(truth.small, 10.0, 100.0)
    moved = side[found.object] * (1 - found.iou) / (1 + found.iou)
    alarms = boxes(np.arange(len(found.image)) * 200.0, 1000.0, found.small)
    on_objects = boxes(slots[found.object] + moved, 0.0, truth.small[found.object])
    order = np.argsort(found.image, kind="stable")
    evaluated = Evaluated(
        np.arange(truth.images),
        np.ones((truth.images, 2)),
        Boxes(
            found.image[order],
            found.label[order],
            np.where(found.object[:, None] >= 0, on_objects, alarms)[order],
        ),
        found.score[order],
        Boxes(truth.image, truth.label, boxes(slots, 0.0, truth.small)),
        np.zeros(len(truth.image), np.bool_),
    )
    return evaluated.matches(5, [one for one in size_ranges((8, 16)) if one.name in ("all", SMALL)])


def test_the_matches_of_the_simulation_are_those_of_boxes() -> None:
    rng = numpy_stream("test")
    effects = Effects(seed=0.1, seed_image=0.5)
    truth = draw_truth(rng, 40, effects)
    for run in draw_arm(rng, truth, effects, seeds=2):
        written, boxed = matches_of(truth, run), matched_boxes(truth, run)
        assert written.ranges == boxed.ranges
        for name in ("image", "label", "score", "object_image", "object_label", "object_inside"):
            np.testing.assert_array_equal(getattr(written, name), getattr(boxed, name))
        np.testing.assert_array_equal(written.outcome, boxed.outcome)
        assert set(np.unique(written.outcome[1])) == {-1, 0, 1}


def trial(*points: tuple[float, ...], noise: float = 0.0) -> Trial:
    rng = np.random.default_rng(0)
    arms = [
        Sample(
            np.array(own),
            np.array(own)[:, None] + noise * rng.normal(size=(len(own), 200)),
            np.zeros((len(own), 50)),
        )
        for own in points
    ]
    return Trial(arms, np.stack([arm.values[0] for arm in arms]))


def test_rivals_by_hand() -> None:
    apart = trial((0.5, 0.51, 0.52), (0.6, 0.61, 0.63), noise=0.001)
    assert {name: rule(apart, 0, 1) for name, rule in RIVALS.items()} == {
        "image bootstrap of one run each, drawn images as a set": True,
        "image bootstrap of one run each": True,
        "image bootstrap of the means over seeds": True,
        "bootstrap of the runs": True,
        "Welch's t test of the seeds": True,
        # 2 of 8 signs give as large a difference, however large it is
        "exact sign flip of the seeds": False,
    }
    together = trial((0.5, 0.51, 0.53), (0.52, 0.5, 0.51), noise=0.1)
    assert not any(rule(together, 0, 1) for rule in RIVALS.values())
    six = trial(tuple(np.linspace(0.5, 0.51, 6)), tuple(np.linspace(0.6, 0.61, 6)))
    assert sign_flip(six, 0, 1)


def test_one_cell_of_the_simulation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = partial(true_differences, images=3_000)
    monkeypatch.setattr(verdict_errors, "true_differences", few)
    out = tmp_path / "rates.csv"
    cell = str(CELLS[0])
    verdict_errors.main(["--repeats", "2", "--replicates", "20", "--cells", cell, "--out", str(out)])
    with out.open() as file:
        rows = list(csv.DictReader(file))
    # sets of images are drawn for mAP50 alone
    assert [row["endpoint"] for row in rows] == ["mAP50"] * 8 + ["AP_8_16"] * 7
    assert all(0 <= float(row["false"]) <= 1 and float(row["difference"]) > 0 for row in rows)
    assert [row["rule"] for row in rows if row["coverage"]] == ["ours", "ours, interaction twice"] * 2
    assert "at most 7.8" in capsys.readouterr().out


def test_a_limit_by_chance_errs_where_one_arm_is_unstable() -> None:
    assert variance_ratio.limit(2, 3) == pytest.approx(199, rel=0.05)  # F(2, 2) at 0.995
    rows = variance_ratio.rates(11, 3, "one arm x16", repeats=100)
    loudest = {row["rule"]: float(row["loudest"]) for row in rows}
    assert loudest["ours"] <= 0.15 < min(loudest["pooled"], loudest["1 %"])
    assert [row["own"] for row in rows if row["rule"] in ("pooled", "own")] == [0.0, 1.0]


def test_synthetic_predictions_have_the_density_that_was_asked_for() -> None:
    one, other = (synthetic(50, 6, objects=2.3, detections=30, seed=seed) for seed in (0, 1))
    assert len(one.evaluated.objects.image) == 115
    assert len(one.evaluated.scores) == len(other.evaluated.scores) == 1500
    np.testing.assert_array_equal(one.evaluated.objects.xyxy, other.evaluated.objects.xyxy)
