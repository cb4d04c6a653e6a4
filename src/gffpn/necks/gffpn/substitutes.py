"""Substitutes for LPAM's two parts, to test whether it matters that they are LSAM and FCCFM.

Hu, Shen, Sun: Squeeze-and-Excitation Networks (CVPR 2018). Woo, Park, Lee, Kweon: CBAM: Convolutional Block
Attention Module (ECCV 2018). Both as implemented in torchvision and timm, with their reduction of
16.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Literal

from torch import nn
from torchvision.ops import SqueezeExcitation

from gffpn.layers.conv import Norm, optional_norm, relu

REDUCTION = 16


def strided_conv(channels: int, *, norm: Norm) -> nn.Module:
    """Return the substitute for LSAM: ReLU(3x3 of stride 2).

    (N, C, H, W) to (N, C, ceil(H / 2), ceil(W / 2)).
    """
    conv = nn.Conv2d(channels, channels, 3, 2, 1, bias=False)
    return nn.Sequential(conv, optional_norm(norm, channels), relu())


def squeeze_excitation(channels: int) -> nn.Module:
    """Return SE, which multiplies each channel by sigmoid(W_2 relu(W_1 mean))."""
    return SqueezeExcitation(channels, squeezed(channels))


def cbam(channels: int) -> nn.Module:
    """Return CBAM: a gate per channel from its mean and max, then a gate per cell from a 7x7 over both."""
    from timm.layers.cbam import CbamModule  # takes a second to import and is rarely needed

    return CbamModule(channels, rd_channels=squeezed(channels))


def no_gate(channels: int) -> nn.Module:
    """Return the identity, for no attention."""
    return nn.Identity()


def squeezed(channels: int) -> int:
    """Return the width of the bottleneck, at least 4 channels for narrow maps."""
    return max(4, channels // REDUCTION)


ChannelGate = Literal["se", "cbam", "none"]
CHANNEL_GATES: dict[ChannelGate, Callable[[int], nn.Module]] = {
    "se": squeeze_excitation,
    "cbam": cbam,
    "none": no_gate,
}


def reweighted(
    gate: Callable[[int], nn.Module], in_channels: int, out_channels: int, *, norm: Norm
) -> nn.Module:
    """Return the substitute for FCCFM: the gate, then FCCFM's 1x1.

    (N, C_in, H, W) to (N, C_out, H, W).
    """
    # the name of FCCFM's 1x1, so that both start equal
    return nn.Sequential(
        OrderedDict(
            gate=gate(in_channels),
            project=nn.Conv2d(in_channels, out_channels, 1, bias=False),
            norm=optional_norm(norm, out_channels),
        )
    )
