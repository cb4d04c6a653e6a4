"""PAFPN, the additive path aggregation network, in mmdetection's form.

Liu et al.: Path Aggregation Network for Instance Segmentation (CVPR 2018), section 3.1, figure 1b.

Deviations from Liu et al.: as in mmdetection, a level is passed upwards before its last convolution, whereas
the paper passes it upwards after it; no adaptive feature pooling (which belongs to a two-stage head).
"""

from collections.abc import Sequence

from torch import Tensor, nn

from gffpn.layers.additive import CONVS, AdditiveTopDown
from gffpn.layers.conv import Norm
from gffpn.layers.extra_levels import Extra, ExtraCount, ExtraLevels
from gffpn.layers.start import PerLevel, start_convolutions
from gffpn.pyramid import Level, Levels, levels_at


class PAFPNAdditive(nn.Module):
    """Additive FPN with outputs O_i, followed by a bottom-up pass.

    O_{i+1} += 3x3 s2 (O_i), from fine to coarse; then P_i = 3x3(O_i), except P_0 = O_0.

    Reads `in_strides`; outputs them and `extra_levels` coarser ones, with `out_channels` channels each.
    norm: `none`, convolutions with bias; `batch`, BatchNorm instead of the bias. Neither has an activation.
    extra: `pool`, `output` or `input`; see ExtraLevels.
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
        levels = levels_at(in_levels, self.in_strides, reader="PAFPNAdditive")
        self.top_down = AdditiveTopDown(levels, out_channels, norm=norm)
        above = self.in_strides[1:]
        self.down = PerLevel(above, (CONVS[norm](out_channels, out_channels, 3, 2) for _ in above))
        self.output = PerLevel(above, (CONVS[norm](out_channels, out_channels, 3) for _ in above))
        own = tuple(Level(out_channels, stride) for stride in self.in_strides)
        self.extra = ExtraLevels(extra_levels, extra, source=levels[-1], out_levels=own, relu=False)
        self.out_levels = self.extra.out_levels
        start_convolutions(self, nn.init.xavier_uniform_)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Compute the P maps from the C maps, finest first."""
        x, *coarser = self.top_down(features)
        outputs = [x]
        for down, output, y in zip(self.down, self.output, coarser, strict=True):
            x = y + down(x)
            outputs.append(output(x))
        return self.extra(outputs, features[-1])
