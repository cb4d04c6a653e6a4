"""Seconds from `python train.py` to the first step, and what each run of a sweep adds to its training.

    python -m gffpn.benchmark.startup --rounds 5 data=neu_det data.root=/path/NEU-DET image_size=224

Each round starts three commands: an import of torch and lightning alone, one toy run, and a sweep of three
(seed=0,1,2). Round 0 warms up: it draws or reads the data set, fills the image cache and compiles the
bytecode. The runs are thrown away; W&B is offline unless `logger.wandb` says otherwise. What a sweep's run
adds is its wall time, from the end of the run before it to its own end, less its training with validation
(from the first step on), its test and its FPS timing.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from gffpn.suite.overrides import CONF

TOY = ("trainer.max_epochs=1", "trainer.limit_train_batches=4", "trainer.limit_eval_batches=2")
SEEDS = "0,1,2"
ALLOWED = 3.0
"""Seconds, after the import and for each further run."""
Marks = list[tuple[float, str]]
Seconds = dict[str, float]

IMPORT = "import of torch and lightning"
# the mark that a part ends with -> the part; what happens between two marks belongs to the later one
TO_FIRST_STEP = {
    "python": "start of Python",
    "imports begin": "import of Hydra, composition",
    "lightning imported": IMPORT,
    "imports end": "import of all else",
    "build_index begins": "checks, rehearsal",
    "build_index ends": "data index",
    "build_loggers begins": "building data, network and loss",
    "build_loggers ends": "loggers, W&B",
    "on_train_start begins": "trainer's start",
    "on_train_batch_start begins": "first batch",
}
OF_A_RUN = {
    "build_index begins": "composition, checks",
    "build_index ends": "data index",
    "build_loggers begins": "rehearsal, building",
    "build_loggers ends": "loggers, W&B",
    "on_train_batch_start begins": "trainer's start, first batch",
    "on_train_end ends": "",
    "on_test_start begins": "fit's end, best checkpoint, test's start",
    "on_test_end ends": "",
    "fps begins": "counting parameters and FLOPs",
    "fps ends": "",
    "tell ends": "W&B's end, provenance, metrics.json, collection",
}
"""The parts with a name are what a run adds; those without are its training, its test and its FPS timing."""


def parts(marks: Marks, names: Mapping[str, str], start: float) -> Seconds:
    """Seconds of each part between `start` and the first mark of each name, in their order."""
    seconds: Seconds = {}
    for ends_with, part in names.items():
        end = next(when for when, name in marks if name == ends_with and when >= start)
        seconds[part] = seconds.get(part, 0.0) + end - start
        start = end
    return seconds


def runs_of(marks: Marks) -> list[Seconds]:
    """The parts of each run of a sweep but the first, which has none before it."""
    ends = [when for when, name in marks if name == "tell ends"]
    return [parts(marks, OF_A_RUN, end) for end in ends[:-1]]


def added(run: Seconds) -> float:
    """What a run adds to its training, test and FPS timing."""
    return sum(seconds for part, seconds in run.items() if part)


def command(words: Sequence[str], folder: Path) -> tuple[float, Marks]:
    """When a train.py was started, and its marks. Raises CalledProcessError, and shows what it printed."""
    marks, script = folder / "marks.json", CONF.parent / "train.py"
    clock = [sys.executable, "-m", "gffpn.benchmark.startup_clock", str(marks), str(script)]
    runs = tempfile.mkdtemp(dir=folder)
    start = time.time()
    _run([*clock, *words, f"paths.runs={runs}"])
    return start, [(when, name) for when, name in json.loads(marks.read_text())]


def import_alone() -> float:
    """Seconds from a start of Python until torch and lightning are imported, as anybody imports them."""
    start = time.time()
    return float(_run([sys.executable, "-c", "import torch, lightning, time; print(time.time())"])) - start


def _run(words: Sequence[str]) -> str:
    # bytecode is written in the warm-up, whatever this process was told
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        print(done.stdout, file=sys.stderr)
    done.check_returncode()
    return done.stdout


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure in rounds and print the medians."""
    parser = argparse.ArgumentParser(description="seconds to the first step, and what a sweep's run adds")
    parser.add_argument("--rounds", type=int, default=3, help="after one to warm up; default: 3")
    parser.add_argument("overrides", nargs="*", help="as train.py takes them")
    asked = parser.parse_args(arguments)
    words = [*TOY, "logger.wandb=offline", *asked.overrides]
    alone: list[float] = []
    first: list[Seconds] = []
    further: list[Seconds] = []
    for number in range(asked.rounds + 1):
        print("warm-up" if number == 0 else f"round {number} of {asked.rounds}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            imported = import_alone()
            start, marks = command(words, Path(folder))
            _, sweep = command(["-m", f"seed={SEEDS}", *words], Path(folder))
        if number:
            alone.append(imported)
            first.append(parts(marks, TO_FIRST_STEP, start))
            further += runs_of(sweep)
    print(report(alone, first, further))


def report(alone: Sequence[float], first: Sequence[Seconds], further: Sequence[Seconds]) -> str:
    """Two tables of medians in seconds."""
    whole = float(np.median([sum(run.values()) for run in first]))
    own = float(np.median([sum(run.values()) - run[IMPORT] for run in first]))
    less = f"less the import of torch and lightning (allowed: {ALLOWED:g}),"
    rows: list[tuple[str, float] | str] = [
        "To the first step of one run, medians, seconds",
        *_medians(first),
        ("from the command to the first step", whole),
        ("import of torch and lightning in a command of its own", float(np.median(alone))),
        (f"{less} in the same process", own),
        (f"{less} in its own", whole - float(np.median(alone))),
        "",
        "What a further run of a sweep adds, medians, seconds",
        *_medians(further),
        (f"in all (allowed: {ALLOWED:g})", float(np.median([added(run) for run in further]))),
        ("the slowest", max(added(run) for run in further)),
    ]
    return "\n".join(row if isinstance(row, str) else f"  {row[0]:76}{row[1]:7.2f}" for row in rows)


def _medians(runs: Sequence[Seconds]) -> list[tuple[str, float]]:
    return [(part, float(np.median([run[part] for run in runs]))) for part in runs[0] if part]


if __name__ == "__main__":
    main()
