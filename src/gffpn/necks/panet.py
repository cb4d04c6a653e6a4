"""PANet with concatenation, as in the lineage of the paper's base detector.

Liu et al.: Path Aggregation Network for Instance Segmentation (CVPR 2018), in the form of YOLOv5's and
YOLOX's neck.

Deviations from Liu et al.: levels are concatenated and not added, C3 blocks, each level keeps its own width,
no adaptive feature pooling (that belongs to a two-stage head).
"""

import torch
from torch import Tensor, nn

from gffpn.layers.conv import ConvBNAct
from gffpn.layers.csp import C3, scaled_depth
from gffpn.layers.resize import upsample_to
from gffpn.pyramid import Levels, levels_at


class PANet(nn.Module):
    """A top-down and a bottom-up pass; the bottom-up pass meets the maps that the top-down pass sent up.

    R5 = 1x1(C5); T4 = C3(cat(up R5, C4)); R4 = 1x1(T4); P3 = C3(cat(up R4, C3));
    P4 = C3(cat(3x3 s2 (P3), R4)); P5 = C3(cat(3x3 s2 (P4), R5)).

    Reads and gives strides 8, 16, 32 at the widths of the inputs. depth: multiple of the three bottlenecks of
    a C3. Raises ValueError if a level is missing.
    """

    in_strides = (8, 16, 32)

    def __init__(self, in_levels: Levels, *, depth: float) -> None:
        super().__init__()
        self.out_levels = levels_at(in_levels, self.in_strides, reader="PANet")
        self._positions = [in_levels.index(level) for level in self.out_levels]
        c3, c4, c5 = (level.channels for level in self.out_levels)
        repeats = scaled_depth(3, depth)
        self.reduce5 = ConvBNAct(c5, c4)
        self.top_down4 = C3(2 * c4, c4, repeats)
        self.reduce4 = ConvBNAct(c4, c3)
        self.top_down3 = C3(2 * c3, c3, repeats)
        self.down3 = ConvBNAct(c3, c3, 3, 2)
        self.bottom_up4 = C3(2 * c3, c4, repeats)
        self.down4 = ConvBNAct(c4, c4, 3, 2)
        self.bottom_up5 = C3(2 * c4, c5, repeats)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """C3..C5 to P3..P5."""
        c3, c4, c5 = (features[i] for i in self._positions)
        r5 = self.reduce5(c5)
        r4 = self.reduce4(self.top_down4(torch.cat((upsample_to(r5, c4), c4), dim=1)))
        p3 = self.top_down3(torch.cat((upsample_to(r4, c3), c3), dim=1))
        p4 = self.bottom_up4(torch.cat((self.down3(p3), r4), dim=1))
        p5 = self.bottom_up5(torch.cat((self.down4(p4), r5), dim=1))
        return [p3, p4, p5]
