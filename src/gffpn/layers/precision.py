"""Parts of a network that a low precision would spoil compute in fp32, whatever runs around them."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def without_autocast(device: str) -> AbstractContextManager[object]:
    """No autocast inside; nothing to switch off where there is none (the meta device, which counts)."""
    available = torch.amp.is_autocast_available(device)
    return torch.autocast(device, enabled=False) if available else nullcontext()


def at_least_fp32(x: Tensor) -> torch.dtype:
    """fp32 for x in half precision, else the type of x."""
    return torch.promote_types(x.dtype, torch.float32)
