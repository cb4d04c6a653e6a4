"""LSAM, the local spatial attention module.

Kang, Zhang, Ren, Cheng: A Cross-Scale Feature Fusion Method for Effectively Enhancing Small Object Detection
Performance. Information 2026, 17(1), 25. Sections 2.2.1 (text and figure 3) and 2.2.2 (parameter counts).

    X_1, X_2, X_3 = split(X) over the channels
    B_r = ReLU(pointwise(depthwise_3x3, dilation r (X_r))),  r = 1, 2, 3
    LSAM(X) = downsample_2x(cat(B_1, B_2, B_3))

Parameters: 9 C + the sum of the squared split widths, which is C^2 / 3 if C is divisible by three.

Deviations: none known. The paper leaves open how the module downsamples and whether it normalises; both are
arguments. Widths that are not divisible by three are split with the larger parts first.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from gffpn.choice import choose
from gffpn.layers.cat import cat_channels
from gffpn.layers.conv import Norm, optional_norm

DILATIONS = (1, 2, 3)
Downsample = Literal["max", "avg", "stride"]
POOLS: dict[Downsample, Callable[..., nn.Module] | None] = {
    "max": nn.MaxPool2d,
    "avg": nn.AvgPool2d,
    "stride": None,
}


def split_in_three(channels: int) -> list[int]:
    """Return three widths that sum to `channels`, larger ones first: 43, 43, 42 for 128.

    Raises ValueError if there are fewer than three channels.
    """
    if channels < 3:
        raise ValueError(f"LSAM splits its channels into three parts and needs at least 3, got {channels}")
    return [(channels + 2 - part) // 3 for part in range(3)]


class DilatedDepthwise(nn.Conv2d):
    """Depthwise 3x3 convolution without bias, dilated by the rate `dilation`.

    For training on a CPU, it is computed in phases: the cells whose row and column leave the same remainders
    modulo the rate form a separate map, to which an ordinary convolution is applied. This gives the
    same sum and is two to three times faster. It also avoids a fault of PyTorch 2.15 in bf16 (oneDNN,
    channels last, maps of 40 cells and more): the gradient of a dilated depthwise weight is partly
    uninitialised memory, with different values each time, sometimes NaN.
    """

    def __init__(self, channels: int, *, stride: int, dilation: int) -> None:
        super().__init__(
            channels, channels, 3, stride, dilation, dilation=dilation, groups=channels, bias=False
        )

    def forward(self, input: Tensor) -> Tensor:
        """Convolve (N, C, H, W) to (N, C, ceil(H / stride), ceil(W / stride))."""
        rate, step = self.dilation[0], self.stride[0]
        if input.device.type != "cpu" or not torch.is_grad_enabled() or rate == 1:
            return super().forward(input)
        height, width = input.shape[-2:]
        fits = height % rate == width % rate == 0
        x = input if fits else functional.pad(input, (0, -width % rate, 0, -height % rate))
        maps = functional.conv2d(to_phases(x, rate), self.weight, padding=1, groups=self.groups)
        y = from_phases(maps, rate)
        return y if fits and step == 1 else y[..., :height:step, :width:step]


def to_phases(x: Tensor, rate: int) -> Tensor:
    """Split (N, C, H, W) into a map for each pair of remainders of row and column.

    The result is (rate^2 N, C, H / rate, W / rate).
    """
    images, channels, height, width = x.shape
    rows, columns = height // rate, width // rate
    cells = x.permute(0, 2, 3, 1).reshape(images, rows, rate, columns, rate, channels)
    maps = cells.permute(2, 4, 0, 1, 3, 5).reshape(rate * rate * images, rows, columns, channels)
    return maps.permute(0, 3, 1, 2)


def from_phases(x: Tensor, rate: int) -> Tensor:
    """Join the maps again: the inverse of `to_phases`."""
    maps, channels, rows, columns = x.shape
    images = maps // rate**2
    cells = x.permute(0, 2, 3, 1).reshape(rate, rate, images, rows, columns, channels)
    whole = cells.permute(2, 3, 0, 4, 1, 5).reshape(images, rows * rate, columns * rate, channels)
    return whole.permute(0, 3, 1, 2)


class LSAM(nn.Module):
    """Three dilated depthwise-separable branches on a third of the channels each, then downsampling by 2.

    (N, C, H, W) to (N, C, ceil(H / 2), ceil(W / 2)).

    downsample: `max` or `avg`, 2x2 pooling of the concatenation; `stride`, depthwise stride of 2.
    norm: `none`, or `batch`, BatchNorm between pointwise convolution and ReLU.
    """

    def __init__(self, channels: int, *, downsample: Downsample, norm: Norm) -> None:
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
        """Return the local context of X at half its size."""
        parts = torch.split(x, self.widths, dim=1)
        joined = cat_channels([branch(part) for branch, part in zip(self.branches, parts, strict=True)])
        return self.downsample(joined)
