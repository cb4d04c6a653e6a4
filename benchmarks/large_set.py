"""Time and memory for large sets: check, card, start of a run, an epoch's loading, and evaluation.

    python -m benchmarks.large_set --images 2000 20000 120000

For each number of images, draws small pictures with 7.2 boxes on average, as a COCO and as a YOLO set, and
measures each of these in a process of its own:

* check: `gffpn data check FOLDER`, cold (each image is inspected) and warm (a memo knows the images);
* card: `gffpn data card FOLDER`, warm;
* start: `train.py` until the end of the first training step, cold (the images are cached) and warm;
* epoch: one pass over the training loader, without a network;
* evaluation: every figure of random detections, as in `benchmarks.evaluation`.

The seconds are those of the whole process, except for an epoch and an evaluation, which are timed inside it.
The CPU time is always that of the whole process. The memory is the largest resident memory of the process,
with the pages of the image cache that it touches.
"us" is the time of each further image compared with the column before: if it stays the same, the time grows
linearly. The set is drawn in a temporary folder, or in `--folder`, where it is kept; 120,000 images need 2.5
GB.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from gffpn.streams import numpy_stream

SIDE, CELLS = 64, 8
BOXES = 7.2
"""Mean number of boxes per image, so that 120,000 images have 860,000, as many as COCO's train2017."""
CLASSES = tuple(f"class_{label}" for label in range(8))
DETECTIONS = 3 * BOXES
BATCH = 64
FORMS = ("coco", "yolo")
TRAINING = (
    "size=n",
    "neck=fpn",
    f"image_size={SIDE}",
    f"batch_size={BATCH}",
    "trainer.accelerator=cpu",
    "logger.wandb=off",
)
HEADER = "seconds: "
"""Start of the line in which a process reports the time of a part of itself."""
# A small process in between, because a new process inherits the peak memory of the one that starts it.
_MEASURING = """
import os, sys, time
start = time.perf_counter()
child = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, *sys.argv[1:]])
_, status, used = os.wait4(child, 0)
print()
print(time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss)
raise SystemExit(os.waitstatus_to_exitcode(status))
"""


class Taken(NamedTuple):
    """Wall time, CPU time and largest resident memory of a process."""

    seconds: float
    cpu: float
    mib: float


def draw(folder: Path, images: int) -> None:
    """Write a COCO and a YOLO set of the same pictures and boxes to `folder`/coco and `folder`/yolo.

    Each picture has cells of random greys, so that no two of them are near-duplicates.
    """
    rng = numpy_stream("benchmark", "large", images)
    for place in ("coco/images", "yolo/images", "yolo/labels"):
        (folder / place).mkdir(parents=True, exist_ok=True)
    counts = rng.poisson(BOXES, images)
    sides = rng.integers(4, 25, (counts.sum(), 2))
    corners = rng.integers(0, SIDE - sides + 1)
    labels = rng.integers(0, len(CLASSES), counts.sum())
    ends = np.cumsum(counts)
    annotations = []
    for number, (end, count) in enumerate(zip(ends.tolist(), counts.tolist(), strict=True)):
        name = f"{number:06}"
        cells = Image.fromarray(rng.integers(0, 256, (CELLS, CELLS), np.uint8))
        cells.resize((SIDE, SIDE), Image.Resampling.NEAREST).save(folder / f"coco/images/{name}.jpg")
        os.link(folder / f"coco/images/{name}.jpg", folder / f"yolo/images/{name}.jpg")
        own = slice(end - count, end)
        boxes = np.concatenate([corners[own], sides[own]], axis=1)
        centred = np.concatenate([corners[own] + sides[own] / 2, sides[own]], axis=1) / SIDE
        annotations += [
            {"image_id": number, "category_id": label, "bbox": box}
            for label, box in zip(labels[own].tolist(), boxes.tolist(), strict=True)
        ]
        lines = (f"{k} {x} {y} {w} {h}\n" for k, (x, y, w, h) in zip(labels[own], centred, strict=True))
        (folder / f"yolo/labels/{name}.txt").write_text("".join(lines))
    content = {
        "images": [
            {"id": n, "file_name": f"{n:06}.jpg", "height": SIDE, "width": SIDE} for n in range(images)
        ],
        "annotations": [{"id": number, **entry} for number, entry in enumerate(annotations)],
        "categories": [{"id": label, "name": name} for label, name in enumerate(CLASSES)],
    }
    (folder / "coco/annotations.json").write_text(json.dumps(content))
    (folder / "yolo/classes.txt").write_text("\n".join(CLASSES))


