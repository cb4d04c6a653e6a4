"""Spatial dependency perception: each cell of a map attends to the coarser map around it.

Shi et al.: HS-FPN: High Frequency and Spatial Perception FPN for Tiny Object Detection (AAAI 2025), the
module SDP, as the reference implementation computes it.

    q = GN32(ReLU(conv1x1(low))), k = GN32(ReLU(conv1x1(up high))), v = k
    SDP = low + softmax(q k^T / sqrt C) v, within windows that do not overlap

Deviations: none. There is one head, and neither the values nor the output are projected.
"""

from torch import Tensor, nn
from torch.nn import functional

from gffpn.layers.resize import upsample_to
from gffpn.necks.hsfpn.high_frequency import GROUPS


def to_windows(x: Tensor, window: tuple[int, int]) -> Tensor:
    """Cut x (N, C, H, W) into (N, windows, cells per window, C), windows and cells in row-major order."""
    (rows, columns), (images, channels, height, width) = window, x.shape
    cut = x.view(images, channels, height // rows, rows, width // columns, columns)
    return cut.permute(0, 2, 4, 3, 5, 1).reshape(images, -1, rows * columns, channels)


def from_windows(windows: Tensor, window: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Invert `to_windows`: return (N, C, H, W) with (H, W) = `size`, channels last in memory."""
    (rows, columns), (height, width) = window, size
    images, channels = windows.shape[0], windows.shape[-1]
    cut = windows.reshape(images, height // rows, width // columns, rows, columns, channels)
    return cut.transpose(2, 3).reshape(images, height, width, channels).permute(0, 3, 1, 2)


class Normed1x1(nn.Module):
    """Normed 1x1 convolution without bias, GN32(ReLU(conv1x1(x))): (N, C, H, W) to the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm = nn.GroupNorm(GROUPS, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve, activate, then normalise."""
        return self.norm(self.conv(x).relu())


class SpatialDependencyPerception(nn.Module):
    """Attention of each cell of `low` to the cells of `high` in the same window.

    low (N, C, H, W) and high (N, C, H / 2, W / 2) to the shape of low. C is a multiple of 32; H and W are
    multiples of the window's sides.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = Normed1x1(channels)
        self.key = Normed1x1(channels)
        self.resizes_first = True

    def forward(self, low: Tensor, high: Tensor, window: tuple[int, int]) -> Tensor:
        """Attend within windows of `window` rows and columns, in cells of `low`."""
        query = to_windows(self.query(low), window)
        if self.resizes_first:
            key = to_windows(self.key(upsample_to(high, low)), window)
        else:
            key = self.distinct_keys(high, low, window)
        seen = functional.scaled_dot_product_attention(query, key, key)
        return low + from_windows(seen, window, (low.shape[2], low.shape[3])).to(low.dtype)

    def fold(self) -> None:
        """Change to the inference form, with a quarter of the operations.

        Keys are computed before they are repeated.
        """
        self.resizes_first = False

    def distinct_keys(self, high: Tensor, low: Tensor, window: tuple[int, int]) -> Tensor:
        """Return keys with the same attention as those of the resized map, where each occurs four times.

        Repetition does not change the statistics of the norm. Nor does it change the softmax, if all keys of
        a window are repeated equally often. A window with an odd side cuts some of the squares of four equal
        keys, so its keys are repeated.
        """
        key = self.key(high)
        if window[0] % 2 or window[1] % 2:
            return to_windows(upsample_to(key, low), window)
        return to_windows(key, (window[0] // 2, window[1] // 2))
