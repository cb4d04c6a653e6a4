"""Detections from scored boxes: threshold, class-wise non-maximum suppression, clipping."""

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn
from torchvision.ops import batched_nms, clip_boxes_to_image

HeadT = TypeVar("HeadT", bound=nn.Module)


class Decode(ABC, Generic[HeadT]):
    """Base class of the decoders from raw predictions to detections; a head's decoder adds `predict`.

    A detection scores more than `score_threshold`. Of two boxes of one class that overlap by more than
    `iou_threshold`, only the better one is kept. Per image, at most the best `max_candidates` boxes enter
    this suppression and at most the best `max_detections` are returned. With `multi_label`, a box may be
    reported for several classes, not only for its best one.
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
        """Return the boxes (N, A, 4), xyxy pixels, and scores (N, A, K) of all predictions, both float32."""

    @torch.no_grad()
    def __call__(self, raw: list[Tensor], image_size: tuple[int, int]) -> list[dict[str, Tensor]]:
        """Return per image, best first: `boxes` (M, 4) clipped to it, `scores` (M,), `labels` (M,)."""
        return self.suppress(*self.predict(raw), image_size)

    @torch.no_grad()
    def suppress(self, boxes: Tensor, scores: Tensor, image_size: tuple[int, int]) -> list[dict[str, Tensor]]:
        """Apply these rules to the output of `predict`; return the detections per image, best first."""
        scores, labels = self.per_report(scores)
        return [self._suppress_image(*image, image_size) for image in zip(boxes, scores, labels, strict=True)]

    def per_report(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scores (N, R) and labels (N, R) of all possible detections, given the scores (N, A, K).

        R is A x K with `multi_label` and A otherwise; the order of the predictions is kept.
        """
        if self.multi_label:
            labels = torch.arange(scores.shape[-1], device=scores.device).repeat(scores.shape[1])
            return scores.flatten(1), labels.expand(scores.shape[0], -1)
        best, labels = scores.max(-1)
        return best, labels

    def _suppress_image(
        self, boxes: Tensor, scores: Tensor, labels: Tensor, image_size: tuple[int, int]
    ) -> dict[str, Tensor]:
        # a trained detector has few scores above the threshold, so filtering first makes sorting rare
        chosen = (scores > self.score_threshold).nonzero().squeeze(1)
        if len(chosen) > self.max_candidates:
            chosen = chosen[scores[chosen].topk(self.max_candidates).indices]
        boxes = clip_boxes_to_image(boxes[chosen // (len(scores) // len(boxes))], image_size)
        within = (boxes[:, 2:] > boxes[:, :2]).all(-1)
        found = {
            "boxes": boxes[within],
            "scores": scores[chosen][within],
            "labels": labels[chosen][within],
        }
        kept = batched_nms(found["boxes"], found["scores"], found["labels"], self.iou_threshold)
        kept = kept[: self.max_detections]
        return {name: value[kept] for name, value in found.items()}
