"""Error rates of the rule that gives verdicts, and of the rules of others, on synthetic detections.

    python -m benchmarks.verdict_errors                     # 12 cells of 400 sweeps
    python -m benchmarks.verdict_errors --repeats 40 --cells "3 seeds, 60 images, none"

A sweep has four equal arms and one that is better. Each cell counts, at a nominal 5 %:

    false     verdicts between equal arms, over their 6 contrasts, each alone
    family    sweeps with a verdict between equal arms when the 6 contrasts are one family
    coverage  95 % intervals of the better arm's contrasts that contain the true difference
    power     verdicts that the better arm is better, each alone
    planned   the same, as the plan from the variances says
    same      verdicts "same" of the better arm, with its true difference as the margin

The true difference is the mean over test sets of the cell's size, 90,000 images in all, each with a seed of
its own. (On very large sets it is 1 to 9 % larger: average precision depends on the number of objects.)
"""

import argparse
import math
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import special

from benchmarks.synthetic_sweep import SMALL, Effects, Truth, draw_arm, draw_truth, matches_of
from benchmarks.verdict_rules import ALPHA, ESTIMATES, NEEDS_SETS, RIVALS, Trial, ours
from gffpn.files.tables import markdown_table, write_csv
from gffpn.machine.memory import keep_freed_memory
from gffpn.metrics.matching import Floats, Matches
from gffpn.stats.draws import Counts, draws
from gffpn.stats.estimate import Sample
from gffpn.stats.reweighted import mean_precision, reweighted_precision
from gffpn.stats.verdicts import verdicts
from gffpn.streams import numpy_stream

ENDPOINTS = ("mAP50", f"AP_{SMALL}")
EQUAL, BETTER = range(4), 4
THIRD = slice(None, None, 3)
"""The AP of small objects is that at every third IoU threshold, to save time."""
RESULTS = Path("experiments/results/verdict_errors.csv")
BOUND = 0.078
"""Largest rate that 400 repeats can show by chance (99 %) if the true one is 5 %."""


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
    rng = numpy_stream("verdict errors", str(cell), number)
    truth = draw_truth(rng, cell.images, cell.effects(BETTER))
    weights = draws([f"{number} {image}" for image in range(cell.images)], count)
    weights = np.concatenate([np.ones_like(weights[:, :1]), weights], axis=1)
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
            [Sample(arm[name][:, 0], arm[name][:, 1:]) for arm in arms],
            np.stack(sets) if name == "mAP50" else None,
            cell.images,
        )
        for name in ENDPOINTS
    }


def _replicates(matches: Matches, weights: Counts) -> dict[str, Floats]:
    by_size = mean_precision(reweighted_precision(matches, weights, size=SMALL, ious=THIRD))
    return {"mAP50": _mean_ap50(matches, weights), f"AP_{SMALL}": by_size}


def _mean_ap50(matches: Matches, weights: Counts) -> Floats:
    return mean_precision(reweighted_precision(matches, weights, ious=slice(0, 1)))


