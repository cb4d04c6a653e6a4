"""What a sweep adds to its runs: a folder with a name, a record a job, and one table at the end."""

import hashlib
import json
import re
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, open_dict

from gffpn.data.index import DataError
from gffpn.suite.folder import RunFolder, write_atomically
from gffpn.suite.overrides import refuse
from gffpn.suite.paper import check_paper_table, paper_mAP50
from gffpn.suite.table import print_table, write_tables


def sweep_name(overrides: Sequence[str], name: str | int | None = None) -> str:
    """A folder name for a sweep: the one given, an experiment's own, or one made from its overrides."""
    if name:
        return str(name)
    # what varies or chooses, not where things lie
    telling = [o for o in overrides if not o.startswith(("paths.", "loader.", "logger.", "hydra"))]
    words = re.sub(r"[^A-Za-z0-9.]+", "-", "_".join(telling).replace("experiments=", "")).strip("-.")
    if len(telling) == 1 and telling[0].startswith("experiments="):
        return words
    digest = hashlib.sha256("\n".join(sorted(telling)).encode()).hexdigest()[:6]
    return f"{words[:60].rstrip('-.')}-{digest}"


class SweepCallback(Callback):
    """Names the sweep's folder at its start; at its end gathers the runs into one table.

    Launchers may run the jobs in other processes, so each job leaves a small record in the sweep's folder.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        from gffpn.suite.settings import check  # here: torch takes seconds, and a report needs none of it

        try:
            check(config)
        except ValueError as error:
            refuse(error)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        from gffpn.suite.settings import check_jobs

        # Hydra makes a warning of whatever else a callback raises
        try:
            check_paper_table(config.experiment.paper_table)
            check_jobs(config)
        except ValueError as error:
            refuse(error, code=1 if isinstance(error, DataError) else 2)
        overrides = [str(o) for o in config.hydra.overrides.task]
        folder = Path(config.paths.runs) / "sweeps" / sweep_name(overrides, config.name)
        for stale in (folder / "jobs").glob("*.json"):
            stale.unlink()
        with open_dict(config):
            config.hydra.sweep.dir = str(folder)
            # every launcher composes its jobs from these overrides
            config.hydra.overrides.hydra.append(f"hydra.sweep.dir='{folder}'")

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        try:
            self._gather(config)
        except Exception:
            traceback.print_exc()
            raise SystemExit(1) from None

    def _gather(self, config: DictConfig) -> None:
        folder = Path(config.hydra.sweep.dir)
        jobs = read_jobs(folder)
        rows = []
        for job in jobs:
            run = RunFolder(Path(job["run"])) if job["run"] else None
            metrics = run.read_metrics() if run and run.status == "finished" else {}
            row = {**job, **metrics, "status": run.status if run else "failed"}
            if config.experiment.paper_table:
                row["paper/mAP50"] = paper_mAP50(config.experiment.paper_table, row)
            rows.append(row)
        write_tables(folder, rows)
        print_table(rows, title=folder.name)
        print(f"Table: {folder / 'results.md'}, {folder / 'results.csv'}")
        self._end(rows)

    def _end(self, rows: list[dict[str, Any]]) -> None:
        """Say which runs failed, and exit non-zero if any did."""
        failed = [row for row in rows if row["status"] != "finished"]
        for row in failed:
            where = Path(row["run"]) / "traceback.txt" if row["run"] else row["fault"]
            print(f"FAILED: {' '.join(row['overrides'])}: {where}")
        if failed:
            print(
                f"{len(failed)} of {len(rows)} runs failed. The same command again runs only what is missing."
            )
            raise SystemExit(1)


def record_job(
    folder: Path, number: int, *, overrides: Sequence[str], run: Path | None, fault: str = ""
) -> None:
    """Leave word in the sweep's folder of what a job is."""
    record = {"overrides": list(overrides), "run": str(run) if run else "", "fault": fault}
    write_atomically(folder / "jobs" / f"{number:04d}.json", json.dumps(record) + "\n")


def read_jobs(folder: Path) -> list[dict[str, Any]]:
    """The sweep's job records, in order."""
    return [json.loads(path.read_text()) for path in sorted((folder / "jobs").glob("*.json"))]
