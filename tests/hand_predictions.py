"""Predictions from boxes that are written by hand, and random ones with every type of error."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gffpn.metrics.evaluated import Evaluated
from gffpn.metrics.matching import Boxes
from gffpn.runs.predictions import Predictions

Rows = Sequence[Sequence[float]]


class Image(NamedTuple):
    """Rows of objects and crowd regions are x1, y1, x2, y2, label; rows of detections also have a score."""

    objects: Rows = ()
    detections: Rows = ()
    crowd: Rows = ()


def predictions(*images: Image, classes: tuple[str, ...] = ("pit", "scratch")) -> Predictions:
    """Return the predictions of the images at one network pixel per native pixel."""
    found = [np.array(image.detections, dtype=np.float64).reshape(-1, 6) for image in images]
    true = [np.array([*image.objects, *image.crowd], dtype=np.float64).reshape(-1, 5) for image in images]
    rows, objects = np.concatenate(found), np.concatenate(true)
    position = np.arange(len(images))
    names = tuple(f"{k}.png" for k in position)
    return Predictions(
        classes=classes,
        names=names,
        groups=names,
        sizes=np.full((len(images), 2), 640),
        evaluated=Evaluated(
            image_index=position,
            scales=np.ones((len(images), 2)),
            detections=_boxes(position, [len(one) for one in found], rows),
            scores=rows[:, 5],
            objects=_boxes(position, [len(one) for one in true], objects),
            crowd=np.array(
                [
                    k >= len(image.objects)
                    for image, one in zip(images, true, strict=True)
                    for k in range(len(one))
                ],
                dtype=np.bool_,
            ),
        ),
    )


def _boxes(position: np.ndarray, counts: list[int], rows: np.ndarray) -> Boxes:
    return Boxes(np.repeat(position, counts), rows[:, 4].astype(np.int64), rows[:, :4])


def erring_detector(seed: int, *, images: int = 40, classes: int = 3, crowd: float = 0.0) -> Predictions:
    """Return random objects, found, misplaced, misclassified, found twice or missed, and false detections.

    `crowd` is the share of crowd regions among the objects.
    """
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(images):
        corner = rng.uniform(0, 500, (int(rng.integers(0, 7)), 2))
        boxes = np.concatenate([corner, corner + rng.uniform(8, 60, corner.shape)], axis=1)
        labels = rng.integers(0, classes, len(boxes))
        detections = []
        for box, label in zip(boxes, labels, strict=True):
            for _ in range(int(rng.integers(0, 4))):
                shift = rng.normal(0, rng.choice([1.0, 5.0, 15.0]), 4)
                called = label if rng.random() < 0.7 else rng.integers(0, classes)
                detections.append([*_ordered(box + shift), called, rng.random()])
        for _ in range(int(rng.integers(0, 4))):
            place = rng.uniform(0, 500, 2)
            box = np.concatenate([place, place + rng.uniform(8, 60, 2)])
            detections.append([*box, rng.integers(0, classes), 0.7 * rng.random()])
        rows = np.concatenate([boxes, labels[:, None]], axis=1)
        region = rng.random(len(rows)) < crowd
        made.append(Image(rows[~region].tolist(), detections, rows[region].tolist()))
    return predictions(*made, classes=tuple(f"class {label}" for label in range(classes)))


def _ordered(box: np.ndarray) -> np.ndarray:
    return np.concatenate([box[:2], np.maximum(box[2:], box[:2] + 2)])
