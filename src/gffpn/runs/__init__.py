"""Runs on disk. `gffpn.runs.load("runs")` returns the finished ones."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from gffpn.runs.results import Results


def load(runs: "str | Path" = "runs") -> "Results":
    """Return the finished runs in a folder, or the one run if it is the folder of one.

    Each has its `record`, `curves()` and `predictions()`; all together have `to_csv(path)` and `to_pandas()`.
    Raises ValueError if there is none.
    """
    from gffpn.runs.results import load_results  # here, so that importing a room imports nothing

    return load_results(runs)
