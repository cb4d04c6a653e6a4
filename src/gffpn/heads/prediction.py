"""The last convolution of a head, and what it says before training."""

import torch
from torch import Tensor, nn


def prediction_conv(in_channels: int, start: Tensor) -> nn.Conv2d:
    """1x1 convolution to len(start) channels whose bias, the prediction of an untrained head, is `start`."""
    conv = nn.Conv2d(in_channels, len(start), 1)
    conv.bias = nn.Parameter(start.clone())  # levels share `start`, and must not share the parameter
    return conv


def logits_of_mean(mean: float, bins: int) -> Tensor:
    """Logits (bins), linear in the bin, whose softmax has that mean (0 < mean < bins - 1), by bisection."""
    positions = torch.arange(
        bins, dtype=torch.float64, device="cpu"
    )  # read below, even if the head is built on meta
    low, high = -16.0, 16.0
    for _ in range(50):
        slope = (low + high) / 2
        reached = float(((slope * positions).softmax(0) * positions).sum())
        low, high = (slope, high) if reached < mean else (low, slope)
    return (low * positions).float()
