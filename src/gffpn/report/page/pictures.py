"""Pictures of a study: the same test images for every arm, worst misses, and what one arm finds alone."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from gffpn.metrics.matching import Floats
from gffpn.report.analyses import Analysed, Analyses
from gffpn.report.page.images import Region, SplitImages, cut_out, region_around, whole
from gffpn.runs.folder import RunFolder
from gffpn.runs.predictions import Predictions, read_predictions
from gffpn.stats.assignment import assigned, calls, overlapping
from gffpn.stats.study import Study

IMAGES = 4
"""Whole test images."""
ARMS = 6
"""More columns would be too narrow."""
CROPS = 6
"""Cut-outs of a kind."""
CONTRASTS = 2
"""Contrasts for which "found by A, missed by B" is shown."""


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


@dataclass(frozen=True)
class Crop:
    """An object cut out of its image."""

    uri: str
    region: Region
    box: Box
    text: str


@dataclass(frozen=True)
class Pictures:
    """All pictures of a study."""

    scenes: tuple[Scene, ...] = ()
    crops: tuple[tuple[str, tuple[Crop, ...]], ...] = field(default=())
    """(heading, cut-outs)"""
    missing: str = ""
    """Why there are none."""


def pictures(study: Study, analyses: Analyses) -> Pictures:
    """Return the pictures of a study, or the reason why there are none."""
    first = next((one for arm in analyses.arms for one in arm), None)
    if first is None:
        return Pictures(missing="no run has predictions")
    if not analyses.same_images:
        return Pictures(missing="the runs were tested on different images")
    files = SplitImages(first.run)
    truth = _predictions(first)
    scenes = tuple(_scenes(study, analyses, truth, files))
    if not scenes:
        return Pictures(missing=files.missing or "no test image has an object")
    groups = [(title, tuple(_crops(rows, truth, files))) for title, rows in _chosen(study, analyses, truth)]
    return Pictures(scenes, tuple((title, crops) for title, crops in groups if crops))


def _predictions(one: Analysed) -> Predictions:
    assert one.run.path
    return read_predictions(RunFolder(one.run.path).predictions)["test"]


def _scenes(study: Study, analyses: Analyses, truth: Predictions, files: SplitImages) -> list[Scene]:
    """Return images with objects in an order that depends on the names of the images alone."""
    objects = np.bincount(truth.evaluated.objects.image, minlength=len(truth.names))
    seed = hashlib.sha256("\n".join(truth.names).encode()).digest()
    order = np.random.default_rng(int.from_bytes(seed[:8], "little")).permutation(len(truth.names))
    columns = [(at, arm[0], _predictions(arm[0])) for at, arm in enumerate(analyses.arms) if arm][:ARMS]
    scenes: list[Scene] = []
    for image in (int(one) for one in order if objects[one]):
        pixels = files.read(truth.names[image])
        if pixels is None or len(scenes) == IMAGES:
            break
        views = [_truth_view(truth, image)]
        views += [_arm_view(study, at, one, predictions, image) for at, one, predictions in columns]
        scenes.append(
            Scene(truth.names[image], whole(pixels), pixels.shape[1], pixels.shape[0], tuple(views))
        )
    return scenes


def _native(predictions: Predictions, xyxy: Floats, image: int) -> Floats:
    return xyxy / np.tile(predictions.evaluated.scales[image], 2)


def _box(xyxy: Floats, kind: str, label: str) -> Box:
    left, top, right, bottom = (round(float(value), 1) for value in xyxy)
    return Box(left, top, round(right - left, 1), round(bottom - top, 1), kind, label)


def _truth_view(truth: Predictions, image: int) -> View:
    objects = truth.evaluated.objects
    at = np.flatnonzero(objects.image == image)
    boxes = [
        _box(_native(truth, objects.xyxy[one], image), "truth", truth.classes[objects.label[one]])
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
    for at in np.flatnonzero(called.detections.image == image):
        kind = "hit" if found[at] >= 0 else "false"
        label = f"{predictions.classes[called.detections.label[at]]} {100 * called.scores[at]:.0f} %"
        boxes.append(_box(_native(predictions, called.detections.xyxy[at], image), kind, label))
    hits, wrong = (sum(box.kind == kind for box in boxes) for kind in ("hit", "false"))
    objects = np.flatnonzero((called.objects.image == image) & ~called.crowd)
    missed = objects[~np.isin(objects, found)]
    boxes += [
        _box(
            _native(predictions, called.objects.xyxy[at], image),
            "missed",
            predictions.classes[called.objects.label[at]],
        )
        for at in missed
    ]
    return View(name, arm, tuple(boxes), f"{hits} found, {len(missed)} missed, {wrong} false")


Rows = list[tuple[int, str]]
"""(object, its text)"""


def _chosen(study: Study, analyses: Analyses, truth: Predictions) -> list[tuple[str, Rows]]:
    """Return the objects to be cut out, by heading."""
    shares = [_share_found(arm) for arm in analyses.arms]
    known = [share for share in shares if share is not None]
    if not known:
        return []
    objects = truth.evaluated
    side = np.sqrt((objects.objects.xyxy[:, 2:] - objects.objects.xyxy[:, :2]).prod(axis=1))
    overall = np.where(objects.crowd, np.inf, np.mean(known, axis=0))
    # of the objects that are missed most often, the largest: the smallest ones are no surprise
    order = np.lexsort((-side, overall))
    worst = [int(one) for one in order[:CROPS] if overall[one] < 0.5]
    chosen: list[tuple[str, Rows]] = [
        (
            "Worst misses: the largest objects that most runs miss",
            [(one, f"{_percent(overall[one])} of runs find it") for one in worst],
        )
    ]
    position = {arm.name: at for at, arm in enumerate(study.arms)}
    for contrast in study.contrasts[:CONTRASTS]:
        for one, other in ((contrast.a, contrast.b), (contrast.b, contrast.a)):
            mine, theirs = shares[position[one.name]], shares[position[other.name]]
            if mine is None or theirs is None:
                continue
            gain = np.where(objects.crowd, -np.inf, mine - theirs)
            best = [int(at) for at in np.lexsort((-side, -gain))[:CROPS] if gain[at] >= 0.5]
            text = [
                (at, f"{one.name} {_percent(mine[at])}, {other.name} {_percent(theirs[at])}") for at in best
            ]
            chosen.append((f"Found by {one.name}, missed by {other.name}", text))
    return chosen


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _share_found(runs: Sequence[Analysed]) -> Floats | None:
    """Return the share of an arm's runs (M,) that find each object at their operating point."""
    found = [one.analysis.found for one in runs if one.analysis.found is not None]
    return np.mean(found, axis=0) if found else None


def _crops(rows: Rows, truth: Predictions, files: SplitImages) -> list[Crop]:
    objects, made = truth.evaluated.objects, []
    for at, text in rows:
        image = int(objects.image[at])
        pixels = files.read(truth.names[image])
        if pixels is None:
            continue
        xyxy = _native(truth, objects.xyxy[at], image)
        region = region_around(xyxy, (pixels.shape[0], pixels.shape[1]))
        label = truth.classes[objects.label[at]]
        side = float(np.sqrt((xyxy[2] - xyxy[0]) * (xyxy[3] - xyxy[1])))
        words = f"{label}, {side:.0f} px: {text}"
        made.append(Crop(cut_out(pixels, region), region, _box(xyxy, "truth", label), words))
    return made
