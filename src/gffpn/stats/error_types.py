"""Why detections are false and objects missed: the error types of TIDE.

A false detection has one type, the first of these that applies. IoU is that with the object that it overlaps
most, of its own class or of another:

    localisation    0.1 <= IoU <= 0.5 with an object of its class
    classification  IoU >= 0.5 with an object of another class
    duplicate       IoU > 0.5 with an object of its class, which another detection has
    background      IoU <= 0.1 with every object
    both            everything else: the class is wrong and 0.1 < IoU < 0.5

An object is missed if no detection has it and none of a wrong class or place would have it if corrected.
Crowd regions and the detections in them are no errors.

Source: Bolya et al., TIDE, arXiv 2008.08115, sections 2.2 and 2.3, and the order of tidecv 1.0.1.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from gffpn.metrics.evaluated import Evaluated
from gffpn.metrics.matching import Floats, Ints
from gffpn.stats.assignment import FOREGROUND_IOU, Flags, Pairs, assigned, in_crowd, overlapping

BACKGROUND_IOU = 0.1


class ErrorType(IntEnum):
    """The types in the order of tables, which is also the order of the arrays."""

    CLASSIFICATION = 0
    LOCALISATION = 1
    BOTH = 2
    DUPLICATE = 3
    BACKGROUND = 4
    MISSED = 5


@dataclass(frozen=True)
class Errors:
    """The errors of D detections and M objects."""

    kind: Ints
    """(D,) an ErrorType; -1 for a true or ignored detection."""
    object: Ints
    """(D,) the object that a detection has or should have had; -1 on background or in a crowd region."""
    true: Flags
    """(D,)"""
    ignored: Flags
    """(D,) in a crowd region."""
    correctable: Flags
    """(D,) localisation and classification errors whose correction would be the first to find an object."""
    missed: Flags
    """(M,)"""


def find_errors(evaluated: Evaluated) -> Errors:
    """Return the error type of every detection, and the missed objects."""
    pairs = overlapping(evaluated, BACKGROUND_IOU)
    detections, objects = len(evaluated.scores), len(evaluated.crowd)
    own = pairs.only(pairs.same_class)
    found = assigned(own, evaluated.scores)
    true = found >= 0
    ignored = ~true & in_crowd(evaluated)
    same, same_iou = _best(own, detections)
    other, other_iou = _best(pairs.only(~pairs.same_class), detections)
    nearest = np.where(same_iou >= other_iou, same, other)

    rules = (
        (true | ignored, -1, found),
        ((same_iou >= BACKGROUND_IOU) & (same_iou <= FOREGROUND_IOU), ErrorType.LOCALISATION, same),
        (other_iou >= FOREGROUND_IOU, ErrorType.CLASSIFICATION, other),
        (same_iou >= FOREGROUND_IOU, ErrorType.DUPLICATE, same),
        (np.maximum(same_iou, other_iou) <= BACKGROUND_IOU, ErrorType.BACKGROUND, np.full(detections, -1)),
    )
    conditions = [condition for condition, _, _ in rules]
    kind = np.select(conditions, [np.full(detections, int(kind)) for _, kind, _ in rules], ErrorType.BOTH)
    obj = np.select(conditions, [target for _, _, target in rules], nearest)
    had = np.isin(np.arange(objects), found[true])
    correctable = _correctable(kind, obj, had, evaluated.scores)
    missed = ~had & ~evaluated.crowd & ~np.isin(np.arange(objects), obj[correctable])
    return Errors(kind, obj, true, ignored, correctable, missed)


def _best(pairs: Pairs, detections: int) -> tuple[Ints, Floats]:
    """Return the object of largest IoU (D,), -1 without a pair, and that IoU (D,), 0 without a pair."""
    order = np.lexsort((-pairs.iou, pairs.detection))
    rows, first = np.unique(pairs.detection[order], return_index=True)
    obj, iou = np.full(detections, -1), np.zeros(detections)
    obj[rows], iou[rows] = pairs.object[order[first]], pairs.iou[order[first]]
    return obj, iou


def _correctable(kind: Ints, obj: Ints, had: Flags, scores: Floats) -> Flags:
    """Return the detection of highest score among those whose correction would find the same object."""
    candidates = np.flatnonzero(np.isin(kind, [ErrorType.CLASSIFICATION, ErrorType.LOCALISATION]))
    candidates = candidates[~had[obj[candidates]]]
    order = candidates[np.lexsort((-scores[candidates], obj[candidates]))]
    _, first = np.unique(obj[order], return_index=True)
    return np.isin(np.arange(len(kind)), order[first])
