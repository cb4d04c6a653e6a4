"""HS-FPN, the high-frequency and spatial perception feature pyramid network.

Shi et al.: HS-FPN: High Frequency and Spatial Perception FPN for Tiny Object Detection (AAAI 2025), as the
reference implementation computes it. Not to be confused with another neck of the same name (high-level
screening, for blood cells).

    l_i = 1x1(C_i);  h_i = HFP_i(l_i), with the high-pass filter at strides 4 and 8
    y_5 = h_5;  y_i = SDP_i(h_i, y_{i+1}), in windows of the size of C5's map
    P_i = 3x3(sum of y_j, j >= i, at the size of y_i)

Deviations: none at strides 4 to 32. The form with three levels, strides 8 to 32, is an adaptation that leaves
out the modules of stride 4. The extra max-pool level of the reference's configurations is not provided.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from gffpn.choice import choose
from gffpn.layers.resize import upsample_to
from gffpn.layers.start import PerLevel, start_convolutions
from gffpn.necks.hsfpn.high_frequency import GROUPS, HighFrequencyPerception
from gffpn.necks.hsfpn.window_attention import SpatialDependencyPerception
from gffpn.pyramid import Level, Levels, levels_at

# for each in_strides, the grid of patches of each level's HFP; None for an HFP without the filter
FORMS: dict[Sequence[int], tuple[int | None, ...]] = {
    (4, 8, 16, 32): (16, 8, None, None),
    (8, 16, 32): (8, None, None),
}


class HSFPN(nn.Module):
    """High-frequency perception on each level, attention to the next coarser one, then an additive FPN.

    Reads and outputs `in_strides`, (4, 8, 16, 32) or (8, 16, 32), with `out_channels` channels each, a
    multiple of 32. Raises ValueError for other values, and if a level is missing; in forward, unless the
    sizes of the levels are exact multiples of the coarsest, which holds for images whose sides are multiples
    of `size_multiple`.
    """

    size_multiple = 32

    def __init__(
        self, in_levels: Levels, *, out_channels: int, in_strides: Sequence[int] = (4, 8, 16, 32)
    ) -> None:
        super().__init__()
        strides = tuple(in_strides) if isinstance(in_strides, list) else in_strides
        grids = choose("in_strides", strides, FORMS)
        if out_channels < 1 or out_channels % GROUPS:
            raise ValueError(f"out_channels: got {out_channels!r}, expected a multiple of {GROUPS}")
        levels = levels_at(in_levels, strides, reader="HSFPN")
        self.in_strides = tuple(strides)
        self.out_levels = tuple(Level(out_channels, stride) for stride in self.in_strides)
        self.laterals = PerLevel(strides, (nn.Conv2d(level.channels, out_channels, 1) for level in levels))
        self.perceive = PerLevel(
            strides, (HighFrequencyPerception(out_channels, grid=grid) for grid in grids)
        )
        self.attend = PerLevel(strides[:-1], (SpatialDependencyPerception(out_channels) for _ in levels[1:]))
        self.outputs = PerLevel(
            strides, (nn.Conv2d(out_channels, out_channels, 3, padding=1) for _ in levels)
        )
        start_convolutions(self, nn.init.xavier_uniform_)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Compute P2..P5 from C2..C5, or P3..P5 from C3..C5."""
        window = self._window(features)
        laterals = [conv(x) for conv, x in zip(self.laterals, features, strict=True)]
        refined = [perceive(x) for perceive, x in zip(self.perceive, laterals, strict=True)]
        for i in reversed(range(len(self.attend))):
            refined[i] = self.attend[i](refined[i], refined[i + 1], window)
        for i in reversed(range(len(self.attend))):
            refined[i] = refined[i] + upsample_to(refined[i + 1], refined[i])
        return [conv(y) for conv, y in zip(self.outputs, refined, strict=True)]

    def _window(self, maps: list[Tensor]) -> tuple[int, int]:
        """Return the size of the coarsest map.

        Raises ValueError unless each other level is an exact multiple of it.
        """
        height, width = maps[-1].shape[-2:]
        ratios = [self.in_strides[-1] // stride for stride in self.in_strides]
        sizes = [tuple(x.shape[-2:]) for x in maps]
        expected = [(height * ratio, width * ratio) for ratio in ratios]
        if sizes != expected:
            raise ValueError(
                f"HSFPN: got maps of {sizes} cells, expected {expected}, as for images whose sides are "
                f"multiples of {self.size_multiple} pixels"
            )
        return height, width
