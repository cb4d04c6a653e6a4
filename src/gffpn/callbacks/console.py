"""One printed line per validated epoch, to follow a long run in a log file or through a pipe."""

import time
from typing import Any, NamedTuple

import lightning as L
from lightning.pytorch.callbacks import Callback

from gffpn.machine.others import Neighbours


class EpochLines(Callback):
    """Callback that prints a line per validation and keeps the training time, also across resumptions.

    The line shows the losses, val mAP50, the speed, and the time spent and left. `seconds_of_others` is the
    sum over the lines of their seconds times the share of the cores that other processes took.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.seconds_of_others = 0.0
        self._neighbours: Neighbours | None = None
        self._line_start = 0.0
        self._images = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._line_start = time.monotonic()
        self._images = 0
        # of several processes, the others would count as neighbours
        self._neighbours = Neighbours() if trainer.world_size == 1 else None

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._images += len(batch["images"])

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn == "fit":  # allows curves to be plotted over time as well as over epochs
            minutes = (self.seconds + time.monotonic() - self._line_start) / 60
            pl_module.log("train/minutes", minutes, sync_dist=True)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Print the line of the epochs since the last validation."""
        spent = time.monotonic() - self._line_start
        self.seconds += spent
        self._line_start = time.monotonic()
        if self._neighbours:
            self.seconds_of_others += spent * self._neighbours.share()
            self._neighbours = Neighbours()
        images, self._images = self._images, 0
        if not trainer.is_global_zero:
            return
        metrics = trainer.callback_metrics
        done, total = trainer.current_epoch + 1, trainer.max_epochs or 0
        rate = images * trainer.world_size / spent
        left = self.seconds / done * (total - done) / 60
        print(
            f"epoch {done}/{total}  train loss {float(metrics.get('train/loss', float('nan'))):.3f}  "
            f"val loss {float(metrics.get('val/loss', float('nan'))):.3f}  "
            f"val mAP50 {100 * float(metrics.get('val/mAP50', float('nan'))):.1f} %  "
            f"{rate:.1f} images/s  {spent:.0f} s, {left:.1f} min left",
            flush=True,
        )

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds, "seconds_of_others": self.seconds_of_others}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seconds = state_dict["seconds"]
        # a checkpoint may be older than this
        self.seconds_of_others = state_dict.get("seconds_of_others", 0.0)


class TrainingTime(NamedTuple):
    """Time of training and validation, over all attempts."""

    minutes: float
    others: float
    """Share of the cores that other processes took meanwhile, while none was free."""


def training_time(trainer: L.Trainer) -> TrainingTime:
    """Return how long this trainer has trained."""
    (clock,) = (callback for callback in trainer.callbacks if isinstance(callback, EpochLines))  # type: ignore[attr-defined]
    return TrainingTime(clock.seconds / 60, clock.seconds_of_others / clock.seconds if clock.seconds else 0.0)
