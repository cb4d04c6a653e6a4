"""Which objects are hit by calls: detections of their class at the right place, at or above a threshold.

A call hits an object of its class if its centre lies in the object's box, grown to at least 8 x 8 px about
its centre: a shift by one pixel leaves an object of 4 x 4 px an IoU of only 0.39. Several calls may hit an
object, and a call may hit several objects. A call that hits nothing is a false call, unless its centre lies
in a crowd region of its class: then it is ignored.
"""

import math
from dataclasses import dataclass

import numpy as np

from gffpn.metrics.evaluated import Evaluated
from gffpn.metrics.matching import Floats, Ints, pairs_of_groups, sides
from gffpn.runs.predictions import Predictions
from gffpn.stats.assignment import Flags, calls

HIT_SIDE = 8.0
"""Pixels of the network's input to which the sides of a smaller box are grown."""
FALSE_CALLS = 0.1
"""False calls per image on val that the threshold allows."""


@dataclass(frozen=True)
class Hits:
    """The M objects of N images, without crowd regions, and whether the calls of one run hit them."""

    images: int
    image: Ints
    """(M,)"""
    side: Floats
    """(M,) sqrt(width x height) in network pixels."""
    hit: Flags
    """(M,)"""
    chance: Ints
    """(C, 2) one row for each box of 8 x 8 px that has the place of an object of the first image and that a
    false call hits in the second, another image."""


def false_call_threshold(val: Predictions, rate: float = FALSE_CALLS) -> float:
    """Return the lowest threshold at which val has at most `rate` false calls per image."""
    false = false_calls(val.evaluated)
    # rounded up by 1e-9, because 0.1 x 30 is 3.0000000000000004 and other products are below the integer
    allowed = math.floor(rate * len(val.names) + 1e-9)
    scores = np.sort(val.evaluated.scores[false])[::-1]
    return float(np.nextafter(scores[allowed], np.inf)) if len(scores) > allowed else 0.0


def false_calls(evaluated: Evaluated) -> Flags:
    """Return a mask (D,) of the detections that hit no object and whose centre is in no crowd region."""
    detection, _ = _hits(evaluated)
    return ~np.isin(np.arange(len(evaluated.scores)), detection)


def find_hits(predictions: Predictions, threshold: float) -> Hits:
    """Return which objects are hit by the detections of at least this score."""
    called = calls(predictions.evaluated, threshold)
    objects, kept = called.objects, ~called.crowd
    hit = np.isin(np.arange(len(kept)), _hits(called)[1])
    return Hits(
        images=len(called.image_index),
        image=objects.image[kept],
        side=sides(objects.xyxy[kept]),
        hit=hit[kept],
        chance=_chance_hits(called),
    )


def chance_rate(hits: Hits, weights: Floats | Ints) -> Floats:
    """Return the probability (B,) that a box of 8 x 8 px is hit by chance, 0 with a single image.

    It is the share of hits when such boxes, at the places of the objects, are moved to all other images.
    `weights` (B, N) says how often each image counts. Only false calls count: where defects have the same
    place in all images, the true calls there would not be chance.
    """
    own = weights[:, hits.image]
    moved = (own * (weights.sum(axis=1, keepdims=True) - own)).sum(axis=1)
    hit = (weights[:, hits.chance[:, 0]] * weights[:, hits.chance[:, 1]]).sum(axis=1)
    return np.divide(hit, moved, out=np.zeros(len(weights)), where=moved > 0)


def _hits(evaluated: Evaluated) -> tuple[Ints, Ints]:
    """Return the pairs (detection, object) of hits; a crowd region is an object, too."""
    detections, objects = evaluated.detections, evaluated.objects
    centre, half = _centres(detections.xyxy), np.maximum(_extent(objects.xyxy), HIT_SIDE) / 2
    middle = _centres(objects.xyxy)
    parts = [(np.zeros(0, np.int64), np.zeros(0, np.int64))]
    for detection, obj in pairs_of_groups(detections.image, objects.image):
        inside = (np.abs(centre[detection] - middle[obj]) <= half[obj]).all(axis=1)
        inside &= detections.label[detection] == objects.label[obj]
        parts.append((detection[inside], obj[inside]))
    detection, obj = (np.concatenate(column) for column in zip(*parts, strict=True))
    return detection, obj


def _chance_hits(called: Evaluated) -> Ints:
    """Return the rows of `Hits.chance`."""
    objects, kept = called.objects, np.flatnonzero(~called.crowd)
    image, label, centre = objects.image[kept], objects.label[kept], _centres(objects.xyxy[kept])
    false = np.flatnonzero(false_calls(called))
    rows = [np.zeros((0, 2), np.int64)]
    for one, xy in zip(false, _centres(called.detections.xyxy[false]), strict=True):
        near = (np.abs(centre - xy) <= HIT_SIDE / 2).all(axis=1) & (label == called.detections.label[one])
        near &= image != called.detections.image[one]
        moved = np.flatnonzero(near)
        rows.append(np.stack([moved, np.full(len(moved), called.detections.image[one])], axis=1))
    # a second call at the same place is no second hit
    moved_object, to = np.unique(np.concatenate(rows), axis=0).T
    return np.stack([image[moved_object], to], axis=1)


def _centres(xyxy: Floats) -> Floats:
    return (xyxy[:, :2] + xyxy[:, 2:]) / 2


def _extent(xyxy: Floats) -> Floats:
    return xyxy[:, 2:] - xyxy[:, :2]
