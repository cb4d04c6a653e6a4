"""What W&B shows of a finished run: the figures that its table sorts by, and charts of the test."""

from collections.abc import Mapping, Sequence

import numpy as np
import wandb
from wandb.plot.custom_chart import CustomChart, plot_table

from gffpn.metrics.matching import Floats, Ints
from gffpn.runs.predictions import Predictions
from gffpn.runs.record import Record
from gffpn.stats.operating import confusion_matrix, precision_recall

ALL = "all classes"
BACKGROUND = "background"
"""The class of a false alarm's missing object, and of a missed object's missing detection."""


def headline(record: Record) -> dict[str, float]:
    """Return the figures by which runs are compared, under short names for W&B's table of runs.

    `mAP50` and `mAP50_95` are shares, left out if they are None; `fps` includes decoding.
    """
    figures = {
        "mAP50": record.test.mAP50,
        "mAP50_95": record.test.mAP50_95,
        "params_m": record.cost.params_m,
        "gflops": record.cost.gflops,
        "fps": record.speed.fps_end_to_end if record.speed else None,
    }
    return {name: value for name, value in figures.items() if value is not None}


def charts(record: Record, test: Predictions) -> dict[str, CustomChart]:
    """Return the charts of a test by name: precision over recall, and confusion at the operating point.

    Without an operating point, there is no confusion matrix.
    """
    curves = precision_recall(test, max_detections=record.max_detections)
    precision = {
        name: curve
        for name, curve in [(ALL, curves.mean), *zip(test.classes, curves.precision, strict=True)]
        if not np.isnan(curve).any()  # a class without objects
    }
    made = {"test/precision_recall": precision_recall_chart(curves.recall, precision)}
    if record.operating_point is not None:
        threshold = record.operating_point.threshold
        counts = confusion_matrix(test, threshold)
        made["test/confusion"] = confusion_chart(counts, test.classes, threshold=threshold)
    return made


def precision_recall_chart(recalls: Floats, precision: Mapping[str, Floats]) -> CustomChart:
    """Return W&B's precision-recall chart of curves by name; each gives a precision per recall."""
    rows = [
        [name, round(float(recall), 4), round(float(value), 4)]
        for name, curve in precision.items()
        for recall, value in zip(recalls, curve, strict=True)
    ]
    return plot_table(
        "wandb/area-under-curve/v0",
        wandb.Table(columns=["class", "recall", "precision"], data=rows),
        {"x": "recall", "y": "precision", "class": "class"},
        {
            "title": "Precision and recall on test, IoU 0.5",
            "x-axis-title": "Recall",
            "y-axis-title": "Precision",
        },
    )


def confusion_chart(counts: Ints, classes: Sequence[str], *, threshold: float) -> CustomChart:
    """Return W&B's confusion matrix of counts (K + 1, K + 1): the rows are objects, the columns detections.

    The last row and the last column are the background.
    """
    names = [*classes, BACKGROUND]
    rows = [
        [actual, predicted, int(count)]
        for actual, row in zip(names, counts, strict=True)
        for predicted, count in zip(names, row, strict=True)
    ]
    return plot_table(
        "wandb/confusion_matrix/v1",
        wandb.Table(columns=["Actual", "Predicted", "nPredictions"], data=rows),
        {name: name for name in ("Actual", "Predicted", "nPredictions")},
        {"title": f"Confusion on test at scores from {threshold:.3f}, IoU 0.5"},
    )
