"""One run: skip it if it is finished, resume it if it was interrupted, keep its traceback if it fails."""

import errno
import gc
import logging
import signal
import subprocess
import sys
import traceback
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from gffpn.build.detector import rehearse
from gffpn.build.index import build_index
from gffpn.callbacks.finite import LossNotFiniteError
from gffpn.config.check import check
from gffpn.config.overrides import unwrapped
from gffpn.config.resolve import resolved, starts_processes
from gffpn.data.index import DataError, DataIndex
from gffpn.files.writing import alone, write_atomically
from gffpn.machine.processes import is_lead
from gffpn.report.table import print_table, row_of
from gffpn.runs import identity
from gffpn.runs.folder import RunFolder
from gffpn.runs.provenance import provenance
from gffpn.suite.fit import fit_and_test
from gffpn.suite.sweep import record_job

INTERRUPTED = 130
"""Exit code of a process that is ended by Ctrl-C."""
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def run(config: DictConfig) -> str:
    """Execute the run that a configuration describes, in the run's own folder, and return its status.

    In a sweep, a failure is recorded and returned as the status, so that the other runs continue. A single
    run raises it.
    """
    if not is_lead():
        logging.getLogger().setLevel(logging.WARNING)
    attempt = Attempt(config)
    try:
        attempt.go()
    except KeyboardInterrupt:
        _say("Interrupted. Repeat the command to continue from the last finished epoch.")
        raise SystemExit(INTERRUPTED) from None
    except Exception as caught:
        error = unwrapped(caught)
        attempt.fail(error)
        # the traceback's frames hold the network and its gradients, and the next run needs the memory
        traceback.clear_frames(error.__traceback__)
        del error
    gc.collect()
    return attempt.report()


class Attempt:
    """One attempt at the run that a configuration describes, alone or as a job of a sweep."""

    def __init__(self, config: DictConfig) -> None:
        hydra = HydraConfig.get()
        self.config = config
        self.in_sweep = hydra.mode == RunMode.MULTIRUN
        self.number = hydra.job.num if self.in_sweep else 0
        self.sweep = Path(hydra.sweep.dir)
        self.overrides = list(hydra.overrides.task)
        self.folder: RunFolder | None = None

    def go(self) -> None:
        """Find the run's folder and execute the run there."""
        check(self.config)
        if not self.in_sweep:
            rehearse(self.config)
        index = build_index(self.config)
        runs = Path(self.config.paths.runs)
        name = identity.run_name(resolved(self.config), index.fingerprint)
        lock = alone(runs / ".locks" / identity.digest_of(name), waits_for=f"the run {name}")
        apart = self.in_sweep and starts_processes(self.config)
        # a parent must not hold the lock its workers will take; of the workers, only the lead takes it
        with nullcontext() if apart or not is_lead() else lock:
            self.folder = run_folder(runs, name)
            if self.in_sweep:
                self._record()
                rehearse(self.config)  # here, so that a failure is recorded in the run's folder
            if apart:
                launcher = self.config.choice.launcher
                execute_apart(self.overrides, self.folder, group=self.sweep.name, launcher=launcher)
            else:
                group = self.sweep.name if self.in_sweep else self.config.name
                execute(self.config, index, self.folder, group=group)

    def fail(self, error: Exception) -> None:
        """Record and print a failure.

        A single run then exits with the exit code of the error, or raises the error if it has none.
        """
        _report_failure(error, self.folder)
        if not self.in_sweep:
            if code := _exit_code(error):
                raise SystemExit(code) from None
            raise error
        if self.folder is None:
            self._record(fault=f"{type(error).__name__}: {error}")

    def report(self) -> str:
        """Return the run's status; for a single run, also print its row as a table."""
        if self.folder is None:
            return "failed"
        status = self.folder.status
        if not self.in_sweep and is_lead():
            row = {"overrides": self.overrides, "status": status}
            print_table([row_of(row, self.folder.read())], title=self.folder.path.name)
            print(f"Run: {self.folder.path}")
        return status

    def _record(self, fault: str = "") -> None:
        if is_lead():
            run = self.folder.path if self.folder else None
            record_job(self.sweep, self.number, overrides=self.overrides, run=run, fault=fault)


def run_folder(runs: Path, name: str) -> RunFolder:
    """Return the existing folder with the run's hash, whatever the rest of its name, or else a new one."""
    known = sorted(path.parent for path in runs.glob(f"*_{identity.digest_of(name)}/config.yaml"))
    return RunFolder(known[0] if known else runs / name)


def execute(config: DictConfig, index: DataIndex, folder: RunFolder, *, group: str | None) -> None:
    """Fit, test and write metrics.json, or say that the run is already finished."""
    if folder.status == "finished":
        _say(f"Already finished, skipped: {folder.path}")
        return
    if other := folder.other_version():
        if other.newer:
            raise other
        _say(str(other))
    plain = resolved(config)
    if is_lead():
        if torn := folder.drop_torn_checkpoints():
            _say(f"{' and '.join(torn)} damaged; restarting this run")
        folder.traceback.unlink(missing_ok=True)  # from an earlier attempt
        write_atomically(folder.config, OmegaConf.to_yaml(OmegaConf.create(plain)))
    _say(f"{'Running' if folder.last_checkpoint is None else 'Resuming'}: {folder.path}")
    try:
        record = fit_and_test(config, index, folder, group=group or folder.path.name, origin=provenance())
        if record is not None:
            folder.finish(record)
    except SystemExit:  # Lightning exits on Ctrl-C and SIGTERM
        raise KeyboardInterrupt from None


def execute_apart(overrides: Sequence[str], folder: RunFolder, *, group: str, launcher: str) -> None:
    """Execute a run of several processes inside a sweep, as a separate command.

    The processes that Lightning starts repeat the command line, so they would repeat the whole sweep.
    """
    if folder.status == "finished":
        _say(f"Already finished, skipped: {folder.path}")
        return
    alone = [f"name='{group}'", f"hydra/launcher={launcher}", "hydra.mode=RUN"]
    # in a new session, so that Ctrl-C reaches it only once
    with subprocess.Popen(
        [sys.executable, "-m", "gffpn.suite.train", *_config_dirs(), *overrides, *alone],
        start_new_session=True,
    ) as process:
        try:
            process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.wait()
            raise


def _config_dirs() -> list[str]:
    """Return Hydra's `--config-dir` flags as given on this command line."""
    sources = HydraConfig.get().runtime.config_sources
    folders = [source.path for source in sources if source.provider == "command-line"]
    return [word for folder in folders for word in ("--config-dir", folder)]


def _say(message: str) -> None:
    if is_lead():
        print(message, flush=True)


def _disk_is_full(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in DISK_FULL


def _exit_code(error: BaseException) -> int | None:
    """Return 2 for a wrong setting, 1 for other errors that users can fix, None if they need a traceback."""
    if isinstance(error, ValueError):
        return 1 if isinstance(error, DataError) else 2
    return 1 if isinstance(error, LossNotFiniteError) or _disk_is_full(error) else None


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
            traceback.print_exception(error)
            message += f" (no traceback.txt: {refusal})"
    print(f"ERROR: {message}", file=sys.stderr, flush=True)
