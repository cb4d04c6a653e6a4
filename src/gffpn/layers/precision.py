"""Computation in fp32 for the parts of a network that low precision would spoil, even under autocast."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def without_autocast(device: str) -> AbstractContextManager[object]:
    """Return a context without autocast.

    It does nothing on a device without autocast (the meta device, which is used for counting).
    """
    available = torch.amp.is_autocast_available(device)
    return torch.autocast(device, enabled=False) if available else nullcontext()


def at_least_fp32(x: Tensor) -> torch.dtype:
    """Return fp32 if x is in half precision, otherwise the dtype of x."""
    return torch.promote_types(x.dtype, torch.float32)
