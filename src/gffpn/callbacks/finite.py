"""Stops a run whose loss is no longer a number, and says which images it had just seen."""

from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

SHOWN = 8
"""File names that the message itself tells; all of them stand in the traceback."""


class LossNotFiniteError(ArithmeticError):
    """The loss became NaN or infinite. Its notes name the images of every step since the last check."""


class FiniteLoss(Callback):
    """Checks the losses of every `every` steps at once, so that a GPU is not waited for at each step.

    The checkpoints of finished epochs stay as they are: no epoch is saved before its losses are checked.
    Raises LossNotFiniteError.
    """

    def __init__(self, every: int = 10) -> None:
        self.every = every
        self._steps: list[tuple[int, Tensor, list[int]]] = []

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        images = [position for target in batch["targets"] for position in target["sources"]]
        self._steps.append((trainer.global_step - 1, outputs["loss"].detach(), images))
        if len(self._steps) >= self.every or trainer.is_last_batch:
            self._check(trainer)

    def _check(self, trainer: L.Trainer) -> None:
        steps, self._steps = self._steps, []
        finite = torch.stack([loss for _, loss, _ in steps]).isfinite().tolist()
        if all(finite):
            return
        records = trainer.datamodule.index.splits["train"]  # type: ignore[attr-defined]
        named = [[records[position].name for position in dict.fromkeys(images)] for _, _, images in steps]
        first = finite.index(False)
        step, loss, _ = steps[first]
        shown = ", ".join(named[first][:SHOWN])
        more = len(named[first]) - SHOWN
        error = LossNotFiniteError(
            f"the loss is {float(loss)} at step {step} (epoch {trainer.current_epoch + 1}), on the images "
            f"{shown}{f' and {more} more' if more > 0 else ''}. A lower optim.lr, optim.gradient_clip or "
            "trainer.precision=32-true may help"
        )
        error.add_note(f"Images of the steps since the last check, from data.root={_root(trainer)}:")
        for (number, value, _), names in zip(steps, named, strict=True):
            error.add_note(f"  step {number}, loss {float(value):g}: {', '.join(names)}")
        raise error


def _root(trainer: L.Trainer) -> str:
    return str(trainer.datamodule.index.splits["train"][0].path.parent)  # type: ignore[attr-defined]
