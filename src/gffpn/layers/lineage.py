"""Settings shared by the necks of the cspdarknet lineage: their input and output levels and their depth."""

from typing import Literal

from gffpn.choice import choose
from gffpn.layers.csp import scaled_depth
from gffpn.pyramid import Level

FINEST_STRIDE = 4
C2Use = Literal["unused", "merged", "given"]
# strides of the inputs, and the position of the first of them that is also an output
C2_USES: dict[C2Use, tuple[tuple[int, ...], int]] = {
    "unused": ((8, 16, 32), 0),
    "merged": ((4, 8, 16, 32), 1),
    "given": ((4, 8, 16, 32), 0),
}


def use_of_c2(c2: C2Use) -> tuple[tuple[int, ...], int]:
    """Return the input strides and the number of finest inputs without an output, for a use of C2."""
    return choose("c2", c2, C2_USES)


def bottlenecks(level: Level, depth: float) -> int:
    """Return the number of bottlenecks of the C3 block at a level.

    It is the depth multiple times 3, or times 1 at stride 4.
    """
    return scaled_depth(1 if level.stride == FINEST_STRIDE else 3, depth)
