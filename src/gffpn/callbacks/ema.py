"""Exponential moving average of the weights, with a decay that ramps up."""

from itertools import chain
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor, nn


def ramped(decay: float, updates: int) -> float:
    """Return the decay after `updates` updates, which rises to `decay`.

    With a constant decay, the average of a short run would stay near its random initial weights.
    """
    return min(decay, (1 + updates) / (10 + updates))


class RampedEMA(WeightAveraging):
    """Moving average of weights and buffers, updated after every step and used in validation and best.ckpt.

    A trainer that has just fitted would test the raw weights: test with a new Trainer from best.ckpt.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(use_buffers=True)
        self.decay = decay
        self._tensors: list[tuple[list[Tensor], list[Tensor]]] = []

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Place the average on the device of the weights, which are moved there only after this hook."""
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)
        self._tensors = []

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the average after a new step.

        AveragedModel's own update is not used, as it collects all tensors each time.
        """
        if trainer.global_step == self._latest_update_step:
            return
        if not self._tensors:
            assert self._average_model is not None
            pairs = list(zip(_tensors(self._average_model.module), _tensors(pl_module), strict=True))
            for floating in (True, False):  # batch counters are integers, which are copied
                kind = [pair for pair in pairs if pair[0].is_floating_point() == floating]
                self._tensors.append(([average for average, _ in kind], [current for _, current in kind]))
        # reading AveragedModel's counter, a tensor, would wait for the GPU; the first update is a copy
        updates = self._latest_update_step
        (averages, currents), (averaged_counts, counts) = self._tensors
        torch._foreach_lerp_(averages, currents, 1 - ramped(self.decay, updates) if updates else 1.0)
        torch._foreach_copy_(averaged_counts, counts)
        self._latest_update_step = trainer.global_step


def _tensors(module: nn.Module) -> list[Tensor]:
    return [tensor.detach() for tensor in chain(module.parameters(), module.buffers())]
