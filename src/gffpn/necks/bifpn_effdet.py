"""BiFPN as published.

Tan, Pang, Le: EfficientDet: Scalable and Efficient Object Detection (CVPR 2020), section 3. Equal to the
BiFPN of the effdet package, which provides the published weights (tested).

    T_i = F(fuse(p(X_i), up(T_{i+1}))), from T_max = p(X_max)
    O_i = F(fuse(p'(X_i), T_i, down(O_{i-1}))), starting with O_min = T_min; the coarsest has no T

F is SiLU, a 3x3 depthwise convolution, a 1x1 convolution and BN. `up` is nearest-neighbour upsampling, and
`down` is a 3x3 max-pool of stride 2.

Deviations: levels are resized to the size of the map with which they are fused, so any image size works; the
published network requires one fixed size. The default stops at P5, like the suite's other necks
(`extra_levels: 2` outputs P3..P7).
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from gffpn.choice import choose
from gffpn.layers.conv import silu
from gffpn.layers.extra_levels import ExtraCount
from gffpn.layers.resize import upsample_to
from gffpn.layers.start import start_each
from gffpn.pyramid import Level, Levels, levels_at

EPSILON = 1e-4
YES_OR_NO = {True: True, False: False}
EXTRA_LEVELS: dict[ExtraCount, int] = {0: 0, 1: 1, 2: 2}

down = partial(functional.max_pool2d, kernel_size=3, stride=2, padding=1)
"""(N, C, H, W) to (N, C, ceil(H / 2), ceil(W / 2))."""


def fast_shares(weights: Tensor) -> Tensor:
    """Return w / (sum w + 1e-4) with w = ReLU(weights), equation 4."""
    positive = weights.relu()
    return positive / (positive.sum() + EPSILON)


def softmax_shares(weights: Tensor) -> Tensor:
    """Return the softmax of the weights, equation 3."""
    return weights.softmax(dim=0)


Fusion = Literal["fast", "softmax", "sum"]
SHARES: dict[Fusion, Callable[[Tensor], Tensor] | None] = {
    "fast": fast_shares,
    "softmax": softmax_shares,
    "sum": None,
}


class Fuse(nn.Module):
    """Weighted sum of `count` maps (N, C, H, W): sum_k s_k x_k.

    The shares s_k are learnt and start equal; with `sum` they are 1.
    """

    def __init__(self, count: int, fusion: Fusion) -> None:
        super().__init__()
        self.shares = choose("fusion", fusion, SHARES)
        self.weights = None if self.shares is None else nn.Parameter(torch.ones(count))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Fuse maps of one shape into a new map of that shape."""
        if self.shares is not None and self.weights is not None:
            shares = self.shares(self.weights).to(maps[0].dtype)
            maps = [x * share for x, share in zip(maps, shares, strict=True)]
        return sum(maps[1:], start=maps[0])


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """Return batch normalisation with EfficientDet's constants."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def entry(in_channels: int, out_channels: int, *, bias: bool) -> nn.Module:
    """Return a 1x1 convolution with BN and no activation, or the identity if the widths are equal."""
    if in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, bias=bias), batch_norm(out_channels))


def start(conv: nn.Module) -> None:
    """Initialise a convolution with Glorot-uniform weights and zero bias; leave other modules as they are.

    The fan-out of a grouped convolution is that of one group.
    """
    if not isinstance(conv, nn.Conv2d):
        return
    fan_in = conv.weight[0].numel()
    fan_out = conv.weight[:, 0].numel() // conv.groups
    bound = math.sqrt(6 / (fan_in + fan_out))
    nn.init.uniform_(conv.weight, -bound, bound)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)


class Node(nn.Module):
    """Fusion node, F(fuse(maps)): the activation precedes the convolutions, and none follows the norm."""

    def __init__(self, count: int, channels: int, *, fusion: Fusion, separable: bool, bias: bool) -> None:
        super().__init__()
        self.fuse = Fuse(count, fusion)
        self.act = silu()
        if separable:
            convs = [
                nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
                nn.Conv2d(channels, channels, 1, bias=bias),
            ]
        else:
            convs = [nn.Conv2d(channels, channels, 3, padding=1, bias=bias)]
        self.convs = nn.Sequential(*convs, batch_norm(channels))

    def forward(self, *maps: Tensor) -> Tensor:
        """Fuse maps of one shape into one map of that shape."""
        return self.convs(self.act(self.fuse(maps)))


class Cell(nn.Module):
    """One top-down and one bottom-up pass over levels of `in_channels`, with `channels` per output level."""

    def __init__(
        self, in_channels: Sequence[int], channels: int, *, fusion: Fusion, separable: bool, bias: bool
    ) -> None:
        super().__init__()
        node = partial(Node, channels=channels, fusion=fusion, separable=separable, bias=bias)
        finer = in_channels[:-1]
        # p and p' of the equations: each pass has its own projection of an input
        self.enter_down = nn.ModuleList(entry(c, channels, bias=bias) for c in in_channels)
        self.enter_up = nn.ModuleList(entry(c, channels, bias=bias) for c in in_channels[1:])
        self.top_down = nn.ModuleList(node(2) for _ in finer)
        self.bottom_up = nn.ModuleList([*(node(3) for _ in finer[1:]), node(2)])

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Compute the O maps from the X maps, of the same sizes, finest first."""
        entered = [enter(x) for enter, x in zip(self.enter_down, features, strict=True)]
        passed = [entered[-1]]
        for fuse, x in zip(reversed(self.top_down), reversed(entered[:-1]), strict=True):
            passed.insert(0, fuse(x, upsample_to(passed[0], x)))
        outputs = [passed[0]]
        for i, (fuse, enter) in enumerate(zip(self.bottom_up, self.enter_up, strict=True), start=1):
            on_the_way = () if i == len(features) - 1 else (passed[i],)
            outputs.append(fuse(enter(features[i]), *on_the_way, down(outputs[-1])))
        return outputs


