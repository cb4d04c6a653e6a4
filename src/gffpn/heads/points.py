"""Anchor points: the cell centres of the levels, and boxes told as distances from them."""

from collections.abc import Sequence

import torch
from torch import Tensor


def grid_points(
    grids: Sequence[tuple[int, int]], strides: Sequence[int], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Centres (A, 2) as x, y and strides (A, 1), in pixels, of the cells of all levels, row by row.

    `grids` holds (H, W) of each level.
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
    """Boxes (..., A, 4) from points (A, 2) and distances to the left, top, right and bottom side (..., A, 4).

    Distances may be negative. Where two opposite ones sum to less than 0, the box has no extent there.
    """
    before, after = distances_ltrb[..., :2], distances_ltrb[..., 2:]
    centre = points + (after - before) / 2
    half = (before + after).clamp_min(0) / 2
    return torch.cat((centre - half, centre + half), -1)


def distances_from_boxes(points: Tensor, boxes: Tensor) -> Tensor:
    """Distances left, top, right, bottom (..., A, 4) of points (A, 2) to the sides of boxes (..., A, 4)."""
    return torch.cat((points - boxes[..., :2], boxes[..., 2:] - points), -1)
