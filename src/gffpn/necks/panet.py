"""PANet with concatenation, as in the lineage of the paper's base detector.

Liu et al.: Path Aggregation Network for Instance Segmentation (CVPR 2018), in the form of YOLOv5's and
YOLOX's neck.

Deviations from Liu et al. (`pafpn_additive` is closer): levels are concatenated instead of added; C3 blocks
are used; each level keeps its own width; no adaptive feature pooling (which belongs to a two-stage head).
"""

from itertools import pairwise

from torch import Tensor, nn

from gffpn.layers.cat import cat_channels
from gffpn.layers.conv import ConvBNAct
from gffpn.layers.csp import C3
from gffpn.layers.lineage import C2Use, bottlenecks, use_of_c2
from gffpn.layers.resize import upsample_to
from gffpn.layers.start import PerLevel, start_as_built
from gffpn.layers.widths import Width, lineage_widths
from gffpn.pyramid import Level, Levels, levels_at


class PANet(nn.Module):
    """A top-down and a bottom-up pass; the latter reuses the maps R that the former upsampled.

    R5 = 1x1(C5); T4 = C3(cat(up R5, C4)); R4 = 1x1(T4); P3 = C3(cat(up R4, C3));
    P4 = C3(cat(3x3 s2 (P3), R4)); P5 = C3(cat(3x3 s2 (P4), R5)).

    depth: multiplier of the three bottlenecks in each C3.
    width, out_channels, widen: set the widths of the outputs, see `lineage_widths`.
    c2: `unused`, reads and outputs strides 8, 16, 32; otherwise the passes go one level further, to a P2 with
    one bottleneck, which is `merged` (only P3 and coarser levels are output) or `given` (it is output too).
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
        levels = levels_at(in_levels, self.in_strides, reader="PANet")
        widths = lineage_widths(width, levels, out_channels=out_channels, widen=widen)
        out_levels = [Level(w, level.stride) for w, level in zip(widths, levels, strict=True)]
        self.out_levels = tuple(out_levels[self._first_given :])
        repeats = [bottlenecks(level, depth) for level in levels]
        sent_up = [*widths[1:-1], levels[-1].channels]
        finer, coarser = self.in_strides[:-1], self.in_strides[1:]
        self.reduce = PerLevel(
            finer, (ConvBNAct(sent, w) for sent, w in zip(sent_up, widths[:-1], strict=True))
        )
        self.top_down = PerLevel(
            finer,
            (
                C3(w + level.channels, w, n)
                for w, level, n in zip(widths[:-1], levels[:-1], repeats[:-1], strict=True)
            ),
        )
        self.down = PerLevel(coarser, (ConvBNAct(w, w, 3, 2) for w in widths[:-1]))
        self.bottom_up = PerLevel(
            coarser,
            (C3(2 * below, w, n) for (below, w), n in zip(pairwise(widths), repeats[1:], strict=True)),
        )
        start_as_built(self)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Compute P3..P5 from C3..C5, or P2..P5 from C2..C5 with `c2` set to `given`."""
        x = features[-1]
        reduced: list[Tensor] = []
        for i in reversed(range(len(self.reduce))):
            reduced.insert(0, self.reduce[i](x))
            x = self.top_down[i](cat_channels((upsample_to(reduced[0], features[i]), features[i])))
        outputs = [x]
        for down, bottom_up, lateral in zip(self.down, self.bottom_up, reduced, strict=True):
            outputs.append(bottom_up(cat_channels((down(outputs[-1]), lateral))))
        return outputs[self._first_given :]
