"""Jobs that submitit starts, on SLURM or here: clear refusals, lost jobs, and jobs of earlier commands."""

import atexit
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from submitit.core.core import InfoWatcher, PicklingExecutor
from submitit.core.utils import FailedJobError, UncompletedJobError
from submitit.local.local import LocalExecutor, LocalJob
from submitit.slurm.slurm import SlurmExecutor, SlurmJob

REMEDIES = {
    "generic resource": "the partition has no such GPUs: set hydra.launcher.gpus_per_node=null",
    "partition": "set hydra.launcher.partition=NAME (sinfo lists the partitions)",
    "Memory": "set hydra.launcher.mem_gb=N or null",
    "feature": "set hydra.launcher.constraint=NAME or null",
    "node name": "set hydra.launcher.exclude=NAMES or null",
    "account": "set hydra.launcher.account=NAME and hydra.launcher.partition=NAME",
    "qos": "set hydra.launcher.qos=NAME",
    "time limit": "set hydra.launcher.timeout_min=N",
    "node configuration": "set smaller values of hydra.launcher.cpus_per_task, mem_gb or gpus_per_node",
    "CPU count": "set hydra.launcher.cpus_per_task=N",
}
"""What to do about a refusal of sbatch, by a part of its message; the first that fits counts."""
SUBMISSIONS = ".submitit"
"""Folder of a sweep with one folder per job, named after the job's id."""
PATIENCE_S = 3.0
"""Time in which a local job is expected to end after SIGTERM."""
INTERVAL_S = 2.0
"""Time between two looks at the queue while waiting for the jobs of an earlier command."""


_start_here = LocalExecutor._submit_command
_jobs_here: list[LocalJob[Any]] = []


def refusal(message: str) -> str:
    """Return one line that explains why sbatch refused a job and which override helps."""
    said = message.replace("sbatch: error: ", "").replace("Batch job submission failed: ", "")
    line = "; ".join(line.strip() for line in said.splitlines() if line.strip())
    remedy = next((remedy for part, remedy in REMEDIES.items() if part.lower() in line.lower()), "")
    return f"sbatch: {line}" + (f": {remedy}" if remedy else "")


def queued() -> set[str]:
    """Return the ids of this user's pending and running jobs, such as 12, or 12_3 for part of an array.

    Raises CalledProcessError if the controller does not answer.
    """
    return _ids(subprocess.check_output(Queue.COMMAND))


def wait_for_earlier(sweep: Path) -> None:
    """Wait for the jobs that an earlier command, which has ended, submitted for the same sweep.

    They may be training the very runs that this command would start; those are finished afterwards.
    """
    submitted = {path.parent.name for path in (sweep / SUBMISSIONS).glob("*/*_submitted.pkl")}
    said = False
    while submitted and (left := submitted & queued()):
        if not said:
            words = " ".join(sorted(left))
            print(f"Waiting for the SLURM jobs of an earlier command (scancel {words} ends them)", flush=True)
            said = True
        time.sleep(INTERVAL_S)


class Queue(InfoWatcher):
    """State of jobs according to squeue; submitit asks sacct, which needs an accounting database."""

    COMMAND = ("squeue", "--me", "--noheader", "--array", "--format=%i")

    def _make_command(self) -> list[str] | None:
        return list(self.COMMAND) if self._registered - self._finished else None

    def read_info(self, string: bytes | str) -> dict[str, dict[str, str]]:
        left = _ids(string)
        return {job: {"State": "RUNNING" if job in left else "GONE"} for job in self._registered}

    def get_state(self, job_id: str, mode: str = "standard") -> str:
        return self.get_info(job_id, mode=mode).get("State", "UNKNOWN")


def adapt_submitit() -> None:
    """Make submitit explain a refused job, outlast a lost one, and stop local jobs when this process ends."""
    SlurmJob.watcher = Queue()  # type: ignore[assignment]
    SlurmJob.results = _results  # type: ignore[assignment, method-assign]
    SlurmExecutor._submit_command = _submit  # type: ignore[assignment, method-assign]
    LocalExecutor._submit_command = _submit_here  # type: ignore[assignment, method-assign]
    atexit.register(_stop_jobs_here)


def _results(job: SlurmJob[Any]) -> list[Any]:
    """Return what a job's tasks returned; a job that was cancelled or killed counts as interrupted."""
    try:
        return super(SlurmJob, job).results()
    except UncompletedJobError:
        print(
            f"SLURM job {job.job_id} ended without a result; its output: {job.paths.stderr}", file=sys.stderr
        )
        return [JobReturn(status=JobStatus.COMPLETED, _return_value="interrupted")]


def _submit(executor: SlurmExecutor, command: str) -> Any:
    try:
        return PicklingExecutor._submit_command(executor, command)
    except FailedJobError as error:
        raise ValueError(refusal(str(error))) from None


def _submit_here(executor: LocalExecutor, command: str) -> LocalJob[Any]:
    # the job ignores Ctrl-C, as its children do; this process stops it
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        job: LocalJob[Any] = _start_here(executor, command)
    finally:
        signal.signal(signal.SIGINT, before)
    _jobs_here.append(job)
    return job


def _stop_jobs_here() -> None:
    """Stop the local jobs and wait for their end."""
    running = [job._process for job in _jobs_here if job._process is not None]
    while running := [process for process in running if process.poll() is None]:
        for process in running:
            process.terminate()  # more than once: submitit ignores SIGTERM until the run has started
        with suppress(subprocess.TimeoutExpired):
            running[0].wait(PATIENCE_S)


def _ids(output: bytes | str) -> set[str]:
    return set((output if isinstance(output, str) else output.decode()).split())
