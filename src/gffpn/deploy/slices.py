"""Slices of a large image, and the detections of all its slices as those of one image.

Small objects keep their pixels in a slice, where fitting the whole image to the network's input would shrink
them. The whole image is one of the views, because an object larger than a slice is whole only there.
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack
from scipy.sparse.csgraph import connected_components
from torchvision.ops import nms

from gffpn.choice import one_of
from gffpn.deploy.detections import Detections, joined

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Merge = Literal["nms", "nmm"]

SAME_IOU = 0.5
"""Two boxes of a class from different views are the same object if their IoU is larger."""
INSIDE = 0.7
"""A box that an edge cut is a piece of a whole one if more than this share of it lies inside."""
TRUSTED = 0.5
"""The whole box needs at least this share of the piece's score: a weak one does not replace a sure piece. Of
two pieces that belong together, the weaker one needs this share of the other's."""
ALONG = 0.5
"""Two pieces that meet at an edge belong together if the IoU of their extents along the edge is larger."""
NEAR_EDGE = 0.01
"""A box is cut if it comes this near to an edge of its slice, as a share of the slice's side ..."""
NEAR_EDGE_PX = 2.0
"""... or this near, in native pixels."""

BLOCK = 256
"""Pieces that are compared with all other boxes at a time."""


class Window(NamedTuple):
    """Part of an image in native pixels, from x1, y1 up to, but not including, x2, y2."""

    x1: int
    y1: int
    x2: int
    y2: int


@dataclass(frozen=True)
class Slicing:
    """Slices of `side` native pixels, or as large as the network's input if None.

    Neighbours overlap by at least the share `overlap` of their side. `merge` says what becomes of pieces of
    an object that is whole in no view: `nms` keeps them, `nmm` joins them to one box. Raises ValueError for a
    side below 1 and for an overlap outside of 0 to 0.9.
    """

    side: int | None = None
    overlap: float = 0.2
    merge: Merge = "nms"

    def __post_init__(self) -> None:
        if self.side is not None and self.side < 1:
            raise ValueError(f"--slice: got {self.side}, expected auto or a side in pixels")
        if not 0 <= self.overlap <= 0.9:
            raise ValueError(f"--overlap: got {self.overlap}, expected 0 to 0.9")
        one_of("--merge", self.merge, Merge)

    def lowest(self, threshold: float) -> float:
        """Return the lowest score that can decide which detections score `threshold` or more."""
        # a whole box of half a piece's score replaces it; joined pieces form chains of any score
        return TRUSTED * threshold if self.merge == "nms" else 0.0

    def windows(self, height: int, width: int, image_size: tuple[int, int]) -> list[Window]:
        """Return the views of an image: the whole first, then the slices, row by row.

        An image that fits into one slice has a single view.
        """
        whole = Window(0, 0, width, height)
        tall, wide = image_size if self.side is None else (self.side, self.side)
        tops, lefts = (starts(length, side, self.overlap) for length, side in ((height, tall), (width, wide)))
        if len(tops) == len(lefts) == 1:
            return [whole]
        slices = [
            Window(left, top, min(left + wide, width), min(top + tall, height))
            for top in tops
            for left in lefts
        ]
        return [whole, *slices]


def starts(length: int, side: int, overlap: float) -> list[int]:
    """Return where slices of `side` pixels start, evenly spread so that the last one ends at `length`."""
    if side >= length:
        return [0]
    # at least a pixel further, however large the overlap is
    step = max(1.0, side * (1 - overlap))
    count = math.ceil((length - side) / step) + 1
    return [round(number * (length - side) / (count - 1)) for number in range(count)]


def merged(views: list[tuple[Window, Detections]], size: tuple[int, int], merge: Merge) -> Detections:
    """Return the detections of all views of an image of `size` (height, width), best first.

    Boxes are native. A single view is returned as it is. Within a class, overlapping boxes count once, and a
    box that the edge of a slice cut gives way to a whole one that covers it.
    """
    if len(views) == 1:
        return views[0][1]
    found = joined([part for _, part in views])
    cut = np.concatenate([_cut(part.boxes, window, size) for window, part in views])
    pieces = cut.any(1)
    whole = found[~pieces]
    whole = whole[_suppressed(whole)]
    piece, cut = found[pieces], cut[pieces]
    kept = _suppressed(piece)
    piece, cut = piece[kept], cut[kept]
    alone = ~_covered(piece, whole)
    piece, cut = piece[alone], cut[alone]
    if merge == "nmm":
        piece = _together(piece, cut)
    both = joined([whole, piece])
    return both[np.argsort(-both.scores, kind="stable")]


