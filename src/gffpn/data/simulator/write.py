"""Render a plan's pictures into PNG files, on all cores.

Workers are processes of this very module (`python -m gffpn.data.simulator.write`), not of multiprocessing:
that would import the caller's main program, with all of its libraries, once a worker.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.progress import Progress

from gffpn.data.simulator.dials import Dials
from gffpn.data.simulator.scene import Picture, render
from gffpn.data.simulator.truth import Truth

WORTH_A_WORKER = 24
"""Pictures; fewer are drawn sooner than a process starts."""

# One thread a process. glibc hands large arrays back to the system at once; keeping them is a fifth faster.
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": "1000000000",
    "MALLOC_TRIM_THRESHOLD_": "1000000000",
}

Entry = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """Everything that determines a data set, next to the simulator's code."""

    dials: Dials
    image_size: tuple[int, int]
    counts: dict[str, int]
    seed: int

    def jobs(self) -> list[tuple[str, int]]:
        """Split and number of every picture."""
        return [(split, i) for split, count in self.counts.items() for i in range(count)]


def run_lengths(
    mask: NDArray[np.bool_], box: tuple[int, int, int, int], image_size: tuple[int, int]
) -> list[int]:
    """COCO's uncompressed run lengths of a mask that fills `box`: down the columns, starting with zeros."""
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
    }


def _entry(split: str, i: int, picture: Picture, image_size: tuple[int, int]) -> Entry:
    defects = [_annotation(t, picture.product, image_size) for t in picture.truths]
    return {"split": split, "i": i, "group": picture.group, "product": picture.product, "defects": defects}


def draw(plan: Plan, jobs: list[tuple[str, int]], folder: Path) -> Iterator[Entry]:
    """Write the PNG of each job and yield what is true of it."""
    for split, i in jobs:
        picture = render(i, split, plan.dials, plan.image_size, plan.seed)
        Image.fromarray(picture.pixels).save(folder / split / f"{i:06d}.png", compress_level=1)
        yield _entry(split, i, picture, plan.image_size)


def write_pictures(plan: Plan, folder: Path, progress: bool) -> list[Entry]:
    """Write all pictures below folder/<split>/, which exist; give their entries in any order."""
    jobs = plan.jobs()
    workers = min(os.cpu_count() or 1, len(jobs) // WORTH_A_WORKER)
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
    """Run one worker on every step-th job and pass on the entries that it prints, one a line."""
    order = json.dumps({**asdict(plan), "folder": str(folder), "first": first, "step": step})
    environment = {**os.environ, **_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, "-m", "gffpn.data.simulator.write", order]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as worker:
        assert worker.stdout is not None
        for line in worker.stdout:
            keep(json.loads(line))
    if worker.returncode != 0:
        raise RuntimeError(
            f"a simulator worker failed with exit code {worker.returncode}; its message is above"
        )


def _main(order: str) -> None:
    given = json.loads(order)
    dials: dict[str, Any] = {
        name: tuple(v) if isinstance(v, list) else v for name, v in given["dials"].items()
    }
    plan = Plan(Dials(**dials), tuple(given["image_size"]), given["counts"], given["seed"])
    for entry in draw(plan, plan.jobs()[given["first"] :: given["step"]], Path(given["folder"])):
        print(json.dumps(entry), flush=True)


if __name__ == "__main__":
    _main(sys.argv[1])
