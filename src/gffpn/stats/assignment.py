"""Which detection belongs to which object of its image, at IoU 0.5.

metrics/matching.py gives the outcome of every detection; here the object is known too, and the class may be
disregarded.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gffpn.metrics.evaluated import Evaluated
from gffpn.metrics.matching import Boxes, Floats, Ints, paired_iou, pairs_of_groups

Flags = NDArray[np.bool_]

FOREGROUND_IOU = 0.5


class Pairs(NamedTuple):
    """P pairs of a detection and an object of the same image, without crowd regions; by detection."""

    detection: Ints
    object: Ints
    iou: Floats
    same_class: Flags

    def only(self, kept: Flags) -> "Pairs":
        """Return some of the pairs; `kept` is (P,)."""
        return Pairs(self.detection[kept], self.object[kept], self.iou[kept], self.same_class[kept])


def select(evaluated: Evaluated, kept: Flags) -> Evaluated:
    """Return the evaluation with some of its detections; `kept` is (D,)."""
    image, label, xyxy = evaluated.detections
    detections = Boxes(image[kept], label[kept], xyxy[kept])
    return evaluated._replace(detections=detections, scores=evaluated.scores[kept])


def calls(evaluated: Evaluated, threshold: float) -> Evaluated:
    """Return the evaluation with the detections of at least this score alone: the calls."""
    return select(evaluated, evaluated.scores >= threshold)


def highest(evaluated: Evaluated, max_detections: int) -> Evaluated:
    """Return the evaluation with the `max_detections` highest scores per image and class; ties keep order."""
    image, label, _ = evaluated.detections
    order = np.lexsort((-evaluated.scores, label, image))
    group = image[order] * (label.max(initial=0) + 1) + label[order]
    rank = np.arange(len(group)) - np.searchsorted(group, group, side="left")
    return select(evaluated, np.isin(np.arange(len(group)), order[rank < max_detections]))


def overlapping(evaluated: Evaluated, lowest: float = FOREGROUND_IOU) -> Pairs:
    """Return the pairs of all classes whose IoU is at least `lowest`."""
    detections, objects = evaluated.detections, evaluated.objects
    parts = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for detection, obj in pairs_of_groups(detections.image, objects.image):
        iou = np.where(evaluated.crowd[obj], 0.0, paired_iou(detections.xyxy[detection], objects.xyxy[obj]))
        near = iou >= lowest
        parts.append((detection[near], obj[near], iou[near]))
    detection, obj, iou = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Pairs(detection, obj, iou, detections.label[detection] == objects.label[obj])


def assigned(pairs: Pairs, scores: Floats) -> Ints:
    """Return the object (D,) of each detection, -1 without one.

    In order of decreasing score, each detection takes the free object of largest IoU among its pairs with an
    IoU of at least 0.5; of equals the last, as in pycocotools. `scores` is (D,).
    """
    near = pairs.iou >= FOREGROUND_IOU
    detection, obj, iou = pairs.detection[near], pairs.object[near], pairs.iou[near]
    order = np.lexsort((-obj, -iou, detection, -scores[detection]))
    result = np.full(len(scores), -1)
    taken: set[int] = set()
    for one, candidate in zip(detection[order].tolist(), obj[order].tolist(), strict=True):
        if result[one] < 0 and candidate not in taken:
            result[one] = candidate
            taken.add(candidate)
    return result


def in_crowd(evaluated: Evaluated) -> Flags:
    """Return a mask (D,) of the detections of which half lies in a crowd region of their class."""
    regions = np.flatnonzero(evaluated.crowd)
    detections, objects = evaluated.detections, evaluated.objects
    inside = np.zeros(len(evaluated.scores), np.bool_)
    for detection, position in pairs_of_groups(detections.image, objects.image[regions]):
        region = regions[position]
        share = paired_iou(detections.xyxy[detection], objects.xyxy[region], crowd=True)
        same_class = detections.label[detection] == objects.label[region]
        inside[detection[same_class & (share >= FOREGROUND_IOU)]] = True
    return inside
