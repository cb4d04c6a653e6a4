"""Groups of tokens within which the levels of a pyramid attend to each other.

Du et al.: Cross-Layer Feature Pyramid Transformer for Small Object Detection in Aerial Images (IEEE TGRS
2025): the groups of cross-layer spatial-wise attention (CSA) and of cross-layer channel-wise attention (CCA),
as the reference implementation forms them.

Letters: queries, keys and values have D channels each; a head has G groups; a group has T tokens of F values,
ordered from the finest level to the coarsest. The coarsest map has h x w cells; the map of a level has
ratio h x ratio w.

Deviations: none from the reference.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

OVERLAP = 1
"""Number of cells (CSA) or channels (CCA) that a window shares with the one before it."""


def window_of(ratio: int) -> tuple[int, int]:
    """Return length and zero padding of the windows with stride `ratio`.

    The windows of the coarsest level do not overlap.
    """
    return (ratio + OVERLAP, OVERLAP) if ratio > 1 else (OVERLAP, 0)


class Grouping(Protocol):
    """Division of the maps of all levels into groups of tokens."""

    axes: int
    """Number of axes of a window."""

    def windows(self, ratios: Sequence[int]) -> list[int]:
        """Return the length of each level's windows along an axis."""
        ...

    def gather(self, qkv: Tensor, ratio: int, heads: int) -> Tensor:
        """Cut queries, keys, values (N, 3 D, ratio h, ratio w) into tokens (N, 3, heads, G, T, F)."""
        ...

    def scatter(self, tokens: Tensor, ratio: int, size: tuple[int, int]) -> Tensor:
        """Join tokens (N, heads, G, T, F) to a map (N, D, ratio h, ratio w), where `size` is (h, w)."""
        ...


class SpatialGroups:
    """Groups of CSA: each is a cell of the coarsest map with the windows over it.

    F = D / heads channels, G = h w. Cells outside a map are zero tokens, which are not masked. Where windows
    overlap, their outputs are added.
    """

    axes = 2

    def windows(self, ratios: Sequence[int]) -> list[int]:
        """Return the ratio plus the overlap, or 1 for the coarsest level."""
        return [window_of(ratio)[0] for ratio in ratios]

    def gather(self, qkv: Tensor, ratio: int, heads: int) -> Tensor:
        """Cut out the windows; the tokens of a window are in row-major order."""
        window, padding = window_of(ratio)
        columns = functional.unfold(qkv, window, stride=ratio, padding=padding)
        features = qkv.shape[1] // (3 * heads)
        tokens = columns.view(qkv.shape[0], 3, heads, features, window**2, columns.shape[-1])
        return tokens.permute(0, 1, 2, 5, 4, 3)

    def scatter(self, tokens: Tensor, ratio: int, size: tuple[int, int]) -> Tensor:
        """Add the windows into a map."""
        window, padding = window_of(ratio)
        columns = tokens.permute(0, 1, 4, 3, 2).flatten(1, 3)
        full = (ratio * size[0], ratio * size[1])
        return functional.fold(columns, full, window, stride=ratio, padding=padding)


class ChannelGroups:
    """Groups of CCA: each is a channel of the coarsest map with the windows of channels that belong to it.

    F = h w pixels, G = D / heads. For each channel of the coarsest map, a finer map has ratio^2 channels of
    size h w. The windows slide along the queries, keys and values as one sequence, so the window of the first
    key begins with the last channel of the queries, and that of the first value with the last channel of the
    keys. Where windows overlap, their outputs are added.
    """

    axes = 1

    def windows(self, ratios: Sequence[int]) -> list[int]:
        """Return ratio^2 plus the overlap, or 1 for the coarsest level."""
        return [window_of(ratio**2)[0] for ratio in ratios]

    def gather(self, qkv: Tensor, ratio: int, heads: int) -> Tensor:
        """Cut out the windows; the tokens of a window are in the order of the channels."""
        window, padding = window_of(ratio**2)
        rows = functional.pixel_unshuffle(qkv, ratio).flatten(2).transpose(1, 2).unsqueeze(-1)
        columns = functional.unfold(rows, (window, 1), stride=(ratio**2, 1), padding=(padding, 0))
        groups = qkv.shape[1] // (3 * heads)
        tokens = columns.view(qkv.shape[0], rows.shape[1], window, 3, heads, groups)
        return tokens.permute(0, 3, 4, 5, 2, 1)

    def scatter(self, tokens: Tensor, ratio: int, size: tuple[int, int]) -> Tensor:
        """Add the windows into a map."""
        window, padding = window_of(ratio**2)
        columns = tokens.flatten(1, 2).permute(0, 3, 2, 1).flatten(1, 2)
        full = (columns.shape[2] * ratio**2, 1)
        rows = functional.fold(columns, full, (window, 1), stride=(ratio**2, 1), padding=(padding, 0))
        maps = rows.squeeze(-1).transpose(1, 2).reshape(rows.shape[0], -1, *size)
        return functional.pixel_shuffle(maps, ratio)


def token_positions(windows: Sequence[int], axes: int) -> Tensor:
    """Return the positions (T, axes) of the tokens of a group.

    They are in cells of the finest level, relative to the window's centre.
    """
    finest = windows[0]
    positions = []
    for window in windows:
        along = (torch.arange(window, dtype=torch.float64) - window // 2) * (finest / window)
        positions.append(torch.cartesian_prod(*[along] * axes).view(-1, axes))
    return torch.cat(positions)
