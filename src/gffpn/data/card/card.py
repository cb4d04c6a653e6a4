"""Data card: the contents and suspicious entries of a data set, as plain values that JSON can hold."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gffpn.data.card.duplicates import Group, Pair, near_duplicates
from gffpn.data.index import SPLITS, DataIndex, ImageRecord
from gffpn.data.letterbox import Letterbox
from gffpn.metrics.matching import paired_iou

Bin = tuple[str, float, float, bool]
"""(name, low, high, native): boxes with low <= side < high, in pixels of the file if native, else of the
network's input."""
THIN_PX = 2.0
SAME_PLACE = 0.9
"""IoU above which two boxes in one image count as the same object."""
SAME_OBJECT = 0.5
"""Lowest IoU at which boxes in two near-duplicates count as the same object, annotated twice."""

SMALL_PX, GOOD_PX = 20.0, 26.0
"""Median side in network pixels below which a larger image pays, and the one that it should have."""
LARGEST_ZOOM = 2.0
"""Factor on the size of the image files beyond which a larger network input shows nothing more."""
STRIDE = 32

Table = dict[str, dict[str, int]]


def card(index: DataIndex, image_size: tuple[int, int], bins: Sequence[Bin]) -> dict[str, Any]:
    """Return counts per split, groups of near-duplicates, and images or boxes with conflicting labels.

    Crowd regions are counted by class, and left out of everything else. `image_size` (height, width) is the
    size of the network's input.
    """
    whole, index = index, _without_crowd(index)
    records = [record for split in SPLITS for record in index.splits[split]]
    split_of = [split for split in SPLITS for _ in index.splits[split]]
    groups = near_duplicates(records)
    return {
        "image_size": list(image_size),
        "fingerprint": whole.fingerprint,
        "origin": index.origin,
        "mended": dict(index.mended),
        "splits": {split: _split_counts(whole.splits[split]) for split in SPLITS},
        "classes": _by_split(index, lambda r: [index.classes[k] for k in r.labels], index.classes),
        "crowd": _by_split(whole, lambda r: [index.classes[k] for k in r.labels[r.crowd]], index.classes),
        "bins": _by_split(
            index, lambda r: _bins_of(r, image_size, bins), [name for name, *_ in bins if name != "all"]
        ),
        "sides": _sides(index.splits["train"], image_size),
        "suggested_image_size": suggested_image_size(index.splits["train"], image_size),
        "image_sizes": _by_split(index, lambda r: [f"{r.height} x {r.width}"], ()),
        "thin": _by_split(index, lambda r: _thin(r, image_size, index.classes), index.classes),
        "near_duplicates": [_listed(group, group.images, records, split_of) for group in groups],
        "label_conflicts": [
            _listed(pair, (pair.one, pair.other), records, split_of)
            for group in groups
            for pair in group.pairs
            if not same_labels(records[pair.one], records[pair.other])
        ],
        "class_conflicts": [
            {"image": record.name, "split": split, "classes": [index.classes[k] for k in labels]}
            for record, split in zip(records, split_of, strict=True)
            for labels in class_conflicts(record)
        ],
    }


def _without_crowd(index: DataIndex) -> DataIndex:
    splits = {split: tuple(record.objects for record in records) for split, records in index.splits.items()}
    return replace(index, splits=splits)


def same_labels(one: ImageRecord, other: ImageRecord) -> bool:
    """Return True if each box in one near-duplicate matches a box of the same class in the other."""
    if sorted(one.labels.tolist()) != sorted(other.labels.tolist()):
        return False
    overlaps = _overlaps(_relative(one), _relative(other))
    overlaps[one.labels[:, None] != other.labels[None, :]] = 0
    free = overlaps >= SAME_OBJECT
    for row in range(len(free)):
        if not free[row].any():
            return False
        best = int(np.where(free[row], overlaps[row], -1).argmax())
        free[:, best] = False
    return True


