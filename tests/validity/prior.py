"""Validity test 3: position, size and class frequency alone find nothing.

The detector ignores the picture and returns one fixed list of scored boxes per class. The list is chosen from
the boxes of the training set, so that each box finds as many training objects as possible that the earlier
ones miss.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gffpn.boxes import iou, pairwise
from gffpn.metrics.average_precision import average_precision
from gffpn.metrics.detection import DetectionMetric
from tinyindus.classes import CLASS_NAMES, CLASSES
from tinyindus.dials import PRESETS, Dials, preset
from tinyindus.scene import render
from tinyindus.truth import Truth
from validity.finding import Finding, Floats, interval
from validity.scenes import BOUNDED, SEED

BOXES = 100
"""Maximum number of boxes per class and picture; more do not count."""
SMALLEST_OVERLAP = 0.5


def truths(count: int, split: str, dials: Dials, image_size: tuple[int, int]) -> list[tuple[Truth, ...]]:
    """Return the defects of the first pictures of a split, including pictures without any."""
    return [render(i, split, dials, image_size, SEED).truths for i in range(count)]


def boxes_of(scenes: Sequence[Sequence[Truth]], label: int) -> Tensor:
    """Return the boxes (M, 4) of one class."""
    rows = [t.box for scene in scenes for t in scene if t.label == label]
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 4)


def fitted(scenes: Sequence[Sequence[Truth]]) -> dict[str, Tensor]:
    """Return the fixed detections: `boxes` (M, 4), `scores` (M,), `labels` (M,)."""
    boxes, scores, labels = [], [], []
    for label in range(len(CLASSES)):
        own = boxes_of(scenes, label)
        hits = pairwise(iou, own, own) >= SMALLEST_OVERLAP
        open_ = torch.ones(len(own))
        for _ in range(min(BOXES, len(own))):
            gain = hits.float() @ open_
            best = int(gain.argmax())
            boxes.append(own[best])
            scores.append(float(gain[best]) / len(scenes))
            labels.append(label)
            open_[hits[best]] = 0.0
    return {
        "boxes": torch.stack(boxes),
        "scores": torch.tensor(scores),
        "labels": torch.tensor(labels, dtype=torch.int64),
    }


def prior_finding(
    train: Sequence[Sequence[Truth]], test: Sequence[Sequence[Truth]], what: str, *, bounded: bool = True
) -> Finding:
    """Return the mAP50 of the fixed detections."""
    detections = fitted(train)
    metric = DetectionMetric(CLASS_NAMES)
    for number, scene in enumerate(test):
        target = {
            "boxes": torch.tensor([t.box for t in scene], dtype=torch.float32).reshape(-1, 4),
            "labels": torch.tensor([t.label for t in scene], dtype=torch.int64),
            "image_index": number,
            "scale": (1.0, 1.0),
        }
        metric.update([detections], [target])
    matches = metric.matches()

    def mean_ap(weights: Floats) -> float:
        return float(np.nanmean(average_precision(matches, weights)[:, 0]))

    low, high = interval(mean_ap, np.arange(len(test)), resamples=40)
    n = f"{len(matches.object_label)} objects in {len(test)} pictures, fitted to {len(train)} pictures"
    value = mean_ap(np.ones(len(test)))
    return Finding(what, value, n, low, high, at_most=0.05 if bounded else None)


def measure(*, train: int = 1500, test: int = 800, side: int = 320) -> list[Finding]:
    """Run test 3; the easy and the hard preset are for comparison."""
    found = []
    for name in PRESETS:
        fit, asked = (
            truths(count, split, preset(name), (side, side))
            for count, split in ((train, "train"), (test, "test"))
        )
        what = f"mAP50 of fixed boxes, preset {name}"
        found.append(prior_finding(fit, asked, what, bounded=name in BOUNDED))
    return found
