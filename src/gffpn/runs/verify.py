"""The figures of a run's record, computed again from its predictions alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from gffpn.figures import Figures, OperatingPoint
from gffpn.metrics.average_precision import summarize
from gffpn.metrics.evaluated import MAX_DETECTIONS
from gffpn.metrics.matching import SIZE_EDGES, size_ranges
from gffpn.metrics.operating_point import operating_point
from gffpn.runs.predictions import SPLITS, Predictions
from gffpn.runs.record import Record

TOLERANCE = 1e-9


def results(
    splits: Mapping[str, Predictions],
    *,
    size_edges: Sequence[float] = SIZE_EDGES,
    max_detections: int = MAX_DETECTIONS,
) -> tuple[dict[str, Figures], OperatingPoint | None]:
    """Return the figures of each split and the operating point, as the record has them."""
    ranges = size_ranges(size_edges)
    classes = splits["test"].classes
    matches = {
        split: splits[split].evaluated.matches(len(classes), ranges, max_detections=max_detections)
        for split in SPLITS
    }
    figures = {split: summarize(found, classes, ranges) for split, found in matches.items()}
    return figures, operating_point(matches["val"], matches["test"], classes)


def differences(record: Record, splits: Mapping[str, Predictions]) -> tuple[int, list[str]]:
    """Return the number of compared values, and one line for each that differs by over `TOLERANCE`."""
    figures, point = results(splits, size_edges=record.size_edges, max_detections=record.max_detections)
    recorded = dict(
        _leaves("", {**{s: asdict(getattr(record, s)) for s in SPLITS}, **_point(record.operating_point)})
    )
    computed = dict(_leaves("", {**{s: asdict(figures[s]) for s in SPLITS}, **_point(point)}))
    names = list(dict.fromkeys([*recorded, *computed]))
    lines = [
        f"{name}: metrics.json has {recorded.get(name)!r}, predictions.npz gives {computed.get(name)!r}"
        for name in names
        if not _equal(recorded.get(name), computed.get(name))
    ]
    return len(names), lines


def _point(point: OperatingPoint | None) -> dict[str, Any]:
    return {"operating_point": point and asdict(point)}


def _leaves(where: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield each plain value inside a nested one, with the keys and positions that lead to it."""
    if isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from _leaves(f"{where}.{key}" if where else str(key), item)
    else:
        yield where, value


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, int | float) and isinstance(other, int | float):
        return abs(one - other) <= TOLERANCE
    return bool(one == other)
