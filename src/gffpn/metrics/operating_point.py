"""Precision, recall and F1 at one score threshold, from matches at IoU 0.5."""

from collections.abc import Sequence

import numpy as np

from gffpn.figures import OperatingPoint, Rates
from gffpn.metrics.average_precision import object_counts
from gffpn.metrics.matching import FALSE, IGNORED, TRUE, Matches

_ALL, _IOU_50 = 0, 0


def operating_point(val: Matches, test: Matches, classes: Sequence[str]) -> OperatingPoint | None:
    """Return the rates on both splits at the threshold with the best F1 on val; None without a threshold."""
    threshold = best_threshold(val)
    if threshold is None:
        return None
    return OperatingPoint(
        threshold=threshold,
        val=rates(val, threshold),
        test=rates(test, threshold),
        test_by_class={name: rates(test, threshold, label) for label, name in enumerate(classes)},
    )


def best_threshold(matches: Matches) -> float | None:
    """Return the score from which on counting all detections gives the best F1 over all classes together.

    Of equals, the highest. Returns None if no detection is true at any threshold.
    """
    order = np.argsort(-matches.score, kind="stable")
    scores, outcome = matches.score[order], matches.outcome[_ALL, _IOU_50, order]
    true, false = np.cumsum(outcome == TRUE), np.cumsum(outcome == FALSE)
    if not true.size or not true[-1]:
        return None
    f1 = 2 * true / (true + false + _objects(matches))
    # detections of equal score count together
    last = np.append(scores[1:] != scores[:-1], True)
    return float(scores[last][np.argmax(f1[last])])


def rates(matches: Matches, threshold: float, label: int | None = None) -> Rates:
    """Return the rates of the detections with at least this score, over all classes or of one."""
    counted = matches.score >= threshold
    if label is not None:
        counted &= matches.label == label
    outcome = matches.outcome[_ALL, _IOU_50, counted]
    true, found = int((outcome == TRUE).sum()), int((outcome != IGNORED).sum())
    objects = _objects(matches, label)
    return Rates(
        precision=true / found if found else None,
        recall=true / objects if objects else None,
        F1=2 * true / (found + objects) if found + objects else None,
    )


def _objects(matches: Matches, label: int | None = None) -> int:
    counts = object_counts(matches)
    return int(counts.sum() if label is None else counts[label])
