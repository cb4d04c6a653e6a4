"""LPAM, the lightweight pyramidal attention module: LSAM, then FCCFM.

Kang, Zhang, Ren, Cheng: A Cross-Scale Feature Fusion Method for Effectively Enhancing Small Object Detection
Performance. Information 2026, 17(1), 25. Sections 2.2.1 and 2.2.2, figure 3.

    G = FCCFM(LSAM(N))

Parameters: 9 C + the sum of the squared split widths + 4 d + C C_out, with the defaults.

Deviations: the paper's own count has (9 + 3 d) C in place of 9 C + 4 d: its text counts 2 C d for the two
projections, its sum 3 C d, its equations 4 d. No bias, no normalisation and no activation but LSAM's ReLUs,
as it counts none.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from gffpn.layers.fccfm import FCCFM, mix_channels
from gffpn.layers.lsam import LSAM


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

    Arguments: see LSAM and FCCFM.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        downsample: str = "max",
        norm: str = "none",
        mix: str = "attend",
        projection: str = "shared",
        product: str = "printed",
        dim: int = 64,
    ) -> None:
        super().__init__()
        self.lsam = LSAM(in_channels, downsample=downsample, norm=norm)
        self.fccfm = FCCFM(
            in_channels, out_channels, mix=mix, projection=projection, norm=norm, product=product, dim=dim
        )

    def forward(self, x: Tensor) -> Tensor:
        """The guide map."""
        guide: Tensor = self.fccfm(self.lsam(x))
        return guide

    @torch.no_grad()
    def inspect(self, x: Tensor) -> Inspection:
        """A, G and how far A is from uniform and A X from rank one."""
        local = self.lsam(x)
        correlation = self.fccfm.correlation
        if correlation is None:
            channels = local.shape[1]
            attention = torch.eye(channels, device=x.device).expand(len(x), channels, channels)
        else:
            attention = correlation(local)
        mixed = mix_channels(attention, local.to(attention.dtype)).flatten(2)
        singular = torch.linalg.svdvals(mixed)
        total = singular.sum(dim=-1, keepdim=True).clamp_min(torch.finfo(singular.dtype).tiny)
        return Inspection(
            guide=self.fccfm(local),
            attention=attention,
            row_entropy=torch.special.entr(attention).sum(dim=-1),
            effective_rank=torch.special.entr(singular / total).sum(dim=-1).exp(),
        )
