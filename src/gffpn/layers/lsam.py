"""LSAM, the local spatial attention module.

Kang, Zhang, Ren, Cheng: A Cross-Scale Feature Fusion Method for Effectively Enhancing Small Object Detection
Performance. Information 2026, 17(1), 25. Sections 2.2.1 (text and figure 3) and 2.2.2 (parameter counts).

    X_1, X_2, X_3 = split(X) over the channels
    B_r = ReLU(pointwise(depthwise_3x3, dilation r (X_r))),  r = 1, 2, 3
    LSAM(X) = downsample_2x(cat(B_1, B_2, B_3))

Parameters: 9 C + the sum of the squared split widths, C^2 / 3 where C divides by three.

Deviations: none known. Open in the paper, hence arguments: how it downsamples, whether it normalises. Widths
that three does not divide are split with the larger parts first.
"""

import torch
from torch import Tensor, nn

from gffpn.layers.cat import cat_channels
from gffpn.layers.choice import choose
from gffpn.layers.conv import optional_norm
from gffpn.layers.precision import at_least_fp32, without_autocast

DILATIONS = (1, 2, 3)
POOLS = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d, "stride": None}


def split_in_three(channels: int) -> list[int]:
    """Three widths that sum to `channels`, larger ones first: 128 gives 43, 43, 42."""
    if channels < 3:
        raise ValueError(f"LSAM splits its channels in three, got {channels}")
    return [(channels + 2 - part) // 3 for part in range(3)]


class DilatedDepthwise(nn.Conv2d):
    """A 3x3 convolution a channel, without bias, of the rate `dilation`; on a CPU in fp32 at least.

    For bf16 there PyTorch 2.15 (oneDNN, channels last, maps of 40 cells and more) gives a dilated depthwise
    weight a gradient that is partly memory never written: other values each time, sometimes NaN.
    """

    def __init__(self, channels: int, *, stride: int, dilation: int) -> None:
        super().__init__(
            channels, channels, 3, stride, dilation, dilation=dilation, groups=channels, bias=False
        )

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, ceil(H / stride), ceil(W / stride))."""
        if input.device.type != "cpu":
            return super().forward(input)
        dtype = at_least_fp32(input)
        with without_autocast("cpu"):
            y: Tensor = self._conv_forward(input.to(dtype), self.weight.to(dtype), None)
        return y.to(input.dtype)


class LSAM(nn.Module):
    """Three dilated depthwise-separable branches on a third of the channels each, then half the size.

    (N, C, H, W) to (N, C, ceil(H / 2), ceil(W / 2)).

    downsample: `max` or `avg`, 2x2 pooling of the concatenation; `stride`, the depthwise step by 2.
    norm: `none`, or `batch` between pointwise convolution and ReLU.
    """

    def __init__(self, channels: int, *, downsample: str = "max", norm: str = "none") -> None:
        super().__init__()
        pool = choose("downsample", downsample, POOLS)
        step = 2 if pool is None else 1
        self.widths = split_in_three(channels)
        self.branches = nn.ModuleList(
            nn.Sequential(
                DilatedDepthwise(width, stride=step, dilation=rate),
                nn.Conv2d(width, width, 1, bias=False),
                optional_norm(norm, width),
                nn.ReLU(inplace=True),
            )
            for width, rate in zip(self.widths, DILATIONS, strict=True)
        )
        self.downsample = nn.Identity() if pool is None else pool(2, ceil_mode=True)

    def forward(self, x: Tensor) -> Tensor:
        """The local context of X at half its size."""
        parts = torch.split(x, self.widths, dim=1)
        joined = cat_channels([branch(part) for branch, part in zip(self.branches, parts, strict=True)])
        y: Tensor = self.downsample(joined)
        return y
