"""Replicates of a run's figures: what they would be on other test images of the same kind."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gffpn.files.arrays import UNREADABLE
from gffpn.files.content import content_digest
from gffpn.files.writing import whole_file
from gffpn.metrics.evaluated import MAX_DETECTIONS
from gffpn.metrics.matching import SIZE_EDGES, Floats, Matches, SizeRange, size_ranges
from gffpn.runs.folder import RunFolder
from gffpn.runs.predictions import Predictions, read_predictions
from gffpn.stats.draws import REPLICATES, Counts, draws, group_draws
from gffpn.stats.estimate import Seed
from gffpn.stats.influence import influences
from gffpn.stats.reweighted import mean_precision, reweighted_precision

VERSION = 4
"""Version of replicates.npz; raised when its figures or its draws change."""


@dataclass(frozen=True)
class Replicates:
    """The figures of one run on its test images, and on B re-weightings of them."""

    endpoints: tuple[str, ...]
    """(E,) as in `Figures.columns`: mAP50, mAP50_95, AP50/<class>, AP_<bin> in network pixels."""
    points: Floats
    """(E,) on the test images as they are; NaN without an object."""
    values: Floats
    """(E, B); NaN where a replicate has no object."""
    influence: Floats
    """(E, G) of each independent group of images that was drawn, as in `influences`."""
    truth: str
    """Digest of the images and objects: figures are compared only where it agrees."""

    @property
    def groups(self) -> int:
        """Number of independent groups of images that were drawn."""
        return self.influence.shape[1]

    def __getitem__(self, endpoint: str) -> Seed:
        """Return the figure with its replicates. Raises KeyError for an unknown endpoint."""
        if endpoint not in self.endpoints:
            raise KeyError(endpoint)
        at = self.endpoints.index(endpoint)
        return Seed(float(self.points[at]), self.values[at], self.influence[at])


def replicates(
    predictions: Predictions,
    *,
    size_edges: Collection[float] = SIZE_EDGES,
    max_detections: int = MAX_DETECTIONS,
    count: int = REPLICATES,
    only: Collection[str] | None = None,
) -> Replicates:
    """Return the figures of one split and `count` replicates of them.

    `only` limits the endpoints. Raises ValueError for an unknown one.
    """
    ranges = [one for one in size_ranges(list(size_edges)) if not one.native]
    names = _endpoints(predictions.classes, ranges)
    if unknown := set(only or ()) - set(names):
        raise ValueError(f"only: got {sorted(unknown)}, expected some of {names}")
    wanted = [name for name in names if only is None or name in only]
    if not any(name.startswith("AP_") for name in wanted):
        ranges = ranges[:1]
    matches = predictions.matches(ranges, max_detections=max_detections)
    weights = draws(predictions.groups, count)
    weights = np.concatenate([np.ones_like(weights[:, :1]), weights], axis=1)
    figures = _figures(matches, predictions.classes, weights, wanted)
    table = np.stack([figures[name] for name in wanted])
    return Replicates(
        endpoints=tuple(wanted),
        points=table[:, 0],
        values=table[:, 1:],
        influence=influences(table[:, 1:], group_draws(predictions.groups, weights[:, 1:])),
        truth=truth_digest(predictions),
    )


def _endpoints(classes: Sequence[str], ranges: Sequence[SizeRange]) -> list[str]:
    sizes = [f"AP_{one.name}" for one in ranges[1:]]
    return ["mAP50", "mAP50_95", *sizes, *(f"AP50/{name}" for name in classes)]


def _figures(
    matches: Matches, classes: Sequence[str], weights: Counts, wanted: Sequence[str]
) -> dict[str, Floats]:
    """Return the figures (B,) for weights (N, B), at least those that are wanted, by name."""
    figures = {}
    if any(not name.startswith("AP_") for name in wanted):
        ious = slice(None) if "mAP50_95" in wanted else slice(0, 1)
        precision = reweighted_precision(matches, weights, ious=ious)
        figures = {f"AP50/{name}": row for name, row in zip(classes, precision[:, 0], strict=True)}
        figures |= {"mAP50": mean_precision(precision[:, :1]), "mAP50_95": mean_precision(precision)}
    for size in matches.ranges[1:]:
        if f"AP_{size}" in wanted:
            figures[f"AP_{size}"] = mean_precision(reweighted_precision(matches, weights, size=size))
    return figures


def truth_digest(predictions: Predictions) -> str:
    """Return 16 hex digits of the names of a split's images, of their groups, its classes and its objects.

    The objects' total size is part of it in native pixels and with three digits, because the network's image
    size, and with it the rounding of each box, may differ between runs that are compared.
    """
    found = predictions.evaluated
    digest = hashlib.sha256(
        "\n".join((*predictions.classes, "", *predictions.names, "", *predictions.groups)).encode()
    )
    for array in (found.objects.image, found.objects.label, found.crowd):
        digest.update(np.ascontiguousarray(array).tobytes())
    sides = (found.objects.xyxy[:, 2:] - found.objects.xyxy[:, :2]) / found.scales[found.objects.image]
    digest.update(f"{sides.sum():.2e}".encode())
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
    made = replicates(
        read_predictions(folder.predictions)["test"],
        size_edges=record.size_edges if record else SIZE_EDGES,
        max_detections=record.max_detections if record else MAX_DETECTIONS,
    )
    # as they will be read again, so that a second look at the same runs shows the same figures
    values, influence = (
        array.astype(np.float32).astype(np.float64) for array in (made.values, made.influence)
    )
    found = replace(made, values=values, influence=influence)
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
        "influence": found.influence.astype(np.float32),
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
                arrays["influence"].astype(np.float64),
                str(arrays["truth"]),
            )
    except UNREADABLE:
        return None
