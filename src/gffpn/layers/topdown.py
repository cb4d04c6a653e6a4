"""The top-down pass that FPN and GF-FPN share: upsample, concatenate, reduce, C3."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from gffpn.layers.conv import ConvBNAct
from gffpn.layers.csp import C3
from gffpn.layers.resize import upsample_to


class TopDown(nn.Module):
    """F_last = C3(C_last); F_i = C3(1x1(cat(up F_{i+1}, C_i))). Widths are those of the inputs.

    Lists are finest first; `channels` and the numbers of bottlenecks `repeats` have one entry a level.
    """

    def __init__(self, channels: Sequence[int], repeats: Sequence[int]) -> None:
        super().__init__()
        self.reduce = nn.ModuleList(ConvBNAct(coarse + fine, fine) for fine, coarse in pairwise(channels))
        self.fuse = nn.ModuleList(C3(width, width, n) for width, n in zip(channels, repeats, strict=True))

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """C maps to F maps of the same shapes."""
        fused = [self.fuse[-1](features[-1])]
        for i in reversed(range(len(self.reduce))):
            lateral = features[i]
            joined = torch.cat((upsample_to(fused[0], lateral), lateral), dim=1)
            fused.insert(0, self.fuse[i](self.reduce[i](joined)))
        return fused
