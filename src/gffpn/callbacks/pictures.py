"""Some evaluated images with their boxes: a PNG in the run's folder, and W&B's own overlays."""

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

# a picture shows what the detector would report, not the tail that average precision wants
SHOWN_SCORE = 0.25
COLUMNS = 4
SHOWN_WIDTH = 448
"""Pixels, about: smaller images are enlarged by a whole factor."""


class Pictures(Callback):
    """Draws the first images of val (each epoch, to `val.png`) and of test (`test.png`).

    Ground truth is green, detections (score 0.25 and up) are orange.
    """

    def __init__(self, folder: Path, *, count: int) -> None:
        self.folder = folder
        self.count = count
        self._kept: list[tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]] = []

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

    def _keep(self, outputs: Any, batch: Any) -> None:
        wanted = self.count - len(self._kept)
        if wanted > 0:
            rows = zip(batch["images"], batch["targets"], outputs["detections"], strict=True)
            self._kept.extend(list(rows)[:wanted])

    def _show(self, trainer: L.Trainer, split: str, *, to_wandb: bool) -> None:
        kept, self._kept = self._kept, []
        if not kept or not trainer.is_global_zero:
            return
        classes = trainer.datamodule.index.classes  # type: ignore[attr-defined]
        self.folder.mkdir(parents=True, exist_ok=True)
        grid = make_grid([drawn(*row, classes) for row in kept], nrow=COLUMNS, padding=4)
        # every epoch waits for it: the fast level, a sixth larger, takes a quarter of the time
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
    """A uint8 (3, h, w) picture of an image (3, H, W) with its boxes, enlarged if it is small."""
    height, width = image.shape[-2:]
    zoom = max(1, round(SHOWN_WIDTH / width))
    pixels = Image.fromarray(image.cpu().permute(1, 2, 0).numpy())
    picture = pixels.resize((width * zoom, height * zoom), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    shown = found["scores"] >= SHOWN_SCORE
    detections = zip(found["labels"][shown].tolist(), found["scores"][shown].tolist(), strict=True)
    told = [f"{classes[label]} {score:.2f}" for label, score in detections]
    truth = [classes[label] for label in target["labels"].tolist()]
    # the truth is named above its box, a detection below, so that both can be read
    for boxes, names, colour, below in (
        (target["boxes"], truth, "lime", False),
        (found["boxes"][shown], told, "orange", True),
    ):
        for (x1, y1, x2, y2), name in zip((boxes.float().cpu() * zoom).tolist(), names, strict=True):
            # a border stands outside the object that it marks
            pen.rectangle((x1 - 1, y1 - 1, x2 + 1, y2 + 1), outline=colour)
            pen.text((x1, y2 + 2) if below else (x1, y1 - 2), name, colour, anchor="la" if below else "ld")
    return torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)


def overlay(
    image: Tensor, target: dict[str, Tensor], found: dict[str, Tensor], classes: Sequence[str]
) -> dict[str, Any]:
    """Ground truth and detections on a (3, H, W) image, in the form of `wandb.Image(boxes=...)`."""
    names = dict(enumerate(classes))
    height, width = image.shape[-2:]
    # W&B takes whole pixels or fractions of a side; a small box needs the fractions
    sides = torch.tensor([width, height, width, height])
    truth, boxes = target["boxes"].float().cpu() / sides, found["boxes"].float().cpu() / sides
    shown = found["scores"] >= SHOWN_SCORE
    return {
        "truth": {
            "box_data": _box_data(truth, target["labels"], None, names),
            "class_labels": names,
        },
        "detections": {
            "box_data": _box_data(boxes[shown.cpu()], found["labels"][shown], found["scores"][shown], names),
            "class_labels": names,
        },
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
