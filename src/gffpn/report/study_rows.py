"""The runs of a study as rows of a table, with the folder of their data set."""

from collections.abc import Sequence
from typing import Any

from gffpn.report.table import row_of
from gffpn.runs.folder import RunFolder
from gffpn.stats.runs import Run
from gffpn.stats.study import Study


def root_of(run: Run) -> str:
    """Return the root of a run's data set, or an empty string if its configuration names none."""
    if run.path is None:
        return ""
    try:
        config = RunFolder(run.path).read_config()
    except ValueError:  # damaged
        return ""
    return str((config.get("data") or {}).get("root") or "")


def rows_of(study: Study) -> Sequence[dict[str, Any]]:
    """Return a row of every run, as `gffpn.report.caption.caption` reads them."""
    return [
        row_of({"overrides": list(run.overrides), "status": run.status, "root": root_of(run)}, run.record)
        for arm in study.arms
        for run in arm.runs
    ]
