"""Overlap measures of boxes: IoU and its relatives.

Boxes are (..., 4) xyxy in absolute pixels with x1 <= x2 and y1 <= y2. Every measure broadcasts over the
leading axes. In float32, values and gradients are finite even for boxes of zero area, for which torchvision's
`box_iou` and `complete_box_iou_loss` give 0 / 0. For clipping and suppression, use torchvision.ops.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

Overlap = Callable[[Tensor, Tensor], Tensor]

EPS = 1e-7
MIN_SIDE = 1e-3
"""Pixels. Sides are clamped to this minimum inside the arctangent, whose gradient grows as 1 / side."""
NWD_CONSTANT = 12.7
"""Pixels: the mean object size in AI-TOD, which the NWD paper uses as its constant."""


def sides(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Return the widths and heights, each (...)."""
    return boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]


def centres(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Return the centres' x and y, each (...)."""
    return (boxes[..., 0] + boxes[..., 2]) / 2, (boxes[..., 1] + boxes[..., 3]) / 2


def pairwise(measure: Overlap, a: Tensor, b: Tensor) -> Tensor:
    """Apply `measure` to every pair of boxes from (..., A, 4) and (..., B, 4); return (..., A, B)."""
    return measure(a[..., :, None, :], b[..., None, :, :])


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the intersection over union, 0..1; 0 for two boxes without area."""
    x1, y1, x2, y2 = a.unbind(-1)
    u1, v1, u2, v2 = b.unbind(-1)
    width = (torch.minimum(x2, u2) - torch.maximum(x1, u1)).clamp_min(0)
    height = (torch.minimum(y2, v2) - torch.maximum(y1, v1)).clamp_min(0)
    intersection = width * height
    union = (x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - intersection
    return intersection / (union + EPS)


def ciou_terms(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the three terms of Complete IoU (Zheng et al., arXiv 1911.08287).

    These are the IoU, the squared centre distance over the squared diagonal of the enclosing box, and the
    weighted difference of the aspect ratios; no gradient passes through the weight, as in the paper.
    """
    overlap = iou(a, b)
    enclosing = torch.maximum(a, b)[..., 2:] - torch.minimum(a, b)[..., :2]
    (ax, ay), (bx, by) = centres(a), centres(b)
    distance = ((ax - bx).square() + (ay - by).square()) / (enclosing.square().sum(-1) + EPS)
    aspect = (4 / math.pi**2) * (_angle(b) - _angle(a)).square()
    with torch.no_grad():
        weight = aspect / (1 - overlap + aspect + EPS)
    return overlap, distance, weight * aspect


def _angle(boxes: Tensor) -> Tensor:
    width, height = sides(boxes)
    return torch.atan2(width.clamp_min(MIN_SIDE), height.clamp_min(MIN_SIDE))


def ciou(a: Tensor, b: Tensor) -> Tensor:
    """Return the Complete IoU, -1.5 < value <= 1."""
    overlap, distance, aspect = ciou_terms(a, b)
    return overlap - distance - aspect


def nwd(a: Tensor, b: Tensor, constant: float = NWD_CONSTANT) -> Tensor:
    """Return the normalised Gaussian Wasserstein distance, 0..1 (Wang et al., arXiv 2110.13389).

    It is exp(-W / constant), where W is the Euclidean distance between the (cx, cy, w / 2, h / 2) of the two
    boxes; in corner coordinates, W^2 is half the squared distance.
    """
    squared = (a - b).square().sum(-1) / 2
    # the root's gradient is unbounded at 0, so W is clamped to 1e-6 px, below which no gradient passes
    return torch.exp(-squared.clamp_min(1e-12).sqrt() / constant)
