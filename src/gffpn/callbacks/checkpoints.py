"""Checkpoint files that are written atomically and loaded without executing code from them."""

import io
import shutil
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

from gffpn.files.writing import whole_file
from gffpn.weights import load_torch


class WholeCheckpoints(TorchCheckpointIO):
    """Checkpoint writer that replaces a file in one step, and reader that never unpickles code.

    Lightning writes to the system's temporary folder and moves the file from there. If that folder is on
    another disk, the move is a copy, and a kill leaves an incomplete file under the checkpoint's final name.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        # serialise in memory: torch.save hides the system's error message when the disk is full
        content = io.BytesIO()
        torch.save(checkpoint, content)
        with whole_file(Path(path)) as draft:
            draft.write_bytes(content.getbuffer())

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        # a checkpoint may come from someone else: never unpickle code, even if the caller asks for it
        content: dict[str, Any] = load_torch(Path(path), map_location)
        return content


class MovableCheckpoint(ModelCheckpoint):
    """Checkpoint callback that keeps its record of the best epoch after the run's folder has been moved.

    In that case Lightning forgets the best score, so that the next epoch would replace a better one, and it
    would delete the best checkpoint in the old folder.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        here, there = str(self.dirpath), str(state_dict["dirpath"])

        def moved(value: Any) -> Any:
            if isinstance(value, dict):
                return {moved(key): moved(item) for key, item in value.items()}
            return here + value[len(there) :] if isinstance(value, str) and value.startswith(there) else value

        super().load_state_dict(moved(state_dict))


class BestCheckpoint(MovableCheckpoint):
    """Checkpoint callback that keeps the epoch with the highest `monitor`, and of several the latest one.

    Lightning keeps the first one. Early in a training, the metric is often equally 0 in several epochs while
    the loss still falls. NaN, the metric of no objects, counts as the lowest value.
    """

    def __init__(self, dirpath: Path, filename: str, *, monitor: str, **saving: Any) -> None:
        super().__init__(dirpath, filename, monitor=monitor, mode="max", save_top_k=1, **saving)

    def check_monitor_top_k(self, trainer: L.Trainer, current: Tensor | None = None) -> bool:
        if current is None:
            return False
        best = self.best_k_models.get(self.kth_best_model_path)
        # not below the best, which is -inf if it was NaN
        better = best is None or not bool(current.nan_to_num(-torch.inf) < best)
        return trainer.strategy.reduce_boolean_decision(better)


def complete_last(checkpoints: Path) -> None:
    """Replace last.ckpt in a folder by best.ckpt if that is newer, as after a kill between the two.

    Both hold all of a training. Otherwise its newest epoch would be repeated, and might get another figure,
    for instance on a GPU: best.ckpt would keep weights whose figure is nowhere, and the best one would be
    another epoch's. Raises WeightsError if a checkpoint cannot be read.
    """
    best, last = checkpoints / "best.ckpt", checkpoints / "last.ckpt"
    if last.exists() and best.exists() and load_torch(best)["epoch"] > load_torch(last)["epoch"]:
        with whole_file(last) as draft:
            shutil.copyfile(best, draft)


class EpochWeights(Callback):
    """Callback that keeps the weights that are validated after every `every` epochs, as `epoch_<N>.ckpt`.

    It must come before the callback that averages weights, which takes the average out of the network at the
    end of a validation.
    """

    def __init__(self, folder: Path, every: int) -> None:
        self.folder = folder
        self.every = every

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        if trainer.state.fn == "fit" and trainer.is_global_zero and epoch % self.every == 0:
            content = {"state_dict": pl_module.state_dict(), "epoch": epoch}
            WholeCheckpoints().save_checkpoint(content, self.folder / f"epoch_{epoch}.ckpt")
