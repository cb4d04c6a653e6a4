"""One run, alone or as a job of a sweep: its execution, its record in the sweep, and its failure."""

import gc
import logging
import math
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from gffpn.callbacks.finite import LossNotFiniteError
from gffpn.config.check import check
from gffpn.config.overrides import unwrapped
from gffpn.config.remembered import edited_files
from gffpn.config.resolve import starts_processes
from gffpn.data.index import DataError
from gffpn.files.writing import DISK_FULL, UNWRITABLE, check_writable, write_atomically
from gffpn.machine.cores import usable_cores
from gffpn.machine.devices import device
from gffpn.machine.processes import is_lead
from gffpn.machine.signals import HOW_TO_CONTINUE, INTERRUPTED, interrupted_by_sigterm
from gffpn.report.table import print_table, row_of
from gffpn.runs.commands import run_command
from gffpn.runs.folder import RunFolder
from gffpn.runs.provenance import changes_since
from gffpn.runs.sweeps import PLAN, read_plan, record_job
from gffpn.suite.agreement import AgreementError, composed_by_lead
from gffpn.suite.door import check_index, check_start
from gffpn.suite.execution import execute, execute_apart, say
from gffpn.suite.jobs import chooses_in_advance
from gffpn.suite.output import label_of, labelled, print_progress
from gffpn.suite.plan import DATA_CHANGED, Plan
from gffpn.suite.speeds import time_runs
from gffpn.suite.sweep import config_dirs
from gffpn.weights import WeightsError


def run(config: DictConfig) -> str | float:
    """Execute the run that Hydra composed, in the run's own folder, and return its status.

    In a sweep, a failure is recorded and returned as the status, so that the other runs continue. A single
    run raises it. A sweeper that chooses its jobs by their results gets the run's `objective` instead, NaN if
    the run failed.
    """
    hydra = HydraConfig.get()
    overrides = list(hydra.overrides.task)
    command = run_command(overrides, config_dirs(hydra))
    if hydra.mode == RunMode.MULTIRUN:
        job = Job(config, overrides, command, sweep=Path(hydra.sweep.dir), number=hydra.job.num)
        together = int(
            hydra.launcher.get("n_jobs", 1)
        )  # joblib; the output of others is in files of their own
        with labelled(job.label if together != 1 else ""):
            status = attempt(job)
        if is_lead() and not config.choice.launcher.startswith(("slurm", "submitit")):
            print_progress(job.sweep, at_a_time=together if together > 0 else usable_cores())
        return status if chooses_in_advance(hydra) else job.objective()
    # the processes that Lightning starts use the configuration of the first one
    shared = composed_by_lead()
    return attempt(Follower(shared, overrides) if shared else Single(config, overrides, command))


def attempt(run: "Single") -> str:
    """Execute a run and return its status."""
    if not is_lead():
        logging.getLogger().setLevel(logging.WARNING)
    try:
        with interrupted_by_sigterm():
            run.go()
    except KeyboardInterrupt:
        say(HOW_TO_CONTINUE)
        raise SystemExit(INTERRUPTED) from None
    except Exception as caught:
        error = unwrapped(caught)
        run.fail(error)
        # the traceback's frames hold the network and its gradients, and the next run needs the memory
        traceback.clear_frames(error.__traceback__)
        del error
    gc.collect()
    return run.report()


class Single:
    """Attempt at a run of its own."""

    def __init__(self, config: DictConfig, overrides: Sequence[str], command: Sequence[str] = ()) -> None:
        self.config = config
        self.overrides = list(overrides)
        self.command = command
        self.plan: Plan | None = None

    @property
    def folder(self) -> RunFolder | None:
        """Folder of the run, if the attempt has come as far as naming it."""
        return None if self.plan is None else self.plan.folder

    def go(self) -> None:
        """Check the configuration, name the run, and execute it."""
        check(self.config)
        check_writable(Path(self.config.paths.runs), setting="paths.runs=FOLDER")
        check_start(self.config)
        name = None if self.config.name is None else str(self.config.name)
        plan = Plan.of(self.config, group=name, name=name, command=self.command)
        _check(plan, self.config)
        self.plan = plan
        execute(plan)
        if is_lead():  # the run may be one of a sweep that was interrupted before its end
            time_runs([(plan.folder, lambda: self.config)], group=plan.group)

    def fail(self, error: Exception) -> None:
        """Record and print a failure; exit with the error's code, or raise the error if it has none."""
        _report_failure(error, self.folder)
        if code := _exit_code(error):
            raise SystemExit(code) from None
        raise error

    def report(self) -> str:
        """Print the run's row as a table and return its status."""
        folder = self.folder
        assert folder is not None
        status = folder.status
        if is_lead():
            record = folder.read()
            row = row_of({"overrides": self.overrides, "status": status}, record)
            row["other_code"] = changes_since(record.provenance) if record else []
            print_table([row], title=folder.path.name)
            print(f"Run: {folder.path}")
        return status


