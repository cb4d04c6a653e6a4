"""FCCFM, the full-channel correlation fusion module.

Kang, Zhang, Ren, Cheng: A Cross-Scale Feature Fusion Method for Effectively Enhancing Small Object Detection
Performance. Information 2026, 17(1), 25. Sections 2.2.1 (unnumbered equations) and 2.2.2 (parameter counts).

    g_c = (mean of X_c, max of X_c),  G = [g_1 .. g_C] in R^{2 x C}
    Q = W_q G,  K = W_k G,  W in R^{d x 2}
    A = softmax(Q^T K / sqrt d) in R^{C x C}, rows sum to 1
    O_c = sum_j A[c, j] X_j,  guide map = 1x1(O), C_in to C_out, no bias, no activation

Deviations: the paper prints the sum with X_c instead of X_j, which is the identity, since the rows sum to 1
(`mix: identity`). Its parameter analysis counts C d values for each of W_q and W_k, whereas its equations
have 2 d (`projection: per_channel`). The softmax and the steps that lead to it run in fp32 at least.
`product: cheapest` computes (W A) X where that costs less: the same function, but not the operations that the
paper counts.
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from gffpn.choice import choose
from gffpn.layers.conv import Norm, is_batch_norm, optional_norm
from gffpn.layers.precision import at_least_fp32, without_autocast


class SharedProjection(nn.Module):
    """Projection by one d x 2 matrix for all channels, the equations as printed.

    Descriptors (N, C, 2) to (N, C, d).
    """

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(dim, 2))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights as those of a linear layer."""
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def forward(self, descriptors: Tensor) -> Tensor:
        """Return W g_c for each channel."""
        return functional.linear(descriptors, self.weight.to(descriptors.dtype))


class ChannelProjection(nn.Module):
    """Projection by a vector of d values per channel, times the sum of the channel's two descriptors.

    Descriptors (N, C, 2) to (N, C, d), with C d parameters, the paper's count. The paper does not say how C d
    values act on C pairs; this is our reading.
    """

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, dim))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights as those of a linear layer."""
        # PyTorch's bound for a linear layer is 1 / sqrt(fan-in); each vector has a fan-in of one
        nn.init.uniform_(self.weight, -1.0, 1.0)

    def forward(self, descriptors: Tensor) -> Tensor:
        """Return w_c (mean + max) for each channel."""
        return descriptors.sum(dim=-1, keepdim=True) * self.weight.to(descriptors.dtype)


Projection = Literal["shared", "per_channel"]
PROJECTIONS: dict[Projection, Callable[[int, int], nn.Module]] = {
    "shared": SharedProjection,
    "per_channel": ChannelProjection,
}
Mix = Literal["attend", "attend_plus_input", "identity"]
# whether A is used, whether X is added
MIXES: dict[Mix, tuple[bool, bool]] = {
    "attend": (True, False),
    "attend_plus_input": (True, True),
    "identity": (False, False),
}


class ChannelCorrelation(nn.Module):
    """Correlation of the channels, A = softmax(Q^T K / sqrt d).

    (N, C, H, W) to (N, C, C), in fp32 at least; the rows sum to 1.
    """

    def __init__(self, channels: int, *, projection: Projection, dim: int) -> None:
        super().__init__()
        if dim < 1:
            raise ValueError(f"dim: got {dim!r}, expected at least 1")
        project = choose("projection", projection, PROJECTIONS)
        self.query = project(channels, dim)
        self.key = project(channels, dim)
        self.scale = 1 / math.sqrt(dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return A; row c holds the share that channel c takes from each channel."""
        dtype = at_least_fp32(x)
        with without_autocast(x.device.type):
            wide = x.to(dtype)  # on a CPU, amax over two axes takes ten times as long in bf16
            descriptors = torch.stack((wide.mean(dim=(2, 3)), wide.amax(dim=(2, 3))), dim=-1)
            query, key = self.query(descriptors), self.key(descriptors)
            return torch.bmm(query * self.scale, key.transpose(1, 2)).softmax(dim=-1)


def never_fold(out_channels: int, *, cells: int) -> bool:
    """Return False, for W (A X), the order of the equations."""
    return False


def fold_if_cheaper(out_channels: int, *, cells: int) -> bool:
    """Return True if (W A) X is cheaper: W A costs C_out C^2 products, A X costs C^2 H W."""
    return out_channels < cells


Product = Literal["printed", "cheapest"]
PRODUCTS: dict[Product, Callable[..., bool]] = {"printed": never_fold, "cheapest": fold_if_cheaper}


def mix_channels(matrix: Tensor, x: Tensor) -> Tensor:
    """Multiply the channels of x (N, C, H, W) by `matrix` (N, D, C): (N, D, H, W) in x's memory format."""
    images, _, height, width = x.shape
    if x.is_contiguous(memory_format=torch.channels_last):
        rows = x.permute(0, 2, 3, 1).flatten(1, 2)
        mixed = torch.bmm(rows, matrix.transpose(1, 2))
        return mixed.view(images, height, width, matrix.shape[1]).permute(0, 3, 1, 2)
    return torch.bmm(matrix, x.flatten(2)).view(images, matrix.shape[1], height, width)


class FCCFM(nn.Module):
    """Full-channel correlation fusion: (N, C_in, H, W) to the guide map (N, C_out, H, W).

    mix: `attend`, A X; `attend_plus_input`, X + A X; `identity`, X (the sum as printed, without W_q and W_k).
    projection: `shared`, W in R^{d x 2}; `per_channel`, see `ChannelProjection`.
    norm: `none`, or `batch`, BatchNorm after the 1x1.
    product: `printed`, W (A X); `cheapest`, (W A) X where that takes fewer operations.
    dim: d. With `shared`, every d >= 2 spans the same functions, as Q^T K is a 2 x 2 bilinear form of G.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        mix: Mix,
        projection: Projection,
        norm: Norm,
        product: Product,
        dim: int,
    ) -> None:
        super().__init__()
        self.folds = choose("product", product, PRODUCTS)
        attends, self.adds_input = choose("mix", mix, MIXES)
        self.correlation = (
            ChannelCorrelation(in_channels, projection=projection, dim=dim) if attends else None
        )
        self.project = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.norm = optional_norm(norm, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return the 1x1 convolution of A X, or of the variant that `mix` selects."""
        if self.correlation is None:
            y = self.project(x)
        else:
            y = self.project_mixed(self.correlation(x).to(x.dtype), x)
        return self.norm(y)

    def fold(self) -> None:
        """Change to the inference form: the cheaper product order, with the norm folded into the 1x1."""
        self.folds = fold_if_cheaper
        if is_batch_norm(self.norm):
            self.project = fuse_conv_bn_eval(self.project, self.norm)
            self.norm = nn.Identity()

    def project_mixed(self, attention: Tensor, x: Tensor) -> Tensor:
        """Return W (A X) or (W A) X, (N, C_out, H, W), for A (N, C_in, C_in)."""
        if self.folds(self.project.out_channels, cells=x.shape[-2] * x.shape[-1]):
            weight = self.project.weight.flatten(1)
            folded = torch.matmul(weight, attention)
            mixed = mix_channels(folded + weight if self.adds_input else folded, x)
            return (
                mixed
                if self.project.bias is None
                else mixed + self.project.bias[:, None, None].to(mixed.dtype)
            )
        mixed = mix_channels(attention, x)
        return self.project(mixed + x if self.adds_input else mixed)