def true_differences(cell: Cell, *, images: int = 90_000) -> dict[str, float]:
    """Return how much better the better arm is on test sets of the cell's size, by endpoint."""
    found: dict[str, list[float]] = defaultdict(list)
    for number in range(images // cell.images):
        rng = numpy_stream("verdict errors", "truth", number)
        truth = draw_truth(rng, cell.images, cell.effects(BETTER))
        base, better = (_one_run(cell, truth, number, shift) for shift in (0.0, cell.shift))
        for name in ENDPOINTS:
            found[name].append(better[name] - base[name])
    return {name: float(np.nanmean(values)) for name, values in found.items()}


def _one_run(cell: Cell, truth: Truth, number: int, shift: float) -> dict[str, float]:
    # the same effects for both arms, so that their difference varies little
    rng = numpy_stream("verdict errors", "run", number)
    (run,) = draw_arm(rng, truth, cell.effects(BETTER), seeds=1, shift=shift)
    matches, once = matches_of(truth, run), np.ones((truth.images, 1), dtype=np.int32)
    return {name: float(values[0]) for name, values in _replicates(matches, once).items()}


def judge(trial: Trial, true: float) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield each rule's name with its rates in one sweep, and the mean variance and degrees of freedom."""
    equal, better = list(combinations(EQUAL, 2)), [(BETTER, arm) for arm in EQUAL]
    estimates = {pair: ours(trial, *pair) for pair in (*equal, *better)}
    for name, rule in ESTIMATES.items():
        null = [rule(estimates[pair]) for pair in equal]
        found = [rule(estimates[pair]) for pair in better]
        ends = [one.interval(1 - ALPHA) for one in found]
        same = [verdicts([one], margin=true)[0] for one in found]
        yield (
            name,
            {
                "false": float(np.mean([one.p < ALPHA for one in null])),
                "family": float(any(one.word in ("better", "worse") for one in verdicts(null))),
                "coverage": float(np.mean([low <= true <= high for low, high in ends])),
                "power": float(np.mean([one.p < ALPHA and one.delta > 0 for one in found])),
                "same": float(np.mean([one.small or one.word == "same" for one in same])),
                "variance": float(np.mean([one.variance for one in found])),
                "df": float(np.mean([one.df for one in found])),
            },
        )
    for name, rival in RIVALS.items():
        if name == NEEDS_SETS and trial.sets is None:
            continue
        yield (
            name,
            {
                "false": float(np.mean([rival(trial, a, b) for a, b in equal])),
                "power": float(np.mean([rival(trial, a, b) for a, b in better])),
            },
        )


def rates(cell: Cell, *, repeats: int, count: int) -> list[dict[str, str | float]]:
    """Return a row for each endpoint and rule: the means of its rates over the repeats."""
    true = true_differences(cell)
    found: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
    for number in range(repeats):
        for endpoint, trial in trials(cell, number, count=count).items():
            for rule, one in judge(trial, true[endpoint]):
                found[endpoint, rule].append(one)
    rows: list[dict[str, str | float]] = []
    for (endpoint, rule), taken in found.items():
        mean = {name: float(np.mean([one[name] for one in taken])) for name in taken[0]}
        if "df" in mean:
            mean["planned"] = planned_power(true[endpoint], mean.pop("variance"), mean.pop("df"))
        rows.append(
            {
                "seeds": cell.seeds,
                "images": cell.images,
                "variance": cell.variance,
                "endpoint": endpoint,
                "difference": round(true[endpoint], 5),
                "rule": rule,
                **{name: round(value, 4) for name, value in mean.items()},
            }
        )
    return rows


def planned_power(true: float, variance: float, df: float) -> float:
    """Return the power for which `detectable` plans at this difference."""
    return float(special.stdtr(df, true / math.sqrt(variance) - special.stdtrit(df, 1 - ALPHA / 2)))


def summary(rows: Sequence[Mapping[str, str | float]], endpoint: str) -> str:
    """Return a Markdown table of the rules: false verdicts and power over the cells of an endpoint."""
    body = []
    for rule in (*ESTIMATES, *RIVALS):
        own = [row for row in rows if (row["rule"], row["endpoint"]) == (rule, endpoint)]
        if not own:
            continue
        false = np.array([float(row["false"]) for row in own])
        power = np.array([float(row["power"]) for row in own])
        worst = [100 * false.min(), 100 * false.max()]
        kept = "yes" if false.max() <= BOUND else "no"
        body.append(
            [
                rule,
                f"{100 * false.mean():.1f}",
                "{:.1f} to {:.1f}".format(*worst),
                kept,
                f"{100 * power.mean():.0f}",
            ]
        )
    return markdown_table(["rule", "false %", "over the cells", "within 7.8", "power %"], body)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the cells, print their rates and write them as CSV."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=400, help="sweeps per cell (default: 400)")
    parser.add_argument("--replicates", type=int, default=300, help="of each run (default: 300)")
    parser.add_argument("--cells", nargs="+", help=f"names such as '{CELLS[0]}' (default: all)")
    parser.add_argument("--out", type=Path, default=RESULTS, help=f"CSV file (default: {RESULTS})")
    asked = parser.parse_args(arguments)
    keep_freed_memory()  # halves the time
    rows: list[dict[str, str | float]] = []
    for cell in CELLS:
        if asked.cells and str(cell) not in asked.cells:
            continue
        start = time.perf_counter()
        own = rates(cell, repeats=asked.repeats, count=asked.replicates)
        rows += own
        print(f"{cell}: {time.perf_counter() - start:.0f} s", flush=True)
        for row in own:
            print("   ", *(f"{key}={row[key]}" for key in list(row)[3:]), flush=True)
        write_csv(asked.out, rows)
    for endpoint in ENDPOINTS:
        print(f"\n{endpoint}\n\n{summary(rows, endpoint)}")


if __name__ == "__main__":
    main()
