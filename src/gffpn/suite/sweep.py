"""The parts that a sweep adds to its runs: a named folder, a record per job, and one table at the end."""

import atexit
import hashlib
import os
import re
import shutil
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from hydra.conf import HydraConf
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict

from gffpn.config.overrides import refuse
from gffpn.data.index import DataError
from gffpn.data.readers.quoting import hydra_value
from gffpn.files.writing import alone, check_writable
from gffpn.machine.imports import first_imports
from gffpn.machine.signals import ignore_signals
from gffpn.report.caption import varied
from gffpn.report.paper import check_paper_table, paper_mAP50
from gffpn.report.state import unfinished
from gffpn.report.table import row_of
from gffpn.runs.commands import sweep_command
from gffpn.runs.folder import RunFolder
from gffpn.runs.provenance import changes_since
from gffpn.runs.sweeps import Earlier, SweepPlan, read_jobs, write_plan
from gffpn.stats.arms import settings
from gffpn.stats.question import check_contrasts, question
from gffpn.suite.earlier import earlier_commands, mention_replaced

NOT_IN_A_NAME = (
    "paths.",
    "loader.",
    "logger.",
    "rerun=",
    "runs_at_a_time=",
    "hydra.run",
    "hydra.job",
    "hydra.mode",
    "hydra.verbose",
)
"""Prefixes of overrides that do not choose what a sweep runs."""


def sweep_name(overrides: Sequence[str], name: str | int | None = None) -> str:
    """Return a folder name for a sweep: `name`, that of its experiment, or one made from its overrides."""
    if name:
        return str(name)
    # overrides that vary or choose something, not those that only set locations and logging
    chosen = [o for o in overrides if not o.lstrip("+~").startswith(NOT_IN_A_NAME)]
    choices = [o.lstrip("+~").removeprefix("hydra.sweeper.params.") for o in chosen]
    words = re.sub(r"[^A-Za-z0-9.]+", "-", "_".join(choices).replace("experiments=", "")).strip("-.")
    if len(chosen) == 1 and chosen[0].startswith("experiments="):
        return words
    digest = hashlib.sha256("\n".join(sorted(chosen)).encode()).hexdigest()[:6]
    return f"{words[:60].rstrip('-.')}-{digest}"


class SweepCallback(Callback):
    """Hydra callback that names a sweep's folder at its start and gathers its runs into one table at its end.

    Launchers may run the jobs in other processes, so each job leaves a small record in the sweep's folder. If
    the same sweep is started twice at once, the second one waits and then finds the runs finished.
    """

    def __init__(self) -> None:
        self._held = ExitStack()
        self._planned: list[list[str]] = []

    def __getstate__(self) -> dict[str, Any]:
        # launchers send the callback to other processes, which do not hold its lock
        return {}

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        try:
            _check_directories(config)
            with first_imports():  # here, because torch takes seconds to import and a report does not need it
                from gffpn.config.check import check

                check(config)  # imports the classes that the configuration names
        except ValueError as error:
            refuse(error)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        try:
            self._open(config)
        except (ValueError, OSError) as error:
            refuse(error, code=1 if isinstance(error, DataError | OSError) else 2)
        except Exception:  # Hydra would turn it into a warning and start the jobs, unchecked
            traceback.print_exc()
            raise SystemExit(1) from None

    def _open(self, config: DictConfig) -> None:
        with first_imports():
            from gffpn.machine.processes import siblings
            from gffpn.suite.arms import use_arms
            from gffpn.suite.jobs import check_jobs, declared_jobs, keep_finished

        _check_directories(config)
        check_paper_table(config.experiment.paper_table)
        asked = question(config.experiment)
        if siblings() > 1:
            raise ValueError(
                "a sweep cannot run in several processes: start one; hydra/launcher=slurm starts the runs"
            )
        sweeps = Path(config.paths.runs) / "sweeps"
        check_writable(sweeps, setting="paths.runs=FOLDER")
        checked = check_jobs(config)
        self._planned = [job.overrides for job in checked]
        use_arms(config)
        if self._planned:  # unknown for a sweeper that chooses its jobs by their results
            check_contrasts(asked, self._planned, declared_jobs(config))
        drop_wandb_run_id()
        launcher = str(config.hydra.runtime.choices["hydra/launcher"])
        on_slurm = launcher in ("slurm", "submitit_slurm")
        if on_slurm and shutil.which("srun") is None:
            raise ValueError(
                f"hydra/launcher={launcher}: this machine has no srun; start the sweep on a SLURM cluster"
            )
        overrides = [str(o) for o in (*config.hydra.overrides.task, *config.hydra.overrides.hydra)]
        folder = sweeps / sweep_name(overrides, config.name)
        self._held.enter_context(alone(folder / ".lock", waits_for=f"the sweep {folder.name}"))
        if on_slurm:
            from gffpn.suite.submission import wait_for_earlier

            wait_for_earlier(folder)
        mention_replaced(folder, self._planned)
        earlier = earlier_commands(folder)
        keep_finished(folder, checked)
        self._write_plan(config, folder, [job.data for job in checked], earlier)
        with open_dict(config):
            config.hydra.sweep.dir = str(folder)
            # every launcher composes its jobs from these overrides
            config.hydra.overrides.hydra.append(f"hydra.sweep.dir={hydra_value(str(folder))}")
        if launcher in ("basic", "joblib"):
            from gffpn.suite.sharing import adapt_joblib, share_machine, threads_each, threads_of_processes

            adapt_joblib()
            runs = share_machine(config, self._planned)
            if runs > 1:
                self._held.enter_context(threads_of_processes(threads_each(runs)))
        # after Ctrl-C, or if a launcher's process is killed, Hydra does not call on_multirun_end
        atexit.register(self._report_at_exit, config)
        self._held.callback(atexit.unregister, self._report_at_exit)
        if launcher.startswith(("slurm", "submitit")):
            from gffpn.suite.submission import adapt_submitit

            adapt_submitit()
            print(f"Output of the runs: {folder / '.submitit'}", flush=True)

    def _write_plan(
        self, config: DictConfig, folder: Path, data: Sequence[str], earlier: tuple[Earlier, ...]
    ) -> None:
        given = [str(word) for word in (*config.hydra.overrides.task, *config.hydra.overrides.hydra)]
        plan = SweepPlan(
            command=tuple(sweep_command(given, config_dirs(config.hydra))),
            experiment=OmegaConf.to_container(config.experiment, resolve=True),  # type: ignore[arg-type]
            jobs=tuple(map(tuple, self._planned)),
            data=tuple(data),
            earlier=earlier,
        )
        write_plan(folder, plan)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        self._time_runs(config)  # if this is interrupted, the table is written at exit
        with self._held:
            if not self._report(config):
                raise SystemExit(1)

    def _time_runs(self, config: DictConfig) -> None:
        """Measure the speed of the runs that shared the machine."""
        from gffpn.suite.speeds import time_runs

        loader = GlobalHydra.instance().config_loader()

        def compose(overrides: list[str]) -> DictConfig:
            composed = loader.load_sweep_config(config, overrides)
            HydraConfig.instance().set_config(composed)
            return composed

        try:
            jobs = read_jobs(Path(config.hydra.sweep.dir))
            time_runs(
                [
                    (RunFolder(Path(job["run"])), partial(compose, job["overrides"]))
                    for job in jobs
                    if job["run"]
                ],
                group=Path(config.hydra.sweep.dir).name,
            )
        except Exception:  # Hydra would turn it into a warning and leave out the table
            traceback.print_exc()

    def _report_at_exit(self, config: DictConfig) -> None:
        ignore_signals()  # impatient users press Ctrl-C twice
        if read_jobs(Path(config.hydra.sweep.dir)):
            self._report(config)

    def _report(self, config: DictConfig) -> bool:
        """Write and print the table, print which runs failed, and return whether all runs finished."""
        try:
            return self._gather(config)
        except OSError as error:
            print(f"ERROR: the table could not be written: {error}", file=sys.stderr)
        except Exception:
            traceback.print_exc()
        return False

    def _gather(self, config: DictConfig) -> bool:
        folder = Path(config.hydra.sweep.dir)
        rows = []
        for job in read_jobs(folder, self._planned):
            run = RunFolder(Path(job["run"])) if job["run"] else None
            record = run.read() if run else None
            status = "failed" if run is None else "finished" if record else unfinished(run)[0]
            row = row_of({"status": status, **job}, record)
            row["other_code"] = changes_since(record.provenance) if record else []
            if config.experiment.paper_table:
                row["paper/mAP50"] = paper_mAP50(config.experiment.paper_table, row)
            rows.append(row)
        from gffpn.suite.results import show_results

        show_results(folder, rows, config, asks=bool(self._planned))
        return not _name_failures(rows)