class Follower(Single):
    """Attempt of a process that Lightning started for a run whose first process has checked everything."""

    def go(self) -> None:
        self.plan = Plan.of(self.config, group=None, name=self.config.name)
        execute(self.plan)


class Job(Single):
    """Attempt at a run as a job of a sweep, in whose folder it is recorded."""

    def __init__(
        self,
        config: DictConfig,
        overrides: Sequence[str],
        command: Sequence[str],
        *,
        sweep: Path,
        number: int,
    ) -> None:
        super().__init__(config, overrides, command)
        self.sweep = sweep
        self.number = number

    def go(self) -> None:
        for path in edited_files():
            say(f"{path} was edited after the sweep started; this job uses what the sweep read at its start")
        check(self.config)
        check_writable(Path(self.config.paths.runs), setting="paths.runs=FOLDER")
        since = (self.sweep / PLAN).stat().st_mtime
        plan = Plan.of(self.config, group=self.sweep.name, command=self.command, since=since)
        _check(plan, self.config)
        self._check_data(plan.index.fingerprint)
        self.plan = plan
        self._record()
        check_start(self.config)  # here, so that a failure is recorded in the run's folder
        if starts_processes(plan.config):
            execute_apart(plan)
        else:
            execute(plan)

    def _check_data(self, fingerprint: str) -> None:
        """Raise DataError if the data set is not what it was when the sweep started."""
        planned = read_plan(self.sweep)
        before = planned.data[self.number] if planned and planned.data else ""
        if before and before != fingerprint:
            raise DataError(DATA_CHANGED)

    @property
    def label(self) -> str:
        """Short name of the job among those of its sweep."""
        return label_of(read_plan(self.sweep), self.overrides, self.number)

    def fail(self, error: Exception) -> None:
        """Record and print a failure."""
        _report_failure(error, self.folder)
        if self.folder is None:
            self._record(fault=f"{type(error).__name__}: {error}")

    def report(self) -> str:
        """Return the run's status."""
        return self.folder.status if self.folder else "failed"

    def objective(self) -> float:
        """Return the figure by which a sweeper chooses its next jobs; NaN without one."""
        record = self.folder.read() if self.folder else None
        value = record.columns()[self.config.objective] if record else None
        return math.nan if value is None else float(value)

    def _record(self, fault: str = "") -> None:
        if is_lead():
            run = self.folder.path if self.folder else None
            record_job(self.sweep, self.number, overrides=self.overrides, run=run, fault=fault)


def _check(plan: Plan, config: DictConfig) -> None:
    """Raise an error for data or a device with which the run cannot start, before its folder is made."""
    check_index(config, plan.index)
    if not plan.is_done:
        device(config.trainer.accelerator)


def _disk_is_full(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in DISK_FULL


def _exit_code(error: BaseException) -> int | None:
    """Return 2 for a wrong setting, 1 for other errors that users can fix, None if they need a traceback."""
    if isinstance(error, ValueError):
        return 1 if isinstance(error, DataError | WeightsError) else 2
    denied = isinstance(error, OSError) and error.errno in UNWRITABLE
    explained = isinstance(error, LossNotFiniteError | AgreementError)
    return 1 if explained or denied or _disk_is_full(error) else None


def _report_failure(error: BaseException, folder: RunFolder | None) -> None:
    message = str(error) or type(error).__name__
    if _disk_is_full(error):
        message += ". Free some space, then repeat the command to continue from the last finished epoch"
    # the lead reports the cause; the errors of other processes after its exit are consequences
    if folder is not None and (is_lead() or not folder.traceback.exists()):
        try:
            write_atomically(folder.traceback, "".join(traceback.format_exception(error)))
            message += f" (traceback: {folder.traceback})"
        except OSError as refusal:
            if _exit_code(error) is None:
                traceback.print_exception(error)
            message += f" (no traceback.txt: {refusal})"
    print(f"ERROR: {message}", file=sys.stderr, flush=True)
