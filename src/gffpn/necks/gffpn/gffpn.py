"""GF-FPN, the guided focus feature pyramid network: guided stages on top of any neck.

Kang, Zhang, Ren, Cheng: A Cross-Scale Feature Fusion Method for Effectively Enhancing Small Object Detection
Performance. Information 2026, 17(1), 25. Section 2.2, figure 2.

    F2..F5 = top-down pass with concatenation (FPN), or the outputs of another neck
    P_{i+1} = sigmoid(LPAM(N_i)) * F_{i+1} + LPAM(N_i),  N_2 = F2

Deviations: none known. The choices that the paper leaves open are arguments, whose first value is the closest
reading: whether N_i is P_i ("layer by layer, from the previous layer", cascade) or F_i ("LSAM acts on F2, F3,
F4", pyramid), and the arguments of the guided stage. With a base of F2..F5 that has one bottleneck at F2, the
parameter count is the paper's 41.7 M. The paper calls the stages plug-and-play; the choice of bases and the
argument `guided` are ours.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from gffpn.choice import choose
from gffpn.layers.lineage import FINEST_STRIDE
from gffpn.layers.start import start_as_built
from gffpn.necks.gffpn.guided import Fusion, Gate, GuidedStage, Residual, Short
from gffpn.necks.gffpn.lpam import LPAM
from gffpn.pyramid import Levels, Neck, size_multiple

Guide = Literal["cascade", "pyramid"]
GUIDES: dict[Guide, bool] = {"cascade": True, "pyramid": False}


class GFFPN(nn.Module):
    """Base neck with a bottom-up pass on top, in which each level guides the next coarser one.

    Reads the levels that the base reads, and outputs those that it outputs, except a map of stride 4, which
    only guides. If the base has no such map, its finest map passes through and guides the next one. Raises
    ValueError if a stride of the base is not twice the one before it.

    base: constructor of the base neck, called as `base(in_levels)`. The paper's base is FPN with C2.
    guided: strides of the levels that are guided; None for all except the finest.
    guide: `cascade`, a level is guided by the guided level before it; `pyramid`, by that level's F.
    lpam and the other arguments: see GuidedStage.
    """

    def __init__(
        self,
        in_levels: Levels,
        *,
        base: Callable[[Levels], Neck],
        lpam: Callable[[int, int], LPAM],
        guided: Sequence[int] | None,
        fusion: Fusion,
        residual: Residual,
        gate: Gate,
        guide: Guide,
        short: Short,
    ) -> None:
        super().__init__()
        self.base = base(in_levels)
        self.in_strides = self.base.in_strides
        self.size_multiple = size_multiple(self.base)
        levels = self.base.out_levels
        self._cascades = choose("guide", guide, GUIDES)
        self._first_given = 1 if levels[0].stride == FINEST_STRIDE else 0
        self.out_levels = levels[self._first_given :]
        chosen = strides_guided(guided, [level.stride for level in levels])
        self.guided = nn.ModuleDict(
            {
                str(coarse.stride): GuidedStage(
                    fine.channels,
                    coarse.channels,
                    lpam=lpam,
                    fusion=fusion,
                    residual=residual,
                    gate=gate,
                    short=short,
                )
                for fine, coarse in pairwise(levels)
                if coarse.stride in chosen
            }
        )
        start_as_built(self.guided)  # the base has started itself, as it does without guided stages
        self._stages = [str(level.stride) for level in levels[1:]]

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Compute the guided outputs from the base's inputs: with the paper's base, P3..P5 from C2..C5."""
        fused = self.base(features)
        outputs = [fused[0]]
        for i, stage in enumerate(self._stages):
            finer = outputs[i] if self._cascades else fused[i]
            coarser = fused[i + 1]
            outputs.append(self.guided[stage](finer, coarser) if stage in self.guided else coarser)
        return outputs[self._first_given :]


def strides_guided(guided: Sequence[int] | None, strides: Sequence[int]) -> list[int]:
    """Return the strides of the levels that a finer one guides.

    Raises ValueError if there is no such level, if the strides do not double from level to level, or if
    `guided` does not fit them.
    """
    if any(coarse != 2 * fine for fine, coarse in pairwise(strides)):
        raise ValueError(
            f"base: got a neck with output strides {list(strides)}, expected each to be twice the one before"
        )
    possible = list(strides[1:])
    if not possible:
        raise ValueError(f"base: got a neck with output strides {list(strides)}, expected two or more")
    if guided is None:
        return possible
    if not guided or not set(guided) <= set(possible):
        raise ValueError(f"guided: got {list(guided)}, expected some of {possible}")
    if strides[0] == FINEST_STRIDE and possible[0] not in guided:
        raise ValueError(
            f"guided: got {list(guided)}, expected {possible[0]} too: the map of stride {FINEST_STRIDE} only "
            f"guides, and would have no effect (neck.base.c2=unused leaves it out)"
        )
    return list(guided)