def _cut(boxes: Floats, window: Window, size: tuple[int, int]) -> Mask:
    """Return (M, 4), true where the left, top, right or bottom edge of a slice inside the image cut a box."""
    height, width = size
    sides = np.array([window.x2 - window.x1, window.y2 - window.y1] * 2)
    near = np.abs(boxes - np.array(window)) <= np.maximum(NEAR_EDGE_PX, NEAR_EDGE * sides)
    inner = np.array([window.x1 > 0, window.y1 > 0, window.x2 < width, window.y2 < height])
    return near & inner


def _suppressed(found: Detections) -> NDArray[np.int64]:
    """Return the positions that class-wise suppression keeps."""
    rows = [np.flatnonzero(found.labels == label) for label in np.unique(found.labels)]
    # class by class: the offsets of torchvision's batched_nms would round the coordinates of large images
    kept = [
        row[nms(torch.from_numpy(found.boxes[row]), torch.from_numpy(found.scores[row]), SAME_IOU).numpy()]
        for row in rows
    ]
    return np.concatenate([np.zeros(0, np.int64), *kept])


def _covered(piece: Detections, whole: Detections) -> Mask:
    """Return (P,), true for the pieces that a trusted whole box of their class covers."""
    return np.concatenate([np.zeros(0, np.bool_), *(_covered_rows(rows, whole) for rows in _blocks(piece))])


def _covered_rows(piece: Detections, whole: Detections) -> Mask:
    a, b = piece.boxes[:, None], whole.boxes[None]
    shared = (np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])).clip(0).prod(-1)
    area = (piece.boxes[:, 2:] - piece.boxes[:, :2]).prod(1)
    same = piece.labels[:, None] == whole.labels[None]
    trusted = whole.scores[None] >= TRUSTED * piece.scores[:, None]
    covered: Mask = (same & trusted & (shared > INSIDE * area[:, None])).any(1)
    return covered


def _blocks(found: Detections) -> list[Detections]:
    """Return the detections in blocks, because all pairs at once would fill the memory."""
    return [found[first : first + BLOCK] for first in range(0, len(found), BLOCK)]


def _together(piece: Detections, cut: Mask) -> Detections:
    """Join the pieces that meet at an edge: their common rectangle, with the best score among them."""
    blocks = [
        _meeting(rows, cut[first : first + BLOCK], piece, cut)
        for first, rows in zip(range(0, len(piece), BLOCK), _blocks(piece), strict=True)
    ]
    if not blocks:
        return piece
    count, group = connected_components(vstack(blocks), directed=False)
    boxes = np.concatenate([np.full((count, 2), np.inf), np.full((count, 2), -np.inf)], 1).astype(np.float32)
    np.minimum.at(boxes[:, :2], group, piece.boxes[:, :2])
    np.maximum.at(boxes[:, 2:], group, piece.boxes[:, 2:])
    scores, labels = np.zeros(count, np.float32), np.zeros(count, np.int64)
    np.maximum.at(scores, group, piece.scores)
    labels[group] = piece.labels
    return Detections(boxes, scores, labels, piece.classes)


def _meeting(rows: Detections, rows_cut: Mask, piece: Detections, cut: Mask) -> csr_array:
    """Return (B, P), true where the right or lower edge of a row's box meets a piece of the same object."""
    x, y = (_iou(rows.boxes[:, axis::2], piece.boxes[:, axis::2]) for axis in (0, 1))
    left, top = cut[:, 0], cut[:, 1]
    right, bottom = rows_cut[:, 2], rows_cut[:, 3]
    facing_x, facing_y = right[:, None] & left[None], bottom[:, None] & top[None]
    meets = (facing_x & (x > 0) & (y > ALONG)) | (facing_y & (y > 0) & (x > ALONG))
    a, b = rows.scores[:, None], piece.scores[None]
    trusted = np.minimum(a, b) >= TRUSTED * np.maximum(a, b)
    return csr_array(meets & trusted & (rows.labels[:, None] == piece.labels[None]))


def _iou(a: Floats, b: Floats) -> Floats:
    """Return the IoU (B, P) of one-dimensional spans (B, 2) and (P, 2)."""
    shared = (np.minimum(a[:, None, 1], b[None, :, 1]) - np.maximum(a[:, None, 0], b[None, :, 0])).clip(0)
    length = (a[:, 1] - a[:, 0])[:, None] + (b[:, 1] - b[:, 0])[None]
    return np.asarray(shared / (length - shared), np.float32)
