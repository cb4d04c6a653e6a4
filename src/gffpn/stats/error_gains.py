"""What average precision would gain if all errors of one type were corrected.

Source: Bolya et al., TIDE, arXiv 2008.08115, section 2.2, and tidecv 1.0.1.
Deviations: mean AP leaves out classes without objects, which tidecv counts with AP 0; detections are limited
per image and class, not per image.
"""

from dataclasses import dataclass

import numpy as np

from gffpn.metrics.average_precision import average_precision
from gffpn.metrics.evaluated import MAX_DETECTIONS, Evaluated
from gffpn.metrics.matching import FALSE, IGNORED, TRUE, Floats, Matches
from gffpn.runs.predictions import Predictions
from gffpn.stats.assignment import highest
from gffpn.stats.error_types import Errors, ErrorType, find_errors


@dataclass(frozen=True)
class Gains:
    """What mAP50 would gain, 0..1, if all errors of one type were corrected."""

    mAP50: float
    """NaN without objects."""
    gain: Floats
    """(6,) in the order of ErrorType, at least 0."""


def error_gains(predictions: Predictions, *, max_detections: int = MAX_DETECTIONS) -> Gains:
    """Return mAP50 and its gain if all errors of a type were corrected, by tidecv's definition.

    A misplaced or misclassified detection becomes true, unless its object is found already or another such
    detection of it has a higher score: then it is removed, as are detections of the other types. A missed
    object is no longer counted.
    """
    evaluated = highest(predictions.evaluated, max_detections)
    errors, classes = find_errors(evaluated), len(predictions.classes)
    counted = ~evaluated.crowd
    present = np.bincount(evaluated.objects.label[counted], minlength=classes) > 0
    if not present.any():
        return Gains(np.nan, np.full(len(ErrorType), np.nan))

    def mean(corrected: ErrorType | None) -> float:
        precision = average_precision(_matches(evaluated, errors, corrected, classes))[present, 0]
        # without its missed objects, a class may have none; it keeps AP 0
        return float(np.nan_to_num(precision).mean())

    before = mean(None)
    return Gains(before, np.array([max(mean(kind) - before, 0.0) for kind in ErrorType]))


def _matches(evaluated: Evaluated, errors: Errors, corrected: ErrorType | None, classes: int) -> Matches:
    """Return matches at IoU 0.5 and of all sizes, with the errors of one type corrected."""
    changed = errors.kind == (-2 if corrected is None else corrected)
    becomes_true = changed & errors.correctable
    label = np.append(evaluated.objects.label, 0)[errors.object]
    label = np.where(becomes_true, label, evaluated.detections.label)
    outcome = np.where(errors.ignored, IGNORED, np.where(errors.true | becomes_true, TRUE, FALSE))
    kept = np.flatnonzero(~changed | becomes_true)
    image, scores = evaluated.detections.image, evaluated.scores
    order = kept[np.lexsort((image[kept], -scores[kept], label[kept]))]
    counted = ~evaluated.crowd & ~(errors.missed & (corrected == ErrorType.MISSED))
    return Matches(
        image_index=evaluated.image_index,
        num_classes=classes,
        ranges=("all",),
        image=image[order],
        label=label[order],
        score=scores[order],
        outcome=outcome[None, None, order].astype(np.int8),
        object_image=evaluated.objects.image,
        object_label=evaluated.objects.label,
        object_inside=counted[None],
    )
