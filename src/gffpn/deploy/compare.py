"""Comparison of the detections that two programs find in the same images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

Detections = Sequence[dict[str, Tensor]]

NEAR_PX = 1.0
"""Two detections of a class may be the same one if no side of their boxes differs by more, in pixels."""
NEAR_SCORE = 0.01
"""They may be the same one only if their scores also differ by no more than this."""


@dataclass
class Agreement:
    """Agreement and differences of two programs' detections in the same images."""

    images: int = 0
    same_count: int = 0
    """Images in which both programs found the same number of detections."""
    detections: tuple[int, int] = (0, 0)
    pairs: int = 0
    """Detections found by both programs, matched one to one (`NEAR_PX`, `NEAR_SCORE`)."""
    box_px: float = 0.0
    """Largest difference of a box side among the pairs, in pixels."""
    score: float = 0.0
    """Largest difference of the scores among the pairs."""
    alone_score: float = 0.0
    """Highest score among the detections without a partner; 0 if all have one."""

    def add(self, ours: Detections, theirs: Detections) -> None:
        """Add the detections of a batch of images."""
        for one, other in zip(ours, theirs, strict=True):
            self._add_image(one, other)

    def _add_image(self, one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
        count = (len(one["boxes"]), len(other["boxes"]))
        self.images += 1
        self.same_count += count[0] == count[1]
        self.detections = (self.detections[0] + count[0], self.detections[1] + count[1])
        boxes, scores, near = differences(one, other)
        rows, columns = linear_sum_assignment(np.where(near, boxes / NEAR_PX + scores / NEAR_SCORE, 1e6))
        paired = near[rows, columns]
        rows, columns = rows[paired], columns[paired]
        self.pairs += len(rows)
        self.box_px = max(self.box_px, float(boxes[rows, columns].max(initial=0)))
        self.score = max(self.score, float(scores[rows, columns].max(initial=0)))
        for detections, found in ((one, rows), (other, columns)):
            alone = np.delete(detections["scores"].numpy(), found)
            self.alone_score = max(self.alone_score, float(alone.max(initial=0)))

    def summary(self) -> dict[str, float | int]:
        """Return plain values to write to a file."""
        ours, theirs = self.detections
        return {
            "images": self.images,
            "images_of_same_count": self.same_count,
            "detections_torch": ours,
            "detections_onnx": theirs,
            "pairs": self.pairs,
            "largest_box_difference_px": self.box_px,
            "largest_score_difference": self.score,
            "best_score_without_partner": self.alone_score,
        }


def differences(
    one: dict[str, Tensor], other: dict[str, Tensor]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Compare each of M detections with each of L others.

    Returns three arrays (M, L): the largest difference of a box side in pixels, the difference of the scores,
    and whether the two may be the same detection.
    """
    boxes = (one["boxes"][:, None] - other["boxes"][None]).abs().amax(-1).numpy()
    scores = (one["scores"][:, None] - other["scores"][None]).abs().numpy()
    same_class = (one["labels"][:, None] == other["labels"][None]).numpy()
    return boxes, scores, same_class & (boxes <= NEAR_PX) & (scores <= NEAR_SCORE)
