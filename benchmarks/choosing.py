"""The table of docs/choosing.md: what each neck costs and what it found, from experiments/results/."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gffpn.files.tables import markdown_table
from gffpn.report.answer import points

COSTS = "benchmark_AMD-EPYC_2t_cspdarknet-n_tal_320_bf16-mixed.csv"
FOUND: Mapping[str, tuple[str, Sequence[str]]] = {
    "nuclei, 15 epochs: mAP50": ("mAP50", ("plain_necks_nuclei",)),
    "15 epochs: AP 8-16 px": ("AP_8_16", ("plain_necks_nuclei",)),
    "nuclei, 40 epochs: mAP50": ("mAP50", ("ladder_nuclei", "league_nuclei")),
    "40 epochs: AP 8-16 px": ("AP_8_16", ("ladder_nuclei", "league_nuclei")),
    "SIMULATED: mAP50": ("mAP50", ("ladder_small",)),
}
"""Columns with an endpoint and its studies, of equal settings; the first that has a neck counts."""


def table(results: Path) -> str:
    """Return the necks as a Markdown table, the fastest first."""
    costs = sorted(
        (row for row in _rows(results / COSTS) if row["form"] == "as trained"),
        key=lambda row: float(row["forward_ms"]),
    )
    body = [
        [
            f"`{row['neck']}`",
            f"{float(row['params']) / 1e6:.2f}",
            f"{float(row['gflops']):.2f}",
            f"{float(row['forward_ms']):.1f}",
            *(_found(results, row["neck"], endpoint, studies) for endpoint, studies in FOUND.values()),
        ]
        for row in costs
    ]
    return markdown_table(["`neck=`", "params M", "GFLOPs", "ms per image", *FOUND], body)


def _found(results: Path, neck: str, endpoint: str, studies: Sequence[str]) -> str:
    """Return mean ± standard deviation over seeds (their number) in percent, or `not yet` without a run."""
    for study in studies:
        for row in _rows(results / study / "arms.csv"):
            if row["arm"] == neck and row[endpoint]:
                mean, spread = points(float(row[endpoint])), points(float(row[f"{endpoint} sd"]))
                return f"{mean} ± {spread} ({row[f'{endpoint} n']})"
    return "not yet"


def _rows(file: Path) -> Iterator[dict[str, str]]:
    with file.open(newline="") as opened:
        yield from csv.DictReader(opened)
