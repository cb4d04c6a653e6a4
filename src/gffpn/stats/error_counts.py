"""Errors at the operating point of a run, per image and size bin."""

from dataclasses import dataclass

import numpy as np

from gffpn.metrics.matching import Ints, sides
from gffpn.runs.predictions import Predictions
from gffpn.stats.assignment import calls
from gffpn.stats.error_types import ErrorType, find_errors


@dataclass(frozen=True)
class ErrorCounts:
    """Errors per image, for sums over images that a bootstrap draws: `weights @ errors.reshape(N, -1)`."""

    errors: Ints
    """(N, 6, bins): missed objects by their side; other errors by the side of the object that the detection
    overlaps most, and on background by that of the detection."""
    objects: Ints
    """(N, bins) objects."""


def error_counts(predictions: Predictions, threshold: float, edges: tuple[float, ...]) -> ErrorCounts:
    """Count the errors of the detections with at least this score, per image and size bin.

    The bins lie between 0, the `edges` (network pixels) and infinity.
    """
    called = calls(predictions.evaluated, threshold)
    errors = find_errors(called)
    object_bin = np.searchsorted(edges, sides(called.objects.xyxy), side="right")
    own_bin = np.searchsorted(edges, sides(called.detections.xyxy), side="right")
    wrong = errors.kind >= 0
    bins = np.append(object_bin, -1)[errors.object]  # -1 takes the last
    bins = np.where(errors.object < 0, own_bin, bins)
    shape = (len(called.image_index), len(ErrorType), len(edges) + 1)
    counts, objects = np.zeros(shape, np.int64), np.zeros((shape[0], shape[2]), np.int64)
    np.add.at(counts, (called.detections.image[wrong], errors.kind[wrong], bins[wrong]), 1)
    missed = (called.objects.image[errors.missed], object_bin[errors.missed])
    np.add.at(counts[:, ErrorType.MISSED], missed, 1)
    np.add.at(objects, (called.objects.image[~called.crowd], object_bin[~called.crowd]), 1)
    return ErrorCounts(counts, objects)
