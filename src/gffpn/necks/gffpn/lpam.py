"""LPAM, the lightweight pyramidal attention module: LSAM, then FCCFM.

Kang, Zhang, Ren, Cheng: A Cross-Scale Feature Fusion Method for Effectively Enhancing Small Object Detection
Performance. Information 2026, 17(1), 25. Sections 2.2.1 and 2.2.2, figure 3.

    G = FCCFM(LSAM(N))

Parameters: 9 C + the sum of the squared split widths + 4 d + C C_out, as conf/neck/gffpn.yaml
has it.

What the paper asserts and does not test can be swapped: `context: strided_conv` in LSAM's place, `attention:
se`, `cbam` or `none` in FCCFM's.

Deviations: the paper's own count has (9 + 3 d) C in place of 9 C + 4 d: its text counts 2 C d for the two
projections, its sum 3 C d, its equations 4 d. No bias, no normalisation and no activation but LSAM's ReLUs,
as it counts none.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from gffpn.choice import choose
from gffpn.layers.conv import Norm
from gffpn.necks.gffpn.fccfm import FCCFM, Mix, Product, Projection, mix_channels
from gffpn.necks.gffpn.lsam import LSAM, Downsample
from gffpn.necks.gffpn.substitutes import CHANNEL_GATES, reweighted, strided_conv

Context = Literal["lsam", "strided_conv"]
Attention = Literal["fccfm", "se", "cbam", "none"]


class Inspection(NamedTuple):
    """What LPAM does to one batch."""

    guide: Tensor
    """G, (N, C_out, H / 2, W / 2)."""
    attention: Tensor
    """A, (N, C, C), rows sum to 1; the identity matrix for `mix: identity`."""
    row_entropy: Tensor
    """(N, C), in nats: log C for a row that takes from all channels alike, 0 for one that takes from one."""
    effective_rank: Tensor
    """(N,), of A X: exp of the entropy of its normalised singular values (Roy and Vetterli 2007). 1 to C."""


class LPAM(nn.Module):
    """(N, C_in, H, W) to the guide map G (N, C_out, ceil(H / 2), ceil(W / 2)).

    context: `lsam`, or `strided_conv`, ReLU(3x3 of stride 2), without bias.
    attention: `fccfm`, or a known channel attention before the same 1x1: `se`, `cbam`; `none`, the 1x1 alone.
    norm: see LSAM and FCCFM, and alike in their substitutes.
    downsample is LSAM's alone; mix, projection, product and dim are FCCFM's alone.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        context: Context,
        attention: Attention,
        downsample: Downsample,
        norm: Norm,
        mix: Mix,
        projection: Projection,
        product: Product,
        dim: int,
    ) -> None:
        super().__init__()
        contexts: dict[Context, Callable[[int], nn.Module]] = {
            "lsam": partial(LSAM, downsample=downsample, norm=norm),
            "strided_conv": partial(strided_conv, norm=norm),
        }
        attentions: dict[Attention, Callable[[int, int], nn.Module]] = {
            "fccfm": partial(FCCFM, mix=mix, projection=projection, norm=norm, product=product, dim=dim),
            **{name: partial(reweighted, gate, norm=norm) for name, gate in CHANNEL_GATES.items()},
        }
        self.context = choose("context", context, contexts)(in_channels)
        self.attention = choose("attention", attention, attentions)(in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """The guide map."""
        return self.attention(self.context(x))

    @torch.no_grad()
    def inspect(self, x: Tensor) -> Inspection:
        """A, G and how far A is from uniform and A X from rank one. For `attention: fccfm` only."""
        assert isinstance(self.attention, FCCFM)
        local = self.context(x)
        correlation = self.attention.correlation
        if correlation is None:
            channels = local.shape[1]
            attention = torch.eye(channels, device=x.device).expand(len(x), channels, channels)
        else:
            attention = correlation(local)
        mixed = mix_channels(attention, local.to(attention.dtype)).flatten(2)
        singular = torch.linalg.svdvals(mixed)
        total = singular.sum(dim=-1, keepdim=True).clamp_min(torch.finfo(singular.dtype).tiny)
        return Inspection(
            guide=self.attention(local),
            attention=attention,
            row_entropy=torch.special.entr(attention).sum(dim=-1),
            effective_rank=torch.special.entr(singular / total).sum(dim=-1).exp(),
        )
