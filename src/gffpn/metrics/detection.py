"""Detection metrics gathered over ranks; average_precision.py computes the figures in NumPy."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from gffpn.figures import Figures
from gffpn.metrics.average_precision import summarize
from gffpn.metrics.evaluated import MAX_DETECTIONS, Evaluated
from gffpn.metrics.matching import SIZE_EDGES, Boxes, Floats, Ints, Matches, size_ranges


class DetectionMetric(Metric):
    """COCO average precision, over all objects and by size, and AP50 by the paper's rule.

    `max_detections` applies to each image and class, as in pycocotools. Raises ValueError unless `size_edges`
    (pixels) are positive and increasing and `max_detections` is positive.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    # one row per image seen: index, number of detections, number of objects
    visits: list[Tensor]
    scales: list[Tensor]
    boxes: list[Tensor]
    scores: list[Tensor]
    labels: list[Tensor]
    object_boxes: list[Tensor]
    object_labels: list[Tensor]
    object_crowd: list[Tensor]

    def __init__(
        self,
        classes: Sequence[str],
        *,
        size_edges: Sequence[float] = SIZE_EDGES,
        max_detections: int = MAX_DETECTIONS,
    ) -> None:
        super().__init__()
        if max_detections < 1:
            raise ValueError(f"max_detections: got {max_detections}, expected at least 1")
        self.classes = tuple(classes)
        self.ranges = size_ranges(size_edges)
        self.max_detections = max_detections
        for state in (
            "visits",
            "scales",
            "boxes",
            "scores",
            "labels",
            "object_boxes",
            "object_labels",
            "object_crowd",
        ):
            self.add_state(state, default=[], dist_reduce_fx="cat")

    def update(
        self, detections: Sequence[Mapping[str, Tensor]], targets: Sequence[Mapping[str, Any]]
    ) -> None:
        """Add the images of a batch, at least one.

        Each of `detections` has `boxes` (M, 4) in network pixels, `scores` (M,) and `labels` (M,). Each of
        `targets` has `boxes`, `labels`, `image_index` (one image of the data set) and `scale` (network pixels
        per native pixel along x and y), and may have `crowd` (M,), true for crowd regions; without it, none
        is one.
        """
        rows = [
            (int(target["image_index"]), len(detection["boxes"]), len(target["boxes"]))
            for detection, target in zip(detections, targets, strict=True)
        ]
        self.visits.append(torch.tensor(rows, device=self.device))
        scales = [[float(factor) for factor in target["scale"]] for target in targets]
        self.scales.append(torch.tensor(scales, device=self.device))
        self.boxes.append(torch.cat([detection["boxes"] for detection in detections]).float())
        self.scores.append(torch.cat([detection["scores"] for detection in detections]).float())
        self.labels.append(torch.cat([detection["labels"] for detection in detections]))
        self.object_boxes.append(torch.cat([target["boxes"] for target in targets]).float())
        self.object_labels.append(torch.cat([target["labels"] for target in targets]))
        self.object_crowd.append(torch.cat([_crowd(target) for target in targets]))

    def compute(self) -> dict[str, float]:
        """Return the columns of `Figures`; figures without objects are NaN."""
        return logged(self.figures(self.evaluated()))

    def figures(self, evaluated: Evaluated) -> Figures:
        """Return the figures of a split that `evaluated` or `gathered` returned."""
        return summarize(self._matches(evaluated), self.classes, self.ranges)

    def matches(self) -> Matches:
        """Return the matches of this process's images; inside `sync_context()`, those of all processes."""
        return self._matches(self.evaluated())

    def gathered(self) -> Evaluated:
        """Return the detections and objects of the images of all processes, each of which must call this."""
        with self.sync_context(dist_sync_fn=self.dist_sync_fn):
            return self.evaluated()

    def evaluated(self) -> Evaluated:
        """Return the detections and objects of this process's images, in the order of the images.

        An image that was seen twice (a distributed sampler pads) counts once.
        """
        visits = _numpy(self.visits).astype(np.int64)
        image_index, first = np.unique(visits[:, 0], return_index=True)
        position = np.full(len(visits), -1)
        position[first] = np.arange(len(first))
        image = np.repeat(position, visits[:, 1])
        order = _kept(image)
        objects = np.repeat(position, visits[:, 2])
        object_order = _kept(objects)
        return Evaluated(
            image_index,
            _numpy(self.scales).astype(np.float64)[first],
            _select(image, order, self.labels, self.boxes),
            _numpy(self.scores).astype(np.float64)[order],
            _select(objects, object_order, self.object_labels, self.object_boxes),
            _numpy(self.object_crowd).astype(np.bool_)[object_order],
        )

    def _matches(self, evaluated: Evaluated) -> Matches:
        return evaluated.matches(len(self.classes), self.ranges, max_detections=self.max_detections)


def logged(figures: Figures) -> dict[str, float]:
    """Return the columns as loggers take them: NaN for None."""
    return {name: math.nan if value is None else value for name, value in figures.columns().items()}


def _numpy(state: list[Tensor]) -> Floats | Ints:
    return dim_zero_cat(state).detach().cpu().numpy()


def _crowd(target: Mapping[str, Any]) -> Tensor:
    crowd: Tensor = target["crowd"] if "crowd" in target else torch.zeros_like(target["labels"])
    return crowd.bool()


def _kept(image: Ints) -> Ints:
    """Return the positions of the boxes whose image counts, in the order of the images."""
    order = np.argsort(image, kind="stable")
    return order[image[order] >= 0]


def _select(image: Ints, order: Ints, labels: list[Tensor], boxes: list[Tensor]) -> Boxes:
    return Boxes(
        image[order], _numpy(labels).astype(np.int64)[order], _numpy(boxes).astype(np.float64)[order]
    )
