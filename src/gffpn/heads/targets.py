"""Ground truth of a batch, padded to one shape so that losses need no loop over images."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from gffpn.boxes import sides


class PaddedTargets(NamedTuple):
    """Ground truth of N images; M is the largest count in the batch, but at least 1."""

    boxes: Tensor
    """(N, M, 4) float32 xyxy pixels, zeros in the padding."""
    labels: Tensor
    """(N, M) int64, zeros in the padding."""
    valid: Tensor
    """(N, M) bool, false for padding and for boxes without area, from which nothing can be learnt."""


def pad_targets(targets: list[dict[str, Tensor]], device: torch.device) -> PaddedTargets:
    """Pad the targets of a batch to one shape and move them to `device`.

    `targets` holds one dict per image, with `boxes` (M, 4) and `labels` (M,).
    """
    # the zero box at the end of each image keeps M above 0; it has no area, so it is never valid
    boxes = pad_sequence([_with_blank(target["boxes"].float()) for target in targets], batch_first=True)
    labels = pad_sequence([_with_blank(target["labels"]) for target in targets], batch_first=True)
    most = max(1, boxes.shape[1] - 1)
    boxes = boxes[:, :most].to(device, non_blocking=True)
    width, height = sides(boxes)
    return PaddedTargets(boxes, labels[:, :most].to(device, non_blocking=True), (width > 0) & (height > 0))


def _with_blank(values: Tensor) -> Tensor:
    return torch.cat((values, values.new_zeros(1, *values.shape[1:])))
