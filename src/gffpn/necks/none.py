"""No neck: each level goes to the head on its own. This is the baseline that the necks must beat."""

from torch import Tensor, nn

from gffpn.layers.conv import ConvBNAct
from gffpn.layers.start import PerLevel, start_as_built
from gffpn.layers.widths import Width, lineage_widths
from gffpn.pyramid import Level, Levels, levels_at


class NoNeck(nn.Module):
    """Separate 1x1 convolution per level, P_i = 1x1(C_i), with norm and activation.

    Reads and outputs strides 8, 16, 32. The levels do not interact.
    width, out_channels, widen: set the widths of the outputs, see `lineage_widths`.
    Raises ValueError if a level is missing.
    """

    in_strides = (8, 16, 32)

    def __init__(
        self, in_levels: Levels, *, width: Width = "pyramid", out_channels: int, widen: float = 1.0
    ) -> None:
        super().__init__()
        levels = levels_at(in_levels, self.in_strides, reader="NoNeck")
        widths = lineage_widths(width, levels, out_channels=out_channels, widen=widen)
        self.out_levels = tuple(Level(w, level.stride) for w, level in zip(widths, levels, strict=True))
        convs = (ConvBNAct(level.channels, w) for level, w in zip(levels, widths, strict=True))
        self.convs = PerLevel(self.in_strides, convs)
        start_as_built(self)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Compute P3..P5 from C3..C5."""
        return [conv(x) for conv, x in zip(self.convs, features, strict=True)]
