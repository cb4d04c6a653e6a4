"""A light, decoupled, anchor-free head trained by task alignment: network, loss and decoder.

Sources: Feng et al., TOOD (arXiv 2108.07755): task-aligned assignment and the soft classification target; Li
et al., Generalized Focal Loss (arXiv 2006.04388): the distance of a side as a distribution over bins.

Deviations: plain convolution towers instead of TOOD's task-interactive ones; binary cross entropy instead of
its focal form; the candidate region of a tiny box is widened, and the bins extend below 0, so that a cell
centre outside a tiny box can still predict that box exactly; the assignment uses the larger of IoU and NWD,
since an untrained prediction overlaps a tiny box so little that IoU alone leaves it almost without weight.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gffpn.assign import TaskAlignment, align_tasks, candidate_points
from gffpn.boxes import Overlap, iou, nwd, pairwise
from gffpn.choice import choose
from gffpn.heads.normalisers import over_the_batch
from gffpn.heads.points import boxes_from_distances, distances_from_boxes, grid_points
from gffpn.heads.postprocess import Decode
from gffpn.heads.prediction import logits_of_mean, prediction_conv
from gffpn.heads.targets import PaddedTargets, pad_targets
from gffpn.layers.cat import cat_channels
from gffpn.layers.conv import ConvBNAct
from gffpn.layers.start import start_as_built
from gffpn.losses import BOX_LOSSES, BoxLoss, distribution_focal_loss
from gffpn.pyramid import Assignments, Levels, Watch
from gffpn.streams import torch_substream


def _larger(a: Tensor, b: Tensor) -> Tensor:
    return torch.maximum(iou(a, b), nwd(a, b))


OverlapMeasure = Literal["iou", "nwd", "larger"]
OVERLAPS: dict[OverlapMeasure, Overlap] = {"iou": iou, "nwd": nwd, "larger": _larger}


class TALHead(nn.Module):
    """Head from feature maps to (N, 4 x reg_max + K, H, W) per level: bins of the four sides, class logits.

    The sides are in the order left, top, right, bottom; bin j of a side stands for a distance of
    `min_distance` + j cells from the cell's centre to that side. `box_channels` and `class_channels` are the
    widths of the towers: null means max(4 x reg_max, finest channels / 2) and max(32, finest channels).
    Before training, the sides lie `start_distance` cells from the centre, and the class scores predict
    `objects_per_image` objects per 640 x 640 image on each level.
    """

    def __init__(
        self,
        in_levels: Levels,
        num_classes: int,
        *,
        reg_max: int = 16,
        min_distance: float = -1.0,
        box_channels: int | None = None,
        class_channels: int | None = None,
        start_distance: float = 0.5,
        objects_per_image: float = 5,
    ) -> None:
        super().__init__()
        if not objects_per_image > 0:
            raise ValueError(f"objects_per_image: got {objects_per_image}, expected a number above 0")
        if reg_max < 2:
            raise ValueError(f"reg_max: got {reg_max}, expected 2 or more")
        if not min_distance < start_distance < min_distance + reg_max - 1:
            raise ValueError(
                f"start_distance: got {start_distance}, expected a value within the bins' range, "
                f"{min_distance} to {min_distance + reg_max - 1}"
            )
        self.in_levels = in_levels
        self.num_classes = num_classes
        self.strides = tuple(level.stride for level in in_levels)
        self.reg_max = reg_max
        self.min_distance = min_distance
        finest = in_levels[0].channels
        box_width = box_channels or max(4 * reg_max, finest // 2)
        class_width = class_channels or max(32, finest)
        distances = logits_of_mean(start_distance - min_distance, reg_max).repeat(4)
        self.box_towers = nn.ModuleList()
        self.class_towers = nn.ModuleList()
        for level in in_levels:
            odds = objects_per_image / num_classes / (640 / level.stride) ** 2
            classes = torch.full((num_classes,), math.log(odds))
            # streams that do not depend on the other levels, so that heads on different necks start equal
            with torch_substream("box", level.stride):
                self.box_towers.append(_box_tower(level.channels, box_width, distances))
            with torch_substream("class", level.stride):
                self.class_towers.append(_class_tower(level.channels, class_width, classes))

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return the logits (N, 4 x reg_max + K, H, W) of each level."""
        return [
            cat_channels((box_tower(feature), class_tower(feature)))
            for box_tower, class_tower, feature in zip(
                self.box_towers, self.class_towers, features, strict=True
            )
        ]

    def distances(self, box_logits: Tensor) -> Tensor:
        """Return the expected distances (..., 4), float32, in cells, of box logits (..., 4 x reg_max)."""
        probability = self.side_logits(box_logits).softmax(-1, dtype=torch.float32)
        # not a matrix product, which autocast would run in half precision
        mean_bin = (probability * torch.arange(self.reg_max, device=box_logits.device)).sum(-1)
        return mean_bin + self.min_distance

    def side_logits(self, box_logits: Tensor) -> Tensor:
        """Reshape box logits (..., 4 x reg_max) to (..., 4, reg_max)."""
        return box_logits.reshape(*box_logits.shape[:-1], 4, self.reg_max)


