"""Loss functions of boxes, element by element; heads weight and sum them. Compute them in float32."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from gffpn.boxes import Overlap, ciou, ciou_terms, nwd

ALPHA_IOU_POWER = 3
"""The power that the alpha-IoU paper recommends for every data set."""


def ciou_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """1 - CIoU of (M, 4) with (M, 4): (M,)."""
    return 1 - ciou(predicted, target)


def alpha_iou_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Alpha-CIoU of (M, 4) with (M, 4): (M,), each term of CIoU cubed (He et al., arXiv 2110.13675)."""
    overlap, distance, aspect = (term.pow(ALPHA_IOU_POWER) for term in ciou_terms(predicted, target))
    return 1 - overlap + distance + aspect


def nwd_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """1 - NWD of (M, 4) with (M, 4): (M,)."""
    return 1 - nwd(predicted, target)


BoxLoss = Literal["ciou", "alpha_iou", "nwd"]
BOX_LOSSES: dict[BoxLoss, Overlap] = {"ciou": ciou_loss, "alpha_iou": alpha_iou_loss, "nwd": nwd_loss}
"""Name to function: predicted (M, 4), target (M, 4), xyxy pixels, to (M,)."""


def distribution_focal_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross entropy with the two bins beside a real-valued target: (..., R) logits, (...) target -> (...).

    `target` counts in bins and is held within 0..R - 1. Li et al., Generalized Focal Loss (arXiv 2006.04388),
    equation 6.
    """
    bins = logits.shape[-1]
    target = target.clamp(0, bins - 1)
    left = target.floor().clamp(max=bins - 2)
    towards_right = target - left
    index = left.long().unsqueeze(-1)
    log_probability = F.log_softmax(logits, dim=-1)
    at_left = log_probability.gather(-1, index).squeeze(-1)
    at_right = log_probability.gather(-1, index + 1).squeeze(-1)
    return -torch.lerp(at_left, at_right, towards_right)
