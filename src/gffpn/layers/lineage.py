"""What the necks of the cspdarknet lineage share: which levels they read and give, and how deep they are."""

from typing import Literal

from gffpn.choice import choose
from gffpn.layers.csp import scaled_depth
from gffpn.pyramid import Level

FINEST_STRIDE = 4
C2Use = Literal["unused", "merged", "given"]
# strides that are read, and the first of these levels that is given
C2_USES: dict[C2Use, tuple[tuple[int, ...], int]] = {
    "unused": ((8, 16, 32), 0),
    "merged": ((4, 8, 16, 32), 1),
    "given": ((4, 8, 16, 32), 0),
}


def use_of_c2(c2: C2Use) -> tuple[tuple[int, ...], int]:
    """Strides of the inputs, and how many of the finest are not given, by what becomes of C2."""
    return choose("c2", c2, C2_USES)


def bottlenecks(level: Level, depth: float) -> int:
    """Of the C3 block at a level: three times the depth multiple, one at stride 4."""
    return scaled_depth(1 if level.stride == FINEST_STRIDE else 3, depth)
