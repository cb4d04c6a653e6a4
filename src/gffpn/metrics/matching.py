"""Matching of detections to objects: once per run, as arrays that image counts can re-weight.

The matching is COCO's: within an image and a class, in order of decreasing score, each detection takes the
free object of largest IoU at or above the threshold, preferring objects inside the size range to those
outside. Everything outside the range is ignored: objects, the detections matched to them, and unmatched
detections. Because objects inside are preferred, every size range has its own matches.

A crowd region marks objects that were not annotated one by one. It is ignored in every size range, any number
of detections may match it, and its overlap with a detection is the share of the detection inside the region.

Source: the bounding-box evaluation of pycocotools, `COCOeval`.
Deviations: the size ranges of pycocotools are closed on both sides, so that a box of exactly 32 x 32 counts
as small and as medium; ours are half-open and count each box once. Area is width x height.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

IOU_THRESHOLDS: Floats = np.linspace(0.5, 0.95, 10)
TRUE, FALSE, IGNORED = 1, 0, -1

# 1/1000 px: coordinates are rescaled in float32, and rounding must not decide the bin of a 32 px box
SIDE_DECIMALS = 3
_PAIRS = 1 << 20
"""Pairs of boxes at a time; each takes 150 bytes, and images of shelves or cells have hundreds of objects."""
SIZE_EDGES = (8, 16, 32, 96)
"""Side lengths in pixels that separate the size bins."""


class SizeRange(NamedTuple):
    """Boxes with low <= side < high, side = sqrt(width * height)."""

    name: str
    low: float
    high: float
    native: bool
    """True if the side is in pixels of the image file instead of the network's input."""


class Boxes(NamedTuple):
    """M boxes from all images, in any order of the images."""

    image: Ints
    """(M,) position of the image, 0..N-1."""
    label: Ints
    """(M,) 0..K-1."""
    xyxy: Floats
    """(M, 4) network pixels."""


class Matches(NamedTuple):
    """Input of average precision for N images, D detections, M objects, R size ranges and T IoU thresholds.

    Detections are ordered by label, decreasing score, image.
    """

    image_index: Ints
    """(N,) index of each image in the data set; every other field refers to an image by its position here."""
    num_classes: int
    ranges: tuple[str, ...]
    """(R,) names of the size ranges; the first is "all"."""
    image: Ints
    label: Ints
    score: Floats
    outcome: NDArray[np.int8]
    """(R, T, D) TRUE, FALSE or IGNORED."""
    object_image: Ints
    object_label: Ints
    object_inside: NDArray[np.bool_]
    """(R, M) true if the object counts in the size range; a crowd region counts in none."""


def size_ranges(edges: Sequence[float]) -> tuple[SizeRange, ...]:
    """Return the range "all", then the bins between 0, the edges and infinity.

    The bins come in network pixels first, then in native pixels. Raises ValueError unless the edges are
    positive and increasing.
    """
    if not edges or edges[0] <= 0 or any(low >= high for low, high in pairwise(edges)):
        raise ValueError(f"size_edges: got {list(edges)}, expected increasing positive sides in pixels")
    lows, highs = (0.0, *map(float, edges)), (*map(float, edges), np.inf)
    bins = [
        (f"{low:g}_{'up' if np.isinf(high) else f'{high:g}'}", low, high)
        for low, high in zip(lows, highs, strict=True)
    ]
    return (
        SizeRange("all", 0.0, np.inf, False),
        *(SizeRange(name, low, high, False) for name, low, high in bins),
        *(SizeRange(f"native_{name}", low, high, True) for name, low, high in bins),
    )


def network_bins(edges: Sequence[float] = SIZE_EDGES) -> tuple[SizeRange, ...]:
    """Return the bins in network pixels, smallest first."""
    return tuple(size for size in size_ranges(edges)[1:] if not size.native)


def size_bin(xyxy: Floats, edges: Sequence[float] = SIZE_EDGES) -> Ints:
    """Return the position (...) in `network_bins` of the bin of each box (..., 4) in network pixels."""
    return np.searchsorted(edges, sides(xyxy), side="right").astype(np.int64)


def match(
    detections: Boxes,
    scores: Floats,
    objects: Boxes,
    *,
    crowd: NDArray[np.bool_],
    image_index: Ints,
    scales: Floats,
    num_classes: int,
    ranges: Sequence[SizeRange],
    max_detections: int,
) -> Matches:
    """Match detections to objects in every image and class, at every IoU threshold and in every size range.

    `scores` (D,) belong to `detections`; `crowd` (M,) is true for the `objects` that are crowd regions;
    `scales` (N, 2) are network pixels per native pixel along x and y. Per image and class, the
    `max_detections` highest scores are kept; ties keep their order.
    """
    order = np.lexsort((-scores, detections.image, detections.label))
    group = (detections.label * len(image_index) + detections.image)[order]
    kept = order[_rank(group) < max_detections]
    detections = Boxes(detections.image[kept], detections.label[kept], detections.xyxy[kept])
    scores = scores[kept]

    object_inside = _inside(objects, scales, ranges) & ~crowd
    outside = np.where(_inside(detections, scales, ranges), FALSE, IGNORED).astype(np.int8)
    outcome = np.repeat(outside[:, None, :], len(IOU_THRESHOLDS), axis=1)
    _assign(outcome, detections, objects, crowd, object_inside, len(image_index))

    final = np.lexsort((detections.image, -scores, detections.label))
    return Matches(
        image_index=image_index,
        num_classes=num_classes,
        ranges=tuple(size_range.name for size_range in ranges),
        image=detections.image[final],
        label=detections.label[final],
        score=scores[final],
        outcome=outcome[:, :, final],
        object_image=objects.image,
        object_label=objects.label,
        object_inside=object_inside,
    )