def class_conflicts(record: ImageRecord) -> list[tuple[int, int]]:
    """Return the two labels of each pair of boxes that are in the same place but differ in class."""
    overlaps = _overlaps(record.boxes, record.boxes)
    apart = record.labels[:, None] != record.labels[None, :]
    found = np.argwhere(np.triu((overlaps > SAME_PLACE) & apart, k=1))
    return [(int(record.labels[one]), int(record.labels[other])) for one, other in found]


def _overlaps(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    return paired_iou(one[:, None].astype(np.float64), other[None].astype(np.float64))


def _relative(record: ImageRecord) -> NDArray[np.float32]:
    sides = np.array([record.width, record.height] * 2, np.float32)
    return np.asarray(record.boxes / sides * 1000)


def _split_counts(records: Sequence[ImageRecord]) -> dict[str, int]:
    return {
        "images": len(records),
        "empty": sum(len(record.labels) == 0 for record in records),
        "boxes": sum(len(record.objects.labels) for record in records),
    }


def _by_split(index: DataIndex, keys: Callable[[ImageRecord], Sequence[str]], order: Sequence[str]) -> Table:
    """Count each key per split, first the keys in `order`, then the others, most frequent first."""
    counts = {
        split: Counter(key for record in records for key in keys(record))
        for split, records in index.splits.items()
    }
    total = sum(counts.values(), Counter())
    names = [*order, *(key for key, _ in total.most_common() if key not in order)]
    return {name: {split: counts[split][name] for split in SPLITS} for name in names}


def _network_wh(record: ImageRecord, image_size: tuple[int, int]) -> NDArray[np.float32]:
    boxes = Letterbox.fit((record.height, record.width), image_size).to_network(record.boxes)
    return np.asarray(boxes[:, 2:] - boxes[:, :2])


def _network_sides(records: Sequence[ImageRecord], image_size: tuple[int, int]) -> NDArray[np.float64]:
    return np.concatenate([np.zeros(0), *(_side(_network_wh(record, image_size)) for record in records)])


def _sides(records: Sequence[ImageRecord], image_size: tuple[int, int]) -> dict[str, float]:
    """Return quantiles of the sides of boxes in network pixels; empty without boxes."""
    sides = _network_sides(records, image_size)
    shares = {"10 %": 0.1, "median": 0.5, "90 %": 0.9} if len(sides) else {}
    return {name: round(float(np.quantile(sides, share)), 1) for name, share in shares.items()}


def suggested_image_size(records: Sequence[ImageRecord], image_size: tuple[int, int]) -> list[int] | None:
    """Return a larger (height, width) for small objects, multiples of 32; None if this size will do.

    The median side becomes `GOOD_PX`, as far as the images are not enlarged by more than `LARGEST_ZOOM`.
    """
    sides = _network_sides(records, image_size)
    if not len(sides) or not 0 < (median := float(np.median(sides))) < SMALL_PX:
        return None
    zooms = [max(Letterbox.fit((one.height, one.width), image_size).scale) for one in records]
    factor = min(GOOD_PX / median, LARGEST_ZOOM / float(np.median(zooms)))
    larger = [STRIDE * round(factor * length / STRIDE) for length in image_size]
    return larger if larger > list(image_size) else None


def _bins_of(record: ImageRecord, image_size: tuple[int, int], bins: Sequence[Bin]) -> list[str]:
    sides = [_side(_network_wh(record, image_size)), _side(record.boxes[:, 2:] - record.boxes[:, :2])]
    return [
        name
        for name, low, high, native in bins
        if name != "all"
        for side in sides[native]
        if low <= side < high
    ]


def _side(wh: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(np.sqrt(wh.astype(np.float64).prod(1)).round(3))  # rounded as in the metrics


def _thin(record: ImageRecord, image_size: tuple[int, int], classes: Sequence[str]) -> list[str]:
    thin = _network_wh(record, image_size).min(1, initial=np.inf) < THIN_PX
    return [classes[label] for label in record.labels[thin]]


def _listed(
    found: Group | Pair, places: Sequence[int], records: Sequence[ImageRecord], split_of: Sequence[str]
) -> dict[str, Any]:
    return {
        "images": [records[place].name for place in places],
        "splits": [split_of[place] for place in places],
        "exact": found.exact,
    }
