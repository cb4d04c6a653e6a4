"""High-frequency perception: small objects stand out once the low frequencies of a map are removed.

Shi et al.: HS-FPN: High Frequency and Spatial Perception FPN for Tiny Object Detection (AAAI 2025), the
module HFP, as the reference implementation computes it.

    f = IDCT(mask . DCT(x)), the mask is 0 where both frequencies are in their lower quarter
    HFP(x) = GN32(ReLU(conv3x3(S(x) + K(x))))
    S(x) = x . f,  K(x) = x . gate(g2(ReLU(g1(max)) + ReLU(g1(mean)))), statistics of f over a grid of patches
    without the filter: S(x) = x . gate(conv1x1(x)), and K uses the statistics of x over the whole map
    gate(z) = sigmoid(ReLU(z)), in [0.5, 1)

Deviations: none in the result. f is computed with two small matrices (see `HighPass`), once for both paths.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from gffpn.layers.precision import at_least_fp32, without_autocast

GROUPS = 32
"""Number of groups in the channel path's convolutions and in every norm; widths must be multiples of it."""
KEPT_OUT = 4
"""The filter removes the lowest 1 / KEPT_OUT of the frequencies along each side."""


def gate(logits: Tensor) -> Tensor:
    """Return sigmoid(ReLU(z)), which is never below a half and has no gradient where z <= 0."""
    return logits.relu().sigmoid()


def dct_rows(count: int, length: int, like: Tensor) -> Tensor:
    """Return the first `count` rows of the orthonormal DCT-II of `length` points.

    They have the dtype and device of `like`.
    """
    frequencies = torch.arange(count, device=like.device)[:, None]
    cells = torch.arange(length, device=like.device)[None, :]
    # whole turns are removed in integer arithmetic: cos of a small angle is exact to fp32's last digits
    steps = frequencies * (2 * cells + 1) % (4 * length)
    rows = torch.cos(steps.to(like.dtype) * (math.pi / (2 * length))) * math.sqrt(2 / length)
    rows[:1] *= math.sqrt(0.5)
    return rows


class HighPass(nn.Module):
    """High-pass filter: x (N, C, H, W) to x without its low frequencies, of the same shape and dtype.

    It is computed in fp32 at least. The mask is 0 on the top left H // 4 x W // 4 coefficients, so
    f = x - (A^T A) x (B^T B), where A is the first H // 4 rows of the DCT matrix of H points, and B likewise
    for W. A and B are cached per size, device and dtype; they are not part of the state.
    """

    def __init__(self) -> None:
        super().__init__()
        self._rows: dict[tuple[int, torch.device, torch.dtype], Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        """Remove the low frequencies of x, with the matrix products in the cheaper order."""
        with without_autocast(x.device.type):
            wide = x.to(at_least_fp32(x))
            a, b = (self._low_rows(side, wide) for side in wide.shape[-2:])
            (p, height), (q, width) = a.shape, b.shape
            if q * height * (width + p) <= p * width * (height + q):
                low = a.mT @ (a @ (wide @ b.mT)) @ b
            else:
                low = a.mT @ (((a @ wide) @ b.mT) @ b)
            return (wide - low).to(x.dtype)

    def _low_rows(self, length: int, like: Tensor) -> Tensor:
        count = length // KEPT_OUT
        if torch.compiler.is_compiling() or type(like) is not Tensor:  # never cache traced or fake tensors
            return dct_rows(count, length, like)
        key = (length, like.device, like.dtype)
        if key not in self._rows:
            with torch.inference_mode(False):  # rows cached in validation must be usable in training
                self._rows[key] = dct_rows(count, length, like)
        return self._rows[key]


class ChannelGate(nn.Module):
    """Channel gate, gate(g2(ReLU(g1(max)) + ReLU(g1(mean)))): x (N, C, H, W) to (N, C, 1, 1).

    max and mean are taken in each of grid x grid patches, clamped to at least 0, and summed over the patches.
    g1 and g2 are 1x1 convolutions in 32 groups, without bias.
    """

    def __init__(self, channels: int, *, grid: int) -> None:
        super().__init__()
        self.grid = grid
        self.squeeze = nn.Conv2d(channels, channels, 1, groups=GROUPS, bias=False)
        self.excite = nn.Conv2d(channels, channels, 1, groups=GROUPS, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the share of each channel that passes, in [0.5, 1)."""
        pooled = (
            functional.adaptive_max_pool2d(x, self.grid),
            functional.adaptive_avg_pool2d(x, self.grid),
        )
        largest, mean = (self.squeeze(y.relu().sum(dim=(2, 3), keepdim=True)).relu() for y in pooled)
        return gate(self.excite(largest + mean))


class HighFrequencyPerception(nn.Module):
    """High-frequency perception: (N, C, H, W) to the same shape, where C is a multiple of 32.

    grid: patches per side over which the filtered map's statistics are summed; None for the form without the
    filter (see the top of the file).
    """

    def __init__(self, channels: int, *, grid: int | None) -> None:
        super().__init__()
        filters = grid is not None
        self.high_pass = HighPass() if filters else None
        self.spatial = None if filters else nn.Conv2d(channels, 1, 1, bias=False)
        self.channel = ChannelGate(channels, grid=grid or 1)
        self.mix = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.GroupNorm(GROUPS, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Add and mix the two paths; x itself is not passed on."""
        seen = x if self.high_pass is None else self.high_pass(x)
        weight = seen if self.spatial is None else gate(self.spatial(x))
        return self.norm(self.mix(x * weight + x * self.channel(seen)).relu())
