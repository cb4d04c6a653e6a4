"""Counts, by size of the objects, of what training does with them: which are lost, and which get predictions.

An object that augmentation removes, or to which the loss assigns no prediction, teaches the network nothing.
"""

import logging
import math
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from gffpn.boxes import sides
from gffpn.data.canvas import LOST_BY, NONE_LOST
from gffpn.machine.processes import sum_over_processes
from gffpn.metrics.matching import SIDE_DECIMALS, SIZE_EDGES, SizeRange, network_bins
from gffpn.pyramid import Assignments, Head, ShowsAssignments, Watch

log = logging.getLogger(__name__)

BINS = network_bins()
OBJECTS, UNASSIGNED, POSITIVES = 0, 1, 2
"""Columns of the counts of assignments; from POSITIVES on, there is one per level."""


class SizeCounts(Callback):
    """Callback that logs counts of the training objects in each size bin, summed over all processes.

    `train/objects_<bin>`: objects in the images, after augmentation.
    `train/unassigned_<bin>`: those of them to which the loss assigned no prediction.
    `train/positives_s<stride>_<bin>`: predictions of a level that were assigned to objects of the bin.
    `train/lost_<cause>_<bin>`: objects that augmentation lost, by cause (see `LOST_BY`).

    Sizes are in network pixels, after augmentation. The counts are those since the last validation, and a
    resumed run continues behind the last one. Without a loss that is `ShowsAssignments`, only `lost` is
    logged. A bin with objects, but without a single positive prediction, is reported once.
    """

    def __init__(self) -> None:
        self._assigned: Tensor | None = None
        self._edges = torch.empty(0)
        self._lost = NONE_LOST.copy()
        self._reported: set[str] = set()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if _loss(pl_module) is not None:
            shape, device = (len(BINS), POSITIVES + len(_strides(pl_module))), pl_module.device
            # on the device, because copying to it would make every step wait for it
            self._assigned = torch.zeros(shape, dtype=torch.int64, device=device)
            self._edges = torch.tensor(SIZE_EDGES, dtype=torch.float32, device=device)
        _watch(pl_module, self._count)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        _watch(pl_module, None)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        _watch(pl_module, self._count)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        _watch(pl_module, None)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._lost += batch["lost_boxes"]

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        lost = sum_over_processes(torch.from_numpy(self._lost).to(pl_module.device)).tolist()
        self._lost = NONE_LOST.copy()
        counts = {
            f"lost_{cause}_{size.name}": count
            for cause, row in zip(LOST_BY, lost, strict=True)
            for size, count in zip(BINS, row, strict=True)
        }
        if self._assigned is not None:
            assigned = sum_over_processes(self._assigned).tolist()
            self._assigned.zero_()
            counts |= _named(assigned, _strides(pl_module))
            if trainer.is_global_zero:
                self._report(assigned)
        pl_module.log_dict({f"train/{name}": float(count) for name, count in counts.items()})

    @torch.no_grad()
    def _count(self, found: Assignments) -> None:
        assert self._assigned is not None
        self._assigned += assignment_counts(found, self._edges)

    def _report(self, assigned: list[list[int]]) -> None:
        for size, row in zip(BINS, assigned, strict=True):
            if row[OBJECTS] and not sum(row[POSITIVES:]) and size.name not in self._reported:
                self._reported.add(size.name)
                log.warning(
                    "objects of %s cannot be learnt: the loss assigned no prediction to any of the %d in "
                    "this epoch; a larger image_size, a finer level or other anchors may help",
                    _words(size),
                    row[OBJECTS],
                )


def assignment_counts(found: Assignments, edges: Tensor) -> Tensor:
    """Return the counts (bins, 2 + L), int64, of a batch, without waiting for its device.

    The columns are the objects of each bin, those without a positive prediction, and the positive predictions
    of each level. `edges` (bins - 1,) are the sides in pixels that separate the bins.
    """
    width, height = sides(found.boxes)
    side = (width * height).clamp_min(0).sqrt().round(decimals=SIDE_DECIMALS)
    bins = torch.bucketize(side, edges, right=True)
    numbers = torch.arange(len(edges) + 1, device=edges.device)
    inside = (bins[..., None] == numbers) & found.valid[..., None]
    one = torch.ones_like(found.positives[..., :1])
    none = (found.positives.sum(-1, keepdim=True) == 0).long()
    columns = torch.cat((one, none, found.positives), -1)
    # not a matrix product, which autocast would run in half precision
    return (inside[..., None] * columns[:, :, None]).sum((0, 1))


def _loss(module: L.LightningModule) -> ShowsAssignments | None:
    loss = module.loss
    return loss if isinstance(loss, ShowsAssignments) else None


def _watch(module: L.LightningModule, watch: Watch | None) -> None:
    if (loss := _loss(module)) is not None:
        loss.watch = watch


def _strides(module: L.LightningModule) -> list[int]:
    head = module.get_submodule("detector.head")
    assert isinstance(head, Head)
    return [level.stride for level in head.in_levels]


def _named(assigned: list[list[int]], strides: list[int]) -> dict[str, int]:
    """Return the counts of assignments by name."""
    columns = ["objects", "unassigned", *(f"positives_s{stride}" for stride in strides)]
    return {
        f"{column}_{size.name}": row[position]
        for position, column in enumerate(columns)
        for size, row in zip(BINS, assigned, strict=True)
    }


def _words(size: SizeRange) -> str:
    return f"{size.low:g} px or more" if math.isinf(size.high) else f"{size.low:g} to {size.high:g} px"
