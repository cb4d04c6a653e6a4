"""Annotation of one image, and validation of its boxes."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gffpn.data.readers.faults import Faults, Kind

Box = tuple[float, float, float, float]

Outside = Literal["refuse", "clip"]

TOLERANCE = 1.0
"""A box may exceed its image by this many pixels and is then clipped: 0- and 1-based files differ by one."""
NARROW = 2e-7
"""Share of an image's side above which a box cannot lose its width by rounding to float32 (2**-23 of it)."""


class Annotation(NamedTuple):
    """Boxes and class names of one image, as annotated."""

    image: str
    """Path of the image, relative to the root."""
    source: str
    """Annotation file, for messages."""
    size: tuple[int, int] | None
    """Annotated height and width; None if the file does not state them."""
    boxes: Sequence[Box]
    """xyxy in pixels, or in fractions of the image's sides if `relative`."""
    names: Sequence[str]
    """Class name of each box."""
    relative: bool = False
    group: str = ""
    """Group of the images with the same origin, if the file states it; else empty."""
    crowd: Sequence[bool] = ()
    """True for each box that is a crowd region; may be empty if there is none."""


class Arrays(NamedTuple):
    """Boxes of an image as in its record."""

    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    crowd: NDArray[np.bool_]


def clear_boxes(
    annotations: Sequence[Annotation], sizes: Sequence[tuple[int, int]], labels: Mapping[str, int]
) -> Iterator[Arrays | None]:
    """Yield the boxes of each image, or None if `checked_boxes` may find something in one of them.

    `sizes` are the heights and widths of the images. All boxes are compared with them at once, which takes a
    third of the time, and a large set has few others.
    """
    counts = np.array([len(annotation.boxes) for annotation in annotations], np.int64)
    owner = np.repeat(np.arange(len(counts)), counts)
    sides = np.array(sizes, np.float64).reshape(-1, 2)[owner][:, [1, 0, 1, 0]]
    every = chain.from_iterable(annotation.boxes for annotation in annotations)
    corners = np.fromiter(chain.from_iterable(every), np.float64).reshape(-1, 4)
    relative = np.array([annotation.relative for annotation in annotations], np.bool_)[owner]
    names = chain.from_iterable(annotation.names for annotation in annotations)
    classes = np.fromiter((labels.get(name, -1) for name in names), np.int64, len(owner))
    flags = (annotation.crowd or (False,) * len(annotation.boxes) for annotation in annotations)
    crowd = np.fromiter(chain.from_iterable(flags), np.bool_, len(owner))
    with np.errstate(all="ignore"):  # numbers that are not finite are a fault with a message of its own
        corners[relative] *= sides[relative]
        rounded = corners.astype(np.float32)
        low, high, far = corners[:, :2], corners[:, 2:], sides[:, 2:]
        clear = ((low >= 0) & (high <= far) & (high - low > NARROW * far)).all(axis=1) & (classes >= 0)
    unclear, end = set(owner[~clear].tolist()), 0
    for number, count in enumerate(counts.tolist()):
        part = slice(end, end := end + count)
        if number in unclear or len(set(map(tuple, corners[part].tolist()))) < count:
            yield None
        else:
            yield Arrays(rounded[part], classes[part], crowd[part])


def checked_boxes(
    annotation: Annotation,
    height: int,
    width: int,
    labels: Mapping[str, int],
    outside: Outside,
    faults: Faults,
) -> Iterator[tuple[Box, int, bool]]:
    """Yield the valid boxes, in pixels and clipped to their image, with their labels and crowd flags.

    Every other box is recorded as a fault. With `outside` "clip", a box that leaves its image by more than
    `TOLERANCE` is valid, unless it lies outside as a whole.
    """
    tolerance = math.inf if outside == "clip" else TOLERANCE
    x_scale, y_scale = (width, height) if annotation.relative else (1, 1)
    expected = {
        Kind.NOT_FINITE: "four finite numbers",
        Kind.EMPTY_BOX: "x1 < x2 and y1 < y2",
        Kind.BOX_OUTSIDE: f"0 <= x <= {width} and 0 <= y <= {height}",
    }
    crowds = annotation.crowd or (False,) * len(annotation.boxes)
    for (left, top, right, bottom), name, crowd in zip(
        annotation.boxes, annotation.names, crowds, strict=True
    ):
        raw = x1, y1, x2, y2 = left * x_scale, top * y_scale, right * x_scale, bottom * y_scale
        box = _clipped(raw, height, width, tolerance)
        if name in labels and not isinstance(box, Kind):
            if box != raw:
                far = max(-x1, -y1, x2 - width, y2 - height) > TOLERANCE
                by = f"{'more than' if far else 'at most'} {TOLERANCE:g} px"
                faults.count(f"boxes clipped that left their image by {by}")
            yield box, labels[name], crowd
            continue
        where = f"{annotation.source}: {name} ({x1:g}, {y1:g}, {x2:g}, {y2:g}) px"
        if name not in labels:
            faults.add(Kind.UNKNOWN_CLASS, f"{where}: expected one of {list(labels)}")
        if isinstance(box, Kind):
            faults.add(box, f"{where}: expected {expected[box]}")


def _clipped(box: Box, height: int, width: int, tolerance: float) -> Box | Kind:
    x1, y1, x2, y2 = box
    inside = min(x1, y1) >= 0 and x2 <= width and y2 <= height
    if inside and x2 - x1 > NARROW * width and y2 - y1 > NARROW * height:
        return box  # most boxes; no other check can find a fault
    if not all(map(math.isfinite, box)):
        return Kind.NOT_FINITE
    if x2 <= x1 or y2 <= y1:
        return Kind.EMPTY_BOX
    left = min(x1, y1) < -tolerance or x2 > width + tolerance or y2 > height + tolerance
    if left or min(x2, y2) <= 0 or x1 >= width or y1 >= height:
        return Kind.BOX_OUTSIDE
    x1, y1, x2, y2 = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
    # records hold float32, in which a very narrow box may have zero width
    narrow = np.float32(x1) >= np.float32(x2) or np.float32(y1) >= np.float32(y2)
    return Kind.EMPTY_BOX if narrow else (x1, y1, x2, y2)
