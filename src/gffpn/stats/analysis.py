"""What a report shows of one run's predictions besides its figures, computed once and kept beside them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gffpn.files.arrays import UNREADABLE
from gffpn.files.content import content_digest
from gffpn.files.writing import whole_file
from gffpn.metrics.matching import Floats, Ints
from gffpn.runs.folder import RunFolder
from gffpn.runs.predictions import Predictions, read_predictions
from gffpn.runs.record import Record
from gffpn.stats.assignment import Flags, assigned, calls, overlapping
from gffpn.stats.detection_curve import DetectionCurve, RunCurve, run_curve, side_grid
from gffpn.stats.draws import draws
from gffpn.stats.error_counts import ErrorCounts, error_counts
from gffpn.stats.error_gains import error_gains
from gffpn.stats.hits import false_call_threshold, find_hits
from gffpn.stats.operating import ImageCalls, confusion_matrix, image_calls, precision_recall
from gffpn.stats.replicates import truth_digest

VERSION = 2
"""Version of analysis.npz; raised when a value in it changes."""
CURVE_REPLICATES = 200


@dataclass(frozen=True)
class Analysis:
    """The test split of one run: precision against recall, operating point, errors, detection by size.

    Fields of the operating point are None if the run has none, and `curve` if the split has no object.
    """

    truth: str
    """Digest of the images and objects: errors are compared only where it agrees."""
    groups: tuple[str, ...]
    """(N,) origin of each image."""
    precision: Floats
    """(101,) at IoU 0.5, mean over the classes."""
    gains: Floats
    """(6,) what mAP50 would gain without the errors of each type."""
    confusion: Ints | None
    """(K + 1, K + 1)"""
    images: ImageCalls | None
    errors: ErrorCounts | None
    found: Flags | None
    """(M,) objects that a call of their class has at IoU 0.5."""
    sides: Floats
    """(G,) network pixels."""
    curve: RunCurve | None
    """Probability of detection at `sides`."""


def analysis(splits: Mapping[str, Predictions], record: Record) -> Analysis:
    """Return the analysis of a run's test split; val gives the threshold of the curve."""
    test, point = splits["test"], record.operating_point
    threshold = point.threshold if point else None
    hits = find_hits(test, false_call_threshold(splits["val"]))
    known = len(hits.side) > 0
    sides = side_grid(hits) if known else np.zeros(0)
    weights = draws(test.groups, CURVE_REPLICATES).T.astype(np.int64)
    return Analysis(
        truth=truth_digest(test),
        groups=test.groups,
        precision=precision_recall(test, max_detections=record.max_detections).mean,
        gains=error_gains(test, max_detections=record.max_detections).gain,
        confusion=None if threshold is None else confusion_matrix(test, threshold),
        images=None if threshold is None else image_calls(test, threshold),
        errors=None if threshold is None else error_counts(test, threshold, record.size_edges),
        found=None if threshold is None else found_objects(test, threshold),
        sides=sides,
        curve=run_curve(hits, weights, sides) if known else None,
    )


def found_objects(predictions: Predictions, threshold: float) -> Flags:
    """Return a mask (M,) of the objects that a detection of their class with at least this score has."""
    called = calls(predictions.evaluated, threshold)
    pairs = overlapping(called)
    found = assigned(pairs.only(pairs.same_class), called.scores)
    return np.isin(np.arange(len(called.crowd)), found)


def kept_analysis(folder: RunFolder, record: Record) -> Analysis:
    """Return the analysis of a finished run, computed once and kept in analysis.npz.

    Raises ValueError with one line if its predictions are missing or damaged.
    """
    path = folder.path / "analysis.npz"
    try:
        made_of = (
            f"{VERSION}-{content_digest(folder.predictions)}-{record.size_edges}-{record.max_detections}"
        )
    except FileNotFoundError as error:
        raise ValueError(f"{folder.predictions}: missing; the run has no analysis without it") from error
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            if str(arrays["made_of"]) == made_of:
                return _read(arrays)
    except UNREADABLE:
        pass  # none yet, or a damaged one
    arrays = _arrays(analysis(read_predictions(folder.predictions), record))
    try:
        with whole_file(path) as draft, draft.open("wb") as output:
            np.savez_compressed(output, allow_pickle=False, made_of=np.array(made_of), **arrays)
    except OSError:
        pass  # a read-only archive of runs: computed again next time
    return _read(arrays)  # as the file holds it, so that the next report shows the same


def _arrays(found: Analysis) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {
        "truth": np.array(found.truth),
        "groups": np.array(found.groups, dtype=np.str_),
        "precision": found.precision,
        "gains": found.gains,
        "sides": found.sides,
    }
    if found.confusion is not None and found.found is not None and found.images and found.errors:
        arrays |= {"confusion": found.confusion, "found": found.found}
        arrays |= {f"images/{name}": flags for name, flags in vars(found.images).items()}
        arrays |= {f"errors/{name}": counts for name, counts in vars(found.errors).items()}
    if found.curve:
        arrays["curve"] = np.array(list(vars(found.curve.curve).values()))
        arrays["curve/points"] = found.curve.points
        arrays["curve/replicates"] = found.curve.replicates.astype(np.float32)
    return arrays


def _read(arrays: Mapping[str, NDArray[Any]]) -> Analysis:
    def part(prefix: str, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
        return {name: arrays[f"{prefix}/{name}"] for name in names}

    has_point, has_curve = "confusion" in arrays, "curve" in arrays
    curve = None
    if has_curve:
        fitted = DetectionCurve(*map(float, arrays["curve"]))
        curve = RunCurve(fitted, arrays["curve/points"], arrays["curve/replicates"].astype(np.float64))
    calls_of = ("defective", "clean", "called", "incomplete")
    return Analysis(
        truth=str(arrays["truth"]),
        groups=tuple(map(str, arrays["groups"])),
        precision=arrays["precision"],
        gains=arrays["gains"],
        confusion=arrays["confusion"] if has_point else None,
        images=ImageCalls(**part("images", calls_of)) if has_point else None,
        errors=ErrorCounts(**part("errors", ("errors", "objects"))) if has_point else None,
        found=arrays["found"] if has_point else None,
        sides=arrays["sides"],
        curve=curve,
    )