def measured(words: Sequence[str]) -> Taken:
    """Run `python WORDS` and return its time and memory; a time that it reports itself replaces its own.

    Raises CalledProcessError, after printing the output, if it fails.
    """
    # bytecode must be written, even where the environment forbids it
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-I", "-S", "-c", _MEASURING, *words]
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        print(done.stdout, file=sys.stderr)
    done.check_returncode()
    *lines, last = done.stdout.splitlines()
    seconds, cpu, peak = map(float, last.split())
    reported = [line.removeprefix(HEADER) for line in lines if line.startswith(HEADER)]
    # kilobytes on Linux, bytes on macOS
    memory = peak * (1 if sys.platform == "darwin" else 1024)
    return Taken(float(reported[-1]) if reported else seconds, cpu, memory / 2**20)


def first_step(overrides: Sequence[str]) -> None:
    """Train as `train.py` does, and end the process after the first training step."""
    from gffpn.machine.imports import first_imports
    from gffpn.suite.train import train

    with first_imports():
        from gffpn.task import DetectionTask

    DetectionTask.on_train_batch_end = lambda *_: os._exit(0)  # type: ignore[method-assign]
    sys.argv[1:] = overrides
    train()


def epoch(overrides: Sequence[str]) -> None:
    """Read one epoch of training batches and print its seconds, scaled to as many images as the set has."""
    from gffpn.build.detector import build_data
    from gffpn.build.index import build_index
    from gffpn.config.check import compose_checked

    config = compose_checked(overrides)
    index = build_index(config)
    data = build_data(config, index)
    data.prepare_data()
    data.setup("fit")
    loader = data.train_dataloader()
    start = time.perf_counter()
    images = sum(len(batch["targets"]) for batch in loader)
    seconds = time.perf_counter() - start
    print(f"{HEADER}{seconds * sum(map(len, index.splits.values())) / images}")


def evaluation(images: int) -> None:
    """Evaluate random detections of so many images and print the seconds."""
    from benchmarks.evaluation import ours
    from benchmarks.random_set import random_set

    scene = random_set(images, round(DETECTIONS * images), len(CLASSES))
    print(f"{HEADER}{ours(scene).evaluation}")


def steps(folder: Path, images: int) -> Iterator[tuple[str, Callable[[], Taken]]]:
    """Yield the name of each measurement with the function that takes it, in the order that they need."""
    for form in FORMS:
        place = folder / form
        paths = [f"paths.cache={folder / 'cache'}", f"paths.runs={folder / 'runs'}"]
        check = ["-m", "gffpn", "data", "check", str(place), *paths]
        card = ["-m", "gffpn", "data", "card", str(place), *paths]
        overrides = ["data=auto", f"data.root={place}", *TRAINING, *paths]
        start, loading = ([*_call(f"{name}(sys.argv[1:])"), *overrides] for name in ("first_step", "epoch"))
        for name, words in (
            ("check, cold", check),
            ("check, warm", check),
            ("card", card),
            ("start, cold", start),
            ("start, warm", start),
            ("epoch", loading),
        ):
            yield f"{form.upper()}: {name}", partial(measured, words)
        for made in ("cache", "runs"):
            shutil.rmtree(folder / made, ignore_errors=True)
    yield "evaluation", partial(measured, _call(f"evaluation({images})"))


def _call(code: str) -> list[str]:
    return ["-c", f"import sys\nfrom benchmarks.large_set import *\n{code}"]


def table(taken: dict[int, dict[str, Taken]]) -> str:
    """Return a Markdown table of seconds, MiB, and microseconds per further image, by number of images."""
    sizes = sorted(taken)
    lines = [
        "| images | " + " | ".join(f"{size:,}: s | CPU s | MiB | us" for size in sizes) + " |",
        "| --- |" + " ---: |" * 4 * len(sizes),
    ]
    for name in taken[sizes[0]]:
        cells = [name]
        for before, size in zip([None, *sizes], sizes, strict=False):
            one = taken[size][name]
            seconds, images = (taken[before][name].seconds, before) if before else (0.0, 0)
            growth = f"{1e6 * (one.seconds - seconds) / (size - images):.0f}" if before else ""
            cells += [f"{one.seconds:.2f}", f"{one.cpu:.2f}", f"{one.mib:.0f}", growth]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the sets, measure, and print the table."""
    parser = argparse.ArgumentParser(description="time and memory for large data sets")
    parser.add_argument("--images", type=int, nargs="+", default=[2_000, 20_000], help="default: 2000 20000")
    parser.add_argument("--folder", type=Path, help="keep the sets here, and use those from before")
    parser.add_argument("--only", default="", help="measure what has this word in its name, e.g. check")
    asked = parser.parse_args(arguments)
    taken: dict[int, dict[str, Taken]] = {}
    for images in sorted(asked.images):
        taken[images] = {}
        with tempfile.TemporaryDirectory() as temporary:
            folder = (asked.folder or Path(temporary)) / str(images)
            if not folder.exists():
                draw(folder, images)
            for name, take in steps(folder, images):
                if asked.only in name:
                    taken[images][name] = take()
                    print(f"{images} images, {name}: {taken[images][name]}", file=sys.stderr, flush=True)
    print(table(taken))


if __name__ == "__main__":
    main()
