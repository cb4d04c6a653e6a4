"""Runs per hour of a sweep: one run after another with all cores, and as many at a time as cores carry.

    python -m benchmarks.sweep_speed --epochs 10 data=coco data.root=/path/nuclei data.splits=splits \\
        image_size=256 augment=light neck=fpn,gffpn seed='range(6)'

Each round executes the same sweep both ways, in turns. The time is that of the whole command: imports,
checks, training, tests, the measurement of FPS and the table. The first command, which is not counted, trains
one step, to read the data and to fill the image cache. Runs are discarded. Imports count, so that few epochs
show less than the gain of a sweep of usual length.

`--before PYTHON` compares with the plain `-m` of an earlier version, installed in the environment of that
interpreter, in place of this version's one run after another.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

ENGINE = ("trainer.accelerator=cpu", "logger.wandb=off")


def swept(python: str, words: Sequence[str]) -> tuple[int, float]:
    """Execute a sweep in the interpreter `python`; return its number of runs and its seconds.

    Raises RuntimeError with the end of its output if a run fails.
    """
    # torch's own number of threads, whatever the shell has set; another version finds its own source
    dropped = {"OMP_NUM_THREADS"} if python == sys.executable else {"OMP_NUM_THREADS", "PYTHONPATH"}
    environment = {key: value for key, value in os.environ.items() if key not in dropped}
    with tempfile.TemporaryDirectory() as folder:
        command = [python, "-m", "gffpn.suite.train", "-m", *ENGINE, *words, f"paths.runs={folder}"]
        start = time.perf_counter()
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - start
        runs = len(list(Path(folder).glob("*/metrics.json")))
    if done.returncode or not runs:
        raise RuntimeError((done.stdout + done.stderr)[-2000:])
    return runs, seconds


def main(arguments: Sequence[str] | None = None) -> None:
    """Execute the sweep in rounds and print the medians of the runs per hour, and their ratio."""
    parser = argparse.ArgumentParser(description="runs per hour of a sweep, one after another and at a time")
    parser.add_argument("--rounds", type=int, default=1, help="number of rounds (default: 1)")
    parser.add_argument("--epochs", type=int, default=10, help="epochs per run (default: 10)")
    parser.add_argument("--before", metavar="PYTHON", help="interpreter of an earlier version's environment")
    parser.add_argument("overrides", nargs="+", help="overrides as for train.py -m")
    asked = parser.parse_args(arguments)
    first = [word.split(",")[0] for word in asked.overrides if not word.startswith("seed=")]
    one_by_one = (asked.before, []) if asked.before else (sys.executable, ["runs_at_a_time=1"])
    ways = {"one after another": one_by_one, "at a time": (sys.executable, ["runs_at_a_time=null"])}
    for python in {python for python, _ in ways.values()}:
        swept(python, [*first, "trainer.max_epochs=1", "trainer.limit_train_batches=1"])
    rates = defaultdict(list)
    for number in range(asked.rounds):
        for way, (python, words) in ways.items() if number % 2 == 0 else reversed(ways.items()):
            runs, seconds = swept(python, [*asked.overrides, f"trainer.max_epochs={asked.epochs}", *words])
            rates[way].append(3600 * runs / seconds)
            print(f"{way}: {runs} runs in {seconds:.0f} s, {rates[way][-1]:.1f} runs per hour", flush=True)
    before, after = (statistics.median(rates[way]) for way in ways)
    print(f"{before:.1f} against {after:.1f} runs per hour: {after / before:.2f} times as many")


if __name__ == "__main__":
    main()
