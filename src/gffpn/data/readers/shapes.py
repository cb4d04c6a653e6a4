"""Upright boxes around other shapes: polygons, rotated boxes, and masks in COCO's run-length encoding."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any, Literal

from gffpn.data.readers.annotation import Box
from gffpn.data.readers.faults import Faults, Kind

Shapes = Literal["refuse", "enclose"]


def accept(shapes: Shapes, where: str, found: str, faults: Faults) -> bool:
    """Return True if the box around a shape is wanted, which is counted; otherwise record a fault."""
    if shapes == "enclose":
        faults.count("boxes drawn around other shapes")
        return True
    faults.add(Kind.SHAPE, f"{where}: {found}")
    return False


def finite(numbers: Iterable[float]) -> bool:
    """Return whether all numbers are finite as floats; an integer of JSON may be too large for one."""
    try:
        return all(map(math.isfinite, numbers))
    except OverflowError:
        return False


def polygon_box(points: Sequence[float]) -> Box:
    """Return the box around `points` (x, y, x, y, ...); its corners are nan if a number is not finite."""
    if not finite(points):
        return (math.nan,) * 4
    return min(points[::2]), min(points[1::2]), max(points[::2]), max(points[1::2])


def rotated_box(box: Box, degrees: float) -> Box:
    """Return the upright box around `box` (xyxy) rotated about its centre."""
    x1, y1, x2, y2 = box
    cos, sin = abs(math.cos(math.radians(degrees))), abs(math.sin(math.radians(degrees)))
    half_width = ((x2 - x1) * cos + (y2 - y1) * sin) / 2
    half_height = ((x2 - x1) * sin + (y2 - y1) * cos) / 2
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    return x - half_width, y - half_height, x + half_width, y + half_height


def segmentation_box(segmentation: Any) -> Box | None:
    """Return the box around COCO's segmentation, in pixels; None if it is neither polygons nor a mask."""
    if isinstance(segmentation, Mapping):
        return _mask_box(segmentation.get("size"), segmentation.get("counts"))
    if not isinstance(segmentation, list) or not segmentation:
        return None
    points: list[float] = []
    for part in segmentation:
        numbers = isinstance(part, list) and all(type(value) in (int, float) for value in part)
        if not numbers or len(part) < 6 or len(part) % 2:
            return None
        points += part
    return polygon_box(points)


def _mask_box(size: Any, counts: Any) -> Box | None:
    """Return the box around a mask of (height, width), given by the lengths of its runs, or None.

    The runs alternate between background and object and go down the columns, from left to right.
    """
    if (
        not isinstance(size, list)
        or not all(type(side) is int and side > 0 for side in size)
        or len(size) != 2
    ):
        return None
    runs = list(_decompressed(counts)) if isinstance(counts, str) else counts
    if not isinstance(runs, list) or not all(type(run) is int and run >= 0 for run in runs):
        return None
    height, width = size
    if sum(runs) != height * width:
        return None
    ends = list(accumulate(runs, initial=0))
    inside = [(start, end - 1) for start, end in list(pairwise(ends))[1::2] if end > start]
    if not inside:
        return None
    columns = [place // height for run in inside for place in run]
    # a run that goes on in the next column covers the bottom of one and the top of the other
    across = any(start // height < last // height for start, last in inside)
    rows = [0, height - 1] if across else [place % height for run in inside for place in run]
    return min(columns), min(rows), max(columns) + 1, max(rows) + 1


def _decompressed(text: str) -> Iterator[int]:
    """Yield the lengths of runs in pycocotools' text form.

    A number has groups of five bits, the lowest first, in signs from "0" on, in which bit 5 announces another
    group; bit 4 of the last one is the sign. From the fourth number on, it is the difference to the last but
    one.
    """
    runs: list[int] = []
    value = shift = 0
    for sign in text:
        bits = ord(sign) - ord("0")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        yield runs[-1]
        value = shift = 0
