"""An exponential moving average of the weights, with a ramp."""

from collections.abc import Sequence

import lightning as L
import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor


def ramped(decay: float, updates: int) -> float:
    """The decay after some updates: a short run's average must not stay at its random start."""
    return min(decay, (1 + updates) / (10 + updates))


class RampedEMA(WeightAveraging):
    """Averages weights and buffers after every step; validation and best.ckpt see the average.

    Lightning tests the raw weights on the trainer that has just fitted: test with a fresh
    Trainer from best.ckpt.
    """

    def __init__(self, decay: float) -> None:
        def average(averages: Sequence[Tensor], currents: Sequence[Tensor], _: Tensor | int) -> None:
            # one call a dtype; the step counter, not AveragedModel's tensor, so that nothing waits for a GPU
            if averages[0].is_floating_point():
                weight = 1 - ramped(decay, self._latest_update_step)
                torch._foreach_lerp_(list(averages), list(currents), weight)
            else:  # batch counters
                for averaged, current in zip(averages, currents, strict=True):
                    averaged.copy_(current)

        super().__init__(use_buffers=True, multi_avg_fn=average)

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Keep the average where the weights will be: they move to their device only after this."""
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)
