"""CFPT, the cross-layer feature pyramid transformer.

Du et al.: Cross-Layer Feature Pyramid Transformer for Small Object Detection in Aerial Images (IEEE TGRS
2025), as the reference implementation computes it.

    X_3, X_4, X_5 = ReLU(BN(1x1(C_i)));  X_6 = ReLU(BN(3x3 stride 2 (C5)))
    P_i = X_i + CSA(CCA(X))_i, i = 3..6;  P_7 = ReLU(BN(3x3 stride 2 (P_6)))

CCA attends over channels, CSA over space, both across the four levels; no feature is upsampled.

Deviations: the parameters of the reference that cannot affect the output are left out (see attention.py). The
level of stride 4, which the reference accepts and ignores, is not an input.
"""

from torch import Tensor, nn

from gffpn.layers.conv import ConvBNAct, relu
from gffpn.layers.start import start_as_built
from gffpn.necks.cfpt.attention import CrossLayerAttention
from gffpn.necks.cfpt.groups import ChannelGroups, Grouping, SpatialGroups
from gffpn.pyramid import Level, Levels, levels_at


def conv(in_channels: int, out_channels: int, kernel_size: int = 1, stride: int = 1) -> ConvBNAct:
    """Return ReLU(BN(conv)), with PyTorch's constants for BN."""
    return ConvBNAct(in_channels, out_channels, kernel_size, stride, norm=nn.BatchNorm2d, activation=relu)


class CFPT(nn.Module):
    """Pyramid in which every level attends to all levels, first over channels, then over space.

    Reads strides 8, 16, 32; outputs strides 8, 16, 32, 64, 128 with `out_channels` channels each. Raises
    ValueError if a level is missing, or if the sides of an image are not multiples of 64.

    heads: number of attention heads. reduction: the attention works on out_channels / reduction channels,
    divided evenly among the heads. mlp_ratio: hidden channels of the MLP, as a multiple of out_channels,
    rounded down.
    """

    in_strides = (8, 16, 32)
    size_multiple = 64
    ratios = (8, 4, 2, 1)
    """Sides of X_3..X_6 divided by that of X_6."""

    def __init__(
        self,
        in_levels: Levels,
        *,
        out_channels: int,
        heads: int = 4,
        reduction: int = 4,
        mlp_ratio: float = 2,
    ) -> None:
        super().__init__()
        levels = levels_at(in_levels, self.in_strides, reader="CFPT")
        self.out_levels = tuple(Level(out_channels, stride) for stride in (8, 16, 32, 64, 128))
        check_widths(out_channels, heads=heads, reduction=reduction, mlp_ratio=mlp_ratio)

        def attention(grouping: Grouping) -> CrossLayerAttention:
            return CrossLayerAttention(
                out_channels,
                ratios=self.ratios,
                grouping=grouping,
                heads=heads,
                dim=out_channels // reduction,
                hidden_channels=max(1, int(mlp_ratio * out_channels)),
            )

        self.enter = nn.ModuleList(conv(level.channels, out_channels) for level in levels)
        self.enter6 = conv(levels[-1].channels, out_channels, 3, 2)
        self.channel_attention = attention(ChannelGroups())
        self.spatial_attention = attention(SpatialGroups())
        self.down6 = conv(out_channels, out_channels, 3, 2)
        start_as_built(self)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Compute P3..P7 from C3..C5."""
        self.check_sizes(features)
        x = [enter(level) for enter, level in zip(self.enter, features, strict=True)]
        x.append(self.enter6(features[-1]))
        attended = self.spatial_attention(self.channel_attention(x))
        p = [own + other for own, other in zip(x, attended, strict=True)]
        return [*p, self.down6(p[-1])]

    def check_sizes(self, features: list[Tensor]) -> None:
        """Raise ValueError unless the sides of C3..C5 are 8, 4 and 2 times those of a map of stride 64."""
        got = [tuple(feature.shape[-2:]) for feature in features]
        height, width = (side // self.ratios[0] for side in got[0])
        if got != [(ratio * height, ratio * width) for ratio in self.ratios[:-1]] or 0 in (height, width):
            raise ValueError(
                f"CFPT: got maps of {got} cells at strides {list(self.in_strides)}, expected those of "
                f"an image whose sides are multiples of {self.size_multiple}"
            )


def check_widths(out_channels: int, *, heads: int, reduction: int, mlp_ratio: float) -> None:
    """Raise ValueError unless the channels can be reduced and divided evenly among the heads."""
    for name, value in (("heads", heads), ("reduction", reduction)):
        if value < 1:
            raise ValueError(f"{name}: got {value!r}, expected at least 1")
    if not mlp_ratio > 0:
        raise ValueError(f"mlp_ratio: got {mlp_ratio!r}, expected a multiple > 0")
    if out_channels < 1 or out_channels % (heads * reduction):
        raise ValueError(
            f"out_channels: got {out_channels!r}, expected a multiple of reduction x heads, "
            f"{reduction} x {heads}"
        )
