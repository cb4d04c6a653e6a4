"""Check that stops a run whose loss is no longer finite, naming the images of the latest steps."""

import math
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

Step = tuple[int, float, list[str]]
"""Step number, loss and image names of one step in one process."""
SHOWN = 8
"""Largest number of file names in the message; the traceback lists all of them."""


class LossNotFiniteError(ArithmeticError):
    """Error for a NaN or infinite loss. Its notes list the images of every step since the last check."""


class FiniteLoss(Callback):
    """Callback that checks the losses of `every` steps together, to avoid waiting for the GPU at each step.

    The checkpoints of finished epochs stay intact: no epoch is saved before its losses are checked.
    Raises LossNotFiniteError if a loss is NaN or infinite.
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
        losses = torch.stack([loss for _, loss, _ in steps])
        records = trainer.datamodule.index.splits["train"]  # type: ignore[attr-defined]
        reported: list[Step] = []
        if not losses.isfinite().all():
            for (step, _, images), loss in zip(steps, losses.tolist(), strict=True):
                reported.append((step, loss, [records[position].name for position in dict.fromkeys(images)]))
        everywhere = _gathered(reported, trainer.world_size)
        if any(everywhere):
            raise _error(everywhere, trainer.current_epoch)


def _gathered(reported: list[Step], world_size: int) -> list[list[Step]]:
    """Return the steps reported by each process.

    All processes must stop together, as a bad loss spreads to all weights.
    """
    if world_size == 1:
        return [reported]
    everywhere: list[list[Step]] = [[] for _ in range(world_size)]
    torch.distributed.all_gather_object(everywhere, reported)
    return everywhere


def _error(everywhere: list[list[Step]], epoch: int) -> LossNotFiniteError:
    """Return the error that names the images of the earliest bad step; its notes list those of every step."""
    steps = sorted(
        (step, rank, loss, names)
        for rank, reported in enumerate(everywhere)
        for step, loss, names in reported
    )
    step, _, loss, names = next(row for row in steps if not math.isfinite(row[2]))
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    error = LossNotFiniteError(
        f"the loss is {loss} at step {step} (epoch {epoch + 1}), on the images {', '.join(names[:SHOWN])}"
        f"{more}. A lower optim.lr, optim.gradient_clip or trainer.precision=32-true may help"
    )
    error.add_note("Images of the steps since the last check:")
    for number, rank, value, images in steps:
        where = f", process {rank}" if len(everywhere) > 1 else ""
        error.add_note(f"  step {number}{where}, loss {value:g}: {', '.join(images)}")
    return error
