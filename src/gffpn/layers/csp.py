"""Blocks of the cspdarknet lineage (YOLOv5 v6 as publicly described): bottleneck, C3, SPPF."""

import torch
from torch import Tensor, nn

from gffpn.layers.cat import cat_channels
from gffpn.layers.conv import ConvBNAct


def scaled_depth(blocks: int, depth: float) -> int:
    """Return `blocks` times the depth multiple, rounded, but at least 1."""
    if not depth > 0:
        raise ValueError(f"depth: got {depth!r}, expected a multiple > 0")
    return max(1, round(blocks * depth))


class Bottleneck(nn.Module):
    """A 1x1 convolution to `hidden_channels` and a 3x3 back to `channels`; `shortcut` adds the input."""

    def __init__(self, channels: int, hidden_channels: int, *, shortcut: bool) -> None:
        super().__init__()
        self.reduce = ConvBNAct(channels, hidden_channels)
        self.expand = ConvBNAct(hidden_channels, channels, 3)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        y: Tensor = self.expand(self.reduce(x))
        return x + y if self.shortcut else y


class C3(nn.Module):
    """Two half-width branches, one with `repeats` bottlenecks and one without, merged by a 1x1 convolution.

    Maps (N, C_in, H, W) to (N, C_out, H, W).

    The 1x1 convolutions that lead into the two branches are computed as one of their joint width: the sums
    are the same, and the map is read only once. The published cv1 and cv2 are the first and the second half
    of its weights.
    """

    def __init__(self, in_channels: int, out_channels: int, repeats: int, *, shortcut: bool = False) -> None:
        super().__init__()
        hidden_channels = out_channels // 2
        self.enter = ConvBNAct(in_channels, 2 * hidden_channels)
        self.blocks = nn.Sequential(
            *(Bottleneck(hidden_channels, hidden_channels, shortcut=shortcut) for _ in range(repeats))
        )
        self.merge = ConvBNAct(2 * hidden_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Concatenate the main and the side branch, in that order, and merge them."""
        main, side = torch.chunk(self.enter(x), 2, dim=1)
        return self.merge(cat_channels((self.blocks(main), side)))


class SPPF(nn.Module):
    """The input at half its width and three chained 5x5 max-pools of it, merged by a 1x1 convolution.

    Maps (N, C, H, W) to the same shape. The pools have windows of 5, 9 and 13 cells.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = ConvBNAct(channels, channels // 2)
        self.pool = nn.MaxPool2d(5, stride=1, padding=2)
        self.merge = ConvBNAct(4 * (channels // 2), channels)

    def forward(self, x: Tensor) -> Tensor:
        """Pool three times and merge the four maps."""
        maps = [self.reduce(x)]
        for _ in range(3):
            maps.append(self.pool(maps[-1]))
        return self.merge(cat_channels(maps))
