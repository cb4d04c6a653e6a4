"""Figures about maps: how well they point at objects, and how much of a gate is open or shut."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor
from torch.nn import functional


def on_cells(mask: NDArray[np.bool_], stride: int) -> NDArray[np.bool_]:
    """Return, for a mask (H, W), whether a cell of `stride` pixels a side contains any of it.

    The shape is (ceil(H / stride), ceil(W / stride)).
    """
    pooled = functional.max_pool2d(torch.from_numpy(mask).float()[None], stride, ceil_mode=True)
    return (pooled[0] > 0).numpy()


def area_under_curve(scores: Tensor, objects: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the AUC (C,) of each map of `scores` (C, H, W) as a classifier of cells, for `objects` (H, W).

    It is the probability that an object's cell has a higher score than another cell, where equal scores count
    a half; NaN without objects, or without other cells.
    """
    found = objects.ravel()
    hits, rest = int(found.sum()), int((~found).sum())
    if not hits or not rest:
        return np.full(len(scores), math.nan)
    ranks = rankdata(scores.flatten(1).numpy(), axis=1)
    return np.asarray((ranks[:, found].sum(axis=1) - hits * (hits + 1) / 2) / (hits * rest))


def contrast(maps: Tensor, objects: NDArray[np.bool_]) -> float:
    """Return the mean absolute value of maps (C, H, W) on the cells of `objects`, divided by that elsewhere.

    NaN without objects, or if the maps are zero elsewhere.
    """
    size = maps.abs().mean(dim=0).numpy()
    if not objects.any() or objects.all() or not size[~objects].any():
        return math.nan
    return float(size[objects].mean() / size[~objects].mean())


def saturation(gate: Tensor, *, margin: float = 0.05) -> tuple[float, float]:
    """Return the shares of a gate's values below `margin` (shut) and above 1 - `margin` (open)."""
    return float((gate < margin).float().mean()), float((gate > 1 - margin).float().mean())