class BiFPNEffDet(nn.Module):
    """Stack of `repeats` cells with weighted sums in both directions.

    Reads strides 8, 16, 32; outputs them and `extra_levels` coarser ones, with `out_channels` channels each.
    fusion: shares in a sum: `fast`, `softmax`, or `sum` (no shares).
    extra_levels: 0, 1 or 2; made once, before the first cell, by max-pooling C5 at the neck's width.
    separable: if false, a plain 3x3 convolution replaces the separable one.
    redundant_bias: add biases before the norms, as in the weights converted from TensorFlow.
    Raises ValueError if a level is missing.
    """

    in_strides = (8, 16, 32)

    def __init__(
        self,
        in_levels: Levels,
        *,
        out_channels: int,
        repeats: int = 3,
        fusion: Fusion = "fast",
        extra_levels: ExtraCount = 0,
        separable: bool = True,
        redundant_bias: bool = False,
    ) -> None:
        super().__init__()
        for name, number in (("out_channels", out_channels), ("repeats", repeats)):
            if number < 1:
                raise ValueError(f"{name}: got {number!r}, expected at least 1")
        levels = levels_at(in_levels, self.in_strides, reader="BiFPNEffDet")
        self.extra_levels = choose("extra_levels", extra_levels, EXTRA_LEVELS)
        bias = choose("redundant_bias", redundant_bias, YES_OR_NO)
        separated = choose("separable", separable, YES_OR_NO)
        widths = [*(level.channels for level in levels), *[out_channels] * extra_levels]
        self.coarsest = entry(widths[2], out_channels, bias=bias) if extra_levels else nn.Identity()
        self.cells = nn.Sequential(
            *(
                Cell(
                    [out_channels] * len(widths) if i else widths,
                    out_channels,
                    fusion=fusion,
                    separable=separated,
                    bias=bias,
                )
                for i in range(repeats)
            )
        )
        self.out_levels = tuple(Level(out_channels, 8 * 2**i) for i in range(len(widths)))
        start_each(self, start)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Compute P3..P5, and coarser levels if any, from C3..C5."""
        maps = list(features)
        x = self.coarsest(maps[-1])
        for _ in range(self.extra_levels):
            x = down(x)
            maps.append(x)
        return self.cells(maps)
