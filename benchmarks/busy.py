"""Training speed beside busy processes, with one thread per core and with the number that the run chooses.

    python -m benchmarks.busy --rounds 3 data=neu_det data.root=/path/NEU-DET image_size=224

Each round trains once for each number of neighbours, each a loop that does nothing, and each way of setting
the threads, in turns. The speed covers all steps, also those in which the run notices its neighbours, and
validation on one batch per epoch. A first run, which is not counted, draws or reads the data set. Runs are
discarded.
"""

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gffpn.machine.cores import usable_cores
from gffpn.runs.record import read_record

# ends with this process, even if that is killed
BUSY = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n for _ in range(1_000_000): pass"
WAYS = {"fixed": str(usable_cores()), "chosen": "null"}
"""Values of `trainer.threads`."""
CHEAP = (
    "trainer.accelerator=cpu",
    "trainer.limit_eval_batches=1",
    "trainer.fps_seconds=0",
    "logger.wandb=off",
)


@contextmanager
def neighbours(count: int) -> Iterator[None]:
    """Keep `count` processes busy during the block."""
    processes = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def images_per_second(words: Sequence[str], *, steps: int, epochs: int) -> tuple[float, list[str]]:
    """Train with the overrides `words`; return the speed and the lines about threads that the run printed.

    Raises RuntimeError with the end of its output if the run fails.
    """
    # torch's own number of threads, whatever the shell has set
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    with tempfile.TemporaryDirectory() as folder:
        size = [f"trainer.max_epochs={epochs}", f"trainer.limit_train_batches={steps}"]
        command = [sys.executable, "-m", "gffpn.suite.train", *CHEAP, *size, f"paths.runs={folder}", *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError((done.stdout + done.stderr)[-2000:])
        (path,) = Path(folder).glob("*/config.yaml")
        record = read_record(path.parent / "metrics.json")
    images = epochs * min(steps * record.settings.batch_size, record.data.images["train"])
    lines = [line for line in done.stdout.splitlines() if line.startswith(("Busy machine", "Cores are free"))]
    return images / (60 * record.training.minutes), lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Train in rounds and print the medians, and their ratios to the idle speed with a fixed number."""
    parser = argparse.ArgumentParser(description="training speed beside busy processes")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--steps", type=int, default=40, help="training steps per epoch (default: 40)")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--neighbours", default="0,1,2", help="numbers of busy processes (default: 0,1,2)")
    parser.add_argument("--ways", default=",".join(WAYS), help="ways of setting the threads (default: both)")
    parser.add_argument("overrides", nargs="*", help="overrides as for train.py")
    asked = parser.parse_args(arguments)
    images_per_second([*asked.overrides, "trainer.threads=1"], steps=2, epochs=1)
    cases = list(itertools.product(map(int, asked.neighbours.split(",")), asked.ways.split(",")))
    found = defaultdict(list)
    for number, (count, way) in itertools.product(range(asked.rounds), cases):
        threads = f"trainer.threads={WAYS[way]}"
        with neighbours(count):
            speed, lines = images_per_second(
                [*asked.overrides, threads], steps=asked.steps, epochs=asked.epochs
            )
        found[count, way].append(speed)
        print(f"round {number + 1}: {count} neighbours, {threads}: {speed:.1f} images/s", *lines, sep="\n  ")
        sys.stdout.flush()
    idle = statistics.median(found.get((0, "fixed")) or next(iter(found.values())))
    for (count, way), speeds in found.items():
        speed = statistics.median(speeds)
        print(f"{count} neighbours, {way:6}  {speed:7.1f} images/s  {100 * speed / idle:5.0f} %")


if __name__ == "__main__":
    main()
