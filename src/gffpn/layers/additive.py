"""The additive top-down pass of Lin et al., shared by FPN and PAFPN in their original form."""

from collections.abc import Callable
from itertools import pairwise

from torch import Tensor, nn

from gffpn.choice import choose
from gffpn.layers.conv import ConvBNAct, Norm
from gffpn.layers.resize import upsample_to
from gffpn.layers.start import PerLevel
from gffpn.pyramid import Levels


def biased_conv(in_channels: int, out_channels: int, kernel_size: int = 1, stride: int = 1) -> nn.Module:
    """Return a convolution with bias, without norm and activation."""
    return nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2)


def normed_conv(in_channels: int, out_channels: int, kernel_size: int = 1, stride: int = 1) -> nn.Module:
    """Return a convolution without bias, followed by BatchNorm with PyTorch's constants; no activation."""
    return ConvBNAct(
        in_channels, out_channels, kernel_size, stride, norm=nn.BatchNorm2d, activation=nn.Identity
    )


CONVS: dict[Norm, Callable[..., nn.Module]] = {"none": biased_conv, "batch": normed_conv}


class AdditiveTopDown(nn.Module):
    """Top-down pass with additive fusion.

    L_i = 1x1(C_i) + up(L_{i+1}); output_i = 3x3(L_i). All outputs have `out_channels` channels.
    """

    def __init__(self, levels: Levels, out_channels: int, *, norm: Norm) -> None:
        super().__init__()
        strides = [level.stride for level in levels]
        if not strides or any(coarse != 2 * fine for fine, coarse in pairwise(strides)):
            raise ValueError(f"in_strides: got {strides}, expected one or more, each twice the one before")
        conv = choose("norm", norm, CONVS)
        if out_channels < 1:
            raise ValueError(f"out_channels: got {out_channels!r}, expected at least 1")
        self.lateral = PerLevel(strides, (conv(level.channels, out_channels) for level in levels))
        self.output = PerLevel(strides, (conv(out_channels, out_channels, 3) for _ in levels))

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Map each C_i to an output P_i of the same size, finest first."""
        x = self.lateral[-1](features[-1])
        sums = [x]
        for i in reversed(range(len(features) - 1)):
            lateral = self.lateral[i](features[i])
            x = lateral + upsample_to(x, lateral)
            sums.insert(0, x)
        return [output(x) for output, x in zip(self.output, sums, strict=True)]
