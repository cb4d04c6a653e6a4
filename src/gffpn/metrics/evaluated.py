"""Everything that average precision needs of an evaluated split: detections, objects and scales."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gffpn.metrics.matching import Boxes, Floats, Ints, Matches, SizeRange, match

MAX_DETECTIONS = 100
"""Detections per image and class that average precision counts, as in pycocotools."""


class Evaluated(NamedTuple):
    """Detections and objects of N images, both ordered by image, and within an image as they were found."""

    image_index: Ints
    """(N,) index of each image in the split, increasing; every other field refers to its position here."""
    scales: Floats
    """(N, 2) network pixels per native pixel, along x and y."""
    detections: Boxes
    scores: Floats
    """(D,) of the detections."""
    objects: Boxes
    crowd: NDArray[np.bool_]
    """(M,) true for the objects that are crowd regions."""

    def matches(
        self, num_classes: int, ranges: Sequence[SizeRange], *, max_detections: int = MAX_DETECTIONS
    ) -> Matches:
        """Match the detections to the objects, in every size range."""
        return match(
            self.detections,
            self.scores,
            self.objects,
            crowd=self.crowd,
            image_index=self.image_index,
            scales=self.scales,
            num_classes=num_classes,
            ranges=ranges,
            max_detections=max_detections,
        )
