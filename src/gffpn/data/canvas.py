"""Images on a canvas, with their boxes.

Each paste maps whole source pixels to whole canvas pixels, so boxes are transformed exactly.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import functional

from gffpn.data.letterbox import GREY
from gffpn.metrics.matching import SIZE_EDGES, Ints, size_bin

LOST_BY = ("mosaic", "crop", "filter")
"""Causes of lost boxes: out of view in a tile of a mosaic; out of view after zoom and shift, or outside the
window that a crop shows; dropped by `BoxRule`, because too little of them is in view."""
NONE_LOST: Ints = np.zeros((len(LOST_BY), len(SIZE_EDGES) + 1), np.int64)
"""Counts (causes, bins) of no box."""
NO_BOXES = np.zeros((0, 4), np.float32)


class Source(NamedTuple):
    """Image without padding, with its boxes and labels."""

    pixels: NDArray[np.uint8]
    """(3, h, w)"""
    boxes: NDArray[np.float32]
    """(M, 4) xyxy, in the pixels of this image."""
    labels: NDArray[np.int64]
    crowd: NDArray[np.float32] = NO_BOXES
    """(K, 4) crowd regions, which are in no sample's boxes, and onto which no object is pasted."""


class Sample(NamedTuple):
    """Augmented image, with the boxes and labels that are left."""

    image: Tensor
    """uint8 (3, H, W)"""
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    lost_boxes: Ints
    """Number of source boxes that were lost, by cause and size bin, see `lost`."""


class BoxRule(NamedTuple):
    """Conditions for keeping a box that a crop cuts; a box that is wholly in view is kept, however small."""

    min_box_px: float
    """Minimum length in pixels of what is left of a cut side; a shorter side must not be cut at all."""
    min_visible: float
    """Minimum share of a box's area that must be inside the crop."""

    def keeps(self, moved: NDArray[np.float32], clipped: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return a mask (M,) of the boxes to keep.

        The same boxes (M, 4) are given in canvas pixels (`moved`) and clipped to the view (`clipped`).
        """
        whole, sides = moved[:, 2:] - moved[:, :2], clipped[:, 2:] - clipped[:, :2]
        tolerance = 1e-3  # rounding of float32 coordinates of several hundred pixels
        long_enough = sides >= np.minimum(whole, self.min_box_px) - tolerance
        share = sides.prod(1) / whole.prod(1)
        return np.asarray((sides > 0).all(1) & long_enough.all(1) & (share >= self.min_visible - tolerance))


class Span(NamedTuple):
    """Mapping of source pixels [start, stop) to canvas pixels [to_start, to_stop) along one axis."""

    start: int
    stop: int
    to_start: int
    to_stop: int

    @property
    def ratio(self) -> float:
        """Canvas pixels per source pixel."""
        return (self.to_stop - self.to_start) / (self.stop - self.start)


def span(length: int, scale: float, offset: float, window: tuple[int, int]) -> Span | None:
    """Return the span of an axis of `length` source pixels, scaled and placed at `offset`, inside `window`.

    Returns None if nothing is inside the window. Rounding to whole pixels in the source and on the canvas
    changes the scale slightly, by at most one pixel over the span; only the window cuts pixels off.
    """
    first, last = round(offset), round(offset + length * scale)
    to_start, to_stop = max(window[0], first), min(window[1], last)
    if to_stop <= to_start:
        return None
    start, stop = 0, length
    if first < to_start:
        start = min(max(round((to_start - offset) / scale), 0), length - 1)
    if to_stop < last:
        stop = min(max(round((to_stop - offset) / scale), start + 1), length)
    return Span(start, stop, to_start, to_stop)


class Place(NamedTuple):
    """Image and the part of it that is shown on a part of a canvas; None shows nothing of it."""

    source: Source
    rows: Span | None
    columns: Span | None


def lost(boxes: NDArray[np.float32], *, by: str) -> Ints:
    """Count boxes (M, 4) lost by one cause of `LOST_BY`; return the counts (causes, bins) of `network_bins`.

    The boxes are in canvas pixels, so a box counts with the size that the network would have seen.
    """
    counts = NONE_LOST.copy()
    if len(boxes):
        bins = size_bin(boxes.astype(np.float64))
        counts[LOST_BY.index(by)] = np.bincount(bins, minlength=counts.shape[1])
    return counts


def paste(
    canvas: Tensor, source: Source, rows: Span | None, columns: Span | None, rule: BoxRule, *, by: str
) -> Sample:
    """Draw `source` onto `canvas` in place, and return the canvas with the boxes that `rule` keeps.

    Boxes that are out of view are lost by the cause `by`.
    """
    if rows is None or columns is None:
        return Sample(canvas, source.boxes[:0], source.labels[:0], lost(source.boxes, by=by))
    crop = torch.from_numpy(source.pixels[:, rows.start : rows.stop, columns.start : columns.stop].copy())
    size = (rows.to_stop - rows.to_start, columns.to_stop - columns.to_start)
    if crop.shape[1:] != size:
        crop = functional.resize(crop, list(size), antialias=True)
    canvas[:, rows.to_start : rows.to_stop, columns.to_start : columns.to_stop] = crop

    moved = to_canvas(source.boxes, rows, columns)
    low, high = [columns.to_start, rows.to_start] * 2, [columns.to_stop, rows.to_stop] * 2
    clipped = np.clip(moved, low, high).astype(np.float32)
    kept, seen = rule.keeps(moved, clipped), (clipped[:, 2:] > clipped[:, :2]).all(1)
    gone = lost(moved[~seen], by=by) + lost(moved[seen & ~kept], by="filter")
    return Sample(canvas, clipped[kept], source.labels[kept], gone)


def to_canvas(boxes: NDArray[np.float32], rows: Span, columns: Span) -> NDArray[np.float32]:
    """Convert boxes (M, 4) from source to canvas pixels, without clipping them to the view."""
    ratio = np.array([columns.ratio, rows.ratio] * 2)
    moved = (boxes - [columns.start, rows.start] * 2) * ratio + [columns.to_start, rows.to_start] * 2
    return moved.astype(np.float32)


def drawn(places: Sequence[Place], size: tuple[int, int], rule: BoxRule, *, by: str) -> Sample:
    """Draw all `places` onto a new canvas (H, W); see `paste`."""
    canvas = blank(size)
    parts = [paste(canvas, *place, rule, by=by) for place in places]
    return Sample(
        canvas,
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.sum([part.lost_boxes for part in parts], axis=0),
    )


def blank(size: tuple[int, int]) -> Tensor:
    """Return a grey canvas, uint8 (3, H, W)."""
    return torch.full((3, *size), GREY, dtype=torch.uint8)
