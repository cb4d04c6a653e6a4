"""Assignment of predictions to ground truths: pure, batched functions of static shape (no device sync).

Ground truths are padded: boxes (N, M, 4) in xyxy pixels; `valid` (N, M) is false on the padding.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from gffpn.boxes import centres, sides

RESCUE_ROUNDS = 3
"""Each round serves one of an image's ground truths that are left without a point and want the same one."""


class AnchorMatches(NamedTuple):
    """Predictions matched to ground truths, each (P,), P = N x M x A x 3; ignore those not `valid`."""

    target: Tensor
    """int64, index of the ground truth in the flattened (N x M)."""
    image: Tensor
    anchor: Tensor
    row: Tensor
    column: Tensor
    valid: Tensor
    """bool; where false, the other fields are within bounds but meaningless."""


def match_anchors(
    boxes: Tensor, valid: Tensor, anchors: Tensor, *, stride: int, grid: tuple[int, int], max_ratio: float
) -> AnchorMatches:
    """Match the anchors (A, 2) of one level, in pixels, to the boxes that they fit and to grid cells.

    An anchor fits a box if neither side differs by a factor of `max_ratio` or more. A box is assigned to the
    cell that contains its centre and to the nearer horizontal and the nearer vertical neighbour, if these lie
    within the grid (H, W) (YOLOv5's rule).
    """
    images, count = valid.shape
    width, height = sides(boxes)
    size = torch.stack((width, height), -1).clamp_min(0)[:, :, None, :]
    ratio = torch.maximum(size / anchors, anchors / size).amax(-1)
    fits = (ratio < max_ratio) & valid[:, :, None]

    rows, columns = grid
    centre_x, centre_y = centres(boxes)
    column, column_beside = _cell_and_neighbour(centre_x / stride, columns)
    row, row_beside = _cell_and_neighbour(centre_y / stride, rows)
    cell_column = torch.stack((column, column_beside, column), -1)
    cell_row = torch.stack((row, row, row_beside), -1)
    inside = (cell_column >= 0) & (cell_column < columns) & (cell_row >= 0) & (cell_row < rows)

    shape = (images, count, len(anchors), 3)
    numbers = torch.arange(images * count, device=boxes.device)
    target = numbers.view(images, count, 1, 1).expand(shape)
    anchor = torch.arange(len(anchors), device=boxes.device).view(1, 1, -1, 1).expand(shape)
    return AnchorMatches(
        target=target.flatten(),
        image=(target // count).flatten(),
        anchor=anchor.flatten(),
        row=cell_row.clamp(0, rows - 1)[:, :, None, :].expand(shape).flatten(),
        column=cell_column.clamp(0, columns - 1)[:, :, None, :].expand(shape).flatten(),
        valid=(fits[..., None] & inside[:, :, None, :]).flatten(),
    )


def _cell_and_neighbour(position: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """Return the cell that contains a position (in cells) and the nearer adjacent cell.

    The adjacent cell may lie outside the grid.
    """
    cell = position.floor().clamp(0, cells - 1)
    beside = torch.where(position - cell < 0.5, cell - 1, cell + 1)
    return cell.long(), beside.long()


def candidate_points(points: Tensor, boxes: Tensor, valid: Tensor, *, min_side: float) -> Tensor:
    """Return a mask (N, M, A), bool, of the points (A, 2) that lie strictly within each ground truth's box.

    Sides shorter than `min_side` pixels are widened to it about the centre, so that tiny boxes have
    candidates too: with a `min_side` of two strides, a box contains a point of that grid wherever it lies.
    """
    centre_x, centre_y = centres(boxes)
    width, height = sides(boxes)
    beside_x = (points[:, 0] - centre_x[..., None]).abs() < width[..., None].clamp_min(min_side) / 2
    beside_y = (points[:, 1] - centre_y[..., None]).abs() < height[..., None].clamp_min(min_side) / 2
    return beside_x & beside_y & valid[..., None]


class TaskAlignment(NamedTuple):
    """The ground truth assigned to each point; every field is (N, A)."""

    target: Tensor
    """int64, index of the ground truth in its image; 0 for unassigned points."""
    weight: Tensor
    """Target score, 0..1; 0 for unassigned points."""
    positive: Tensor
    """bool, true for assigned points."""


def align_tasks(
    scores: Tensor, overlaps: Tensor, candidates: Tensor, *, topk: int, alpha: float, beta: float
) -> TaskAlignment:
    """Assign points to ground truths by task alignment; all arguments are (N, M, A).

    Source: Feng et al., TOOD, arXiv 2108.07755, section 3.2.

    The alignment is `scores`^alpha x `overlaps`^beta, where `scores` are those of the ground truth's class.
    Each ground truth takes its `topk` best candidates; a point taken by several goes to the one that it
    overlaps most. The target score is the alignment, scaled so that the best point of each ground truth gets
    that ground truth's largest overlap.

    Deviation: a ground truth that loses all its points takes its best candidate that is not the best point of
    another ground truth.
    """
    alignment = scores.pow(alpha) * overlaps.pow(beta)
    order = alignment.masked_fill(~candidates, -1)
    best = order.topk(min(topk, order.shape[-1]), dim=-1).indices
    wanted = torch.zeros_like(candidates).scatter(-1, best, True) & candidates
    owned = _give_to_largest(wanted, overlaps)
    for _ in range(RESCUE_ROUNDS):
        # reading a value costs nothing on a CPU but would synchronise with a GPU
        if owned.device.type == "cpu" and not (candidates.any(-1) & ~owned.any(-1)).any():
            break
        owned = _rescue(owned, order, overlaps, candidates)

    best_alignment = (alignment * owned).amax(-1, keepdim=True)
    best_overlap = (overlaps * owned).amax(-1, keepdim=True)
    tiny = torch.finfo(alignment.dtype).tiny
    weight = alignment / best_alignment.clamp_min(tiny) * best_overlap * owned
    return TaskAlignment(target=owned.byte().max(1).indices, weight=weight.amax(1), positive=owned.any(1))


def _give_to_largest(wanted: Tensor, overlaps: Tensor) -> Tensor:
    """Give each wanted point to the ground truth of largest overlap; the first one wins ties."""
    winner = overlaps.masked_fill(~wanted, -1).max(1, keepdim=True).indices
    return torch.zeros_like(wanted).scatter(1, winner, True) & wanted


def _rescue(owned: Tensor, order: Tensor, overlaps: Tensor, candidates: Tensor) -> Tensor:
    """Give each ground truth without a point its best candidate that is not the best point of its owner.

    This is one round. No owner can lose its last point, so a round never takes back what an earlier one gave.
    """
    favourite = order.masked_fill(~owned, -2).max(-1, keepdim=True).indices
    kept = (torch.zeros_like(owned).scatter(-1, favourite, True) & owned).any(1, keepdim=True)
    orphan = ~owned.any(-1, keepdim=True)
    free = candidates & ~kept & orphan
    choice = order.masked_fill(~free, -2).max(-1, keepdim=True).indices
    claimed = _give_to_largest(torch.zeros_like(owned).scatter(-1, choice, True) & free, overlaps)
    return (owned & ~claimed.any(1, keepdim=True)) | claimed
