"""Small objects pasted onto a sample.

Sources: M. Kisantal et al., "Augmentation for small object detection", arXiv:1902.07296: copies of small
objects at random places of their image, without overlap with other objects; G. Ghiasi et al., "Simple
Copy-Paste is a Strong Data Augmentation Method for Instance Segmentation", arXiv:2012.07177: objects of
another image.
Deviations: we have no masks, so an object is pasted with its box and a margin, in which it fades out; of
several random places, it gets the one where the edge of its margin differs least from the pixels below;
objects are mirrored, but neither scaled nor rotated, so that their boxes are exact.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import ceil, floor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gffpn.data.canvas import NO_BOXES, Place, Sample, Source, to_canvas
from gffpn.metrics.matching import Ints

MARGIN = 4
"""Largest width of the margin in pixels; it is less where another object or the image's border is near."""
PLACES = 16
"""Number of random places that are compared for each object."""
DRAWS = 2
"""Number of objects that are drawn for each one to be pasted, as some find no place."""
MAX_SEAM = 25.0
"""Largest mean difference along the edge of the margin, in grey values of 0..255; larger steps show."""

Pixels = NDArray[np.uint8]
Boxes = NDArray[np.float32]
Box = tuple[float, float, float, float]
"""x1, y1, x2, y2"""


class Patch(NamedTuple):
    """An object with a margin around it."""

    pixels: Pixels
    """(3, h, w)"""
    box: Box
    """In pixels of the patch."""
    label: int
    margin: int


class CopyPaste:
    """Paste of `count` small objects per sample on average, a Poisson variable; fewer, if they find no place.

    Objects whose longer side is less than `side` pixels are drawn from all such objects of the given images.
    They must lie at least a pixel away from other objects and from the image's border. They cover no object,
    no crowd region and no padding. `flips` are pairs of a probability and the axis, 1 or 2, to mirror.
    """

    def __init__(self, count: float, side: float, flips: Sequence[tuple[float, int]]) -> None:
        self.count = count
        self.side = side
        self.flips = flips

    def __call__(
        self, sample: Sample, places: Sequence[Place], donors: Sequence[Source], rng: np.random.Generator
    ) -> Sample:
        """Paste objects of the images `donors` onto a sample, which shows `places`.

        The pixels of the sample change in place.
        """
        wanted = int(rng.poisson(self.count))
        candidates = [(donor, k) for donor in donors for k in _small(donor.boxes, self.side)]
        if not candidates or not wanted:
            return sample
        canvas, views, taken = sample.image.numpy(), _views(places), _taken(places)
        boxes, labels = [sample.boxes], [sample.labels]
        for number in rng.integers(len(candidates), size=DRAWS * wanted).tolist():
            patch = _cut(*candidates[number])
            if patch is None:
                continue
            patch = self._mirrored(patch, rng)
            corner = _best_place(canvas, patch, views, taken, rng)
            if corner is None:
                continue
            _blend(canvas, patch, *corner)
            boxes.append(np.array([patch.box], np.float32) + np.array(corner * 2, np.float32))
            taken = np.concatenate([taken, boxes[-1]])
            labels.append(np.array([patch.label]))
            if len(boxes) > wanted:
                break
        return sample._replace(boxes=np.concatenate(boxes), labels=np.concatenate(labels))

    def _mirrored(self, patch: Patch, rng: np.random.Generator) -> Patch:
        for probability, axis in self.flips:
            if rng.uniform() < probability:
                x1, y1, x2, y2 = patch.box
                side = patch.pixels.shape[axis]
                if axis == 2:
                    patch = patch._replace(
                        pixels=patch.pixels[:, :, ::-1], box=(side - x2, y1, side - x1, y2)
                    )
                else:
                    patch = patch._replace(pixels=patch.pixels[:, ::-1], box=(x1, side - y2, x2, side - y1))
        return patch


def _small(boxes: Boxes, side: float) -> list[int]:
    """Return the positions of the boxes with an area whose longer side is less than `side`."""
    sides = boxes[:, 2:] - boxes[:, :2]
    positions: list[int] = np.flatnonzero((sides.max(1, initial=0) < side) & (sides > 0).all(1)).tolist()
    return positions


def _views(places: Sequence[Place]) -> list[Box]:
    """Return the parts of the canvas that show an image."""
    return [
        (columns.to_start, rows.to_start, columns.to_stop, rows.to_stop)
        for _, rows, columns in places
        if rows and columns
    ]


