"""How often the rule of verdicts errs on real training: seeds of one arm, split at random into two.

    python -m benchmarks.same_arm runs/fpn_*            # any number of seeds of one arm, say 12

Every seed of an arm is as good as another, so a verdict between random halves of three seeds is a mistake.
At a level of 5 %, about 5 % of the splits should give one. The splits share seeds, so that their share varies
more than that of independent experiments.
"""

import argparse
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from gffpn.runs.folder import RunFolder
from gffpn.stats.estimate import Sample, estimate
from gffpn.stats.replicates import Replicates, kept_replicates
from gffpn.stats.verdicts import verdicts


def splits(count: int, size: int) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Yield each pair of disjoint sets of `size` of `count` seeds once."""
    for one in itertools.combinations(range(count), size):
        rest = [at for at in range(count) if at not in one]
        for other in itertools.combinations(rest, size):
            if one < other:
                yield one, other


def shares(found: Sequence[Replicates], endpoint: str, *, size: int, most: int) -> Counter[str]:
    """Return how many of the splits get each verdict; at most `most` splits, drawn at random, are judged."""
    samples = [one[endpoint] for one in found]
    pairs = list(splits(len(found), size))
    chosen = np.random.default_rng(0).permutation(len(pairs))[:most]
    words: Counter[str] = Counter()
    for at in chosen:
        a, b = (Sample.of([samples[seed] for seed in side]) for side in pairs[at])
        words[verdicts([estimate(a, b, arms=[a, b])])[0].word] += 1
    return words


def main() -> None:
    """Print the shares of verdicts for each endpoint."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "runs", nargs="+", type=Path, help="folders of finished runs that differ in their seed"
    )
    parser.add_argument("--size", type=int, default=3, help="seeds per side (default: 3)")
    parser.add_argument("--most", type=int, default=10_000, help="number of splits (default: 10000)")
    arguments = parser.parse_args()
    found = [kept_replicates(RunFolder(path)) for path in arguments.runs]
    for endpoint in found[0].endpoints:
        figures = np.array([one[endpoint][0] for one in found])
        if np.isnan(figures).any():  # no such object
            continue
        words = shares(found, endpoint, size=arguments.size, most=arguments.most)
        judged = words.total()
        wrong = 100 * (words["better"] + words["worse"]) / judged
        same, open_ = (100 * words[word] / judged for word in ("same", "cannot tell"))
        mean, deviation = 100 * figures.mean(), 100 * figures.std(ddof=1)
        print(f"{endpoint:12} {len(found)} seeds, {mean:.1f} ± {deviation:.2f}; {judged} splits: ", end="")
        print(f"{wrong:.1f} % better or worse, {same:.1f} % same, {open_:.1f} % cannot tell")


if __name__ == "__main__":
    main()
