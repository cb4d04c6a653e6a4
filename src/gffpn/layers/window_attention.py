"""Spatial dependency perception: each cell of a map looks at the coarser map around it.

Shi et al.: HS-FPN: High Frequency and Spatial Perception FPN for Tiny Object
Detection (AAAI 2025), the module SDP, as the reference implementation computes it.

    q = GN32(ReLU(conv1x1(low))), k = GN32(ReLU(conv1x1(high))), v = k
    SDP = low + softmax(q k^T / sqrt C) v, inside windows that do not overlap

Deviations: none. One head, no projection of the values and none of the output.
"""

from torch import Tensor, nn
from torch.nn import functional

from gffpn.layers.high_frequency import GROUPS


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
        y: Tensor = self.norm(self.conv(x).relu())
        return y


class SpatialDependencyPerception(nn.Module):
    """low and high (N, C, H, W) to the same shape; C a multiple of 32, H and W multiples of the window's."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = Normed1x1(channels)
        self.key = Normed1x1(channels)

    def forward(self, low: Tensor, high: Tensor, window: tuple[int, int]) -> Tensor:
        """`high` has been resized to `low`; `window`: rows and columns, in cells."""
        query, key = to_windows(self.query(low), window), to_windows(self.key(high), window)
        seen = functional.scaled_dot_product_attention(query, key, key)
        return low + from_windows(seen, window, (low.shape[2], low.shape[3])).to(low.dtype)
