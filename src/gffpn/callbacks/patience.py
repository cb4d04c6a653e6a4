"""Early stopping: the end of a training whose val mAP50 no longer rises."""

import lightning as L
from lightning.pytorch.callbacks import EarlyStopping


class Patience(EarlyStopping):
    """Callback that ends the training after `patience` validations in a row without a new highest val mAP50.

    A run that is interrupted after that resumes with its test.
    """

    def __init__(self, patience: int) -> None:
        super().__init__(
            monitor="val/mAP50",
            mode="max",
            patience=patience,
            check_finite=False,  # NaN, the metric of no objects, is no rise
            check_on_train_epoch_end=False,
        )

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        super().on_validation_end(trainer, pl_module)
        if trainer.should_stop and trainer.is_global_zero:
            print(
                f"Stopped early after epoch {trainer.current_epoch + 1} of {trainer.max_epochs}: "
                f"val mAP50 has not risen in {self.wait_count} validations (trainer.patience)",
                flush=True,
            )
