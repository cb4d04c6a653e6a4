"""Are the detections of two programs the same, and what is the difference worth in average precision?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

Detections = Sequence[dict[str, Tensor]]

NEAR_PX = 1.0
"""Two detections of a class may be one and the same if no side of their boxes differs by more."""
NEAR_SCORE = 0.01
"""And if their scores differ by no more."""


@dataclass
class Agreement:
    """How far two programs' detections of the same images are apart."""

    images: int = 0
    same_count: int = 0
    """Images of which both gave equally many."""
    detections: tuple[int, int] = (0, 0)
    pairs: int = 0
    """Detections that the other program gave as well (`NEAR_PX`, `NEAR_SCORE`), one for one."""
    box_px: float = 0.0
    """The largest difference of a side among the pairs."""
    score: float = 0.0
    """The largest difference of a score among the pairs."""
    alone_score: float = 0.0
    """The best score among the detections without a partner; 0 if all have one."""

    def add(self, ours: Detections, theirs: Detections) -> None:
        """The images of a batch."""
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

    def told(self) -> dict[str, float | int]:
        """Plain values, for a file."""
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
    """Of each of M detections and each of L others: the largest difference of a side, that of the scores,
    and whether they may be the same detection; (M, L) each.
    """
    boxes = (one["boxes"][:, None] - other["boxes"][None]).abs().amax(-1).numpy()
    scores = (one["scores"][:, None] - other["scores"][None]).abs().numpy()
    same_class = (one["labels"][:, None] == other["labels"][None]).numpy()
    return boxes, scores, same_class & (boxes <= NEAR_PX) & (scores <= NEAR_SCORE)
