"""Spatial dependency perception: each cell of a map looks at the coarser map around it.

Shi et al.: HS-FPN: High Frequency and Spatial Perception FPN for Tiny Object Detection (AAAI 2025), the
module SDP, as the reference implementation computes it.

    q = GN32(ReLU(conv1x1(low))), k = GN32(ReLU(conv1x1(up high))), v = k
    SDP = low + softmax(q k^T / sqrt C) v, inside windows that do not overlap

Deviations: none. One head, no projection of the values and none of the output.
"""

from torch import Tensor, nn
from torch.nn import functional

from gffpn.layers.resize import upsample_to
from gffpn.necks.hsfpn.high_frequency import GROUPS


def to_windows(x: Tensor, window: tuple[int, int]) -> Tensor:
    """x (N, C, H, W) to (N, windows, cells of a window, C), windows and cells row by row."""
    (rows, columns), (images, channels, height, width) = window, x.shape
    cut = x.view(images, channels, height // rows, rows, width // columns, columns)
    return cut.permute(0, 2, 4, 3, 5, 1).reshape(images, -1, rows * columns, channels)


def from_windows(windows: Tensor, window: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """The inverse of `to_windows`: (N, C, H, W) with (H, W) = `size`, channels last in memory."""
    (rows, columns), (height, width) = window, size
    images, channels = windows.shape[0], windows.shape[-1]
    cut = windows.reshape(images, height // rows, width // columns, rows, columns, channels)
    return cut.transpose(2, 3).reshape(images, height, width, channels).permute(0, 3, 1, 2)


class Normed1x1(nn.Module):
    """GN32(ReLU(conv1x1(x))), no bias: (N, C, H, W) to the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm = nn.GroupNorm(GROUPS, channels)

    def forward(self, x: Tensor) -> Tensor:
        """The norm comes after the activation."""
        return self.norm(self.conv(x).relu())


class SpatialDependencyPerception(nn.Module):
    """low (N, C, H, W) and high (N, C, H / 2, W / 2) to low's shape; C a multiple of 32.

    H and W are multiples of the window's sides.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = Normed1x1(channels)
        self.key = Normed1x1(channels)
        self.resizes_first = True

    def forward(self, low: Tensor, high: Tensor, window: tuple[int, int]) -> Tensor:
        """`window`: rows and columns, in cells of `low`."""
        query = to_windows(self.query(low), window)
        if self.resizes_first:
            key = to_windows(self.key(upsample_to(high, low)), window)
        else:
            key = self.distinct_keys(high, low, window)
        seen = functional.scaled_dot_product_attention(query, key, key)
        return low + from_windows(seen, window, (low.shape[2], low.shape[3])).to(low.dtype)

    def fold(self) -> None:
        """Keys are found before they are repeated: the inference form, a quarter of the operations."""
        self.resizes_first = False

    def distinct_keys(self, high: Tensor, low: Tensor, window: tuple[int, int]) -> Tensor:
        """Keys whose attention is that of the resized map's, in which each stands four times.

        Repeating changes no statistic of the norm. Nor does it change the softmax where all keys of a window
        are repeated alike; a window with an odd side cuts some of the squares of four.
        """
        key = self.key(high)
        if window[0] % 2 or window[1] % 2:
            return to_windows(upsample_to(key, low), window)
        return to_windows(key, (window[0] // 2, window[1] // 2))
