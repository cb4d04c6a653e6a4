"""Evaluated images with their boxes, as a PNG in the run's folder and as W&B overlays."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import WandbLogger
from PIL import Image, ImageDraw
from torch import Tensor
from torchvision.utils import make_grid

from gffpn.data.sampler import random_positions

# show what the detector would report, without the low-scoring tail that average precision needs
SHOWN_SCORE = 0.25
COLUMNS = 4
SHOWN_WIDTH = 448
"""Approximate width in pixels; smaller images are enlarged by an integer factor."""


class Pictures(Callback):
    """Callback that draws some images of val (each epoch, to `val.png`) and of test (to `test.png`).

    They are drawn at random from the images that the first process evaluates, the same ones for every run.
    Ground truth is green, and grey where it is a crowd region, in which no detection is false; detections
    with a score of at least 0.25 are orange.
    """

    def __init__(self, folder: Path, *, count: int) -> None:
        self.folder = folder
        self.count = count
        self._kept: list[tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]] = []
        self._seen = 0
        self._chosen: set[int] = set()

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._choose("val", trainer.val_dataloaders)

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._choose("test", trainer.test_dataloaders)

    def on_validation_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, *_: Any, **__: Any
    ) -> None:
        self._keep(outputs, batch)

    def on_test_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, *_: Any, **__: Any
    ) -> None:
        self._keep(outputs, batch)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        next_time = trainer.current_epoch + 1
        self._show(trainer, "val", to_wandb=next_time >= (trainer.max_epochs or 1))

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._show(trainer, "test", to_wandb=True)

    def _choose(self, split: str, loader: Any) -> None:
        """Choose among the images of a loader, by their order in it."""
        self._chosen = set(random_positions(len(loader.sampler), self.count, "pictures", split))
        self._kept, self._seen = [], 0

    def _keep(self, outputs: Any, batch: Any) -> None:
        rows = zip(batch["images"], batch["targets"], outputs["detections"], strict=True)
        self._kept += [row for number, row in enumerate(rows, self._seen) if number in self._chosen]
        self._seen += len(batch["images"])

    def _show(self, trainer: L.Trainer, split: str, *, to_wandb: bool) -> None:
        kept, self._kept = self._kept, []
        if not kept or not trainer.is_global_zero:
            return
        classes = trainer.datamodule.index.classes  # type: ignore[attr-defined]
        self.folder.mkdir(parents=True, exist_ok=True)
        grid = make_grid([drawn(*row, classes) for row in kept], nrow=COLUMNS, padding=4)
        # every epoch waits for this: level 1 takes a quarter of the time for a file that is a sixth larger
        picture = Image.fromarray(grid.permute(1, 2, 0).numpy())
        picture.save(self.folder / f"{split}.png", compress_level=1)
        for logger in trainer.loggers:
            if to_wandb and isinstance(logger, WandbLogger):
                logger.log_image(
                    f"{split}/pictures",
                    [image.cpu().permute(1, 2, 0).numpy() for image, _, _ in kept],
                    boxes=[overlay(*row, classes) for row in kept],
                )


def drawn(
    image: Tensor, target: dict[str, Tensor], found: dict[str, Tensor], classes: Sequence[str]
) -> Tensor:
    """Draw the boxes on an image (3, H, W), enlarged if it is small; return a uint8 picture (3, h, w)."""
    height, width = image.shape[-2:]
    zoom = max(1, round(SHOWN_WIDTH / width))
    pixels = Image.fromarray(image.cpu().permute(1, 2, 0).numpy())
    picture = pixels.resize((width * zoom, height * zoom), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    shown = found["scores"] >= SHOWN_SCORE
    detections = zip(found["labels"][shown].tolist(), found["scores"][shown].tolist(), strict=True)
    captions = [f"{classes[label]} {score:.2f}" for label, score in detections]
    crowd = target["crowd"]
    truth, crowds = ([classes[k] for k in target["labels"][which].tolist()] for which in (~crowd, crowd))
    # ground truth is labelled above its box and a detection below, so that both can be read
    for boxes, names, colour, below in (
        (target["boxes"][crowd], crowds, "silver", False),
        (target["boxes"][~crowd], truth, "lime", False),
        (found["boxes"][shown], captions, "orange", True),
    ):
        for (x1, y1, x2, y2), name in zip((boxes.float().cpu() * zoom).tolist(), names, strict=True):
            # the outline must not cover the object that it marks
            pen.rectangle((x1 - 1, y1 - 1, x2 + 1, y2 + 1), outline=colour)
            pen.text((x1, y2 + 2) if below else (x1, y1 - 2), name, colour, anchor="la" if below else "ld")
    return torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)


def overlay(
    image: Tensor, target: dict[str, Tensor], found: dict[str, Tensor], classes: Sequence[str]
) -> dict[str, Any]:
    """Return ground truth and detections of an image (3, H, W) in the form of `wandb.Image(boxes=...)`."""
    names = dict(enumerate(classes))
    height, width = image.shape[-2:]
    # W&B accepts integer pixels or fractions of a side; small boxes need the fractions
    sides = torch.tensor([width, height, width, height])
    truth, boxes = target["boxes"].float().cpu() / sides, found["boxes"].float().cpu() / sides
    shown, crowd, labels = found["scores"] >= SHOWN_SCORE, target["crowd"].cpu(), target["labels"].cpu()
    groups = {
        "truth": _box_data(truth[~crowd], labels[~crowd], None, names),
        "crowd": _box_data(truth[crowd], labels[crowd], None, names),
        "detections": _box_data(boxes[shown.cpu()], found["labels"][shown], found["scores"][shown], names),
    }
    # a run without crowd regions has no group of that name
    return {
        group: {"box_data": rows, "class_labels": names}
        for group, rows in groups.items()
        if rows or group != "crowd"
    }


def _box_data(
    boxes: Tensor, labels: Tensor, scores: Tensor | None, names: dict[int, str]
) -> list[dict[str, Any]]:
    rows = []
    for position, (box, label) in enumerate(zip(boxes.tolist(), labels.tolist(), strict=True)):
        row: dict[str, Any] = {
            "position": dict(zip(("minX", "minY", "maxX", "maxY"), box, strict=True)),
            "class_id": label,
            "box_caption": names[label],
        }
        if scores is not None:
            row["scores"] = {"score": float(scores[position])}
        rows.append(row)
    return rows