def _rank(sorted_keys: Ints) -> Ints:
    """Return the number of equal keys before each key."""
    return np.arange(len(sorted_keys)) - np.searchsorted(sorted_keys, sorted_keys, side="left")


def _area(xyxy: Floats) -> Floats:
    return (xyxy[..., 2] - xyxy[..., 0]) * (xyxy[..., 3] - xyxy[..., 1])


def sides(xyxy: Floats, scale: Floats | float = 1.0) -> Floats:
    """Return sqrt(width x height) / scale of boxes (..., 4), rounded so that boxes on an edge get one bin."""
    return (np.sqrt(_area(xyxy)) / scale).round(SIDE_DECIMALS)


def _inside(boxes: Boxes, scales: Floats, ranges: Sequence[SizeRange]) -> NDArray[np.bool_]:
    """Return a mask (R, M) of the boxes inside each size range."""
    native_scale = np.sqrt(scales.prod(axis=1))[boxes.image]
    side = {False: sides(boxes.xyxy), True: sides(boxes.xyxy, native_scale)}
    return np.stack([(r.low <= side[r.native]) & (side[r.native] < r.high) for r in ranges])


def _assign(
    outcome: NDArray[np.int8],
    detections: Boxes,
    objects: Boxes,
    crowd: NDArray[np.bool_],
    object_inside: NDArray[np.bool_],
    num_images: int,
) -> None:
    """Write the matches into `outcome` (R, T, D); detections are ordered by group, then decreasing score.

    Only detections that overlap an object can match. Round k matches the k-th of these in all groups at once.
    """
    group = detections.label * num_images + detections.image
    pair_detection, pair_object, pair_iou = _overlaps(
        group, detections.xyxy, objects.label * num_images + objects.image, objects.xyxy, crowd
    )
    if not pair_detection.size:
        return
    rows, first, count = np.unique(pair_detection, return_index=True, return_counts=True)
    slot = np.arange(len(pair_detection)) - np.repeat(first, count)
    row = np.repeat(np.arange(len(rows)), count)
    candidates = np.zeros((len(rows), count.max()), dtype=np.int64)
    ious = np.full(candidates.shape, -1.0)
    candidates[row, slot], ious[row, slot] = pair_object, pair_iou

    rank = _rank(group[rows])
    rounds = np.split(np.argsort(rank, kind="stable"), np.cumsum(np.bincount(rank))[:-1])
    for inside, result in zip(object_inside, outcome, strict=True):
        # below the IoU of any object inside; exact, because IoU lies in 0.5..1 here
        preference = np.where(inside[candidates], ious, ious - 1.0)
        taken = np.zeros((len(IOU_THRESHOLDS), len(inside)), dtype=np.bool_)
        for members in rounds:
            free = ~taken[:, candidates[members]] & (ious[members] >= IOU_THRESHOLDS[:, None, None])
            best = np.where(free, preference[members], -np.inf).argmax(axis=-1)
            threshold, member = np.nonzero(free.any(axis=-1))
            chosen = candidates[members[member], best[threshold, member]]
            taken[threshold, chosen] = ~crowd[chosen]
            result[threshold, rows[members[member]]] = np.where(inside[chosen], TRUE, IGNORED)


def _overlaps(
    detection_group: Ints,
    detection_xyxy: Floats,
    object_group: Ints,
    object_xyxy: Floats,
    crowd: NDArray[np.bool_],
) -> tuple[Ints, Ints, Floats]:
    """Return the pairs (detection, object, IoU) within a group with IoU at or above the lowest threshold.

    They are ordered by detection, then from the last object to the first, because COCO gives ties to the
    last.
    """
    order = np.lexsort((-np.arange(len(object_group)), object_group))
    parts = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for detection, position in pairs_of_groups(detection_group, object_group[order]):
        obj = order[position]
        iou = paired_iou(detection_xyxy[detection], object_xyxy[obj], crowd[obj])
        near = iou >= IOU_THRESHOLDS[0]
        parts.append((detection[near], obj[near], iou[near]))
    detections, objects, ious = zip(*parts, strict=True)
    return np.concatenate(detections), np.concatenate(objects), np.concatenate(ious)


def pairs_of_groups(ones: Ints, others: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Yield all pairs (one, other) of the same group, in their order and in parts that fit in memory.

    The arguments are the groups of both; those of `others` are increasing.
    """
    first = np.searchsorted(others, ones, side="left")
    counts = np.searchsorted(others, ones, side="right") - first
    _, starts = np.unique(np.cumsum(counts) // _PAIRS, return_index=True)
    for start, stop in pairwise([*starts.tolist(), len(ones)]):
        count = counts[start:stop]
        offset = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        yield np.repeat(np.arange(start, stop), count), np.repeat(first[start:stop], count) + offset


def paired_iou(a: Floats, b: Floats, crowd: NDArray[np.bool_] | bool = False) -> Floats:
    """Return the IoU (...) of paired boxes (..., 4); the shapes broadcast.

    Where `crowd` (...) is true, `b` is a crowd region, and the result is the share of `a` inside it.
    """
    size = np.maximum(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0.0)
    intersection = size[..., 0] * size[..., 1]
    union = np.where(crowd, _area(a), _area(a) + _area(b) - intersection)
    return np.divide(intersection, union, out=np.zeros_like(union), where=intersection > 0)
