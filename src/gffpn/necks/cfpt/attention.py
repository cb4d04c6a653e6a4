"""Attention across the levels of a pyramid, over space and over channels.

Du et al.: Cross-Layer Feature Pyramid Transformer for Small Object Detection in Aerial Images (IEEE TGRS
2025): cross-layer channel-wise attention (CCA), cross-layer spatial-wise attention (CSA) and cross-layer
consistent relative position encoding (CCPE), as the reference implementation computes them.

    s_i = x_i + GELU(dw3x3(x_i))
    o = softmax(cos(q, k) + B) v           over the tokens of all levels in a group
    y_i = s_i + LN(1x1(o_i));  y_i = y_i + GELU(dw3x3(y_i));  out_i = y_i + MLP(LN(y_i))

Deviations: two parameters of the reference that have no effect are left out. Its absolute position bias of a
query's level is the same for all keys, so the softmax cancels it. Its table for CCA has (2 k - 1)^2 rows, of
which only the 2 k - 1 kept here can be read.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from gffpn.necks.cfpt.groups import Grouping, token_positions

EPSILON = 1e-12
"""Lower bound of the length by which a query or key is divided."""


class PositionBias(nn.Module):
    """Position bias B, (heads, T, T), looked up in a learnt table by query position minus key position.

    Fractional positions are interpolated between neighbours in the flattened table, as in the reference.
    """

    undecayed = ("table",)
    below: Tensor
    above: Tensor
    share: Tensor

    def __init__(self, windows: Sequence[int], *, axes: int, heads: int) -> None:
        super().__init__()
        side = 2 * windows[0] - 1
        self.table = nn.Parameter(torch.empty(side**axes, heads))
        self.reset_parameters()
        position = token_positions(windows, axes)
        relative = position[:, None] - position[None] + (windows[0] - 1)
        strides = torch.tensor([side**axis for axis in reversed(range(axes))])
        row = (relative * strides).sum(dim=-1)
        self.register_buffer("below", row.floor().long(), persistent=False)
        self.register_buffer("above", row.ceil().long(), persistent=False)
        self.register_buffer("share", (row - row.floor()).float()[..., None], persistent=False)

    def reset_parameters(self) -> None:
        """Draw the table near zero."""
        # no trunc_normal_: by default it cuts at -2 and 2, a hundred standard deviations away
        nn.init.normal_(self.table, std=0.02)

    def forward(self) -> Tensor:
        """Return the table's values at the relative positions."""
        bias = torch.lerp(self.table[self.below], self.table[self.above], self.share)
        return bias.permute(2, 0, 1).contiguous()


def unit(vectors: Tensor) -> Tensor:
    """Scale vectors to length 1 along the last axis; zero vectors stay zero."""
    # fp32 at least, as EPSILON underflows to zero in half precision
    dtype = torch.promote_types(vectors.dtype, torch.float32)
    length = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True, dtype=dtype)
    scaled: Tensor = vectors / length.clamp_min(EPSILON)
    return scaled.to(vectors.dtype)


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
    """Return softmax(cos(query, key) + bias) value, without a scale factor.

    All tensors are (N, heads, G, T, F), except bias, which is (heads, T, T).
    """
    logits = torch.matmul(unit(query), unit(key).transpose(-2, -1)) + bias[:, None]
    return torch.matmul(logits.softmax(dim=-1).to(value.dtype), value)


class BeforeAttention(nn.Module):
    """Local convolution and projections of a level, before the attention.

    x (N, C, H, W) to s of the same shape, and to queries, keys and values in one tensor (N, 3 D, H, W).
    """

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.local = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.qkv = nn.Conv2d(channels, 3 * dim, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return s, and the queries, keys and values that the level contributes to the groups."""
        s = x + functional.gelu(self.local(x))
        return s, self.qkv(s)


class AfterAttention(nn.Module):
    """Projection, local convolution and MLP of a level, after the attention.

    s (N, C, H, W) and o (N, D, H, W), the output of the attention, to a map of the shape of s.
    """

    def __init__(self, channels: int, dim: int, hidden_channels: int) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.Linear(dim, channels), nn.LayerNorm(channels))
        self.local = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.mlp = nn.Sequential(
            nn.LayerNorm(channels),
            nn.Linear(channels, hidden_channels),
            nn.GELU(),
            nn.Linear(hidden_channels, channels),
        )

    def forward(self, s: Tensor, o: Tensor) -> Tensor:
        """Add the normalised projection, the local convolution and the MLP, one after the other."""
        y = s + self.project(o.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        y = y + functional.gelu(self.local(y))
        return y + self.mlp(y.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class CrossLayerAttention(nn.Module):
    """Attention of every map to all maps, within groups.

    A list of maps (N, C, r h, r w), with r in `ratios`, to the same shapes. For the letters, see groups.py.

    ratios: side of each map divided by that of the last, finest first. dim: D. hidden_channels: channels of
    the MLP's hidden layer.
    """

    def __init__(
        self,
        channels: int,
        *,
        ratios: Sequence[int],
        grouping: Grouping,
        heads: int,
        dim: int,
        hidden_channels: int,
    ) -> None:
        super().__init__()
        self.ratios, self.grouping, self.heads = tuple(ratios), grouping, heads
        windows = grouping.windows(ratios)
        self.tokens = [window**grouping.axes for window in windows]
        self.bias = PositionBias(windows, axes=grouping.axes, heads=heads)
        self.before = nn.ModuleList(BeforeAttention(channels, dim) for _ in ratios)
        self.after = nn.ModuleList(AfterAttention(channels, dim, hidden_channels) for _ in ratios)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Gather the tokens of all levels, attend, and scatter the results."""
        size = (maps[-1].shape[-2], maps[-1].shape[-1])
        kept, groups = [], []
        for before, x, ratio in zip(self.before, maps, self.ratios, strict=True):
            s, qkv = before(x)
            kept.append(s)
            groups.append(self.grouping.gather(qkv, ratio, self.heads))
        query, key, value = torch.cat(groups, dim=-2).unbind(1)
        attended = torch.split_with_sizes(attend(query, key, value, self.bias()), self.tokens, dim=-2)
        return [
            after(s, self.grouping.scatter(tokens, ratio, size))
            for after, s, tokens, ratio in zip(self.after, kept, attended, self.ratios, strict=True)
        ]
