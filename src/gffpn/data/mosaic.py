"""Paste images onto a canvas, zoomed and cropped: one alone, or four around a point.

The four-image mosaic is known from YOLOv4 (arXiv:2004.10934, section 3.4).
Deviations: each tile is resized straight to its final pixels, so no canvas of twice the size is warped
afterwards; each tile shows a random part of its image, not always a corner.

Every paste takes whole source pixels to whole canvas pixels, so boxes follow exactly.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import functional

from gffpn.data.letterbox import GREY


class Source(NamedTuple):
    """An image without its padding, and its boxes."""

    pixels: NDArray[np.uint8]
    """(3, h, w)"""
    boxes: NDArray[np.float32]
    """(M, 4) in pixels of `pixels`."""
    labels: NDArray[np.int64]


class Sample(NamedTuple):
    """The result of augmentation."""

    image: Tensor
    """uint8 (3, H, W)"""
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    lost_boxes: int
    """Boxes of the source images that are no longer in view or too little of which is."""


class BoxRule(NamedTuple):
    """The condition under which a box survives a crop and a resize."""

    min_box_px: float
    """A side that shrinks below this many pixels loses its box; one that was thinner before may stay so."""
    min_visible: float
    """Least share of the area that must be inside the crop."""

    def keeps(
        self, before: NDArray[np.float32], moved: NDArray[np.float32], clipped: NDArray[np.float32]
    ) -> NDArray[np.bool_]:
        """Return a mask (M,) from boxes in the source, on the canvas, and clipped to the view."""
        sides = clipped[:, 2:] - clipped[:, :2]
        needed = np.minimum(before[:, 2:] - before[:, :2], self.min_box_px)
        share = sides.prod(1) / (moved[:, 2:] - moved[:, :2]).prod(1)
        tolerance = 1e-3  # float32 coordinates of some hundred pixels
        return np.asarray(
            (sides > 0).all(1) & (sides >= needed - tolerance).all(1) & (share >= self.min_visible)
        )


class Span(NamedTuple):
    """Along one axis: source pixels [start, stop) land on canvas pixels [to_start, to_stop)."""

    start: int
    stop: int
    to_start: int
    to_stop: int

    @property
    def ratio(self) -> float:
        """Canvas pixels per source pixel."""
        return (self.to_stop - self.to_start) / (self.stop - self.start)


def span(length: int, scale: float, offset: float, window: tuple[int, int]) -> Span | None:
    """The part of `length` source pixels, scaled and laid at `offset`, that is inside the window, if any is.

    Rounding to whole pixels on both sides changes the scale a little: by at most one pixel over the span.
    """
    to_start = max(window[0], round(offset))
    to_stop = min(window[1], round(offset + length * scale))
    if to_stop <= to_start:
        return None
    start = min(max(round((to_start - offset) / scale), 0), length - 1)
    stop = min(max(round((to_stop - offset) / scale), start + 1), length)
    return Span(start, stop, to_start, to_stop)


def paste(canvas: Tensor, source: Source, rows: Span | None, columns: Span | None, rule: BoxRule) -> Sample:
    """Draw the source into the canvas, in place; the sample's boxes are those that are still there."""
    if rows is None or columns is None:
        return Sample(canvas, source.boxes[:0], source.labels[:0], len(source.boxes))
    crop = torch.from_numpy(source.pixels[:, rows.start : rows.stop, columns.start : columns.stop].copy())
    size = (rows.to_stop - rows.to_start, columns.to_stop - columns.to_start)
    if crop.shape[1:] != size:
        crop = functional.resize(crop, list(size), antialias=True)
    canvas[:, rows.to_start : rows.to_stop, columns.to_start : columns.to_stop] = crop

    ratio = np.array([columns.ratio, rows.ratio] * 2)
    moved = (source.boxes - [columns.start, rows.start] * 2) * ratio + [columns.to_start, rows.to_start] * 2
    low, high = [columns.to_start, rows.to_start] * 2, [columns.to_stop, rows.to_stop] * 2
    moved = moved.astype(np.float32)
    clipped = np.clip(moved, low, high).astype(np.float32)
    kept = rule.keeps(source.boxes, moved, clipped)
    return Sample(canvas, clipped[kept], source.labels[kept], int(len(kept) - kept.sum()))


def blank(size: tuple[int, int]) -> Tensor:
    """Return a grey canvas, uint8 (3, H, W)."""
    return torch.full((3, *size), GREY, dtype=torch.uint8)


def four_around(
    sources: Sequence[Source],
    size: tuple[int, int],
    scale: tuple[float, float],
    rule: BoxRule,
    rng: np.random.Generator,
) -> Sample:
    """Paste four images around a random point of the middle half, each with its own scale and part."""
    canvas = blank(size)
    middle_y, middle_x = (round(side * rng.uniform(0.25, 0.75)) for side in size)
    parts = []
    for number, source in enumerate(sources):
        top_bottom = (0, middle_y) if number < 2 else (middle_y, size[0])
        left_right = (0, middle_x) if number % 2 == 0 else (middle_x, size[1])
        zoom = rng.uniform(*scale)
        rows, columns = (
            _anywhere(length, zoom, window, rng.uniform())
            for length, window in zip(source.pixels.shape[1:], (top_bottom, left_right), strict=True)
        )
        parts.append(paste(canvas, source, rows, columns, rule))
    return Sample(
        canvas,
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.labels for part in parts]),
        sum(part.lost_boxes for part in parts),
    )


def _anywhere(length: int, scale: float, window: tuple[int, int], position: float) -> Span | None:
    """A larger image fills the window with some part of it, a smaller one lies somewhere inside it."""
    slack = window[1] - window[0] - length * scale
    return span(length, scale, window[0] + position * slack, window)
