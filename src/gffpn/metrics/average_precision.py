"""Average precision from matches: by COCO's rule and by the rule of the paper's tables.

COCO's rule optionally weights the images.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from gffpn.figures import BinFigures, ClassFigures, Figures
from gffpn.metrics.matching import FALSE, TRUE, Floats, Ints, Matches, SizeRange

RECALLS: Floats = np.linspace(0.0, 1.0, 101)
_IOU_50 = 0


def average_precision(matches: Matches, weights: Floats | Ints | None = None, *, size: str = "all") -> Floats:
    """Return COCO's average precision (K, T) in one size range; NaN if a class has no object in it.

    `weights` (N,) says how often each image counts: integers give the result of repeating the images (except
    for the order of equal scores), None or ones the result of pycocotools. Raises ValueError for an unknown
    `size`.
    """
    return precision_at_recalls(matches, weights, size=size).mean(axis=-1)


def precision_at_recalls(
    matches: Matches, weights: Floats | Ints | None = None, *, size: str = "all"
) -> Floats:
    """Return COCO's precision (K, T, 101) at the recalls 0, 0.01 .. 1, whose mean is the average precision.

    `weights` and `size` are those of `average_precision`.
    """
    weights = np.ones(len(matches.image_index)) if weights is None else weights
    at = _range_position(matches, size)
    objects = np.bincount(
        matches.object_label,
        weights=weights[matches.object_image] * matches.object_inside[at],
        minlength=matches.num_classes,
    )
    result = np.full((matches.num_classes, matches.outcome.shape[1], len(RECALLS)), np.nan)
    for label, span in _class_spans(matches):
        if objects[label] > 0:
            recall, precision = _curve(
                matches.outcome[at, :, span], weights[matches.image[span]], float(objects[label])
            )
            # recalls that are never reached have precision 0
            padded = np.pad(precision, ((0, 0), (0, 1)))
            result[label] = [
                row[np.searchsorted(reached, RECALLS)] for row, reached in zip(padded, recall, strict=True)
            ]
    return result


def paper_average_precision(matches: Matches) -> Floats:
    """Return AP50 (K,) by the rule of the paper's tables; NaN if a class has no object.

    The precision envelope runs from (recall 0, precision 1) to (1, 0). It is interpolated linearly at 101
    recalls and integrated by the trapezoidal rule, which gives a perfect detector 0.995. A class without
    detections gets 0.

    Source: the public description of the YOLOv5 evaluator. Deviation: detections are matched by COCO's rule.
    """
    objects = object_counts(matches)
    result = np.where(objects > 0, 0.0, np.nan)
    for label, span in _class_spans(matches):
        outcome = matches.outcome[0, _IOU_50 : _IOU_50 + 1, span]
        if objects[label] and outcome.size:
            recall, precision = _curve(outcome, np.ones(outcome.shape[1]), float(objects[label]))
            recalls = np.concatenate([[0.0], recall[0], [1.0]])
            envelope = np.concatenate([[1.0], precision[0], [0.0]])
            result[label] = np.trapezoid(np.interp(RECALLS, recalls, envelope), RECALLS)
    return result


def object_counts(matches: Matches, *, size: str = "all") -> Ints:
    """Return the number of objects (K,) per class in one size range, without crowd regions.

    Raises ValueError for an unknown `size`.
    """
    inside = matches.object_inside[_range_position(matches, size)]
    return np.bincount(matches.object_label[inside], minlength=matches.num_classes)


def summarize(matches: Matches, classes: Sequence[str], ranges: Sequence[SizeRange]) -> Figures:
    """Return the figures of metrics.json, 0..1; `ranges` are those of the matches, "all" first.

    Figures without objects are None, and means leave out classes without objects. The AP of a bin is the mean
    over classes and over IoU .50:.95, like COCO's AP for small objects.
    """
    overall, paper, objects = (
        average_precision(matches),
        paper_average_precision(matches),
        object_counts(matches),
    )
    return Figures(
        images=len(matches.image_index),
        objects=int(objects.sum()),
        mAP50=_mean(overall[:, _IOU_50]),
        mAP50_95=_mean(overall),
        AP50_paper=_mean(paper),
        classes=tuple(
            ClassFigures(
                name,
                int(objects[label]),
                AP50=_mean(overall[label, _IOU_50]),
                AP50_paper=_mean(paper[label]),
            )
            for label, name in enumerate(classes)
        ),
        bins=tuple(
            BinFigures(
                size.name,
                size.low,
                None if np.isinf(size.high) else size.high,
                size.native,
                objects=int(object_counts(matches, size=size.name).sum()),
                AP=_mean(average_precision(matches, size=size.name)),
            )
            for size in ranges[1:]
        ),
    )


def _range_position(matches: Matches, size: str) -> int:
    if size not in matches.ranges:
        raise ValueError(f"size: got {size!r}, expected one of {list(matches.ranges)}")
    return matches.ranges.index(size)


def _class_spans(matches: Matches) -> Iterator[tuple[int, slice]]:
    bounds = np.searchsorted(matches.label, np.arange(matches.num_classes + 1))
    for label in range(matches.num_classes):
        yield label, slice(bounds[label], bounds[label + 1])


def _curve(outcome: NDArray[np.int8], weights: Floats | Ints, objects: float) -> tuple[Floats, Floats]:
    """Return recall and precision envelope (T, D) after each detection of one class; `outcome` is (T, D)."""
    true = np.cumsum((outcome == TRUE) * weights, axis=1, dtype=np.float64)
    false = np.cumsum((outcome == FALSE) * weights, axis=1, dtype=np.float64)
    precision = true / (true + false + np.spacing(1))
    envelope: Floats = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    return true / objects, envelope


def _mean(values: Floats | np.float64) -> float | None:
    known = np.asarray(values)[~np.isnan(values)]
    return float(known.mean()) if known.size else None
