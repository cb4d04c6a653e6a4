"""The guided stage, one step of the guided aggregation network (GFN).

Kang, Zhang, Ren, Cheng: A Cross-Scale Feature Fusion Method for Effectively Enhancing Small Object Detection
Performance. Information 2026, 17(1), 25. Section 2.2.3, table 6.

    G = LPAM(N)                       from the finer level
    P = sigmoid(G) * F  +  G          star: the product with the coarser level F; residual: + G

Deviations: none known. In the paper, the short path adds the output "of LSAM as is", which requires equal
widths; the default adds G, which has the width of F. `short: lsam` follows the paper's wording, with a 1x1
where the widths differ.
"""

import operator
from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

from gffpn.choice import choose
from gffpn.layers.cat import cat_channels
from gffpn.layers.conv import ConvBNAct
from gffpn.necks.gffpn.lpam import LPAM

Join = Callable[[Tensor, Tensor], Tensor]


class Concatenation(nn.Module):
    """Residual by concatenation: Conv(cat(P, short)), 2 C to C channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = ConvBNAct(2 * channels, channels)

    def forward(self, fused: Tensor, short: Tensor) -> Tensor:
        """Merge two maps of C channels into one."""
        return self.conv(cat_channels((fused, short)))


def plain_sum(channels: int) -> Join:
    """Return the residual as a sum, for maps of any width."""
    return operator.add


def no_join(channels: int) -> None:
    """Return None, for no residual."""


def guide_as_short_path(in_channels: int, out_channels: int) -> None:
    """Return None: the short path is G itself and needs no module."""


def local_as_short_path(in_channels: int, out_channels: int) -> nn.Module:
    """Return the short path for LSAM's output: the identity, or a 1x1 if the widths differ."""
    if in_channels == out_channels:
        return nn.Identity()
    return nn.Conv2d(in_channels, out_channels, 1, bias=False)


Fusion = Literal["star", "add"]
FUSIONS: dict[Fusion, Join] = {"star": operator.mul, "add": operator.add}
Gate = Literal["sigmoid", "none"]
GATES: dict[Gate, Callable[[], nn.Module]] = {"sigmoid": nn.Sigmoid, "none": nn.Identity}
Residual = Literal[True, False, "concat"]
RESIDUALS: dict[Residual, Callable[[int], Join | None]] = {
    True: plain_sum,
    False: no_join,
    "concat": Concatenation,
}
Short = Literal["lpam", "lsam"]
SHORT_PATHS: dict[Short, Callable[[int, int], nn.Module | None]] = {
    "lpam": guide_as_short_path,
    "lsam": local_as_short_path,
}


class GuidedStage(nn.Module):
    """Stage in which a finer map of `in_channels` guides a coarser one of `out_channels`.

    fusion: `star`, gate(G) * F; `add`, gate(G) + F.
    residual: True, the short path is added; False, none; `concat`, it is concatenated, and a convolution
    follows.
    gate: `sigmoid`, or `none` as in the star networks that the paper cites.
    short: `lpam`, the short path is G; `lsam`, it is the output of the local context (LSAM, unless LPAM's
    `context` is another), through a 1x1 without bias where the widths differ.
    lpam: constructor of LPAM with its keyword arguments bound, called as `lpam(in_channels, out_channels)`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        lpam: Callable[[int, int], LPAM],
        fusion: Fusion,
        residual: Residual,
        gate: Gate,
        short: Short,
    ) -> None:
        super().__init__()
        self.lpam = lpam(in_channels, out_channels)
        self.gate = choose("gate", gate, GATES)()
        self.fuse = choose("fusion", fusion, FUSIONS)
        self.join = choose("residual", residual, RESIDUALS)(out_channels)
        short_path = choose("short", short, SHORT_PATHS)
        self.short = None if self.join is None else short_path(in_channels, out_channels)

    def forward(self, finer: Tensor, coarser: Tensor) -> Tensor:
        """Compute P, of F's shape, from N (N, C_in, H, W) and F (N, C_out, ceil(H / 2), ceil(W / 2))."""
        local = self.lpam.context(finer)
        guide = self.lpam.attention(local)
        fused = self.fuse(self.gate(guide), coarser)
        if self.join is None:
            return fused
        return self.join(fused, guide if self.short is None else self.short(local))
