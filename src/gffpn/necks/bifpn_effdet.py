"""BiFPN as it was published.

Tan, Pang, Le: EfficientDet: Scalable and Efficient Object Detection (CVPR 2020), section 3. Equal to the
BiFPN of the package effdet, which has the published weights (tested).

    T_i = F(fuse(p(X_i), up(T_{i+1}))), from T_max = p(X_max)
    O_i = F(fuse(p'(X_i), T_i, down(O_{i-1}))), from O_min = T_min; the coarsest without T

F is SiLU, a 3x3 convolution a channel, a 1x1, BN. `up` is nearest; `down` a 3x3 max-pool of stride 2.

Deviations: levels are resized to the size of the map that they meet, so every image size works; the published
network is bound to one size. The default stops at P5, where the suite's other necks stop (`extra_levels: 2`
gives P3..P7).
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
from gffpn.pyramid import Level, Levels, levels_at

EPSILON = 1e-4
YES_OR_NO = {True: True, False: False}
EXTRA_LEVELS: dict[ExtraCount, int] = {0: 0, 1: 1, 2: 2}

down = partial(functional.max_pool2d, kernel_size=3, stride=2, padding=1)
"""(N, C, H, W) to (N, C, ceil(H / 2), ceil(W / 2))."""


def fast_shares(weights: Tensor) -> Tensor:
    """w / (sum w + 1e-4) of w = ReLU(weights): equation 4."""
    positive = weights.relu()
    return positive / (positive.sum() + EPSILON)


def softmax_shares(weights: Tensor) -> Tensor:
    """The softmax of the weights: equation 3."""
    return weights.softmax(dim=0)


Fusion = Literal["fast", "softmax", "sum"]
SHARES: dict[Fusion, Callable[[Tensor], Tensor] | None] = {
    "fast": fast_shares,
    "softmax": softmax_shares,
    "sum": None,
}


class Fuse(nn.Module):
    """sum_k s_k x_k of `count` maps (N, C, H, W); the s_k are learnt and start equal, or are 1 with `sum`."""

    def __init__(self, count: int, fusion: Fusion) -> None:
        super().__init__()
        self.shares = choose("fusion", fusion, SHARES)
        self.weights = None if self.shares is None else nn.Parameter(torch.ones(count))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps of one shape to a new one of that shape."""
        if self.shares is not None and self.weights is not None:
            shares = self.shares(self.weights).to(maps[0].dtype)
            maps = [x * share for x, share in zip(maps, shares, strict=True)]
        return sum(maps[1:], start=maps[0])


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """Batch normalisation with EfficientDet's constants."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def entry(in_channels: int, out_channels: int, *, bias: bool) -> nn.Module:
    """1x1 and BN, no activation, to `out_channels`; nothing where the map is that wide already."""
    if in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, bias=bias), batch_norm(out_channels))


def start(conv: nn.Conv2d) -> None:
    """Glorot-uniform weights, zero bias. A grouped convolution fans out within its group."""
    fan_in = conv.weight[0].numel()
    fan_out = conv.weight[:, 0].numel() // conv.groups
    bound = math.sqrt(6 / (fan_in + fan_out))
    nn.init.uniform_(conv.weight, -bound, bound)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)


class Node(nn.Module):
    """F(fuse(maps)): the activation comes before the convolutions, and none after the norm."""

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
        """Maps of one shape to one of that shape."""
        return self.convs(self.act(self.fuse(maps)))


class Cell(nn.Module):
    """One top-down and one bottom-up pass over levels of `in_channels`, to `channels` a level."""

    def __init__(
        self, in_channels: Sequence[int], channels: int, *, fusion: Fusion, separable: bool, bias: bool
    ) -> None:
        super().__init__()
        node = partial(Node, channels=channels, fusion=fusion, separable=separable, bias=bias)
        finer = in_channels[:-1]
        # p and p' of the equations: each pass has its own view of an input
        self.enter_down = nn.ModuleList(entry(c, channels, bias=bias) for c in in_channels)
        self.enter_up = nn.ModuleList(entry(c, channels, bias=bias) for c in in_channels[1:])
        self.top_down = nn.ModuleList(node(2) for _ in finer)
        self.bottom_up = nn.ModuleList([*(node(3) for _ in finer[1:]), node(2)])

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """X maps to O maps of the same sizes, finest first."""
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
    """`repeats` cells of weighted sums in both directions.

    Reads strides 8, 16, 32; gives them, and `extra_levels` coarser ones, `out_channels` wide.
    fusion: the shares of a sum: `fast`, `softmax`, or `sum` (no shares).
    extra_levels: 0, 1 or 2, made once by max-pooling C5 at the neck's width, before the first cell.
    separable: false, a plain 3x3 convolution in place of the separable one.
    redundant_bias: biases before the norms, as in the weights that came from TensorFlow.
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
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                start(part)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """C3..C5 to P3..P5, or further."""
        maps = list(features)
        x = self.coarsest(maps[-1])
        for _ in range(self.extra_levels):
            x = down(x)
            maps.append(x)
        return self.cells(maps)
