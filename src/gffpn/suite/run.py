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
from gffpn.report.table import print_table
from gffpn.runs import identity
from gffpn.runs.folder import RunFolder
from gffpn.suite.fit import about, fit_and_test
from gffpn.suite.sweep import record_job

INTERRUPTED = 130
"""Exit code of a process that Ctrl-C ended."""
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def run(config: DictConfig) -> str:
    """Run what a configuration says, in its own folder; the run's status.

    In a sweep a failure is recorded and returned, so that the other runs go on; alone it is raised.
    """
    if not is_lead():
        logging.getLogger().setLevel(logging.WARNING)
    attempt = Attempt(config)
    try:
        attempt.go()
    except KeyboardInterrupt:
        _say("Interrupted. The same command goes on from the last finished epoch.")
        raise SystemExit(INTERRUPTED) from None
    except Exception as caught:
        error = unwrapped(caught)
        attempt.fail(error)
        # its frames hold the network and its gradients, and the next run needs the memory
        traceback.clear_frames(error.__traceback__)
        del error
    gc.collect()
    return attempt.tell()


class Attempt:
    """One try at the run that a configuration asks for, alone or as a job of a sweep."""

    def __init__(self, config: DictConfig) -> None:
        hydra = HydraConfig.get()
        self.config = config
        self.in_sweep = hydra.mode == RunMode.MULTIRUN
        self.number = hydra.job.num if self.in_sweep else 0
        self.sweep = Path(hydra.sweep.dir)
        self.overrides = list(hydra.overrides.task)
        self.folder: RunFolder | None = None

    def go(self) -> None:
        """Find the run's folder and execute it there."""
        check(self.config)
        if not self.in_sweep:
            rehearse(self.config)
        index = build_index(self.config)
        runs = Path(self.config.paths.runs)
        name = identity.run_name(resolved(self.config), index.fingerprint)
        lock = alone(runs / ".locks" / identity.digest_of(name), waits_for=f"the run {name}")
        apart = self.in_sweep and starts_processes(self.config)
        # who starts processes must not hold what they wait for; who is started leaves it to the first of them
        with nullcontext() if apart or not is_lead() else lock:
            self.folder = run_folder(runs, name)
            if self.in_sweep:
                self._record()
                rehearse(self.config)  # here, so that its failure is kept in the run's folder
            if apart:
                launcher = self.config.choice.launcher
                execute_apart(self.overrides, self.folder, group=self.sweep.name, launcher=launcher)
            else:
                group = self.sweep.name if self.in_sweep else self.config.name
                execute(self.config, index, self.folder, group=group)

    def fail(self, error: Exception) -> None:
        """Keep and tell a failure; alone, leave with it: by its exit code, or raised where it has none."""
        _tell_failure(error, self.folder)
        if not self.in_sweep:
            if code := _exit_code(error):
                raise SystemExit(code) from None
            raise error
        if self.folder is None:
            self._record(fault=f"{type(error).__name__}: {error}")

    def tell(self) -> str:
        """The status; alone, the table of one row as well."""
        if self.folder is None:
            return "failed"
        status = self.folder.status
        if not self.in_sweep and is_lead():
            row = {"overrides": self.overrides, **(self.folder.read_metrics() or {}), "status": status}
            print_table([row], title=self.folder.path.name)
            print(f"Run: {self.folder.path}")
        return status

    def _record(self, fault: str = "") -> None:
        if is_lead():
            run = self.folder.path if self.folder else None
            record_job(self.sweep, self.number, overrides=self.overrides, run=run, fault=fault)


def run_folder(runs: Path, name: str) -> RunFolder:
    """The run's folder: the one that has its hash already, under whatever words, or a new one."""
    known = sorted(path.parent for path in runs.glob(f"*_{identity.digest_of(name)}/config.yaml"))
    return RunFolder(known[0] if known else runs / name)


def execute(config: DictConfig, index: DataIndex, folder: RunFolder, *, group: str | None) -> None:
    """Fit, test and write metrics.json, or say that it is done already."""
    if folder.status == "finished":
        _say(f"Already finished, skipped: {folder.path}")
        return
    plain = resolved(config)
    if is_lead():
        if torn := folder.drop_torn_checkpoints():
            _say(f"Torn, so the run begins anew: {', '.join(torn)} in {folder.checkpoints}")
        folder.traceback.unlink(missing_ok=True)  # of an earlier attempt
        write_atomically(folder.config, OmegaConf.to_yaml(OmegaConf.create(plain)))
    _say(f"{'Running' if folder.last_checkpoint is None else 'Resuming'}: {folder.path}")
    try:
        figures = fit_and_test(config, index, folder, group=group or folder.path.name)
        if is_lead():
            folder.finish({**about(plain, index), **figures})
    except SystemExit:  # Lightning answers Ctrl-C and SIGTERM by leaving
        raise KeyboardInterrupt from None


def execute_apart(overrides: Sequence[str], folder: RunFolder, *, group: str, launcher: str) -> None:
    """A run of several processes inside a sweep, as a command of its own.

    The processes that Lightning starts repeat the command line, so that of a sweep would run the sweep.
    """
    if folder.status == "finished":
        _say(f"Already finished, skipped: {folder.path}")
        return
    alone = [f"name='{group}'", f"hydra/launcher={launcher}", "hydra.mode=RUN"]
    # in a session of its own, so that Ctrl-C reaches it once
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
    """Hydra's own flag, as it stood on this command line."""
    sources = HydraConfig.get().runtime.config_sources
    folders = [source.path for source in sources if source.provider == "command-line"]
    return [word for folder in folders for word in ("--config-dir", folder)]


def _say(message: str) -> None:
    if is_lead():
        print(message, flush=True)


def _disk_is_full(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in DISK_FULL


def _exit_code(error: BaseException) -> int | None:
    """2 for a wrong setting, 1 for what else a user can mend; None for what deserves its traceback."""
    if isinstance(error, ValueError):
        return 1 if isinstance(error, DataError) else 2
    return 1 if isinstance(error, LossNotFiniteError) or _disk_is_full(error) else None


def _tell_failure(error: BaseException, folder: RunFolder | None) -> None:
    told = str(error) or type(error).__name__
    if _disk_is_full(error):
        told += ". Free some space: the same command goes on from the last finished epoch"
    # the lead tells the cause; what the others raise when it is gone is its consequence
    if folder is not None and (is_lead() or not folder.traceback.exists()):
        try:
            write_atomically(folder.traceback, "".join(traceback.format_exception(error)))
            told += f" (traceback: {folder.traceback})"
        except OSError as refusal:
            traceback.print_exception(error)
            told += f" (no traceback.txt: {refusal})"
    print(f"ERROR: {told}", file=sys.stderr, flush=True)
