"""An exponential moving average of the weights, with a ramp."""

from itertools import chain
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor, nn


def ramped(decay: float, updates: int) -> float:
    """The decay after some updates: a short run's average must not stay at its random start."""
    return min(decay, (1 + updates) / (10 + updates))


class RampedEMA(WeightAveraging):
    """Averages weights and buffers after every step; validation and best.ckpt see the average.

    Lightning tests the raw weights on the trainer that has just fitted: test with a fresh
    Trainer from best.ckpt.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(use_buffers=True)
        self.decay = decay
        self._tensors: list[tuple[list[Tensor], list[Tensor]]] = []

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Keep the average where the weights will be: they move to their device only after this."""
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)
        self._tensors = []

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Bring the average up to a new step; not by AveragedModel, which gathers all tensors each time."""
        if trainer.global_step == self._latest_update_step:
            return
        if not self._tensors:
            assert self._average_model is not None
            pairs = list(zip(_tensors(self._average_model.module), _tensors(pl_module), strict=True))
            for floating in (True, False):  # batch counters are whole numbers
                kind = [pair for pair in pairs if pair[0].is_floating_point() == floating]
                self._tensors.append(([average for average, _ in kind], [current for _, current in kind]))
        # the step counter, not AveragedModel's tensor, so that nothing waits for a GPU; the first is a copy
        updates = self._latest_update_step
        (averages, currents), (averaged_counts, counts) = self._tensors
        torch._foreach_lerp_(averages, currents, 1 - ramped(self.decay, updates) if updates else 1.0)
        torch._foreach_copy_(averaged_counts, counts)
        self._latest_update_step = trainer.global_step


def _tensors(module: nn.Module) -> list[Tensor]:
    return [tensor.detach() for tensor in chain(module.parameters(), module.buffers())]
