"""Average precision of many re-weightings of the test images at once.

The matches do not depend on the weights, and a precision envelope can rise at true detections only. So the
curve of a class is needed at its J true detections alone: a sparse matrix with the detections that lie
between two of them, times the weights (N, B), gives the detections so far in all replicates. Most detections
count at every IoU threshold, as true or as false, so this product is shared by the thresholds.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from gffpn.metrics.matching import IGNORED, TRUE, Floats, Ints, Matches

_RECALLS = 101
# numbers in each array that is computed at once, so that several fit into the processor's cache, and the
# replicates below which NumPy's overhead per row outweighs that
_BLOCK, _NARROWEST = 1 << 16, 256


def reweighted_precision(
    matches: Matches, weights: NDArray[np.integer], *, size: str = "all", ious: slice = slice(None)
) -> Floats:
    """Return COCO's average precision (K, T, B) under each re-weighting `weights` (N, B) of the images.

    T are the IoU thresholds in the slice `ious`. NaN where a class has no object in a replicate. Weights of
    one give `average_precision`, and so pycocotools. Raises ValueError for an unknown `size`.
    """
    if size not in matches.ranges:
        raise ValueError(f"size: got {size!r}, expected one of {list(matches.ranges)}")
    at = matches.ranges.index(size)
    loads = weights.astype(np.float64)
    outcome = matches.outcome[at, ious]
    result = np.full((matches.num_classes, len(outcome), loads.shape[1]), np.nan)
    bounds = np.searchsorted(matches.label, np.arange(matches.num_classes + 1))
    for label, (first, last) in enumerate(pairwise(bounds)):
        inside = (matches.object_label == label) & matches.object_inside[at]
        objects = np.bincount(matches.object_image[inside], minlength=len(loads)) @ loads
        if known := np.count_nonzero(objects):
            found = _of_class(outcome[:, first:last], matches.image[first:last], loads, objects)
            result[label] = found if known == len(objects) else np.where(objects > 0, found, np.nan)
    return result


def mean_precision(precision: Floats) -> Floats:
    """Return the mean (B,) of average precisions (K, T, B) over thresholds and the classes with objects."""
    values = precision.mean(axis=1)
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)


def _of_class(outcome: NDArray[np.int8], image: Ints, loads: Floats, objects: Floats) -> Floats:
    """Return the average precision (T, B) of one class, from `outcome` (T, D) and `image` (D,) by score."""
    true, counts = outcome == TRUE, outcome != IGNORED
    places = np.flatnonzero(true.any(axis=0))
    always = counts.all(axis=0)
    detections = _between(places, np.flatnonzero(always), image, len(loads))
    rows = [np.flatnonzero(one) for one in true[:, places]]
    sometimes = counts & ~always
    others = [
        _between(places[row], np.flatnonzero(one), image, len(loads)) if one.any() else None
        for row, one in zip(rows, sometimes, strict=True)
    ]
    result = np.zeros((len(outcome), loads.shape[1]))
    step = max(_BLOCK // max(len(places), 1), _NARROWEST)
    for start in range(0, loads.shape[1] if len(places) else 0, step):
        block = slice(start, start + step)
        part = np.ascontiguousarray(loads[:, block])
        so_far, gained = _running_sum(detections @ part), part[image[places]]
        so_far += np.spacing(1)  # as pycocotools, where there is no detection yet
        for threshold, (row, other) in enumerate(zip(rows, others, strict=True)):
            total = so_far[row]
            if other is not None:
                total += _running_sum(other @ part)
            result[threshold, block] = _area(_running_sum(gained[row]), total, objects[block])
    return result


def _between(places: Ints, counted: Ints, image: Ints, images: int) -> csr_array:
    """Return a matrix (J, N): detections of each image, of those `counted`, between one place and the next.

    The detection at a place belongs to it; those after the last place are left out, because from there on
    precision only falls.
    """
    ends = np.searchsorted(counted, places, side="right")
    columns = image[counted[: ends[-1]]] if len(ends) else ends
    return csr_array(
        (np.ones(len(columns)), columns, np.concatenate([[0], ends])), shape=(len(places), images)
    )


def _running_sum(rows: Floats) -> Floats:
    """Sum the rows cumulatively, in place; over the first axis, this is faster than NumPy's cumsum."""
    for before, row in pairwise(rows):
        row += before
    return rows


def _area(found: Floats, total: Floats, objects: Floats) -> Floats:
    """Return the average precision (B,) from `found` and `total` (J, B) at each true detection (changed)."""
    if not len(found):
        return np.zeros(len(objects))
    precision = np.divide(found, total, out=total)
    for after, row in pairwise(precision[::-1]):
        np.maximum(row, after, out=row)
    found /= np.maximum(objects, 1.0)
    reached = _recalls_up_to(found)
    reached[1:] -= reached[:-1].copy()
    return np.einsum("jb,jb->b", precision, reached) / _RECALLS


def _recalls_up_to(recall: Floats) -> Floats:
    """Return how many of COCO's recalls 0, 0.01, ..., 1 each recall reaches.

    Equality is to the bit that of pycocotools: k x 0.01 is what numpy.linspace computes.
    """
    nearest = np.rint(recall * 100)
    reached = recall >= nearest * 0.01
    nearest += reached
    return nearest
