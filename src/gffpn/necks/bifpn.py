"""BiFPN in the cspdarknet lineage: BiFPN's weighted sums in the structure of PANet.

Tan, Pang, Le: EfficientDet: Scalable and Efficient Object Detection (CVPR 2020), section 3, in the form used
by detectors of the YOLOv5 lineage and counted in the BiFPN row of the GF-FPN paper's Table 5 (46.8 M
parameters).

Deviations from Tan et al. (`bifpn_effdet` has none of them): PANet's C3 blocks and reductions replace the
separable convolutions; the passes are not repeated; SiLU and a biased 1x1 convolution follow each sum; the
weights have no ReLU; each level keeps its own width.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from gffpn.layers.conv import ConvBNAct, silu
from gffpn.layers.csp import C3
from gffpn.layers.lineage import C2Use, bottlenecks, use_of_c2
from gffpn.layers.resize import upsample_to
from gffpn.layers.start import PerLevel, start_as_built
from gffpn.layers.widths import Width, lineage_widths
from gffpn.pyramid import Level, Levels, levels_at

EPSILON = 1e-4


class WeightedSum(nn.Module):
    """Weighted mean of `count` maps (N, C, H, W), followed by SiLU and a 1x1 convolution.

    1x1(SiLU(sum_k w_k x_k / (sum_k w_k + 1e-4))), where each w_k starts at 1.
    """

    def __init__(self, count: int, channels: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.ones(count))
        self.act = silu()
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Fuse maps of one shape into one map of that shape."""
        shares = (self.weights / (self.weights.sum() + EPSILON)).to(maps[0].dtype)
        total = maps[0] * shares[0]
        for share, x in zip(shares[1:], maps[1:], strict=True):
            total = total + share * x
        return self.conv(self.act(total))


class BiFPN(nn.Module):
    """A top-down and a bottom-up pass of weighted sums; the bottom-up pass fuses the inputs once more.

    R5 = 1x1(C5); T4 = C3(fuse(up R5, C4)); R4 = 1x1(T4); P3 = C3(fuse(up R4, C3));
    P4 = C3(fuse(3x3 s2 (P3), T4, C4)); P5 = C3(fuse(3x3 s2 (P4), R5)).

    depth: multiplier of the three bottlenecks in each C3.
    width, out_channels, widen: set the widths of the outputs, see `lineage_widths`; an input of a different
    width goes through a 1x1 convolution first.
    c2: `unused`; otherwise the passes go one level further, to a P2 with one bottleneck, which is `merged`
    (only P3 and coarser levels are output) or `given` (it is output as well).
    Raises ValueError if a level is missing.
    """

    def __init__(
        self,
        in_levels: Levels,
        *,
        depth: float,
        width: Width = "pyramid",
        out_channels: int,
        widen: float = 1.0,
        c2: C2Use = "unused",
    ) -> None:
        super().__init__()
        self.in_strides, self._first_given = use_of_c2(c2)
        levels = levels_at(in_levels, self.in_strides, reader="BiFPN")
        widths = lineage_widths(width, levels, out_channels=out_channels, widen=widen)
        out_levels = [Level(w, level.stride) for w, level in zip(widths, levels, strict=True)]
        self.out_levels = tuple(out_levels[self._first_given :])
        finer, coarser = self.in_strides[:-1], self.in_strides[1:]
        self.enter = PerLevel(
            self.in_strides,
            (
                nn.Identity() if level.channels == w else ConvBNAct(level.channels, w)
                for w, level in zip(widths, levels, strict=True)
            ),
        )
        repeats = [bottlenecks(level, depth) for level in levels]
        *inner, last = pairwise(widths)
        self.reduce = PerLevel(finer, (ConvBNAct(above, w) for w, above in pairwise(widths)))
        self.fuse_down = PerLevel(finer, (WeightedSum(2, w) for w in widths[:-1]))
        self.top_down = PerLevel(finer, (C3(w, w, n) for w, n in zip(widths[:-1], repeats[:-1], strict=True)))
        # the coarsest level is fused with R, which has the next finer level's width; the others are fused
        # with T and C, which have the level's own width
        down = [*inner, (last[0], last[0])]
        self.down = PerLevel(coarser, (ConvBNAct(below, w, 3, 2) for below, w in down))
        self.fuse_up = PerLevel(coarser, [*(WeightedSum(3, w) for _, w in inner), WeightedSum(2, last[0])])
        self.bottom_up = PerLevel(
            coarser,
            (C3(met, w, n) for (_, met), w, n in zip(down, widths[1:], repeats[1:], strict=True)),
        )
        start_as_built(self)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Compute P3..P5 from C3..C5, or P2..P5 from C2..C5 with `c2` set to `given`."""
        maps = [enter(x) for enter, x in zip(self.enter, features, strict=True)]
        x = maps[-1]
        sent: list[Tensor] = []
        passed = [x]
        for i in reversed(range(len(self.reduce))):
            sent.insert(0, self.reduce[i](x))
            x = self.top_down[i](self.fuse_down[i]((upsample_to(sent[0], maps[i]), maps[i])))
            passed.insert(0, x)
        outputs = [x]
        for i, down in enumerate(self.down):
            brought = down(outputs[-1])
            met = (sent[-1],) if i == len(self.down) - 1 else (passed[i + 1], maps[i + 1])
            outputs.append(self.bottom_up[i](self.fuse_up[i]((brought, *met))))
        return outputs[self._first_given :]
