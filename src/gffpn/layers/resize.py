"""Resizing between levels, always to the size of another map, so that odd sizes work."""

from torch import Tensor
from torch.nn import functional


def upsample_to(x: Tensor, lateral: Tensor) -> Tensor:
    """Resize `x` (N, C, h, w) to the height and width of `lateral` by nearest neighbour."""
    return functional.interpolate(x, size=lateral.shape[-2:], mode="nearest")
