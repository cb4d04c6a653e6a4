"""Render the pictures of a plan to PNG files, on all cores that this process may use.

Workers are processes that run this module (`python -m tinyindus.write`). Workers of multiprocessing would
import the caller's main program with all of its libraries. Workers of joblib took 18 % more CPU time for 300
pictures of 320 pixels, because they cannot be given the environment below.
"""

import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.progress import Progress

from tinyindus.dials import Dials, turn
from tinyindus.scene import Picture, render
from tinyindus.truth import Truth

PNG: dict[str, Any] = {"compress_level": 1, "compress_type": zlib.Z_HUFFMAN_ONLY}
"""Noise has no repetitions: searching for them takes many times as long and saves no space."""
WORTH_A_WORKER = 24
"""Number of pictures; fewer than this are drawn faster than a process starts."""

# One thread per process. By default, glibc returns the memory of large arrays to the system at once; keeping
# it saves a fifth of the time.
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": "1000000000",
    "MALLOC_TRIM_THRESHOLD_": "1000000000",
}

Entry = dict[str, Any]


class Job(NamedTuple):
    """One picture to draw."""

    split: str
    i: int
    """Number of the scene."""
    entry: int | None
    """Position in `Plan.test_dials`, or None."""

    @property
    def file_name(self) -> str:
        """Path relative to the folder of images."""
        twin = "" if self.entry is None else f"-{self.entry}"
        return f"{self.split}/{self.i:06d}{twin}.png"


@dataclass(frozen=True)
class Plan:
    """Everything that determines a data set, apart from the simulator's code."""

    dials: Dials
    image_size: tuple[int, int]
    counts: dict[str, int]
    """Number of scenes per split."""
    seed: int
    test_dials: tuple[Dials, ...] | None = None
    """The test split contains every scene once per entry, drawn with that entry's dials."""

    def jobs(self) -> list[Job]:
        """Return the jobs for all pictures of the data set."""
        entries = {"test": [*range(len(self.test_dials))]} if self.test_dials else {}
        return [
            Job(split, i, entry)
            for split, count in self.counts.items()
            for i in range(count)
            for entry in entries.get(split, [None])
        ]

    def render(self, job: Job) -> Picture:
        """Draw one picture."""
        dials = self.test_dials[job.entry] if self.test_dials and job.entry is not None else self.dials
        return render(job.i, job.split, dials, self.image_size, self.seed, imitated=self.dials)


def run_lengths(
    mask: NDArray[np.bool_], box: tuple[int, int, int, int], image_size: tuple[int, int]
) -> list[int]:
    """Return COCO's uncompressed run lengths of a mask that fills `box`: column by column, zeros first."""
    full = np.zeros(image_size, np.bool_)
    full[box[1] : box[3], box[0] : box[2]] = mask
    flat = full.ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], changes, [flat.size]]))
    counts: list[int] = runs.tolist()
    return [0, *counts] if flat[0] else counts


def _annotation(truth: Truth, product: str, image_size: tuple[int, int]) -> Entry:
    x1, y1, x2, y2 = truth.box
    return {
        "category_id": truth.label + 1,
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": truth.area,
        "iscrowd": 0,
        "segmentation": {"size": list(image_size), "counts": run_lengths(truth.mask, truth.box, image_size)},
        "side": round(truth.side, 3),
        "visibility": round(truth.visibility, 2),
        "product": product,
        "defect": truth.number,
    }


def _entry(job: Job, picture: Picture, image_size: tuple[int, int]) -> Entry:
    twin = {} if job.entry is None else {"entry": job.entry}
    return {
        "split": job.split,
        "i": job.i,
        **twin,
        "file_name": job.file_name,
        "group": picture.group,
        "product": picture.product,
        "defects": [_annotation(truth, picture.product, image_size) for truth in picture.truths],
    }


def draw(plan: Plan, jobs: list[Job], folder: Path) -> Iterator[Entry]:
    """Write the PNG file of each job and yield its ground truth."""
    for job in jobs:
        picture = plan.render(job)
        Image.fromarray(picture.pixels).save(folder / job.file_name, **PNG)
        yield _entry(job, picture, plan.image_size)


def usable_cores() -> int:
    """Return the number of CPU cores that this process can keep busy; a container may grant only some."""
    from joblib import cpu_count  # a fifth of a second, which a worker does not need

    return int(cpu_count())


def write_pictures(plan: Plan, folder: Path, progress: bool) -> list[Entry]:
    """Write all pictures to the existing folders folder/<split> and return their entries in any order."""
    jobs = plan.jobs()
    workers = min(usable_cores(), len(jobs) // WORTH_A_WORKER)
    entries: list[Entry] = []
    with Progress(disable=not progress, transient=True) as bar:
        task = bar.add_task("drawing the simulated TinyIndus", total=len(jobs))

        def keep(entry: Entry) -> None:
            entries.append(entry)
            bar.advance(task)

        if workers < 2:
            for entry in draw(plan, jobs, folder):
                keep(entry)
        else:
            with ThreadPoolExecutor(workers) as pool:
                for done in [pool.submit(_listen, plan, folder, k, workers, keep) for k in range(workers)]:
                    done.result()
    return entries


def _listen(plan: Plan, folder: Path, first: int, step: int, keep: Callable[[Entry], None]) -> None:
    """Run one worker on every step-th job and pass each entry that it prints, one per line, to `keep`."""
    order = json.dumps({**asdict(plan), "folder": str(folder), "first": first, "step": step})
    environment = {**os.environ, **_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, "-m", "tinyindus.write", order]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as worker:
        assert worker.stdout is not None
        for line in worker.stdout:
            keep(json.loads(line))
    if worker.returncode != 0:
        raise RuntimeError(
            f"a simulator worker failed with exit code {worker.returncode}; its error message is above"
        )


def _main(order: str) -> None:
    given = json.loads(order)
    test_dials = given["test_dials"] and tuple(turn(Dials(), dials) for dials in given["test_dials"])
    dials = turn(Dials(), given["dials"])
    plan = Plan(dials, tuple(given["image_size"]), given["counts"], given["seed"], test_dials)
    for entry in draw(plan, plan.jobs()[given["first"] :: given["step"]], Path(given["folder"])):
        print(json.dumps(entry), flush=True)


if __name__ == "__main__":
    _main(sys.argv[1])