def _taken(places: Sequence[Place]) -> Boxes:
    """Return what must not be covered (K, 4): objects, even if they were dropped, and crowd regions."""
    seen = [NO_BOXES]
    for source, rows, columns in places:
        if rows and columns:
            moved = to_canvas(np.concatenate([source.boxes, source.crowd]), rows, columns)
            low, high = [columns.to_start, rows.to_start] * 2, [columns.to_stop, rows.to_stop] * 2
            seen.append(np.clip(moved, low, high).astype(np.float32))
    return np.concatenate(seen)


def _cut(source: Source, number: int) -> Patch | None:
    """Cut out an object; return None if another one, a crowd region or the image's border is too near."""
    x1, y1, x2, y2 = source.boxes[number].tolist()
    left, top, right, bottom = floor(x1), floor(y1), ceil(x2), ceil(y2)
    others = np.concatenate([source.boxes[:number], source.boxes[number + 1 :], source.crowd])
    # two boxes are apart if they are apart along one axis
    gaps = np.maximum(others[:, :2] - [right, bottom], [left, top] - others[:, 2:]).max(1, initial=-np.inf)
    height, width = source.pixels.shape[1:]
    room = min(left, top, width - right, height - bottom, floor(gaps.min(initial=MARGIN)))
    margin = min(MARGIN, room)
    if margin < 1:
        return None
    left, top = left - margin, top - margin
    pixels = source.pixels[:, top : bottom + margin, left : right + margin]
    return Patch(pixels, (x1 - left, y1 - top, x2 - left, y2 - top), int(source.labels[number]), margin)


def _best_place(
    canvas: Pixels, patch: Patch, views: Sequence[Box], taken: Boxes, rng: np.random.Generator
) -> tuple[int, int] | None:
    """Return the corner (x, y) of the random free place whose pixels fit best, or None if there is none."""
    (height, width), (high, wide) = canvas.shape[1:], patch.pixels.shape[1:]
    if high > height or wide > width:
        return None
    x, y = rng.integers(width - wide + 1, size=PLACES), rng.integers(height - high + 1, size=PLACES)
    free = np.zeros(PLACES, np.bool_)
    for x1, y1, x2, y2 in views:
        free |= (x >= x1) & (x + wide <= x2) & (y >= y1) & (y + high <= y2)
    left, top = x[:, None], y[:, None]
    beside = (taken[:, 0] >= left + wide) | (taken[:, 2] <= left)
    beside |= (taken[:, 1] >= top + high) | (taken[:, 3] <= top)
    free &= beside.all(1)
    if not free.any():
        return None
    x, y = x[free], y[free]
    # take is ten times as fast as indexing with two arrays
    below = canvas.reshape(3, -1).take((y * width + x)[:, None] + _edge(high, wide, width), axis=1)
    ours = patch.pixels
    edge = np.concatenate([ours[:, 0], ours[:, -1], ours[:, :, 0], ours[:, :, -1]], 1).astype(np.int16)
    seams = np.abs(below - edge[:, None]).mean((0, 2))
    best = int(seams.argmin())
    return (int(x[best]), int(y[best])) if seams[best] <= MAX_SEAM else None


@lru_cache(1024)
def _edge(high: int, wide: int, width: int) -> Ints:
    """Return the top, bottom, left and right edge of a patch as positions in a flattened canvas."""
    row, column = np.arange(wide), np.arange(high) * width
    return np.concatenate([row, row + (high - 1) * width, column, column + wide - 1])


def _blend(canvas: Pixels, patch: Patch, x: int, y: int) -> None:
    """Draw a patch, fully inside of its margin and ever less towards its edge."""
    high, wide = patch.pixels.shape[1:]
    shares = np.minimum.outer(_shares(high, patch.margin), _shares(wide, patch.margin))
    region = canvas[:, y : y + high, x : x + wide]
    below = region.astype(np.float32)
    region[:] = np.rint(below + shares * (patch.pixels - below))


def _shares(length: int, margin: int) -> Boxes:
    """Return the share of the patch in each pixel along one axis, 1 / (margin + 1) at its ends."""
    from_start = np.arange(1, length + 1, dtype=np.float32)
    return np.minimum(np.minimum(from_start, from_start[::-1]) / np.float32(margin + 1), np.float32(1))
