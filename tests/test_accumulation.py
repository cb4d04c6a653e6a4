"""Does a step on several batches equal one on a batch of all their images?"""

from typing import Any, cast

import lightning as L
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from gffpn.optim import Recipe
from gffpn.task import DetectionTask


class Weight(nn.Module):
    """A detector whose prediction for an image is its brightness times a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Identity()
        self.weight = nn.Parameter(torch.ones(1, 1))

    def forward(self, images: Tensor) -> list[Tensor]:
        return [self.weight * images.mean((1, 2, 3))]


class Mean:
    """A loss that is the mean over the images."""

    def __call__(self, raw: list[Tensor], targets: object, image_size: object) -> dict[str, Tensor]:
        return {"loss": raw[0].mean()}


class Sum:
    """A loss that is the sum over the images."""

    sums_over_images = True

    def __call__(self, raw: list[Tensor], targets: object, image_size: object) -> dict[str, Tensor]:
        return {"loss": raw[0].sum()}


def trained(loss: Mean | Sum, *, batch_size: int, every: int) -> list[float]:
    """Return the weight after one epoch of six images, and the number of its steps."""
    recipe = Recipe(
        optimizer="sgd",
        lr=0.1,
        momentum=0.0,
        weight_decay=0.0,
        schedule="constant",
        warmup_epochs=0,
        final_lr=1.0,
        gradient_clip=None,
        ema_decay=None,
    )
    detector = cast(Any, Weight())
    task = DetectionTask(detector, loss, cast(Any, None), recipe, classes=("dent",), channels_last=False)
    images = torch.arange(0, 240, 40, dtype=torch.uint8).view(6, 1, 1, 1).expand(6, 3, 1, 1)
    data = DataLoader([{"images": part, "targets": []} for part in images.split(batch_size)], batch_size=None)
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=1,
        accumulate_grad_batches=every,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(task, data)
    return [detector.weight.item(), trainer.global_step]


@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:The `srun` command")
@pytest.mark.filterwarnings("ignore:You defined a `validation_step`")
@pytest.mark.parametrize("loss", [Mean(), Sum()])
def test_a_step_on_two_batches_is_one_on_a_batch_of_their_images(loss: Mean | Sum) -> None:
    # six images: a step on four, and the last one, on the two that are left
    assert trained(loss, batch_size=2, every=2) == pytest.approx(trained(loss, batch_size=4, every=1))
