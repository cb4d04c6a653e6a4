"""Time and memory to compute the replicates of a sweep, on synthetic predictions like those of NEU-DET.

    python -m benchmarks.replicates                # 6 arms x 5 seeds, 180 images, 2,000 replicates
    python -m benchmarks.replicates --runs 1 --images 40 --objects 200 --detections 300 --classes 1

Timing starts with the predictions in memory and covers the matching, the draws and the re-weighting. One core
is used.
"""

import argparse
import resource
import sys
import time
from collections.abc import Sequence

import numpy as np

from gffpn.metrics.evaluated import Evaluated
from gffpn.metrics.matching import Boxes, Floats, Ints
from gffpn.runs.predictions import Predictions
from gffpn.stats.draws import REPLICATES
from gffpn.stats.replicates import replicates
from gffpn.streams import numpy_stream

SIDE = 224
BY_SIZE = ["mAP50", "AP_0_8", "AP_8_16", "AP_16_32", "AP_32_96", "AP_96_up"]


def synthetic(images: int, classes: int, *, objects: float, detections: float, seed: int = 0) -> Predictions:
    """Return predictions with this many objects and detections per image.

    85 % of the objects are found, with higher scores than the other detections, which lie anywhere. The
    objects do not depend on `seed`.
    """
    rng = numpy_stream("benchmark", "replicates", "truth")
    total = round(images * objects)
    truth = Boxes(
        np.sort(rng.integers(0, images, total)), rng.integers(0, classes, total), _boxes(rng, total)
    )
    rng = numpy_stream(seed, "benchmark", "replicates")
    found = rng.random(total) < 0.85
    near = truth.xyxy[found] + rng.normal(0, 0.08, (found.sum(), 4)) * np.tile(_sides(truth.xyxy[found]), 2)
    near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
    alarms = max(round(images * detections) - len(near), 0)
    image = np.concatenate([truth.image[found], rng.integers(0, images, alarms)])
    label = np.concatenate([truth.label[found], rng.integers(0, classes, alarms)])
    scores = np.concatenate([rng.beta(4, 2, len(near)), rng.beta(1, 6, alarms)])
    order = np.argsort(image, kind="stable")
    boxes = np.concatenate([near, _boxes(rng, alarms)])
    names = tuple(f"{number:04}.jpg" for number in range(images))
    evaluated = Evaluated(
        np.arange(images),
        np.ones((images, 2)),
        Boxes(image[order], label[order], boxes[order]),
        scores[order],
        truth,
        np.zeros(total, np.bool_),
    )
    sizes: Ints = np.full((images, 2), SIDE)
    return Predictions(tuple(f"class {k}" for k in range(classes)), names, names, sizes, evaluated)


def _boxes(rng: np.random.Generator, count: int) -> Floats:
    sides = np.exp(rng.uniform(np.log(6), np.log(160), (count, 2)))
    corners = rng.random((count, 2)) * (SIDE - sides)
    return np.concatenate([corners, corners + sides], axis=1)


def _sides(xyxy: Floats) -> Floats:
    return xyxy[:, 2:] - xyxy[:, :2]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the seconds for all runs, with all endpoints and with a choice of them, and the peak memory."""
    parser = argparse.ArgumentParser(description="time of the replicates of a sweep's runs")
    parser.add_argument("--runs", type=int, default=30, help="arms x seeds (default: 30)")
    parser.add_argument("--images", type=int, default=180)
    parser.add_argument("--classes", type=int, default=6)
    parser.add_argument("--objects", type=float, default=2.3, help="per image (default: 2.3)")
    parser.add_argument("--detections", type=float, nargs="+", default=[30, 100], help="per image")
    parser.add_argument("--replicates", type=int, default=REPLICATES, help=f"default: {REPLICATES}")
    asked = parser.parse_args(arguments)
    print(f"{asked.runs} runs, {asked.images} images, {asked.replicates} replicates")
    print(f"{'detections':>10}  {'endpoints':24}{'s':>8}")
    for detections in asked.detections:
        splits = [
            synthetic(asked.images, asked.classes, objects=asked.objects, detections=detections, seed=run)
            for run in range(asked.runs)
        ]
        for name, only in (("mAP50", ["mAP50"]), ("mAP50 and AP by size", BY_SIZE), ("all", None)):
            start = time.perf_counter()
            for one in splits:
                replicates(one, count=asked.replicates, only=only)
            print(f"{detections:10.0f}  {name:24}{time.perf_counter() - start:8.2f}", flush=True)
    # kilobytes on Linux, bytes on macOS
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(f"peak memory {peak / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
