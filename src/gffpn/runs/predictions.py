"""Detections and truth of a run's val and test splits: predictions.npz, from which all its figures follow.

One file holds both splits; a key is the split and a field, such as `test/boxes`:

    names     (N,) str       images, as the data set names them, in the order of the split
    groups    (N,) str       images of one group have the same origin; an image of its own has its name
    sizes     (N, 2) int32   height and width of the image file
    index     (N,) int32     position of the image in the split
    scales    (N, 2) float64 network pixels per native pixel, along x and y
    counts    (N,) int32     detections per image; the detections of all images follow one another
    boxes     (D, 4) float32 xyxy in network pixels
    scores    (D,) float32
    labels    (D,) uint8 or wider, positions in `classes`
    truth_counts (N,), truth_boxes (M, 4), truth_labels (M,): the objects, likewise
    truth_crowd (M,) bool    true for a crowd region, in which detections are ignored

`classes` (K,) holds the class names. Nothing is pickled: `numpy.load(path)` reads it without this project.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gffpn.files.arrays import UNREADABLE
from gffpn.files.writing import whole_file
from gffpn.metrics.evaluated import MAX_DETECTIONS, Evaluated
from gffpn.metrics.matching import SIZE_EDGES, Boxes, Ints, Matches, SizeRange, size_ranges

SPLITS = ("val", "test")
ALL_SIZES = size_ranges(SIZE_EDGES)[:1]
"""The one size range that holds all objects."""
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Predictions:
    """The evaluation of one split, with the facts about its images."""

    classes: tuple[str, ...]
    names: tuple[str, ...]
    groups: tuple[str, ...]
    sizes: Ints
    """(N, 2) height and width of the image file."""
    evaluated: Evaluated

    def matches(
        self, ranges: Sequence[SizeRange] = ALL_SIZES, *, max_detections: int = MAX_DETECTIONS
    ) -> Matches:
        """Match the detections to the objects, in every size range."""
        return self.evaluated.matches(len(self.classes), ranges, max_detections=max_detections)


def write_predictions(path: Path, splits: Mapping[str, Predictions]) -> None:
    """Write the splits completely or not at all."""
    arrays: dict[str, NDArray[Any]] = {}
    for split, predictions in splits.items():
        arrays["classes"] = np.array(predictions.classes)
        arrays |= {f"{split}/{field}": array for field, array in _arrays(predictions).items()}
    with whole_file(path) as draft, draft.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read_predictions(path: Path) -> dict[str, Predictions]:
    """Read the splits. Raises ValueError with one line if the file is missing or damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {split: _read(arrays, split) for split in SPLITS}
    except FileNotFoundError as error:
        raise ValueError(f"{path}: missing; repeat the run's command with metrics.json removed") from error
    except UNREADABLE as error:
        raise ValueError(f"{path}: damaged: {error}") from error


def _arrays(predictions: Predictions) -> dict[str, NDArray[Any]]:
    found = predictions.evaluated
    images = len(found.image_index)
    label = np.min_scalar_type(max(len(predictions.classes) - 1, 0))
    return {
        "names": np.array(predictions.names, dtype=np.str_),
        "groups": np.array(predictions.groups, dtype=np.str_),
        "sizes": predictions.sizes.astype(np.int32),
        "index": found.image_index.astype(np.int32),
        "scales": found.scales,
        "counts": np.bincount(found.detections.image, minlength=images).astype(np.int32),
        "boxes": found.detections.xyxy.astype(np.float32),
        "scores": found.scores.astype(np.float32),
        "labels": found.detections.label.astype(label),
        "truth_counts": np.bincount(found.objects.image, minlength=images).astype(np.int32),
        "truth_boxes": found.objects.xyxy.astype(np.float32),
        "truth_labels": found.objects.label.astype(label),
        "truth_crowd": found.crowd,
    }


def _read(arrays: Arrays, split: str) -> Predictions:
    def take(field: str) -> NDArray[Any]:
        return arrays[f"{split}/{field}"]

    def boxes(prefix: str) -> Boxes:
        image = np.repeat(np.arange(len(take("index"))), take(f"{prefix}counts"))
        labels = take(f"{prefix}labels").astype(np.int64)
        return Boxes(image, labels, take(f"{prefix}boxes").astype(np.float64))

    return Predictions(
        classes=tuple(map(str, arrays["classes"])),
        names=tuple(map(str, take("names"))),
        groups=tuple(map(str, take("groups"))),
        sizes=take("sizes").astype(np.int64),
        evaluated=Evaluated(
            take("index").astype(np.int64),
            take("scales"),
            boxes(""),
            take("scores").astype(np.float64),
            boxes("truth_"),
            take("truth_crowd"),
        ),
    )
