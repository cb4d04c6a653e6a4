"""Average precision of many re-weightings of the test images at once.

The matches do not depend on the weights, and a precision envelope can rise at true detections only. So the
curve of a class is needed at its J true detections alone: a sparse matrix with the false detections that lie
between two of them, times the weights (N, B), gives the false positives of all replicates.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from gffpn.metrics.matching import FALSE, TRUE, Floats, Ints, Matches

_RECALLS: Floats = np.linspace(0.0, 1.0, 101)
# elements of the curves that are computed at once; they should fit into the processor's cache
_BLOCK = 1 << 17


def reweighted_precision(
    matches: Matches, weights: Ints, *, size: str = "all", ious: slice, only: int | None = None
) -> Floats:
    """Return COCO's average precision (K, T, B) under each re-weighting `weights` (N, B) of the images.

    T are the IoU thresholds in the slice `ious`; `only` limits the classes to one, so that K = 1. NaN where a
    class has no object in a replicate. Weights of one give `average_precision`, and so pycocotools.
    """
    at = matches.ranges.index(size)
    loads = weights.astype(np.float64)
    thresholds = range(*ious.indices(matches.outcome.shape[1]))
    labels = range(matches.num_classes) if only is None else [only]
    result = np.full((len(labels), len(thresholds), weights.shape[1]), np.nan)
    bounds = np.searchsorted(matches.label, np.arange(matches.num_classes + 1))
    for row, label in enumerate(labels):
        inside = (matches.object_label == label) & matches.object_inside[at]
        objects = np.bincount(matches.object_image[inside], minlength=len(loads)) @ loads
        known = objects > 0
        span = slice(bounds[label], bounds[label + 1])
        image = matches.image[span]
        for position, threshold in enumerate(thresholds):
            values = _precision(matches.outcome[at, threshold, span], image, loads, objects)
            result[row, position, known] = values[known]
    return result


def _precision(outcome: NDArray[np.int8], image: Ints, loads: Floats, objects: Floats) -> Floats:
    """Return the average precision (B,) of one class; `outcome` and `image` (D,) in order of score."""
    true, false = np.flatnonzero(outcome == TRUE), np.flatnonzero(outcome == FALSE)
    before = np.searchsorted(true, false)
    counted = before < len(true)  # after the last true detection, precision only falls
    rows, columns = before[counted], image[false[counted]]
    between = csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(true), len(loads)))
    result = np.zeros(loads.shape[1])
    step = max(_BLOCK // max(len(true), 1), 1)
    for start in range(0, loads.shape[1] if len(true) else 0, step):
        block = slice(start, start + step)
        part = loads[:, block]
        found = np.cumsum(part[image[true]], axis=0)
        wrong = np.cumsum(between @ part, axis=0)
        wrong += found
        wrong += np.spacing(1)
        precision = np.divide(found, wrong, out=wrong)
        envelope = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
        found /= np.maximum(objects[block], 1)
        reached = _recalls_up_to(found)
        result[block] = np.einsum("jb,jb->b", envelope, np.diff(reached, axis=0, prepend=0.0))
    return result / len(_RECALLS)


def _recalls_up_to(recall: Floats) -> Floats:
    """Return how many of the 101 recalls each recall reaches, equality as in pycocotools to the bit."""
    nearest = np.rint(recall * 100).astype(np.int64)
    return nearest + (recall >= _RECALLS[nearest])
