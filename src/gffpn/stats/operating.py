"""What a detector does at one threshold: precision and recall, confusion of classes, and whole images.

Precision, recall and F1 at the operating point are in the record (metrics/operating_point.py); this is what
is drawn beside them, from the same matching at IoU 0.5. Crowd regions and the detections in them count
nowhere.
"""

from dataclasses import dataclass

import numpy as np

from gffpn.figures import Figure
from gffpn.metrics.average_precision import RECALLS, precision_at_recalls
from gffpn.metrics.evaluated import MAX_DETECTIONS
from gffpn.metrics.matching import Floats, Ints
from gffpn.runs.predictions import Predictions
from gffpn.stats.assignment import Flags, assigned, calls, in_crowd, overlapping

_IOU_50 = 0


@dataclass(frozen=True)
class PrecisionRecall:
    """Precision envelopes at IoU 0.5; their means are the AP50 of the classes and mAP50."""

    recall: Floats
    """(101,) 0, 0.01 .. 1."""
    precision: Floats
    """(K, 101) of each class; NaN for a class without objects."""
    mean: Floats
    """(101,) over the classes with objects; NaN without any."""


@dataclass(frozen=True)
class ImageCalls:
    """The N images as an inspection sees them: parts with a defect, parts without one, and calls."""

    defective: Flags
    """(N,) has an object that is no crowd region."""
    clean: Flags
    """(N,) has neither object nor crowd region."""
    called: Flags
    """(N,) has a call of any class at any place, outside crowd regions."""
    incomplete: Flags
    """(N,) has an object without a call of its class at IoU 0.5."""

    def escape_rate(self, weights: Floats | Ints | None = None) -> Figure:
        """Return the share of defective images without any call: the part would pass."""
        return _share(self.defective & ~self.called, self.defective, weights)

    def missed_object_rate(self, weights: Floats | Ints | None = None) -> Figure:
        """Return the share of defective images with at least one missed object."""
        return _share(self.incomplete, self.defective, weights)

    def overkill_rate(self, weights: Floats | Ints | None = None) -> Figure:
        """Return the share of clean images with a call: a good part would be rejected."""
        return _share(self.clean & self.called, self.clean, weights)


def precision_recall(predictions: Predictions, *, max_detections: int = MAX_DETECTIONS) -> PrecisionRecall:
    """Return the curves of all classes and their mean."""
    precision = precision_at_recalls(predictions.matches(max_detections=max_detections))[:, _IOU_50]
    present = ~np.isnan(precision[:, 0])
    mean = precision[present].mean(axis=0) if present.any() else np.full(len(RECALLS), np.nan)
    return PrecisionRecall(RECALLS, precision, mean)


def confusion_matrix(predictions: Predictions, threshold: float) -> Ints:
    """Return counts (K + 1, K + 1): rows are true classes, columns called ones, the last is background.

    In order of decreasing score, each call takes the free object of largest IoU, at least 0.5, of any class.
    The last column counts objects without a call, the last row calls without an object.
    """
    called, background = calls(predictions.evaluated, threshold), len(predictions.classes)
    found = assigned(overlapping(called), called.scores)
    counted = (found >= 0) | ~in_crowd(called)
    true = np.append(called.objects.label, background)[found]
    result = np.zeros((background + 1, background + 1), np.int64)
    np.add.at(result, (true[counted], called.detections.label[counted]), 1)
    missed = ~np.isin(np.arange(len(called.crowd)), found) & ~called.crowd
    np.add.at(result[:, background], called.objects.label[missed], 1)
    return result


def image_calls(predictions: Predictions, threshold: float) -> ImageCalls:
    """Return which images have defects, calls and missed objects at a threshold."""
    called = calls(predictions.evaluated, threshold)
    pairs = overlapping(called)
    found = assigned(pairs.only(pairs.same_class), called.scores)
    missed = ~np.isin(np.arange(len(called.crowd)), found) & ~called.crowd
    counted = (found >= 0) | ~in_crowd(called)

    def has(image: Ints) -> Flags:
        return np.bincount(image, minlength=len(called.image_index)) > 0

    return ImageCalls(
        defective=has(called.objects.image[~called.crowd]),
        clean=~has(called.objects.image),
        called=has(called.detections.image[counted]),
        incomplete=has(called.objects.image[missed]),
    )


def _share(part: Flags, of: Flags, weights: Floats | Ints | None) -> Figure:
    counts = np.ones(len(of)) if weights is None else weights
    whole = float(counts[of].sum())
    return float(counts[part].sum()) / whole if whole else None
