"""False verdicts when the seeds of the arms vary unequally, by the rule for whose variance counts.

    python -m benchmarks.variance_ratio                     # 5 minutes on one core

A normal model: a run's figure is the sum of its arm's effect on these test images and an effect of its
seed. All arms are equal but for the variance of their seeds. Each is compared with the first, which is a
quiet one. By each rule, all arms share one variance unless the ratio of the largest to the smallest is over
a limit; then each has its own:

    ours      the limit is 9
    pooled    no limit
    own       always its own
    1 %       the limit that equal variances exceed in 1 % of sweeps with this many arms and seeds

For each: the false verdicts of the loudest arm and of all on average, each alone at a nominal 5 %; sweeps
with any false verdict (family); how often each arm had its own variance; and the smallest detectable
difference, as the median of its ratio to that of `pooled`.
"""

import argparse
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np

from gffpn.files.tables import write_csv
from gffpn.metrics.matching import Floats
from gffpn.stats.estimate import UNEQUAL, Estimate, Spread
from gffpn.stats.verdicts import verdicts
from gffpn.streams import numpy_stream

RESULTS = Path("experiments/results/variance_ratio.csv")
ALPHA = 0.05
IMAGES, INTERACTION, IMAGE_DF = 0.05, 0.02, 99.0
"""Variance of an arm over images, of its seeds x images, both beside a seed's own 0.5; degrees of freedom."""
QUIET = 0.5
LOUD = {
    "equal": (0.0, 1.0),
    "one arm x4": (0.0, 4.0),
    "one arm x16": (0.0, 16.0),
    "half of them x4": (0.5, 4.0),
}
"""By name: the share of loud arms (at least one), and their variance beside that of the quiet ones."""


def limit(arms: int, seeds: int, *, share: float = 0.01, draws: int = 200_000) -> float:
    """Return the ratio of variances that equal arms exceed in this share of sweeps."""
    drawn = numpy_stream("variance ratio", arms, seeds).chisquare(seeds - 1, (draws, arms))
    return float(np.quantile(drawn.max(axis=1) / drawn.min(axis=1), 1 - share))


def variances(arms: int, name: str) -> Floats:
    """Return the variance of each arm's seeds (arms,); the last ones are loud."""
    share, factor = LOUD[name]
    loud = max(1, round(share * arms))
    return np.where(np.arange(arms) < arms - loud, QUIET, QUIET * factor)


def compare(figures: Floats, *, own: bool) -> list[Estimate]:
    """Return the differences of the arms (arms, seeds) to the first."""
    arms, seeds = figures.shape
    between = figures.var(axis=1, ddof=1)
    pooled = Spread(float(between.mean()), INTERACTION, arms * (seeds - 1))
    spreads = [Spread(float(one), INTERACTION, seeds - 1) if own else pooled for one in between]
    means = figures.mean(axis=1)
    return [
        Estimate(
            delta=float(means[arm] - means[0]),
            image_variance=2 * (IMAGES + INTERACTION / seeds),
            spreads=(spreads[arm], spreads[0]),
            seeds=(seeds, seeds),
            groups=100,
            image_df=IMAGE_DF,
            superiority=0.5,
        )
        for arm in range(1, arms)
    ]


def rates(arms: int, seeds: int, name: str, *, repeats: int) -> list[dict[str, str | float]]:
    """Return a row for each rule."""
    rng = numpy_stream("variance ratio", arms, seeds, name)
    own_seed = np.sqrt(variances(arms, name) + INTERACTION)[:, None]
    limits = {"ours": UNEQUAL, "pooled": np.inf, "own": 0.0, "1 %": limit(arms, seeds)}
    found: dict[str, list[tuple[float, float, float, float, float]]] = {rule: [] for rule in limits}
    for _ in range(repeats):
        images = np.sqrt(IMAGES) * rng.standard_normal((arms, 1))
        figures = images + own_seed * rng.standard_normal((arms, seeds))
        between = figures.var(axis=1, ddof=1)
        ways = [_judged(compare(figures, own=own)) for own in (False, True)]
        for rule, most in limits.items():
            own = bool(between.max() > most * between.min())
            found[rule].append((*ways[own][:3], float(own), ways[own][3] / ways[False][3]))
    names = ("loudest", "false", "family", "own")
    return [
        {
            "arms": arms,
            "seeds": seeds,
            "variances": name,
            "rule": rule,
            **{
                key: round(float(np.mean(rows)), 4)
                for key, rows in zip(names, zip(*taken, strict=True), strict=False)
            },
            "detectable": round(float(np.median([row[-1] for row in taken])), 2),
        }
        for rule, taken in found.items()
    ]


def _judged(differences: list[Estimate]) -> tuple[float, float, float, float]:
    wrong = [one.p < ALPHA for one in differences]
    found = verdicts(differences)
    family = any(one.word in ("better", "worse") for one in found)
    detectable = float(np.mean([one.detectable for one in found]))
    return float(wrong[-1]), float(np.mean(wrong)), float(family), detectable


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all cells, print them and write them as CSV."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=1000, help="sweeps per cell (default: 1000)")
    parser.add_argument("--out", type=Path, default=RESULTS, help=f"CSV file (default: {RESULTS})")
    asked = parser.parse_args(arguments)
    rows: list[dict[str, str | float]] = []
    for arms, seeds, name in product((2, 5, 11, 30), (3, 6), LOUD):
        own = rates(arms, seeds, name, repeats=asked.repeats)
        rows += own
        for row in own:
            print(*(f"{key}={value}" for key, value in row.items()), flush=True)
    write_csv(asked.out, rows)


if __name__ == "__main__":
    main()
