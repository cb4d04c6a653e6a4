"""Replicates of a run's figures: what they would be on other test images of the same kind."""

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from gffpn.files.content import content_digest
from gffpn.files.writing import whole_file
from gffpn.metrics.evaluated import MAX_DETECTIONS
from gffpn.metrics.matching import SIZE_EDGES, Floats, Ints, Matches, size_ranges
from gffpn.runs.folder import RunFolder
from gffpn.runs.predictions import Predictions, read_predictions
from gffpn.stats.draws import REPLICATES, draws
from gffpn.stats.reweighted import reweighted_precision

VERSION = 1
"""Version of replicates.npz; raised when its figures or its draws change."""
_ALL, _IOU_50 = slice(None), slice(0, 1)


@dataclass(frozen=True)
class Replicates:
    """The figures of one run on its test images, and on B re-weightings of them."""

    endpoints: tuple[str, ...]
    """(E,) as in `Figures.columns`: mAP50, mAP50_95, AP50/<class>, AP_<bin> in network pixels."""
    points: Floats
    """(E,) on the test images as they are; NaN without an object."""
    values: Floats
    """(E, B); NaN where a replicate has no object."""
    groups: int
    """Number of independent groups of images that were drawn."""
    truth: str
    """Digest of the images and objects: figures are compared only where it agrees."""

    def __getitem__(self, endpoint: str) -> tuple[float, Floats]:
        """Return the figure and its replicates (B,). Raises KeyError for an unknown endpoint."""
        if endpoint not in self.endpoints:
            raise KeyError(endpoint)
        at = self.endpoints.index(endpoint)
        return float(self.points[at]), self.values[at]


def replicates(
    predictions: Predictions,
    *,
    size_edges: Collection[float] = SIZE_EDGES,
    max_detections: int = MAX_DETECTIONS,
    count: int = REPLICATES,
    only: Collection[str] | None = None,
) -> Replicates:
    """Return the figures of one split and `count` replicates of them; `only` limits the endpoints."""
    ranges = size_ranges(list(size_edges))
    matches = predictions.evaluated.matches(len(predictions.classes), ranges, max_detections=max_detections)
    weights = draws(predictions.groups, count)
    weights = np.concatenate([np.ones_like(weights[:, :1]), weights], axis=1)
    values = {
        name: make(weights)
        for name, make in _endpoints(matches, predictions.classes).items()
        if only is None or name in only
    }
    table = np.stack(list(values.values()))
    return Replicates(
        tuple(values), table[:, 0], table[:, 1:], len(set(predictions.groups)), truth_digest(predictions)
    )


def _endpoints(matches: Matches, classes: tuple[str, ...]) -> dict[str, Callable[[Ints], Floats]]:
    """Return, by endpoint, the function from weights (N, B) to figures (B,)."""
    bins = [name for name in matches.ranges[1:] if not name.startswith("native_")]
    return {
        "mAP50": partial(_mean, matches, "all", _IOU_50),
        "mAP50_95": partial(_mean, matches, "all", _ALL),
        **{f"AP_{name}": partial(_mean, matches, name, _ALL) for name in bins},
        **{f"AP50/{name}": partial(_of_class, matches, label) for label, name in enumerate(classes)},
    }


def _mean(matches: Matches, size: str, ious: slice, weights: Ints) -> Floats:
    """Return the mean (B,) over IoU thresholds and over the classes with an object in the replicate."""
    values = reweighted_precision(matches, weights, size=size, ious=ious).mean(axis=1)
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)


def _of_class(matches: Matches, label: int, weights: Ints) -> Floats:
    return reweighted_precision(matches, weights, ious=_IOU_50, only=label)[0, 0]


def truth_digest(predictions: Predictions) -> str:
    """Return 16 hex digits of the names of a split's images, of its classes and of its objects."""
    found = predictions.evaluated
    digest = hashlib.sha256("\n".join((*predictions.classes, "", *predictions.names)).encode())
    for array in (found.objects.image, found.objects.label, found.crowd):
        digest.update(np.ascontiguousarray(array).tobytes())
    # in native pixels, to a tenth: the network's image size may differ between runs that are compared
    scale = np.tile(found.scales[found.objects.image], 2)
    digest.update((found.objects.xyxy / scale).round(1).tobytes())
    return digest.hexdigest()[:16]


def kept_replicates(folder: RunFolder) -> Replicates:
    """Return the replicates of a finished run's test split, computed once and kept in replicates.npz.

    Raises ValueError with one line if its predictions are missing or damaged.
    """
    path = folder.path / "replicates.npz"
    try:
        made_of = f"{VERSION}-{REPLICATES}-{content_digest(folder.predictions)}"
    except FileNotFoundError as error:
        raise ValueError(f"{folder.predictions}: missing; the run has no intervals without it") from error
    if kept := _read(path, made_of):
        return kept
    record = folder.read()
    found = replicates(
        read_predictions(folder.predictions)["test"],
        size_edges=record.size_edges if record else SIZE_EDGES,
        max_detections=record.max_detections if record else MAX_DETECTIONS,
    )
    try:
        with whole_file(path) as draft, draft.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, made_of=np.array(made_of), **_arrays(found))
    except OSError:
        pass  # a read-only archive of runs: computed again next time
    return found


def _arrays(found: Replicates) -> Mapping[str, NDArray[Any]]:
    return {
        "endpoints": np.array(found.endpoints),
        "points": found.points,
        "values": found.values.astype(np.float32),
        "groups": np.array(found.groups),
        "truth": np.array(found.truth),
    }


def _read(path: Path, made_of: str) -> Replicates | None:
    """Return what the file holds if it was made of the same predictions, else None."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            if str(arrays["made_of"]) != made_of:
                return None
            return Replicates(
                tuple(map(str, arrays["endpoints"])),
                arrays["points"],
                arrays["values"].astype(np.float64),
                int(arrays["groups"]),
                str(arrays["truth"]),
            )
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
