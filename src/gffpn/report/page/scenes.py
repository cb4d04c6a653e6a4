"""Whole test images: the same for every arm, with the truth and with each arm's detections."""

import hashlib
from dataclasses import dataclass

import numpy as np

from gffpn.metrics.matching import Floats
from gffpn.report.analyses import Analysed, Analyses
from gffpn.report.page.images import SplitImages, whole
from gffpn.runs.folder import RunFolder
from gffpn.runs.predictions import Predictions, read_predictions
from gffpn.stats.assignment import assigned, calls, in_crowd, overlapping
from gffpn.stats.study import Study

IMAGES = 4
"""Whole test images."""
ARMS = 6
"""More columns would be too narrow."""


@dataclass(frozen=True)
class Box:
    """A rectangle in native pixels and its class in the style: truth, missed, hit or false."""

    left: float
    top: float
    width: float
    height: float
    kind: str
    label: str


@dataclass(frozen=True)
class View:
    """What one column shows of an image."""

    title: str
    arm: int | None
    """None for the truth."""
    boxes: tuple[Box, ...]
    text: str
    """The picture in words."""


@dataclass(frozen=True)
class Scene:
    """A whole test image, once for the truth and once for each arm."""

    name: str
    uri: str
    width: int
    height: int
    views: tuple[View, ...]


def predictions_of(one: Analysed) -> Predictions:
    """Return the predictions of a run's test split."""
    assert one.run.path
    return read_predictions(RunFolder(one.run.path).predictions)["test"]


def scenes(study: Study, analyses: Analyses, truth: Predictions, files: SplitImages) -> list[Scene]:
    """Return images with objects in an order that depends on the names of the images alone."""
    single = truth.evaluated.objects.image[~truth.evaluated.crowd]
    objects = np.bincount(single, minlength=len(truth.names))
    seed = hashlib.sha256("\n".join(truth.names).encode()).digest()
    order = np.random.default_rng(int.from_bytes(seed[:8], "little")).permutation(len(truth.names))
    columns = [(at, arm[0], predictions_of(arm[0])) for at, arm in enumerate(analyses.arms) if arm][:ARMS]
    made: list[Scene] = []
    for image in (int(one) for one in order if objects[one]):
        pixels = files.read(truth.names[image])
        if pixels is None or len(made) == IMAGES:
            break
        views = [_truth_view(truth, image)]
        views += [_arm_view(study, at, one, predictions, image) for at, one, predictions in columns]
        made.append(Scene(truth.names[image], whole(pixels), pixels.shape[1], pixels.shape[0], tuple(views)))
    return made


def native(predictions: Predictions, xyxy: Floats, image: int) -> Floats:
    """Return boxes (..., 4) of an image in native pixels."""
    return xyxy / np.tile(predictions.evaluated.scales[image], 2)


def rectangle(xyxy: Floats, kind: str, label: str) -> Box:
    """Return a box (4,) as a rectangle to a tenth of a pixel."""
    left, top, right, bottom = (round(float(value), 1) for value in xyxy)
    return Box(left, top, round(right - left, 1), round(bottom - top, 1), kind, label)


def _truth_view(truth: Predictions, image: int) -> View:
    objects = truth.evaluated.objects
    at = np.flatnonzero((objects.image == image) & ~truth.evaluated.crowd)
    boxes = [
        rectangle(native(truth, objects.xyxy[one], image), "truth", truth.classes[objects.label[one]])
        for one in at
    ]
    return View("truth", None, tuple(boxes), f"{len(boxes)} objects")


def _arm_view(study: Study, arm: int, one: Analysed, predictions: Predictions, image: int) -> View:
    """Return an arm's detections at its operating point and the objects that it misses."""
    name = f"{study.arms[arm].name}, seed {one.run.seed}"
    point = one.run.record.operating_point if one.run.record else None
    if point is None:
        return View(name, arm, (), "no operating point")
    called = calls(predictions.evaluated, point.threshold)
    pairs = overlapping(called)
    found = assigned(pairs.only(pairs.same_class), called.scores)
    boxes = []
    ignored = in_crowd(called) & (found < 0)
    for at in np.flatnonzero((called.detections.image == image) & ~ignored):
        kind = "hit" if found[at] >= 0 else "false"
        label = f"{predictions.classes[called.detections.label[at]]} {100 * called.scores[at]:.0f} %"
        boxes.append(rectangle(native(predictions, called.detections.xyxy[at], image), kind, label))
    hits, wrong = (sum(box.kind == kind for box in boxes) for kind in ("hit", "false"))
    objects = np.flatnonzero((called.objects.image == image) & ~called.crowd)
    missed = objects[~np.isin(objects, found)]
    boxes += [
        rectangle(
            native(predictions, called.objects.xyxy[at], image),
            "missed",
            predictions.classes[called.objects.label[at]],
        )
        for at in missed
    ]
    return View(name, arm, tuple(boxes), f"{hits} found, {len(missed)} missed, {wrong} false")