def config_dirs(hydra: HydraConf) -> list[str]:
    """Return the words that add the user's own folders of configuration files to a command."""
    given = [source.path for source in hydra.runtime.config_sources if source.provider == "command-line"]
    return [word for path in given for word in ("--config-dir", path)]


def _check_directories(config: DictConfig) -> None:
    """Raise ValueError for Hydra's own settings of directories.

    Relative paths would be wrong in another working directory, and the others have no effect.
    """
    for word in config.hydra.overrides.hydra:
        key = word.lstrip("+~").partition("=")[0]
        if key in ("hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir"):
            raise ValueError(
                f"{key}: has no effect; paths.runs=FOLDER is where runs and sweeps are written, "
                "and name=NAME is the name of their folder"
            )
    if config.hydra.job.chdir:
        raise ValueError(
            "hydra.job.chdir: got true, expected false; relative paths start where the command does"
        )


def drop_wandb_run_id() -> None:
    """Unset WANDB_RUN_ID unless a W&B agent has set it, because each run of a sweep needs its own W&B run."""
    if "WANDB_SWEEP_ID" not in os.environ and os.environ.pop("WANDB_RUN_ID", ""):
        print("WARNING: WANDB_RUN_ID is ignored in a sweep: each run has its own id", file=sys.stderr)


def _name_failures(rows: Sequence[dict[str, Any]]) -> int:
    """Print which runs are not finished and return their number."""
    failed = [row for row in rows if row["status"] != "finished"]
    keys = varied(rows)
    for row in failed:
        chosen = settings(row["overrides"])
        words = " ".join(f"{key}={chosen[key]}" for key in keys if key in chosen)
        print(f"{row['status'].upper()}: {words}: {_where(row)}")
    left = [row for row in failed if row["status"] != "diverged"]  # which would diverge again
    if left:
        count = f"{len(left)} of {len(rows)} runs are not finished"
        without = " without rerun=all" if "rerun=all" in rows[0]["overrides"] else ""
        print(f"{count}. Repeat the command{without} to run only what is missing.")
    return len(left)


def _where(row: Mapping[str, Any]) -> str:
    """Return the reason why a run is not finished, or the path at which to find it."""
    if not row["run"]:
        return str(row["fault"])
    run = RunFolder(Path(row["run"]))
    return str(run.traceback if run.traceback.exists() else run.path)
