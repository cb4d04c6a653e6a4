"""LPAM, the lightweight pyramidal attention module: LSAM, then FCCFM.

Kang, Zhang, Ren, Cheng: A Cross-Scale Feature Fusion Method for Effectively Enhancing Small Object Detection
Performance. Information 2026, 17(1), 25. Sections 2.2.1 and 2.2.2, figure 3.

    G = FCCFM(LSAM(N))

Parameters: 9 C + the sum of the squared split widths + 4 d + C C_out, with the settings of
conf/neck/gffpn.yaml.

The paper asserts the merit of LSAM and FCCFM without testing it, so both can be replaced: LSAM by `context:
strided_conv`, FCCFM by `attention: se`, `cbam` or `none`.

Deviations: the paper's own count has (9 + 3 d) C instead of 9 C + 4 d. For the two projections, its text
counts 2 C d, its sum 3 C d, and its equations 4 d. There is no bias, no normalisation and, except for LSAM's
ReLUs, no activation, as the paper counts none.
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
    """Intermediate results and statistics of LPAM for one batch."""

    guide: Tensor
    """G, (N, C_out, H / 2, W / 2)."""
    attention: Tensor
    """A, (N, C, C), whose rows sum to 1; the identity matrix for `mix: identity`."""
    row_entropy: Tensor
    """(N, C), in nats: log C for a row that weighs all channels equally, 0 for one with a single channel."""
    effective_rank: Tensor
    """(N,), 1 to C: exp of the entropy of the normalised singular values of A X (Roy and Vetterli 2007)."""


class LPAM(nn.Module):
    """Pyramidal attention: (N, C_in, H, W) to the guide map G (N, C_out, ceil(H / 2), ceil(W / 2)).

    context: `lsam`, or `strided_conv`, ReLU(3x3 of stride 2) without bias.
    attention: `fccfm`; `se` or `cbam`, a known channel attention before the same 1x1; `none`, only the 1x1.
    norm: see LSAM and FCCFM; it applies to their substitutes in the same way.
    downsample applies to LSAM only; mix, projection, product and dim apply to FCCFM only.
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
        """Return the guide map."""
        return self.attention(self.context(x))

    @torch.no_grad()
    def inspect(self, x: Tensor) -> Inspection:
        """Return A, G, and how far A is from uniform and A X from rank one, for `attention: fccfm` only."""
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
