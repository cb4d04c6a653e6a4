"""Element-wise loss functions of boxes; heads weight and sum them. Compute them in float32."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from gffpn.boxes import Overlap, ciou, ciou_terms, nwd

ALPHA_IOU_POWER = 3
"""The power that the alpha-IoU paper recommends for every data set."""


def ciou_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Return 1 - CIoU, (M,), of predicted boxes (M, 4) and target boxes (M, 4)."""
    return 1 - ciou(predicted, target)


def alpha_iou_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Return the alpha-CIoU loss, (M,), of predicted boxes (M, 4) and target boxes (M, 4).

    Each term of CIoU is cubed (He et al., arXiv 2110.13675).
    """
    overlap, distance, aspect = (term.pow(ALPHA_IOU_POWER) for term in ciou_terms(predicted, target))
    return 1 - overlap + distance + aspect


def nwd_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Return 1 - NWD, (M,), of predicted boxes (M, 4) and target boxes (M, 4)."""
    return 1 - nwd(predicted, target)


BoxLoss = Literal["ciou", "alpha_iou", "nwd"]
BOX_LOSSES: dict[BoxLoss, Overlap] = {"ciou": ciou_loss, "alpha_iou": alpha_iou_loss, "nwd": nwd_loss}
"""Functions by name, from predicted (M, 4) and target (M, 4) boxes, in xyxy pixels, to (M,)."""


def distribution_focal_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return the cross entropy with the two bins adjacent to a real-valued target.

    Logits (..., R) and targets (...) give (...). `target` is in bins and clamped to 0..R - 1.

    Source: Li et al., Generalized Focal Loss (arXiv 2006.04388), equation 6.
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
