"""Error rates of the rule that gives verdicts, and of the rules of others, on synthetic detections.

    python -m benchmarks.verdict_errors                     # 14 cells of 400 sweeps
    python -m benchmarks.verdict_errors --repeats 40 --cells "3 seeds, 60 images, interaction"

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

import numpy as np
from scipy import special

from benchmarks.verdict_cells import BETTER, CELLS, ENDPOINTS, EQUAL, Cell, trials, true_differences
from benchmarks.verdict_rules import ALPHA, ESTIMATES, NEEDS_SETS, RIVALS, Trial, ours
from gffpn.files.tables import markdown_table, write_csv
from gffpn.machine.memory import keep_freed_memory
from gffpn.stats.verdicts import verdicts

RESULTS = Path("experiments/results/verdict_errors.csv")
BOUND = 0.078
"""Largest rate that 400 repeats can show by chance (99 %) if the true one is 5 %."""
Row = dict[str, str | float]
Rows = Sequence[Mapping[str, str | float]]


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


def rates(cell: Cell, *, repeats: int, count: int) -> list[Row]:
    """Return a row for each endpoint and rule: the means of its rates over the repeats."""
    true = true_differences(cell)
    found: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
    for number in range(repeats):
        for endpoint, trial in trials(cell, number, count=count).items():
            for rule, one in judge(trial, true[endpoint]):
                found[endpoint, rule].append(one)
    rows: list[Row] = []
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
    critical = float(special.stdtrit(df, 1 - ALPHA / 2))
    return float(special.stdtr(df, true / math.sqrt(variance) - critical))


def by_rule(rows: Rows, endpoint: str) -> str:
    """Return a Markdown table of the rules: false verdicts and power over the cells of an endpoint."""
    body = []
    for rule in (*ESTIMATES, *RIVALS):
        own = [row for row in rows if (row["rule"], row["endpoint"]) == (rule, endpoint)]
        if own:
            false, power = (100 * np.array([float(row[name]) for row in own]) for name in ("false", "power"))
            kept = "yes" if false.max() <= 100 * BOUND else "no"
            over = f"{false.min():.1f} to {false.max():.1f}"
            body.append([rule, f"{false.mean():.1f}", over, kept, f"{power.mean():.0f}"])
    return markdown_table(["rule", "false %", "over the cells", "at most 7.8", "power %"], body)


def by_cell(rows: Rows, rule: str = "ours") -> str:
    """Return a Markdown table of one rule's rates in each cell, in percent."""
    names = ["false", "family", "coverage", "power", "planned", "same"]
    body = [
        [
            f"{row['seeds']}, {row['images']}, {row['variance']}",
            str(row["endpoint"]),
            f"{100 * float(row['difference']):.1f}",
            *(f"{100 * float(row[name]):.1f}" for name in names),
        ]
        for row in rows
        if row["rule"] == rule
    ]
    return markdown_table(["seeds, images, variance", "endpoint", "Delta", *names], body)


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
    rows: list[Row] = []
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
        print(f"\n{endpoint}\n\n{by_rule(rows, endpoint)}")
    print(f"\n{by_cell(rows)}")


if __name__ == "__main__":
    main()
