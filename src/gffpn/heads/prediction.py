"""The last convolution of a head and its output before training."""

import torch
from scipy.optimize import brentq
from torch import Tensor, nn


def prediction_conv(in_channels: int, start: Tensor) -> nn.Conv2d:
    """Return a 1x1 convolution to len(start) channels with `start` as its bias.

    `start` is thus the prediction of an untrained head.
    """
    conv = nn.Conv2d(in_channels, len(start), 1)
    conv.bias = nn.Parameter(start.clone())  # levels share `start` but must not share the parameter
    return conv


def logits_of_mean(mean: float, bins: int) -> Tensor:
    """Return logits (bins,), linear in the bin, whose softmax has the given mean (0 < mean < bins - 1)."""
    # on the CPU, because the values are read below even if the head is built on the meta device
    positions = torch.arange(bins, dtype=torch.float64, device="cpu")

    def excess(slope: float) -> float:
        return float(((slope * positions).softmax(0) * positions).sum()) - mean

    return (brentq(excess, -16.0, 16.0, xtol=1e-15) * positions).float()
