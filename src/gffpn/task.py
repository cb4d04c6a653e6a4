"""The LightningModule: its steps, logging and optimiser. It is independent of the configuration."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import lightning as L
import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from gffpn.detector import Detector
from gffpn.machine.processes import sum_over_processes
from gffpn.metrics.detection import DetectionMetric, logged
from gffpn.metrics.evaluated import Evaluated
from gffpn.optim import Recipe
from gffpn.pyramid import Normalising, SumsOverImages

Batch = dict[str, Any]
Target = dict[str, Tensor]
Detection = dict[str, Tensor]
LossFunction = Callable[[list[Tensor], list[Target], tuple[int, int]], dict[str, Tensor]]
DecodeFunction = Callable[[list[Tensor], tuple[int, int]], list[Detection]]


class DetectionTask(L.LightningModule):
    """LightningModule that trains and evaluates a detector.

    Batches are dicts: `images` uint8 (N, 3, H, W), `targets` a list of N dicts. The parts of the detector in
    `freeze` (backbone, neck, head) are not trained, and their norms keep their statistics.
    """

    def __init__(
        self,
        detector: Detector,
        loss: LossFunction,
        decode: DecodeFunction,
        recipe: Recipe,
        *,
        classes: tuple[str, ...],
        channels_last: bool,
        freeze: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.detector = detector.to(memory_format=self.memory_format)
        self.frozen = [self.detector.get_submodule(part).requires_grad_(False) for part in freeze]
        self.loss = loss
        self.decode = decode
        self.recipe = recipe
        self.val_metric = DetectionMetric(classes)
        self.test_metric = DetectionMetric(classes)
        # per split: the losses and the number of images of each step since the last validation
        self._losses: dict[str, list[tuple[dict[str, Tensor], int]]] = {"train": [], "val": []}
        self.evaluated: dict[str, Evaluated] = {}
        """By split, the detections and objects of the latest evaluation, of all processes."""
        self.chosen_epoch = 0
        """The epoch, counted from 1, of the checkpoint that was loaded last."""

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.chosen_epoch = checkpoint["epoch"] + 1

    def images(self, batch: Batch) -> Tensor:
        """Return the images as the detector takes them: 0..1, in the precision in which it computes."""
        images = cast(Tensor, batch["images"])
        kind = images.device.type
        # bit for bit the cast that autocast would apply at a first convolution
        backbone = self.detector.backbone
        normalises = isinstance(backbone, Normalising) and backbone.normalises
        lower = torch.is_autocast_enabled(kind) and not normalises
        dtype = torch.get_autocast_dtype(kind) if lower else torch.float32
        # changing layout and dtype in one call takes twice as long on a CPU
        return images.to(dtype).div_(255).contiguous(memory_format=self.memory_format)

    def on_train_epoch_start(self) -> None:
        for part in self.frozen:
            part.eval()

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        images = self.images(batch)
        total = self._total_loss("train", self.detector(images), batch)
        return total if self.trainer.accumulate_grad_batches == 1 else total * self._share(batch_index)

    def _share(self, batch_index: int) -> float:
        """Return the factor by which a step on several batches is one on a batch of all their images.

        Lightning divides the loss of each batch by their number, also in the last step of an epoch, which may
        have fewer.
        """
        every, batches = self.trainer.accumulate_grad_batches, int(self.trainer.num_training_batches)
        loss: object = self.loss
        if isinstance(loss, SumsOverImages) and loss.sums_over_images:
            return every
        left = batches % every
        return every / left if batch_index >= batches - left else 1.0

    def _total_loss(self, split: str, raw: list[Tensor], batch: Batch) -> Tensor:
        # training targets have no crowd regions, and visiting each of them takes time
        targets = batch["targets"] if split == "train" else [_objects(target) for target in batch["targets"]]
        parts = self.loss(raw, targets, size_of(batch["images"]))
        total = torch.stack(list(parts.values())).sum()
        detached = {name: value.detach() for name, value in {"loss": total, **parts}.items()}
        self._losses[split].append((detached, len(batch["images"])))
        return total

    def _log_losses(self, split: str) -> None:
        # once per epoch: Lightning needs a fifth of a millisecond per step for each value logged there
        steps, self._losses[split] = self._losses[split], []
        counts = torch.tensor([float(count) for _, count in steps], device=self.device)
        names = list(steps[0][0])
        losses = torch.stack([torch.stack([detached[name] for name in names]) for detached, _ in steps])
        # not by sync_dist: Lightning truncates the mean number of images to a whole one
        sums = sum_over_processes(torch.cat(((losses * counts[:, None]).sum(0), counts.sum()[None])))
        for name, mean in zip(names, sums[:-1] / sums[-1], strict=True):
            self.log(f"{split}/{name}", mean, prog_bar=(split, name) == ("train", "loss"))

    def validation_step(self, batch: Batch, batch_index: int) -> dict[str, Any]:
        images = self.images(batch)
        raw = self.detector(images)
        self._total_loss("val", raw, batch)
        detections = self.decode(raw, size_of(images))
        self.val_metric.update(detections, batch["targets"])
        return {"detections": detections}

    def on_validation_epoch_end(self) -> None:
        if self.trainer.state.fn == "fit":  # not in the validation that belongs to the test
            self._log_losses("train")  # here, because the epoch's checkpoint is saved next
            # at the end of the epoch, the same in all processes
            self.log("lr", self.trainer.optimizers[0].param_groups[0]["lr"], sync_dist=True)
        self._log_losses("val")
        self._finish("val", self.val_metric)

    def test_step(self, batch: Batch, batch_index: int) -> dict[str, Any]:
        images = self.images(batch)
        detections = self.decode(self.detector(images), size_of(images))
        self.test_metric.update(detections, batch["targets"])
        return {"detections": detections}

    def on_test_epoch_end(self) -> None:
        self._finish("test", self.test_metric)

    def _finish(self, split: str, metric: DetectionMetric) -> None:
        found = self.evaluated[split] = metric.gathered()
        metric.reset()
        figures = logged(metric.figures(found))
        # no sync_dist: the metric has already gathered over the ranks
        self.log_dict({f"{split}/{name}": value for name, value in figures.items()})

    def configure_optimizers(self) -> Any:
        epochs = self.trainer.max_epochs or 1
        total = int(self.trainer.estimated_stepping_batches)
        optimizer, schedule = self.recipe.build(
            self.detector,
            steps_per_epoch=max(1, total // epochs),
            total_steps=total,
            # a fused optimiser would unscale fp16 gradients itself, after they have been clipped
            fused=self.trainer.precision != "16-mixed",
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        # Lightning's method rejects every fused optimiser, though clipping is wrong only for scaled gradients
        if gradient_clip_val is not None:
            # read from the optimiser: collecting them from the modules takes a millisecond
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            gradients = [p.grad for p in parameters if p.grad is not None]
            norm = get_total_norm(gradients)
            # on a GPU, the comparison would force a sync
            if norm.device.type != "cpu" or not norm <= gradient_clip_val:
                clip_grads_with_norm_(parameters, gradient_clip_val, norm)


def _objects(target: Target) -> Target:
    """Return the boxes and labels of a target without its crowd regions."""
    return {name: target[name][~target["crowd"]] for name in ("boxes", "labels")}


def size_of(images: Tensor) -> tuple[int, int]:
    """Return the (H, W) of a batch of images."""
    return images.shape[-2], images.shape[-1]
