"""GF-FPN, the guided focus feature pyramid network.

Kang, Zhang, Ren, Cheng: A Cross-Scale Feature Fusion Method for Effectively Enhancing Small Object Detection
Performance. Information 2026, 17(1), 25. Section 2.2, figure 2.

    F2..F5 = top-down pass with concatenation (FPN)
    P_{i+1} = sigmoid(LPAM(N_i)) * F_{i+1} + LPAM(N_i),  N_2 = F2

Deviations: none known. Open in the paper, hence arguments whose first value is the nearest reading: whether
N_i is P_i ("layer by layer, from the previous layer", cascade) or F_i ("LSAM acts on F2, F3, F4", pyramid),
and those of the guided stage. F2 = C3 with one bottleneck is what brings the parameters to the paper's 41.7
M.
"""

from itertools import pairwise

from torch import Tensor, nn

from gffpn.layers.choice import choose
from gffpn.layers.csp import scaled_depth
from gffpn.layers.guided import GuidedStage
from gffpn.layers.topdown import TopDown
from gffpn.pyramid import Levels, levels_at

FINEST_STRIDE = 4
GUIDES = {"cascade": True, "pyramid": False}


class GFFPN(nn.Module):
    """FPN, and on it a bottom-up pass in which each level guides the next coarser one.

    Reads strides 4, 8, 16, 32, gives 8, 16, 32, at the widths of the inputs. Without a level of stride 4 the
    map F3 passes through as P3 and guides the next. Raises ValueError if another level is missing.

    depth: multiple of the bottlenecks of a C3 (three; one at stride 4).
    guide: `cascade`, a level is guided by the guided level before it; `pyramid`, by that level's F.
    The others: see GuidedStage.
    """

    def __init__(
        self,
        in_levels: Levels,
        *,
        depth: float,
        fusion: str = "star",
        residual: bool | str = True,
        gate: str = "sigmoid",
        guide: str = "cascade",
        short: str = "lpam",
        downsample: str = "max",
        norm: str = "none",
        mix: str = "attend",
        projection: str = "shared",
        product: str = "printed",
        dim: int = 64,
    ) -> None:
        super().__init__()
        self._starts_finer = any(level.stride == FINEST_STRIDE for level in in_levels)
        self.in_strides = (FINEST_STRIDE, 8, 16, 32) if self._starts_finer else (8, 16, 32)
        levels = levels_at(in_levels, self.in_strides, reader="GFFPN")
        self.out_levels = levels[1:] if self._starts_finer else levels
        self._positions = [in_levels.index(level) for level in levels]
        self._cascades = choose("guide", guide, GUIDES)
        channels = [level.channels for level in levels]
        blocks = [1 if level.stride == FINEST_STRIDE else 3 for level in levels]
        self.top_down = TopDown(channels, [scaled_depth(n, depth) for n in blocks])
        self.guided = nn.ModuleList(
            GuidedStage(
                fine,
                coarse,
                fusion=fusion,
                residual=residual,
                gate=gate,
                short=short,
                downsample=downsample,
                norm=norm,
                mix=mix,
                projection=projection,
                product=product,
                dim=dim,
            )
            for fine, coarse in pairwise(channels)
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """C2..C5 to P3..P5."""
        fused = self.top_down([features[i] for i in self._positions])
        outputs = [fused[0]]
        for i, stage in enumerate(self.guided):
            finer = outputs[i] if self._cascades else fused[i]
            outputs.append(stage(finer, fused[i + 1]))
        return outputs[1:] if self._starts_finer else outputs
