"""Separate random stream for the numbers drawn by a network in training (dropout, stochastic depth)."""

from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

from gffpn.streams import derive_seed


class StepStream(Callback):
    """Callback that seeds torch before each step.

    The seed depends on (seed, epoch, batch, rank) only, so that a resumed run draws the same numbers.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        seed = derive_seed(self.seed, "step", trainer.current_epoch, batch_idx, trainer.global_rank)
        # seed only the generators in use: torch.manual_seed checks for every kind of device, in a millisecond
        torch.default_generator.manual_seed(seed)
        device = trainer.strategy.root_device
        if device.type != "cpu":
            torch.get_device_module(device).manual_seed(seed)
