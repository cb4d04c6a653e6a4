"""The coupled, anchor-based head of YOLOv5 (version 6), as publicly described: network, loss and decoder.

There is no paper. For each of 3 anchors, a level predicts 4 box logits, objectness and K class logits;
xy = (2 sigmoid - 0.5 + cell) x stride; wh = (2 sigmoid)^2 x anchor.
"""

import logging
import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gffpn.assign import AnchorMatches, match_anchors
from gffpn.boxes import ciou
from gffpn.choice import choose
from gffpn.heads.anchors import (
    ANCHORS_PER_LEVEL,
    ENOUGH_RECALL,
    AnchorRule,
    best_possible_recall,
    default_anchors,
    fit_anchors,
    fitness,
)
from gffpn.heads.normalisers import over_the_batch
from gffpn.heads.postprocess import Decode
from gffpn.heads.prediction import prediction_conv
from gffpn.heads.targets import PaddedTargets, pad_targets
from gffpn.losses import BOX_LOSSES, BoxLoss
from gffpn.pyramid import Assignments, Levels, Watch
from gffpn.streams import torch_substream

log = logging.getLogger(__name__)

# recall of COCO's anchors from which they are kept; it lies between 0 and 1
ENOUGH: dict[AnchorRule, float] = {"auto": ENOUGH_RECALL, "fit": math.inf, "keep": 0.0}
REFERENCE_SIZE = 640
"""Pixels: the image size for which the initial bias and the objectness weight are stated."""

OBJECTNESS_BALANCE: Mapping[int, float] = {4: 4.0, 8: 4.0, 16: 1.0, 32: 0.4, 64: 0.1, 128: 0.1}
"""Objectness weight of each level, by stride. Those of 8, 16 and 32 are YOLOv5's, the others are ours."""


