"""FPN with concatenation, as in the lineage of the paper's base detector.

Lin et al.: Feature Pyramid Networks for Object Detection (CVPR 2017), in the form that YOLOv5 calls its FPN
head.

Deviations from Lin et al.: levels are concatenated and not added, a C3 block takes the place of the 3x3
convolution, each level keeps its own width.
"""

from torch import Tensor, nn

from gffpn.layers.csp import scaled_depth
from gffpn.layers.topdown import TopDown
from gffpn.pyramid import Levels, levels_at


class FPN(nn.Module):
    """F5 = C3(C5); F4 = C3(1x1(cat(up F5, C4))); F3 = C3(1x1(cat(up F4, C3))).

    Reads and gives strides 8, 16, 32 at the widths of the inputs. depth: multiple of the three bottlenecks of
    a C3. Raises ValueError if a level is missing.
    """

    in_strides = (8, 16, 32)

    def __init__(self, in_levels: Levels, *, depth: float) -> None:
        super().__init__()
        self.out_levels = levels_at(in_levels, self.in_strides, reader="FPN")
        self._positions = [in_levels.index(level) for level in self.out_levels]
        channels = [level.channels for level in self.out_levels]
        self.top_down = TopDown(channels, [scaled_depth(3, depth)] * len(channels))

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """C3..C5 to F3..F5."""
        fused: list[Tensor] = self.top_down([features[i] for i in self._positions])
        return fused
