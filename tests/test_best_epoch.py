"""Which epoch is kept as the best one, and is it the same after a resumption?"""

import math
import shutil
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from gffpn.callbacks.checkpoints import BestCheckpoint, MovableCheckpoint, WholeCheckpoints, complete_last

NAN = math.nan


class Scripted(L.LightningModule):
    """A module whose metric is given for each epoch."""

    def __init__(self, scores: list[float]) -> None:
        super().__init__()
        self.scores = scores
        self.layer = nn.Linear(1, 1)

    def training_step(self, batch: Tensor, batch_index: int) -> Tensor:
        return self.layer(batch).sum()

    def validation_step(self, batch: Tensor, batch_index: int) -> None:
        self.log("val/mAP50", self.scores[self.current_epoch])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def train(scores: list[float], epochs: int, folder: Path) -> None:
    """Train up to this epoch as a run does, or go on from the last one in the folder."""
    saving: dict[str, Any] = {"enable_version_counter": False, "save_on_train_epoch_end": False}
    best = BestCheckpoint(folder, "best", monitor="val/mAP50", **saving)
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=[best, MovableCheckpoint(folder, "last", **saving)],
        plugins=[WholeCheckpoints()],
        logger=False,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    data = DataLoader(torch.ones(1, 1), num_workers=0)
    last = folder / "last.ckpt"
    trainer.fit(Scripted(scores), data, data, ckpt_path=last if last.exists() else None, weights_only=True)


def chosen(folder: Path) -> int:
    return torch.load(folder / "best.ckpt", weights_only=True)["epoch"]


@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:Checkpoint directory")
@pytest.mark.filterwarnings("ignore:The number of training batches", "ignore:The `srun` command")
@pytest.mark.parametrize(
    ("scores", "epoch"),
    [
        ([0.0, 0.0, 0.0], 2),
        ([0.1, 0.3, 0.3, 0.2], 2),
        ([0.3, 0.2, 0.3], 2),
        ([NAN, NAN], 1),
        ([NAN, 0.0, NAN], 1),
        ([0.0, NAN], 0),
    ],
)
def test_the_latest_of_the_best_epochs_is_kept(scores: list[float], epoch: int, tmp_path: Path) -> None:
    for interrupted_after in range(len(scores)):
        folder = tmp_path / str(interrupted_after)
        if interrupted_after:
            train(scores, interrupted_after, folder)
        train(scores, len(scores), folder)
        assert chosen(folder) == epoch
        assert {path.name for path in folder.iterdir()} == {"best.ckpt", "last.ckpt"}


@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:Checkpoint directory")
@pytest.mark.filterwarnings("ignore:The number of training batches", "ignore:The `srun` command")
def test_a_best_epoch_that_is_newer_than_the_last_one_is_not_repeated(tmp_path: Path) -> None:
    """A kill between the two checkpoints of epoch 1, which would get another figure in a repetition."""
    train([0.3], 1, tmp_path)
    shutil.copy(tmp_path / "last.ckpt", tmp_path / "older.ckpt")
    train([0.3, 0.5], 2, tmp_path)
    (tmp_path / "older.ckpt").replace(tmp_path / "last.ckpt")
    complete_last(tmp_path)
    train([0.3, 0.2, 0.4], 3, tmp_path)
    last = torch.load(tmp_path / "last.ckpt", weights_only=True)
    (best,) = (state for name, state in last["callbacks"].items() if "val/mAP50" in name)
    assert float(best["best_model_score"]) == 0.5
    assert (chosen(tmp_path), last["epoch"]) == (1, 2)
    complete_last(tmp_path)  # nothing to do
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["epoch"] == 2