def _box_tower(in_channels: int, hidden_channels: int, start: Tensor) -> nn.Sequential:
    first = ConvBNAct(in_channels, hidden_channels, 3)
    second = ConvBNAct(hidden_channels, hidden_channels, 3)
    return _tower(first, second, hidden_channels, start)


def _separable(in_channels: int, out_channels: int) -> nn.Sequential:
    depthwise = nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False)
    return nn.Sequential(depthwise, ConvBNAct(in_channels, out_channels))


def _class_tower(in_channels: int, hidden_channels: int, start: Tensor) -> nn.Sequential:
    first = _separable(in_channels, hidden_channels)
    second = _separable(hidden_channels, hidden_channels)
    return _tower(first, second, hidden_channels, start)


def _tower(first: nn.Module, second: nn.Module, hidden_channels: int, start: Tensor) -> nn.Sequential:
    tower = nn.Sequential(first, second)
    start_as_built(tower)
    with torch_substream("prediction"):
        return tower.append(prediction_conv(hidden_channels, start))


def _grids(raw: list[Tensor]) -> list[tuple[int, int]]:
    return [(level.shape[-2], level.shape[-1]) for level in raw]


def _flatten(raw: list[Tensor], head: TALHead) -> tuple[Tensor, Tensor]:
    """Return box logits (N, A, 4 x reg_max) and class logits (N, A, K) of all levels, in the dtype of `raw`.

    Cells are in row-major order. Each level is split before the levels are concatenated: every user of a
    slice of one joint tensor would copy it again.
    """
    widths = [4 * head.reg_max, head.num_classes]
    box_logits, class_logits = zip(*(torch.split(level, widths, 1) for level in raw), strict=True)
    return _cells(box_logits), _cells(class_logits)


def _cells(maps: Sequence[Tensor]) -> Tensor:
    """Flatten maps (N, C, H, W) and concatenate them to (N, A, C)."""
    return torch.cat([one.permute(0, 2, 3, 1).flatten(1, 2) for one in maps], 1)


def _per_level(assigned: TaskAlignment, objects: int, raw: list[Tensor]) -> Tensor:
    """Return the number of points (N, M, L) of each level that each of M = `objects` ground truths owns."""
    cells = [rows * columns for rows, columns in _grids(raw)]
    # each point has one owner, so this needs no mask (N, M, A), whose sum takes a hundred times longer
    owners, mine = (torch.split(one, cells, 1) for one in (assigned.target, assigned.positive.long()))
    counts = mine[0].new_zeros(len(mine[0]), objects)
    levels = [counts.scatter_add(1, owner, one) for owner, one in zip(owners, mine, strict=True)]
    return torch.stack(levels, -1)


