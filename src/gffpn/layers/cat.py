"""Concatenation of maps over their channels, with gradients that a CPU reads fast."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor


class _DenseGradients(torch.autograd.Function):
    """torch.cat(maps, 1) whose gradients are contiguous tensors instead of slices."""

    @staticmethod
    def forward(ctx: Any, *maps: Tensor) -> Tensor:
        ctx.widths = [one.shape[1] for one in maps]
        return torch.cat(maps, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        channels_last = gradient.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        return tuple(part.contiguous(memory_format=layout) for part in torch.split(gradient, ctx.widths, 1))


def cat_channels(maps: Sequence[Tensor]) -> Tensor:
    """Return torch.cat(maps, 1) of maps (N, C_i, H, W).

    torch.cat passes back slices of one gradient, which the preceding operations then read with gaps; on a
    CPU, in the channels-last layout, this makes a training step 5 to 10 % longer than copying the slices
    once.
    """
    if maps[0].device.type == "cpu" and torch.is_grad_enabled():
        return cast(Tensor, _DenseGradients.apply(*maps))
    return torch.cat(tuple(maps), 1)
