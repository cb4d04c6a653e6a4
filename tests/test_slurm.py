"""Do sweeps on a real SLURM survive refusals, requeues, cancelled jobs and the death of their parent?

Skipped where no SLURM answers. With a partition named otherwise, set GFFPN_PARTITION.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from commands import ROOT, Train
from gffpn.runs.folder import RunFolder
from kill_and_resume import figures
from test_machines import table

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("sinfo") is None, reason="no SLURM here")]
EPOCHS = 30  # so many that a job is still training when it is requeued
ON_SLURM = [
    "hydra/launcher=slurm",
    f"hydra.launcher.partition={os.environ.get('GFFPN_PARTITION', 'cpu')}",
    "hydra.launcher.cpus_per_task=1",
    "hydra.launcher.mem_gb=null",
]
WITHOUT_GPUS = "hydra.launcher.gpus_per_node=null"


class Sweep:
    """A sweep on SLURM, started by a process of its own."""

    def __init__(self, words: Sequence[str], runs: Path) -> None:
        self.words = [*words, *ON_SLURM, WITHOUT_GPUS, f"paths.runs={runs}", "name=both"]
        self.runs = runs
        self.start()

    def start(self) -> None:
        """Start, or repeat, the command."""
        self.process = subprocess.Popen(
            [sys.executable, "train.py", "-m", *self.words],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def end(self) -> tuple[int, str]:
        """Wait for the command; return its exit code and what it printed."""
        printed, _ = self.process.communicate(timeout=300)
        return self.process.returncode, printed

    def output(self, job: int) -> str:
        """Return what a job of the array has printed so far."""
        files = (self.runs / "sweeps" / "both" / ".submitit").glob(f"*_{job}/*_log.out")
        return "".join(file.read_text() for file in files)

    def job(self, number: int) -> str:
        """Return the id of a job of the array once it has trained two epochs."""
        wait_until(lambda: "epoch 2/" in self.output(number))
        return next(name for name in in_queue() if name.endswith(f"_{number}"))


def wait_until(true: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.2)


def in_queue() -> list[str]:
    return slurm("squeue", "--me", "--noheader", "--array", "--format=%i").split()


def slurm(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def start_at_once(job: str) -> None:
    """Spare a requeued job the two minutes for which SLURM holds it back."""
    wait_until(lambda: slurm("squeue", "--noheader", f"--jobs={job}", "--format=%T").strip() == "PENDING")
    slurm("scontrol", "update", f"jobid={job}", "StartTime=now")


@pytest.fixture(scope="module", autouse=True)
def _controller() -> None:
    """Skip the tests unless a controller answers; looking for one that is down takes ten seconds."""
    if subprocess.run(["sinfo", "--noheader"], capture_output=True).returncode != 0:
        pytest.skip("needs a SLURM whose controller answers, see docs/machines.md")


@pytest.fixture(autouse=True)
def _nothing_left(_controller: None) -> Iterator[None]:
    """Cancel the jobs of a test that failed."""
    before = set(in_queue())
    yield
    if left := set(in_queue()) - before:
        slurm("scancel", *left)


@pytest.fixture
def words(uneven: list[str]) -> list[str]:
    kept = [word for word in uneven if not word.startswith("trainer.max_epochs")]
    return [*kept, f"trainer.max_epochs={EPOCHS}"]


@pytest.mark.parametrize(
    ("override", "remedy"),
    [
        ("hydra.launcher.gpus_per_node=1", "set hydra.launcher.gpus_per_node=null"),
        ("hydra.launcher.partition=nowhere", "set hydra.launcher.partition=NAME"),
        ("hydra.launcher.mem_gb=1000000", "set hydra.launcher.mem_gb=N or null"),
        ("hydra.launcher.constraint=nothing", "set hydra.launcher.constraint=NAME or null"),
    ],
)
def test_a_refused_job_names_the_override_that_helps(
    override: str, remedy: str, words: list[str], tmp_path: Path, train: Train
) -> None:
    code, printed = train(
        "-m", *words, "neck=fpn,panet", *ON_SLURM, WITHOUT_GPUS, override, f"paths.runs={tmp_path}/runs"
    )
    assert code == 2
    (line,) = [line for line in printed.splitlines() if line.startswith("ERROR")]
    assert remedy in line
    assert "Traceback" not in printed
    assert "not started" not in printed


def test_requeued_jobs_end_equal_to_uninterrupted_ones(
    words: list[str], tmp_path: Path, train: Train
) -> None:
    code, _ = train("-m", *words, "neck=fpn,panet", f"paths.runs={tmp_path}/here", "name=both")
    assert code == 0
    sweep = Sweep([*words, "neck=fpn,panet"], tmp_path / "slurm")
    first = sweep.job(0)
    slurm("scontrol", "requeue", first)
    second = sweep.job(1)
    slurm("scancel", "--signal=USR2", second)  # as before a time limit
    for job in (first, second):
        start_at_once(job)
    code, printed = sweep.end()
    assert code == 0, printed
    assert [sweep.output(job).count("Resuming: ") for job in (0, 1)] == [1, 1]
    expected = {name: {**row, "launcher": "slurm"} for name, row in figures(tmp_path / "here").items()}
    assert figures(tmp_path / "slurm") == expected
    assert table(tmp_path / "slurm") == table(tmp_path / "here")


def test_a_cancelled_job_leaves_the_others_and_a_table(words: list[str], tmp_path: Path) -> None:
    sweep = Sweep([*words, "neck=fpn,panet,gffpn", "trainer.max_epochs=30"], tmp_path)
    slurm("scancel", sweep.job(1))
    code, printed = sweep.end()
    assert code == 1
    assert [row["status"] for row in table(tmp_path)] == ["finished", "interrupted", "finished"]
    assert "ended without a result" in printed
    assert "1 of 3 runs are not finished." in printed
    assert "Traceback" not in printed


def test_a_killed_command_given_again_waits_for_its_jobs(words: list[str], tmp_path: Path) -> None:
    sweep = Sweep([*words, "neck=fpn,panet"], tmp_path)
    jobs = [sweep.job(0), sweep.job(1)]
    sweep.process.send_signal(signal.SIGKILL)
    sweep.end()
    sweep.start()
    code, printed = sweep.end()
    assert code == 0, printed
    assert "Waiting for the SLURM jobs of an earlier command" in printed
    assert any(job in printed for job in jobs)
    for job in (0, 1):
        assert sweep.output(job).count("Running: ") == 1
        assert sweep.output(job).count("Already finished, skipped") == 1
    assert [row["status"] for row in table(tmp_path)] == ["finished", "finished"]


def test_a_run_of_two_tasks(words: list[str], tmp_path: Path) -> None:
    two = ["trainer=slurm", "hydra.launcher.tasks_per_node=2", "trainer.max_epochs=1"]
    code, printed = Sweep([*words, "neck=fpn", *two], tmp_path).end()
    assert code == 0, printed
    (path,) = tmp_path.glob("fpn_*/metrics.json")
    record = RunFolder(path.parent).read()
    assert record is not None
    assert record.training.processes == 2


def test_a_run_that_reaches_its_time_limit_is_submitted_again(words: list[str], tmp_path: Path) -> None:
    limit = ["hydra.launcher.timeout_min=1", "hydra.launcher.signal_delay_s=20", "trainer.max_epochs=500"]
    sweep = Sweep([*words, "neck=fpn", *limit], tmp_path)
    outputs = (tmp_path / "sweeps" / "both" / ".submitit").glob
    wait_until(lambda: any("this job is timed-out" in file.read_text() for file in outputs("*/*.out")))
    (job,) = in_queue()
    start_at_once(job)
    wait_until(lambda: any("Resuming: " in file.read_text() for file in outputs("*/*.out")))
    slurm("scancel", job)
    code, _ = sweep.end()
    assert code == 1
