"""The annotation of one image, and the check of its boxes."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gffpn.data.readers.faults import Faults, Kind

Box = tuple[float, float, float, float]

TOLERANCE = 1.0
"""Pixels by which a box may leave its image and is clipped: 0-based and 1-based files differ by one."""


@dataclass(frozen=True)
class Annotation:
    """The annotation of one image."""

    image: str
    """Path below the root."""
    source: str
    """The file that says so, for messages."""
    size: tuple[int, int] | None
    """Height and width as annotated, if they are."""
    boxes: Sequence[Box]
    """xyxy in pixels, or in fractions of the image's sides if `relative`."""
    names: Sequence[str]
    """The class of each box."""
    relative: bool = False
    group: str = ""
    """Of images that share an origin, where the file says so."""


def checked_boxes(
    annotation: Annotation, height: int, width: int, labels: Mapping[str, int], faults: Faults
) -> Iterator[tuple[Box, int]]:
    """The usable boxes in pixels, clipped to their image, and their labels; a fault for each other one."""
    scale = (width, height) * 2 if annotation.relative else (1, 1, 1, 1)
    expected = {
        Kind.NOT_FINITE: "four finite numbers",
        Kind.EMPTY_BOX: "x1 < x2 and y1 < y2",
        Kind.BOX_OUTSIDE: f"0 <= x <= {width} and 0 <= y <= {height}",
    }
    for raw, name in zip(annotation.boxes, annotation.names, strict=True):
        x1, y1, x2, y2 = (value * side for value, side in zip(raw, scale, strict=True))
        box = _clipped((x1, y1, x2, y2), height, width)
        if name in labels and not isinstance(box, Kind):
            if box != (x1, y1, x2, y2):
                faults.count(f"boxes clipped that left their image by at most {TOLERANCE:g} px")
            yield box, labels[name]
            continue
        where = f"{annotation.source}: {name} ({x1:g}, {y1:g}, {x2:g}, {y2:g}) px"
        if name not in labels:
            faults.add(Kind.UNKNOWN_CLASS, f"{where}: expected one of {list(labels)}")
        if isinstance(box, Kind):
            faults.add(box, f"{where}: expected {expected[box]}")


def _clipped(box: Box, height: int, width: int) -> Box | Kind:
    if not all(map(math.isfinite, box)):
        return Kind.NOT_FINITE
    x1, y1, x2, y2 = box
    if x2 <= x1 or y2 <= y1:
        return Kind.EMPTY_BOX
    left = min(x1, y1) < -TOLERANCE or x2 > width + TOLERANCE or y2 > height + TOLERANCE
    if left or min(x2, y2) <= 0 or x1 >= width or y1 >= height:
        return Kind.BOX_OUTSIDE
    x1, y1, x2, y2 = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
    # records hold float32, in which a sliver may have no width
    narrow = np.float32(x1) >= np.float32(x2) or np.float32(y1) >= np.float32(y2)
    return Kind.EMPTY_BOX if narrow else (x1, y1, x2, y2)
