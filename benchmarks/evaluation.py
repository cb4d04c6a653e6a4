"""Time to evaluate a large set: our metric, pycocotools and faster-coco-eval on the same random set.

    python -m benchmarks.evaluation --images 10000 --detections 100000 --classes 8

Timing starts with the boxes in memory. For our metric it covers the whole `DetectionMetric`: updates in
batches of 16 images, then all figures of metrics.json, including eleven size ranges. For the other two it
covers evaluate, accumulate and summarize with COCO's four size ranges; loading (createIndex and loadRes) is
reported separately. The exit code is 1 if a figure that both define differs by more than `TOLERANCE`.
"""

import argparse
import contextlib
import io
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.random_set import RandomSet, coco_rows, random_set
from gffpn.machine.timing import rotated
from gffpn.metrics.detection import DetectionMetric

TOLERANCE = 1e-6
BATCH = 16
COCO_EDGES = (32, 96)
# Half a unit of the last decimal to which our sides are rounded. Subtracting it makes COCO's closed ranges
# agree with ours, which are half-open.
_BELOW = 5e-4
# name -> position in `COCOeval.stats`
STATS = {"mAP50_95": 0, "mAP50": 1, "AP_0_32": 3, "AP_32_96": 4, "AP_96_up": 5}


class Timed(NamedTuple):
    """Seconds of one round, and the resulting figures."""

    loading: float
    evaluation: float
    figures: dict[str, float]


def ours(scene: RandomSet, **arguments: Any) -> Timed:
    """Time our whole metric, with its default size ranges or those in `arguments`."""
    start = time.perf_counter()
    metric = DetectionMetric([str(label) for label in range(scene.classes)], **arguments)
    for first in range(0, len(scene.targets), BATCH):
        part = slice(first, first + BATCH)
        metric.update(scene.detections[part], scene.targets[part])
    figures = metric.compute()
    return Timed(0.0, time.perf_counter() - start, figures)


def pycocotools(scene: RandomSet) -> Timed:
    """Time COCO's own evaluation."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    return _coco(scene, COCO, COCOeval)


def faster_coco_eval(scene: RandomSet) -> Timed:
    """Time COCO's evaluation with inner loops in C++."""
    from faster_coco_eval import COCO, COCOeval_faster

    return _coco(scene, COCO, COCOeval_faster)


def _coco(scene: RandomSet, dataset: Any, evaluator: Any) -> Timed:
    truth, found = coco_rows(scene)
    with contextlib.redirect_stdout(io.StringIO()):
        start = time.perf_counter()
        objects = dataset()
        objects.dataset = truth
        objects.createIndex()
        detections = objects.loadRes(found)
        loaded = time.perf_counter()
        evaluation = evaluator(objects, detections, "bbox")
        small, large = ((edge - _BELOW) ** 2 for edge in COCO_EDGES)
        evaluation.params.areaRng = [[0, 1e10], [0, small], [small, large], [large, 1e10]]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        end = time.perf_counter()
    figures = {name: float(evaluation.stats[position]) for name, position in STATS.items()}
    known = {name: value if value > -1 else math.nan for name, value in figures.items()}
    return Timed(loaded - start, end - loaded, known)


def largest_difference(figures: Mapping[str, float], reference: Mapping[str, float]) -> float:
    """Return the largest difference among the figures that COCO defines. Two NaN values count as equal."""
    pairs = [(figures[name], reference[name]) for name in STATS]
    return max(0.0 if math.isnan(a) and math.isnan(b) else abs(a - b) for a, b in pairs)


def main(arguments: Sequence[str] | None = None) -> None:
    """Time the three evaluations in turns; print their times and whether their figures agree."""
    parser = argparse.ArgumentParser(
        description="time the mAP of a large set and compare it with pycocotools"
    )
    for name, value in (("images", 10_000), ("detections", 100_000), ("classes", 8), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=value, help=f"default: {value}")
    asked = parser.parse_args(arguments)
    scene = random_set(asked.images, asked.detections, asked.classes)
    objects = sum(len(target["labels"]) for target in scene.targets)
    print(
        f"{asked.images} images, {asked.detections} detections, {objects} objects, {asked.classes} classes; "
        f"medians of {asked.rounds} rounds after one warm-up round, {torch.get_num_threads()} threads"
    )
    rounds = _rounds(scene, asked.rounds)
    print(_table(rounds))
    reference = rounds["pycocotools"][0].figures
    difference = largest_difference(ours(scene, size_edges=COCO_EDGES).figures, reference)
    print("pycocotools: " + ", ".join(f"{name} {value:.6f}" for name, value in reference.items()))
    print(f"largest difference from these: {difference:.1e} (allowed: {TOLERANCE:g})")
    if not difference <= TOLERANCE:
        raise SystemExit(1)


def _rounds(scene: RandomSet, count: int) -> dict[str, list[Timed]]:
    subjects = [("gffpn", ours), ("pycocotools", pycocotools), ("faster-coco-eval", faster_coco_eval)]
    rounds: dict[str, list[Timed]] = {name: [] for name, _ in subjects}
    for number in range(count + 1):
        for name, run in rotated(subjects, number):
            rounds[name].append(run(scene))
    return rounds


def _table(rounds: Mapping[str, Sequence[Timed]]) -> str:
    median = {name: np.median(np.array([t[:2] for t in taken[1:]]), axis=0) for name, taken in rounds.items()}
    base = float(median["gffpn"][1])
    lines = [f"{'':18}{'loading s':>11}{'figures s':>11}{'ratio':>8}{'ratio with loading':>20}"]
    for name, (loading, evaluation) in median.items():
        ratios = f"{evaluation / base:8.1f}{(loading + evaluation) / base:20.1f}"
        lines.append(f"{name:18}{loading:11.3f}{evaluation:11.3f}{ratios}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
