"""What the necks of the cspdarknet lineage share: their levels, and the top-down pass of FPN and GF-FPN."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from gffpn.layers.choice import choose
from gffpn.layers.conv import ConvBNAct
from gffpn.layers.csp import C3, scaled_depth
from gffpn.layers.resize import upsample_to
from gffpn.pyramid import Level

FINEST_STRIDE = 4
# c2: strides that are read, and the first of these levels that is given
C2_USES = {"unused": ((8, 16, 32), 0), "merged": ((4, 8, 16, 32), 1), "given": ((4, 8, 16, 32), 0)}


def use_of_c2(c2: str) -> tuple[tuple[int, ...], int]:
    """Strides of the inputs, and how many of the finest are not given, by what becomes of C2."""
    return choose("c2", c2, C2_USES)


def bottlenecks(level: Level, depth: float) -> int:
    """Of the C3 block at a level: three times the depth multiple, one at stride 4."""
    return scaled_depth(1 if level.stride == FINEST_STRIDE else 3, depth)


class TopDown(nn.Module):
    """F_last = C3(C_last); F_i = C3(1x1(cat(up F_{i+1}, C_i))).

    Lists are finest first, with one entry a level: widths of the inputs and of the outputs, numbers of
    bottlenecks.
    """

    def __init__(self, in_channels: Sequence[int], widths: Sequence[int], repeats: Sequence[int]) -> None:
        super().__init__()
        self.reduce = nn.ModuleList(
            ConvBNAct(coarser + own, width)
            for own, (width, coarser) in zip(in_channels[:-1], pairwise(widths), strict=True)
        )
        into = [*widths[:-1], in_channels[-1]]
        self.fuse = nn.ModuleList(
            C3(given, width, n) for given, width, n in zip(into, widths, repeats, strict=True)
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """C maps to F maps of the same sizes."""
        fused = [self.fuse[-1](features[-1])]
        for i in reversed(range(len(self.reduce))):
            lateral = features[i]
            joined = torch.cat((upsample_to(fused[0], lateral), lateral), dim=1)
            fused.insert(0, self.fuse[i](self.reduce[i](joined)))
        return fused
