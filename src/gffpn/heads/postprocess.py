"""From scored boxes to detections: threshold, class-wise non-maximum suppression, clipping."""

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn
from torchvision.ops import batched_nms, clip_boxes_to_image

HeadT = TypeVar("HeadT", bound=nn.Module)


class Decode(ABC, Generic[HeadT]):
    """Raw predictions to detections; what a head adds is how boxes and scores are read from its predictions.

    A detection scores more than `score_threshold`. Of two boxes of one class that overlap more than
    `iou_threshold`, the better one stays. An image has at most `max_candidates` boxes before this
    suppression and `max_detections` after it, the best ones. With `multi_label` a box may be reported for
    several classes, not only for its best one.
    """

    def __init__(
        self,
        head: HeadT,
        *,
        score_threshold: float = 0.001,
        iou_threshold: float = 0.6,
        max_detections: int = 300,
        max_candidates: int = 3000,
        multi_label: bool = True,
    ) -> None:
        for name, share in (("score_threshold", score_threshold), ("iou_threshold", iou_threshold)):
            if not 0 <= share <= 1:
                raise ValueError(f"{name}: got {share}, expected 0 to 1")
        for name, limit in (("max_detections", max_detections), ("max_candidates", max_candidates)):
            if limit < 1:
                raise ValueError(f"{name}: got {limit}, expected 1 or more")
        self.head = head
        self.score_threshold = score_threshold
        self.iou_threshold = iou_threshold
        self.max_detections = max_detections
        self.max_candidates = max_candidates
        self.multi_label = multi_label

    @abstractmethod
    def predict(self, raw: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Every prediction's box (N, A, 4), xyxy pixels, and scores (N, A, K), both float32."""

    @torch.no_grad()
    def __call__(self, raw: list[Tensor], image_size: tuple[int, int]) -> list[dict[str, Tensor]]:
        """Of each image, best first: `boxes` (M, 4) clipped to it, `scores` (M,), `labels` (M,)."""
        return self.suppress(*self.predict(raw), image_size)

    @torch.no_grad()
    def suppress(self, boxes: Tensor, scores: Tensor, image_size: tuple[int, int]) -> list[dict[str, Tensor]]:
        """The rule alone, on what `predict` gave: the detections of each image, best first."""
        boxes, scores, labels = self.candidates(boxes, scores, image_size)
        usable = scores > self.score_threshold
        detections = []
        for image in range(len(boxes)):
            chosen = usable[image].nonzero().squeeze(1)
            found = {
                "boxes": boxes[image, chosen],
                "scores": scores[image, chosen],
                "labels": labels[image, chosen],
            }
            kept = batched_nms(found["boxes"], found["scores"], found["labels"], self.iou_threshold)
            kept = kept[: self.max_detections]
            detections.append({name: value[kept] for name, value in found.items()})
        return detections

    def candidates(
        self, boxes: Tensor, scores: Tensor, image_size: tuple[int, int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What goes into suppression: boxes (N, P, 4) clipped to the image, scores (N, P), labels (N, P).

        Best score first; a box that has no area within the image scores -1.
        """
        boxes, scores, labels = self._best_candidates(boxes, scores)
        boxes = clip_boxes_to_image(boxes, image_size)
        within = (boxes[..., 2:] > boxes[..., :2]).all(-1)
        return boxes, scores.where(within, -1), labels

    def _best_candidates(self, boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes (N, P, 4), scores (N, P) and labels (N, P) of the best of (N, A, K) scores."""
        if self.multi_label:
            classes = scores.shape[-1]
            scores, index = self._largest(scores.flatten(1))
            of_box, labels = index // classes, index % classes
        else:
            scores, best_class = scores.max(-1)
            scores, of_box = self._largest(scores)
            labels = best_class.gather(1, of_box)
        return boxes.gather(1, of_box[..., None].expand(-1, -1, 4)), scores, labels

    def _largest(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        values, index = scores.topk(min(self.max_candidates, scores.shape[1]), dim=1)
        return values, index
