"""What a network draws while it trains (dropout, stochastic depth) comes from a stream of its own."""

from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

from gffpn.streams import derive_seed


class StepStream(Callback):
    """Seeds torch before each step from (seed, step, rank) alone, so that a resumed run draws the same."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        seed = derive_seed(self.seed, "step", trainer.global_step, trainer.global_rank)
        # what draws here, by name: torch.manual_seed looks for every kind of device, for a millisecond
        torch.default_generator.manual_seed(seed)
        device = trainer.strategy.root_device
        if device.type != "cpu":
            torch.get_device_module(device).manual_seed(seed)
