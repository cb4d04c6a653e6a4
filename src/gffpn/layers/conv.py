"""Convolution, batch normalisation, activation: the unit that the cspdarknet lineage is made of."""

import math
from collections.abc import Callable
from typing import Literal, TypeGuard

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from gffpn.choice import choose


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """Batch normalisation with the lineage's constants, eps 1e-3 and momentum 0.03."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.03)


class SiLU(nn.Module):
    """x sigmoid(x), in place where no gradient is wanted: with one, autograd would copy x to keep it."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        return functional.silu(x, inplace=not x.requires_grad)


def silu() -> nn.Module:
    """The lineage's activation."""
    return SiLU()


def relu() -> nn.Module:
    """ReLU in place."""
    return nn.ReLU(inplace=True)


Norm = Literal["none", "batch"]
NORMS: dict[Norm, Callable[[int], nn.Module]] = {"none": nn.Identity, "batch": batch_norm}


def optional_norm(norm: Norm, channels: int) -> nn.Module:
    """A norm for `channels` channels: `none`, the identity; `batch`, `batch_norm`."""
    return choose("norm", norm, NORMS)(channels)


def scaled_width(channels: int, width: float) -> int:
    """`channels` times the width multiple, up to the next multiple of 8."""
    if not width > 0:
        raise ValueError(f"width: got {width!r}, expected a multiple > 0")
    return math.ceil(channels * width / 8) * 8


def start_convolutions(module: nn.Module, start: Callable[[Tensor], object]) -> None:
    """`start` for the weight of every convolution, zero for its bias."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            start(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def is_batch_norm(norm: nn.Module) -> TypeGuard[_BatchNorm]:
    """Whether it is a BatchNorm and nothing more: timm's has an activation.

    After a training with `sync_batchnorm`, Lightning leaves a class of its own in BatchNorm2d's place.
    """
    return isinstance(norm, _BatchNorm) and type(norm).forward is _BatchNorm.forward


class ConvBNAct(nn.Module):
    """act(BN(conv(x))).

    (N, C_in, H, W) to (N, C_out, ceil(H / stride), ceil(W / stride)) for odd kernels; an even kernel gives
    the floor. `bias`: of the convolution, which the norm makes idle (a few published modules keep it).
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
        """What follows the convolution."""
        return self.act(self.norm(convolved))

    def fold(self) -> None:
        """The convolution takes the norm in: the inference form."""
        if is_batch_norm(self.norm):
            self.conv = fuse_conv_bn_eval(self.conv, self.norm)
            self.norm = nn.Identity()
