"""Anchor points: the cell centres of all levels, and boxes expressed as distances from them."""

from collections.abc import Sequence

import torch
from torch import Tensor


def grid_points(
    grids: Sequence[tuple[int, int]], strides: Sequence[int], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return the centres (A, 2) as x, y and the strides (A, 1) of all levels' cells, row by row, in pixels.

    `grids` holds the (H, W) of each level.
    """
    points, scales = [], []
    for (rows, columns), stride in zip(grids, strides, strict=True):
        y = torch.arange(rows, device=device) + 0.5
        x = torch.arange(columns, device=device) + 0.5
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).view(-1, 2)
        points.append(grid * stride)
        scales.append(grid.new_full((rows * columns, 1), stride))
    return torch.cat(points), torch.cat(scales)


def boxes_from_distances(points: Tensor, distances_ltrb: Tensor) -> Tensor:
    """Return boxes (..., A, 4) from points (A, 2) and their distances (..., A, 4) to the four sides.

    The sides are in the order left, top, right, bottom. Distances may be negative. If two opposite distances
    sum to less than 0, the box has no extent along that axis.
    """
    before, after = distances_ltrb[..., :2], distances_ltrb[..., 2:]
    centre = points + (after - before) / 2
    half = (before + after).clamp_min(0) / 2
    return torch.cat((centre - half, centre + half), -1)


def distances_from_boxes(points: Tensor, boxes: Tensor) -> Tensor:
    """Return the left, top, right, bottom distances (..., A, 4) from points (A, 2) to boxes (..., A, 4)."""
    return torch.cat((points - boxes[..., :2], boxes[..., 2:] - points), -1)
