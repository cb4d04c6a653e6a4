"""Detections in one image, in pixels of that image."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Detections:
    """M detections in an image, best first."""

    boxes: NDArray[np.float32]
    """(M, 4) x1, y1, x2, y2 in pixels of the upright image."""
    scores: NDArray[np.float32]
    """(M,) from 0 to 1."""
    labels: NDArray[np.int64]
    """(M,) positions in `classes`."""
    classes: tuple[str, ...]
    """Names of all classes that the detector knows."""

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, rows: Any) -> "Detections":
        """Return the detections that a mask (M,), positions or a slice selects."""
        return replace(self, boxes=self.boxes[rows], scores=self.scores[rows], labels=self.labels[rows])

    @property
    def names(self) -> list[str]:
        """The class name of each detection."""
        return [self.classes[label] for label in self.labels.tolist()]

    def within(self, height: int, width: int) -> "Detections":
        """Clip the boxes to an image of this size, and leave out those that lie outside of it."""
        boxes = self.boxes.clip(0, np.array([width, height, width, height], np.float32))
        kept = (boxes[:, 2:] > boxes[:, :2]).all(1)
        return replace(self, boxes=boxes)[kept]


def joined(parts: list[Detections]) -> Detections:
    """Return the detections of several parts, at least one, one part after another."""
    return Detections(
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.labels for part in parts]),
        parts[0].classes,
    )
