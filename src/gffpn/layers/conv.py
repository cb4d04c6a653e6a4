"""Convolution, batch normalisation, activation: the basic unit of the cspdarknet lineage."""

import math
from collections.abc import Callable
from typing import Literal, TypeGuard

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from gffpn.choice import choose


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """Return batch normalisation with the lineage's constants, eps 1e-3 and momentum 0.03."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.03)


class SiLU(nn.Module):
    """x sigmoid(x), in place unless x requires a gradient: autograd would then keep a copy of x."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply the activation; the shape is unchanged."""
        return functional.silu(x, inplace=not x.requires_grad)


def silu() -> nn.Module:
    """Return the lineage's activation."""
    return SiLU()


def relu() -> nn.Module:
    """Return a ReLU that works in place."""
    return nn.ReLU(inplace=True)


Norm = Literal["none", "batch"]
NORMS: dict[Norm, Callable[[int], nn.Module]] = {"none": nn.Identity, "batch": batch_norm}


def optional_norm(norm: Norm, channels: int) -> nn.Module:
    """Return a norm for `channels` channels: the identity for `none`, `batch_norm` for `batch`."""
    return choose("norm", norm, NORMS)(channels)


def scaled_width(channels: int, width: float) -> int:
    """Return `channels` times the width multiple, rounded up to a multiple of 8."""
    if not width > 0:
        raise ValueError(f"width: got {width!r}, expected a multiple > 0")
    return math.ceil(channels * width / 8) * 8


def is_batch_norm(norm: nn.Module) -> TypeGuard[_BatchNorm]:
    """Return whether `norm` is a BatchNorm and nothing more; timm's variant includes an activation.

    After training with `sync_batchnorm`, Lightning leaves its own class in place of BatchNorm2d.
    """
    return isinstance(norm, _BatchNorm) and type(norm).forward is _BatchNorm.forward


class ConvBNAct(nn.Module):
    """Convolution, BatchNorm and activation: act(BN(conv(x))).

    Maps (N, C_in, H, W) to (N, C_out, ceil(H / stride), ceil(W / stride)) for odd kernels; even kernels give
    the floor. `bias` adds a bias to the convolution, which the norm makes redundant (a few published modules
    keep it).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 1,
        stride: int = 1,
        *,
        bias: bool = False,
        norm: Callable[[int], nn.BatchNorm2d] = batch_norm,
        activation: Callable[[], nn.Module] = silu,
    ) -> None:
        super().__init__()
        padding = (kernel_size - 1) // 2
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=bias)
        self.norm: nn.Module = norm(out_channels)
        self.act = activation()

    def forward(self, x: Tensor) -> Tensor:
        """Convolve, normalise, activate."""
        return self.finish(self.conv(x))

    def finish(self, convolved: Tensor) -> Tensor:
        """Apply the norm and the activation to the output of the convolution."""
        return self.act(self.norm(convolved))

    def fold(self) -> None:
        """Fold the norm into the convolution: the inference form."""
        if is_batch_norm(self.norm):
            self.conv = fuse_conv_bn_eval(self.conv, self.norm)
            self.norm = nn.Identity()
