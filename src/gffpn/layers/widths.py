"""Widths of the levels that a neck gives."""

import math
from typing import Literal

from gffpn.choice import choose
from gffpn.pyramid import Levels

Width = Literal["pyramid", "uniform"]


def pyramid_or_uniform(width: Width, levels: Levels, out_channels: int) -> list[int]:
    """One width a level: `pyramid`, as wide as the input's; `uniform`, all `out_channels`."""
    if out_channels < 8:
        raise ValueError(f"out_channels: got {out_channels!r}, expected at least 8")
    pyramid = [level.channels for level in levels]
    widths: dict[Width, list[int]] = {"pyramid": pyramid, "uniform": [out_channels] * len(levels)}
    return choose("width", width, widths)


def lineage_widths(width: Width, levels: Levels, *, out_channels: int, widen: float) -> list[int]:
    """`pyramid_or_uniform` times `widen`, to the nearest even number (a C3 block halves it), at least 8.

    `widen` is what a comparison at equal cost turns (`python -m gffpn match`).
    """
    if not 0 < widen < math.inf:
        raise ValueError(f"widen: got {widen!r}, expected a multiple > 0")
    widths = pyramid_or_uniform(width, levels, out_channels)
    return widths if widen == 1 else [max(8, 2 * round(channels * widen / 2)) for channels in widths]
