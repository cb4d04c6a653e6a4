"""FPN with concatenation, as in the lineage of the paper's base detector.

Lin et al.: Feature Pyramid Networks for Object Detection (CVPR 2017), in the form of YOLOv5's FPN head.

Deviations from Lin et al. (`fpn_additive` has none): levels are concatenated instead of added; a C3 block
replaces the 3x3 convolution; each level keeps its own width.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from gffpn.layers.cat import cat_channels
from gffpn.layers.conv import ConvBNAct
from gffpn.layers.csp import C3
from gffpn.layers.lineage import C2Use, bottlenecks, use_of_c2
from gffpn.layers.resize import upsample_to
from gffpn.layers.start import PerLevel, start_as_built
from gffpn.layers.widths import Width, lineage_widths
from gffpn.pyramid import Level, Levels, levels_at


class TopDown(nn.Module):
    """Top-down pass with concatenation: F_last = C3(C_last); F_i = C3(1x1(cat(up F_{i+1}, C_i))).

    All lists have one entry per level, finest first.

    levels: the inputs. widths: widths of the outputs. repeats: bottlenecks in each C3.
    """

    def __init__(self, levels: Levels, widths: Sequence[int], repeats: Sequence[int]) -> None:
        super().__init__()
        strides = [level.stride for level in levels]
        self.reduce = PerLevel(
            strides[:-1],
            (
                ConvBNAct(coarser + level.channels, width)
                for level, (width, coarser) in zip(levels[:-1], pairwise(widths), strict=True)
            ),
        )
        into = [*widths[:-1], levels[-1].channels]
        self.fuse = PerLevel(
            strides, (C3(given, width, n) for given, width, n in zip(into, widths, repeats, strict=True))
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Compute the F maps from the C maps, of the same sizes."""
        fused = [self.fuse[-1](features[-1])]
        for i in reversed(range(len(self.reduce))):
            reduce = cast(ConvBNAct, self.reduce[i])
            fused.insert(0, self.fuse[i](_reduced(reduce, fused[0], features[i])))
        return fused


def _reduced(reduce: ConvBNAct, coarser: Tensor, lateral: Tensor) -> Tensor:
    """Return 1x1(cat(up `coarser`, `lateral`)), (N, C, H, W) with the size of `lateral`.

    For training on a CPU, this is computed as up(1x1(coarser)) + 1x1(lateral), each with its part of the
    weights. The sum is the same, since a 1x1 and nearest-neighbour upsampling commute, but the coarser part
    has a quarter of the cells, and the large concatenated map is not needed. In bf16 each part is rounded.
    """
    if not torch.is_grad_enabled() or lateral.device.type != "cpu":
        return reduce(cat_channels((upsample_to(coarser, lateral), lateral)))
    of_coarser, of_lateral = torch.split(reduce.conv.weight, [coarser.shape[1], lateral.shape[1]], dim=1)
    from_coarser = upsample_to(functional.conv2d(coarser, of_coarser), lateral)
    return reduce.finish(functional.conv2d(lateral, of_lateral, reduce.conv.bias) + from_coarser)


class FPN(nn.Module):
    """Top-down pyramid: F5 = C3(C5); F4 = C3(1x1(cat(up F5, C4))); F3 = C3(1x1(cat(up F4, C3))).

    depth: multiplier of the three bottlenecks in each C3.
    width, out_channels, widen: set the widths of the outputs, see `lineage_widths`.
    c2: `unused`, reads and outputs strides 8, 16, 32; `merged`, C2 goes through a 3x3 convolution of stride 2
    and is concatenated with C3, in front of it; `given`, F2 = C3(1x1(cat(up F3, C2))), with one bottleneck,
    is output as well.
    Raises ValueError if a level is missing.
    """

    def __init__(
        self,
        in_levels: Levels,
        *,
        depth: float,
        width: Width = "pyramid",
        out_channels: int,
        widen: float = 1.0,
        c2: C2Use = "unused",
    ) -> None:
        super().__init__()
        self.in_strides, merged = use_of_c2(c2)
        levels = levels_at(in_levels, self.in_strides, reader="FPN")
        self.down2: nn.Module | None = None
        if merged:
            finest, *rest = levels
            self.down2 = ConvBNAct(finest.channels, rest[0].channels, 3, 2)
            levels = (Level(2 * rest[0].channels, rest[0].stride), *rest[1:])
        given = levels_at(in_levels, [level.stride for level in levels], reader="FPN")
        widths = lineage_widths(width, given, out_channels=out_channels, widen=widen)
        self.out_levels = tuple(Level(w, level.stride) for w, level in zip(widths, levels, strict=True))
        self.top_down = TopDown(levels, widths, [bottlenecks(level, depth) for level in levels])
        start_as_built(self)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Compute F3..F5 from C3..C5, or F2..F5 from C2..C5 with `c2` set to `given`."""
        maps = list(features)
        if self.down2 is not None:
            maps[:2] = [cat_channels((self.down2(maps[0]), maps[1]))]
        return self.top_down(maps)
