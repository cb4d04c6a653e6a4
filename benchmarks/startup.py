"""Time of one short command, and the time that each further run of a sweep adds.

    python -m benchmarks.startup --rounds 5 data=neu_det data.root=/path/NEU-DET image_size=224

Each round times three commands: the import of torch and lightning alone, one toy run (four training steps,
two batches each of validation and test), and a sweep of three such runs. Round 0 is a warm-up: it draws or
reads the data set, fills the image cache and compiles the bytecode. The runs are discarded. W&B is offline
unless `logger.wandb` is set otherwise.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

TOY = (
    "trainer.max_epochs=1",
    "trainer.limit_train_batches=4",
    "trainer.limit_eval_batches=2",
    "runs_at_a_time=1",
)
SEEDS = ("0", "1", "2")


def seconds(words: Sequence[str]) -> float:
    """Return the wall time of `python WORDS` in seconds.

    If the command fails, prints its output and raises CalledProcessError.
    """
    # the warm-up must write bytecode, even where the environment forbids it
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    taken = time.perf_counter() - start
    if done.returncode:
        print(done.stdout, file=sys.stderr)
    done.check_returncode()
    return taken


def one_round(words: Sequence[str]) -> tuple[float, float, float]:
    """Return the seconds of the import, of a command with one run, and of each further run of a sweep.

    Raises RuntimeError if the commands did not train these runs.
    """
    with tempfile.TemporaryDirectory() as folder:
        train, overrides = ["-m", "gffpn.suite.train"], [*words, f"paths.runs={folder}"]
        imported = seconds(["-c", "import torch, lightning"])
        single = seconds([*train, *overrides, "seed=3"])
        sweep = seconds([*train, "-m", *overrides, f"seed={','.join(SEEDS)}"])
        finished = len(list(Path(folder).glob("*/metrics.json")))
        if finished != 1 + len(SEEDS):
            raise RuntimeError(f"{finished} runs in {folder} are finished, expected {1 + len(SEEDS)}")
    return imported, single, (sweep - single) / (len(SEEDS) - 1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Time the commands in rounds and print the medians."""
    parser = argparse.ArgumentParser(description="time a short command and each further run of a sweep")
    parser.add_argument(
        "--rounds", type=int, default=3, help="number of rounds after a warm-up round (default: 3)"
    )
    parser.add_argument("overrides", nargs="*", help="overrides as for train.py")
    asked = parser.parse_args(arguments)
    words = [*TOY, "logger.wandb=offline", *asked.overrides]
    taken = []
    for number in range(asked.rounds + 1):
        print("warm-up" if number == 0 else f"round {number} of {asked.rounds}", flush=True)
        figures = one_round(words)
        taken += [figures] if number else []
    imported, single, further = np.median(np.array(taken), axis=0)
    print(f"import of torch and lightning    {imported:6.2f} s")
    print(f"a command with one toy run       {single:6.2f} s, {single - imported:.2f} s without the import")
    print(f"each further run of a sweep      {further:6.2f} s")


if __name__ == "__main__":
    main()