class YOLOv5Head(nn.Module):
    """Head from feature maps to (N, 3 x (5 + K), H, W) per level, each by one 1x1 convolution with bias.

    Before training, objectness predicts `objects_per_image` objects per 640 x 640 image on each level, and a
    class score is about `class_prior` / K.

    anchors: how they follow from the training boxes. `auto`, YOLOv5's rule: COCO's anchors are kept if at
    least 98 % of the boxes have one that differs from them by a factor below 4 in both sides, and are fitted
    otherwise; `fit`, always fitted; `keep`, always COCO's.
    """

    anchors: Tensor
    """(L, 3, 2) width and height in input pixels; COCO's until `fit_to` is called."""

    def __init__(
        self,
        in_levels: Levels,
        num_classes: int,
        *,
        anchors: AnchorRule = "auto",
        objects_per_image: float = 8,
        class_prior: float = 0.6,
    ) -> None:
        super().__init__()
        self.enough_recall = choose("anchors", anchors, ENOUGH)
        for name, value in (("objects_per_image", objects_per_image), ("class_prior", class_prior)):
            if not value > 0:
                raise ValueError(f"{name}: got {value}, expected a number above 0")
        self.in_levels = in_levels
        self.num_classes = num_classes
        self.strides = tuple(level.stride for level in in_levels)
        self.predictions = nn.ModuleList()
        for level in in_levels:
            start = torch.zeros(ANCHORS_PER_LEVEL, 5 + num_classes)
            start[:, 4] = math.log(objects_per_image / (REFERENCE_SIZE / level.stride) ** 2)
            start[:, 5:] = math.log(class_prior / (num_classes - 0.99999))
            # a stream that does not depend on the other levels, so that heads on different necks start equal
            with torch_substream("prediction", level.stride):
                self.predictions.append(prediction_conv(level.channels, start.flatten()))
        self.register_buffer("anchors", default_anchors(self.strides))

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return the logits (N, 3 x (5 + K), H, W) of each level."""
        return [conv(feature) for conv, feature in zip(self.predictions, features, strict=True)]

    def fit_to(self, boxes_wh: Tensor) -> None:
        """Fit the anchors to boxes (M, 2), width and height in input pixels, if the rule asks for it.

        The anchors stay unchanged if there are too few boxes.
        """
        recall = best_possible_recall(self.anchors.view(-1, 2), boxes_wh)
        if recall >= self.enough_recall:
            log.info("anchors kept: they can match %.1f %% of the boxes", 100 * recall)
            return
        anchors = fit_anchors(boxes_wh, self.anchors[..., 0].numel())
        if anchors is None:
            log.warning(
                "anchors left unchanged: got %d boxes, fitting needs at least %d with an extent",
                len(boxes_wh),
                self.anchors[..., 0].numel(),
            )
            return
        self.anchors.copy_(anchors.view_as(self.anchors))
        log.info("anchors fitted to %d boxes, fitness %.3f", len(boxes_wh), fitness(anchors, boxes_wh.cpu()))


def _split_anchors(level: Tensor) -> Tensor:
    """Reshape (N, 3 x (5 + K), H, W) to float32 (N, H, W, 3, 5 + K); no copy if channels come last."""
    images, _, rows, columns = level.shape
    return level.permute(0, 2, 3, 1).reshape(images, rows, columns, ANCHORS_PER_LEVEL, -1).float()


def _decode(logits: Tensor, cells: Tensor, anchors: Tensor, stride: int) -> Tensor:
    """Return boxes (..., 4) from box logits (..., 4), cells (..., 2) as column, row, and anchors (..., 2)."""
    scores = logits.sigmoid()
    centre = (2 * scores[..., :2] - 0.5 + cells) * stride
    half = (2 * scores[..., 2:]).square() * anchors / 2
    return torch.cat((centre - half, centre + half), -1)


class YOLOv5Loss:
    """Box, objectness and class losses, each multiplied by the number of images in the whole batch.

    On each level, the box loss is the mean over the matches, the class loss the mean over the matches and the
    classes, and the objectness loss the mean over all predictions, with max(CIoU, 0) as the target. The
    levels are summed; the weights are stated for 3 levels and rescaled for other numbers. With a single class
    the class loss is 0, because objectness carries the same information.
    """

    sums_over_images = True

    def __init__(
        self,
        head: YOLOv5Head,
        *,
        box_loss: BoxLoss = "ciou",
        box_weight: float = 0.05,
        objectness_weight: float = 1.0,
        class_weight: float = 0.5,
        objectness_size_scaling: bool = True,
        objectness_balance: Mapping[int, float] = OBJECTNESS_BALANCE,
        max_ratio: float = 4.0,
    ) -> None:
        self.head = head
        self.box_loss = choose("box_loss", box_loss, BOX_LOSSES)
        self.box_weight = box_weight
        self.objectness_weight = objectness_weight
        self.class_weight = class_weight
        self.objectness_size_scaling = objectness_size_scaling
        self.max_ratio = max_ratio
        self.watch: Watch | None = None
        if not max_ratio > 1:
            raise ValueError(f"max_ratio: got {max_ratio}, expected a factor above 1")
        missing = sorted(set(head.strides) - set(objectness_balance))
        if missing:
            raise ValueError(
                f"objectness_balance: got strides {list(objectness_balance)}, expected {missing} too"
            )
        self.balance = objectness_balance

    def __call__(
        self, raw: list[Tensor], targets: list[dict[str, Tensor]], image_size: tuple[int, int]
    ) -> dict[str, Tensor]:
        """Return the weighted scalars `box`, `objectness` and `class`, to be summed.

        `targets` holds `boxes` (M, 4) in xyxy pixels and `labels` (M,) for each image; M may be 0.
        """
        padded = pad_targets(targets, raw[0].device)
        levels = [self._level(index, _split_anchors(level), padded) for index, level in enumerate(raw)]
        box, objectness, classes, positives = (torch.stack(part, -1) for part in zip(*levels, strict=True))
        if self.watch is not None:
            self.watch(Assignments(padded.boxes, padded.valid, positives))
        matches = positives.sum((0, 1)).to(box.dtype)
        images = matches.new_tensor([float(len(targets))])
        totals, processes = over_the_batch(torch.cat((matches, images)))
        share = totals[-1] / totals[:-1].clamp_min(1)
        box, classes = (box * share).sum(), (classes * share).sum()
        scale = processes * 3 / len(raw)
        size = image_size[0] * image_size[1] / REFERENCE_SIZE**2 if self.objectness_size_scaling else 1.0
        return {
            "box": self.box_weight * scale * box,
            # the mean over the predictions of all images, times the number of images
            "objectness": self.objectness_weight * size * scale * objectness.sum(),
            "class": self.class_weight * self.head.num_classes / 80 * scale * classes,
        }

    def _level(
        self, index: int, predictions: Tensor, padded: PaddedTargets
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the sums of the box loss, the objectness loss per cell and anchor, and of the class loss.

        They are followed by the number of matches (N, M) of each object.
        """
        stride, anchors = self.head.strides[index], self.head.anchors[index]
        rows, columns = predictions.shape[1:3]
        matches = match_anchors(
            padded.boxes,
            padded.valid,
            anchors,
            stride=stride,
            grid=(rows, columns),
            max_ratio=self.max_ratio,
        )
        cell = ((matches.image * rows + matches.row) * columns + matches.column) * len(
            anchors
        ) + matches.anchor
        flat = predictions.flatten(0, 3)
        matched = flat[cell]
        cells = torch.stack((matches.column, matches.row), -1)
        boxes = _decode(matched[:, :4], cells, anchors[matches.anchor], stride)
        true_boxes = padded.boxes.flatten(0, 1)[matches.target]
        box = (self.box_loss(boxes, true_boxes) * matches.valid).sum()
        overlap = ciou(boxes, true_boxes).detach().clamp_min(0) * matches.valid
        goal = torch.zeros_like(flat[:, 4]).scatter_reduce(0, cell, overlap, "amax")
        objectness = F.binary_cross_entropy_with_logits(flat[:, 4], goal, reduction="sum")
        objectness = objectness * (self.balance[stride] / (rows * columns * len(anchors)))
        classes = self._class_loss(matched[:, 5:], padded.labels, matches)
        return box, objectness, classes, matches.valid.view(*padded.valid.shape, -1).sum(-1)

    def _class_loss(self, logits: Tensor, labels: Tensor, matches: AnchorMatches) -> Tensor:
        if self.head.num_classes == 1:
            return logits.sum() * 0
        goal = F.one_hot(labels.flatten()[matches.target], self.head.num_classes).to(logits)
        loss = F.binary_cross_entropy_with_logits(logits, goal, reduction="none").mean(-1)
        return (loss * matches.valid).sum()


class YOLOv5Decode(Decode[YOLOv5Head]):
    """Decoder of raw predictions: score = objectness x class score, then class-wise suppression."""

    def predict(self, raw: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the box and the scores of every anchor."""
        boxes, scores = [], []
        for level, stride, anchors in zip(raw, self.head.strides, self.head.anchors, strict=True):
            logits = _split_anchors(level)
            rows, columns = logits.shape[1:3]
            y = torch.arange(rows, device=level.device)
            x = torch.arange(columns, device=level.device)
            cells = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)[:, :, None]
            boxes.append(_decode(logits[..., :4], cells, anchors, stride).flatten(1, 3))
            scores.append((logits[..., 4:5].sigmoid() * logits[..., 5:].sigmoid()).flatten(1, 3))
        return torch.cat(boxes, 1), torch.cat(scores, 1)
