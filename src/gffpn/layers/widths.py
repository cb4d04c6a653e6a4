"""Widths of a neck's output levels."""

import math
from typing import Literal

from gffpn.choice import choose
from gffpn.pyramid import Levels

Width = Literal["pyramid", "uniform"]


def pyramid_or_uniform(width: Width, levels: Levels, out_channels: int) -> list[int]:
    """Return one width per level: for `pyramid` that of the input, for `uniform` always `out_channels`."""
    if out_channels < 8:
        raise ValueError(f"out_channels: got {out_channels!r}, expected at least 8")
    pyramid = [level.channels for level in levels]
    widths: dict[Width, list[int]] = {"pyramid": pyramid, "uniform": [out_channels] * len(levels)}
    return choose("width", width, widths)


def lineage_widths(width: Width, levels: Levels, *, out_channels: int, widen: float) -> list[int]:
    """Return `pyramid_or_uniform` times `widen`, rounded to the nearest even numbers, at least 8.

    A C3 block halves a width, hence even. A comparison at equal cost (`python -m gffpn match`) adjusts
    `widen`.
    """
    if not 0 < widen < math.inf:
        raise ValueError(f"widen: got {widen!r}, expected a multiple > 0")
    widths = pyramid_or_uniform(width, levels, out_channels)
    return widths if widen == 1 else [max(8, 2 * round(channels * widen / 2)) for channels in widths]
