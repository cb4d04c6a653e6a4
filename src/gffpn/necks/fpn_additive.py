"""FPN as published.

Lin et al.: Feature Pyramid Networks for Object Detection (CVPR 2017), section 3. Equal to
`torchvision.ops.FeaturePyramidNetwork` (tested) and, except for the initial weights, to mmdetection's FPN.

Deviations: none known.
"""

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from gffpn.layers.additive import AdditiveTopDown
from gffpn.layers.conv import Norm
from gffpn.layers.extra_levels import Extra, ExtraCount, ExtraLevels
from gffpn.layers.start import start_convolutions
from gffpn.pyramid import Level, Levels, levels_at


class FPNAdditive(nn.Module):
    """FPN with addition: L_i = 1x1(C_i) + up L_{i+1}; P_i = 3x3(L_i).

    Reads `in_strides`; outputs them and `extra_levels` coarser ones, with `out_channels` channels each.
    norm: `none`, convolutions with bias; `batch`, BatchNorm instead of the bias. Neither has an activation.
    extra: `pool`, `output` or `input`, with a ReLU before P7; see ExtraLevels.
    Raises ValueError if a level is missing.
    """

    def __init__(
        self,
        in_levels: Levels,
        *,
        out_channels: int,
        in_strides: Sequence[int] = (8, 16, 32),
        norm: Norm = "none",
        extra_levels: ExtraCount = 0,
        extra: Extra = "pool",
    ) -> None:
        super().__init__()
        self.in_strides = tuple(in_strides)
        levels = levels_at(in_levels, self.in_strides, reader="FPNAdditive")
        self.top_down = AdditiveTopDown(levels, out_channels, norm=norm)
        own = tuple(Level(out_channels, stride) for stride in self.in_strides)
        self.extra = ExtraLevels(extra_levels, extra, source=levels[-1], out_levels=own, relu=True)
        self.out_levels = self.extra.out_levels
        start_convolutions(self, partial(nn.init.kaiming_uniform_, a=1))

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Compute the P maps from the C maps, finest first."""
        return self.extra(self.top_down(features), features[-1])
