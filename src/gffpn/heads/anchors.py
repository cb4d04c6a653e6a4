"""Anchor boxes for `yolov5`: the published defaults and anchors fitted to a data set's boxes."""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans
from torch import Tensor

ANCHORS_PER_LEVEL = 3
COCO_ANCHORS = (
    ((10, 13), (16, 30), (33, 23)),
    ((30, 61), (62, 45), (59, 119)),
    ((116, 90), (156, 198), (373, 326)),
)
"""YOLOv5's defaults (the same as YOLOv3's): width and height in pixels for strides 8, 16 and 32."""
AnchorRule = Literal["auto", "fit", "keep"]
ENOUGH_RECALL = 0.98
"""Anchors are fitted to the data if they can match a smaller share of its boxes than this (YOLOv5's rule)."""
MAX_RATIO = 4.0
"""Factor between the sides of a box and an anchor from which they do not match, YOLOv5's default."""
RESTARTS = 20
SPREAD = 0.25
"""Standard deviation, in log pixels, of the noise that separates boxes with too few distinct sizes."""


def default_anchors(strides: tuple[int, ...]) -> Tensor:
    """Return anchors (L, 3, 2), in pixels, for levels of these strides.

    Strides other than 8, 16 and 32 use the anchors of the nearest of these, rescaled.
    """
    published = dict(zip((8, 16, 32), COCO_ANCHORS, strict=True))
    rows = []
    for stride in strides:
        nearest = min(published, key=lambda known: abs(np.log2(known / stride)))
        rows.append(torch.tensor(published[nearest], dtype=torch.float32) * (stride / nearest))
    return torch.stack(rows)


def fit_anchors(boxes_wh: Tensor, count: int, *, seed: int = 0) -> Tensor | None:
    """Fit `count` anchors to boxes (M, 2) in pixels; return them (count, 2) in order of area, or None.

    The anchors come from k-means on log sizes, where Euclidean distance measures the side ratios that the
    matching rule compares. Boxes without extent are ignored; if fewer than `count` are left, None is
    returned. The same boxes and seed give the same anchors.
    """
    sizes = with_extent(boxes_wh)
    if len(sizes) < count:
        return None
    logs = np.log(sizes.double().numpy())
    # k-means returns fewer codes than requested if there are too few distinct sizes
    codes = _cluster(logs, count, seed)
    if len(codes) < count:
        noise = np.random.default_rng(seed).normal(0, SPREAD, (len(logs) * count, 2))
        codes = _cluster(np.tile(logs, (count, 1)) + noise, count, seed)
    anchors = np.exp(codes)
    by_area = np.argsort(anchors.prod(1))
    return torch.from_numpy(anchors[by_area]).float()


def _cluster(logs: NDArray[np.float64], count: int, seed: int) -> NDArray[np.float64]:
    return kmeans(logs, count, iter=RESTARTS, rng=np.random.default_rng(seed))[0]


def with_extent(boxes_wh: Tensor) -> Tensor:
    """Return those of the boxes (M, 2) whose sides are positive and finite, on the CPU."""
    sizes = boxes_wh.detach().cpu()
    return sizes[(sizes.isfinite() & (sizes > 0)).all(1)]


def best_possible_recall(anchors: Tensor, boxes_wh: Tensor) -> float:
    """Return the share of boxes (M, 2) that an anchor (A, 2) can match; 0 if no box has an extent.

    An anchor matches a box if neither side differs by a factor of `MAX_RATIO` or more.
    """
    sizes = with_extent(boxes_wh)
    if not len(sizes):
        return 0.0
    ratio = sizes[:, None] / anchors.cpu()[None]
    matches = torch.maximum(ratio, 1 / ratio).amax(-1) < MAX_RATIO
    return float(matches.any(-1).float().mean())


def fitness(anchors: Tensor, boxes_wh: Tensor) -> float:
    """Return how well anchors (A, 2) fit boxes (M, 2), 0..1.

    This is the worse side ratio of the best anchor for each box, averaged over the boxes.
    """
    ratio = boxes_wh[:, None] / anchors[None]
    return float(torch.minimum(ratio, 1 / ratio).amin(-1).amax(-1).mean())
