"""The inference form of a network: the same function in fewer operations.

BatchNorm in eval mode is a scale and a shift, which can be folded into the preceding convolution.
"""

import copy
from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from gffpn.layers.conv import is_batch_norm
from gffpn.pyramid import Foldable

Module = TypeVar("Module", bound=nn.Module)


@torch.no_grad()
def inference_form(module: Module) -> Module:
    """Return a copy in eval mode with every `Foldable` and every adjacent convolution-norm pair folded.

    Its outputs equal the original's up to rounding, and it takes no more operations. A BatchNorm stays if no
    convolution directly precedes it in an `nn.Sequential`, as in most of timm's backbones.
    """
    twin = copy.deepcopy(module).eval()
    for part in list(twin.modules()):
        if isinstance(part, Foldable):
            part.fold()
        elif isinstance(part, nn.Sequential):
            _fold_row(part)
    return twin


def _fold_row(row: nn.Sequential) -> None:
    names: Sequence[str] = list(row._modules)
    for first, second in pairwise(names):
        conv, norm = row.get_submodule(first), row.get_submodule(second)
        # a subclass of Conv2d may compute more, such as a standardised weight
        if type(conv) is nn.Conv2d and is_batch_norm(norm):
            row._modules[first] = fuse_conv_bn_eval(conv, norm)
            row._modules[second] = nn.Identity()
