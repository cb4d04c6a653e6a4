"""Runs and commands at toy scale, as several test files start them."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from gffpn.runs.folder import RunFolder

ROOT = Path(__file__).parents[1]
SIDE = 64
# differs between two runs of the same thing
TIMES = ("minutes", "fps", "latency_", "rounds")


def tiny_overrides(squares: Path, folder: Path) -> list[str]:
    """Return overrides of a run that takes seconds on the data set `squares`, with its runs in `folder`."""
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
        "logger.pictures=4",
        f"paths.runs={folder}/runs",
        f"paths.cache={folder}/cache",
    ]


def run_tiny(overrides: list[str]) -> RunFolder:
    """Run in this process and return the folder, the only one below `paths.runs`."""
    # here: torch takes seconds, and not every test needs it
    from gffpn.config.compose import compose_config
    from gffpn.suite.run import run

    config = compose_config(overrides)
    run(config)
    (folder,) = {path.parent for path in Path(config.paths.runs).glob("*/config.yaml")}
    return RunFolder(folder)


def without_times(metrics: dict[str, Any]) -> dict[str, Any]:
    """Return the metrics that two runs of the same thing must share."""
    return {key: value for key, value in metrics.items() if not key.startswith(TIMES)}


def command(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run `python WORDS` to its end, in a process of its own."""
    return subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