class TALLoss:
    """Box, class and distribution focal losses, divided by the batch's sum of target scores (at least 1).

    The box and distribution losses are weighted by the target score. `min_side` is the side, in pixels, to
    which the candidate region of a smaller box is widened; null means two cells of the finest level.
    `overlap` is the measure that the assignment applies to predicted boxes.
    """

    def __init__(
        self,
        head: TALHead,
        *,
        box_loss: BoxLoss = "ciou",
        overlap: OverlapMeasure = "larger",
        topk: int = 10,
        alpha: float = 0.5,
        beta: float = 6.0,
        min_side: float | None = None,
        box_weight: float = 7.5,
        class_weight: float = 0.5,
        dfl_weight: float = 1.5,
    ) -> None:
        if topk < 1:
            raise ValueError(f"topk: got {topk}, expected 1 or more")
        for name, exponent in (("alpha", alpha), ("beta", beta)):
            if not exponent >= 0:
                raise ValueError(f"{name}: got {exponent}, expected 0 or more")
        self.head = head
        self.box_loss = choose("box_loss", box_loss, BOX_LOSSES)
        self.overlap = choose("overlap", overlap, OVERLAPS)
        self.topk = topk
        self.alpha = alpha
        self.beta = beta
        self.min_side = 2.0 * min(head.strides) if min_side is None else min_side
        self.box_weight = box_weight
        self.class_weight = class_weight
        self.dfl_weight = dfl_weight
        self.watch: Watch | None = None

    def __call__(
        self, raw: list[Tensor], targets: list[dict[str, Tensor]], image_size: tuple[int, int]
    ) -> dict[str, Tensor]:
        """Return the weighted scalars `box`, `class` and `dfl`, to be summed; `image_size` is ignored.

        `targets` holds `boxes` (M, 4) in xyxy pixels and `labels` (M,) for each image; M may be 0.
        """
        padded = boxes, labels, valid = pad_targets(targets, raw[0].device)
        points, strides = grid_points(_grids(raw), self.head.strides, raw[0].device)
        box_logits, class_logits = _flatten(raw, self.head)
        class_logits = class_logits.float()
        predicted = boxes_from_distances(points, self.head.distances(box_logits.detach()) * strides)
        counts = [max(1, len(target["boxes"])) for target in targets]
        assigned = self._assign(predicted, class_logits.detach(), points, padded, counts)
        if self.watch is not None:
            self.watch(Assignments(boxes, valid, _per_level(assigned, boxes.shape[1], raw)))

        goal = (
            F.one_hot(labels.gather(1, assigned.target), self.head.num_classes) * assigned.weight[..., None]
        )
        weights, processes = over_the_batch(assigned.weight.sum())
        share = processes / weights.clamp_min(1)
        classes = F.binary_cross_entropy_with_logits(class_logits, goal, reduction="sum")

        # the most points that an image's ground truths own; on a GPU a bound, which is known without a sync
        count = min(len(points), self.topk * boxes.shape[1])
        if weights.device.type == "cpu":
            count = max(1, int(assigned.positive.sum(1).max()))
        weight, chosen = assigned.weight.topk(count, dim=1, sorted=False)
        image = torch.arange(len(boxes), device=chosen.device)[:, None]
        true_boxes = boxes[image, assigned.target[image, chosen]]
        # float32 after the selection, so that the gradient of all points, mostly zeros, is never float32
        logits = box_logits[image, chosen].float()
        box, dfl = self._box_losses(logits, points[chosen], strides[chosen], true_boxes)
        return {
            "box": self.box_weight * (box * weight).sum() * share,
            "class": self.class_weight * classes * share,
            "dfl": self.dfl_weight * (dfl * weight).sum() * share,
        }

    @torch.no_grad()
    def _assign(
        self,
        predicted: Tensor,
        class_logits: Tensor,
        points: Tensor,
        targets: PaddedTargets,
        counts: list[int],
    ) -> TaskAlignment:
        """Assign the points of each image to its ground truths, of which `counts` are no padding."""
        if predicted.device.type != "cpu":  # one shape for all images needs no sync
            return self._assign_padded(predicted, class_logits, points, targets)
        # on a CPU, the padding to the fullest image of the batch would cost more than this loop
        alone = [
            self._assign_padded(
                predicted[at : at + 1],
                class_logits[at : at + 1],
                points,
                PaddedTargets(*(one[at : at + 1, :count] for one in targets)),
            )
            for at, count in enumerate(counts)
        ]
        return TaskAlignment(*(torch.cat(parts) for parts in zip(*alone, strict=True)))

    def _assign_padded(
        self, predicted: Tensor, class_logits: Tensor, points: Tensor, targets: PaddedTargets
    ) -> TaskAlignment:
        boxes, labels, valid = targets
        candidates = candidate_points(points, boxes, valid, min_side=self.min_side)
        of_label = labels[..., None].expand_as(candidates)
        scores = class_logits.sigmoid().transpose(1, 2).gather(1, of_label)
        overlaps = pairwise(self.overlap, boxes, predicted)
        return align_tasks(scores, overlaps, candidates, topk=self.topk, alpha=self.alpha, beta=self.beta)

    def _box_losses(
        self, box_logits: Tensor, points: Tensor, strides: Tensor, true_boxes: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the box loss and the distribution focal loss, each (N, P)."""
        predicted = boxes_from_distances(points, self.head.distances(box_logits) * strides)
        bins = distances_from_boxes(points, true_boxes) / strides - self.head.min_distance
        dfl = distribution_focal_loss(self.head.side_logits(box_logits), bins).mean(-1)
        return self.box_loss(predicted, true_boxes), dfl


class TALDecode(Decode[TALHead]):
    """Decoder of raw predictions: expected distances and class scores, then class-wise suppression."""

    def predict(self, raw: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the box and the class scores of every point."""
        points, strides = grid_points(_grids(raw), self.head.strides, raw[0].device)
        box_logits, class_logits = _flatten(raw, self.head)
        boxes = boxes_from_distances(points, self.head.distances(box_logits) * strides)
        return boxes, class_logits.float().sigmoid()
