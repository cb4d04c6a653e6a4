"""Interruption of training by SIGTERM."""

import lightning as L
from lightning.pytorch.callbacks import Callback

from gffpn.machine.signals import interrupt_on_sigterm


class Interruptible(Callback):
    """Let SIGTERM interrupt a trainer at once, as Ctrl-C does.

    Lightning's own handler would first broadcast the signal to the other processes of the run, while these
    may be waiting for gradients. It is set before the hooks below; when the trainer ends, Lightning restores
    the handler that was there before.
    """

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        interrupt_on_sigterm()

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        interrupt_on_sigterm()
