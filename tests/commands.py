"""Toy-scale runs and command lines that several test files start."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gffpn.runs.folder import RunFolder
from gffpn.runs.record import Record

Train = Callable[..., tuple[int, str]]
ROOT = Path(__file__).parents[1]
SIDE = 64
# prefixes of the metrics that differ between two runs of the same configuration
TIMES = ("minutes", "fps", "latency_", "rounds", "timed_run", "timed_others")


def tiny_overrides(squares: Path, folder: Path) -> list[str]:
    """Return overrides for a run on `squares` that takes seconds and writes its results below `folder`."""
    return [
        "data=yolo",
        f"data.root={squares}",
        f"data.splits={squares}/splits",
        "data.classes=[dark,bright]",
        f"image_size={SIDE}",
        "batch_size=4",
        "trainer.max_epochs=2",
        "trainer.fps_seconds=0",
        "loader.workers=0",
        "runs_at_a_time=1",  # in this process, without another import of torch
        "logger.pictures=4",
        "logger.wandb=off",
        f"paths.runs={folder}/runs",
        f"paths.cache={folder}/cache",
    ]


def run_tiny(overrides: list[str]) -> RunFolder:
    """Run in this process and return the run's folder, which must be the only one below `paths.runs`."""
    # imported here, because torch takes seconds and not every test needs it
    from gffpn.config.compose import compose_config
    from gffpn.suite.run import run

    config = compose_config(overrides)
    run(config)
    (folder,) = {path.parent for path in Path(config.paths.runs).glob("*/config.yaml")}
    return RunFolder(folder)


def record_of(folder: RunFolder) -> Record:
    """Return the record of a run that must be finished."""
    record = folder.read()
    assert record is not None
    return record


def without_times(record: Record) -> dict[str, Any]:
    """Return the columns that must be equal in two runs of the same configuration."""
    return {key: value for key, value in record.columns().items() if not key.startswith(TIMES)}


@contextmanager
def own_logging() -> Iterator[None]:
    """Remove the handlers that Hydra adds to the root logger; they would write to a stream that is closed."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


def train_py(*words: str) -> tuple[int, str]:
    """Run `python train.py WORDS` in a separate process; return its exit code and its output."""
    done = command("train.py", *words)
    return done.returncode, done.stdout + done.stderr


def command(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run `python WORDS` in a separate process and return its exit code and output."""
    return subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
