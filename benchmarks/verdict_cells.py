"""The cells in which the error rates of the rule are measured, and the synthetic sweeps of each."""

from collections import defaultdict
from typing import NamedTuple

import numpy as np

from benchmarks.synthetic_sweep import SMALL, Effects, Truth, draw_arm, draw_truth, matches_of
from benchmarks.verdict_rules import Trial
from gffpn.metrics.matching import Floats, Matches
from gffpn.stats.draws import Counts, draws
from gffpn.stats.estimate import Sample
from gffpn.stats.influence import influences
from gffpn.stats.reweighted import mean_precision, reweighted_precision
from gffpn.streams import numpy_stream

ENDPOINTS = ("mAP50", f"AP_{SMALL}")
EQUAL, BETTER = range(4), 4
THIRD = slice(None, None, 3)
"""The AP of small objects is that at every third IoU threshold, to save time."""


class Cell(NamedTuple):
    """Sizes and variances of the sweeps of one cell."""

    seeds: int
    images: int
    variance: str
    shift: float
    """Of the better arm, in logits; near 80 % power."""

    def effects(self, arm: int) -> Effects:
        """Return the latent variances of an arm."""
        own = VARIANCES[self.variance]
        return own._replace(seed=4 * own.seed) if self.variance == UNEQUAL and arm < 2 else own

    def __str__(self) -> str:
        return f"{self.seeds} seeds, {self.images} images, {self.variance}"


UNEQUAL = "unequal arms"
VARIANCES = {
    "no seed variance": Effects(seed=0.0, seed_image=0.2),
    "seed sd 1.5": Effects(seed=0.08, seed_image=0.2),
    "interaction": Effects(seed=0.03, seed_image=1.0),
    UNEQUAL: Effects(seed=0.04, seed_image=0.2),
}
"""By name; the standard deviations between seeds are points of mAP50 on very many images."""
SIZES = ((3, 60), (3, 180), (5, 60), (5, 180))
SHIFTS = {
    "no seed variance": (0.6, 0.38, 0.48, 0.28),
    "seed sd 1.5": (0.64, 0.4, 0.51, 0.33),
    "interaction": (0.8, 0.49, 0.57, 0.38),
    UNEQUAL: (None, 0.5, None, 0.4),
}
CELLS = [
    Cell(*size, variance, shift)
    for variance, shifts in SHIFTS.items()
    for size, shift in zip(SIZES, shifts, strict=True)
    if shift
]


def trials(cell: Cell, number: int, *, count: int) -> dict[str, Trial]:
    """Draw one sweep; return it by endpoint, with `count` replicates."""
    rng = numpy_stream("error rates", str(cell), number)
    truth = draw_truth(rng, cell.images, cell.effects(BETTER))
    drawn = draws([f"{number} {image}" for image in range(cell.images)], count)
    weights = np.concatenate([np.ones_like(drawn[:, :1]), drawn], axis=1)
    arms: list[dict[str, Floats]] = []
    sets = []
    for arm in (*EQUAL, BETTER):
        shift = cell.shift if arm == BETTER else 0.0
        found = [
            matches_of(truth, run)
            for run in draw_arm(rng, truth, cell.effects(arm), seeds=cell.seeds, shift=shift)
        ]
        runs = [_replicates(one, weights) for one in found]
        arms.append({name: np.stack([run[name] for run in runs]) for name in ENDPOINTS})
        sets.append(_mean_ap50(found[0], np.minimum(weights[:, 1:], 1)))
    return {
        name: Trial(
            [_sample(arm[name], drawn) for arm in arms],
            np.stack(sets) if name == "mAP50" else None,
        )
        for name in ENDPOINTS
    }


def _sample(figures: Floats, drawn: Counts) -> Sample:
    points, values = figures[:, 0], figures[:, 1:]
    return Sample(points, values, influences(values, drawn))


def _replicates(matches: Matches, weights: Counts) -> dict[str, Floats]:
    by_size = mean_precision(reweighted_precision(matches, weights, size=SMALL, ious=THIRD))
    return {"mAP50": _mean_ap50(matches, weights), f"AP_{SMALL}": by_size}


def _mean_ap50(matches: Matches, weights: Counts) -> Floats:
    return mean_precision(reweighted_precision(matches, weights, ious=slice(0, 1)))


def true_differences(cell: Cell, *, images: int = 90_000) -> dict[str, float]:
    """Return how much better the better arm is on test sets of the cell's size, by endpoint."""
    found: dict[str, list[float]] = defaultdict(list)
    for number in range(images // cell.images):
        rng = numpy_stream("error rates", "truth", number)
        truth = draw_truth(rng, cell.images, cell.effects(BETTER))
        base, better = (_one_run(cell, truth, number, shift) for shift in (0.0, cell.shift))
        for name in ENDPOINTS:
            found[name].append(better[name] - base[name])
    return {name: float(np.nanmean(values)) for name, values in found.items()}


def _one_run(cell: Cell, truth: Truth, number: int, shift: float) -> dict[str, float]:
    # the same effects for both arms, so that their difference varies little
    rng = numpy_stream("error rates", "run", number)
    (run,) = draw_arm(rng, truth, cell.effects(BETTER), seeds=1, shift=shift)
    matches, once = matches_of(truth, run), np.ones((truth.images, 1), dtype=np.int32)
    return {name: float(values[0]) for name, values in _replicates(matches, once).items()}
